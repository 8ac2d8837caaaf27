//! Requests that can't be read, and bodies that nobody reads.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Answer, Wire, documented_output, sandbox, sandbox_with, within};

const GET: &str = "GET /_sandbox/health/live HTTP/1.1\r\nHost: x\r\n\r\n";
const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Checks the error document of a request that could not be read, and the end of its connection.
async fn assert_refused(wire: &mut Wire, status: u16, code: &str) -> Answer {
    let answer = wire.answer().await;
    answer.assert_error(status, code, "");
    assert_eq!(answer.headers["content-type"], "application/vnd.api+json");
    assert_eq!(answer.headers["connection"], "close");
    assert!(answer.headers.contains_key("x-request-id") && answer.headers.contains_key("date"), "{answer:?}");
    assert_eq!(wire.rest().await, "");
    answer
}

#[tokio::test]
async fn request_that_is_not_http_gets_an_error_document() {
    sandbox(async |s| {
        let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-A: b\r\n".repeat(100));
        let large = format!("GET / HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n", "b".repeat(200_000));
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(65_534));
        for (request, status, code) in [
            ("nothing like HTTP\r\n\r\n", 400, "http_invalid"),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "http_invalid"),
            ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", 400, "http_invalid"),
            ("GET /\u{f3} HTTP/1.1\r\nHost: x\r\n\u{0}: x\r\n\r\n", 400, "http_invalid"),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "http_invalid"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "http_invalid"),
            (&long, 414, "url_too_long"),
            (&many, 431, "headers_too_large"),
            (&large, 431, "headers_too_large"),
        ] {
            let mut wire = Wire::open(s.server().address).await;
            wire.send(request).await;
            assert_refused(&mut wire, status, code).await;
        }
    })
    .await;
}

#[tokio::test]
async fn earlier_answers_come_before_the_error() {
    sandbox(async |s| {
        for between in ["", "\r\n"] {
            let mut wire = Wire::open(s.server().address).await;
            wire.send(format!("{GET}{GET}{between}nothing like HTTP\r\n\r\n")).await;
            wire.answer().await.expect(200);
            wire.answer().await.expect(200);
            assert_refused(&mut wire, 400, "http_invalid").await;
        }
    })
    .await;
}

#[tokio::test]
async fn client_that_closes_its_sending_side_gets_its_answer() {
    sandbox(async |s| {
        let document = documented_output().to_string();
        let mut wire = Wire::open(s.server().address).await;
        wire.post(OUTPUTS, &format!("Content-Length: {}", document.len())).await;
        wire.send(&document).await;
        wire.finish().await;
        assert_eq!(wire.answer().await.expect(201)["data"]["id"], "32323");
        assert_eq!(wire.rest().await, "");
    })
    .await;
}

#[tokio::test]
async fn client_that_closes_its_sending_side_gets_a_large_answer() {
    sandbox(async |s| {
        for ending in ["", "Connection: close\r\n"] {
            let mut wire = Wire::open(s.server().address).await;
            // hundreds of kilobytes, more than the system sends unread
            wire.send(format!("GET /_sandbox/openapi.json HTTP/1.1\r\nHost: x\r\n{ending}\r\n")).await;
            wire.finish().await;
            wire.wait_for_start().await;
            for _ in 0..20 {
                s.get("/_sandbox/health/live").await.expect(200);
            }
            let document = wire.answer().await.expect(200);
            assert_eq!(document["openapi"], "3.1.1");
            assert_eq!(wire.rest().await, "");
        }
    })
    .await;
}

#[tokio::test]
async fn late_body_is_answered_in_its_time() {
    const TIME: Duration = Duration::from_secs(1);
    sandbox_with(
        |config| config.body_timeout = TIME,
        async |s| {
            let mut wire = Wire::open(s.server().address).await;
            let began = Instant::now();
            wire.post(OUTPUTS, "Content-Length: 9").await;
            wire.send("{").await;
            let answer = wire.answer().await;
            answer.assert_error(408, "body_timeout", "");
            assert!((TIME..TIME + TIME * 3 / 4).contains(&began.elapsed()), "{:?}", began.elapsed());
            assert_eq!(answer.headers["connection"], "close");
            assert_eq!(wire.rest().await, "");
        },
    )
    .await;
}

#[tokio::test]
async fn connection_goes_on_after_a_body_that_nobody_read() {
    sandbox_with(
        |config| config.rate_limit = Some(8),
        async |s| {
            let body = json!({}).to_string();
            let key = "Authorization: your_api_key\r\n";
            let json = "Content-Type: application/json\r\n";
            for (start, headers, status) in [
                ("POST /api/nothing", [key, json].concat(), 404),
                ("POST /nothing", [key, json].concat(), 404),
                ("PUT /api/users/1", [key, json].concat(), 405),
                ("POST /api/users", [key, json, "Version: x\r\n"].concat(), 400),
                ("POST /api/users", [key, json, "Accept: application/vnd.api+json;ext=x\r\n"].concat(), 406),
                ("POST /api/users", [key, "Content-Type: text/plain\r\n"].concat(), 415),
                ("POST /api/users", json.to_owned(), 401),
                ("POST /api/users", [key, json].concat(), 429),
            ] {
                let head = format!("{start} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
                let exchange = async || {
                    let mut wire = Wire::open(s.server().address).await;
                    wire.send(&head).await;
                    // the body comes in a segment of its own
                    tokio::task::yield_now().await;
                    wire.send(&body).await;
                    (wire.answer().await, wire)
                };
                let (mut answer, mut wire) = exchange().await;
                // the limit counts by the second
                within(async {
                    while status == 429 && answer.status != 429 {
                        (answer, wire) = exchange().await;
                    }
                })
                .await;
                assert_eq!(answer.status, status, "{start}: {answer:?}");
                assert!(!answer.headers.contains_key("connection"), "{start}: {answer:?}");
                wire.send(GET).await;
                wire.answer().await.expect(200);
            }
            // a client that waits for a sign need not send its body
            let mut wire = Wire::open(s.server().address).await;
            wire.send("POST /nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n").await;
            let answer = wire.answer().await;
            answer.assert_error(404, "route_unknown", "");
            assert_eq!(answer.headers["connection"], "close");
            assert_eq!(wire.rest().await, "");
        },
    )
    .await;
}
