//! The rows of an account in all tables.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

/// Lists the tables with rows of accounts.
pub async fn tables(database: &PgPool) -> Vec<String> {
    let sql = "select table_name::text from information_schema.columns
        where table_schema = 'public' and column_name = 'account_id' order by table_name";
    let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(database).await.unwrap();
    assert!(tables.len() >= 12, "{tables:?}");
    tables
}

/// Returns every row of an account, table by table.
/// Left out: the account's id, the leases of servers, the real durations of answers, webhook URLs with their origins, and
/// the headers of attempts, signed in real time.
pub async fn dump(database: &PgPool, account: i64) -> Vec<String> {
    let mut dump = Vec::new();
    for table in tables(database).await {
        let left_out = "array['account_id', 'leased_by', 'leased_until', 'duration', 'webhook_url', 'webhook_origin',
            'url', 'headers']";
        let sql = format!(
            "select '{table} ' || (to_jsonb(t) - {left_out})::text from {table} t where account_id = $1 order by 1"
        );
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(account).fetch_all(database).await.unwrap();
        dump.extend(rows);
    }
    dump
}

/// Counts the rows of an account in all tables.
pub async fn rows(database: &PgPool, account: i64) -> i64 {
    let mut rows = 0;
    for table in tables(database).await {
        let sql = format!("select count(*) from {table} where account_id = $1");
        let found: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).bind(account).fetch_one(database).await.unwrap();
        rows += found;
    }
    let sql = "select count(*) from accounts where id = $1";
    let found: i64 = sqlx::query_scalar(sql).bind(account).fetch_one(database).await.unwrap();
    rows + found
}
