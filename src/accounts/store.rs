//! All SQL of accounts themselves: their time, their settings, their beginning and their end. [`fixtures`](crate::concierge::fixtures)
//! is what they begin with, and [`copy`] copies one.

pub mod copy;
pub mod walks;

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;

use super::reserved::MASTER_USER;
use super::settings::{OwnSettings, milliseconds};
use super::time::AccountTime;

/// The SQL of whether things happen in an account, of the alias of its table: it has not ended, and is no snapshot.
#[macro_export]
macro_rules! account_lives {
    ($t:literal) => {
        concat!($t, ".ended_at is null and ", $t, ".snapshot_of is null")
    };
}

/// An account as the control plane shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: i64,
    /// By which it is known, whatever becomes of its `id`.
    pub name: String,
    pub created_at: OffsetDateTime,
    pub time: AccountTime,
    /// Whether its time runs, though it may stand for as long as it is walked through.
    pub runs: bool,
    pub own: OwnSettings,
}

const COLUMNS: &str = concat!(
    "a.id, a.name, a.created_at, a.frozen_at, a.ahead, a.frozen_at is null or a.walked_until is not null, ",
    crate::own_settings!("a")
);

fn read(row: &PgRow) -> Result<Account, sqlx::Error> {
    Ok(Account {
        id: row.try_get(0)?,
        name: row.try_get::<Option<String>, _>(1)?.unwrap_or_default(),
        created_at: row.try_get(2)?,
        time: AccountTime::read(row, 3)?,
        runs: row.try_get(5)?,
        own: OwnSettings::read(row, 6)?,
    })
}

