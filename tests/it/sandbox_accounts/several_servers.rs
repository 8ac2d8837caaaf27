//! Several servers with one database share its accounts.

use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use sqlx::postgres::PgPool;
use time::OffsetDateTime;

use super::RESET;
use crate::support::{Account, Receiver, count, database, within};

#[tokio::test]
async fn reset_on_one_server_applies_to_all_servers() {
    database(async |database| {
        let servers = [database.program(&[]).await, database.program(&[]).await];
        let one = Account::make(&servers[0].base, &json!({})).await;
        let other = one.at(&servers[1].base);
        // both servers have leased ids from before the reset
        let mut old = vec![one.create_output().await, other.create_output().await, one.create_output().await];
        old.sort_unstable();
        assert_eq!(old, ["32323", "32324", "32339"], "each server uses its own block of ids");
        one.post(RESET, &json!({"clock": {"now": "2030-01-01T00:00:00Z"}})).await.expect(204);
        assert_eq!(other.now().await, "2030-01-01T00:00:00.000Z");
        assert_eq!(other.get("/api/concierge_request_outputs").await.expect(200)["data"], json!([]));
        assert_eq!(other.create_output().await, "32323", "the old lease of ids is void");
        assert_eq!(one.create_output().await, "32339");
        assert_eq!(other.create_output().await, "32324");
        assert_eq!(one.events().await.len(), 3);
        other.post(RESET, &json!({})).await.expect(204);
        assert_eq!(one.create_output().await, "32323");
        other.delete("/_sandbox/accounts/me").await.expect(204);
        let request = one
            .post(
                "/api/concierge_requests",
                &json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}}),
            )
            .await;
        request.assert_error(401, "invalid_api_key", "Authorization");
    })
    .await;
}

#[tokio::test]
async fn clock_advance_on_one_server_applies_to_all_servers() {
    database(async |database| {
        let servers = [database.program(&[]).await, database.program(&[]).await];
        let one = Account::make(&servers[0].base, &json!({"clock": {"now": "2030-01-01T00:00:00Z"}})).await;
        let other = one.at(&servers[1].base);
        let mut receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        one.listen(&receiver.url()).await;
        let output = other.create_output().await;
        one.advance_by("PT1S").await;
        assert_eq!(other.state_of(&output).await, "accepted");
        assert_eq!(other.now().await, "2030-01-01T00:00:01.000Z");
        for _ in 0..2 {
            receiver.call().await;
        }
        // of two concurrent advances, both apply or one gets 409
        let hour = json!({"by": "PT1H"});
        let path = "/_sandbox/clock/advance";
        let (first, second) = tokio::join!(one.post(path, &hour), other.post(path, &hour));
        let applied = [&first, &second].iter().filter(|answer| answer.status == 200).count();
        for answer in [&first, &second] {
            if answer.status != 200 {
                answer.assert_error(409, "clock_moved", "");
            }
        }
        assert_eq!(one.now().await, ["", "2030-01-01T01:00:01.000Z", "2030-01-01T02:00:01.000Z"][applied]);
        assert_eq!(receiver.calls(), [], "each event is delivered once");
        // a running clock runs on after an advance by either server
        one.post("/_sandbox/clock/resume", &json!({})).await.expect(200);
        for _ in 0..5 {
            tokio::join!(one.post(path, &hour), other.post(path, &hour));
            assert_eq!(one.get("/_sandbox/clock").await.expect(200)["frozen"], false);
        }
    })
    .await;
}

/// Reads the end of the lease on a running advance.
async fn advance_lease_end(database: &PgPool) -> Option<OffsetDateTime> {
    sqlx::query_scalar("select max(walked_until) from accounts").fetch_one(database).await.unwrap()
}

#[tokio::test]
async fn running_clock_resumes_after_its_advancing_server_dies() {
    database(async |database| {
        let server = database.program(&[]).await;
        let account = Account::make(&server.base, &json!({})).await;
        let mut receiver = Receiver::hanging().await;
        account.listen(&receiver.url()).await;
        account.create_output().await;
        let pool = database.pool();
        let hour = json!({"by": "PT1H"});
        let lease_extended = async {
            receiver.call().await;
            // the server extends its lease during the advance
            let first = advance_lease_end(pool).await.unwrap();
            within(async { while advance_lease_end(pool).await <= Some(first) {} }).await;
        };
        tokio::select! {
            answer = account.post("/_sandbox/clock/advance", &hour) => panic!("{answer:?} before its event was received"),
            () = lease_extended => {}
        }
        server.signal(Signal::KILL);
        server.ended().await;
        let other = database.program(&["--webhook-timeout", "1s"]).await;
        let account = account.at(&other.base);
        let now = account.now().await;
        assert_eq!(account.now().await, now, "the clock stands while the lease lasts");
        let ends = "update accounts set walked_until = clock_timestamp() where walked_until is not null";
        assert_eq!(sqlx::query(ends).execute(pool).await.unwrap().rows_affected(), 1);
        within(async { while account.now().await == now {} }).await;
        assert_eq!(account.get("/_sandbox/clock").await.expect(200)["frozen"], false);
        let wait = "/_sandbox/wait?resource=concierge_request_outputs/32323&state=accepted&timeout=30s";
        account.get(wait).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn account_delete_on_one_server_stops_work_on_another() {
    database(async |database| {
        let servers = [database.program(&[]).await, database.program(&[]).await];
        let one = Account::make(&servers[0].base, &json!({})).await;
        let delays = json!({"check_delay": "PT0S"});
        one.patch("/_sandbox/settings", &delays).await.expect(200);
        for _ in 0..40 {
            let other = one.at(&servers[1].base);
            tokio::join!(one.create_output(), other.create_output());
        }
        one.delete("/_sandbox/accounts/me").await.expect(204);
        let left = "select count(*) from concierge_request_outputs";
        within(async { while count(database, left).await > 0 {} }).await;
        // the default account isn't affected
        for server in &servers {
            server.create_output().await;
            let client = crate::support::client();
            let ready = server.request(&client, Method::GET, "/_sandbox/health/ready").timeout(Duration::from_secs(5));
            assert_eq!(ready.send().await.unwrap().status(), 200);
        }
    })
    .await;
}

#[tokio::test]
async fn freeze_on_one_server_aborts_an_advance_on_another() {
    database(async |database| {
        let servers = [database.program(&[]).await, database.program(&[]).await];
        let one = Account::make(&servers[0].base, &json!({})).await;
        let other = one.at(&servers[1].base);
        let (mut receiver, go) = Receiver::gated().await;
        one.listen(&receiver.url()).await;
        one.create_output().await;
        let hour = json!({"by": "PT1H"});
        let stopping = async {
            receiver.call().await;
            let stopped = other.post("/_sandbox/clock/freeze", &json!({})).await.expect(200);
            for _ in 0..2 {
                go.notify_one();
            }
            stopped
        };
        let (advanced, stopped) = tokio::join!(one.post("/_sandbox/clock/advance", &hour), stopping);
        advanced.assert_error(409, "clock_moved", "");
        assert_eq!(stopped["frozen"], true);
        let clock = one.get("/_sandbox/clock").await.expect(200);
        assert_eq!((&clock["now"], &clock["frozen"]), (&stopped["now"], &json!(true)));
    })
    .await;
}
