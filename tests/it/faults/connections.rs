//! Connections ended by faults, as a client sees them byte by byte.

use std::io::ErrorKind;

use serde_json::json;

use super::{OUTPUTS, hits, put};
use crate::support::{Sandbox, Wire, documented_output, sandbox, send};

const OUTPUT_COUNT: &str = "select count(*) from concierge_request_outputs";

/// Posts the documented output on a connection that has already carried an answer.
async fn post(sandbox: &Sandbox) -> Wire {
    let mut wire = Wire::open(sandbox.server().address).await;
    wire.send("GET /_sandbox/health/live HTTP/1.1\r\nHost: sandbox\r\n\r\n").await;
    wire.answer().await.expect(200);
    let document = documented_output().to_string();
    wire.post(OUTPUTS, &format!("Content-Length: {}", document.len())).await;
    wire.send(document).await;
    wire
}

#[tokio::test]
async fn close_fault_acts_before_or_after_the_effect() {
    sandbox(async |s| {
        for (when, outputs) in [(json!(true), 0), (json!("before"), 0), (json!("after"), 1), (json!("after"), 2)] {
            put(s, &json!([{"path": OUTPUTS, "close": when}])).await.expect(200);
            let mut wire = post(s).await;
            assert_eq!(wire.end().await, (String::new(), None), "{when}");
            assert_eq!(hits(s).await, [1], "{when}");
            assert_eq!(s.count(OUTPUT_COUNT).await, outputs, "{when}");
        }
    })
    .await;
}

#[tokio::test]
async fn reset_fault_acts_before_or_after_the_effect() {
    sandbox(async |s| {
        for (when, outputs) in [(json!(true), 0), (json!("before"), 0), (json!("after"), 1), (json!("after"), 2)] {
            put(s, &json!([{"path": OUTPUTS, "reset": when}])).await.expect(200);
            let mut wire = post(s).await;
            assert_eq!(wire.end().await, (String::new(), Some(ErrorKind::ConnectionReset)), "{when}");
            assert_eq!(hits(s).await, [1], "{when}");
            assert_eq!(s.count(OUTPUT_COUNT).await, outputs, "{when}");
        }
    })
    .await;
}

#[tokio::test]
async fn truncate_fault_cuts_the_body_in_half() {
    sandbox(async |s| {
        s.create_output().await;
        let whole = s.get("/api/concierge_request_outputs/32323").await.text;
        put(s, &json!([{"path": "/api/**", "truncate": true}])).await.expect(200);
        let mut wire = post(s).await;
        let (rest, error) = wire.end().await;
        assert_eq!(error, None);
        let (head, body) = rest.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 201 Created\r\n"), "{head}");
        let expected = whole.replace("32323", "32324");
        assert!(head.contains(&format!("content-length: {}", expected.len())), "{head}");
        assert_eq!(body, &expected[..expected.len() / 2]);
        assert_eq!(s.count(OUTPUT_COUNT).await, 2, "the request was carried out");
        // a client library reports it
        let response = s.client.get(s.url(OUTPUTS)).header("Authorization", "your_api_key").send().await;
        assert!(response.unwrap().text().await.is_err());
    })
    .await;
}

#[tokio::test]
async fn truncate_fault_cuts_the_largest_body_in_half() {
    sandbox(async |s| {
        let instruction = json!({"data": {"type": "withdrawal_instructions",
            "attributes": {"body": {"bank": "x".repeat(900_000)}},
            "relationships": {"user": {"data": {"type": "users", "id": "20202"}}}}});
        s.create("/api/withdrawal_instructions", &instruction).await;
        let whole = s.get("/api/withdrawal_instructions").await.text;
        put(s, &json!([{"path": "/api/withdrawal_instructions", "truncate": true}])).await.expect(200);
        let mut wire = Wire::open(s.server().address).await;
        let head = format!("GET /api/withdrawal_instructions HTTP/1.1\r\nHost: {}", s.server().address);
        wire.send(format!("{head}\r\nAuthorization: your_api_key\r\n\r\n")).await;
        let (rest, error) = wire.end().await;
        assert_eq!(error, None);
        assert_eq!(rest.split_once("\r\n\r\n").unwrap().1, &whole[..whole.len() / 2]);
    })
    .await;
}

#[tokio::test]
async fn truncate_fault_drops_answers_without_body() {
    sandbox(async |s| {
        put(s, &json!([{"path": "/api/**", "truncate": true}])).await.expect(200);
        for (method, path) in [("DELETE", "/api/withdrawal_instructions/2121"), ("HEAD", "/api/users")] {
            let mut wire = Wire::open(s.server().address).await;
            wire.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: your_api_key\r\n\r\n")).await;
            assert_eq!(wire.end().await, (String::new(), None), "{method}");
        }
        // the request was carried out
        put(s, &json!([])).await.expect(200);
        s.get("/api/withdrawal_instructions/2121").await.assert_error(404, "resource_not_found", "");
    })
    .await;
}

#[tokio::test]
async fn faults_leave_other_connections_open() {
    sandbox(async |s| {
        let mut other = Wire::open(s.server().address).await;
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: your_api_key\r\n\r\n");
        other.send(get("/api/users")).await;
        other.answer().await.expect(200);
        for effect in ["close", "reset", "truncate"] {
            put(s, &json!([{"path": "/api/users/me", effect: true}])).await.expect(200);
            let broken = s.client.get(s.url("/api/users/me")).header("Authorization", "your_api_key");
            let is_whole = match broken.send().await {
                Ok(response) => response.text().await.is_ok(),
                Err(_) => false,
            };
            assert!(!is_whole, "{effect}");
            other.send(get("/api/users")).await;
            other.answer().await.expect(200);
            send(s.client.get(s.url("/_sandbox/health/ready"))).await.expect(200);
        }
    })
    .await;
}