/// An account that has not ended.
///
/// # Errors
/// Those of the database.
pub async fn find(connection: &mut PgConnection, id: i64) -> Result<Option<Account>, sqlx::Error> {
    let sql = AssertSqlSafe(format!("select {COLUMNS} from accounts a where a.id = $1 and a.ended_at is null"));
    sqlx::query(sql).bind(id).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The account of that name.
///
/// # Errors
/// Those of the database.
pub async fn find_named(connection: &mut PgConnection, name: &str) -> Result<Option<Account>, sqlx::Error> {
    let sql = AssertSqlSafe(format!("select {COLUMNS} from accounts a where a.name = $1"));
    sqlx::query(sql).bind(name).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Accounts, the oldest first, behind one.
///
/// # Errors
/// Those of the database.
pub async fn list(connection: &mut PgConnection, behind: i64, limit: i64) -> Result<Vec<Account>, sqlx::Error> {
    let sql = AssertSqlSafe(format!(
        "select {COLUMNS} from accounts a where a.name is not null and a.id > $1 order by a.id limit $2"
    ));
    let rows = sqlx::query(sql).bind(behind).bind(limit).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// Whether anybody in an account has a `webhook_url`.
///
/// # Errors
/// Those of the database.
pub async fn has_receiver(connection: &mut PgConnection, id: i64) -> Result<bool, sqlx::Error> {
    let sql = "select exists (select from users where account_id = $1 and webhook_url is not null)";
    sqlx::query_scalar(sql).bind(id).fetch_one(connection).await
}

/// Saves an account's own settings.
///
/// # Errors
/// Those of the database.
pub async fn save_settings(connection: &mut PgConnection, id: i64, own: &OwnSettings) -> Result<(), sqlx::Error> {
    let sql = "update accounts set check_delay = $2, approval_delay = $3, quote_delay = $4, step_delay = $5,
            approval = $6, progression = $7
        where id = $1";
    let delay = |delay: Option<Duration>| delay.map(milliseconds);
    sqlx::query(sql)
        .bind(id)
        .bind(delay(own.check_delay))
        .bind(delay(own.approval_delay))
        .bind(delay(own.quote_delay))
        .bind(delay(own.step_delay))
        .bind(own.approves.map(|approves| if approves { "auto" } else { "manual" }))
        .bind(if own.is_manual { "manual" } else { "auto" })
        .execute(connection)
        .await
        .map(|_| ())
}

/// Whether a key is an account's.
///
/// # Errors
/// Those of the database.
pub async fn has_key(connection: &mut PgConnection, key_sha256: [u8; 32]) -> Result<bool, sqlx::Error> {
    let sql = "select exists (select from api_keys where key_sha256 = $1)";
    sqlx::query_scalar(sql).bind(key_sha256.as_slice()).fetch_one(connection).await
}

/// Keeps others from changing an account's settings, resetting and deleting it until this transaction ends, and finds it.
///
/// # Errors
/// Those of the database.
pub async fn lock(connection: &mut PgConnection, id: i64) -> Result<Option<Account>, sqlx::Error> {
    let sql = AssertSqlSafe(format!(
        "select {COLUMNS} from accounts a where a.id = $1 and a.ended_at is null for no key update of a"
    ));
    sqlx::query(sql).bind(id).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Keeps others from changing an account's settings and its time until this transaction ends, and finds it. Whoever else does
/// that, too, isn't waited for.
///
/// # Errors
/// Those of the database.
pub async fn share(connection: &mut PgConnection, id: i64) -> Result<Option<Account>, sqlx::Error> {
    let sql = AssertSqlSafe(format!(
        "select {COLUMNS} from accounts a where a.id = $1 and a.ended_at is null for share of a"
    ));
    sqlx::query(sql).bind(id).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The same of the account of a key, if there is one.
///
/// # Errors
/// Those of the database.
pub async fn share_of(connection: &mut PgConnection, key_sha256: [u8; 32]) -> Result<(), sqlx::Error> {
    let sql =
        "select a.id from api_keys k join accounts a on a.id = k.account_id where k.key_sha256 = $1 for share of a";
    sqlx::query(sql).bind(key_sha256.as_slice()).fetch_optional(connection).await.map(|_| ())
}

/// [Locks](lock) an account of which nobody else holds the lock; whether it could be had.
///
/// # Errors
/// Those of the database.
pub async fn try_lock(connection: &mut PgConnection, id: i64) -> Result<bool, sqlx::Error> {
    let sql = "select true from accounts where id = $1 and ended_at is null for no key update skip locked";
    let locked: Option<bool> = sqlx::query_scalar(sql).bind(id).fetch_optional(connection).await?;
    Ok(locked.is_some())
}

/// Puts a new account in the place of a locked one, which ends: its name and its keys are the new one's. So nothing that is
/// under way in the old one can be seen in the new.
///
/// # Errors
/// Those of the database.
pub async fn replace(
    transaction: &mut PgConnection,
    old: &Account,
    new: i64,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    end(&mut *transaction, old.id, now).await?;
    sqlx::query("update accounts set name = $2 where id = $1")
        .bind(new)
        .bind(&old.name)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("update api_keys set account_id = $2, user_id = $3 where account_id = $1")
        .bind(old.id)
        .bind(new)
        .bind(MASTER_USER)
        .execute(transaction)
        .await
        .map(|_| ())
}

/// Ends an account: nothing happens in it any more. Its rows and its keys are there until it is [cleared](clear).
///
/// # Errors
/// Those of the database.
pub async fn end(connection: &mut PgConnection, id: i64, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let sql = "update accounts set ended_at = $2, name = null where id = $1";
    sqlx::query(sql).bind(id).bind(now).execute(connection).await.map(|_| ())
}

/// Takes an account its keys.
///
/// # Errors
/// Those of the database.
pub async fn drop_keys(connection: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("delete from api_keys where account_id = $1").bind(id).execute(connection).await.map(|_| ())
}

/// Accounts that have ended and aren't cleared, the first hundred.
///
/// # Errors
/// Those of the database.
pub async fn ended(connection: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    let sql = "select id from accounts where ended_at is not null order by ended_at limit 100";
    sqlx::query_scalar(sql).fetch_all(connection).await
}

/// What makes up the world of an account, what depends on something before that. Its keys lead to it and are no part of it.
pub const TABLES: [&str; 10] = [
    "delivery_attempts",
    "deliveries",
    "events",
    "concierge_request_outputs",
    "concierge_requests",
    "withdrawal_instructions",
    "cash_wallets",
    "price_holds",
    "id_counters",
    "users",
];
/// The most rows that are deleted at once.
const AT_ONCE: i64 = 5000;
/// How long to wait for what somebody holds locked before looking again.
const PAUSE: Duration = Duration::from_millis(5);

/// Deletes everything there is of an account that has ended, in batches, and the account at last. What is under way in it is
/// passed over until it has ended, so that neither waits for the other.
///
/// # Errors
/// Those of the database; then what is left is cleared another time.
pub async fn clear(connection: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    for table in TABLES {
        let delete = format!(
            "delete from {table} where ctid = any(array(
                select ctid from {table} where account_id = $1 limit $2 for update skip locked
            ))"
        );
        let is_left = format!("select exists (select from {table} where account_id = $1)");
        loop {
            let delete = sqlx::query(AssertSqlSafe(delete.as_str())).bind(id).bind(AT_ONCE);
            if delete.execute(&mut *connection).await?.rows_affected() == AT_ONCE.cast_unsigned() {
                continue;
            }
            let is_left = sqlx::query_scalar(AssertSqlSafe(is_left.as_str())).bind(id);
            if !is_left.fetch_one(&mut *connection).await? {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    let sql = "delete from accounts where id = $1 and ended_at is not null";
    sqlx::query(sql).bind(id).execute(connection).await.map(|_| ())
}

/// The settings of accounts that nobody is changing, which nobody does until this transaction ends.
///
/// # Errors
/// Those of the database.
pub async fn own_settings_held(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<HashMap<i64, OwnSettings>, sqlx::Error> {
    const SQL: &str = concat!(
        "select a.id, ",
        crate::own_settings!("a"),
        " from accounts a where a.id = any($1) and a.ended_at is null order by a.id for share of a skip locked"
    );
    let rows = sqlx::query(SQL).bind(ids).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, OwnSettings::read(row, 1)?))).collect()
}
