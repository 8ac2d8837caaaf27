//! Effects of faults on requests: status, latency, order, and exact counts.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::{OUTPUTS, PATH, hits, put, shown, statuses, with_key};
use crate::support::{Wire, account, documented_output, sandbox, send};

const OUTPUT_COUNT: &str = "select count(*) from concierge_request_outputs";

#[tokio::test]
async fn status_fault_answers_without_effect() {
    account(async |s| {
        let fault = json!({"method": "POST", "path": OUTPUTS, "status": 503, "retry_after": 7, "times": 2});
        put(s, &json!([fault])).await.expect(200);
        for hit in 1..=2 {
            let answer = s.post(OUTPUTS, &documented_output()).await;
            answer.assert_error(503, "fault_injected", "");
            assert_eq!(answer.headers["retry-after"], "7");
            assert_eq!(hits(s).await, [hit]);
        }
        assert_eq!(shown(s).await[0]["remaining"], 0);
        assert_eq!(s.count(OUTPUT_COUNT).await, 0);
        // no id was used up either
        assert_eq!(s.create_output().await, "32323");
        assert_eq!(hits(s).await, [2]);
    })
    .await;
}

#[tokio::test]
async fn every_error_status_can_be_injected() {
    account(async |s| {
        for status in [400, 401, 404, 409, 418, 422, 429, 451, 500, 502, 504, 599] {
            put(s, &json!([{"path": "/api/**", "status": status}])).await.expect(200);
            s.get("/api/users/me").await.assert_error(status, "fault_injected", "");
            // unknown paths included
            s.get("/api/nowhere").await.assert_error(status, "fault_injected", "");
        }
    })
    .await;
}

#[tokio::test]
async fn after_and_times_limit_the_hits() {
    account(async |s| {
        put(s, &json!([{"path": "/api/users/*", "status": 500, "after": 2, "times": 3}])).await.expect(200);
        // requests without a match are not counted
        s.get("/api/users").await.expect(200);
        s.get(OUTPUTS).await.expect(200);
        assert_eq!(statuses(s, 7, "/api/users/me").await, [200, 200, 500, 500, 500, 200, 200]);
        let fault = &shown(s).await[0];
        assert_eq!((&fault["hits"], &fault["remaining"], &fault["after"]), (&json!(3), &json!(0), &json!(2)));
        // a list sent again counts from zero
        put(s, &json!([{"path": "/api/users/*", "status": 500, "after": 1, "times": 1}])).await.expect(200);
        assert_eq!(statuses(s, 4, "/api/users/me").await, [200, 500, 200, 200]);
    })
    .await;
}

#[tokio::test]
async fn first_matching_fault_with_hits_left_acts() {
    account(async |s| {
        let faults = json!([
            {"method": "POST", "path": "/api/users", "status": 501},
            {"path": "/api/users", "status": 500, "times": 1},
            {"path": "/api/users", "status": 502, "after": 1, "times": 1},
            {"path": "/api/**", "status": 503, "times": 2},
            {"method": "GET", "path": "/api/users", "status": 504},
        ]);
        put(s, &faults).await.expect(200);
        // the third lets the request pass that the first two leave, and the fourth takes it
        assert_eq!(statuses(s, 6, "/api/users").await, [500, 503, 502, 503, 504, 504]);
        assert_eq!(hits(s).await, [0, 1, 1, 2, 2]);
        let remaining: Vec<Value> = shown(s).await.iter().map(|fault| fault["remaining"].clone()).collect();
        assert_eq!(remaining, [json!(null), json!(0), json!(0), json!(0), json!(null)]);
    })
    .await;
}

#[tokio::test]
async fn latency_delays_a_request_and_keeps_its_effect() {
    account(async |s| {
        let faults = json!([
            {"method": "POST", "path": OUTPUTS, "latency": "150ms"},
            {"path": "/api/users/me", "latency": "150ms", "status": 504},
        ]);
        put(s, &faults).await.expect(200);
        let begun = Instant::now();
        assert_eq!(s.create_output().await, "32323");
        assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
        let begun = Instant::now();
        s.get("/api/users/me").await.assert_error(504, "fault_injected", "");
        assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
        assert_eq!(hits(s).await, [1, 1]);
    })
    .await;
}

