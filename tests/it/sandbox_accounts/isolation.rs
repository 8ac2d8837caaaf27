//! No account waits for work, failures or locks of another account.

use serde_json::json;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

use super::{add_outputs, count, wait_for_count};
use crate::support::{Account, Program, database};

const SETTINGS: &str = "/_sandbox/settings";
const ACCEPTING: &str = "select count(*) from concierge_request_outputs where account_id = $1 and state = 'accepting'";
const ACCEPTED: &str = "select count(*) from concierge_request_outputs where account_id = $1 and state = 'accepted'";

/// Runs a test against a server with the machine's clock, and its database.
async fn serving(test: impl AsyncFnOnce(&Program, &PgPool)) {
    database(async |database| test(&database.program(&[]).await, database.pool()).await).await;
}

/// Creates an account with all delays at zero; returns it with its id in the database.
async fn quick(server: &Program, database: &PgPool) -> (Account, i64) {
    let account = Account::make(&server.base, &json!({})).await;
    let pace = json!({"check_delay": "PT0S", "quote_delay": "PT0S", "step_delay": "PT0S"});
    account.patch(SETTINGS, &pace).await.expect(200);
    let row = account.row(database).await;
    (account, row)
}

/// Waits until a resource of an account has a state.
async fn wait(account: &Account, resource: &str, state: &str) {
    account.get(&format!("/_sandbox/wait?resource={resource}&state={state}&timeout=30s")).await.expect(200);
}

#[tokio::test]
async fn account_does_not_wait_for_sixty_busy_accounts() {
    const EACH: i64 = 500;
    serving(async |server, database| {
        let mut crowd = Vec::new();
        for _ in 0..60 {
            crowd.push(quick(server, database).await.1);
        }
        let (small, _) = quick(server, database).await;
        let insert =
            "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
                port_code, amount, state, created_at, state_since, due_at)
            select a.id, 100000 + n, 1010, 20202, 2121, 'cl_clp', 1, 'accepting', t, t, t
            from unnest($1::bigint[]) a (id), generate_series(1, $2) n,
                (select timestamptz '2019-11-25T12:53:02.741Z') at (t)";
        let all = sqlx::query(insert).bind(&crowd).bind(EACH).execute(database).await.unwrap().rows_affected();
        let left = "select count(*) from concierge_request_outputs where account_id <> $1 and state = 'accepting'";
        let started = "select count(*) from concierge_request_outputs where account_id <> $1 and state = 'accepted'";
        wait_for_count(database, started, 0, 1).await;
        let output = small.create_output().await;
        wait(&small, &format!("concierge_request_outputs/{output}"), "accepted").await;
        let left = count(database, left, 0).await.cast_unsigned();
        assert!(left > all / 2, "{left} of {all} are left");
    })
    .await;
}

#[tokio::test]
async fn account_does_not_wait_for_a_request_with_many_outputs() {
    serving(async |server, database| {
        let (large, row) = quick(server, database).await;
        let (small, _) = quick(server, database).await;
        small.patch(SETTINGS, &json!({"progression": "manual"})).await.expect(200);
        small.create_output().await;
        small.act("1010", "request_quote").await.expect(200);
        let many =
            "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
                port_code, amount, state, created_at, state_since)
            select $1, 100000 + n, 1010, 20202, 2121, 'cl_clp', 1, 'accepted', t, t
            from generate_series(1, 20000) n, (select timestamptz '2019-11-25T12:53:02.741Z') at (t)";
        sqlx::query(many).bind(row).execute(database).await.unwrap();
        large.act("1010", "request_quote").await.expect(200);
        wait_for_count(
            database,
            "select count(*) from concierge_request_outputs where account_id = $1 and budget > 0",
            row,
            1,
        )
        .await;
        small.patch(SETTINGS, &json!({"progression": "auto"})).await.expect(200);
        wait(&small, "concierge_requests/1010", "quoted").await;
        let state = large.attribute("/api/concierge_requests/1010", "state").await;
        assert_eq!(state, "quote_requested", "the large request still waits for its quote");
    })
    .await;
}

#[tokio::test]
async fn account_does_not_wait_for_a_failing_account() {
    serving(async |server, database| {
        let (broken, row) = quick(server, database).await;
        let refuse = format!(
            "create function refuse() returns trigger language plpgsql as 'begin raise exception ''broken''; end';
            create trigger refuse before update on concierge_request_outputs for each row
            when (old.account_id = {row}) execute function refuse()"
        );
        sqlx::raw_sql(AssertSqlSafe(refuse)).execute(database).await.unwrap();
        let (whole, other) = quick(server, database).await;
        for account in [row, other] {
            add_outputs(database, account, 1500).await;
        }
        broken.create_output().await;
        wait_for_count(database, ACCEPTED, other, 1500).await;
        for _ in 0..20 {
            let output = whole.create_output().await;
            wait(&whole, &format!("concierge_request_outputs/{output}"), "accepted").await;
        }
        assert_eq!(count(database, ACCEPTING, row).await, 1501);
        // work resumes after the fault is gone
        sqlx::query("drop trigger refuse on concierge_request_outputs").execute(database).await.unwrap();
        wait_for_count(database, ACCEPTED, row, 1501).await;
    })
    .await;
}

#[tokio::test]
async fn account_does_not_wait_for_a_locked_account() {
    serving(async |server, database| {
        let (_, row) = quick(server, database).await;
        let (_, other) = quick(server, database).await;
        let left =
            "update accounts set frozen_at = now(), walked_until = clock_timestamp() + interval '1 second' where id = $1";
        sqlx::query(left).bind(row).execute(database).await.unwrap();
        let mut holding = database.begin().await.unwrap();
        sqlx::query("select from accounts where id = $1 for update").bind(row).execute(&mut *holding).await.unwrap();
        wait_for_count(database, "select count(*) from accounts where id = $1 and walked_until < clock_timestamp()", row, 1).await;
        // found by a poll of all accounts, like rows of another server
        add_outputs(database, other, 5).await;
        wait_for_count(database, ACCEPTED, other, 5).await;
        holding.commit().await.unwrap();
        let runs = "select count(*) from accounts where id = $1 and frozen_at is null";
        wait_for_count(database, runs, row, 1).await;
    })
    .await;
}
