//! The whole life of a payout: from a draft to money received, every arrow of both state machines.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Sandbox, documented_output};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_payout_goes_from_a_draft_to_money_received() {
    let sandbox = Sandbox::start().await;
    let output = sandbox.create_output().await;
    sandbox.advance(SECOND).await;
    assert_eq!(sandbox.state_of(&output).await, "accepted");
    let asked = sandbox.act("1010", "request_quote").await.expect(200);
    let asked = &asked["data"]["attributes"];
    assert_eq!(asked["state"], "quote_requested");
    assert_eq!(asked["total_to_spend"], Value::Null);
    assert_eq!(asked["quote_requested_at"], "2019-11-25T12:53:03.741Z");
    assert_eq!(asked["eta"], asked["quote_requested_at"], "Argentina and Chile are quoted at once");
    assert_eq!(asked["accept_quote_before"], "2019-11-25T13:03:03.741Z");
    assert_eq!(asked["provision_funds_before"], "2019-11-26T01:03:03.741Z");
    sandbox.tick().await;
    let quoted = sandbox.attributes_of("1010").await;
    assert_eq!(quoted["state"], "quoted");
    let shown = sandbox.get(&format!("/api/concierge_request_outputs/{output}")).await.expect(200);
    assert_eq!(quoted["total_to_spend"], shown["data"]["attributes"]["budget"]);
    assert_eq!(quoted["amount"], quoted["total_to_spend"]);
    assert_eq!(shown["data"]["attributes"]["amount"], 1000);
    let accepted = sandbox.act("1010", "accept_quote").await.expect(200);
    assert_eq!(accepted["data"]["attributes"]["state"], "quote_accepted");
    assert_eq!(accepted["data"]["attributes"]["quote_accepted_at"], "2019-11-25T12:53:03.742Z");
    sandbox.tick().await;
    assert_eq!(sandbox.attributes_of("1010").await["state"], "working");
    for state in ["working", "settling", "settled"] {
        sandbox.advance(SECOND).await;
        assert_eq!(sandbox.state_of(&output).await, state);
    }
    let finished = sandbox.attributes_of("1010").await;
    assert_eq!(finished["state"], "finished");
    assert_eq!(finished["outputs_settled"], json!(1));
    assert!(finished["receipt_url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{finished}");
    assert_eq!(finished["credit_note_url"], Value::Null);
    assert_eq!(documented_output()["data"]["attributes"]["amount"], 1000);
    sandbox.stop().await;
}
