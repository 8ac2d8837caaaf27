//! All SQL of the payer's money: debited when a request starts to work, refunded for unpaid outputs.
//!
//! Lock order: requests before wallets.

use bigdecimal::BigDecimal;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use crate::concierge::due::Due;

/// A wallet, identified by user and currency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wallet {
    pub account_id: i64,
    pub user_id: i64,
    /// ISO 4217, in lower case.
    pub currency: String,
}

/// A wallet with new money; requests may wait for it.
#[derive(Debug, Clone)]
pub struct DueWallet {
    pub wallet: Wallet,
    pub due_at: OffsetDateTime,
}

/// Finds due wallets, oldest first per account.
///
/// # Errors
/// Database errors.
pub async fn due_wallets(connection: &mut PgConnection, due: &Due, limit: i64) -> Result<Vec<DueWallet>, sqlx::Error> {
    let sql = "select w.account_id, w.user_id, w.currency, w.due_at
        from unnest($1::bigint[], $2::timestamptz[]) as a (account_id, until)
        cross join lateral (
            select * from cash_wallets w where w.account_id = a.account_id and w.due_at <= a.until
            order by w.due_at, w.user_id, w.currency limit $3
        ) w limit $4";
    let rows = due.query(sql, limit).fetch_all(connection).await?;
    let read = |row: &PgRow| {
        let (account_id, user_id, currency) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(DueWallet { wallet: Wallet { account_id, user_id, currency }, due_at: row.try_get(3)? })
    };
    rows.iter().map(read).collect()
}

/// Locks wallets in key order and reads their balances.
/// A wallet that another server has processed meanwhile has no due time.
///
/// # Errors
/// Database errors.
pub async fn lock(connection: &mut PgConnection, wallets: &[Wallet]) -> Result<Vec<Locked>, sqlx::Error> {
    let sql = "select w.account_id, w.user_id, w.currency, w.balance, w.due_at
        from unnest($1::bigint[], $2::bigint[], $3::text[]) as d (account_id, user_id, currency)
        join cash_wallets w on w.account_id = d.account_id and w.user_id = d.user_id and w.currency = d.currency
        order by w.account_id, w.user_id, w.currency for no key update of w";
    let (accounts, users, currencies) = columns(wallets.iter());
    let rows = sqlx::query(sql).bind(accounts).bind(users).bind(currencies).fetch_all(connection).await?;
    let locked = |row: &PgRow| {
        let (account_id, user_id, currency) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok((Wallet { account_id, user_id, currency }, row.try_get(3)?, row.try_get(4)?))
    };
    rows.iter().map(locked).collect()
}

/// A locked wallet with its balance and due time.
pub type Locked = (Wallet, BigDecimal, Option<OffsetDateTime>);

/// Saves the balances and due times of locked wallets.
///
/// # Errors
/// Database errors.
pub async fn save(connection: &mut PgConnection, wallets: &[Locked]) -> Result<(), sqlx::Error> {
    let sql = "update cash_wallets w set balance = d.balance, due_at = d.due_at
        from unnest($1::bigint[], $2::bigint[], $3::text[], $4::numeric[], $5::timestamptz[])
            as d (account_id, user_id, currency, balance, due_at)
        where w.account_id = d.account_id and w.user_id = d.user_id and w.currency = d.currency";
    let (accounts, users, currencies) = columns(wallets.iter().map(|(wallet, ..)| wallet));
    sqlx::query(sql)
        .bind(accounts)
        .bind(users)
        .bind(currencies)
        .bind(wallets.iter().map(|(_, balance, _)| balance.clone()).collect::<Vec<_>>())
        .bind(wallets.iter().map(|(.., due_at)| *due_at).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
}

/// An amount to add to a wallet.
#[derive(Debug, Clone)]
pub struct Credit {
    pub wallet: Wallet,
    pub amount: BigDecimal,
    /// Due time for funding waiting requests; `None` if they are not funded automatically.
    pub at: Option<OffsetDateTime>,
}

/// Adds money to wallets, at most once to each, and schedules the funding of waiting requests.
/// Wallets are locked in key order.
///
/// # Errors
/// Database errors.
pub async fn credit(connection: &mut PgConnection, credits: &[Credit]) -> Result<(), sqlx::Error> {
    let sql = "insert into cash_wallets (account_id, user_id, currency, balance, due_at)
        select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::numeric[], $5::timestamptz[])
            as d (account_id, user_id, currency, amount, at)
        order by account_id, user_id, currency
        on conflict on constraint cash_wallets_pkey do update
        set balance = cash_wallets.balance + excluded.balance,
            due_at = least(cash_wallets.due_at, excluded.due_at)";
    let (accounts, users, currencies) = columns(credits.iter().map(|credit| &credit.wallet));
    sqlx::query(sql)
        .bind(accounts)
        .bind(users)
        .bind(currencies)
        .bind(credits.iter().map(|credit| credit.amount.clone()).collect::<Vec<_>>())
        .bind(credits.iter().map(|credit| credit.at).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
}

/// SQL for the next due time among the wallets of account `a`.
pub const NEXT_DUE: &str = "select min(due_at) from cash_wallets where account_id = a.id";

fn columns<'a>(wallets: impl Iterator<Item = &'a Wallet>) -> (Vec<i64>, Vec<i64>, Vec<&'a str>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for wallet in wallets {
        columns.0.push(wallet.account_id);
        columns.1.push(wallet.user_id);
        columns.2.push(wallet.currency.as_str());
    }
    columns
}
