//! Slow receivers delay neither each other nor the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use super::{OK, listen, types};
use crate::support::{Account, Receiver, sandbox, sandbox_with, send, within};

/// Makes a user with this URL, and one instruction for each event to queue.
async fn queue(account: &Account, url: &str, events: usize) {
    let user = account.create("/api/users", &json!({"data": {"type": "users"}})).await;
    let call = |method, path: &str, document: serde_json::Value| {
        let request = account.client.request(method, account.url(path));
        let request = request.header("Authorization", format!("{}; user={user}", account.key));
        send(request.header("Content-Type", "application/json").body(document.to_string()))
    };
    let document = json!({"data": {"type": "users", "attributes": {"webhook_url": url}}});
    call(Method::PATCH, "/api/users/me", document).await.expect(200);
    for _ in 0..events {
        let document = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}}}});
        call(Method::POST, "/api/withdrawal_instructions", document).await.expect(201);
    }
}

#[tokio::test]
async fn hanging_receivers_delay_no_other_receiver() {
    sandbox_with(
        |config| config.webhook_timeout = Duration::from_mins(2),
        async |s| {
            // more than the total limit, if each receiver took its own limit
            let mut hanging = Vec::new();
            for _ in 0..12 {
                let receiver = Receiver::hanging().await;
                queue(s, &receiver.url(), 10).await;
                hanging.push(receiver);
            }
            for receiver in &mut hanging {
                receiver.call().await;
            }
            let mut healthy = Receiver::answering(OK).await;
            listen(s, &healthy.url()).await;
            for _ in 0..50 {
                s.create_output().await;
            }
            s.advance(Duration::from_secs(1)).await;
            for _ in 0..100 {
                healthy.call().await;
            }
            for receiver in &mut hanging {
                assert_eq!(receiver.calls(), [], "a hanging receiver is called one by one");
            }
        },
    )
    .await;
}

/// A receiver that holds its first call until `begin`, answers the next ones, and holds the rest until `go`.
struct Holding {
    receiver: Receiver,
    /// The most calls in progress at once.
    most: Arc<AtomicUsize>,
    begin: Arc<Notify>,
    go: Arc<Notify>,
}

/// The number of calls answered before the rest are held.
const ANSWERED: usize = 40;

impl Holding {
    async fn start() -> Self {
        let (most, begin, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (calls, at_once) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (seen, started, let_go) = (Arc::clone(&most), Arc::clone(&begin), Arc::clone(&go));
        let receiver = Receiver::scripted(move |mut stream| {
            let (calls, at_once, most) = (Arc::clone(&calls), Arc::clone(&at_once), Arc::clone(&seen));
            let (begin, go) = (Arc::clone(&started), Arc::clone(&let_go));
            async move {
                let now = at_once.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                match calls.fetch_add(1, Ordering::SeqCst) {
                    0 => begin.notified().await,
                    1..=ANSWERED => {}
                    _ => {
                        go.notified().await;
                        go.notify_one();
                    }
                }
                at_once.fetch_sub(1, Ordering::SeqCst);
                stream.write_all(OK.as_bytes()).await.ok();
            }
        })
        .await;
        Self { receiver, most, begin, go }
    }
}

#[tokio::test]
async fn concurrent_calls_reach_the_configured_limit() {
    for (receiver_limit, total, expected) in [(8, 64, 8), (3, 64, 3), (8, 2, 2)] {
        sandbox_with(
            |config| {
                config.webhook_deliveries_per_receiver = receiver_limit;
                config.webhook_deliveries = total;
            },
            async |s| {
                let mut holding = Holding::start().await;
                listen(s, &holding.receiver.url()).await;
                for _ in 0..100 {
                    s.create_output().await;
                }
                holding.begin.notify_one();
                for _ in 0..=ANSWERED + expected {
                    holding.receiver.call().await;
                }
                holding.go.notify_one();
                within(s.server().wait_until_delivered()).await;
                assert_eq!(holding.receiver.calls().len(), 99 - ANSWERED - expected);
                assert_eq!(holding.most.load(Ordering::SeqCst), expected);
            },
        )
        .await;
    }
}

#[tokio::test]
async fn event_is_not_sent_again_during_an_attempt() {
    sandbox(async |s| {
        let (mut receiver, go) = Receiver::gated().await;
        listen(s, &receiver.url()).await;
        s.create_output().await;
        receiver.call().await;
        // time passes meanwhile, and the dispatcher polls for due events
        let mut other = Receiver::answering(OK).await;
        for _ in 0..3 {
            s.advance(Duration::from_secs(1)).await;
            queue(s, &other.url(), 1).await;
            other.call().await;
        }
        assert_eq!(receiver.calls(), []);
        go.notify_one();
        assert_eq!(types(&[receiver.call().await]), ["concierge_request_output_accepted"]);
        go.notify_one();
        within(s.server().wait_until_delivered()).await;
    })
    .await;
}
