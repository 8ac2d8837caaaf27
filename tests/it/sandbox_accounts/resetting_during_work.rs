//! Resets during other work: nothing from before a reset reaches the account after it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::{JoinHandle, JoinSet};

use super::{OUTPUTS, RESET, add_outputs, count, wait_for_count};
use crate::support::{Account, Receiver, account, documented_output, dump, sandbox, sandbox_with, within};

const ACCEPTED: &str = "select count(*) from concierge_request_outputs where account_id = $1 and state <> 'accepting'";
const ACCEPTING: &str = "select count(*) from concierge_request_outputs where account_id = $1 and state = 'accepting'";
const EVENTS: &str = "select count(*) from events where account_id = $1";
const MILLISECOND: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread")]
async fn reset_stops_ten_thousand_pending_transitions() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        let mut receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        account.listen(&receiver.url()).await;
        let old = account.row(s.database()).await;
        add_outputs(s.database(), old, 10_000).await;
        s.clock.advance(MILLISECOND);
        wait_for_count(s.database(), ACCEPTED, old, 2000).await;
        receiver.call().await;
        account.post(RESET, &json!({})).await.expect(204);
        let new = account.row(s.database()).await;
        let fresh = dump(s.database(), new).await;
        assert!(count(s.database(), ACCEPTING, old).await > 0, "the reset came during the work");
        let other = s.account(json!({})).await;

        // lets all remaining work run
        s.tell(Duration::from_hours(1)).await;
        assert_eq!(dump(s.database(), new).await, fresh);
        assert_eq!(account.get(OUTPUTS).await.expect(200)["data"], json!([]));
        assert_eq!(account.events().await, []);
        assert_eq!(account.create_output().await, "32323");
        assert_eq!(account.create_output().await, "32324");
        let events = account.events().await;
        assert_eq!(events.iter().map(|event| &*event.0).collect::<Vec<_>>(), ["1", "2"]);
        s.tell(Duration::from_secs(1)).await;
        assert_eq!(account.state_of("32323").await, "accepted");
        assert_eq!(account.events().await.len(), 4);
        // ids of a later account start at 1 as well
        other.create_output().await;
        assert_eq!(other.events().await[0].0, "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_stops_the_cascade_of_a_large_request() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        for action in ["request_quote", "cancel"] {
            let old = account.row(s.database()).await;
            add_outputs(s.database(), old, 2500).await;
            s.tell(MILLISECOND).await;
            account.act("1010", action).await.expect(200);
            s.clock.advance(MILLISECOND);
            let started = "select count(*) from concierge_request_outputs
                where account_id = $1 and (budget is not null or state = 'cancelled')";
            wait_for_count(s.database(), started, old, 1000).await;
            account.post(RESET, &json!({})).await.expect(204);
            let new = account.row(s.database()).await;
            let fresh = dump(s.database(), new).await;
            s.tell(Duration::from_hours(1)).await;
            assert_eq!(dump(s.database(), new).await, fresh, "{action}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn call_during_a_reset_belongs_wholly_before_or_after_it() {
    sandbox_with(
        |config| config.check_delay = Duration::ZERO,
        async |s| {
            let account = Arc::new(s.account(json!({})).await);
            let is_done = Arc::new(AtomicBool::new(false));
            let mut calling = JoinSet::new();
            for worker in 0..8 {
                let (account, is_done) = (Arc::clone(&account), Arc::clone(&is_done));
                let document = match worker % 4 {
                    0 => json!({"data": {"type": "users"}}),
                    1 => json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}}),
                    _ => documented_output(),
                };
                let path = ["/api/users", "/api/concierge_requests", OUTPUTS, OUTPUTS][worker % 4];
                calling.spawn(async move {
                    while !is_done.load(Ordering::Relaxed) {
                        account.post(path, &document).await.expect(201);
                    }
                });
            }
            for _ in 0..8 {
                let current = account.row(s.database()).await;
                wait_for_count(s.database(), EVENTS, current, 40).await;
                account.post(RESET, &json!({})).await.expect(204);
            }
            let new = account.row(s.database()).await;
            wait_for_count(s.database(), EVENTS, new, 40).await;
            is_done.store(true, Ordering::Relaxed);
            within(calling.join_all()).await;
            for (table, first) in [("concierge_request_outputs", 32323), ("users", 50506), ("concierge_requests", 1011)]
            {
                let gaps = format!(
                    "select max(id) - {first} + 1 - count(*) from {table} where account_id = $1 and id >= {first}"
                );
                assert_eq!(count(s.database(), &gaps, new).await, 0, "{table}: ids have no gap");
            }
            s.tell(MILLISECOND).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn call_with_two_statements_is_consistent_during_resets() {
    account(async |s| {
        const RESETS: usize = 60;
        let account = Arc::new(s.account(json!({"clock": {"now": "2019-11-25T12:53:02.741Z"}})).await);
        let receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let is_done = Arc::new(AtomicBool::new(false));
        let mut calling = JoinSet::new();
        for worker in 0..6 {
            let (account, is_done, url) = (Arc::clone(&account), Arc::clone(&is_done), receiver.url());
            calling.spawn(async move {
                let made_up = json!({"event_type": "user_enabled"});
                while !is_done.load(Ordering::Relaxed) {
                    match worker % 3 {
                        0 => drop(account.get("/_sandbox/accounts/me").await.expect(200)),
                        1 => drop(account.post("/_sandbox/events/trigger", &made_up).await.expect(201)),
                        _ => {
                            account.listen(&url).await;
                            // after a reset, the event or the receiver may be missing
                            let answer = account.post("/_sandbox/events/1/redeliver", &json!({})).await;
                            assert!([202, 404, 409].contains(&answer.status), "{answer:?}");
                        }
                    }
                }
            });
        }
        for _ in 0..RESETS {
            account.post(RESET, &json!({})).await.expect(204);
        }
        is_done.store(true, Ordering::Relaxed);
        within(calling.join_all()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_delete_works_during_resets() {
    account(async |s| {
        for _ in 0..20 {
            let account = s.account(json!({})).await;
            let body = json!({});
            let resetting = futures_util::future::join_all((0..3).map(|_| account.post(RESET, &body)));
            let (deleted, resets) =
                within(async { tokio::join!(account.delete("/_sandbox/accounts/me"), resetting) }).await;
            deleted.expect(204);
            assert!(resets.iter().all(|reset| [204, 401].contains(&reset.status)), "{resets:?}");
            account.get("/_sandbox/accounts/me").await.assert_error(401, "invalid_api_key", "Authorization");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_resets_each_take_effect() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        let old = account.row(s.database()).await;
        let body = json!({});
        let resets = futures_util::future::join_all((0..6).map(|_| account.post(RESET, &body)));
        for answer in within(resets).await {
            answer.expect(204);
        }
        assert_eq!(account.row(s.database()).await, old + 6);
        let current = "select count(*) from accounts where id >= $1 and ended_at is null";
        assert_eq!(count(s.database(), current, old).await, 1);
        assert_eq!(account.create_output().await, "32323");
    })
    .await;
}

#[tokio::test]
async fn reset_does_not_wait_for_a_hanging_receiver() {
    sandbox_with(
        |config| config.webhook_timeout = Duration::from_mins(2),
        async |s| {
            let account = s.account(json!({})).await;
            let (closed, mut ends) = unbounded_channel();
            let mut receiver = Receiver::scripted(move |mut stream| {
                let closed = closed.clone();
                async move {
                    // reads until the server closes the connection
                    let end = stream.read(&mut [0]).await;
                    closed.send(end.ok()).ok();
                }
            })
            .await;
            account.listen(&receiver.url()).await;
            for _ in 0..3 {
                account.create_output().await;
            }
            receiver.call().await;
            account.post(RESET, &json!({})).await.expect(204);
            let end = within(ends.recv()).await.unwrap();
            assert!(end.is_none_or(|bytes| bytes == 0), "the connection is closed");
            s.tell(Duration::from_hours(1)).await;
            assert_eq!(receiver.calls(), [], "no other event from before the reset is sent");
        },
    )
    .await;
}

/// A receiver that records the order of its connections.
struct Gate {
    address: SocketAddr,
    /// The client port of each connection.
    seen: Arc<Mutex<Vec<u16>>>,
    accepting: JoinHandle<()>,
}

impl Gate {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<u16>>> = Arc::default();
        let log = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            loop {
                let (mut stream, from) = listener.accept().await.unwrap();
                log.lock().push(from.port());
                tokio::spawn(async move {
                    if stream.read(&mut [0; 8192]).await.is_ok_and(|bytes| bytes > 0) {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok();
                    }
                });
            }
        });
        Self { address, seen, accepting }
    }

    /// Counts the connections so far, with one more as a marker behind them.
    async fn count_connections(&self) -> usize {
        let mut last = TcpStream::connect(self.address).await.unwrap();
        let port = last.local_addr().unwrap().port();
        last.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut place = None;
        within(async {
            while place.is_none() {
                place = self.seen.lock().iter().position(|seen| *seen == port);
                tokio::task::yield_now().await;
            }
        })
        .await;
        place.unwrap() + 1
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_sends_no_old_event_after_its_answer() {
    sandbox(async |s| {
        let account: Account = s.account(json!({})).await;
        let gate = Gate::open().await;
        for round in 0..6 {
            account.listen(&format!("http://{}/hook", gate.address)).await;
            let old = account.row(s.database()).await;
            add_outputs(s.database(), old, 300).await;
            let before = gate.seen.lock().len();
            s.clock.advance(MILLISECOND);
            within(async {
                while gate.seen.lock().len() < before + 20 + 7 * round {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            account.post(RESET, &json!({})).await.expect(204);
            let connections = gate.count_connections().await;
            s.tell(MILLISECOND).await;
            assert_eq!(gate.count_connections().await, connections + 1, "round {round}");
        }
        gate.accepting.abort();
    })
    .await;
}
