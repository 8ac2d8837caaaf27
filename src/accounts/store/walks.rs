//! The SQL of an account's clock: it stands still, runs on, and is walked.
//!
//! A walk is known by a token: whoever stops the clock, moves it or lets it run meanwhile takes it over, and the walk ends. A
//! clock that runs stands while it is walked, for as long as the server that walks says [again and again](keep) that it does.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// How long a clock stands whose walk isn't [kept](keep), in seconds.
const LEASE: f64 = 10.0;
/// How often it is to be kept.
pub const RENEWAL: Duration = Duration::from_secs(2);

/// Lets an account's time stand still, where it isn't already, and says where; `None` where the account has ended. `now` is the
/// server's time.
///
/// # Errors
/// Those of the database.
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

/// Lets an account's time that stands still run on from there. `now` is the server's time.
///
/// # Errors
/// Those of the database.
pub async fn resume(connection: &mut PgConnection, id: i64, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let sql = "update accounts set walk = null, walked_until = null, frozen_at = null,
            ahead = round(extract(epoch from frozen_at - $2) * 1000)
        where id = $1 and frozen_at is not null";
    sqlx::query(sql).bind(id).bind(now).execute(connection).await.map(|_| ())
}

/// Begins a walk, and says from where; `None` where the account has ended.
///
/// # Errors
/// Those of the database.
pub async fn begin(
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

/// Says that a walk goes on.
///
/// # Errors
/// Those of the database.
pub async fn keep(connection: &mut PgConnection, id: i64, walk: Uuid) -> Result<(), sqlx::Error> {
    let sql = "update accounts set walked_until = clock_timestamp() + make_interval(secs => $3)
        where id = $1 and walk = $2 and walked_until is not null";
    sqlx::query(sql).bind(id).bind(walk).bind(LEASE).execute(connection).await.map(|_| ())
}

/// Goes on to an instant, and says whether it did: somebody else may have taken the walk over.
///
/// # Errors
/// Those of the database.
pub async fn go_on(
    connection: &mut PgConnection,
    id: i64,
    walk: Uuid,
    to: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let sql = "update accounts set frozen_at = $3 where id = $1 and walk = $2 and ended_at is null";
    let moved = sqlx::query(sql).bind(id).bind(walk).bind(to).execute(connection).await?;
    Ok(moved.rows_affected() == 1)
}

/// Ends a walk, unless somebody else has taken it over: time runs on from where it came to if it ran before, or stands, unless
/// `stays` says otherwise. `now` is the server's time.
///
/// # Errors
/// Those of the database.
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

/// Lets the clocks run on whose walks a server left that is gone. Those of accounts that somebody is changing are left for
/// another time. `now` is the server's time.
///
/// # Errors
/// Those of the database.
pub async fn end_left(connection: &mut PgConnection, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let sql = "update accounts set walk = null, walked_until = null, frozen_at = null,
            ahead = round(extract(epoch from frozen_at - $1) * 1000)
        where id in (
            select id from accounts where walked_until < clock_timestamp() for no key update skip locked
        )";
    sqlx::query(sql).bind(now).execute(connection).await.map(|_| ())
}
