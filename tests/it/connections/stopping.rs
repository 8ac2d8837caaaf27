//! The end of the server while connections are open.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Account, Receiver, Wire, client, database, send, within};

/// Time for the whole program to end. On a quiet machine it takes a quarter of it.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn whatever_waits_is_answered_and_the_server_ends() {
    database(async |database| {
        let server = database.program(&[]).await;
        let mut receiver = Receiver::hanging().await;
        let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
        let set = server.request(&client(), reqwest::Method::PATCH, "/api/users/me").json(&url);
        send(set).await.expect(200);
        let fault = json!({"data": [{"method": "DELETE", "path": "/api/withdrawal_instructions/*", "latency": "1m"}]});
        let set = server.request(&client(), reqwest::Method::PUT, "/_sandbox/faults").json(&fault);
        send(set).await.expect(200);
        server.create_output().await;
        // the event of another account comes with its advance
        let advancing = Account::make(&server.base, &json!({"clock": {"now": "2030-01-01T00:00:00Z"}})).await;
        advancing.create_output().await;
        advancing.listen(&receiver.url()).await;

        let head = "HTTP/1.1\r\nHost: x\r\nAuthorization: your_api_key\r\n";
        let wait = "GET /_sandbox/wait?resource=concierge_requests/1010&state=cancelled&timeout=10m";
        let mut waiting = Vec::new();
        for request in [
            format!("{wait} {head}\r\n"),
            format!("POST /_sandbox/settle {head}\r\n"),
            format!("POST /_sandbox/clock/advance HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{{\"by\":\"P1D\"}}", advancing.key),
            format!("DELETE /api/withdrawal_instructions/2121 {head}\r\n"),
            format!("POST /api/users {head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"),
        ] {
            let mut wire = Wire::open(server.address()).await;
            wire.send(&request).await;
            waiting.push((request, wire));
        }
        let mut half = Wire::open(server.address()).await;
        half.send("GET / HTTP/1.1\r\nHost").await;
        // the advance has reached its first event
        while !String::from_utf8(receiver.call().await.body).unwrap().contains("2030-01-01T00:00:01") {}
        // a request on a later connection is answered: the earlier ones are at work
        server.get("/_sandbox/faults").await;
        let began = Instant::now();
        server.signal(Signal::TERM);
        for (request, mut wire) in waiting {
            let answer = wire.answer().await;
            assert_eq!(answer.status, 503, "{request}: {answer:?}");
            assert!(answer.text.contains("the server is stopping"), "{request}: {answer:?}");
            // repeated, an advance would go on further
            let is_advance = request.contains("/advance");
            let code = if is_advance { "outcome_unknown" } else { "unavailable" };
            assert_eq!(answer.body["errors"][0]["code"], code, "{request}");
            let retry_after = answer.headers.get("retry-after").map(|value| value.to_str().unwrap());
            assert_eq!(retry_after, (!is_advance).then_some("1"), "{request}");
            assert_eq!(answer.headers["connection"], "close", "{request}");
            assert_eq!(wire.rest().await, "");
        }
        assert_eq!(half.rest().await, "");
        let ended = within(server.ended()).await;
        assert!(ended.status.success(), "{ended:?}");
        assert!(began.elapsed() < SOON, "{:?}: {ended:?}", began.elapsed());
    })
    .await;
}
