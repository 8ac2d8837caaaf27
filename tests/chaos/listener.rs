//! The receiver of all events of a scenario. It refuses some of them at first.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A call to the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Key of the account.
    pub key: String,
    pub event: i64,
    pub event_type: String,
    /// Type and id of the resource.
    pub resource: (String, i64),
    /// The answer was 200.
    pub is_accepted: bool,
}

#[derive(Default)]
struct Calls {
    heard: Vec<Heard>,
    /// Number of calls with each event.
    tries: HashMap<(String, i64), u32>,
}

/// A receiver on loopback, gone when it is dropped.
pub struct Listener {
    port: u16,
    calls: Arc<Mutex<Calls>>,
    serving: JoinHandle<()>,
}

impl Listener {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls = Arc::<Mutex<Calls>>::default();
        let router = axum::Router::new().route("/{key}", post(hear)).with_state(Arc::clone(&calls));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, calls, serving }
    }

    /// Returns the URL for the events of an account.
    pub fn url(&self, key: &str) -> String {
        format!("http://127.0.0.1:{}/{key}", self.port)
    }

    /// Returns all calls so far, in the order of their answers.
    pub fn heard(&self) -> Vec<Heard> {
        self.calls.lock().heard.clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn hear(State(calls): State<Arc<Mutex<Calls>>>, Path(key): Path<String>, body: Bytes) -> StatusCode {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
    let (event, resource) = (number(&body["data"]["id"]), &body["data"]["relationships"]["resource"]["data"]);
    // some answers are late, so that a killed server has deliveries under way
    if event % 16 == 5 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut calls = calls.lock();
    let tries = calls.tries.entry((key.clone(), event)).or_default();
    *tries += 1;
    let is_accepted = *tries > refusals(event);
    calls.heard.push(Heard {
        key,
        event,
        event_type: body["data"]["attributes"]["event_type"].as_str().unwrap_or_default().to_owned(),
        resource: (resource["type"].as_str().unwrap_or_default().to_owned(), number(&resource["id"])),
        is_accepted,
    });
    if is_accepted { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }
}

/// Returns how often an event is refused: one in ten once, one in fifty twice.
const fn refusals(event: i64) -> u32 {
    match event % 50 {
        7 => 2,
        number if number % 10 == 3 => 1,
        _ => 0,
    }
}
