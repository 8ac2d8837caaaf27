//! The cause of every event.

use std::time::Duration;

use concierge_sandbox::events::cause::{Cause, CauseKind, KINDS};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::payouts::{draft, pay, set_to_work, thousand};
use crate::support::{Account, Answer, account, documented_output, send};

const SECOND: Duration = Duration::from_secs(1);
const OUTPUTS: &str = "concierge_request_outputs";
const REQUESTS: &str = "concierge_requests";

/// Reads the events of a resource: last word of the type, kind of cause, and author of the cause.
async fn causes(account: &Account, resource_type: &str, id: &str) -> Vec<(String, String, Option<String>)> {
    let sql = "select substring(event_type from '[a-z]*$'), cause, caused_by from events
        where resource_type = $1 and resource_id = $2::bigint order by id";
    sqlx::query_as(sql).bind(resource_type).bind(id).fetch_all(account.database()).await.unwrap()
}

/// Builds the expected rows of `causes`.
fn cause_rows<'a>(rows: &[(&'a str, &'a str, Option<&'a str>)]) -> Vec<(String, String, Option<String>)> {
    rows.iter().map(|(event, cause, by)| ((*event).into(), (*cause).into(), by.map(str::to_owned))).collect()
}

/// Sends a request with the given id; asserts that the answer repeats it.
async fn call(request: RequestBuilder, id: &str) -> Answer {
    let answer = send(request.header("X-Request-Id", id).header("Content-Type", "application/json")).await;
    assert_eq!(answer.headers["x-request-id"], id);
    answer
}

#[tokio::test]
async fn event_of_a_call_names_its_request_id() {
    account(async |s| {
        // the id is kept as sent, capitals included
        let ids = ["0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9", "0a1b2c3d4e5f60718293a4b5c6d7e8f8"];
        let id_of = |answer: Answer| answer.expect(201)["data"]["id"].as_str().unwrap().to_owned();
        let post = |path: &str, body: Value| s.request(Method::POST, path).body(body.to_string());
        for id in ids {
            let request = json!({"data": {"type": REQUESTS, "attributes": {"port_code": "ar_ars"}}});
            let request = id_of(call(post("/api/concierge_requests", request), id).await);
            let mut output = documented_output();
            output["data"]["relationships"]["request"]["data"]["id"] = json!(request);
            let output = id_of(call(post("/api/concierge_request_outputs", output), id).await);
            let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}}}});
            let instruction = id_of(call(post("/api/withdrawal_instructions", instruction), id).await);
            let path = format!("/api/withdrawal_instructions/{instruction}");
            call(s.request(Method::DELETE, &path), id).await.expect(204);
            let action = |name: &str| s.request(Method::POST, &format!("/api/concierge_requests/{request}/{name}"));
            call(action("request_quote"), id).await.expect(200);
            s.tick().await;
            call(action("cancel"), id).await.expect(200);
            let by = Some(id);
            let expected =
                cause_rows(&[("draft", "request", by), ("requested", "request", by), ("quoted", "timer", None)]);
            let found = causes(s, REQUESTS, &request).await;
            assert_eq!((&found[..3], &found[3..]), (&expected[..], &cause_rows(&[("cancelled", "request", by)])[..]));
            let expected = cause_rows(&[("accepting", "request", by), ("cancelled", "request", by)]);
            assert_eq!(causes(s, OUTPUTS, &output).await, expected);
            let expected = cause_rows(&[("created", "request", by), ("destroyed", "request", by)]);
            assert_eq!(causes(s, "withdrawal_instructions", &instruction).await, expected);
        }
        // without an id in the request, the answer's id counts
        let answer = s.post("/api/concierge_request_outputs", &documented_output()).await;
        let by = answer.headers["x-request-id"].to_str().unwrap().to_owned();
        let expected = cause_rows(&[("accepting", "request", Some(&by))]);
        assert_eq!(causes(s, OUTPUTS, &id_of(answer)).await, expected);
    })
    .await;
}

#[tokio::test]
async fn automatic_transitions_have_cause_timer_or_money() {
    account(async |s| {
        let payee = s.create("/api/users", &json!({"data": {"type": "users"}})).await;
        let output = pay(s, "1010", "", thousand()).await;
        let left = draft(s, "ar_ars").await;
        s.advance(SECOND).await;
        set_to_work(s, "1010").await;
        s.advance(Duration::from_hours(31 * 24)).await;
        assert_eq!(causes(s, "users", &payee).await, cause_rows(&[("enabled", "timer", None)]));
        let expected = ["accepted", "working", "settling", "settled"].map(|state| (state, "timer", None));
        assert_eq!(causes(s, OUTPUTS, &output).await[1..], cause_rows(&expected));
        let found = causes(s, REQUESTS, "1010").await;
        let (asked, accepted) = (found[0].2.as_deref(), found[2].2.as_deref());
        assert!(asked.is_some() && accepted.is_some() && asked != accepted, "{found:?}");
        let expected = [
            ("requested", "request", asked),
            ("quoted", "timer", None),
            ("accepted", "request", accepted),
            ("working", "money", None),
            ("finished", "timer", None),
            ("created", "timer", None),
        ];
        assert_eq!(found, cause_rows(&expected));
        assert_eq!(causes(s, REQUESTS, &left).await[1..], cause_rows(&[("cancelled", "timer", None)]));
    })
    .await;
}

