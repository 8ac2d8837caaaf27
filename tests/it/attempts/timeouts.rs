//! Receivers that stop in the middle of an answer, or never stop.

use std::time::Duration;

use concierge_sandbox::webhooks::client::{MOST_KEPT, MOST_READ};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::unbounded_channel;

use super::{PATIENCE, attempt, error_without_answer, webhook_client, webhook_request};
use crate::support::{Receiver, within};

const SHORT: Duration = Duration::from_millis(50);

/// Starts a receiver that sends these bytes, then stalls until the caller closes the connection.
/// The channel reports each end of a connection.
async fn stalling_after(bytes: impl Into<Vec<u8>>) -> (Receiver, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let bytes = bytes.into();
    let (ended, ends) = unbounded_channel();
    let receiver = Receiver::scripted(move |mut stream| {
        let (bytes, ended) = (bytes.clone(), ended.clone());
        async move {
            stream.write_all(&bytes).await.ok();
            // ends with the connection, or with its reset
            while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
            ended.send(()).ok();
        }
    })
    .await;
    (receiver, ends)
}

#[tokio::test]
async fn attempt_times_out_and_closes_its_connection() {
    for bytes in ["", "HTTP/1.1 200 OK\r\n"] {
        let (receiver, mut ends) = stalling_after(bytes).await;
        let outcome =
            within(webhook_client(|config| config.webhook_timeout = SHORT).attempt(&webhook_request(receiver.url())))
                .await;
        assert_eq!(error_without_answer(&outcome), "timed out after 50ms", "{bytes:?}");
        assert!(outcome.duration >= SHORT && outcome.duration < PATIENCE, "{outcome:?}");
        within(ends.recv()).await;
    }
}

#[tokio::test]
async fn stalled_body_keeps_the_bytes_received_so_far() {
    for (status, error) in [(200, None), (500, Some("answered 500"))] {
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 100\r\n\r\nso far");
        let (receiver, mut ends) = stalling_after(answer).await;
        let outcome =
            within(webhook_client(|config| config.webhook_timeout = SHORT).attempt(&webhook_request(receiver.url())))
                .await;
        assert_eq!((outcome.status, outcome.error.as_deref()), (Some(status), error));
        assert_eq!(outcome.body, "so far");
        assert!(outcome.duration >= SHORT && outcome.duration < PATIENCE, "{outcome:?}");
        within(ends.recv()).await;
    }
}

#[tokio::test]
async fn at_most_64_kib_are_read() {
    assert_eq!((MOST_READ, MOST_KEPT), (65536, 1024));
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n".to_vec();
    answer.resize(answer.len() + MOST_READ, b'x');
    // the client does not wait for more
    let (receiver, mut ends) = stalling_after(answer.clone()).await;
    let outcome = attempt(receiver.url()).await;
    assert_eq!((outcome.status, outcome.body), (Some(200), "x".repeat(MOST_KEPT)));
    assert!(outcome.duration < PATIENCE, "{:?}", outcome.duration);
    within(ends.recv()).await;
    // one byte less, and the client waits
    answer.pop();
    let (receiver, _ends) = stalling_after(answer).await;
    let outcome =
        within(webhook_client(|config| config.webhook_timeout = SHORT).attempt(&webhook_request(receiver.url()))).await;
    assert!(outcome.duration >= SHORT, "{:?}", outcome.duration);
}

#[tokio::test]
async fn endless_body_is_cut_off() {
    let (ended, mut ends) = unbounded_channel();
    let receiver = Receiver::scripted(move |mut stream| {
        let ended = ended.clone();
        async move {
            stream.write_all(b"HTTP/1.1 500 x\r\n\r\n").await.unwrap();
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            ended.send(()).ok();
        }
    })
    .await;
    let outcome = attempt(receiver.url()).await;
    assert_eq!((outcome.status, outcome.body), (Some(500), "x".repeat(MOST_KEPT)));
    assert!(outcome.duration < PATIENCE, "{:?}", outcome.duration);
    within(ends.recv()).await;
}
