//! The same calls on a fresh account with a frozen clock give the same answers, byte for byte.

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{ADVANCE, OK, OUTPUTS};
use crate::support::{Account, Receiver, documented_output, program, send};

/// Records every call with its answer.
struct Session {
    account: Account,
    answers: Vec<String>,
}

impl Session {
    async fn call(&mut self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.account.request(method.clone(), path);
        if let Some(body) = &body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = send(request).await;
        let mut headers: Vec<String> = answer
            .headers
            .iter()
            .filter(|(name, _)| *name != "date")
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort();
        self.answers.push(format!("{method} {path}\n{} {headers:?}\n{}", answer.status, answer.text));
        answer.body
    }

    async fn get(&mut self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    async fn post(&mut self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, Some(body)).await
    }
}

/// Runs a long session through all resources; returns its calls and answers.
async fn run_session(account: Account, url: &str) -> Vec<String> {
    let mut session = Session { account, answers: Vec::new() };
    let master = json!({"data": {"type": "users", "attributes": {"webhook_url": url}}});
    session.call(Method::PATCH, "/api/users/me", Some(master)).await;
    session.get("/_sandbox/clock").await;
    session.get("/_sandbox/settings").await;
    for label in ["", "sandbox:failed", "sandbox:failed|settled", "sandbox:returned", "sandbox:rejected"] {
        let user = session.post("/api/users", json!({"data": {"type": "users"}})).await;
        let user = user["data"]["id"].clone();
        let instruction = json!({"data": {"type": "withdrawal_instructions",
            "attributes": {"label": label, "body": {"bank": "x"}},
            "relationships": {"user": {"data": {"type": "users", "id": user}}}}});
        let instruction = session.post("/api/withdrawal_instructions", instruction).await;
        let mut document = documented_output();
        document["data"]["relationships"]["user"]["data"]["id"] = user;
        document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = instruction["data"]["id"].clone();
        session.post(OUTPUTS, document).await;
    }
    // refusals are the same, too; the next output gets the unused id
    session.post(OUTPUTS, json!({"data": {"type": "concierge_request_outputs"}})).await;
    let mut nowhere = documented_output();
    nowhere["data"]["relationships"]["request"]["data"]["id"] = json!("77");
    session.post(OUTPUTS, nowhere).await;
    session.post(OUTPUTS, documented_output()).await;
    session.post("/_sandbox/settle", json!({})).await;
    let outputs = json!([{"port_code": "cl_clp", "amount": 1000}, {"port_code": "cl_clp", "amount": 1000},
        {"port_code": "cl_clp", "amount": 1000}, {"port_code": "cl_clp", "amount": 1000},
        {"port_code": "cl_clp", "amount": 1000}, {"port_code": "cl_clp", "amount": 1000}]);
    let estimate = json!({"data": {"type": "concierge_estimates",
        "attributes": {"port_code": "ar_ars", "outputs": outputs}}});
    let estimate = session.post("/api/concierge_estimates", estimate).await;
    let token = estimate["data"]["attributes"]["hint_token"].clone();
    let hint = json!({"data": {"attributes": {"hint_token": token}}});
    session.post("/api/concierge_requests/1010/request_quote", hint).await;
    session.post(ADVANCE, json!({"by": "PT1M"})).await;
    session.post("/api/concierge_requests/1010/accept_quote", json!({})).await;
    session.post("/_sandbox/settle", json!({})).await;
    let request = session.get("/api/concierge_requests/1010?include=user").await;
    let receipt = request["data"]["attributes"]["receipt_url"].as_str().unwrap().to_owned();
    let path = &receipt[receipt.find("/receipts").unwrap()..];
    session.get(path).await;
    session.post("/_sandbox/events/trigger", json!({"event_type": "user_disabled"})).await;
    session.post(ADVANCE, json!({"by": "P6D"})).await;
    session.post("/_sandbox/events/recover", json!({})).await;
    session.post("/_sandbox/settle", json!({})).await;
    for path in [
        "/_sandbox/clock",
        "/api/users?page[size]=1000",
        "/api/withdrawal_instructions",
        "/api/cash_wallets",
        "/api/concierge_requests?include=user",
        "/api/concierge_request_outputs?sort=-id",
        "/_sandbox/events?page[size]=1000",
        "/_sandbox/timeline/concierge_requests/1010",
        "/_sandbox/timeline/concierge_request_outputs/32324",
        "/_sandbox/timeline/users/50506",
        "/api/nothing",
    ] {
        session.get(path).await;
    }
    session.answers
}

#[tokio::test]
async fn same_calls_on_a_fresh_account_give_the_same_answers() {
    program(&[], async |server| {
        // decides by the event alone, so every session gets the same answers
        let receiver = Receiver::deciding(|call| {
            let body = String::from_utf8_lossy(&call.body);
            let is_refused = body.contains(r#""event_type":"user_"#) || body.contains("_finished");
            if is_refused { super::DOWN.into() } else { OK.into() }
        })
        .await;
        let initial = json!({"clock": {"now": "2030-01-01T00:00:00Z"}});
        let mut sessions = Vec::new();
        let mut key = None;
        for _ in 0..2 {
            let mut body = initial.clone();
            if let Some(key) = &key {
                body["key"] = json!(key);
            }
            let account = Account::make(&server.base, &body).await;
            key = Some(account.key.clone());
            sessions.push(run_session(account.at(&server.base), &receiver.url()).await);
            // the third session starts with a reset instead of a new account
            if sessions.len() == 2 {
                account.post("/_sandbox/reset", &initial).await.expect(204);
                sessions.push(run_session(account.at(&server.base), &receiver.url()).await);
            }
            account.delete("/_sandbox/accounts/me").await.expect(204);
        }
        assert!(sessions[0].len() > 40);
        for other in &sessions[1..] {
            for (first, other) in sessions[0].iter().zip(other) {
                assert_eq!(first, other);
            }
            assert_eq!(sessions[0].len(), other.len());
        }
        // not `stop`, which fails on warnings: the log warns of abandoned deliveries
        server.signal(Signal::TERM);
        assert!(server.ended().await.status.success());
    })
    .await;
}
