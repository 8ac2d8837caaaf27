//! The request of a webhook attempt, and the outcome of each kind of answer.

use std::process::Command;
use std::time::{Duration, SystemTime};

use concierge_sandbox::webhooks::client::read_retry_after;
use tokio::io::AsyncWriteExt;

use super::{attempt, error_without_answer, webhook_client, webhook_request};
use crate::support::{Receiver, within};

#[tokio::test]
async fn receiver_gets_the_event_unchanged() {
    let mut receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let url = format!("{}?a=b%20c", receiver.url());
    let outcome = within(webhook_client(|_| {}).attempt(&webhook_request(url))).await;
    assert_eq!((outcome.status, outcome.error.as_deref(), outcome.body.as_str()), (Some(200), None, "ok"));
    assert!(outcome.is_received() && outcome.retry_after.is_none());
    assert!(outcome.duration > Duration::ZERO);
    let [call] = &receiver.calls()[..] else { panic!("one call") };
    assert_eq!(call.line, "POST /hook?a=b%20c HTTP/1.1");
    assert_eq!(call.body, r#"{"data":"secret-ñ"}"#.as_bytes());
    assert_eq!(call.header("webhook-auth"), Some("secret-hash"));
    assert_eq!(call.header("content-type"), Some("application/json"));
    assert_eq!(call.header("host"), Some(format!("127.0.0.1:{}", receiver.port).as_str()));
    let agent = concat!("concierge-sandbox/", env!("CARGO_PKG_VERSION"));
    assert_eq!(call.header("user-agent"), Some(agent));
}

#[tokio::test]
async fn attempt_ignores_proxy_variables() {
    let executable = std::env::current_exe().unwrap();
    let mut command = Command::new(executable);
    command.args(["--exact", "attempts::answers::receiver_gets_the_event_unchanged"]);
    command.envs(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:1")));
    command.env_remove("no_proxy").env_remove("NO_PROXY").env_remove("REQUEST_METHOD");
    let result = within(tokio::task::spawn_blocking(move || command.output())).await.unwrap().unwrap();
    let result = (result.status.success(), String::from_utf8(result.stdout).unwrap());
    assert!(result.0 && result.1.contains("1 passed"), "{}", result.1);
}

#[tokio::test]
async fn only_status_200_counts_as_received() {
    for (answer, status, error) in [
        ("201 Created", 201, "answered 201; only 200 counts as received"),
        ("204 No Content", 204, "answered 204; only 200 counts as received"),
        ("304 Not Modified", 304, "answered 304; redirects are not followed"),
        ("404 Not Found", 404, "answered 404"),
        ("500 Internal Server Error", 500, "answered 500"),
        ("999 What", 999, "answered 999"),
    ] {
        let receiver = Receiver::answering(format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n")).await;
        let outcome = attempt(receiver.url()).await;
        assert_eq!((outcome.status, outcome.error.as_deref()), (Some(status), Some(error)));
        assert!(!outcome.is_received());
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let mut other = Receiver::answering("HTTP/1.1 200 OK\r\n\r\n").await;
    for status in [301, 302, 303, 307, 308] {
        let answer = format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", other.url());
        let receiver = Receiver::answering(answer).await;
        let outcome = attempt(receiver.url()).await;
        assert_eq!(outcome.status, Some(status));
        assert_eq!(outcome.error, Some(format!("answered {status}; redirects are not followed")));
        assert_eq!(other.calls(), []);
    }
}

#[tokio::test]
async fn refused_connection_is_reported() {
    let receiver = Receiver::answering("").await;
    let url = receiver.url();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = attempt(url.replace(&receiver.port.to_string(), &free.to_string())).await;
    assert_eq!(error_without_answer(&refused), "connection refused");
}

#[tokio::test]
async fn broken_or_foreign_answer_is_reported() {
    const CLOSED: &str = "the connection was closed before the answer";
    const NOT_HTTP: &str = "the answer is not HTTP";
    for (answer, error) in [
        ("", CLOSED),
        ("HTTP/1.1 200", CLOSED),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", CLOSED),
        ("hello\r\n\r\n", NOT_HTTP),
        ("HTTP/1.1 20x OK\r\n\r\n", NOT_HTTP),
        ("SSH-2.0-OpenSSH_9.6\r\n", NOT_HTTP),
    ] {
        let receiver = Receiver::answering(answer).await;
        assert_eq!(error_without_answer(&attempt(receiver.url()).await), error, "{answer:?}");
    }
}

#[tokio::test]
async fn answer_may_come_byte_by_byte() {
    let receiver = Receiver::scripted(|mut stream| async move {
        for byte in b"HTTP/1.1 503 Later\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno\xc3\r\n1\r\n\xa9\r\n0\r\n\r\n"
        {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await;
    let outcome = attempt(receiver.url()).await;
    assert_eq!((outcome.status, outcome.error.as_deref()), (Some(503), Some("answered 503")));
    assert_eq!((outcome.body.as_str(), outcome.retry_after), ("noé", Some(Duration::from_secs(7))));
}

#[tokio::test]
async fn status_decides_even_if_the_body_breaks_off() {
    for (answer, status, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", 200, "half"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n", 200, "half"),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 50\r\n\r\nhalf", 500, "half"),
    ] {
        let receiver = Receiver::answering(answer).await;
        let outcome = attempt(receiver.url()).await;
        assert_eq!((outcome.status, outcome.is_received()), (Some(status), status == 200), "{answer:?}");
        assert_eq!(outcome.body, body, "{answer:?}");
    }
}

#[tokio::test]
async fn body_is_kept_as_text_valid_in_the_database() {
    let long = "é".repeat(600);
    for (sent, kept) in [
        (b"caf\xc3\xa9".to_vec(), "café".to_owned()),
        (b"a\0b\xff\xfec".to_vec(), "a\u{fffd}b\u{fffd}\u{fffd}c".to_owned()),
        (long.clone().into_bytes(), "é".repeat(512)),
        // the kept text never ends in half a character
        (format!("x{long}").into_bytes(), format!("x{}", "é".repeat(511))),
    ] {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len()).into_bytes();
        answer.extend(&sent);
        let receiver = Receiver::answering(answer).await;
        assert_eq!(attempt(receiver.url()).await.body, kept);
    }
}

#[tokio::test]
async fn failing_receiver_may_send_retry_after() {
    for (status, value, expected) in [
        (429, "120", Some(120)),
        (503, "0", Some(0)),
        (503, "soon", None),
        (503, "\u{e9}", None),
        (200, "120", None),
        (503, "Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
        (503, "Fri, 31 Dec 9999 23:59:59 GMT", Some(24 * 60 * 60)),
    ] {
        let answer = format!("HTTP/1.1 {status} x\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        let receiver = Receiver::answering(answer).await;
        let outcome = attempt(receiver.url()).await;
        assert_eq!(outcome.retry_after, expected.map(Duration::from_secs), "{value}");
    }
}

#[test]
fn retry_after_is_seconds_or_date_and_at_most_a_day() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
    for (value, expected) in [
        ("0", Some(0)),
        (" 90 ", Some(90)),
        ("86400", Some(86400)),
        ("86401", Some(86400)),
        ("99999999999999999999999999", Some(86400)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
        ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
        ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
        ("Sun Nov  6 08:50:07 1994", Some(30)),
        ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
        ("Wed, 06 Nov 2024 08:49:37 GMT", Some(86400)),
        ("", None),
        ("-5", None),
        ("+5", None),
        ("1.5", None),
        ("12 s", None),
        ("tomorrow", None),
    ] {
        assert_eq!(read_retry_after(value, now), expected.map(Duration::from_secs), "{value:?}");
    }
}

#[tokio::test]
async fn debug_output_hides_secrets() {
    let receiver = Receiver::answering("nonsense\r\n\r\n").await;
    let request = webhook_request(format!("{}/secret-path?key=secret-query", receiver.url()));
    let outcome = within(webhook_client(|_| {}).attempt(&request)).await;
    assert!(!format!("{outcome:?}").contains("secret"), "{outcome:?}");
    let shown = format!("{request:?}");
    assert!(!shown.contains("secret"), "{shown}");
    assert!(shown.contains(&format!("http://127.0.0.1:{}", receiver.port)), "{shown}");
}
