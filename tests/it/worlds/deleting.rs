//! How accounts end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::{ACCOUNTS, OUTPUTS, count, fill, until, until_gone};
use crate::support::{Account, Receiver, Sandbox, Wire, documented_output, dump, rows, send, tables, within};

#[tokio::test]
async fn of_a_deleted_account_nothing_is_left() {
    let sandbox = Sandbox::start().await;
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let accounts = [sandbox.account(json!({})).await, sandbox.account(json!({})).await];
    for account in &accounts {
        account.listen(&receiver.url()).await;
        account.create_output().await;
        let estimate = json!({"data": {"type": "concierge_estimates", "attributes": {"port_code": "cl_clp",
            "outputs": [{"port_code": "us_usd", "budget": 1}]}}});
        account.post("/api/concierge_estimates", &estimate).await.expect(201);
        account.settle().await;
        let fault = json!({"faults": [{"path": "/api/users/me", "status": 503}]});
        account.send(Method::PUT, "/_sandbox/faults", &fault).await.expect(200);
    }
    let row = accounts[0].row(&sandbox.database).await;
    let sql = "select count(distinct split_part(line, ' ', 1)) from unnest($1::text[]) as line";
    let full: i64 =
        sqlx::query_scalar(sql).bind(dump(&sandbox.database, row).await).fetch_one(&sandbox.database).await.unwrap();
    let all = tables(&sandbox.database).await.len();
    assert_eq!(usize::try_from(full).unwrap(), all, "it has rows in every table");
    let other = accounts[1].row(&sandbox.database).await;
    let (default, before) = (dump(&sandbox.database, 1).await, dump(&sandbox.database, other).await);

    let read_only = Account::of(&sandbox.url(""), &accounts[0].read_only_key);
    read_only.delete("/_sandbox/accounts/me").await.assert_error(401, "not_enough_permissions", "Authorization");
    let path = format!("{ACCOUNTS}/{}", accounts[0].name);
    sandbox.delete(&format!("{path}?now=1")).await.assert_error(400, "parameter_unknown", "now");
    assert!(rows(&sandbox.database, row).await > 0);
    sandbox.delete(&path).await.expect(204);
    assert_eq!(rows(&sandbox.database, row).await, 0);
    for key in [&accounts[0].key, &accounts[0].read_only_key] {
        let request = sandbox.client.get(sandbox.url("/api/users/me")).header("Authorization", key);
        send(request).await.assert_error(401, "invalid_api_key", "Authorization");
    }
    accounts[0].post(OUTPUTS, &documented_output()).await.assert_error(401, "invalid_api_key", "Authorization");
    sandbox.delete(&path).await.assert_error(404, "resource_not_found", "");
    sandbox.get(&path).await.assert_error(404, "resource_not_found", "");
    assert_eq!(dump(&sandbox.database, 1).await, default);
    assert_eq!(dump(&sandbox.database, other).await, before);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_default_account_can_be_deleted_too() {
    let sandbox = Sandbox::start().await;
    sandbox.create_output().await;
    sandbox.delete("/_sandbox/accounts/default").await.expect(204);
    sandbox.get("/api/users").await.assert_error(401, "invalid_api_key", "Authorization");
    assert_eq!(sandbox.get(ACCOUNTS).await.expect(200)["accounts"], json!([]));
    // an estimate needs no key, and no account
    let estimate = json!({"data": {"type": "concierge_estimates", "attributes": {"port_code": "cl_clp",
        "outputs": [{"port_code": "us_usd", "budget": 1}]}}});
    let request = sandbox.client.post(sandbox.url("/api/concierge_estimates"));
    send(request.header("Content-Type", "application/json").body(estimate.to_string())).await.expect(201);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_ends_amid_its_work() {
    for round in 0..2 {
        let sandbox = Sandbox::start_with(|config| config.check_delay = Duration::ZERO).await;
        let account = Arc::new(sandbox.account(json!({})).await);
        let mut hanging = Receiver::hanging().await;
        account.listen(&hanging.url()).await;
        let row = account.row(&sandbox.database).await;
        fill(&sandbox.database, row, 2500).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut posting = JoinSet::new();
        for _ in 0..8 {
            let (account, is_over) = (Arc::clone(&account), Arc::clone(&is_over));
            posting.spawn(async move {
                let mut statuses = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    statuses.push(account.post(OUTPUTS, &documented_output()).await.status);
                }
                statuses
            });
        }
        sandbox.clock.advance(Duration::from_millis(1));
        let accepted = "select count(*) from events where account_id = $1";
        until(&sandbox.database, accepted, row, 500 * (round + 1)).await;
        hanging.call().await;
        account.delete("/_sandbox/accounts/me").await.expect(204);
        is_over.store(true, Ordering::Relaxed);
        let statuses = within(posting.join_all()).await.concat();
        // in time, too late, or while it went
        assert!(statuses.iter().all(|status| [201, 401, 404, 503].contains(status)), "{statuses:?}");
        assert!(statuses.contains(&201), "{statuses:?}");
        sandbox.tell(Duration::from_secs(1)).await;
        assert_eq!(rows(&sandbox.database, row).await, 0);
        assert_eq!(sandbox.create_output().await, "32323", "the others go on");
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn what_is_under_way_is_passed_over_and_never_waited_for_with_something_in_hand() {
    let sandbox = Sandbox::start().await;
    let account = Arc::new(sandbox.account(json!({})).await);
    let row = account.row(&sandbox.database).await;
    fill(&sandbox.database, row, 20).await;
    // as whoever moves one output, and then another one
    let mut moving = sandbox.database.begin().await.unwrap();
    let hold = "select 1 from concierge_request_outputs where account_id = $1 and id = $2 for no key update";
    sqlx::query(hold).bind(row).bind(100_020).execute(&mut *moving).await.unwrap();
    let deleting = Arc::clone(&account);
    let deleting = tokio::spawn(async move { deleting.delete("/_sandbox/accounts/me").await });
    let left = "select count(*) from concierge_request_outputs where account_id = $1";
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like 'delete%'";
    within(async { while count(&sandbox.database, left, row).await > 1 && sandbox.count(waiting).await == 0 {} }).await;
    sqlx::query(hold).bind(row).bind(100_001).execute(&mut *moving).await.unwrap();
    moving.commit().await.unwrap();
    within(deleting).await.unwrap().expect(204);
    assert_eq!(rows(&sandbox.database, row).await, 0);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_does_not_stop_it() {
    let sandbox = Sandbox::start().await;
    let account = sandbox.account(json!({})).await;
    let row = account.row(&sandbox.database).await;
    let mut holding = sandbox.database.begin().await.unwrap();
    let hold = "select 1 from accounts where id = $1 for no key update";
    sqlx::query(hold).bind(row).execute(&mut *holding).await.unwrap();
    let mut wire = Wire::open(sandbox.server().address).await;
    wire.send(format!("DELETE {ACCOUNTS}/{} HTTP/1.1\r\nHost: x\r\n\r\n", account.name)).await;
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like '%for no key update of a'";
    within(async { while sandbox.count(waiting).await == 0 {} }).await;
    drop(wire);
    // by when the server has noticed
    for _ in 0..20 {
        account.get("/api/users/me").await.expect(200);
    }
    holding.commit().await.unwrap();
    until_gone(&sandbox.database, row).await;
    account.get("/api/users/me").await.assert_error(401, "invalid_api_key", "Authorization");
    sandbox.stop().await;
}
