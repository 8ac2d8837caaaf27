//! What moves things in time. [`step`] does one batch of what is due and says when the next is; [`run`] is the loop
//! around it.
//!
//! Rows are their own timers (`due_at`). A batch is claimed under locks that other servers pass over, decided in
//! memory by the pure rules of the resources' `state`, and saved with its events in one transaction: servers share
//! the work, and a crash neither repeats nor loses any of it.

mod alarm;

use std::time::Duration;

use sqlx::Acquire;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use tokio::sync::watch;

pub use alarm::Alarm;

use crate::clock::Clock;
use crate::concierge::outputs::state::{Checked, State, check};
use crate::concierge::{outputs, users};
use crate::database::Database;

/// The most rows one transaction moves.
const BATCH: i64 = 1000;
/// Batches start at least this far apart unless one was full, so that a steady stream is moved in batches too.
const PACE: Duration = Duration::from_millis(20);
/// How long a step may take before the connection counts as dead; what it had begun is undone and done again.
const LONGEST_STEP: Duration = Duration::from_secs(5);
/// How often to look for what other servers left behind.
const PATROL: Duration = Duration::from_secs(1);

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Rows that were moved or deferred.
    pub done: usize,
    /// When the next one is due, which may be now or past.
    pub next: Option<OffsetDateTime>,
}

/// Does one batch of what is due at `now`, in the order of due times: an approval that comes before a check is
/// there when the check runs, one that comes after is not.
///
/// # Errors
/// Those of the database; then nothing of the batch happened.
pub async fn step(connection: &mut PgConnection, now: OffsetDateTime) -> Result<Progress, sqlx::Error> {
    let due = next_due(connection).await?;
    if due.earliest().is_none_or(|earliest| earliest > now) {
        return Ok(Progress { done: 0, next: due.earliest() });
    }
    let done = match (due.approval.filter(|at| *at <= now), due.check.filter(|at| *at <= now)) {
        (Some(approval), Some(check)) if approval <= check => approve_users(connection, check).await?,
        (Some(approval), Some(_)) => check_outputs(connection, approval - Duration::from_micros(1)).await?,
        (Some(_), None) => approve_users(connection, now).await?,
        (None, _) => check_outputs(connection, now).await?,
    };
    let next = next_due(connection).await?.earliest();
    Ok(Progress { done, next })
}

/// When the next of each kind is due.
#[derive(Debug, Clone, Copy)]
struct NextDue {
    approval: Option<OffsetDateTime>,
    check: Option<OffsetDateTime>,
}

impl NextDue {
    fn earliest(self) -> Option<OffsetDateTime> {
        [self.approval, self.check].into_iter().flatten().min()
    }
}

async fn next_due(connection: &mut PgConnection) -> Result<NextDue, sqlx::Error> {
    let approval = users::store::next_due(connection).await?;
    let check = outputs::store::next_due(connection).await?;
    Ok(NextDue { approval, check })
}

/// Approves new users whose time has come, and resumes the checks of outputs that waited for them.
async fn approve_users(connection: &mut PgConnection, until: OffsetDateTime) -> Result<usize, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut due = users::store::claim(&mut transaction, until, BATCH).await?;
    // what waits for an approval happens at its instant, before later approvals
    if let Some(at) = due.iter().find(|user| user.is_waited_for).map(|user| user.due_at) {
        due.retain(|user| user.due_at <= at);
    }
    let moves: Vec<users::store::Move> = due
        .iter()
        .filter_map(|user| {
            let to = user.state.approved()?;
            Some(users::store::Move { account_id: user.account_id, id: user.id, to, at: user.due_at })
        })
        .collect();
    if !moves.is_empty() {
        users::store::save(&mut transaction, &moves).await?;
        let payees: Vec<_> = moves.iter().map(|user| (user.account_id, user.id, user.at)).collect();
        outputs::store::resume(&mut transaction, &payees).await?;
    }
    transaction.commit().await?;
    Ok(moves.len())
}

/// Runs the preliminary checks of outputs whose time has come.
async fn check_outputs(connection: &mut PgConnection, until: OffsetDateTime) -> Result<usize, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let due = outputs::store::claim(&mut transaction, until, BATCH).await?;
    let mut moves = Vec::with_capacity(due.len());
    let mut deferred = Vec::new();
    for output in &due {
        let (to, rejection_reason) = match check(output.payee) {
            Checked::Accepted => (State::Accepted, None),
            Checked::Rejected { reason } => (State::Rejected, Some(reason)),
            Checked::Deferred => {
                deferred.push((output.account_id, output.id));
                continue;
            }
        };
        let (account_id, id, at) = (output.account_id, output.id, output.due_at);
        moves.push(outputs::store::Move { account_id, id, to, rejection_reason, at });
    }
    if !moves.is_empty() {
        outputs::store::save(&mut transaction, &moves).await?;
    }
    if !deferred.is_empty() {
        outputs::store::defer(&mut transaction, &deferred).await?;
    }
    transaction.commit().await?;
    Ok(due.len())
}

/// Steps whenever something is due, until told to stop. `reached` tells up to when everything has happened.
pub async fn run(
    database: Database,
    clock: Clock,
    alarm: Alarm,
    reached: watch::Sender<OffsetDateTime>,
    mut stop: watch::Receiver<bool>,
) {
    let mut moves = clock.moves();
    loop {
        if let Some(moves) = &mut moves {
            moves.mark_unchanged();
        }
        let now = clock.now();
        let pause = tokio::time::sleep(PACE);
        let outcome = match database.connection().await {
            Ok(mut connection) => match tokio::time::timeout(LONGEST_STEP, step(&mut connection, now)).await {
                Ok(outcome) => connection.conclude(outcome).ok(),
                Err(_) => {
                    tracing::warn!("the database fell silent in the middle of a step");
                    database.cool();
                    None
                }
            },
            Err(error) => {
                tracing::warn!(%error, "the database is away; what is due waits for it");
                None
            }
        };
        let wake_at = match outcome {
            Some(Progress { done, next }) => {
                if done > 0 {
                    tracing::debug!(done, "moved what was due");
                }
                if i64::try_from(done) == Ok(BATCH) && !*stop.borrow() {
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
