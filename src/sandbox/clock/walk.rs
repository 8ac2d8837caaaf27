//! Going through time, from one instant at which something is due to the next. At each of them the clock stands until
//! everything has happened that is due, attempts at telling of it included, so that two days that are skipped leave what
//! two days that were waited leave.

use std::convert::Infallible;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::CLOCK_MOVED;
use super::document::{Move, target};
use super::turns::Turn;
use crate::accounts::store::{self, walks};
use crate::database::StoreError;
use crate::events::store::last_id;
use crate::jsonapi::error::{Error, Errors, UNAVAILABLE};
use crate::lifecycle::{Agenda, reach, step_exactly};
use crate::sandbox::ControlPlane;

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// By a span of time, or to an instant.
    Moved(Move),
    /// Where nothing is due within that time.
    Quiet(Duration),
}

/// Where a walk came from and to, in the account's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    pub from: OffsetDateTime,
    pub to: OffsetDateTime,
    /// The last event before it.
    pub last_event: i64,
}

/// How long to wait for what somebody else does before looking again.
const PAUSE: Duration = Duration::from_millis(5);

/// Walks an account through its time. Its clock then stands where it came to, or runs on from there, as it did before,
/// unless `stays` says otherwise; it runs on, too, where this server is gone before the end. Walks of one account wait for each
/// other.
///
/// # Errors
/// 422 where it leads back in time, or too far; 409 where another server moves the clock, or the account was reset; 503 where
/// the database is away, or the server stops. Then the clock is where it came to.
pub async fn walk(plane: &ControlPlane, account_id: i64, until: Until, stays: Option<bool>) -> Result<Walked, Errors> {
    let turn = plane.clock_locks.take(account_id).await?;
    let walk = Walk { plane, account_id, token: Uuid::new_v4(), turn };
    let now = plane.app.clock.now();
    let mut connection = plane.app.database.connection().await?;
    let begun = async {
        let Some(account) = store::find(&mut connection, account_id).await? else { return Err(interrupted().into()) };
        // a clock that isn't moved isn't stopped either
        last(account.time.at(now), until)?;
        let from = walks::begin(&mut connection, account_id, walk.token, now).await?;
        from.ok_or_else(|| StoreError::from(interrupted()))
    }
    .await;
    let from = connection.conclude(begun)?;
    let walked = tokio::select! {
        walked = walk.set_out(from, until) => walked,
        never = walk.keep() => match never {},
    };
    let mut connection = plane.app.database.connection().await?;
    let ended = walks::end(&mut connection, account_id, walk.token, plane.app.clock.now(), stays).await;
    connection.conclude(ended)?;
    plane.app.wake(account_id);
    walked
}

/// A walk under way.
struct Walk<'a> {
    plane: &'a ControlPlane,
    account_id: i64,
    token: Uuid,
    turn: Turn,
}

impl Walk<'_> {
    /// Says again and again that the walk goes on, for the others to know that this server lives.
    async fn keep(&self) -> Infallible {
        loop {
            tokio::time::sleep(walks::RENEWAL).await;
            // a database that is away is for the walk to notice
            if let Ok(mut connection) = self.plane.app.database.connection().await {
                let kept = walks::keep(&mut connection, self.account_id, self.token).await;
                drop(connection.conclude(kept));
            }
        }
    }

    async fn set_out(&self, from: OffsetDateTime, until: Until) -> Result<Walked, Errors> {
        // what is due where it stands happens by itself, sooner or later: it is none of the walk's
        self.go(from, Until::Moved(Move::To(from)), true).await?;
        let mut connection = self.plane.app.database.connection().await?;
        let look = async {
            let is_watched = store::has_receiver(&mut connection, self.account_id).await?;
            Ok::<_, sqlx::Error>((is_watched, last_id(&mut connection, self.account_id).await?))
        }
        .await;
        let (is_watched, last_event) = connection.conclude(look)?;
        let to = self.go(from, until, is_watched).await?;
        Ok(Walked { from, to, last_event })
    }

    /// Goes on from an instant. The clock stands at each at which something happens, unless nobody is told of that: then it
    /// leaps over as much as is done at once.
    async fn go(&self, from: OffsetDateTime, until: Until, is_watched: bool) -> Result<OffsetDateTime, Errors> {
        let (plane, account_id) = (self.plane, self.account_id);
        let to = last(from, until)?;
        let mut at = from;
        loop {
            let mut connection = plane.app.database.connection().await?;
            let agenda = Agenda::read(&mut connection, Some(&[account_id]), &plane.app.rules.pace).await;
            let agenda = connection.conclude(agenda)?.into_iter().next().ok_or_else(interrupted)?;
            let last = if matches!(until, Until::Quiet(_)) { last(at, until)? } else { to };
            let Some(next) = agenda.next().filter(|next| *next <= last) else {
                if matches!(until, Until::Moved(_)) && to > at {
                    self.move_to(to).await?;
                    at = to;
                }
                return Ok(at);
            };
            if next > at {
                let leaps = !is_watched && agenda.delivery.is_none() && matches!(until, Until::Moved(_));
                let next = if leaps { reach(&agenda, last).truncate_to_millisecond().max(next) } else { next };
                self.move_to(next).await?;
                at = next;
            }
            if agenda.earliest().is_some_and(|earliest| earliest <= at) {
                let mut connection = plane.app.database.connection().await?;
                let moved = step_exactly(&mut connection, &agenda, at, &plane.app.rules).await;
                if connection.conclude(moved)?.is_some_and(|moved| moved.rows.is_empty()) {
                    // somebody holds it locked: the background, or a call under way
                    tokio::time::sleep(PAUSE).await;
                }
                plane.app.watchers.notify(account_id);
            } else {
                plane.app.deliveries.set(account_id, OffsetDateTime::UNIX_EPOCH);
                if !self.turn.tell(plane.app.post.caught_up(Some(account_id))).await {
                    let detail = "the server is stopping; the same request can be repeated in a moment";
                    return Err(Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1));
                }
            }
        }
    }

    async fn move_to(&self, to: OffsetDateTime) -> Result<(), Errors> {
        let mut connection = self.plane.app.database.connection().await?;
        let moved = walks::go_on(&mut connection, self.account_id, self.token, to).await;
        if connection.conclude(moved)? { Ok(()) } else { Err(interrupted()) }
    }
}

/// The last instant at which something happens that is due.
fn last(at: OffsetDateTime, until: Until) -> Result<OffsetDateTime, Errors> {
    match until {
        Until::Moved(by) => target(at, by),
        // a clock is never moved out of the calendar
        Until::Quiet(within) => Ok(target(at, Move::By(within)).unwrap_or(at)),
    }
}

/// 409: somebody else was at it.
pub fn interrupted() -> Errors {
    let detail = "another request moved the clock of this account, or reset it, while this one did; ask again";
    Error::new(CLOCK_MOVED, detail).into()
}