#[tokio::test]
async fn delayed_body_of_any_size_arrives_whole() {
    account(async |s| {
        put(s, &json!([{"method": "POST", "path": "/api/**", "latency": "20ms"}])).await.expect(200);
        for size in [0, 16_300, 16_384, 40_000, 900_000] {
            let attributes = json!({"body": {"bank": "xyz".repeat(size / 3)}});
            let document = json!({"data": {"type": "withdrawal_instructions", "attributes": attributes}});
            let made = s.post("/api/withdrawal_instructions", &document).await.expect(201);
            assert_eq!(made["data"]["attributes"]["body"], attributes["body"], "{size}");
        }
        let action = s.act("1010", "cancel").await.expect(200);
        assert_eq!(action["data"]["attributes"]["state"], "cancelled");
        s.post("/api/users", &json!("x".repeat(2 << 20))).await.assert_error(413, "body_too_large", "");
    })
    .await;
}

#[tokio::test]
async fn faults_affect_only_their_account() {
    sandbox(async |s| {
        s.second_account("another_key").await;
        put(s, &json!([{"path": "/api/**", "status": 500}])).await.expect(200);
        with_key(s, "another_key", Method::GET, "/api/users").await.expect(200);
        let theirs = with_key(s, "another_key", Method::GET, PATH).await.expect(200);
        assert_eq!(theirs["data"], json!([]));
        with_key(s, "another_key", Method::DELETE, PATH).await.expect(204);
        // requests with an unknown key, and without a key
        with_key(s, "nope", Method::GET, "/api/users").await.assert_error(401, "invalid_api_key", "Authorization");
        send(s.client.get(s.url("/api/concierge_ports"))).await.expect(200);
        assert_eq!(hits(s).await, [0]);
        // every key of the account, for every acting user
        for key in ["your_api_key", "your_read_only_api_key", "your_api_key; user=20202", " your_api_key ;user=7"] {
            with_key(s, key, Method::GET, "/api/users").await.assert_error(500, "fault_injected", "");
        }
        s.get("/api/users/").await.assert_error(500, "fault_injected", "");
        assert_eq!(hits(s).await, [5]);
    })
    .await;
}

#[tokio::test]
async fn control_plane_is_never_affected() {
    account(async |s| {
        put(s, &json!([{"path": "/api/**", "close": true}])).await.expect(200);
        for path in [PATH, "/_sandbox/events", "/_sandbox/requests", "/_sandbox/advice", "/_sandbox/health/ready"] {
            s.get(path).await.expect(200);
        }
        s.get("/apiary").await.assert_error(404, "route_unknown", "");
        assert_eq!(hits(s).await, [0]);
        s.delete(PATH).await.expect(204);
        s.get("/api/users").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn concurrent_requests_are_counted_exactly() {
    account(async |s| {
        let faults = json!([
            {"path": "/api/users/me", "status": 500, "after": 5, "times": 7},
            {"path": "/api/users/*", "status": 502, "times": 4},
        ]);
        put(s, &faults).await.expect(200);
        let asking = (0..40).map(|_| s.get("/api/users/me"));
        let answers = futures_util::future::join_all(asking).await;
        let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(500), count(502), count(200)), (7, 4, 29));
        assert_eq!(hits(s).await, [7, 4]);
    })
    .await;
}

#[tokio::test]
async fn refused_body_is_read_to_its_end() {
    sandbox(async |s| {
        put(s, &json!([{"path": "/api/**", "status": 500}])).await.expect(200);
        let mut wire = Wire::open(s.server().address).await;
        for length in [1, 1 << 20, 4 << 20] {
            // the body is read to its end, so that the client reads the answer and reuses the connection
            wire.post(OUTPUTS, &format!("Content-Length: {length}")).await;
            wire.send("x".repeat(length)).await;
            wire.answer().await.assert_error(500, "fault_injected", "");
            wire.post(OUTPUTS, &format!("Prefer: code=502\r\nContent-Length: {length}")).await;
            wire.send("x".repeat(length)).await;
            wire.answer().await.assert_error(502, "fault_injected", "");
        }
        put(s, &json!([{"path": "/api/**", "close": true}])).await.expect(200);
        wire.post(OUTPUTS, &format!("Content-Length: {}", 1 << 20)).await;
        wire.send("x".repeat(1 << 20)).await;
        assert_eq!(wire.end().await, (String::new(), None), "closed, and not reset because of unread bytes");
    })
    .await;
}
