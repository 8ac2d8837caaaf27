//! Faults: what is told to go wrong goes wrong, as often as it was told to, and nothing else does.

mod acting;
mod connections;
mod listing;
mod patterns;
mod prefer;
mod sharing;
mod webhooks;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Sandbox, send};

const PATH: &str = "/_sandbox/faults";
const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Sends a list of faults.
async fn put(sandbox: &Sandbox, faults: &Value) -> Answer {
    put_text(sandbox, json!({ "faults": faults }).to_string()).await
}

async fn put_text(sandbox: &Sandbox, body: impl Into<reqwest::Body>) -> Answer {
    send(sandbox.request(Method::PUT, PATH).header("Content-Type", "application/json").body(body)).await
}

/// The faults as they are shown.
async fn shown(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.get(PATH).await.expect(200)["faults"].as_array().unwrap().clone()
}

/// How often each fault acted.
async fn hits(sandbox: &Sandbox) -> Vec<i64> {
    shown(sandbox).await.iter().map(|fault| fault["hits"].as_i64().unwrap()).collect()
}

/// The statuses of as many requests.
async fn statuses(sandbox: &Sandbox, count: usize, path: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(sandbox.get(path).await.status);
    }
    statuses
}

async fn with_key(sandbox: &Sandbox, key: &str, method: Method, path: &str) -> Answer {
    send(sandbox.client.request(method, sandbox.url(path)).header("Authorization", key)).await
}
