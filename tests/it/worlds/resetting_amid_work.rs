//! A reset while everything is moving: nothing of the old world comes into the new one.

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

use super::{OUTPUTS, RESET, count, fill, until};
use crate::support::{Account, Receiver, account, documented_output, dump, sandbox, sandbox_with, within};

const ACCEPTED: &str = "select count(*) from concierge_request_outputs where account_id = $1 and state <> 'accepting'";
const ACCEPTING: &str = "select count(*) from concierge_request_outputs where account_id = $1 and state = 'accepting'";
const EVENTS: &str = "select count(*) from events where account_id = $1";
const MILLISECOND: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_transitions_under_way_none_reaches_the_new_world() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        let mut receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        account.listen(&receiver.url()).await;
        let old = account.row(s.database()).await;
        fill(s.database(), old, 10_000).await;
        s.clock.advance(MILLISECOND);
        until(s.database(), ACCEPTED, old, 2000).await;
        receiver.call().await;
        account.post(RESET, &json!({})).await.expect(204);
        let new = account.row(s.database()).await;
        let fresh = dump(s.database(), new).await;
        assert!(count(s.database(), ACCEPTING, old).await > 0, "it was amid its work");
        let other = s.account(json!({})).await;

        // whatever there still is to do, is done
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
        // as if there had been nothing before
        other.create_output().await;
        assert_eq!(other.events().await[0].0, "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_request_on_its_way_stays_behind() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        for action in ["request_quote", "cancel"] {
            let old = account.row(s.database()).await;
            fill(s.database(), old, 2500).await;
            s.tell(MILLISECOND).await;
            account.act("1010", action).await.expect(200);
            s.clock.advance(MILLISECOND);
            let begun = "select count(*) from concierge_request_outputs
                where account_id = $1 and (budget is not null or state = 'cancelled')";
            until(s.database(), begun, old, 1000).await;
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
async fn of_calls_at_the_same_time_each_belongs_to_one_world() {
    sandbox_with(
        |config| config.check_delay = Duration::ZERO,
        async |s| {
            let account = Arc::new(s.account(json!({})).await);
            let is_over = Arc::new(AtomicBool::new(false));
            let mut calling = JoinSet::new();
            for worker in 0..8 {
                let (account, is_over) = (Arc::clone(&account), Arc::clone(&is_over));
                let document = match worker % 4 {
                    0 => json!({"data": {"type": "users"}}),
                    1 => json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}}),
                    _ => documented_output(),
                };
                let path = ["/api/users", "/api/concierge_requests", OUTPUTS, OUTPUTS][worker % 4];
                calling.spawn(async move {
                    while !is_over.load(Ordering::Relaxed) {
                        account.post(path, &document).await.expect(201);
                    }
                });
            }
            for _ in 0..8 {
                let current = account.row(s.database()).await;
                until(s.database(), EVENTS, current, 40).await;
                account.post(RESET, &json!({})).await.expect(204);
            }
            let new = account.row(s.database()).await;
            until(s.database(), EVENTS, new, 40).await;
            is_over.store(true, Ordering::Relaxed);
            within(calling.join_all()).await;
            for (table, first) in [("concierge_request_outputs", 32323), ("users", 50506), ("concierge_requests", 1011)]
            {
                let gaps = format!(
                    "select max(id) - {first} + 1 - count(*) from {table} where account_id = $1 and id >= {first}"
                );
                assert_eq!(count(s.database(), &gaps, new).await, 0, "{table}: ids without a gap");
            }
            s.tell(MILLISECOND).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_looks_twice_looks_at_one_world() {
    account(async |s| {
        const RESETS: usize = 60;
        let account = Arc::new(s.account(json!({"clock": {"now": "2019-11-25T12:53:02.741Z"}})).await);
        let receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut calling = JoinSet::new();
        for worker in 0..6 {
            let (account, is_over, url) = (Arc::clone(&account), Arc::clone(&is_over), receiver.url());
            calling.spawn(async move {
                let made_up = json!({"event_type": "user_enabled"});
                while !is_over.load(Ordering::Relaxed) {
                    match worker % 3 {
                        0 => drop(account.get("/_sandbox/accounts/me").await.expect(200)),
                        1 => drop(account.post("/_sandbox/events/trigger", &made_up).await.expect(201)),
                        _ => {
                            account.listen(&url).await;
                            // another world may be there by then, which has no such event or no receiver
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
        is_over.store(true, Ordering::Relaxed);
        within(calling.join_all()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_deleted_though_it_is_reset_meanwhile() {
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
async fn of_resets_at_the_same_time_each_counts() {
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
async fn a_receiver_that_hangs_is_not_waited_for() {
    sandbox_with(
        |config| config.webhook_timeout = Duration::from_mins(2),
        async |s| {
            let account = s.account(json!({})).await;
            let (told, mut ends) = unbounded_channel();
            let mut receiver = Receiver::scripted(move |mut stream| {
                let told = told.clone();
                async move {
                    // nothing more comes: until the other side ends it
                    let end = stream.read(&mut [0]).await;
                    told.send(end.ok()).ok();
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
            assert!(end.is_none_or(|bytes| bytes == 0), "the connection is ended");
            s.tell(Duration::from_hours(1)).await;
            assert_eq!(receiver.calls(), [], "nor is anything else of the old world sent");
        },
    )
    .await;
}

/// A receiver that knows in which order connections came in.
struct Gate {
    address: SocketAddr,
    /// The ports they came from.
    seen: Arc<Mutex<Vec<u16>>>,
    accepting: JoinHandle<()>,
}

impl Gate {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<u16>>> = Arc::default();
        let noted = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            loop {
                let (mut stream, from) = listener.accept().await.unwrap();
                noted.lock().push(from.port());
                tokio::spawn(async move {
                    if stream.read(&mut [0; 8192]).await.is_ok_and(|bytes| bytes > 0) {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok();
                    }
                });
            }
        });
        Self { address, seen, accepting }
    }

    /// How many connections had been begun when this was called: one behind them has come in.
    async fn begun(&self) -> usize {
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
async fn nothing_of_the_old_world_is_sent_after_the_answer() {
    sandbox(async |s| {
        let account: Account = s.account(json!({})).await;
        let gate = Gate::open().await;
        for round in 0..6 {
            account.listen(&format!("http://{}/hook", gate.address)).await;
            let old = account.row(s.database()).await;
            fill(s.database(), old, 300).await;
            let before = gate.seen.lock().len();
            s.clock.advance(MILLISECOND);
            within(async {
                while gate.seen.lock().len() < before + 20 + 7 * round {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            account.post(RESET, &json!({})).await.expect(204);
            let begun = gate.begun().await;
            s.tell(MILLISECOND).await;
            assert_eq!(gate.begun().await, begun + 1, "round {round}");
        }
        gate.accepting.abort();
    })
    .await;
}
