//! The log of requests and answers: content, filters, redaction and bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method as HttpMethod;
use concierge_sandbox::sandbox::advice::observations::Observed;
use concierge_sandbox::sandbox::request_log::log::{LogLimits, RequestLog};
use concierge_sandbox::sandbox::request_log::{Exchange, Message};
use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, Wire, account, documented_output, sandbox, send, within};

const PATH: &str = "/_sandbox/requests";
const OUTPUTS: &str = "/api/concierge_request_outputs";
const KEPT: usize = 16 << 10;

/// Lists the exchanges found by a query.
async fn logged(account: &Account, query: &str) -> Vec<Value> {
    let answer = account.get(&format!("{PATH}?{query}")).await.expect(200);
    answer["data"].as_array().unwrap().clone()
}

/// Lists the paths of the exchanges found by a query.
async fn paths(account: &Account, query: &str) -> Vec<String> {
    let exchanges = logged(account, query).await;
    exchanges.iter().map(|exchange| exchange["path"].as_str().unwrap().to_owned()).collect()
}

async fn put_fault(account: &Account, fault: &Value) {
    let body = json!({"data": [fault] }).to_string();
    let put = account.request(Method::PUT, "/_sandbox/faults").header("Content-Type", "application/json");
    send(put.body(body)).await.expect(200);
}

#[tokio::test]
async fn exchange_is_shown_as_sent_and_answered() {
    sandbox(async |s| {
        let id = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
        let request = s.client.post(s.url(&format!("{OUTPUTS}/?include=user")));
        let request = request.header("Authorization", "your_api_key; user=50505").header("X-Request-Id", id);
        let request = request.header("Content-Type", "application/json").header("X-Two", "a").header("X-Two", "b");
        let body = documented_output().to_string();
        let answer = send(request.body(body.clone())).await;
        let shown = s.get(&format!("{PATH}/{id}")).await.expect(200);
        assert_eq!(shown["id"], id);
        assert_eq!(shown["at"], "2019-11-25T12:53:02.741Z");
        assert_eq!((&shown["method"], &shown["path"]), (&json!("POST"), &json!(OUTPUTS)));
        assert_eq!((&shown["query"], &shown["status"]), (&json!("include=user"), &json!(201)));
        assert_eq!(shown["fault"], Value::Null);
        assert!(shown["duration_ms"].as_u64().unwrap() < 30_000);
        let sent = &shown["request"];
        assert_eq!(sent["headers"]["authorization"], "[redacted]; user=50505");
        assert_eq!(
            (&sent["headers"]["content-type"], &sent["headers"]["x-two"]),
            (&json!("application/json"), &json!("a, b"))
        );
        assert_eq!((&sent["body"], &sent["body_size"]), (&json!(body), &json!(body.len())));
        assert_eq!(sent["body_is_cut"], false);
        let answered = &shown["response"];
        assert_eq!(answered["headers"]["location"], s.url("/api/concierge_request_outputs/32323"));
        assert_eq!((&answered["body"], &answered["body_size"]), (&json!(answer.text), &json!(answer.text.len())));
        assert_eq!(logged(s, "").await, [shown]);
    })
    .await;
}

#[tokio::test]
async fn only_calls_to_the_api_are_logged() {
    account(async |s| {
        for path in ["/api/users", "/api/nowhere", "/api/users/1", "/_sandbox/events", "/receipts/x", "/nowhere", PATH]
        {
            s.get(path).await;
        }
        send(s.request(Method::PUT, "/api/users")).await.assert_error(405, "method_not_allowed", "");
        let found = logged(s, "").await;
        let shown: Vec<(&str, &str, u64)> = found
            .iter()
            .map(|exchange| {
                let text = |name: &str| exchange[name].as_str().unwrap();
                (text("method"), text("path"), exchange["status"].as_u64().unwrap())
            })
            .collect();
        let expected = [
            ("PUT", "/api/users", 405),
            ("GET", "/api/users/1", 404),
            ("GET", "/api/nowhere", 404),
            ("GET", "/api/users", 200),
        ];
        assert_eq!(shown, expected, "the newest first");
        let meta = &s.get(&format!("{PATH}?page[size]=1")).await.expect(200)["meta"];
        assert_eq!(meta, &json!({"total": 4, "kept": 4, "kept_by": "this server, in memory"}));
    })
    .await;
}

