//! The life of a payout, from draft to settled, with every transition of both state machines.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Account, account, documented_output};

mod actions;
mod deadlines;
mod hints;
mod interplay;
mod large_requests;
mod money;
mod sharing;
mod transitions;
mod waiting;

const SECOND: Duration = Duration::from_secs(1);
const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Creates a draft of the master user, from a port.
pub async fn draft(account: &Account, port: &str) -> String {
    let document = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": port}}});
    account.create("/api/concierge_requests", &document).await
}

/// Creates an output for user 20202, with an instruction of the given label.
pub async fn pay(account: &Account, request: &str, label: &str, attributes: Value) -> String {
    let instruction = json!({"data": {"type": "withdrawal_instructions",
        "attributes": {"label": label, "body": {"bank": "x"}},
        "relationships": {"user": {"data": {"type": "users", "id": 20202}}}}});
    let instruction = account.create("/api/withdrawal_instructions", &instruction).await;
    let mut document = documented_output();
    document["data"]["attributes"] = attributes;
    document["data"]["relationships"]["request"]["data"]["id"] = json!(request);
    document["data"]["relationships"]["withdrawal_instruction"]["data"]["id"] = json!(instruction);
    account.create(OUTPUTS, &document).await
}

/// Returns the attributes of an output of 1000 CLP.
pub fn thousand() -> Value {
    json!({"port_code": "cl_clp", "amount": 1000})
}

/// Gets a request quoted, accepted and funded.
pub async fn set_to_work(account: &Account, request: &str) {
    for action in ["request_quote", "accept_quote"] {
        account.act(request, action).await.expect(200);
        account.tick().await;
    }
    assert_eq!(account.attributes_of(request).await["state"], "working");
}

/// Reads the attributes of an output.
async fn output(account: &Account, id: &str) -> Value {
    account.get(&format!("{OUTPUTS}/{id}")).await.expect(200)["data"]["attributes"].clone()
}

#[tokio::test]
async fn payout_goes_from_draft_to_settled() {
    account(async |s| {
        let output = s.create_output().await;
        s.advance(SECOND).await;
        assert_eq!(s.state_of(&output).await, "accepted");
        let asked = s.act("1010", "request_quote").await.expect(200);
        let asked = &asked["data"]["attributes"];
        assert_eq!(asked["state"], "quote_requested");
        assert_eq!(asked["total_to_spend"], Value::Null);
        assert_eq!(asked["quote_requested_at"], "2019-11-25T12:53:03.741Z");
        assert_eq!(asked["eta"], asked["quote_requested_at"], "Argentina and Chile are quoted at once");
        assert_eq!(asked["accept_quote_before"], "2019-11-25T13:03:03.741Z");
        assert_eq!(asked["provision_funds_before"], "2019-11-26T01:03:03.741Z");
        s.tick().await;
        let quoted = s.attributes_of("1010").await;
        assert_eq!(quoted["state"], "quoted");
        let shown = s.get(&format!("/api/concierge_request_outputs/{output}")).await.expect(200);
        assert_eq!(quoted["total_to_spend"], shown["data"]["attributes"]["budget"]);
        assert_eq!(quoted["amount"], quoted["total_to_spend"]);
        assert_eq!(shown["data"]["attributes"]["amount"], 1000);
        let accepted = s.act("1010", "accept_quote").await.expect(200);
        assert_eq!(accepted["data"]["attributes"]["state"], "quote_accepted");
        assert_eq!(accepted["data"]["attributes"]["quote_accepted_at"], "2019-11-25T12:53:03.742Z");
        s.tick().await;
        assert_eq!(s.attributes_of("1010").await["state"], "working");
        for state in ["working", "settling", "settled"] {
            s.advance(SECOND).await;
            assert_eq!(s.state_of(&output).await, state);
        }
        let finished = s.attributes_of("1010").await;
        assert_eq!(finished["state"], "finished");
        assert_eq!(finished["outputs_settled"], json!(1));
        assert!(finished["receipt_url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{finished}");
        assert_eq!(finished["credit_note_url"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn label_decides_how_a_payment_ends() {
    account(async |s| {
        // label, and the state at each second after funding
        let paths: [(&str, &[&str]); 9] = [
            (
                "sandbox:failed",
                &[
                    "working", "settling", "failed", "working", "settling", "failed", "working", "settling", "failed",
                    "returned",
                ],
            ),
            ("sandbox:failed|settled", &["working", "settling", "failed", "working", "settling", "settled"]),
            ("sandbox:failed|settled#order-7", &["working", "settling", "failed", "working", "settling", "settled"]),
            ("sandbox:returned", &["working", "settling", "failed", "returned"]),
            ("sandbox:stuck", &["working", "settling", "settling"]),
            ("sandbox:cancelled", &["working", "cancelled"]),
            ("sandbox:unheard_of", &["working", "settling", "settled"]),
            (" sandbox:failed", &["working", "settling", "settled"]),
            ("", &["working", "settling", "settled"]),
        ];
        let mut outputs = Vec::new();
        for (label, _) in paths {
            outputs.push(pay(s, "1010", label, thousand()).await);
        }
        let rejected = pay(s, "1010", "sandbox:rejected#1", thousand()).await;
        s.advance(SECOND).await;
        assert_eq!(output(s, &rejected).await["state"], "rejected");
        let reason = &output(s, &rejected).await["rejection_reason"];
        assert_eq!(reason, "the preliminary checks failed, as the instruction's label asks");
        set_to_work(s, "1010").await;
        for second in 0..10 {
            s.advance(SECOND).await;
            for ((label, states), id) in paths.iter().zip(&outputs) {
                let shown = output(s, id).await;
                let state = states.get(second).or(states.last()).unwrap();
                assert_eq!(shown["state"], *state, "{label} after {second} s");
                let has_failed = ["failed", "returned"].contains(state);
                assert_eq!(shown["failure_reason"].is_string(), has_failed, "{label}: {shown}");
            }
        }
        // one output is stuck, so the request stays in `working`
        assert_eq!(s.attributes_of("1010").await["state"], "working");
        s.advance(Duration::from_hours(10_000)).await;
        assert_eq!(s.attributes_of("1010").await["outputs_settling"], 1);
    })
    .await;
}
