//! SQL of accounts: lookup, locks, settings, replacement and deletion. The fixtures of `concierge` insert their
//! initial data, and [`copy`] copies one.

pub mod clock;
pub mod copy;

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;

use super::reserved::MASTER_USER;
use super::settings::{AccountSettings, milliseconds};
use super::time::AccountTime;
use crate::jsonapi::links::COUNTED;

/// SQL condition of an active account, for the alias of its table: it has not ended and is not a snapshot.
#[macro_export]
macro_rules! account_lives {
    ($t:literal) => {
        concat!($t, ".ended_at is null and ", $t, ".snapshot_of is null")
    };
}

/// An account as shown by the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: i64,
    /// Its stable name; a reset changes the `id` only.
    pub name: String,
    pub created_at: OffsetDateTime,
    pub time: AccountTime,
    /// True if its time runs, also during an advance, which freezes it temporarily.
    pub runs: bool,
    pub settings: AccountSettings,
    /// Its own origin of links.
    pub public_url: Option<String>,
}

const COLUMNS: &str = concat!(
    "a.id, a.name, a.created_at, a.frozen_at, a.ahead, a.frozen_at is null or a.walked_until is not null, ",
    crate::account_settings!("a"),
    ", a.public_url"
);

fn read(row: &PgRow) -> Result<Account, sqlx::Error> {
    Ok(Account {
        id: row.try_get(0)?,
        name: row.try_get::<Option<String>, _>(1)?.unwrap_or_default(),
        created_at: row.try_get(2)?,
        time: AccountTime::read(row, 3)?,
        runs: row.try_get(5)?,
        settings: AccountSettings::read(row, 6)?,
        public_url: row.try_get(7)?,
    })
}

