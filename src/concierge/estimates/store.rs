//! All SQL of held prices.

use sqlx::Row;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::accounts::caller::{Access, Caller, Credentials};
use crate::database::StoreError;

/// Prices held for one origin and one set of outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Code of the origin port.
    pub port_code: String,
    /// [Fingerprint](super::fingerprint) of the outputs.
    pub outputs_sha256: [u8; 32],
    /// JSON for [`Prices::read`](crate::concierge::pricing::Prices::read).
    pub prices: String,
    /// Last instant of validity.
    pub expires_at: OffsetDateTime,
}

/// Saves held prices under a token: for the caller's account, or for every account if there are no credentials.
/// Also deletes up to 100 expired holds of the account.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn hold(
    connection: &mut PgConnection,
    credentials: Option<&Credentials>,
    token: &str,
    hold: &Hold,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    // the token is a hash of its content, so an existing one holds the same prices until the same instant
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        ", owner as (
            select account_id from caller where user_id is not null
            union all
            select 0 where $1::bytea is null
        ), expired as (
            select h.account_id, h.token from owner o
            join price_holds h on h.account_id = o.account_id and h.expires_at < $8
            order by h.expires_at limit 100 for update of h skip locked
        ), dropped as (
            delete from price_holds h using expired e where h.account_id = e.account_id and h.token = e.token
        ), held as (
            insert into price_holds (account_id, token, port_code, outputs_sha256, prices, expires_at)
            select o.account_id, $3, $4, $5, $6::text::json, $7 from owner o
            on conflict on constraint price_holds_pkey do nothing
        )
        select ",
        crate::caller_columns!(),
        " from caller c"
    );
    let row = sqlx::query(SQL)
        .bind(credentials.map(|credentials| credentials.key_sha256.as_slice()))
        .bind(credentials.and_then(|credentials| credentials.acting_as))
        .bind(token)
        .bind(&hold.port_code)
        .bind(hold.outputs_sha256.as_slice())
        .bind(&hold.prices)
        .bind(hold.expires_at)
        .bind(now)
        .fetch_optional(connection)
        .await?;
    if credentials.is_some() {
        Caller::authorize(row.as_ref(), Access::Read)?;
    }
    Ok(())
}

/// Finds the held prices of a token: from the account, else from an estimate without credentials.
/// They may have expired or belong to different outputs.
///
/// # Errors
/// Database errors.
pub async fn find_hold(
    connection: &mut PgConnection,
    account_id: i64,
    token: &str,
) -> Result<Option<Hold>, sqlx::Error> {
    let sql = "select port_code, outputs_sha256, prices::text, expires_at from price_holds
        where account_id = any(array[$1, 0]) and token = $2 order by account_id desc limit 1";
    let row = sqlx::query(sql).bind(account_id).bind(token).fetch_optional(connection).await?;
    let hold = row.map(|row| {
        Ok(Hold {
            port_code: row.try_get(0)?,
            outputs_sha256: row.try_get(1)?,
            prices: row.try_get(2)?,
            expires_at: row.try_get(3)?,
        })
    });
    hold.transpose()
}
