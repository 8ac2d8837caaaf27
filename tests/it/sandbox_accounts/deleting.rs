//! Deletion of accounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::{ACCOUNTS, OUTPUTS, add_outputs, count, wait_for_count, wait_until_gone};
use crate::support::{
    Account, Receiver, Wire, documented_output, dump, rows, sandbox, sandbox_with, send, tables, within,
};

#[tokio::test]
async fn account_delete_removes_every_row() {
    sandbox(async |s| {
        let receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let accounts = [s.account(json!({})).await, s.account(json!({})).await];
        for account in &accounts {
            account.listen(&receiver.url()).await;
            account.create_output().await;
            let estimate = json!({"data": {"type": "concierge_estimates", "attributes": {"port_code": "cl_clp",
                "outputs": [{"port_code": "us_usd", "budget": 1}]}}});
            account.post("/api/concierge_estimates", &estimate).await.expect(201);
            account.settle().await;
            let fault = json!({"data": [{"path": "/api/users/me", "status": 503}]});
            account.send(Method::PUT, "/_sandbox/faults", &fault).await.expect(200);
        }
        let row = accounts[0].row(s.database()).await;
        let sql = "select count(distinct split_part(line, ' ', 1)) from unnest($1::text[]) as line";
        let full: i64 =
            sqlx::query_scalar(sql).bind(dump(s.database(), row).await).fetch_one(s.database()).await.unwrap();
        let all = tables(s.database()).await.len();
        assert_eq!(usize::try_from(full).unwrap(), all, "the account has rows in every table");
        let other = accounts[1].row(s.database()).await;
        let (default, before) = (dump(s.database(), 1).await, dump(s.database(), other).await);

        let read_only = Account::of(&s.url(""), &accounts[0].read_only_key);
        read_only.delete("/_sandbox/accounts/me").await.assert_error(401, "not_enough_permissions", "Authorization");
        let path = format!("{ACCOUNTS}/{}", accounts[0].name);
        read_only.delete(&path).await.assert_error(401, "not_enough_permissions", "Authorization");
        accounts[0].delete(&format!("{path}?now=1")).await.assert_error(400, "parameter_unknown", "now");
        // a key of another account finds none
        for stranger in [&accounts[1], s] {
            stranger.delete(&path).await.assert_error(404, "resource_not_found", "");
        }
        send(s.client.delete(s.url(&path))).await.assert_error(401, "invalid_api_key", "Authorization");
        assert!(rows(s.database(), row).await > 0);
        accounts[0].delete(&path).await.expect(204);
        assert_eq!(rows(s.database(), row).await, 0);
        for key in [&accounts[0].key, &accounts[0].read_only_key] {
            let request = s.client.get(s.url("/api/users/me")).header("Authorization", key);
            send(request).await.assert_error(401, "invalid_api_key", "Authorization");
        }
        accounts[0].post(OUTPUTS, &documented_output()).await.assert_error(401, "invalid_api_key", "Authorization");
        s.delete(&path).await.assert_error(404, "resource_not_found", "");
        s.get(&path).await.assert_error(404, "resource_not_found", "");
        assert_eq!(dump(s.database(), 1).await, default);
        assert_eq!(dump(s.database(), other).await, before);
    })
    .await;
}

