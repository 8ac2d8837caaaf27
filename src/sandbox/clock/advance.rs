//! Advances a clock from one due instant to the next. At each it runs everything due, delivery attempts included.
//!
//! Skipping two days therefore leaves the same data as waiting two days.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CLOCK_MOVED;
use super::document::{Distance, target};
use super::locks::ClockLock;
use crate::accounts::store;
use crate::accounts::store::clock;
use crate::concierge::impossible;
use crate::database::{StoreError, outcome_unknown};
use crate::events::store::last_id;
use crate::jsonapi::error::{Error, Errors, UNAVAILABLE};
use crate::lifecycle::Agenda;
use crate::lifecycle::step::{ClockMove, Stops, move_clock, step_exactly};
use crate::sandbox::state::ControlPlane;
use crate::webhooks::store::is_due;

/// The end of an advance.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After a span of time, or at an instant.
    Moved(Distance),
    /// At the first instant with nothing due within this time, and after fifty times this time at the latest.
    Quiet(Duration),
}

/// Start and end of an advance, in the account's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advanced {
    pub from: OffsetDateTime,
    pub to: OffsetDateTime,
    /// Id of the last event before the advance.
    pub last_event: i64,
}

/// Time between polls for rows locked elsewhere.
const PAUSE: Duration = Duration::from_millis(5);
/// Time between polls for attempts of other servers, which send no notification.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Rounds of deliveries at one instant. No payout has as many steps.
const MOST_ROUNDS: u32 = 16;
/// Length of the longest settling, in multiples of its `within`.
const MOST_SPANS: u32 = 50;

/// Advances the clock of an account.
///
/// Afterwards a frozen clock stays frozen and a running clock runs on, unless `freeze` is given. A running clock also
/// runs on if this server dies on the way. Advances of one account wait for each other.
///
/// At each instant an advance waits for the deliveries due on its arrival, then for those of the calls that handlers made
/// meanwhile, and so on. It can't tell these calls from others, so it goes on after sixteen such rounds. After an
/// instant with so many, the next one has half of them: steady calls of others don't hold an advance up.
///
/// # Errors
/// 422 if the target is in the past or too far away. 409 if another server moves the clock or the account was reset.
/// 503 while the database is unavailable or the server stops. After an error the clock is at the instant it reached.
pub async fn advance(
    plane: &ControlPlane,
    account_id: i64,
    until: Until,
    freeze: Option<bool>,
) -> Result<Advanced, Errors> {
    let turn = plane.clock_locks.take(account_id).await?;
    let advance = Advance { plane, account_id, token: Uuid::new_v4(), turn };
    let now = plane.app.clock.now();
    let start = async |connection: &mut PgConnection| {
        let Some(account) = store::find(connection, account_id).await? else { return Err(clock_moved().into()) };
        // checked first: a refused advance must not stop the clock
        let start = account.time.at(now);
        last(start, start, until)?;
        let from = clock::start(connection, account_id, advance.token, now).await?;
        from.ok_or_else(|| StoreError::from(clock_moved()))
    };
    let from = plane.app.database.run(start).await?;
    let walked = tokio::select! {
        walked = advance.start(from, until) => walked,
        never = advance.renew_lease() => match never {},
    };
    let end = async |connection: &mut PgConnection| {
        clock::end(connection, account_id, advance.token, plane.app.clock.now(), freeze).await
    };
    plane.app.database.run(end).await?;
    plane.app.wake(account_id);
    walked
}

/// An advance in progress.
struct Advance<'a> {
    plane: &'a ControlPlane,
    account_id: i64,
    token: Uuid,
    turn: ClockLock,
}

