//! Waiting for a state or an event: `GET /_sandbox/wait`.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::support::{Account, Receiver, account, documented_output, sandbox, send};
use crate::webhooks::{DOWN, OK};

const OUTPUT: &str = "concierge_request_outputs/32323";

#[tokio::test]
async fn answers_as_soon_as_the_state_is_reached() {
    account(async |s| {
        s.create_output().await;
        let path = format!("/_sandbox/wait?resource={OUTPUT}&state=accepted&timeout=30s");
        let (waited, ()) = tokio::join!(s.get(&path), s.advance(Duration::from_secs(1)));
        assert_eq!(waited.expect(200)["state"], "accepted");
        // at once if the state is reached already
        assert_eq!(
            s.get(&path).await.expect(200)["resource"],
            json!({"type": "concierge_request_outputs", "id": "32323"})
        );
    })
    .await;
}

#[tokio::test]
async fn times_out_with_the_reason() {
    sandbox(async |s| {
        s.create_output().await;
        let path = format!("/_sandbox/wait?resource={OUTPUT}&state=settled&timeout=10ms");
        let waited = s.get(&path).await;
        waited.assert_error(408, "wait_timeout", "");
        let error = &waited.body["errors"][0];
        assert_eq!(error["meta"]["state"], "accepting");
        assert_eq!(error["meta"]["next"]["due_at"], "2019-11-25T12:53:03.741Z");
        assert!(
            error["detail"].as_str().unwrap().contains("accept leads to accepted at 2019-11-25T12:53:03.741Z"),
            "{error}"
        );
        s.advance(Duration::from_secs(1)).await;
        let waited = s.get(&path).await;
        assert_eq!(waited.body["errors"][0]["meta"]["next"]["waits_for"]["state"], "draft");
        let detail = waited.body["errors"][0]["detail"].as_str().unwrap();
        let reason = "is accepted; work leads to working once request 1010 is working \
        (now draft: request_quote leads to quote_requested once the payer calls request_quote, \
            or it becomes cancelled at 2019-12-25T12:53:02.741Z); the account's clock runs";
        assert!(detail.ends_with(reason), "{detail}");
        s.post("/_sandbox/clock/freeze", &json!({})).await.expect(200);
        let waited = s.get(&path).await;
        assert_eq!(waited.body["errors"][0]["meta"]["clock"]["frozen_at"], "2019-11-25T12:53:03.741Z");
        assert!(waited.text.contains("clock is frozen"), "{waited:?}");
    })
    .await;
}