#[tokio::test]
async fn transition_by_a_test_value_names_the_value() {
    account(async |s| {
        let by = Some("label sandbox:failed|settled");
        let failing = pay(s, "1010", "sandbox:failed|settled#order-7", thousand()).await;
        let rejected = pay(s, "1010", "sandbox:rejected", thousand()).await;
        let header = s.request(Method::POST, "/api/concierge_request_outputs").header("Sandbox-Outcome", "cancelled");
        let cancelled = call(header.body(documented_output().to_string()), "0a1b2c3d4e5f60718293a4b5c6d7e8f8").await;
        let cancelled = cancelled.expect(201)["data"]["id"].as_str().unwrap().to_owned();
        s.advance(SECOND).await;
        set_to_work(s, "1010").await;
        s.advance(Duration::from_mins(1)).await;
        let expected = [
            ("accepted", "timer", None),
            ("working", "timer", None),
            ("settling", "timer", None),
            ("failed", "timer", by),
            ("working", "timer", by),
            ("settling", "timer", None),
            ("settled", "timer", by),
        ];
        assert_eq!(causes(s, OUTPUTS, &failing).await[1..], cause_rows(&expected));
        let expected = cause_rows(&[("rejected", "timer", Some("label sandbox:rejected"))]);
        assert_eq!(causes(s, OUTPUTS, &rejected).await[1..], expected);
        let expected =
            [("accepted", "timer", None), ("working", "timer", None), ("cancelled", "timer", Some("header cancelled"))];
        assert_eq!(causes(s, OUTPUTS, &cancelled).await[1..], cause_rows(&expected));
    })
    .await;
}

#[tokio::test]
async fn rejection_for_a_disabled_payee_names_no_test_value() {
    account(async |s| {
        s.sql("update users set compliance_state = 'disabled'").await;
        let output = pay(s, "1010", "sandbox:rejected", thousand()).await;
        s.advance(SECOND).await;
        assert_eq!(causes(s, OUTPUTS, &output).await[1..], cause_rows(&[("rejected", "timer", None)]));
    })
    .await;
}

#[tokio::test]
async fn cancelled_outputs_have_the_cause_of_their_request() {
    account(async |s| {
        let other = draft(s, "ar_ars").await;
        for request in ["1010", &other] {
            sqlx::query(
                "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
                    port_code, amount, state, created_at, state_since)
                select account_id, id * 10000 + n, id, 20202, 2121, 'cl_clp', n, 'accepting', t, t
                from concierge_requests, generate_series(1, 2500) n, (select timestamptz '2019-11-25T12:53:02Z') at (t)
                where id = $1::bigint",
            )
            .bind(request)
            .execute(s.database())
            .await
            .unwrap();
        }
        // a call cancels one request; the other expires
        let id = "0a1b2c3d4e5f60718293a4b5c6d7e8f8";
        let cancel = s.request(Method::POST, "/api/concierge_requests/1010/cancel");
        call(cancel, id).await.expect(200);
        let triggered =
            json!({"event_type": "concierge_request_cancelled", "resource": {"type": REQUESTS, "id": "1010"}});
        let triggered = s.request(Method::POST, "/_sandbox/events/trigger").body(triggered.to_string());
        call(triggered, "0a1b2c3d4e5f60718293a4b5c6d7e8f9").await.expect(201);
        s.advance(Duration::from_hours(31 * 24)).await;
        let cancelled: Vec<(i64, String, Option<String>, i64)> = sqlx::query_as(
            "select resource_id / 10000, cause, caused_by, count(*) from events
            where event_type = 'concierge_request_output_cancelled' group by 1, 2, 3 order by 1",
        )
        .fetch_all(s.database())
        .await
        .unwrap();
        let expected = [
            (1010, "request".to_owned(), Some(id.to_owned()), 2500),
            (other.parse().unwrap(), "timer".to_owned(), None, 2500),
        ];
        assert_eq!(cancelled, expected);
    })
    .await;
}

#[tokio::test]
async fn triggered_event_has_cause_simulation() {
    account(async |s| {
        let id = "0a1b2c3d4e5f60718293a4b5c6d7e8f8";
        let body = json!({"event_type": "user_enabled", "resource": {"type": "users", "id": "20202"}});
        let trigger = s.request(Method::POST, "/_sandbox/events/trigger").body(body.to_string());
        call(trigger, id).await.expect(201);
        assert_eq!(causes(s, "users", "20202").await, cause_rows(&[("enabled", "simulation", Some(id))]));
    })
    .await;
}

#[test]
fn cause_kinds_have_distinct_names() {
    for kind in KINDS {
        assert_eq!(CauseKind::named(kind.name()), Some(kind));
    }
    assert_eq!(CauseKind::named("weather"), None);
    assert_eq!((Cause::TIMER.kind.name(), Cause::MONEY.kind.name()), ("timer", "money"));
}
