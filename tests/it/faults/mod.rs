//! Injected faults: each acts as often as configured, and on nothing else.

mod connections;
mod effects;
mod listing;
mod patterns;
mod prefer;
mod sharing;
mod webhooks;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, Answer, send};

const PATH: &str = "/_sandbox/faults";
const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Sends a list of faults.
async fn put(account: &Account, faults: &Value) -> Answer {
    put_text(account, json!({"data": faults }).to_string()).await
}

async fn put_text(account: &Account, body: impl Into<reqwest::Body>) -> Answer {
    send(account.request(Method::PUT, PATH).header("Content-Type", "application/json").body(body)).await
}

/// Returns the faults as the API shows them.
async fn shown(account: &Account) -> Vec<Value> {
    account.get(PATH).await.expect(200)["data"].as_array().unwrap().clone()
}

/// Returns the number of hits of each fault.
async fn hits(account: &Account) -> Vec<i64> {
    shown(account).await.iter().map(|fault| fault["hits"].as_i64().unwrap()).collect()
}

/// Sends `count` requests, and returns their statuses.
async fn statuses(account: &Account, count: usize, path: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(account.get(path).await.status);
    }
    statuses
}

async fn with_key(account: &Account, key: &str, method: Method, path: &str) -> Answer {
    send(account.client.request(method, account.url(path)).header("Authorization", key)).await
}
