//! Receivers that don't end what they begin.

use std::time::Duration;

use concierge_sandbox::webhooks::client::{MOST_KEPT, MOST_READ};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::unbounded_channel;

use super::{PATIENCE, attempt, event, sender, unanswered};
use crate::support::{Receiver, within};

const SHORT: Duration = Duration::from_millis(50);

/// A receiver that sends these bytes, and then nothing, until the caller ends the connection; then it tells.
async fn falling_silent_after(bytes: impl Into<Vec<u8>>) -> (Receiver, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let bytes = bytes.into();
    let (ended, ends) = unbounded_channel();
    let receiver = Receiver::scripted(move |mut stream| {
        let (bytes, ended) = (bytes.clone(), ended.clone());
        async move {
            stream.write_all(&bytes).await.ok();
            // the end of the connection, or its reset
            while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
            ended.send(()).ok();
        }
    })
    .await;
    (receiver, ends)
}

#[tokio::test]
async fn an_attempt_ends_at_its_time_out_and_so_does_its_connection() {
    for bytes in ["", "HTTP/1.1 200 OK\r\n"] {
        let (receiver, mut ends) = falling_silent_after(bytes).await;
        let outcome = within(sender(|config| config.webhook_timeout = SHORT).attempt(&event(receiver.url()))).await;
        assert_eq!(unanswered(&outcome), "timed out after 50ms", "{bytes:?}");
        assert!(outcome.duration >= SHORT && outcome.duration < PATIENCE, "{outcome:?}");
        within(ends.recv()).await;
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_shown_as_far_as_it_came() {
    for (status, error) in [(200, None), (500, Some("answered 500"))] {
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 100\r\n\r\nso far");
        let (receiver, mut ends) = falling_silent_after(answer).await;
        let outcome = within(sender(|config| config.webhook_timeout = SHORT).attempt(&event(receiver.url()))).await;
        assert_eq!((outcome.status, outcome.error.as_deref()), (Some(status), error));
        assert_eq!(outcome.body, "so far");
        assert!(outcome.duration >= SHORT && outcome.duration < PATIENCE, "{outcome:?}");
        within(ends.recv()).await;
    }
}

#[tokio::test]
async fn no_more_than_64_kib_are_read() {
    assert_eq!((MOST_READ, MOST_KEPT), (65536, 1024));
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n".to_vec();
    answer.resize(answer.len() + MOST_READ, b'x');
    // what follows is not waited for
    let (receiver, mut ends) = falling_silent_after(answer.clone()).await;
    let outcome = attempt(receiver.url()).await;
    assert_eq!((outcome.status, outcome.body), (Some(200), "x".repeat(MOST_KEPT)));
    assert!(outcome.duration < PATIENCE, "{:?}", outcome.duration);
    within(ends.recv()).await;
    // one byte less, and it is
    answer.pop();
    let (receiver, _ends) = falling_silent_after(answer).await;
    let outcome = within(sender(|config| config.webhook_timeout = SHORT).attempt(&event(receiver.url()))).await;
    assert!(outcome.duration >= SHORT, "{:?}", outcome.duration);
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
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
