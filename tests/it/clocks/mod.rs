//! The clock of an account: frozen, running and advanced.
//! An advance runs every timer on its path.

mod advancing;
mod bad_input;
mod equivalence;
mod handlers;
mod load;
mod many_timers;
mod reproducibility;

use serde_json::{Value, json};

use crate::support::Account;

const CLOCK: &str = "/_sandbox/clock";
const ADVANCE: &str = "/_sandbox/clock/advance";
const OUTPUTS: &str = "/api/concierge_request_outputs";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const DOWN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\ndown";

/// Creates an account with a frozen clock at the start instant of all tests.
async fn frozen_account(sandbox: &Account) -> Account {
    sandbox.account(json!({"clock": {"now": "2019-11-25T12:53:02.741Z"}})).await
}

/// Shortens each entry of `happened` to its time and event type, with the number and status of an attempt.
fn happened(answer: &Value) -> Vec<String> {
    let short = |happened: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (at, event) = (text(&happened["at"]), text(&happened["event"]["event_type"]));
        let attempt = &happened["attempt"];
        let attempt =
            if attempt.is_null() { String::new() } else { format!(" #{} {}", attempt["number"], attempt["status"]) };
        format!("{} {}{attempt}", &at[11..23], event.strip_prefix("concierge_").unwrap_or(&event))
    };
    answer["happened"].as_array().unwrap().iter().map(short).collect()
}

/// Creates a draft with one output; returns the ids of both.
async fn draft_with_output(account: &Account, port: &str) -> (String, String) {
    let draft = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
    let draft = account.create("/api/concierge_requests", &draft).await;
    let mut document = crate::support::documented_output();
    document["data"]["attributes"]["port_code"] = json!(port);
    document["data"]["relationships"]["request"]["data"]["id"] = json!(draft);
    let output = account.create(OUTPUTS, &document).await;
    (draft, output)
}
