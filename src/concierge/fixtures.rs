//! The initial data of every account. The ids are fixed, so that documented commands work in every account.

use sqlx::Error;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::requests::quote::prune_at;
use crate::accounts::caller::{StoredKey, sha256};
use crate::accounts::reserved::{FIRST_IDS, MASTER_USER};
use crate::accounts::store::has_key;
use crate::accounts::time::AccountTime;
use crate::database::transaction;

/// Name of the account created with every database.
pub const DEFAULT_NAME: &str = "default";
/// Keys of the default account with their levels.
pub const DEFAULT_KEYS: [(&str, &str); 2] = [("your_api_key", "write"), ("your_read_only_api_key", "read")];

/// The payee of the documented exchange.
pub const PAYEE: i64 = 20202;

/// Body of the documented instruction, as printed in the guides.
pub const INSTRUCTION_BODY: &str = concat!(
    r#"{"payment_method":"international_bank","country":"US","account_type":"checking","name":"bob","#,
    r#""city":"buenos aires","bank":"standard chartered","currency":"USD"}"#
);

/// Currencies of the master user's wallets.
const FUNDED: [&str; 3] = ["ars", "usd", "clp"];
/// Initial balance of each of these wallets.
const BALANCE: i32 = 1_000_000;

/// Returns whether the default account exists: its write key is in use.
///
/// # Errors
/// Database errors.
pub async fn has_default_account(connection: &mut PgConnection) -> Result<bool, Error> {
    has_key(connection, sha256(DEFAULT_KEYS[0].0.as_bytes())).await
}

/// Creates the default account and returns its id. `now` is the server's time.
///
/// # Errors
/// Database errors; if another server was faster, `api_keys_pkey` or `accounts_name_idx` is violated.
pub async fn make_default_account(transaction: &mut PgConnection, now: OffsetDateTime) -> Result<i64, Error> {
    let keys = DEFAULT_KEYS.map(|(key, level)| StoredKey::of(key, level));
    make_account(transaction, DEFAULT_NAME, &keys, AccountTime::default(), now).await
}

/// Creates an account on the server's time with a name, keys (each with its level) and all fixtures.
///
/// # Errors
/// As in [`create_account_for`].
pub async fn create_account(
    connection: &mut PgConnection,
    name: &str,
    keys: &[(&str, &'static str)],
    now: OffsetDateTime,
) -> Result<i64, Error> {
    let keys: Vec<_> = keys.iter().map(|(key, level)| StoredKey::of(key, level)).collect();
    create_account_for(connection, name, &keys, None, now).await
}

/// Creates an account with all fixtures in one transaction and returns its id.
///
/// `now` is the server's time, and the account's unless `time` is given.
///
/// # Errors
/// Database errors; a duplicate key violates `api_keys_pkey`, a duplicate name `accounts_name_idx`.
pub async fn create_account_for(
    connection: &mut PgConnection,
    name: &str,
    keys: &[StoredKey],
    time: Option<AccountTime>,
    now: OffsetDateTime,
) -> Result<i64, Error> {
    let time = time.unwrap_or_default();
    transaction(connection, async |transaction| make_account(transaction, name, keys, time, now).await).await
}

async fn make_account(
    transaction: &mut PgConnection,
    name: &str,
    keys: &[StoredKey],
    time: AccountTime,
    now: OffsetDateTime,
) -> Result<i64, Error> {
    let account_id = populate(&mut *transaction, time, time.at(now)).await?;
    sqlx::query("update accounts set name = $2 where id = $1")
        .bind(account_id)
        .bind(name)
        .execute(&mut *transaction)
        .await?;
    for key in keys {
        add_key(&mut *transaction, account_id, key, time.at(now)).await?;
    }
    Ok(account_id)
}

/// Adds a key of the master user to an account.
async fn add_key(
    connection: &mut PgConnection,
    account_id: i64,
    key: &StoredKey,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let sql = "insert into api_keys (key_sha256, account_id, user_id, level, created_at, receipt_secret)
        values ($1, $2, $3, $4, $5, $6)";
    sqlx::query(sql)
        .bind(key.sha256.as_slice())
        .bind(account_id)
        .bind(MASTER_USER)
        .bind(key.level)
        .bind(now)
        .bind(key.receipt_secret.as_slice())
        .execute(connection)
        .await
        .map(|_| ())
}

/// Creates an account with all fixtures, without a name or keys, and returns its id. `now` is the account's time.
///
/// # Errors
/// Database errors.
pub async fn populate(transaction: &mut PgConnection, time: AccountTime, now: OffsetDateTime) -> Result<i64, Error> {
    let account = "insert into accounts (created_at, ahead, frozen_at) values ($1, $2, $3) returning id";
    let ahead = i64::try_from(time.ahead.whole_milliseconds()).unwrap_or_default();
    let account_id: i64 =
        sqlx::query_scalar(account).bind(now).bind(ahead).bind(time.frozen_at).fetch_one(&mut *transaction).await?;
    let users = "insert into users
            (account_id, id, name, email, kyc_accepted, otp_enabled, do_not_email, compliance_state, created_at)
        values ($1, $2, 'master@example.com', 'master@example.com', true, true, false, 'enabled', $4),
               ($1, $3, 'person3@example.com', 'person3@example.com', true, true, false, 'enabled', $4)";
    sqlx::query(users).bind(account_id).bind(MASTER_USER).bind(PAYEE).bind(now).execute(&mut *transaction).await?;
    let instruction = "insert into withdrawal_instructions (account_id, id, user_id, schema, body, created_at)
        values ($1, 2121, $2, 'bitex', $3::text::json, $4)";
    sqlx::query(instruction)
        .bind(account_id)
        .bind(PAYEE)
        .bind(INSTRUCTION_BODY)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    let request = "insert into concierge_requests
            (account_id, id, user_id, port_code, state, created_at, state_since, due_at)
        values ($1, 1010, $2, 'ar_ars', 'draft', $3, $3, $4)";
    sqlx::query(request)
        .bind(account_id)
        .bind(MASTER_USER)
        .bind(now)
        .bind(prune_at(now))
        .execute(&mut *transaction)
        .await?;
    let wallets = "insert into cash_wallets (account_id, user_id, currency, balance)
        select $1, $2, currency, $4 from unnest($3::text[]) as currency";
    sqlx::query(wallets)
        .bind(account_id)
        .bind(MASTER_USER)
        .bind(FUNDED)
        .bind(BALANCE)
        .execute(&mut *transaction)
        .await?;
    let (types, next): (Vec<&str>, Vec<i64>) = FIRST_IDS.into_iter().unzip();
    sqlx::query(
        "insert into id_counters (account_id, type, next_id) select $1, * from unnest($2::text[], $3::bigint[])",
    )
    .bind(account_id)
    .bind(types)
    .bind(next)
    .execute(&mut *transaction)
    .await?;
    Ok(account_id)
}
