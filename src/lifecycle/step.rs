//! One step: a batch of due work, in one account in exact order, or in several accounts kind after kind.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::agenda::{Agenda, WorkKind};
use super::timers;
use crate::accounts::store;
use crate::accounts::store::clock;
use crate::concierge::due::{BatchResult, Due, DueAccount, before};
use crate::concierge::outputs::{checks, payments};
use crate::concierge::requests::{deadlines, funding};
use crate::concierge::rules::Rules;
use crate::concierge::users::approvals;
use crate::database::transaction;

/// Work due within this time after the earliest is done together, where exact order is not required.
const MOMENT: Duration = Duration::from_millis(250);
/// Runs one batch of the earliest due work in an account, up to `until` in account time. `None`: nothing is due.
///
/// Instants follow each other, across all kinds of work.
/// So advancing a clock leaves the same data as waiting, event ids included.
/// For this, an account is locked: while another caller has the lock, the batch is empty.
///
/// # Errors
/// Database errors; the failed batch is rolled back.
pub async fn step_exactly(
    connection: &mut PgConnection,
    agenda: &Agenda,
    until: OffsetDateTime,
    rules: &Rules,
) -> Result<Option<BatchResult>, sqlx::Error> {
    if agenda.earliest().is_none_or(|earliest| earliest > until) {
        return Ok(None);
    }
    transaction(connection, async |transaction| {
        if !store::try_lock(transaction, agenda.account_id).await? {
            return Ok(BatchResult::default());
        }
        // the given agenda was read before the lock
        let agenda = Agenda::read(transaction, Some(&[agenda.account_id]), &rules.timing).await?;
        match agenda.first() {
            Some(agenda) => step_first(transaction, agenda, until, rules).await,
            None => Ok(BatchResult::default()),
        }
    })
    .await
    .map(Some)
}

/// Result of [`move_clock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockMove {
    /// The clock shows this instant. All work due before it is done.
    Reached(OffsetDateTime),
    /// Another transaction has the account's lock. Nothing changed.
    Locked,
    /// Another command took the clock over, or the account has ended. Nothing changed.
    Lost,
}

/// Where an advance stops on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stops {
    /// At the first instant with work or a delivery due.
    AtAll,
    /// At the first instant with work due. Passes deliveries of concurrent calls, which come without end.
    AtWork,
    /// At the first instant with a delivery due, and without deliveries as far as one batch reaches.
    AfterBatch,
}

/// Moves the clock of an advance from `from` towards `to`, and runs the batch due on the way, in one transaction.
///
/// A concurrent call acts at the clock's instant. So the clock never passes work that is still due: in between, an
/// event of that call would be later than the next event of that work.
///
/// # Errors
/// Database errors; then nothing changed.
pub async fn move_clock(
    connection: &mut PgConnection,
    account_id: i64,
    advance: Uuid,
    from: OffsetDateTime,
    to: OffsetDateTime,
    stops: Stops,
    rules: &Rules,
) -> Result<ClockMove, sqlx::Error> {
    transaction(connection, async |transaction| {
        if !store::try_lock(transaction, account_id).await? {
            return Ok(ClockMove::Locked);
        }
        let read = Agenda::read(transaction, Some(&[account_id]), &rules.timing).await?;
        let Some(agenda) = read.first() else { return Ok(ClockMove::Lost) };
        let next = if stops == Stops::AtWork { agenda.earliest() } else { agenda.next() };
        let to = match next.filter(|next| *next < to) {
            Some(next) if stops == Stops::AfterBatch && agenda.delivery.is_none() => {
                batch_end(agenda, to).truncate_to_millisecond().max(next)
            }
            Some(next) => next,
            None => to,
        };
        // a concurrent call may have left work that is due already
        let to = to.max(from);
        if !clock::move_to(transaction, account_id, advance, to).await? {
            return Ok(ClockMove::Lost);
        }
        if agenda.earliest().is_none_or(|earliest| earliest > to) {
            return Ok(ClockMove::Reached(to));
        }
        step_first(transaction, agenda, to, rules).await?;
        // a full batch leaves work behind
        let left = Agenda::read(transaction, Some(&[account_id]), &rules.timing).await?;
        match left.first().and_then(Agenda::earliest).filter(|earliest| *earliest < to) {
            Some(earliest) => {
                let reached = earliest.max(from);
                clock::move_to(transaction, account_id, advance, reached).await?;
                Ok(ClockMove::Reached(reached))
            }
            None => Ok(ClockMove::Reached(to)),
        }
    })
    .await
}

