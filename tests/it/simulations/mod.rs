//! Transitions and balances set by a test: `/_sandbox/simulations`.

mod money;
mod paths;
mod steps;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, Answer, send};

const OUTPUTS: &str = "concierge_request_outputs";

const REQUESTS: &str = "concierge_requests";

/// Stops automatic steps in an account.
async fn manual(account: &Account) {
    account.patch("/_sandbox/settings", &json!({"progression": "manual"})).await.expect(200);
}

async fn simulate(account: &Account, resource: &str, id: &str, verb: &str) -> Answer {
    send(account.request(Method::POST, &format!("/_sandbox/simulations/{resource}/{id}/{verb}"))).await
}

async fn simulate_with(account: &Account, resource: &str, id: &str, verb: &str, body: &Value) -> Answer {
    account.post(&format!("/_sandbox/simulations/{resource}/{id}/{verb}"), body).await
}

/// Reads the state in an answer.
#[track_caller]
fn state(answer: Answer) -> String {
    answer.expect(200)["data"]["attributes"]["state"].as_str().unwrap().to_owned()
}

/// Moves request 1010 to `working`, in which its outputs are paid.
async fn set_to_work(account: &Account) {
    let to = json!({"state": "working", "through": true});
    assert_eq!(state(simulate_with(account, REQUESTS, "1010", "transition", &to).await), "working");
}

/// Lists the event types of a resource, oldest first.
async fn event_types(account: &Account, resource: &str) -> Vec<String> {
    let events = account.get(&format!("/_sandbox/events?filter[resource]={resource}")).await.expect(200);
    let events = events["data"].as_array().unwrap();
    events.iter().map(|event| event["attributes"]["event_type"].as_str().unwrap().to_owned()).collect()
}

async fn balance(account: &Account, currency: &str) -> Value {
    let wallet = account.get(&format!("/api/cash_wallets/{currency}")).await.expect(200);
    wallet["data"]["attributes"]["balance"].clone()
}

/// Adds 2500 accepted outputs to request 1010, as copies of its first one.
async fn add_many(account: &Account) {
    let output = account.create_output().await;
    assert_eq!(output, "32323");
    account
        .sql(
            "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id, port_code,
                amount, state, created_at, state_since)
            select account_id, 40000 + n, request_id, user_id, withdrawal_instruction_id, port_code, 1, 'accepted', created_at,
                created_at
            from concierge_request_outputs, generate_series(1, 2500) n;
            insert into events (account_id, id, event_type, resource_type, resource_id, created_at, cause)
            select account_id, row_number() over () + 1, 'concierge_request_output_accepted', 'concierge_request_outputs', id,
                created_at, 'request'
            from concierge_request_outputs where id > 40000;
            update id_counters set next_id = 2502 where type = 'events'",
        )
        .await;
}
