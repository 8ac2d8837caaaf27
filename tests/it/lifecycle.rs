//! Timers: checks, approvals, and outputs waiting for them.

use std::time::Duration;

use concierge_sandbox::config::Approval;
use serde_json::json;

use crate::support::{Account, account, documented_output, sandbox, sandbox_with};

const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Creates a user and its instruction; returns the user's id and the document of an output.
async fn output_for_new_user(account: &Account) -> (String, serde_json::Value) {
    let user = account.create("/api/users", &json!({"data": {"type": "users"}})).await;
    let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {"bank": "x"}},
        "relationships": {"user": {"data": {"type": "users", "id": user}}}}});
    let instruction = account.create("/api/withdrawal_instructions", &instruction).await;
    let mut document = documented_output();
    document["data"]["relationships"]["user"]["data"]["id"] = json!(user);
    document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
    (user, document)
}

#[tokio::test]
async fn output_is_accepted_at_its_due_time() {
    account(async |s| {
        let id = s.create_output().await;
        s.advance(Duration::from_millis(999)).await;
        assert_eq!(s.state_of(&id).await, "accepting");
        s.advance(Duration::from_millis(1)).await;
        assert_eq!(s.state_of(&id).await, "accepted");
        let found = s.get(&format!("{OUTPUTS}?filter[request_id]=1010")).await.expect(200);
        assert_eq!(found["data"][0]["id"], id.as_str());
    })
    .await;
}

#[tokio::test]
async fn output_to_a_rejected_or_disabled_payee_is_rejected() {
    for (update, reason) in [
        ("update users set compliance_state = 'rejected' where id = 20202", "the payee was rejected"),
        ("update users set compliance_state = 'disabled' where id = 20202", "the payee is disabled"),
    ] {
        account(async |s| {
            let id = s.create_output().await;
            s.sql(update).await;
            s.advance(Duration::from_secs(1)).await;
            let shown = s.get(&format!("{OUTPUTS}/{id}")).await.expect(200);
            let expected =
                json!({"amount": 1000, "port_code": "cl_clp", "state": "rejected", "rejection_reason": reason});
            assert_eq!(shown["data"]["attributes"], expected);
        })
        .await;
    }
}

#[tokio::test]
async fn output_to_a_new_payee_waits_for_the_approval() {
    sandbox_with(
        |config| config.approval_delay = Duration::from_mins(1),
        async |s| {
            let (user, document) = output_for_new_user(s).await;
            let id = s.create(OUTPUTS, &document).await;
            s.advance(Duration::from_secs(59)).await;
            assert_eq!(s.state_of(&id).await, "accepting");
            s.advance(Duration::from_secs(1)).await;
            assert_eq!(s.state_of(&id).await, "accepted");
            let shown = s.get(&format!("/api/users/{user}")).await.expect(200);
            assert_eq!(shown["data"]["attributes"]["compliance_state"], "enabled");
            assert_eq!(shown["data"]["attributes"]["kyc_accepted"], true);
        },
    )
    .await;
}

#[tokio::test]
async fn manual_approval_never_approves_by_time() {
    sandbox_with(
        |config| config.approval = Approval::Manual,
        async |s| {
            let (user, document) = output_for_new_user(s).await;
            let id = s.create(OUTPUTS, &document).await;
            s.advance(Duration::from_hours(700)).await;
            assert_eq!(s.state_of(&id).await, "accepting");
            let shown = s.get(&format!("/api/users/{user}")).await.expect(200);
            assert_eq!(shown["data"]["attributes"]["compliance_state"], "new");
        },
    )
    .await;
}

#[tokio::test]
async fn one_long_advance_equals_many_short_ones() {
    // approvals at 60 s and checks at 1 s, in one advance and step by step
    let mut ends = Vec::new();
    for steps in [1_u32, 80, 24] {
        sandbox_with(
            |config| config.approval_delay = Duration::from_mins(1),
            async |s| {
                for _ in 0..3 {
                    let (_, document) = output_for_new_user(s).await;
                    s.create(OUTPUTS, &document).await;
                    s.create_output().await;
                    s.clock.advance(Duration::from_millis(250));
                }
                for _ in 0..steps {
                    s.advance(Duration::from_mins(2) / steps).await;
                }
                let events: Vec<(i64, String, i64, time::OffsetDateTime)> =
                    sqlx::query_as("select id, event_type, resource_id, created_at from events order by id")
                        .fetch_all(s.database())
                        .await
                        .unwrap();
                // three instructions, two events for each of six outputs, three approvals
                assert_eq!(events.len(), 18);
                ends.push(events);
            },
        )
        .await;
    }
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0], ends[2]);
}

#[tokio::test]
async fn thousands_of_outputs_are_each_decided_once() {
    sandbox(async |s| {
        s
            .sql(
                "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
                    port_code, amount, state, created_at, state_since, due_at)
                select account_id, n, 1010, 20202, 2121, 'cl_clp', 1, 'accepting', t, t, t + n * interval '1 ms'
                from concierge_requests, generate_series(1, 2500) n, (select timestamptz '2019-11-25T12:53:03Z') at (t)",
            )
            .await;
        s.advance(Duration::from_mins(1)).await;
        assert_eq!(s.count("select count(*) from concierge_request_outputs where state = 'accepted'").await, 2500);
        assert_eq!(s.count("select count(distinct resource_id) from events").await, 2500);
        assert_eq!(s.count("select max(id) from events").await, 2500, "ids have no gap");
    })
    .await;
}