#[tokio::test]
async fn timeout_for_a_stuck_output_names_a_working_simulation() {
    account(async |s| {
        let account = s.account(json!({"clock": {"now": "2019-11-25T12:53:02.741Z"}})).await;
        let output = account.request(Method::POST, "/api/concierge_request_outputs").header("Sandbox-Outcome", "stuck");
        send(output.header("Content-Type", "application/json").body(documented_output().to_string())).await.expect(201);
        account.settle().await;
        account.act("1010", "request_quote").await.expect(200);
        account.act("1010", "accept_quote").await.expect(200);
        account.settle().await;
        for (query, simulation, body) in [
            (format!("resource={OUTPUT}&state=returned"), "/transition", json!({"state": "returned", "through": true})),
            (format!("resource={OUTPUT}&event=concierge_request_output_settled"), "/settle", json!({})),
        ] {
            let waited = account.get(&format!("/_sandbox/wait?{query}&timeout=1ms")).await;
            waited.assert_error(408, "wait_timeout", "");
            let path = format!("/_sandbox/simulations/{OUTPUT}{simulation}");
            assert!(waited.text.contains(&format!("; POST {path}")), "{waited:?}");
            assert!(!waited.text.contains("advance it"), "{waited:?}");
            let client = Account::of(&s.url(""), &account.key);
            client.post("/_sandbox/snapshots", &json!({"name": "stuck"})).await.expect(201);
            client.post(&path, &body).await.expect(200);
            client.post("/_sandbox/snapshots/stuck/restore", &json!({})).await.expect(204);
        }
        // the request's simulation cascades to the output
        let waited = account.get("/_sandbox/wait?resource=concierge_requests/1010&state=finished&timeout=1ms").await;
        assert!(waited.text.contains("concierge_requests/1010/transition"), "{waited:?}");
        let through = json!({"state": "finished", "through": true});
        account.post("/_sandbox/simulations/concierge_requests/1010/transition", &through).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn answers_409_at_once_for_an_unreachable_state() {
    account(async |s| {
        let started = Instant::now();
        s.create_output().await;
        s.advance(Duration::from_secs(1)).await;
        let never = async |query: &str| s.get(&format!("/_sandbox/wait?{query}&timeout=10m")).await;
        for query in [
            format!("resource={OUTPUT}&state=accepting"),
            format!("resource={OUTPUT}&state=rejected"),
            format!("resource={OUTPUT}&event=concierge_request_output_rejected"),
            format!("resource={OUTPUT}&event=concierge_request_output_accepted&delivered=true"),
            "resource=users/20202&state=new".to_owned(),
        ] {
            never(&query).await.assert_error(409, "wait_impossible", "");
        }
        never("resource=concierge_request_outputs/1&state=settled").await.assert_error(404, "resource_not_found", "");
        assert!(started.elapsed() < Duration::from_secs(20));
    })
    .await;
}

#[tokio::test]
async fn answers_for_an_event_and_its_delivery() {
    sandbox(async |s| {
        let receiver = Receiver::answering(OK).await;
        let url = json!({"data": {"type": "users", "attributes": {"webhook_url": receiver.url()}}});
        s.patch("/api/users/me", &url).await.expect(200);
        let query = "event=concierge_request_output_accepted&delivered=true&timeout=30s";
        let path = format!("/_sandbox/wait?{query}");
        let events = async {
            s.create_output().await;
            s.advance(Duration::from_secs(1)).await;
        };
        let (waited, ()) = tokio::join!(s.get(&path), events);
        let event = &waited.expect(200)["event"];
        assert_eq!((&event["id"], &event["delivery_state"]), (&json!("2"), &json!("delivered")));
        // `since` excludes earlier events
        let waited = s.get("/_sandbox/wait?event=concierge_request_output_accepted&since=2&timeout=1ms").await;
        waited.assert_error(408, "wait_timeout", "");
        let reason = "concierge_request_output_accepted has not occurred after event 2; the account's clock runs";
        assert!(waited.text.contains(reason), "{waited:?}");
    })
    .await;
}

#[tokio::test]
async fn timeout_for_a_delivery_names_its_last_error() {
    account(async |s| {
        let receiver = Receiver::answering(DOWN).await;
        let url = json!({"data": {"type": "users", "attributes": {"webhook_url": receiver.url()}}});
        s.patch("/api/users/me", &url).await.expect(200);
        s.create_output().await;
        s.tell(Duration::ZERO).await;
        let query = "event=concierge_request_output_accepting&delivered=true&timeout=1ms";
        let waited = s.get(&format!("/_sandbox/wait?{query}")).await;
        waited.assert_error(408, "wait_timeout", "");
        let event = &waited.body["errors"][0]["meta"]["event"];
        assert_eq!((&event["attempts_count"], &event["last_error"]), (&json!(1), &json!("answered 500")));
        // an abandoned delivery never arrives
        s.tell(Duration::from_hours(10 * 24)).await;
        s.get(&format!("/_sandbox/wait?{query}0m")).await.assert_error(400, "parameter_invalid", "timeout");
        let waited = s.get("/_sandbox/wait?event=concierge_request_output_accepting&delivered=true").await;
        waited.assert_error(409, "wait_impossible", "");
    })
    .await;
}

#[tokio::test]
async fn answers_404_after_a_reset() {
    account(async |s| {
        s.create_output().await;
        let path = format!("/_sandbox/wait?resource={OUTPUT}&state=settled&timeout=30s");
        let reset = async { send(s.request(Method::POST, "/_sandbox/reset")).await.expect(204) };
        let (waited, _) = tokio::join!(s.get(&path), reset);
        waited.assert_error(404, "resource_not_found", "");
    })
    .await;
}

#[tokio::test]
async fn answers_400_for_bad_parameters() {
    account(async |s| {
        for (query, parameter) in [
            ("", "state"),
            ("state=settled", "resource"),
            ("resource=concierge_request_outputs/32323", "state"),
            ("resource=concierge_request_outputs&state=settled", "resource"),
            ("resource=ports/cl_clp&state=settled", "resource"),
            ("resource=concierge_request_outputs/32323&state=paid", "state"),
            ("resource=withdrawal_instructions/2121&state=created", "state"),
            ("resource=users/20202&event=concierge_request_output_settled", "resource"),
            ("event=output_settled", "event"),
            ("event=user_enabled&state=enabled", "event"),
            ("event=user_enabled&delivered=maybe", "delivered"),
            ("event=user_enabled&since=-1", "since"),
            ("event=user_enabled&timeout=1h", "timeout"),
            ("event=user_enabled&timeout=soon", "timeout"),
            ("event=user_enabled&until=now", "until"),
            ("resource=users/20202&state=enabled&delivered=true", "delivered"),
            ("resource=users/20202&state=enabled&since=1", "since"),
        ] {
            let answer = s.get(&format!("/_sandbox/wait?{query}")).await;
            assert_eq!((answer.status, answer.errors()[0].2.as_str()), (400, parameter), "{query}");
        }
        let stranger = send(s.client.get(s.url("/_sandbox/wait?event=user_enabled"))).await;
        stranger.assert_error(401, "invalid_api_key", "Authorization");
    })
    .await;
}
