//! Accounts under `/_sandbox`: creation, settings, reset, deletion, and isolation from each other.

mod creating;
mod deleting;
mod isolation;
mod open_accounts;
mod resetting;
mod resetting_during_work;
mod settings;
mod several_servers;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

use crate::support::within;

const ACCOUNTS: &str = "/_sandbox/accounts";
const RESET: &str = "/_sandbox/reset";
const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Adds outputs of request 1010 to an account, as if created earlier.
/// Their checks are due at the start instant.
async fn add_outputs(database: &PgPool, account: i64, outputs: i64) {
    let sql = "insert into concierge_request_outputs (account_id, id, request_id, user_id, withdrawal_instruction_id,
            port_code, amount, state, created_at, state_since, due_at)
        select $1, 100000 + n, 1010, 20202, 2121, 'cl_clp', 1, 'accepting', t, t, t
        from generate_series(1, $2) n, (select timestamptz '2019-11-25T12:53:02.741Z') at (t)";
    sqlx::query(sql).bind(account).bind(outputs).execute(database).await.unwrap();
}

/// Counts rows of an account; the query's `$1` is the account's id in the database.
async fn count(database: &PgPool, query: &str, account: i64) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).bind(account).fetch_one(database).await.unwrap()
}

/// Waits until a count for an account reaches `least`.
async fn wait_for_count(database: &PgPool, query: &str, account: i64, least: i64) {
    within(async { while count(database, query, account).await < least {} }).await;
}

/// Waits until no row of a reset or deleted account is left.
async fn wait_until_gone(database: &PgPool, account: i64) {
    wait_for_count(database, "select 1 - count(*) from accounts where id = $1", account, 1).await;
    assert_eq!(crate::support::rows(database, account).await, 0);
}
