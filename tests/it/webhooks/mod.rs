//! Events, as receivers get them.

mod envelope;

use serde_json::{Value, json};

use crate::support::{Call, Receiver, Sandbox};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Sets the `webhook_url` of the master user.
async fn listen(sandbox: &Sandbox, url: &str) {
    let document = json!({"data": {"type": "users", "attributes": {"webhook_url": url}}});
    sandbox.patch("/api/users/me", &document).await.expect(200);
}

/// A world whose events go to a receiver that gives that answer.
async fn told(answer: &str) -> (Sandbox, Receiver) {
    let (sandbox, receiver) = (Sandbox::start().await, Receiver::answering(answer).await);
    listen(&sandbox, &receiver.url()).await;
    (sandbox, receiver)
}

/// The body of a call.
fn body(call: &Call) -> Value {
    serde_json::from_slice(&call.body).unwrap()
}

/// The event types of calls, in their order.
fn types(calls: &[Call]) -> Vec<String> {
    calls.iter().map(|call| body(call)["data"]["attributes"]["event_type"].as_str().unwrap().to_owned()).collect()
}
