//! All SQL for showing wallets.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::CashWallet;
use crate::accounts::caller::{Access, COLUMNS, Caller, Credentials};
use crate::database::StoreError;

/// Finds the acting user's stored wallets in these currencies.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn find(
    connection: &mut PgConnection,
    credentials: &Credentials,
    currencies: &[String],
) -> Result<(Caller, Vec<CashWallet>), StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        " select ",
        crate::caller_columns!(),
        ", w.currency, w.balance
        from caller c
        left join cash_wallets w
            on w.account_id = c.account_id and w.user_id = c.user_id and w.currency = any($3)"
    );
    let rows = credentials.query(SQL).bind(currencies).fetch_all(connection).await?;
    let caller = Caller::authorize(rows.first(), Access::Read)?;
    let wallet = |row: &PgRow| {
        let Some(currency) = row.try_get(COLUMNS)? else { return Ok(None) };
        Ok(Some(CashWallet { currency, balance: row.try_get(COLUMNS + 1)? }))
    };
    let found: Result<Vec<Option<CashWallet>>, sqlx::Error> = rows.iter().map(wallet).collect();
    Ok((caller, found?.into_iter().flatten().collect()))
}
