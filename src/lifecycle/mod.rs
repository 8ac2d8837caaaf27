//! What moves things in time. [`step`] does one batch of what is due and says when the next is; [`run`] is the loop
//! around it. Each kind of thing has a file.
//!
//! Rows are their own timers (`due_at`). A batch is claimed under locks that other servers pass over, decided in
//! memory by the pure rules of the resources' `state`, and saved with its events in one transaction: servers share
//! the work, and a crash neither repeats nor loses any of it.

mod agenda;
mod alarm;
mod approvals;
mod checks;
mod funding;
mod payments;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use tokio::sync::watch;

pub use alarm::Alarm;

use crate::clock::Clock;
use crate::concierge::pricing::Prices;
use crate::config::Pace;
use crate::database::Database;
use agenda::{Agenda, Kind};

/// The most outputs or users one transaction moves.
const BATCH: i64 = 1000;
/// Batches start at least this far apart unless one was full, so that a steady stream is moved in batches too.
const BEAT: Duration = Duration::from_millis(20);
/// How long a step may take before the connection counts as dead; what it had begun is undone and done again.
const LONGEST_STEP: Duration = Duration::from_secs(5);
/// How often to look for what other servers left behind.
const PATROL: Duration = Duration::from_secs(1);

/// What the lifecycle goes by.
#[derive(Debug, Clone)]
pub struct Rules {
    pub pace: Pace,
    /// Of the day.
    pub prices: Arc<Prices>,
    /// Scheme and host of the URLs that events show.
    pub public_url: Arc<str>,
}

/// In which order things happen that are due together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One instant after the other, across everything: a leap in time leaves what waiting would have left, the
    /// numbers of events included.
    Exact,
    /// Kind after kind, for things that became due within a moment of each other: much is moved at once, and
    /// whatever depends on something that comes before it still waits for that.
    ByKind,
    /// The same, without waiting for what comes first: somebody has held it locked for long.
    PastLocks,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Rows that were moved or deferred.
    pub done: usize,
    /// Whether more is due, and going on makes sense: not everything is locked by other servers.
    pub more: bool,
    /// When the next one is due, which may be now or past.
    pub next: Option<OffsetDateTime>,
}

/// What one kind came to.
#[derive(Debug, Clone, Copy)]
struct Moved {
    rows: usize,
    /// Where there may be more: up to when everything was claimed.
    full_to: Option<OffsetDateTime>,
}

impl Moved {
    fn new<T>(claimed: &[T], due_at: fn(&T) -> OffsetDateTime) -> Self {
        let is_full = i64::try_from(claimed.len()) == Ok(BATCH);
        Self { rows: claimed.len(), full_to: claimed.last().filter(|_| is_full).map(due_at) }
    }
}

/// What is due within this counts as due together, where order isn't exact.
const MOMENT: Duration = Duration::from_millis(250);
/// The least there is between two instants.
const INSTANT: Duration = Duration::from_micros(1);

/// Up to when a batch is to be moved where instants are kept apart: one that a full batch has only the first of waits,
/// unless it is all there is, so that it is cut into the same batches wherever the leap began.
fn whole_instants<T>(claimed: &[T], due_at: fn(&T) -> OffsetDateTime, until: OffsetDateTime) -> OffsetDateTime {
    match (claimed.first().map(due_at), Moved::new(claimed, due_at).full_to) {
        (Some(first), Some(cut)) if first < cut => cut - INSTANT,
        _ => until,
    }
}

/// Does one batch of what is due at `now`.
///
/// # Errors
/// Those of the database; then nothing of the batch that failed happened.
pub async fn step(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    rules: &Rules,
    order: Order,
) -> Result<Progress, sqlx::Error> {
    let agenda = Agenda::read(connection).await?;
    let Some(first) = agenda.first().filter(|first| agenda.of(*first) <= Some(now)) else {
        return Ok(Progress { done: 0, more: false, next: agenda.earliest() });
    };
    let mut done = 0;
    match order {
        Order::Exact => {
            let until = window(&agenda, first, rules).min(now);
            done += run_kind(connection, first, until, rules, true).await?.rows;
        }
        Order::ByKind | Order::PastLocks => {
            // after an outage, everything is due: one moment after the other, so that nothing comes much too early
            let moment = agenda.earliest().filter(|_| order == Order::ByKind).map(|earliest| earliest + MOMENT);
            let mut until = moment.map_or(now, |moment| now.min(moment));
            // checks first: one that comes before its payee's approval is to see it pending
            for kind in [Kind::Check, Kind::Approval, Kind::Payment, Kind::Funding, Kind::Request] {
                if agenda.of(kind).is_none_or(|due| due > until) {
                    continue;
                }
                let moved = run_kind(connection, kind, until, rules, false).await?;
                done += moved.rows;
                // what comes behind the rest of a full batch waits for it
                until = moved.full_to.map_or(until, |full_to| full_to.min(until));
            }
        }
    }
    let next = Agenda::read(connection).await?.earliest();
    Ok(Progress { done, more: done > 0 && next.is_some_and(|next| next <= now), next })
}

