//! All SQL of deliveries: claims, leases, results and due times.
//!
//! A delivery is leased to the server that sends it. Leases use database time, the same for all servers.
//! The leases of a stopped server expire, and other servers claim its deliveries.

mod claim;
mod lease;
mod postpone;
mod results;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use crate::accounts::time::AccountTime;
pub use claim::{DeliveryClaim, claim};
pub use lease::{release, renew};
pub use postpone::{postpone, swap_with_next};
pub use results::save_results;

/// Subquery for the earliest due time of the deliveries of account `a`.
pub const NEXT_DUE: &str = "select min(due_at) from deliveries where account_id = a.id and state = 'due'";

/// Due times of an account's deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueTimes {
    pub account_id: i64,
    /// `true` if a delivery is due, even if a server is sending it.
    pub is_due: bool,
    /// Earliest due time in the future, in server time.
    pub next: Option<OffsetDateTime>,
}

/// Returns the due times of deliveries in these accounts; `None`: in all accounts.
///
/// # Errors
/// Database errors.
pub async fn due_times(
    connection: &mut PgConnection,
    accounts: Option<&[i64]>,
    now: OffsetDateTime,
) -> Result<Vec<DueTimes>, sqlx::Error> {
    const SQL: &str = concat!(
        "select a.id, a.frozen_at, a.ahead, d.earliest <= d.now, (
            select min(due_at) from deliveries where account_id = a.id and state = 'due' and due_at > d.now
        )
        from accounts a cross join lateral (
            select min(due_at) as earliest, ",
        crate::account_time!("a", "$1"),
        " as now from deliveries where account_id = a.id and state = 'due'
        ) d
        where ",
        crate::account_lives!("a"),
        " and d.earliest is not null and (a.id = any($2) or $2 is null)"
    );
    let rows = sqlx::query(SQL).bind(now).bind(accounts).fetch_all(connection).await?;
    let read = |row: &PgRow| {
        let next: Option<OffsetDateTime> = row.try_get(4)?;
        let next = next.and_then(|next| AccountTime::read(row, 1).ok()?.to_server_time(next));
        Ok(DueTimes { account_id: row.try_get(0)?, is_due: row.try_get(3)?, next })
    };
    rows.iter().map(read).collect()
}

/// Returns true if the delivery of an event up to `last_event` is due at `now`, in account time.
///
/// # Errors
/// Database errors.
pub async fn is_due(
    connection: &mut PgConnection,
    account_id: i64,
    now: OffsetDateTime,
    last_event: i64,
) -> Result<bool, sqlx::Error> {
    let sql = "select exists (
        select from deliveries where account_id = $1 and state = 'due' and due_at <= $2 and event_id <= $3
    )";
    sqlx::query_scalar(sql).bind(account_id).bind(now).bind(last_event).fetch_one(connection).await
}

/// Returns the creation time of the oldest pending event, among accounts in server time.
///
/// # Errors
/// Database errors.
pub async fn oldest_pending(connection: &mut PgConnection) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    const SQL: &str = concat!(
        "select min(e.created_at) from accounts a
        join deliveries d on d.account_id = a.id and d.state in ('due', 'waiting')
        join events e on e.account_id = d.account_id and e.id = d.event_id
        where a.frozen_at is null and a.ahead = 0 and ",
        crate::account_lives!("a")
    );
    sqlx::query_scalar(SQL).fetch_one(connection).await
}
