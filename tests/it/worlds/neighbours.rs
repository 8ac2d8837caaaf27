//! Whatever happens in an account, or can't, nobody in another one waits for its end.

use serde_json::json;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

use super::{count, fill, until};
use crate::support::{Account, Program, database};

const SETTINGS: &str = "/_sandbox/settings";
const ACCEPTING: &str = "select count(*) from concierge_request_outputs where account_id = $1 and state = 'accepting'";
const ACCEPTED: &str = "select count(*) from concierge_request_outputs where account_id = $1 and state = 'accepted'";

/// Runs a test against a server whose time is the machine's, and its database.
async fn serving(test: impl AsyncFnOnce(&Program, &PgPool)) {
    database(async |database| test(&database.program(&[]).await, database.pool()).await).await;
}

/// An account in which nothing takes any time, and what the database knows it by.
async fn quick(server: &Program, database: &PgPool) -> (Account, i64) {
    let account = Account::make(&server.base, &json!({})).await;
    let pace = json!({"check_delay": "PT0S", "quote_delay": "PT0S", "step_delay": "PT0S"});
    account.patch(SETTINGS, &pace).await.expect(200);
    let row = account.row(database).await;
    (account, row)
}

/// Waits for the state of a resource of an account.
async fn wait(account: &Account, resource: &str, state: &str) {
    account.get(&format!("/_sandbox/wait?resource={resource}&state={state}&timeout=30s")).await.expect(200);
}

#[tokio::test]
async fn a_crowd_of_busy_accounts_is_not_waited_for() {
    const EACH: i64 = 500;
    serving(async |server, database| {
        let mut crowd = Vec::new();
        for _ in 0..60 {
            crowd.push(quick(server, database).await.1);
        }
        let (small, _) = quick(server, database).await;
        let fill =
            "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
                port_code, amount, state, created_at, state_since, due_at)
            select a.id, 100000 + n, 1010, 20202, 2121, 'cl_clp', 1, 'accepting', t, t, t
            from unnest($1::bigint[]) a (id), generate_series(1, $2) n,
                (select timestamptz '2019-11-25T12:53:02.741Z') at (t)";
        let all = sqlx::query(fill).bind(&crowd).bind(EACH).execute(database).await.unwrap().rows_affected();
        let left = "select count(*) from concierge_request_outputs where account_id <> $1 and state = 'accepting'";
        let begun = "select count(*) from concierge_request_outputs where account_id <> $1 and state = 'accepted'";
        until(database, begun, 0, 1).await;
        let output = small.create_output().await;
        wait(&small, &format!("concierge_request_outputs/{output}"), "accepted").await;
        let left = count(database, left, 0).await.cast_unsigned();
        assert!(left > all / 2, "{left} of {all} are left");
    })
    .await;
}

#[tokio::test]
async fn a_request_with_very_many_outputs_is_not_waited_for() {
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
        until(database, "select count(*) from concierge_request_outputs where account_id = $1 and budget > 0", row, 1)
            .await;
        small.patch(SETTINGS, &json!({"progression": "auto"})).await.expect(200);
        wait(&small, "concierge_requests/1010", "quoted").await;
        let state = large.attribute("/api/concierge_requests/1010", "state").await;
        assert_eq!(state, "quote_requested", "it takes longer");
    })
    .await;
}

#[tokio::test]
async fn an_account_in_which_nothing_works_is_not_waited_for() {
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
            fill(database, account, 1500).await;
        }
        broken.create_output().await;
        until(database, ACCEPTED, other, 1500).await;
        for _ in 0..20 {
            let output = whole.create_output().await;
            wait(&whole, &format!("concierge_request_outputs/{output}"), "accepted").await;
        }
        assert_eq!(count(database, ACCEPTING, row).await, 1501);
        // and it goes on where it was once it can
        sqlx::query("drop trigger refuse on concierge_request_outputs").execute(database).await.unwrap();
        until(database, ACCEPTED, row, 1501).await;
    })
    .await;
}

#[tokio::test]
async fn an_account_that_somebody_keeps_locked_is_not_waited_for() {
    serving(async |server, database| {
        let (_, row) = quick(server, database).await;
        let (_, other) = quick(server, database).await;
        let left =
            "update accounts set frozen_at = now(), walked_until = clock_timestamp() + interval '1 second' where id = $1";
        sqlx::query(left).bind(row).execute(database).await.unwrap();
        let mut holding = database.begin().await.unwrap();
        sqlx::query("select from accounts where id = $1 for update").bind(row).execute(&mut *holding).await.unwrap();
        until(database, "select count(*) from accounts where id = $1 and walked_until < clock_timestamp()", row, 1).await;
        // found by a look into all accounts, as what another server made
        fill(database, other, 5).await;
        until(database, ACCEPTED, other, 5).await;
        holding.commit().await.unwrap();
        let runs = "select count(*) from accounts where id = $1 and frozen_at is null";
        until(database, runs, row, 1).await;
    })
    .await;
}
