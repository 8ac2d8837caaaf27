//! Deadlines of drafts, quotes and funding, exact to the millisecond.

use std::time::Duration;

use serde_json::json;

use super::{draft, pay, thousand};
use crate::support::{Account, account, sandbox, sandbox_with};

const MILLISECOND: Duration = Duration::from_millis(1);
const TEN_MINUTES: Duration = Duration::from_mins(10);

/// Subtracts a millisecond.
fn before(left: Duration) -> Duration {
    left.saturating_sub(MILLISECOND)
}

/// Asserts that a request keeps its state until a millisecond before a deadline.
/// At the deadline the request and its outputs must be cancelled.
async fn assert_cancelled_after(account: &Account, request: &str, left: Duration, state: &str, reason: &str) {
    account.advance(before(left)).await;
    assert_eq!(account.attributes_of(request).await["state"], state);
    account.advance(MILLISECOND).await;
    let shown = account.attributes_of(request).await;
    assert_eq!((&shown["state"], &shown["cancellation_reason"]), (&json!("cancelled"), &json!(reason)));
    assert_eq!(shown["outputs_cancelled"], shown["outputs_count"]);
}

#[tokio::test]
async fn draft_is_pruned_after_thirty_days_without_change() {
    account(async |s| {
        let days = |days: u64| Duration::from_hours(24 * days);
        let touched = draft(s, "ar_ars").await;
        let filled = draft(s, "ar_ars").await;
        s.advance(days(29)).await;
        let path = format!("/api/concierge_requests/{touched}");
        let change = json!({"data": {"type": "concierge_requests", "id": touched, "attributes": {"external_id": "x"}}});
        let changed = s.patch(&path, &change).await.expect(200);
        assert_eq!(changed["data"]["attributes"]["external_id"], "x");
        s.advance(before(days(1))).await;
        // the last millisecond before the draft is pruned
        pay(s, &filled, "", thousand()).await;
        assert_eq!(s.attributes_of("1010").await["state"], "draft");
        s.advance(MILLISECOND).await;
        let pruned = s.attributes_of("1010").await;
        assert_eq!(
            (&pruned["state"], &pruned["cancellation_reason"]),
            (&json!("cancelled"), &json!("draft_was_pruned"))
        );
        assert_cancelled_after(s, &touched, days(29), "draft", "draft_was_pruned").await;
        assert_cancelled_after(s, &filled, before(days(1)), "draft", "draft_was_pruned").await;
    })
    .await;
}

#[tokio::test]
async fn quote_expires_after_ten_minutes() {
    account(async |s| {
        s.create_output().await;
        s.advance(Duration::from_secs(1)).await;
        s.act("1010", "request_quote").await.expect(200);
        s.tick().await;
        assert_cancelled_after(s, "1010", before(TEN_MINUTES), "quoted", "quote_not_accepted").await;
        s.act("1010", "accept_quote").await.assert_error(409, "action_not_possible", "");
    })
    .await;
}

#[tokio::test]
async fn slow_quote_arrives_at_its_eta() {
    sandbox_with(
        |config| config.quote_delay = Duration::from_hours(3),
        async |s| {
            let abroad = json!({"port_code": "us_usd", "amount": 1});
            pay(s, "1010", "", abroad).await;
            let asked = s.act("1010", "request_quote").await.expect(200)["data"]["attributes"].clone();
            assert_eq!(asked["eta"], "2019-11-25T15:53:02.741Z");
            assert_eq!(asked["accept_quote_before"], "2019-11-25T16:03:02.741Z");
            assert_eq!(asked["cancellable_until"], asked["accept_quote_before"]);
            s.advance(before(Duration::from_hours(3))).await;
            assert_eq!(s.attributes_of("1010").await["state"], "quote_requested");
            s.tick().await;
            assert_eq!(s.attributes_of("1010").await["state"], "quoted");
        },
    )
    .await;
}

#[tokio::test]
async fn unfunded_request_is_cancelled_after_twelve_hours() {
    account(async |s| {
        let request = draft(s, "uy_uyu").await;
        pay(s, &request, "", thousand()).await;
        s.act(&request, "request_quote").await.expect(200);
        s.tick().await;
        s.act(&request, "accept_quote").await.expect(200);
        s.tick().await;
        assert_eq!(s.attributes_of(&request).await["funds_available"], 0);
        let left = before(before(TEN_MINUTES + Duration::from_hours(12)));
        assert_cancelled_after(s, &request, left, "quote_accepted", "payment_not_received").await;
    })
    .await;
}

#[tokio::test]
async fn one_clock_advance_equals_many_small_ones() {
    let mut ends = Vec::new();
    for steps in [1_u32, 2, 120, 7] {
        sandbox(async |s| {
            let second = draft(s, "us_usd").await;
            for (request, label) in [
                ("1010", "sandbox:failed"),
                (second.as_str(), "sandbox:failed|settled"),
                ("1010", "sandbox:cancelled"),
                (second.as_str(), "sandbox:returned"),
                ("1010", "sandbox:rejected"),
            ] {
                pay(s, request, label, json!({"port_code": "mx_mxn", "budget": 1000})).await;
                s.clock.advance(Duration::from_millis(130));
            }
            s.advance(Duration::from_millis(450)).await;
            for action in ["request_quote", "accept_quote"] {
                for request in ["1010", second.as_str()] {
                    s.act(request, action).await.expect(200);
                    s.advance(Duration::from_secs(1)).await;
                }
            }
            let other = draft(s, "cl_clp").await;
            pay(s, &other, "", thousand()).await;
            s.act(&other, "request_quote").await.expect(200);
            for _ in 0..steps {
                s.advance(Duration::from_hours(48) / steps).await;
            }
            let events: Vec<(i64, String, i64, time::OffsetDateTime)> =
                sqlx::query_as("select id, event_type, resource_id, created_at from events order by id")
                    .fetch_all(s.database())
                    .await
                    .unwrap();
            let requests = s.get("/api/concierge_requests?include=outputs").await.expect(200).to_string();
            let port = s.server().address.port().to_string();
            ends.push((events, requests.replace(&port, "PORT")));
        })
        .await;
    }
    assert!(ends[0].0.len() > 40, "{:?}", ends[0].0);
    for end in &ends[1..] {
        assert_eq!(*end, ends[0]);
    }
}
