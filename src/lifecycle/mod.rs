//! What moves things in time. A step does one batch of what is due in some accounts, each of which has its own time;
//! [`Lifecycle`] is the loop around it. Each kind of thing has a file.
//!
//! Rows are their own timers (`due_at`). A batch is claimed under locks that other servers pass over, decided in
//! memory by the pure rules of the resources' `state`, and saved with its events in one transaction: servers share
//! the work, and a crash neither repeats nor loses any of it.

mod agenda;
mod run;
pub mod timers;

use std::collections::HashMap;
use std::time::Duration;

use sqlx::Acquire;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

pub use agenda::Agenda;
pub use run::{Lifecycle, catch_up};

use crate::accounts::store;
use crate::concierge::due::Account;
use crate::concierge::due::Due;
use crate::concierge::due::Moved;
use crate::concierge::due::before;
use crate::concierge::outputs::checks;
use crate::concierge::outputs::payments;
use crate::concierge::requests::{deadlines, funding};
use crate::concierge::rules::Rules;
use crate::concierge::users::approvals;
use crate::database::end;
use agenda::Kind;

/// What is due within this counts as due together, where order isn't exact.
const MOMENT: Duration = Duration::from_millis(250);
/// Does one batch of what is due first in an account, up to `until` of its time; `None` where nothing is. One instant comes
/// after the other, across everything: a leap in time leaves what waiting would have left, the numbers of events
/// included. So only one at a time does that in an account, and nothing is moved where another one is at it.
///
/// # Errors
/// Those of the database; then nothing of the batch that failed happened.
pub async fn step_exactly(
    connection: &mut PgConnection,
    agenda: &Agenda,
    until: OffsetDateTime,
    rules: &Rules,
) -> Result<Option<Moved>, sqlx::Error> {
    if agenda.earliest().is_none_or(|earliest| earliest > until) {
        return Ok(None);
    }
    let mut transaction = connection.begin().await?;
    let outcome = async {
        if !store::try_lock(&mut transaction, agenda.account_id).await? {
            return Ok(Moved::default());
        }
        // another one may have been at it since this was read
        let agenda = Agenda::read(&mut transaction, Some(&[agenda.account_id]), &rules.pace).await?;
        match agenda.first() {
            Some(agenda) => step_first(&mut transaction, agenda, until, rules).await,
            None => Ok(Moved::default()),
        }
    }
    .await;
    end(transaction, outcome).await.map(Some)
}

/// Does one batch of what is due first in an account that is locked.
async fn step_first(
    connection: &mut PgConnection,
    agenda: &Agenda,
    until: OffsetDateTime,
    rules: &Rules,
) -> Result<Moved, sqlx::Error> {
    let Some(kind) = agenda.first().filter(|first| agenda.of(*first) <= Some(until)) else {
        return Ok(Moved::default());
    };
    if agenda.pace.is_manual {
        // set by what was under way when that began
        let stopped = timers::stop(connection, agenda.account_id).await?;
        if stopped > 0 {
            return Ok(Moved::counted(std::iter::once(agenda.account_id)));
        }
    }
    let due = Due(vec![Account { id: agenda.account_id, until: reach(agenda, until), pace: agenda.pace }]);
    run_kind(connection, kind, &due, rules, true).await
}

/// Does one batch of what is due in several accounts, kind after kind, where things became due within a moment of each
/// other: much is moved at once, and whatever depends on something that comes before it still waits for that. Says how
/// many rows were moved or deferred of each account.
///
/// # Errors
/// Those of the database; then nothing of the batch that failed happened.
pub async fn step_by_kind(
    connection: &mut PgConnection,
    agendas: &[Agenda],
    now: OffsetDateTime,
    rules: &Rules,
    is_held_up: impl Fn(i64) -> bool,
) -> Result<HashMap<i64, usize>, sqlx::Error> {
    let until = |agenda: &Agenda| {
        let now = agenda.time.at(now);
        // after an outage, everything is due: one moment after the other, so that nothing comes much too early
        let moment = agenda.earliest().filter(|_| !is_held_up(agenda.account_id)).map(|earliest| earliest + MOMENT);
        moment.map_or(now, |moment| now.min(moment))
    };
    let account = |agenda: &Agenda| Account { id: agenda.account_id, until: until(agenda), pace: agenda.pace };
    let mut accounts = Due(agendas.iter().map(account).collect());
    let mut rows: HashMap<i64, usize> = HashMap::new();
    // checks first: one that comes before its payee's approval is to see it pending
    for kind in [Kind::Check, Kind::Approval, Kind::Payment, Kind::Funding, Kind::Request] {
        let is_due = |account: &Account| {
            let agenda = agendas.iter().find(|agenda| agenda.account_id == account.id);
            agenda.and_then(|agenda| agenda.of(kind)).is_some_and(|due_at| due_at <= account.until)
        };
        let due = Due(accounts.0.iter().copied().filter(is_due).collect());
        if due.0.is_empty() {
            continue;
        }
        let moved = run_kind(connection, kind, &due, rules, false).await?;
        accounts.hold_back(&moved);
        for (account_id, count) in moved.rows {
            *rows.entry(account_id).or_default() += count;
        }
    }
    Ok(rows)
}

/// Up to when what is due first in an account may be moved at once, `until` at most, so that nothing else that is due comes
/// between.
pub fn reach(agenda: &Agenda, until: OffsetDateTime) -> OffsetDateTime {
    let Some((kind, earliest)) = agenda.first().zip(agenda.earliest()) else { return until };
    let reach = match kind {
        Kind::Check | Kind::Payment => agenda.earliest_other(kind).map_or(until, |other| before(other, earliest)),
        Kind::Approval | Kind::Funding | Kind::Request => earliest,
    };
    reach.min(until)
}

/// Does one batch of a kind in accounts, by the settings they have: these don't change until it is saved. Nothing is done in
/// those that have ended, or are being changed.
async fn run_kind(
    connection: &mut PgConnection,
    kind: Kind,
    due: &Due,
    rules: &Rules,
    one_by_one: bool,
) -> Result<Moved, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let outcome = async {
        let connection = &mut *transaction;
        let due = due.hold(connection, &rules.pace).await?;
        if due.0.is_empty() {
            return Ok(Moved::default());
        }
        let (moved, changes) = match kind {
            Kind::Approval => approvals::approve(connection, &due).await?,
            Kind::Check => checks::run(connection, &due, one_by_one).await?,
            Kind::Payment => payments::go_on(connection, &due, one_by_one).await?,
            Kind::Funding => funding::give(connection, &due).await?,
            Kind::Request => deadlines::move_on(connection, &due, &rules.prices).await?,
        };
        changes.save(connection, &rules.public_url).await?;
        Ok(moved)
    }
    .await;
    end(transaction, outcome).await
}
