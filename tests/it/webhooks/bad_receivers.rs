//! Receivers that fail to accept an event: each is tried again, and its failure is shown.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::{OK, attempts, body, delivery_state, id, listen, types};
use crate::support::{Receiver, account, sandbox_with, within};

const SECOND: Duration = Duration::from_secs(1);

/// Sends the first event of an account with a short timeout to a URL.
/// Returns the status and the error of the first attempt.
async fn first_attempt(url: &str) -> (Option<i64>, String) {
    sandbox_with(
        |config| config.webhook_timeout = SECOND / 2,
        async |s| {
            listen(s, url).await;
            s.create_output().await;
            s.tell(Duration::ZERO).await;
            let made = attempts(s, "1").await;
            assert_eq!(made.len(), 1);
            assert!((4500..=5500).contains(&made[0].next_at.unwrap()), "{made:?}");
            assert_eq!(delivery_state(s, "1").await, "due");
            // a working receiver gets the missed events
            let mut repaired = Receiver::answering(OK).await;
            listen(s, &repaired.url()).await;
            s.tell(Duration::from_secs(6)).await;
            let received = types(&repaired.calls());
            assert_eq!(received, ["concierge_request_output_accepting", "concierge_request_output_accepted"]);
            assert_eq!(delivery_state(s, "1").await, "delivered");
            (made[0].status, made[0].error.clone().unwrap())
        },
    )
    .await
}

#[tokio::test]
async fn answer_other_than_200_is_retried() {
    for (answer, status) in [
        ("500 Internal Server Error", 500),
        ("302 Found\r\nLocation: http://127.0.0.1:1/", 302),
        ("204 No Content", 204),
        ("410 Gone", 410),
    ] {
        let receiver = Receiver::answering(format!("HTTP/1.1 {answer}\r\nconnection: close\r\n\r\n")).await;
        let (found, error) = first_attempt(&receiver.url()).await;
        assert_eq!(found, Some(status));
        assert!(error.starts_with(&format!("answered {status}")), "{error}");
    }
}

#[tokio::test]
async fn broken_connection_is_retried() {
    let hanging = Receiver::hanging();
    let dribbling = Receiver::scripted(|mut stream| async move {
        // sends one byte at a time, without end
        while stream.write_all(b"H").await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    let closing = Receiver::answering("HTTP/1.1 200");
    let chatting = Receiver::answering("220 mail.example.com ESMTP\r\n");
    let (hanging, dribbling, closing, chatting) = tokio::join!(hanging, dribbling, closing, chatting);
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (url, error) in [
        (hanging.url(), "timed out after 500ms"),
        (closing.url(), "the connection was closed before the answer"),
        (chatting.url(), "the answer is not HTTP"),
        (format!("http://{free}/"), "connection refused"),
        ("http://nowhere.invalid/hook".into(), "the name could not be resolved"),
    ] {
        assert_eq!(first_attempt(&url).await, (None, error.to_owned()), "{url}");
    }
    let (status, error) = first_attempt(&dribbling.url()).await;
    assert_eq!(status, None);
    assert!(["timed out after 500ms", "the answer is not HTTP"].contains(&error.as_str()), "{error}");
}

#[tokio::test]
async fn endless_answer_is_cut_off_and_its_start_kept() {
    account(async |s| {
        let receiver = Receiver::scripted(|mut stream| async move {
            let head = "HTTP/1.1 503 Busy\r\ncontent-length: 1073741824\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok();
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        })
        .await;
        listen(s, &receiver.url()).await;
        s.create_output().await;
        s.tell(Duration::ZERO).await;
        let made = attempts(s, "1").await;
        assert_eq!((made[0].status, made[0].response.len()), (Some(503), 1024));
    })
    .await;
}

#[tokio::test]
async fn stored_url_is_not_called_once_forbidden() {
    account(async |s| {
        let mut receiver = Receiver::answering(OK).await;
        listen(s, &receiver.url()).await;
        // as if set before the rule existed
        s.sql("update users set webhook_url = 'http://169.254.169.254/latest/meta-data'").await;
        s.create_output().await;
        s.tell(Duration::ZERO).await;
        let made = attempts(s, "1").await;
        let error = "the address 169.254.169.254 may not be called: it is link-local";
        assert_eq!((made[0].status, made[0].error.as_deref()), (None, Some(error)));
        assert_eq!(receiver.calls(), []);
    })
    .await;
}

#[tokio::test]
async fn redelivery_delivers_a_given_up_event() {
    sandbox_with(
        |config| config.webhook_retries = vec![SECOND],
        async |s| {
            let mut receiver = Receiver::answering(super::DOWN).await;
            listen(s, &receiver.url()).await;
            s.create_output().await;
            s.tell(Duration::ZERO).await;
            s.tell(Duration::from_secs(5)).await;
            assert_eq!(delivery_state(s, "1").await, "given_up");
            let first = receiver.calls();
            let mut repaired = Receiver::answering(OK).await;
            listen(s, &repaired.url()).await;
            let post = s.request(reqwest::Method::POST, "/_sandbox/events/1/redeliver");
            crate::support::send(post).await.expect(202);
            let again = repaired.call().await;
            assert_eq!((id(&again), &again.body), ("1".to_owned(), &first[0].body), "the same bytes");
            assert!(body(&again).get("meta").is_none(), "the event is not made up");
            within(s.server().wait_until_delivered()).await;
            assert_eq!(delivery_state(s, "1").await, "delivered");
            assert_eq!(attempts(s, "1").await.len(), 3);
        },
    )
    .await;
}