/// Finds an account by its id, unless it has ended.
///
/// # Errors
/// Database errors.
pub async fn find(connection: &mut PgConnection, id: i64) -> Result<Option<Account>, sqlx::Error> {
    let sql = AssertSqlSafe(format!("select {COLUMNS} from accounts a where a.id = $1 and a.ended_at is null"));
    sqlx::query(sql).bind(id).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Finds an account by its name.
///
/// # Errors
/// Database errors.
pub async fn find_named(connection: &mut PgConnection, name: &str) -> Result<Option<Account>, sqlx::Error> {
    let sql = AssertSqlSafe(format!("select {COLUMNS} from accounts a where a.name = $1"));
    sqlx::query(sql).bind(name).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Lists at most `limit` accounts after the first `skipped` ones, by ascending id.
///
/// # Errors
/// Database errors.
pub async fn list(connection: &mut PgConnection, skipped: usize, limit: usize) -> Result<Vec<Account>, sqlx::Error> {
    let sql = AssertSqlSafe(format!(
        "select {COLUMNS} from accounts a where a.name is not null order by a.id limit $1 offset $2"
    ));
    let [limit, skipped] = [limit, skipped].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let rows = sqlx::query(sql).bind(limit).bind(skipped).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// Counts the accounts; `None` beyond [`COUNTED`].
///
/// # Errors
/// Database errors.
pub async fn count(connection: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    let sql = "select count(*) from (select 1 from accounts a where a.name is not null limit $1) counted";
    let counted: i64 = sqlx::query_scalar(sql).bind(COUNTED + 1).fetch_one(connection).await?;
    Ok(Some(counted).filter(|counted| *counted <= COUNTED))
}

/// Returns whether there are more accounts than this.
///
/// # Errors
/// Database errors.
pub async fn has_more_than(connection: &mut PgConnection, number: u32) -> Result<bool, sqlx::Error> {
    let sql = "select exists (select from accounts a where a.name is not null offset $1)";
    sqlx::query_scalar(sql).bind(i64::from(number)).fetch_one(connection).await
}

/// Returns whether any user of an account has a `webhook_url`.
///
/// # Errors
/// Database errors.
pub async fn has_receiver(connection: &mut PgConnection, id: i64) -> Result<bool, sqlx::Error> {
    let sql = "select exists (select from users where account_id = $1 and webhook_url is not null)";
    sqlx::query_scalar(sql).bind(id).fetch_one(connection).await
}

/// Saves an account's own settings.
///
/// # Errors
/// Database errors.
pub async fn save_settings(connection: &mut PgConnection, id: i64, own: &AccountSettings) -> Result<(), sqlx::Error> {
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

/// Saves an account's own origin of links; `None`: it has none.
///
/// # Errors
/// Database errors.
pub async fn save_public_url(connection: &mut PgConnection, id: i64, url: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query("update accounts set public_url = $2 where id = $1").bind(id).bind(url).execute(connection).await?;
    Ok(())
}

/// Returns whether a key belongs to an account.
///
/// # Errors
/// Database errors.
pub async fn has_key(connection: &mut PgConnection, key_sha256: [u8; 32]) -> Result<bool, sqlx::Error> {
    let sql = "select exists (select from api_keys where key_sha256 = $1)";
    sqlx::query_scalar(sql).bind(key_sha256.as_slice()).fetch_one(connection).await
}

/// Finds an account and locks it until the end of the transaction against reset, deletion and changes of its settings.
///
/// # Errors
/// Database errors.
pub async fn lock(connection: &mut PgConnection, id: i64) -> Result<Option<Account>, sqlx::Error> {
    let sql = AssertSqlSafe(format!(
        "select {COLUMNS} from accounts a where a.id = $1 and a.ended_at is null for no key update of a"
    ));
    sqlx::query(sql).bind(id).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Finds an account and locks it until the end of the transaction against changes of its settings and time.
/// The lock is shared: it does not wait for another one of its kind.
///
/// # Errors
/// Database errors.
pub async fn lock_shared(connection: &mut PgConnection, id: i64) -> Result<Option<Account>, sqlx::Error> {
    let sql = AssertSqlSafe(format!(
        "select {COLUMNS} from accounts a where a.id = $1 and a.ended_at is null for share of a"
    ));
    sqlx::query(sql).bind(id).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Takes the lock of [`lock_shared`] on the account of a key, if the key exists.
///
/// # Errors
/// Database errors.
pub async fn lock_shared_by_key(connection: &mut PgConnection, key_sha256: [u8; 32]) -> Result<(), sqlx::Error> {
    let sql =
        "select a.id from api_keys k join accounts a on a.id = k.account_id where k.key_sha256 = $1 for share of a";
    sqlx::query(sql).bind(key_sha256.as_slice()).fetch_optional(connection).await.map(|_| ())
}

/// [Locks](lock) an account unless another transaction holds the lock. Returns whether it did.
///
/// # Errors
/// Database errors.
pub async fn try_lock(connection: &mut PgConnection, id: i64) -> Result<bool, sqlx::Error> {
    let sql = "select true from accounts where id = $1 and ended_at is null for no key update skip locked";
    let locked: Option<bool> = sqlx::query_scalar(sql).bind(id).fetch_optional(connection).await?;
    Ok(locked.is_some())
}

/// Ends a locked account, and moves its name and keys to a new one. So work in progress in the old account never
/// shows in the new one.
///
/// # Errors
/// Database errors.
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

/// Ends an account: nothing advances in it any more. Its rows and keys stay until it is [cleared](clear).
///
/// # Errors
/// Database errors.
pub async fn end(connection: &mut PgConnection, id: i64, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let sql = "update accounts set ended_at = $2, name = null where id = $1";
    sqlx::query(sql).bind(id).bind(now).execute(connection).await.map(|_| ())
}

/// Deletes an account's API keys.
///
/// # Errors
/// Database errors.
pub async fn drop_keys(connection: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("delete from api_keys where account_id = $1").bind(id).execute(connection).await.map(|_| ())
}

/// Lists accounts that have ended and are not cleared yet, the first hundred.
///
/// # Errors
/// Database errors.
pub async fn ended(connection: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    let sql = "select id from accounts where ended_at is not null order by ended_at limit 100";
    sqlx::query_scalar(sql).fetch_all(connection).await
}

/// The tables of an account's data, dependent ones first. Keys lead to the data and are no part of it.
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
/// Maximum number of rows deleted by one statement.
const AT_ONCE: i64 = 5000;
/// Pause before locked rows are tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// Deletes the rows of an ended account in batches, then the account. Skips rows locked by work in progress until they
/// are free, so that neither waits for the other.
///
/// # Errors
/// Database errors; the rest is cleared another time.
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

/// Returns the settings of accounts, locked against changes until the end of the transaction. Skips locked accounts.
///
/// # Errors
/// Database errors.
pub async fn lock_settings(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<HashMap<i64, AccountSettings>, sqlx::Error> {
    const SQL: &str = concat!(
        "select a.id, ",
        crate::account_settings!("a"),
        " from accounts a where a.id = any($1) and a.ended_at is null order by a.id for share of a skip locked"
    );
    let rows = sqlx::query(SQL).bind(ids).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, AccountSettings::read(row, 1)?))).collect()
}
