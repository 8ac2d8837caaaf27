//! Every event says what set it off.

use std::time::Duration;

use concierge_sandbox::events::cause::{Cause, CauseKind, KINDS};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::payouts::{draft, pay, set_to_work, thousand};
use crate::support::{Account, Answer, account, documented_output, send};

const SECOND: Duration = Duration::from_secs(1);
const OUTPUTS: &str = "concierge_request_outputs";
const REQUESTS: &str = "concierge_requests";

/// What happened to a resource, and what set it off: how event types end, kinds of causes, and by what.
async fn causes(account: &Account, resource_type: &str, id: &str) -> Vec<(String, String, Option<String>)> {
    let sql = "select substring(event_type from '[a-z]*$'), cause, caused_by from events
        where resource_type = $1 and resource_id = $2::bigint order by id";
    sqlx::query_as(sql).bind(resource_type).bind(id).fetch_all(account.database()).await.unwrap()
}

/// The same, as a test writes it down.
fn told<'a>(rows: &[(&'a str, &'a str, Option<&'a str>)]) -> Vec<(String, String, Option<String>)> {
    rows.iter().map(|(told, cause, by)| ((*told).into(), (*cause).into(), by.map(str::to_owned))).collect()
}

/// Sends a request with an id of its own, as it is to be found again.
async fn call(request: RequestBuilder, id: &str) -> Answer {
    let answer = send(request.header("X-Request-Id", id).header("Content-Type", "application/json")).await;
    assert_eq!(answer.headers["x-request-id"], id);
    answer
}

#[tokio::test]
async fn a_call_is_known_by_its_request_id() {
    account(async |s| {
        // as it was sent, capitals included
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
            let expected = told(&[("draft", "request", by), ("requested", "request", by), ("quoted", "timer", None)]);
            let found = causes(s, REQUESTS, &request).await;
            assert_eq!((&found[..3], &found[3..]), (&expected[..], &told(&[("cancelled", "request", by)])[..]));
            let expected = told(&[("accepting", "request", by), ("cancelled", "request", by)]);
            assert_eq!(causes(s, OUTPUTS, &output).await, expected);
            let expected = told(&[("created", "request", by), ("destroyed", "request", by)]);
            assert_eq!(causes(s, "withdrawal_instructions", &instruction).await, expected);
        }
        // without one, it is the one that the answer has
        let answer = s.post("/api/concierge_request_outputs", &documented_output()).await;
        let by = answer.headers["x-request-id"].to_str().unwrap().to_owned();
        let expected = told(&[("accepting", "request", Some(&by))]);
        assert_eq!(causes(s, OUTPUTS, &id_of(answer)).await, expected);
    })
    .await;
}

#[tokio::test]
async fn what_happens_by_itself_is_a_timer_s_or_the_money_s() {
    account(async |s| {
        let payee = s.create("/api/users", &json!({"data": {"type": "users"}})).await;
        let output = pay(s, "1010", "", thousand()).await;
        let left = draft(s, "ar_ars").await;
        s.advance(SECOND).await;
        set_to_work(s, "1010").await;
        s.advance(Duration::from_hours(31 * 24)).await;
        assert_eq!(causes(s, "users", &payee).await, told(&[("enabled", "timer", None)]));
        let expected = ["accepted", "working", "settling", "settled"].map(|state| (state, "timer", None));
        assert_eq!(causes(s, OUTPUTS, &output).await[1..], told(&expected));
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
        assert_eq!(found, told(&expected));
        assert_eq!(causes(s, REQUESTS, &left).await[1..], told(&[("cancelled", "timer", None)]));
    })
    .await;
}

#[tokio::test]
async fn a_step_that_a_test_value_asked_for_says_so() {
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
        assert_eq!(causes(s, OUTPUTS, &failing).await[1..], told(&expected));
        let expected = told(&[("rejected", "timer", Some("label sandbox:rejected"))]);
        assert_eq!(causes(s, OUTPUTS, &rejected).await[1..], expected);
        let expected =
            [("accepted", "timer", None), ("working", "timer", None), ("cancelled", "timer", Some("header cancelled"))];
        assert_eq!(causes(s, OUTPUTS, &cancelled).await[1..], told(&expected));
    })
    .await;
}

#[tokio::test]
async fn a_payee_that_may_not_be_paid_is_nobody_s_wish() {
    account(async |s| {
        s.sql("update users set compliance_state = 'disabled'").await;
        let output = pay(s, "1010", "sandbox:rejected", thousand()).await;
        s.advance(SECOND).await;
        assert_eq!(causes(s, OUTPUTS, &output).await[1..], told(&[("rejected", "timer", None)]));
    })
    .await;
}

#[tokio::test]
async fn a_request_s_cause_is_that_of_all_it_takes_along() {
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
        // one is cancelled by a call, the other is left alone
        let id = "0a1b2c3d4e5f60718293a4b5c6d7e8f8";
        let cancel = s.request(Method::POST, "/api/concierge_requests/1010/cancel");
        call(cancel, id).await.expect(200);
        let made_up =
            json!({"event_type": "concierge_request_cancelled", "resource": {"type": REQUESTS, "id": "1010"}});
        let made_up = s.request(Method::POST, "/_sandbox/events/trigger").body(made_up.to_string());
        call(made_up, "0a1b2c3d4e5f60718293a4b5c6d7e8f9").await.expect(201);
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
async fn what_is_made_up_is_a_simulation() {
    account(async |s| {
        let id = "0a1b2c3d4e5f60718293a4b5c6d7e8f8";
        let body = json!({"event_type": "user_enabled", "resource": {"type": "users", "id": "20202"}});
        let trigger = s.request(Method::POST, "/_sandbox/events/trigger").body(body.to_string());
        call(trigger, id).await.expect(201);
        assert_eq!(causes(s, "users", "20202").await, told(&[("enabled", "simulation", Some(id))]));
    })
    .await;
}

#[test]
fn each_kind_has_a_name_of_its_own() {
    for kind in KINDS {
        assert_eq!(CauseKind::named(kind.name()), Some(kind));
    }
    assert_eq!(CauseKind::named("weather"), None);
    assert_eq!((Cause::TIMER.kind.name(), Cause::MONEY.kind.name()), ("timer", "money"));
}