/// How many steps in a row may be held up: about a second's worth.
const LONG: u32 = 40;

/// The order of the next step: one account's locked row doesn't hold up the others for long.
fn past_locks(order: Order, held_up: u32) -> Order {
    if order == Order::ByKind && held_up >= LONG { Order::PastLocks } else { order }
}

/// Up to when a kind may be moved at once so that nothing else comes between: what it moves may itself move again
/// after the delay of a step.
fn window(agenda: &Agenda, kind: Kind, rules: &Rules) -> OffsetDateTime {
    let earliest = agenda.of(kind).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    match kind {
        Kind::Check | Kind::Payment => {
            let again = earliest + rules.pace.step_delay;
            let until = agenda.earliest_other(kind).map_or(again, |other| other.min(again)) - INSTANT;
            until.max(earliest)
        }
        Kind::Approval | Kind::Funding | Kind::Request => earliest,
    }
}

async fn run_kind(
    connection: &mut PgConnection,
    kind: Kind,
    until: OffsetDateTime,
    rules: &Rules,
    one_by_one: bool,
) -> Result<Moved, sqlx::Error> {
    match kind {
        Kind::Approval => approvals::approve(connection, until, rules).await,
        Kind::Check => checks::run(connection, until, rules, one_by_one).await,
        Kind::Payment => payments::go_on(connection, until, rules, one_by_one).await,
        Kind::Funding => funding::give(connection, until, rules).await,
        Kind::Request => requests::move_on(connection, until, rules).await,
    }
}

/// Steps whenever something is due, until told to stop. The first alarm says when something will be; the second one
/// wakes whoever tells of what happened. `reached` tells up to when everything has happened.
pub async fn run(
    database: Database,
    clock: Clock,
    rules: Rules,
    (alarm, deliveries): (Alarm, Alarm),
    reached: watch::Sender<OffsetDateTime>,
    mut stop: watch::Receiver<bool>,
) {
    let mut moves = clock.moves();
    // a clock that is moved by hand leaps
    let order = if moves.is_some() { Order::Exact } else { Order::ByKind };
    // how many steps in a row found something due and could move nothing
    let mut held_up = 0;
    loop {
        if let Some(moves) = &mut moves {
            moves.mark_unchanged();
        }
        let now = clock.now();
        let pause = tokio::time::sleep(BEAT);
        let outcome = match database.connection().await {
            Ok(mut connection) => {
                match tokio::time::timeout(LONGEST_STEP, step(&mut connection, now, &rules, past_locks(order, held_up)))
                    .await
                {
                    Ok(outcome) => connection.conclude(outcome).ok(),
                    Err(_) => {
                        tracing::warn!("the database fell silent in the middle of a step");
                        database.cool();
                        None
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the database is away; what is due waits for it");
                None
            }
        };
        let wake_at = match outcome {
            Some(Progress { done, more, next }) => {
                if done > 0 {
                    tracing::debug!(done, "moved what was due");
                    deliveries.set(now);
                }
                held_up = match next {
                    Some(next) if next <= now && done == 0 => held_up + 1,
                    // past locks, until nothing is left behind
                    Some(next) if next <= now && held_up >= LONG => held_up,
                    _ => 0,
                };
                if more && !*stop.borrow() {
                    continue;
                }
                if next.is_none_or(|next| next > now) {
                    reached.send_replace(now);
                }
                next
            }
            None => Some(now + PATROL),
        };
        let woken = async {
            pause.await;
            tokio::select! {
                () = alarm.wait(&clock, wake_at) => {}
                () = Clock::moved(&mut moves) => {}
                () = tokio::time::sleep(PATROL) => {}
            }
        };
        tokio::select! {
            () = woken => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
