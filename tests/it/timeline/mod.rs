//! Timelines: past transitions, causes, deliveries, and the next step.

mod history;
mod next;
mod outlook;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Account;

const SECOND: Duration = Duration::from_secs(1);

const OUTPUTS: &str = "concierge_request_outputs";

const REQUESTS: &str = "concierge_requests";

async fn timeline(account: &Account, type_name: &str, id: &str) -> Value {
    let answer = account.get(&format!("/_sandbox/timeline/{type_name}/{id}")).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let timeline = answer.expect(200);
    assert_eq!(timeline["resource"], json!({"type": type_name, "id": id}));
    assert_eq!(timeline["left_off"], false);
    timeline
}

/// Lists the transitions of a timeline: from, to, trigger.
fn path_of(timeline: &Value) -> Vec<(&str, &str, &str)> {
    let steps = timeline["transitions"].as_array().unwrap().iter();
    steps
        .map(|step| {
            let text = |member: &str| step[member].as_str().unwrap_or_default();
            (text("from"), text("to"), text("trigger"))
        })
        .collect()
}
