//! Snapshots hold a whole account, and restore it.

use std::collections::BTreeSet;
use std::time::Duration;

use concierge_sandbox::accounts::store::TABLES;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{NOT_COPIED, OUTPUTS, PATH, PRESENT, account_rows, as_key, assert_same, restore, take, use_every_table};
use crate::support::{Receiver, documented_output, sandbox, sandbox_with, send};

#[tokio::test]
async fn restore_returns_an_account_to_its_snapshot() {
    sandbox(async |s| {
        assert_eq!(s.create_output().await, "32323");
        s.advance(Duration::from_secs(1)).await;
        let taken = take(s, "before-quote").await;
        let counts = json!({"users": 2, "withdrawal_instructions": 1, "concierge_requests": 1,
            "concierge_request_outputs": 1, "events": 2});
        let shown =
            json!({"name": "before-quote", "taken_at": "2019-11-25T12:53:03.741Z", "frozen": false, "counts": counts});
        assert_eq!(taken, shown);
        assert_eq!(s.get(PATH).await.expect(200)["data"], json!([shown]));
        for _ in 0..2 {
            assert_eq!(s.create_output().await, "32324", "ids continue from the snapshot");
            let user = json!({"data": {"type": "users", "attributes": {"email": "ana@example.com"}}});
            assert_eq!(s.create("/api/users", &user).await, "50506");
            s.act("1010", "request_quote").await.expect(200);
            s.advance(Duration::from_mins(1)).await;
            assert_eq!(s.attributes_of("1010").await["state"], "quoted");
            restore(s, "before-quote").await;
            assert_eq!(s.attributes_of("1010").await["state"], "draft");
            assert_eq!(s.state_of("32323").await, "accepted");
            s.get(&format!("{OUTPUTS}/32324")).await.assert_error(404, "resource_not_found", "");
            s.get("/api/users/50506").await.assert_error(404, "resource_not_found", "");
            let clock = s.get("/_sandbox/clock").await.expect(200);
            assert_eq!(clock["now"], "2019-11-25T12:53:03.741Z");
        }
        // both keys reach the restored account
        let read = as_key(s, "your_read_only_api_key", Method::GET, "/api/concierge_requests/1010", &json!({})).await;
        assert_eq!(read.expect(200)["data"]["attributes"]["state"], "draft");
    })
    .await;
}

#[tokio::test]
async fn snapshot_copies_every_table_and_column() {
    sandbox(async |s| {
        let sql = "select table_name::text from information_schema.columns
            where table_schema = 'public' and column_name = 'account_id'";
        let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(s.database()).await.unwrap();
        let copied: BTreeSet<&str> = TABLES.into_iter().collect();
        let present: BTreeSet<&str> =
            tables.iter().map(String::as_str).filter(|table| !NOT_COPIED.contains(table)).collect();
        assert_eq!(present, copied, "a new table belongs into TABLES or NOT_COPIED");
        use_every_table(s).await;
        for table in TABLES.into_iter().chain(["accounts"]) {
            let sql = format!("alter table {table} add column new text; update {table} set new = 'kept'");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(s.database()).await.unwrap();
        }
        let before = account_rows(s, PRESENT).await;
        for (table, rows) in &before {
            assert!(rows.iter().any(|row| row.contains("kept")), "{table} has no row to lose");
        }
        let lease =
            "update deliveries set leased_by = gen_random_uuid(), leased_until = '2100-01-01' where state = 'due'";
        assert_ne!(sqlx::query(lease).execute(s.database()).await.unwrap().rows_affected(), 0);
        take(s, "all").await;
        assert_same(&account_rows(s, "snapshot_name = 'all'").await, &before);
        assert_same(&account_rows(s, PRESENT).await, &before); // taking a snapshot changes nothing
        s.post("/_sandbox/reset", &json!({})).await.expect(204);
        assert_ne!(account_rows(s, PRESENT).await, before);
        restore(s, "all").await;
        assert_same(&account_rows(s, PRESENT).await, &before);
        let leased = "select count(*) from deliveries d join accounts a on a.id = d.account_id and a.ended_at is null
            where leased_by is not null or leased_until is not null";
        assert_eq!(s.count(leased).await, 0, "leases aren't copied");
    })
    .await;
}

#[tokio::test]
async fn restore_brings_back_settings_and_keeps_all_keys() {
    sandbox(async |s| {
        s.patch("/_sandbox/settings", &json!({"progression": "manual", "check_delay": "7s"})).await.expect(200);
        let settings = s.get("/_sandbox/settings").await.expect(200);
        take(s, "manual").await;
        s.patch("/_sandbox/settings", &json!({"progression": "auto", "check_delay": null})).await.expect(200);
        // keys younger than the snapshot stay valid
        let key =
            "insert into api_keys select sha256('younger'), account_id, user_id, 'write', created_at from api_keys
            where level = 'read'";
        s.sql(key).await;
        let restored = as_key(s, "younger", Method::POST, &format!("{PATH}/manual/restore"), &json!({})).await;
        restored.expect(204);
        assert_eq!(s.get("/_sandbox/settings").await.expect(200), settings);
        let found = as_key(s, "younger", Method::GET, "/_sandbox/settings", &json!({})).await;
        assert_eq!(found.expect(200), settings);
        let account = s.get("/_sandbox/accounts/me").await.expect(200);
        assert_eq!(account["id"], "default");
        assert_eq!(s.get("/_sandbox/accounts").await.expect(200)["data"], json!([account]));
    })
    .await;
}

#[tokio::test]
async fn snapshot_is_consistent_during_other_work() {
    sandbox_with(
        |config| {
            (config.check_delay, config.step_delay) = (Duration::ZERO, Duration::ZERO);
        },
        async |s| {
            let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
            s.patch("/api/users/me", &url).await.expect(200);
            let work = async {
                let document = documented_output();
                for _ in 0..5 {
                    let posts = join_all((0..30).map(|_| s.post(OUTPUTS, &document))).await;
                    for answer in posts {
                        answer.expect(201);
                    }
                    s.tick().await;
                }
                s.act("1010", "request_quote").await.expect(200);
                s.tick().await;
                s.act("1010", "accept_quote").await.expect(200);
                for _ in 0..5 {
                    s.tick().await;
                }
            };
            let taken = async {
                for number in 0..12 {
                    take(s, &format!("number-{number}")).await;
                }
            };
            tokio::join!(work, taken);
            assert_eq!(s.attributes_of("1010").await["state"], "finished");
            // invariants of every snapshot are checked at the end of the test;
            // a restored snapshot continues to the end
            restore(s, "number-11").await;
            s.tick().await;
            drop(receiver);
        },
    )
    .await;
}

#[tokio::test]
async fn receipt_exists_only_while_its_request_does() {
    sandbox_with(
        |config| config.step_delay = Duration::ZERO,
        async |s| {
            s.create_output().await;
            s.advance(Duration::from_secs(1)).await;
            s.act("1010", "request_quote").await.expect(200);
            s.tick().await;
            s.act("1010", "accept_quote").await.expect(200);
            s.tick().await;
            let receipt = s.attributes_of("1010").await["receipt_url"].as_str().unwrap().to_owned();
            let status = async || send(s.client.get(&receipt).header("Accept", "application/json")).await.status;
            assert_eq!(status().await, 200);
            take(s, "finished").await;
            assert_eq!(status().await, 200);
            s.post("/_sandbox/reset", &json!({})).await.expect(204);
            assert_eq!(status().await, 404);
            restore(s, "finished").await;
            assert_eq!(status().await, 200);
        },
    )
    .await;
}
