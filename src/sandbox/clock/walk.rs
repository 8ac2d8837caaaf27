//! Going through time, from one instant at which something is due to the next. At each of them the clock stands until
//! everything has happened that is due, attempts at telling of it included, so that two days that are skipped leave what
//! two days that were waited leave.

use std::time::Duration;

use time::OffsetDateTime;

use super::CLOCK_MOVED;
use crate::accounts::store;
use crate::jsonapi::error::{Error, Errors};
use crate::lifecycle::{Agenda, step_exactly};
use crate::server::App;

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// An instant.
    Instant(OffsetDateTime),
    /// Where nothing is due within that time.
    Quiet(Duration),
}

/// Where a walk came from and to, in the account's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    pub from: OffsetDateTime,
    pub to: OffsetDateTime,
}

/// How long to wait for what somebody else does before looking again.
const PAUSE: Duration = Duration::from_millis(5);

/// Walks an account through its time. Its clock then stands where it came to, or runs on from there, as it did before,
/// unless `stays` says otherwise. Walks of one account wait for each other.
///
/// # Errors
/// 409 where another server moves the clock; 503 where the database is away. Then the clock stands where it was.
pub async fn walk(app: &App, account_id: i64, until: Until, stays: Option<bool>) -> Result<Walked, Errors> {
    let turn = app.walks.turn(account_id);
    let _turn = turn.lock().await;
    let mut connection = app.database.connection().await?;
    let begun = async {
        let account = store::find(&mut connection, account_id).await?;
        let was_frozen = account.is_some_and(|account| account.time.frozen_at.is_some());
        Ok::<_, sqlx::Error>((was_frozen, store::freeze(&mut connection, account_id, app.clock.now()).await?))
    };
    let begun = begun.await;
    let (was_frozen, from) = connection.conclude(begun)?;
    let stays = stays.unwrap_or(was_frozen);
    let walked = go(app, account_id, from, until).await;
    if let Ok(to) = walked
        && !stays
    {
        let mut connection = app.database.connection().await?;
        let resumed = store::resume(&mut connection, account_id, app.clock.now()).await;
        connection.conclude(resumed)?;
        app.alarm.set(account_id, OffsetDateTime::UNIX_EPOCH);
        app.deliveries.set(account_id, OffsetDateTime::UNIX_EPOCH);
        return Ok(Walked { from, to });
    }
    Ok(Walked { from, to: walked? })
}

async fn go(app: &App, account_id: i64, from: OffsetDateTime, until: Until) -> Result<OffsetDateTime, Errors> {
    let mut at = from;
    loop {
        let mut connection = app.database.connection().await?;
        let agenda = Agenda::read(&mut connection, Some(&[account_id]), &app.rules.pace).await;
        let Some(agenda) = connection.conclude(agenda)?.into_iter().next() else { return Ok(at) };
        let last = match until {
            Until::Instant(instant) => instant,
            Until::Quiet(within) => at + within,
        };
        let next = [agenda.earliest(), agenda.delivery].into_iter().flatten().min().filter(|next| *next <= last);
        let Some(next) = next else {
            if let Until::Instant(instant) = until
                && instant > at
            {
                move_to(app, account_id, (at, instant)).await?;
                return Ok(instant);
            }
            return Ok(at);
        };
        if next > at {
            move_to(app, account_id, (at, next)).await?;
            at = next;
        }
        if agenda.earliest().is_some_and(|earliest| earliest <= at) {
            let mut connection = app.database.connection().await?;
            let moved = step_exactly(&mut connection, &agenda, at, &app.rules).await;
            if connection.conclude(moved)?.is_some_and(|moved| moved.rows.is_empty()) {
                // somebody holds it locked: the background, or a call under way
                tokio::time::sleep(PAUSE).await;
            }
            app.watchers.notify(account_id);
        } else {
            app.deliveries.set(account_id, OffsetDateTime::UNIX_EPOCH);
            app.post.caught_up(Some(account_id)).await;
        }
    }
}

async fn move_to(app: &App, account_id: i64, step: (OffsetDateTime, OffsetDateTime)) -> Result<(), Errors> {
    let mut connection = app.database.connection().await?;
    let moved = store::move_time(&mut connection, account_id, step).await;
    if connection.conclude(moved)? {
        return Ok(());
    }
    let detail = "another request moved the clock of this account, or reset it, while this one did; ask again";
    Err(Error::new(CLOCK_MOVED, detail).into())
}
