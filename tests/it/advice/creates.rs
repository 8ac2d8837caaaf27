//! Creates that are repeated, as a client would repeat them, and equal creates that are meant.

use std::sync::Arc;
use std::time::Duration;

use concierge_sandbox::sandbox::advice::AdviceKind;
use concierge_sandbox::sandbox::advice::observations::{Observations, Observed};
use concierge_sandbox::sandbox::request_log::{Exchange, Message};
use reqwest::Method;
use serde_json::{Value, json};

use super::{OUTPUTS, advice, pause};
use crate::support::{Account, Wire, account, documented_output, sandbox, send, within};

const KEY_WITHOUT_EFFECT: &str = "`Idempotency-Key` has no effect here or, as far as is known, on the real system";

async fn put_faults(account: &Account, faults: Value) {
    account.send(Method::PUT, "/_sandbox/faults", &json!({ "data": faults })).await.expect(200);
}

/// POSTs a document with headers. Returns the status, or `None` if the answer is not whole.
async fn post(account: &Account, path: &str, document: &Value, headers: &[(&'static str, &str)]) -> Option<u16> {
    let mut request = account.request(Method::POST, path).header("Content-Type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = within(request.body(document.to_string()).send()).await.ok()?;
    let status = response.status().as_u16();
    within(response.bytes()).await.ok().map(|_| status)
}

/// Counts the repeated creates.
async fn repeated(account: &Account) -> u64 {
    advice(account).await.get("create_repeated").map_or(0, |piece| piece["count"].as_u64().unwrap())
}

#[tokio::test]
async fn repetition_after_a_lost_answer_gives_advice() {
    for (fault, first) in [
        (json!({"close": "after"}), None),
        (json!({"close": "before"}), None),
        (json!({"reset": "after"}), None),
        (json!({"truncate": true}), None),
        (json!({"status": 500}), Some(500)),
        (json!({"status": 503, "retry_after": 1}), Some(503)),
    ] {
        account(async |s| {
            let mut fault = fault.clone();
            (fault["path"], fault["times"]) = (json!(OUTPUTS), json!(2));
            put_faults(s, json!([fault])).await;
            let document = documented_output();
            assert_eq!(post(s, OUTPUTS, &document, &[]).await, first, "{fault}");
            assert_eq!(repeated(s).await, 0, "{fault}");
            assert_eq!(post(s, OUTPUTS, &document, &[]).await, first, "{fault}");
            assert_eq!(post(s, OUTPUTS, &document, &[]).await, Some(201), "{fault}");
            let piece = advice(s).await["create_repeated"].clone();
            assert_eq!(piece["count"], 2, "{fault}: {piece}");
            let detail = piece["detail"].as_str().unwrap();
            assert!(detail.ends_with(" `POST /api/concierge_request_outputs` was repeated."), "{detail}");
            assert!(detail.contains("filter[request_id]") && !detail.contains(KEY_WITHOUT_EFFECT), "{detail}");
            // an equal output after an answer is another payment
            assert_eq!(post(s, OUTPUTS, &document, &[]).await, Some(201), "{fault}");
            assert_eq!(repeated(s).await, 2, "{fault}");
        })
        .await;
    }
}

#[tokio::test]
async fn repetition_after_a_timeout_of_the_client_gives_advice() {
    sandbox(async |s| {
        put_faults(s, json!([{"path": OUTPUTS, "latency": "60s", "times": 1}])).await;
        let document = documented_output().to_string();
        let mut wire = Wire::open(s.server().address).await;
        wire.post(OUTPUTS, &format!("Content-Length: {}", document.len())).await;
        wire.send(&document).await;
        within(async { while s.get("/_sandbox/faults").await.expect(200)["data"][0]["hits"] == 0 {} }).await;
        // the client's patience ends, some calls later
        for _ in 0..5 {
            s.get("/api/users/me").await.expect(200);
        }
        drop(wire);
        let unanswered = async || s.get("/_sandbox/requests?filter[status]=none").await.expect(200)["data"].clone();
        within(async { while unanswered().await == json!([]) {} }).await;
        assert_eq!(unanswered().await[0]["request"]["body"], document);
        assert_eq!(repeated(s).await, 0);
        assert_eq!(post(s, OUTPUTS, &documented_output(), &[]).await, Some(201));
        assert_eq!(repeated(s).await, 1);
    })
    .await;
}

#[tokio::test]
async fn repetition_with_a_key_gives_advice_that_names_the_key() {
    account(async |s| {
        let document = documented_output();
        let with = |key: &'static str| [("Idempotency-Key", key)];
        for (key, count) in [("payroll-11-row-1", 0), ("payroll-11-row-2", 0), ("payroll-11-row-1", 1)] {
            assert_eq!(post(s, OUTPUTS, &document, &with(key)).await, Some(201));
            assert_eq!(repeated(s).await, count, "{key}");
        }
        let piece = advice(s).await["create_repeated"].clone();
        assert!(piece["detail"].as_str().unwrap().contains(KEY_WITHOUT_EFFECT), "{piece}");
        assert_eq!(post(s, OUTPUTS, &document, &with("payroll-11-row-2")).await, Some(201));
        assert_eq!(repeated(s).await, 2);
        // each create made an output, as on the real system
        assert_eq!(s.get(OUTPUTS).await.expect(200)["meta"]["total"], 4);
    })
    .await;
}

#[tokio::test]
async fn equal_creates_after_an_answer_give_no_advice() {
    account(async |s| {
        let (document, key) = (documented_output(), [("Idempotency-Key", "1")]);
        for _ in 0..3 {
            assert_eq!(post(s, OUTPUTS, &document, &[]).await, Some(201));
        }
        // a refused create may come again, with its key too
        let mut refused = documented_output();
        refused["data"]["relationships"]["user"]["data"]["id"] = json!("7");
        for _ in 0..2 {
            assert_eq!(post(s, OUTPUTS, &refused, &[]).await, Some(404));
            assert_eq!(post(s, OUTPUTS, &refused, &key).await, Some(404));
        }
        assert_eq!(post(s, OUTPUTS, &document, &key).await, Some(201));
        // nothing is created twice by an estimate, a webhook or an action
        let estimate = json!({"data": {"type": "concierge_estimates", "attributes": {"port_code": "cl_clp",
            "outputs": [{"port_code": "us_usd", "budget": 100}]}}});
        let webhook = json!({"data": {"type": "webhooks", "attributes": {"url": "http://127.0.0.1:9/"}}});
        let cancel = "/api/concierge_requests/1010/cancel";
        for (path, document) in
            [("/api/concierge_estimates", &estimate), ("/api/webhooks", &webhook), (cancel, &json!({}))]
        {
            for _ in 0..2 {
                post(s, path, document, &[("Prefer", "code=503"), ("Idempotency-Key", "2")]).await;
            }
        }
        assert_eq!(repeated(s).await, 0);
    })
    .await;
}

#[tokio::test]
async fn repetition_after_a_look_at_the_list_gives_no_advice() {
    for (look, count) in [
        (OUTPUTS, 0),
        ("/api/concierge_request_outputs?filter[request_id]=1010", 0),
        ("/api/concierge_requests/1010", 0),
        ("/api/users", 1),
        ("/api/concierge_request_outputs?filter[request]=1010", 1),
    ] {
        account(async |s| {
            let (document, key) = (documented_output(), [("Idempotency-Key", "1")]);
            put_faults(s, json!([{"method": "POST", "path": OUTPUTS, "close": "before", "times": 1}])).await;
            assert_eq!(post(s, OUTPUTS, &document, &key).await, None, "{look}");
            s.get(look).await;
            assert_eq!(post(s, OUTPUTS, &document, &key).await, Some(201), "{look}");
            assert_eq!(repeated(s).await, count, "{look}");
            // the answered one is known by its key, whether listed or not
            s.get(look).await;
            assert_eq!(post(s, OUTPUTS, &document, &key).await, Some(201), "{look}");
            assert_eq!(repeated(s).await, count + 1, "{look}");
        })
        .await;
    }
}

#[tokio::test]
async fn lost_answer_counts_for_a_minute_and_for_its_own_document_only() {
    sandbox(async |s| {
        let lose = async |document: &Value| {
            assert_eq!(post(s, OUTPUTS, document, &[("Prefer", "code=502")]).await, Some(502));
        };
        let document = documented_output();
        lose(&document).await;
        let mut other = documented_output();
        other["data"]["attributes"]["amount"] = json!(1001);
        assert_eq!(post(s, OUTPUTS, &other, &[]).await, Some(201));
        // the same bytes at another path, or for another user
        let user = json!({"data": {"type": "users"}});
        assert_eq!(post(s, "/api/users", &user, &[("Prefer", "code=502")]).await, Some(502));
        post(s, "/api/concierge_requests", &user, &[]).await;
        let acting = s.client.post(s.url("/api/users")).header("Authorization", "your_api_key; user=20202");
        send(acting.header("Content-Type", "application/json").body(user.to_string())).await.expect(201);
        assert_eq!(repeated(s).await, 0);
        // a slash at the end and a query change nothing
        s.advance(Duration::from_secs(55)).await;
        assert_eq!(post(s, &format!("{OUTPUTS}/?include=user"), &document, &[]).await, Some(201));
        assert_eq!(repeated(s).await, 1);
        lose(&document).await;
        s.advance(Duration::from_mins(2)).await;
        assert_eq!(post(s, OUTPUTS, &document, &[]).await, Some(201));
        pause(s).await;
        assert_eq!(repeated(s).await, 1);
    })
    .await;
}

/// Builds the exchange of a POST with that body.
fn exchange(body: &str, status: Option<u16>) -> Exchange {
    Exchange {
        id: Arc::from("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
        at: time::OffsetDateTime::UNIX_EPOCH,
        method: Method::POST,
        path: OUTPUTS.into(),
        query: None,
        request: Message { body: body.as_bytes().into(), body_size: body.len(), ..Message::default() },
        response: status.map(|status| (status, Message::default())),
        duration: Duration::ZERO,
        fault: None,
    }
}

const OBSERVED: Observed<'_> = Observed { key_sha256: &[0; 32], has_scheme: false, remarks: &[] };

fn count(observations: &Observations) -> u64 {
    let found = observations.tallies().find(|(kind, _)| *kind == AdviceKind::CreateRepeated);
    found.map_or(0, |(_, tally)| tally.count)
}

#[test]
fn requests_in_flight_together_repeat_nothing() {
    let mut observations = Observations::default();
    // both had come before the first answer
    observations.observe(&OBSERVED, &exchange("{}", Some(503)), 0, 2);
    observations.observe(&OBSERVED, &exchange("{}", Some(503)), 1, 2);
    assert_eq!(count(&observations), 0);
    observations.observe(&OBSERVED, &exchange("{}", Some(201)), 2, 3);
    assert_eq!(count(&observations), 1);
    // the server may see the end of a connection after the next request
    observations.observe(&OBSERVED, &exchange("{}", None), 3, 5);
    observations.observe(&OBSERVED, &exchange("{}", Some(201)), 4, 5);
    assert_eq!(count(&observations), 2);
}

#[test]
fn only_the_latest_lost_answers_are_remembered() {
    let mut observations = Observations::default();
    let mut arrival = 0;
    let mut post = |body: &str, status| {
        observations.observe(&OBSERVED, &exchange(body, Some(status)), arrival, arrival + 1);
        arrival += 1;
        count(&observations)
    };
    for number in 0..65 {
        assert_eq!(post(&number.to_string(), 503), 0);
    }
    assert_eq!(post("0", 201), 0, "the oldest is forgotten");
    assert_eq!(post("1", 201), 1);
    assert_eq!(post("64", 201), 2);
    assert_eq!(post("64", 201), 2, "an answered create is forgotten");
}