#[tokio::test]
async fn log_is_separate_per_account_and_omits_unknown_keys() {
    sandbox(async |s| {
        s.second_account("another_key").await;
        let with_key = |key: &'static str, method: Method, path: &str| {
            send(s.client.request(method, s.url(path)).header("Authorization", key))
        };
        with_key("nope", Method::GET, "/api/users").await.assert_error(401, "invalid_api_key", "Authorization");
        send(s.client.get(s.url("/api/users"))).await.assert_error(401, "invalid_api_key", "Authorization");
        send(s.client.get(s.url("/api/concierge_ports"))).await.expect(200);
        assert_eq!(logged(s, "").await, [] as [Value; 0]);
        with_key("another_key", Method::GET, "/api/users").await.expect(200);
        with_key("your_read_only_api_key", Method::GET, "/api/users/me").await.expect(200);
        // refused, but the key behind the scheme identifies the account
        let refused = with_key("bearer your_api_key; user=1", Method::GET, "/api/webhooks").await;
        refused.assert_error(401, "invalid_api_key", "Authorization");
        assert_eq!(paths(s, "").await, ["/api/webhooks", "/api/users/me"]);
        let other = with_key("another_key", Method::GET, PATH).await.expect(200);
        assert_eq!(other["data"].as_array().unwrap().len(), 1);
        let id = other["data"][0]["id"].as_str().unwrap();
        s.get(&format!("{PATH}/{id}")).await.assert_error(404, "resource_not_found", "");
        // deleting the log requires a write key
        let refused = with_key("your_read_only_api_key", Method::DELETE, PATH).await;
        refused.assert_error(401, "not_enough_permissions", "Authorization");
        with_key("nope", Method::GET, PATH).await.assert_error(401, "invalid_api_key", "Authorization");
        s.delete(PATH).await.expect(204);
        assert_eq!(paths(s, "").await, [""; 0]);
        with_key("another_key", Method::GET, &format!("{PATH}/{id}")).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn filters_select_matching_exchanges() {
    sandbox(async |s| {
        s.get("/api/users/me").await.expect(200);
        s.advance(Duration::from_secs(1)).await;
        let created = s.post("/api/users", &json!({"data": {"type": "users"}})).await;
        let second = created.headers["x-request-id"].to_str().unwrap().to_owned();
        s.advance(Duration::from_secs(1)).await;
        s.get("/api/users/20202").await.expect(200);
        s.get("/api/users/7").await.assert_error(404, "resource_not_found", "");
        let (me, users, payee, other) = ("/api/users/me", "/api/users", "/api/users/20202", "/api/users/7");
        for (query, expected) in [
            ("", &[other, payee, users, me][..]),
            ("filter[method]=GET", &[other, payee, me]),
            ("filter[method]=POST,PATCH", &[users]),
            ("filter[method]=DELETE", &[]),
            ("filter[path]=/api/users", &[users]),
            ("filter[path]=/api/users/*", &[other, payee, me]),
            ("filter[path]=/api/**", &[other, payee, users, me]),
            ("filter[path]=/api/outputs", &[]),
            ("filter[status]=200", &[payee, me]),
            ("filter[status]=4xx,201", &[other, users]),
            ("filter[status]=none", &[]),
            ("filter[since]=2019-11-25T12:53:03.741Z", &[other, payee, users]),
            ("filter[since]=2019-11-25T14:53:04.741%2B02:00", &[other, payee]),
            ("filter[since]=2030-01-01T00:00:00Z", &[]),
            (&format!("filter[since]={second}"), &[other, payee]),
            ("page[size]=2", &[other, payee]),
            ("filter[method]=GET&filter[status]=2xx&page[size]=1", &[payee]),
        ] {
            assert_eq!(paths(s, query).await, expected, "{query}");
        }
        for (query, code, parameter) in [
            ("filter[method]=get", "parameter_invalid", "filter[method]"),
            ("filter[method]=", "parameter_invalid", "filter[method]"),
            ("filter[path]=users", "parameter_invalid", "filter[path]"),
            ("filter[status]=600", "parameter_invalid", "filter[status]"),
            ("filter[status]=20", "parameter_invalid", "filter[status]"),
            ("filter[status]=2x", "parameter_invalid", "filter[status]"),
            ("filter[status]=é", "parameter_invalid", "filter[status]"),
            ("filter[status]=200,", "parameter_invalid", "filter[status]"),
            ("filter[since]=yesterday", "parameter_invalid", "filter[since]"),
            ("filter[since]=1", "parameter_invalid", "filter[since]"),
            // an unknown request has no known successors
            ("filter[since]=0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "parameter_invalid", "filter[since]"),
            ("page[size]=0", "parameter_invalid", "page[size]"),
            ("page[size]=1001", "parameter_invalid", "page[size]"),
            ("page[size]=%2B1", "parameter_invalid", "page[size]"),
            ("page[number]=0", "parameter_invalid", "page[number]"),
            ("page[after]=0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "parameter_invalid", "page[after]"),
            ("filter[id]=1", "filter_unknown", "filter[id]"),
            ("filter[status]=200&filter[status]=201", "parameter_invalid", "filter[status]"),
            ("sort=id", "parameter_unknown", "sort"),
        ] {
            s.get(&format!("{PATH}?{query}")).await.assert_error(400, code, parameter);
        }
        for id in ["x", "%ff", "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"] {
            s.get(&format!("{PATH}/{id}")).await.assert_error(404, "resource_not_found", "");
        }
    })
    .await;
}

#[tokio::test]
async fn long_bodies_are_cut_and_marked() {
    account(async |s| {
        // the cut falls inside a character
        let text = format!("{}é{}", "x".repeat(KEPT - 1), "y".repeat(3 << 20));
        s.post_text(OUTPUTS, text.clone()).await.assert_error(413, "body_too_large", "");
        s.post_text(OUTPUTS, text[..KEPT - 1].to_owned()).await.assert_error(400, "json_invalid", "");
        let mut bytes = vec![b'x'; KEPT];
        bytes[17] = 0xff;
        s.post_text(OUTPUTS, bytes).await.assert_error(400, "json_invalid", "");
        let found = logged(s, "").await;
        let request = |place: usize| &found[place]["request"];
        assert_eq!((&request(2)["body_size"], &request(2)["body_is_cut"]), (&json!(text.len()), &json!(true)));
        assert_eq!(request(2)["body"], text[..KEPT - 1]);
        assert_eq!((&request(1)["body_size"], &request(1)["body_is_cut"]), (&json!(KEPT - 1), &json!(false)));
        assert_eq!(request(0)["body"].as_str().unwrap().replace('\u{fffd}', "x"), "x".repeat(KEPT));
        s.delete(PATH).await.expect(204);
        // long answers are cut, too
        let instruction = json!({"data": {"type": "withdrawal_instructions",
            "attributes": {"body": {"bank": "x".repeat(2 * KEPT)}}}});
        s.create("/api/withdrawal_instructions", &instruction).await;
        let answer = s.get("/api/withdrawal_instructions").await;
        let response = &logged(s, "page[size]=1").await[0]["response"];
        assert!(answer.text.len() > KEPT);
        assert_eq!((&response["body_size"], &response["body_is_cut"]), (&json!(answer.text.len()), &json!(true)));
        assert_eq!(response["body"], answer.text[..KEPT]);
    })
    .await;
}

#[tokio::test]
async fn secrets_are_never_shown() {
    sandbox(async |s| {
        let body = r#"{"data":{"type":"users","attributes":{"email":"a@example.com","password":"s3cret"}}}"#;
        let request = s.request(Method::POST, "/api/users").header("Content-Type", "application/json");
        let request = request.header("Cookie", "s3cret").header("One-Time-Password", "s3cret");
        send(request.header("Proxy-Authorization", "s3cret").body(body)).await.expect(201);
        for key in ["s3cret", "s3cret; user=1", "your_api_key; s3cret", "Bearer your_api_key"] {
            send(s.client.get(s.url("/api/users")).header("Authorization", key)).await;
        }
        s.get("/api/users?pass%77ord=s3cret&page[size]=0").await.expect(400);
        let shown = s.get(PATH).await;
        assert!(!shown.text.contains("s3cret") && !shown.text.contains("your_api_key"), "{}", shown.text);
        assert_eq!(shown.body["data"][0]["query"], "pass%77ord=[redacted]&page[size]=0");
        assert_eq!(shown.body["data"][3]["request"]["body"], body.replace("s3cret", "[redacted]"));
        assert_eq!(shown.body["data"][1]["request"]["headers"]["authorization"], "[redacted]");
    })
    .await;
}

#[tokio::test]
async fn injected_fault_is_shown_with_its_exchange() {
    sandbox(async |s| {
        let document = documented_output().to_string();
        for (fault, status) in [
            (json!({"path": OUTPUTS, "status": 503}), Some(503)),
            (json!({"path": OUTPUTS, "close": "before"}), None),
            (json!({"path": OUTPUTS, "reset": "after"}), None),
            (json!({"path": OUTPUTS, "close": "after"}), None),
            (json!({"path": OUTPUTS, "truncate": true, "latency": "1ms"}), Some(201)),
        ] {
            put_fault(s, &fault).await;
            let mut wire = Wire::open(s.server().address).await;
            wire.post(OUTPUTS, &format!("Connection: close\r\nContent-Length: {}", document.len())).await;
            wire.send(&document).await;
            wire.rest().await;
            let shown = &logged(s, "page[size]=1").await[0];
            assert_eq!((&shown["fault"], &shown["status"]), (&fault, &json!(status)), "{shown}");
            assert_eq!(shown["request"]["body"], document);
            assert_eq!(shown["response"].is_null(), status.is_none());
        }
        assert_eq!(logged(s, "filter[status]=none").await.len(), 3);
        assert_eq!(logged(s, "filter[status]=2xx").await.len(), 1);
        // truncation of an answer without body sends nothing
        put_fault(s, &json!({"path": "/api/**", "truncate": true})).await;
        let mut wire = Wire::open(s.server().address).await;
        wire.send("HEAD /api/users/me HTTP/1.1\r\nHost: x\r\nAuthorization: your_api_key\r\n\r\n").await;
        wire.rest().await;
        assert_eq!(logged(s, "page[size]=1").await[0]["status"], Value::Null);
        let preferring = s.request(Method::GET, "/api/users").header("Prefer", "code=502");
        send(preferring).await.assert_error(502, "fault_injected", "");
        assert_eq!(logged(s, "page[size]=1").await[0]["fault"], json!({"prefer": "code=502"}));
    })
    .await;
}

#[tokio::test]
async fn exchange_of_an_early_disconnect_has_no_response() {
    sandbox(async |s| {
        put_fault(s, &json!({"path": "/api/users/me", "latency": "60s"})).await;
        let mut wire = Wire::open(s.server().address).await;
        wire.send("GET /api/users/me HTTP/1.1\r\nHost: x\r\nAuthorization: your_api_key\r\n\r\n").await;
        within(async { while s.get("/_sandbox/faults").await.expect(200)["data"][0]["hits"] == 0 {} }).await;
        assert_eq!(logged(s, "").await, [] as [Value; 0]);
        drop(wire);
        let mut found = Vec::new();
        within(async {
            while found.is_empty() {
                found = logged(s, "").await;
            }
        })
        .await;
        assert_eq!((&found[0]["status"], &found[0]["response"]), (&Value::Null, &Value::Null));
        assert_eq!(found[0]["fault"]["latency"], "1m");
    })
    .await;
}

#[tokio::test]
async fn log_keeps_the_last_thousand_exchanges_of_an_account() {
    account(async |s| {
        for _ in 0..101 {
            futures_util::future::join_all((0..10).map(|id| s.get(["/api/users", "/api/webhooks"][id % 2]))).await;
        }
        s.get("/api/users/me").await.expect(200);
        let shown = s.get(&format!("{PATH}?page[size]=1000")).await.expect(200);
        assert_eq!((&shown["meta"]["kept"], &shown["data"][0]["path"]), (&json!(1000), &json!("/api/users/me")));
    })
    .await;
}

fn exchange(body: usize) -> Exchange {
    Exchange {
        id: Arc::from("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
        at: time::OffsetDateTime::UNIX_EPOCH,
        method: HttpMethod::GET,
        path: "/api/users".into(),
        query: None,
        request: Message { body: vec![0; body].into(), body_size: body, ..Message::default() },
        response: Some((200, Message::default())),
        duration: Duration::ZERO,
        fault: None,
    }
}

const OBSERVED: Observed<'_> = Observed { key_sha256: &[0; 32], has_scheme: false, remarks: &[] };

proptest! {
    /// Checks the bounds of the log for any input from any number of accounts.
    /// The first exchange of an account is always its newest.
    #[test]
    fn log_stays_within_its_bounds(sent in prop::collection::vec((0..6_i64, 0..4000_usize, prop::bool::weighted(0.02)), 1..200)) {
        let limits = LogLimits { exchanges: 10, bytes: 40_000, accounts: 4 };
        let log = RequestLog::new(limits);
        let mut last = std::collections::BTreeMap::new();
        for (account, size, clears) in sent {
            if clears {
                log.forget(account);
                prop_assert!(log.exchanges(account).is_empty());
                continue;
            }
            log.record(account, log.arrive(), exchange(size), &OBSERVED);
            last.insert(account, size);
            let kept: Vec<_> = (0..6).map(|account| log.exchanges(account)).collect();
            let weight: usize = kept.iter().flatten().map(|(_, exchange)| exchange.weight()).sum();
            prop_assert_eq!(weight, log.bytes());
            prop_assert!(weight <= limits.bytes);
            prop_assert!(kept.iter().all(|exchanges| exchanges.len() <= limits.exchanges));
            prop_assert!(kept.iter().filter(|exchanges| !exchanges.is_empty()).count() <= limits.accounts);
            prop_assert_eq!(kept[usize::try_from(account).unwrap()][0].1.request.body_size, size);
        }
    }
}
