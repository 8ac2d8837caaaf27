//! SQL of an account's clock: freeze, resume and advance.
//!
//! A token identifies an advance (`walk` in the SQL). Any other command to the clock takes the token away, which ends
//! the advance. A running clock is frozen during its advance, as long as the server [renews](renew) its lease.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Lease of an advance, in seconds: the clock runs on unless it is [renewed](renew).
const LEASE: f64 = 10.0;
/// Interval between renewals.
pub const RENEWAL: Duration = Duration::from_secs(2);

/// Freezes an account's time, if it runs, and returns its instant; `None` if the account has ended. `now` is the
/// server's time.
///
/// # Errors
/// Database errors.
pub async fn freeze(
    connection: &mut PgConnection,
    id: i64,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    const SQL: &str = concat!(
        "update accounts a set walk = null, walked_until = null, frozen_at = ",
        crate::account_time!("a", "$2"),
        " where a.id = $1 and a.ended_at is null returning a.frozen_at"
    );
    sqlx::query_scalar(SQL).bind(id).bind(now).fetch_optional(connection).await
}

/// Lets a frozen account's time run on from its instant. `now` is the server's time.
///
/// # Errors
/// Database errors.
pub async fn resume(connection: &mut PgConnection, id: i64, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let sql = "update accounts set walk = null, walked_until = null, frozen_at = null,
            ahead = round(extract(epoch from frozen_at - $2) * 1000)
        where id = $1 and frozen_at is not null";
    sqlx::query(sql).bind(id).bind(now).execute(connection).await.map(|_| ())
}

/// Starts an advance and returns its first instant; `None` if the account has ended.
///
/// # Errors
/// Database errors.
pub async fn start(
    connection: &mut PgConnection,
    id: i64,
    walk: Uuid,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    const SQL: &str = concat!(
        "update accounts a set walk = $3, frozen_at = ",
        crate::account_time!("a", "$2"),
        ", walked_until = case when a.frozen_at is null or a.walked_until is not null
            then clock_timestamp() + make_interval(secs => $4) end
        where a.id = $1 and a.ended_at is null returning a.frozen_at"
    );
    sqlx::query_scalar(SQL).bind(id).bind(now).bind(walk).bind(LEASE).fetch_optional(connection).await
}

/// Renews the lease of an advance.
///
/// # Errors
/// Database errors.
pub async fn renew(connection: &mut PgConnection, id: i64, walk: Uuid) -> Result<(), sqlx::Error> {
    let sql = "update accounts set walked_until = clock_timestamp() + make_interval(secs => $3)
        where id = $1 and walk = $2 and walked_until is not null";
    sqlx::query(sql).bind(id).bind(walk).bind(LEASE).execute(connection).await.map(|_| ())
}

/// Moves an advance on to an instant. Returns false if another command took the clock over, or the account has ended.
///
/// # Errors
/// Database errors.
pub async fn move_to(
    connection: &mut PgConnection,
    id: i64,
    walk: Uuid,
    to: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let sql = "update accounts set frozen_at = $3 where id = $1 and walk = $2 and ended_at is null";
    let moved = sqlx::query(sql).bind(id).bind(walk).bind(to).execute(connection).await?;
    Ok(moved.rows_affected() == 1)
}

/// Ends an advance, unless another command took the clock over. A clock that ran before runs on from the instant
/// reached; a frozen one stays. `stays` overrides this. `now` is the server's time.
///
/// # Errors
/// Database errors.
pub async fn end(
    connection: &mut PgConnection,
    id: i64,
    walk: Uuid,
    now: OffsetDateTime,
    stays: Option<bool>,
) -> Result<(), sqlx::Error> {
    let sql = "update accounts a set walk = null, walked_until = null,
            frozen_at = case when w.stays then a.frozen_at end,
            ahead = case when w.stays then a.ahead else round(extract(epoch from a.frozen_at - $3) * 1000) end
        from (
            select id, coalesce($4, walked_until is null) as stays from accounts
            where id = $1 and walk = $2 and frozen_at is not null for no key update
        ) w
        where a.id = w.id";
    sqlx::query(sql).bind(id).bind(walk).bind(now).bind(stays).execute(connection).await.map(|_| ())
}

/// Resumes clocks whose advance has lost its lease because its server is gone. Skips locked accounts. `now` is the
/// server's time.
///
/// # Errors
/// Database errors.
pub async fn end_expired(connection: &mut PgConnection, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let sql = "update accounts set walk = null, walked_until = null, frozen_at = null,
            ahead = round(extract(epoch from frozen_at - $1) * 1000)
        where id in (
            select id from accounts where walked_until < clock_timestamp() for no key update skip locked
        )";
    sqlx::query(sql).bind(now).execute(connection).await.map(|_| ())
}