/// Runs one batch of the earliest due work in a locked account.
async fn step_first(
    connection: &mut PgConnection,
    agenda: &Agenda,
    until: OffsetDateTime,
    rules: &Rules,
) -> Result<BatchResult, sqlx::Error> {
    let Some(kind) = agenda.first().filter(|first| agenda.of(*first) <= Some(until)) else {
        return Ok(BatchResult::default());
    };
    if agenda.timing.is_manual {
        // set by transactions already running when `is_manual` was set
        let stopped = timers::stop(connection, agenda.account_id).await?;
        if stopped > 0 {
            return Ok(BatchResult::from_counts(std::iter::once(agenda.account_id)));
        }
    }
    let due = Due(vec![DueAccount { id: agenda.account_id, until: batch_end(agenda, until), timing: agenda.timing }]);
    run_kind(connection, kind, &due, rules, true).await
}

/// Runs one batch of due work in several accounts, kind after kind. Returns the rows moved or deferred, by account.
///
/// In each account, the batch reaches no more than 250 ms past the earliest due time.
/// So much is moved at once, and dependent work still waits for the work before it.
/// Accounts with `is_held_up` skip this limit.
///
/// # Errors
/// Database errors; the failed batch is rolled back.
pub async fn step_by_kind(
    connection: &mut PgConnection,
    agendas: &[Agenda],
    now: OffsetDateTime,
    rules: &Rules,
    is_held_up: impl Fn(i64) -> bool,
) -> Result<HashMap<i64, usize>, sqlx::Error> {
    let until = |agenda: &Agenda| {
        let now = agenda.time.at(now);
        // after an outage everything is due; moment by moment, no work runs much too early
        let moment = agenda.earliest().filter(|_| !is_held_up(agenda.account_id)).map(|earliest| earliest + MOMENT);
        moment.map_or(now, |moment| now.min(moment))
    };
    let account = |agenda: &Agenda| DueAccount { id: agenda.account_id, until: until(agenda), timing: agenda.timing };
    let mut accounts = Due(agendas.iter().map(account).collect());
    let mut rows: HashMap<i64, usize> = HashMap::new();
    // checks first: a check due before its payee's approval must see it pending
    for kind in [WorkKind::Check, WorkKind::Approval, WorkKind::Payment, WorkKind::Funding, WorkKind::Request] {
        let is_due = |account: &DueAccount| {
            let agenda = agendas.iter().find(|agenda| agenda.account_id == account.id);
            agenda.and_then(|agenda| agenda.of(kind)).is_some_and(|due_at| due_at <= account.until)
        };
        let due = Due(accounts.0.iter().copied().filter(is_due).collect());
        if due.0.is_empty() {
            continue;
        }
        let moved = run_kind(connection, kind, &due, rules, false).await?;
        accounts.limit_to(&moved);
        for (account_id, count) in moved.rows {
            *rows.entry(account_id).or_default() += count;
        }
    }
    Ok(rows)
}

/// Returns the end of one batch of the earliest work, `until` at most, that crosses no other kind of work.
fn batch_end(agenda: &Agenda, until: OffsetDateTime) -> OffsetDateTime {
    let Some((kind, earliest)) = agenda.first().zip(agenda.earliest()) else { return until };
    let batch_end = match kind {
        WorkKind::Check | WorkKind::Payment => {
            agenda.earliest_other(kind).map_or(until, |other| before(other, earliest))
        }
        WorkKind::Approval | WorkKind::Funding | WorkKind::Request => earliest,
    };
    batch_end.min(until)
}

/// Runs one batch of a kind in accounts, under locked settings. Skips accounts that have ended or are locked.
async fn run_kind(
    connection: &mut PgConnection,
    kind: WorkKind,
    due: &Due,
    rules: &Rules,
    one_by_one: bool,
) -> Result<BatchResult, sqlx::Error> {
    transaction(connection, async |connection| {
        let due = due.lock_settings(connection, &rules.timing).await?;
        if due.0.is_empty() {
            return Ok(BatchResult::default());
        }
        let (moved, changes) = match kind {
            WorkKind::Approval => approvals::run(connection, &due).await?,
            WorkKind::Check => checks::run(connection, &due, one_by_one).await?,
            WorkKind::Payment => payments::run(connection, &due, one_by_one).await?,
            WorkKind::Funding => funding::run(connection, &due).await?,
            WorkKind::Request => deadlines::run(connection, &due, &rules.prices).await?,
        };
        changes.save(connection, &rules.public_url).await?;
        Ok(moved)
    })
    .await
}
