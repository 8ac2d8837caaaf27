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
