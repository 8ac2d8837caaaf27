//! All SQL of snapshots except the copying itself, which is in [`copy`].
//!
//! Callers lock the account to take, restore or delete a snapshot, so that only one of them runs at a time.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;

use super::{AccountSnapshot, SnapshotCounts};
use crate::accounts::store::Account;
use crate::accounts::store::copy::{CopyKind, copy};
use crate::accounts::time::AccountTime;

/// Tables counted for a snapshot, in the order of [`SnapshotCounts`].
const COUNTED: [&str; 5] =
    ["users", "withdrawal_instructions", "concierge_requests", "concierge_request_outputs", "events"];

/// Lists the snapshots of the account named `of`, oldest first.
///
/// With `name`, lists only the snapshot of this name.
///
/// # Errors
/// Database errors.
pub async fn list(
    connection: &mut PgConnection,
    of: &str,
    name: Option<&str>,
) -> Result<Vec<AccountSnapshot>, sqlx::Error> {
    let counts = COUNTED.map(|table| format!("(select count(*) from {table} t where t.account_id = a.id)")).join(", ");
    let sql = format!(
        "select a.snapshot_name, a.frozen_at, a.snapshot_runs, {counts} from accounts a
        where a.snapshot_of = $1 and (a.snapshot_name = $2 or $2 is null) order by a.id"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(of).bind(name).fetch_all(connection).await?;
    let snapshot = |row: &PgRow| {
        Ok(AccountSnapshot {
            name: row.try_get(0)?,
            taken_at: row.try_get(1)?,
            runs: row.try_get(2)?,
            counts: SnapshotCounts {
                users: row.try_get(3)?,
                withdrawal_instructions: row.try_get(4)?,
                concierge_requests: row.try_get(5)?,
                concierge_request_outputs: row.try_get(6)?,
                events: row.try_get(7)?,
            },
        })
    };
    rows.iter().map(snapshot).collect()
}

/// Counts the snapshots of the account named `of`, except the one named `name`.
///
/// # Errors
/// Database errors.
pub async fn count_others(connection: &mut PgConnection, of: &str, name: &str) -> Result<i64, sqlx::Error> {
    let sql = "select count(*) from accounts where snapshot_of = $1 and snapshot_name <> $2";
    sqlx::query_scalar(sql).bind(of).bind(name).fetch_one(connection).await
}

/// Takes a snapshot of an account. `now` is the server's time. The name must be unused.
///
/// # Errors
/// Database errors.
pub async fn take(
    connection: &mut PgConnection,
    account: &Account,
    name: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (at, runs) = (account.time.at(now), account.runs);
    copy(connection, account.id, CopyKind::Snapshot { of: &account.name, name, at, runs }).await.map(|_| ())
}

/// Creates an account from a snapshot and returns its id; `None` for an unknown name.
///
/// The account's time continues from the snapshot's time. `now` is the server's time.
///
/// # Errors
/// Database errors.
pub async fn restore(
    connection: &mut PgConnection,
    of: &str,
    name: &str,
    now: OffsetDateTime,
) -> Result<Option<i64>, sqlx::Error> {
    let sql = "select id, frozen_at, snapshot_runs from accounts where snapshot_of = $1 and snapshot_name = $2";
    let found = sqlx::query_as(sql).bind(of).bind(name).fetch_optional(&mut *connection).await?;
    let Some((id, at, runs)): Option<(i64, OffsetDateTime, bool)> = found else { return Ok(None) };
    let time = if runs {
        AccountTime { ahead: at - now, frozen_at: None }
    } else {
        AccountTime { frozen_at: Some(at), ..AccountTime::default() }
    };
    copy(connection, id, CopyKind::Account(time)).await.map(Some)
}

/// Ends all snapshots of the account named `of`, or only the one named `name`.
///
/// Returns the ids of their accounts. The sweeper clears these.
///
/// # Errors
/// Database errors.
pub async fn end(
    connection: &mut PgConnection,
    of: &str,
    name: Option<&str>,
    now: OffsetDateTime,
) -> Result<Vec<i64>, sqlx::Error> {
    let sql = "update accounts set ended_at = $3, snapshot_of = null, snapshot_name = null, snapshot_runs = null
        where snapshot_of = $1 and (snapshot_name = $2 or $2 is null) returning id";
    sqlx::query_scalar(sql).bind(of).bind(name).bind(now).fetch_all(connection).await
}