#[tokio::test]
async fn account_delete_works_for_the_default_account() {
    let token = "let me in";
    sandbox_with(
        |config| config.admin_token = Some(token.to_owned()),
        async |s| {
            s.create_output().await;
            s.delete("/_sandbox/accounts/default").await.expect(204);
            s.get("/api/users").await.assert_error(401, "invalid_api_key", "Authorization");
            assert_eq!(Account::of(&s.url(""), token).get(ACCOUNTS).await.expect(200)["data"], json!([]));
            // an estimate needs neither key nor account
            let estimate = json!({"data": {"type": "concierge_estimates", "attributes": {"port_code": "cl_clp",
            "outputs": [{"port_code": "us_usd", "budget": 1}]}}});
            let request = s.client.post(s.url("/api/concierge_estimates"));
            send(request.header("Content-Type", "application/json").body(estimate.to_string())).await.expect(201);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_delete_works_during_background_work() {
    for round in 0..2 {
        sandbox_with(
            |config| config.check_delay = Duration::ZERO,
            async |s| {
                let account = Arc::new(s.account(json!({})).await);
                let mut hanging = Receiver::hanging().await;
                account.listen(&hanging.url()).await;
                let row = account.row(s.database()).await;
                add_outputs(s.database(), row, 2500).await;
                let is_done = Arc::new(AtomicBool::new(false));
                let mut posting = JoinSet::new();
                for _ in 0..8 {
                    let (account, is_done) = (Arc::clone(&account), Arc::clone(&is_done));
                    posting.spawn(async move {
                        let mut statuses = Vec::new();
                        while !is_done.load(Ordering::Relaxed) {
                            statuses.push(account.post(OUTPUTS, &documented_output()).await.status);
                        }
                        statuses
                    });
                }
                s.clock.advance(Duration::from_millis(1));
                let accepted = "select count(*) from events where account_id = $1";
                wait_for_count(s.database(), accepted, row, 500 * (round + 1)).await;
                hanging.call().await;
                account.delete("/_sandbox/accounts/me").await.expect(204);
                is_done.store(true, Ordering::Relaxed);
                let statuses = within(posting.join_all()).await.concat();
                // before, after or during the deletion
                assert!(statuses.iter().all(|status| [201, 401, 404, 503].contains(status)), "{statuses:?}");
                assert!(statuses.contains(&201), "{statuses:?}");
                s.tell(Duration::from_secs(1)).await;
                assert_eq!(rows(s.database(), row).await, 0);
                assert_eq!(s.create_output().await, "32323", "other accounts keep working");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn account_delete_skips_locked_rows_without_a_deadlock() {
    sandbox(async |s| {
        let account = Arc::new(s.account(json!({})).await);
        let row = account.row(s.database()).await;
        add_outputs(s.database(), row, 20).await;
        // locks one output and later another one, like a series of transitions
        let mut moving = s.database().begin().await.unwrap();
        let hold = "select 1 from concierge_request_outputs where account_id = $1 and id = $2 for no key update";
        sqlx::query(hold).bind(row).bind(100_020).execute(&mut *moving).await.unwrap();
        let deleting = Arc::clone(&account);
        let deleting = tokio::spawn(async move { deleting.delete("/_sandbox/accounts/me").await });
        let left = "select count(*) from concierge_request_outputs where account_id = $1";
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock' and query like 'delete%'";
        within(async { while count(s.database(), left, row).await > 1 && s.count(waiting).await == 0 {} }).await;
        sqlx::query(hold).bind(row).bind(100_001).execute(&mut *moving).await.unwrap();
        moving.commit().await.unwrap();
        within(deleting).await.unwrap().expect(204);
        assert_eq!(rows(s.database(), row).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_delete_completes_after_the_client_hangs_up() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        let row = account.row(s.database()).await;
        let mut holding = s.database().begin().await.unwrap();
        let hold = "select 1 from accounts where id = $1 for no key update";
        sqlx::query(hold).bind(row).execute(&mut *holding).await.unwrap();
        let mut wire = Wire::open(s.server().address).await;
        let (path, key) = (format!("{ACCOUNTS}/{}", account.name), &account.key);
        wire.send(format!("DELETE {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n")).await;
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock' and query like '%for no key update of a'";
        within(async { while s.count(waiting).await == 0 {} }).await;
        drop(wire);
        // gives the server time to notice the closed connection
        for _ in 0..20 {
            account.get("/api/users/me").await.expect(200);
        }
        holding.commit().await.unwrap();
        wait_until_gone(s.database(), row).await;
        account.get("/api/users/me").await.assert_error(401, "invalid_api_key", "Authorization");
    })
    .await;
}
