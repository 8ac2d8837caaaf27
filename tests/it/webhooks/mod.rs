//! Delivery of events to receivers.

mod bad_receivers;
mod envelope;
mod faults;
mod isolation;
mod order;
mod outage;
mod receivers;
mod retries;
mod sharing;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{Account, Call, Receiver, START};

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
pub const DOWN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\ndown";

/// Sets the `webhook_url` of the master user.
async fn listen(account: &Account, url: &str) {
    let document = json!({"data": {"type": "users", "attributes": {"webhook_url": url}}});
    account.patch("/api/users/me", &document).await.expect(200);
}

/// Starts a receiver with this answer, and sends all events to it.
async fn start_receiver(account: &Account, answer: &str) -> Receiver {
    let receiver = Receiver::answering(answer).await;
    listen(account, &receiver.url()).await;
    receiver
}

/// Returns the body of a call.
fn body(call: &Call) -> Value {
    serde_json::from_slice(&call.body).unwrap()
}

/// Returns the id of a call's event.
fn id(call: &Call) -> String {
    body(call)["data"]["id"].as_str().unwrap().to_owned()
}

/// Returns the event types of calls, in their order.
fn types(calls: &[Call]) -> Vec<String> {
    let of = |call| body(call)["data"]["attributes"]["event_type"].as_str().unwrap().to_owned();
    calls.iter().map(of).collect()
}

/// Returns the calls about one resource.
fn about(calls: &[Call], type_name: &str, id: &str) -> Vec<Call> {
    let resource = json!({"type": type_name, "id": id});
    calls.iter().filter(|call| body(call)["data"]["relationships"]["resource"]["data"] == resource).cloned().collect()
}

/// An attempt as the API shows it, with times in milliseconds after the start.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attempt {
    at: i64,
    status: Option<i64>,
    error: Option<String>,
    response: String,
    next_at: Option<i64>,
}

/// Returns the attempts to deliver an event.
async fn attempts(account: &Account, event: &str) -> Vec<Attempt> {
    let shown = account.get(&format!("/_sandbox/events/{event}")).await.expect(200);
    let made = shown["data"]["attributes"]["attempts"].as_array().unwrap().clone();
    for (attempt, number) in made.iter().zip(1..) {
        assert_eq!(attempt["number"], number);
        assert!(attempt["duration_ms"].as_i64().is_some_and(|duration| duration >= 0), "{attempt}");
    }
    let time = |text: &Value| {
        let time = OffsetDateTime::parse(text.as_str()?, &Rfc3339).unwrap();
        Some(i64::try_from((time.unix_timestamp_nanos() - START) / 1_000_000).unwrap())
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let read = |attempt: &Value| Attempt {
        at: time(&attempt["at"]).unwrap(),
        status: attempt["status"].as_i64(),
        error: text(&attempt["error"]),
        response: text(&attempt["response"]).unwrap(),
        next_at: time(&attempt["next_attempt_at"]),
    };
    made.iter().map(read).collect()
}

/// Returns the delivery state of an event.
async fn delivery_state(account: &Account, event: &str) -> String {
    let shown = account.get(&format!("/_sandbox/events/{event}")).await.expect(200);
    shown["data"]["attributes"]["delivery_state"].as_str().unwrap().to_owned()
}
