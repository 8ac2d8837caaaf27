//! Loss of the database during deliveries.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Executor;

use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use super::{OK, attempts, body, delivery_state, id, listen};
use crate::support::{Proxy, Receiver, database, sandbox, within};

#[tokio::test]
async fn delivery_during_an_outage_is_recorded_afterwards() {
    database(async |database| {
        let proxy = Proxy::open_to(database);
        let sandbox = database.server_through(proxy.options(database), |_| {}).await;
        let (mut receiver, go) = Receiver::gated().await;
        listen(&sandbox, &receiver.url()).await;
        sandbox.create_output().await;
        receiver.call().await;
        proxy.close().await;
        go.notify_one();
        // the answer arrives while the database is away
        sandbox.get("/_sandbox/health/ready").await.assert_error(503, "unavailable", "");
        proxy.open();
        within(async { while sandbox.get("/_sandbox/health/ready").await.status != 200 {} }).await;
        within(async { while delivery_state(&sandbox, "1").await != "delivered" {} }).await;
        assert_eq!(attempts(&sandbox, "1").await.len(), 1);
        assert_eq!(receiver.calls(), [], "the event is not sent again");
        go.notify_one();
        sandbox.tell(Duration::from_secs(1)).await;
        assert_eq!(receiver.calls().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn locked_delivery_delays_no_other_delivery() {
    sandbox(async |s| {
        let go = Arc::new(Notify::new());
        let let_go = Arc::clone(&go);
        let mut receiver = Receiver::handling(move |mut stream, call| {
            let go = Arc::clone(&let_go);
            async move {
                if id(&call) == "1" {
                    go.notified().await;
                }
                stream.write_all(OK.as_bytes()).await.ok();
            }
        })
        .await;
        listen(s, &receiver.url()).await;
        s.create_output().await;
        assert_eq!(id(&receiver.call().await), "1");
        let mut holding = s.database().begin().await.unwrap();
        holding.execute("select from deliveries where event_id = 1 for share").await.unwrap();
        go.notify_one();
        // event 1 was received, and the lock keeps this from being recorded
        for event in 2..12 {
            s.create_output().await;
            assert_eq!(id(&receiver.call().await), event.to_string());
        }
        within(async { while delivery_state(s, "11").await != "delivered" {} }).await;
        assert_eq!(delivery_state(s, "1").await, "due");
        holding.commit().await.unwrap();
        within(async { while delivery_state(s, "1").await != "delivered" {} }).await;
        assert_eq!(receiver.calls().iter().map(|call| body(call).to_string()).collect::<Vec<_>>(), [""; 0]);
    })
    .await;
}

/// A lease lasts 20 s, and a locked delivery must not wait for its end.
#[tokio::test]
async fn delivery_that_was_locked_at_its_release_is_sent_soon() {
    const FAILED: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
    sandbox(async |s| {
        let go = Arc::new(Notify::new());
        let let_go = Arc::clone(&go);
        let mut receiver = Receiver::handling(move |mut stream, call| {
            let go = Arc::clone(&let_go);
            async move {
                let answer = if ["2", "3"].contains(&id(&call).as_str()) {
                    go.notified().await;
                    FAILED
                } else {
                    OK
                };
                stream.write_all(answer.as_bytes()).await.ok();
            }
        })
        .await;
        listen(s, &receiver.url()).await;
        s.create_output().await;
        within(async { while delivery_state(s, "1").await != "delivered" {} }).await;
        // the receiver has two slots now: the other deliveries are claimed, and wait
        for _ in 2..=8 {
            s.create_output().await;
        }
        let leased = "select count(*) from deliveries where leased_until is not null";
        within(async { while s.count(leased).await < 7 {} }).await;
        let mut holding = s.database().begin().await.unwrap();
        holding.execute("select from deliveries where event_id > 3 for share").await.unwrap();
        // after the failures, only one slot is left: the waiting deliveries are to be released, and are locked
        for failed in 1..=2 {
            go.notify_one();
            let recorded = "select count(*) from deliveries where tries > 0 and state = 'due'";
            within(async { while s.count(recorded).await < failed {} }).await;
        }
        holding.commit().await.unwrap();
        let rest = async { while s.count("select count(*) from deliveries where state = 'delivered'").await < 6 {} };
        tokio::time::timeout(Duration::from_secs(10), rest).await.expect("they are sent before the lease ends");
        assert_eq!(receiver.calls().len(), 8, "each was sent once");
        go.notify_one();
    })
    .await;
}