impl Advance<'_> {
    /// Renews the lease of the advance without end. Another server lets the clock run if the lease expires.
    async fn renew_lease(&self) -> Infallible {
        loop {
            tokio::time::sleep(clock::RENEWAL).await;
            let database = &self.plane.app.database;
            // the advance reports an unavailable database
            drop(database.run(async |connection| clock::renew(connection, self.account_id, self.token).await).await);
        }
    }

    async fn start(&self, from: OffsetDateTime, until: Until) -> Result<Advanced, Errors> {
        // work due before the start would have run anyway: it is not part of the advance
        self.run(from, Until::Moved(Distance::To(from)), true).await?;
        let work = async |connection: &mut PgConnection| {
            let has_receiver = store::has_receiver(connection, self.account_id).await?;
            Ok::<_, sqlx::Error>((has_receiver, last_id(connection, self.account_id).await?))
        };
        let (has_receiver, last_event) = self.plane.app.database.run(work).await?;
        let to = self.run(from, until, has_receiver).await?;
        Ok(Advanced { from, to, last_event })
    }

    /// Advances from an instant and returns the instant reached. The clock stops at each instant with work due.
    /// Without a receiver of events it skips ahead as far as one batch reaches.
    async fn run(&self, from: OffsetDateTime, until: Until, has_receiver: bool) -> Result<OffsetDateTime, Errors> {
        let (plane, account_id) = (self.plane, self.account_id);
        let to = last(from, from, until)?;
        let is_moved = matches!(until, Until::Moved(_));
        let (mut at, mut rounds) = (from, Rounds::default());
        loop {
            let read = async |connection: &mut PgConnection| {
                Agenda::read(connection, Some(&[account_id]), &plane.app.rules.timing).await
            };
            let agenda = plane.app.database.run(read).await?.into_iter().next().ok_or_else(clock_moved)?;
            let last = if is_moved { to } else { last(from, at, until)? };
            let (next, stops) = match (rounds.are_used_up(), is_moved && !has_receiver) {
                (true, _) => (agenda.earliest(), Stops::AtWork),
                (false, true) => (agenda.next(), Stops::AfterBatch),
                (false, false) => (agenda.next(), Stops::AtAll),
            };
            match next.filter(|next| *next <= last) {
                None if is_moved && to > at => at = self.move_to(at, to, stops).await?,
                None => return Ok(at),
                Some(next) if next > at => {
                    let reached = self.move_to(at, if stops == Stops::AfterBatch { to } else { next }, stops).await?;
                    if reached > at {
                        (at, rounds) = (reached, rounds.of_next_instant());
                    }
                }
                Some(_) if agenda.earliest().is_some_and(|earliest| earliest <= at) => self.step(&agenda, at).await?,
                Some(_) => {
                    self.deliver(at, until).await?;
                    rounds.left -= 1;
                }
            }
        }
    }

    /// Runs one batch of the work due at the clock's instant.
    async fn step(&self, agenda: &Agenda, at: OffsetDateTime) -> Result<(), Errors> {
        let app = &self.plane.app;
        let step = async |connection: &mut PgConnection| {
            let moved = step_exactly(connection, agenda, at, &app.rules).await;
            moved.inspect_err(|error| impossible::count(error, &app.metrics))
        };
        if app.database.run(step).await?.is_some_and(|moved| moved.rows.is_empty()) {
            // the background or a request in flight holds the row lock
            tokio::time::sleep(PAUSE).await;
        }
        app.watchers.notify(self.account_id);
        Ok(())
    }

    /// Waits until every delivery due now was attempted.
    async fn deliver(&self, at: OffsetDateTime, until: Until) -> Result<(), Errors> {
        let delivering = self.turn.tell(self.attempted(at));
        if let Ok(attempted) = self.plane.app.stopping.unless(delivering).await {
            return attempted;
        }
        match until {
            // repeated, it would go on too far
            Until::Moved(Distance::By(_)) => {
                Err(outcome_unknown("the server is stopping and the clock has advanced in part"))
            }
            Until::Moved(Distance::To(_)) | Until::Quiet(_) => {
                let detail =
                    "the server is stopping, and the clock has advanced in part; repeat the request in a moment";
                Err(Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1))
            }
        }
    }

    /// Waits until every delivery due at this instant was attempted. Leaves out events recorded after the call.
    async fn attempted(&self, at: OffsetDateTime) -> Result<(), Errors> {
        let (app, account_id) = (&self.plane.app, self.account_id);
        let last_event = app.database.run(async |connection| last_id(connection, account_id).await).await?;
        loop {
            // subscribe before the poll, so that no attempt in between is missed
            let watched = app.watchers.watch(account_id);
            let happened = watched.notified();
            app.deliveries.wake(account_id);
            let work = async |connection: &mut PgConnection| is_due(connection, account_id, at, last_event).await;
            if !app.database.run(work).await? {
                return Ok(());
            }
            drop(tokio::time::timeout(POLL_INTERVAL, happened).await);
        }
    }

    /// Moves the clock from `at` towards `to`, and returns the instant reached.
    async fn move_to(&self, at: OffsetDateTime, to: OffsetDateTime, stops: Stops) -> Result<OffsetDateTime, Errors> {
        let app = &self.plane.app;
        let work = async |connection: &mut PgConnection| {
            let moved = move_clock(connection, self.account_id, self.token, at, to, stops, &app.rules).await;
            moved.inspect_err(|error| impossible::count(error, &app.metrics))
        };
        match app.database.run(work).await? {
            ClockMove::Reached(instant) => {
                app.watchers.notify(self.account_id);
                Ok(instant)
            }
            ClockMove::Locked => {
                tokio::time::sleep(PAUSE).await;
                Ok(at)
            }
            ClockMove::Lost => Err(clock_moved()),
        }
    }
}

/// Rounds of deliveries at an instant.
struct Rounds {
    most: u32,
    left: u32,
}

impl Default for Rounds {
    fn default() -> Self {
        Self { most: MOST_ROUNDS, left: MOST_ROUNDS }
    }
}

impl Rounds {
    fn are_used_up(&self) -> bool {
        self.left == 0
    }

    fn of_next_instant(&self) -> Self {
        let most = if self.are_used_up() { (self.most / 2).max(1) } else { MOST_ROUNDS };
        Self { most, left: most }
    }
}

/// Returns the last instant of an advance that began at `from` and is now at `at`.
fn last(from: OffsetDateTime, at: OffsetDateTime, until: Until) -> Result<OffsetDateTime, Errors> {
    match until {
        Until::Moved(by) => target(at, by),
        // the clock never leaves the calendar
        Until::Quiet(within) => {
            let next = target(at, Distance::By(within)).unwrap_or(at);
            let longest = time::Duration::try_from(within.saturating_mul(MOST_SPANS)).ok();
            let latest = longest.and_then(|longest| from.checked_add(longest));
            Ok(latest.map_or(next, |latest| next.min(latest)))
        }
    }
}

/// Returns the 409 for a clock that another request moved.
pub fn clock_moved() -> Errors {
    let detail = "another request moved the clock of this account or reset the account meanwhile; repeat the request";
    Error::new(CLOCK_MOVED, detail).into()
}
