//! Timed preliminary checks of outputs.

use sqlx::postgres::PgConnection;

use super::cause_of;
use super::state::{Checked, MACHINE, State, Trigger, check};
use super::store::life::{DueCheck, Move, claim_checks};
use crate::accounts::pace::Pace;
use crate::concierge::changes::Changes;
use crate::concierge::due::{BATCH, Due, Moved, before};
use crate::concierge::requests;
use crate::events::Cause;

/// Runs due checks. `one_by_one`: stops before the first due time that they set.
///
/// # Errors
/// Database errors.
pub async fn run(connection: &mut PgConnection, due: &Due, one_by_one: bool) -> Result<(Moved, Changes), sqlx::Error> {
    let outputs = claim_checks(connection, due, BATCH).await?;
    let moved = Moved::new(due, BATCH, outputs.iter().map(|output| (output.account_id, output.due_at)));
    let mut changes = Changes::default();
    let mut last = one_by_one.then(|| moved.whole_instants());
    for output in &outputs {
        if last.is_some_and(|last| output.due_at > last) {
            break;
        }
        let Some(step) = decide(output, due.pace(output.account_id)) else {
            changes.stopped.push((output.account_id, output.id));
            continue;
        };
        if let (Some(last), Some(next)) = (&mut last, step.due_at) {
            *last = (*last).min(before(next, step.at));
        }
        changes.outputs.push(step);
    }
    Ok((moved, changes))
}

/// Returns the transition after an output's checks; `None`: they wait for the payee's approval.
fn decide(output: &DueCheck, pace: &Pace) -> Option<Move> {
    let (trigger, rejection_reason, cause) = match check(output.payee, output.decision) {
        Checked::Accepted => (Trigger::Accept, None, Cause::TIMER),
        Checked::Rejected { reason, asked } => {
            let cause = if asked { cause_of(Trigger::Reject, output.decision) } else { Cause::TIMER };
            (Trigger::Reject, Some(reason), cause)
        }
        Checked::Deferred => return None,
    };
    let at = output.due_at;
    let is_working = output.request == requests::state::State::Working;
    let to = MACHINE.after(State::Accepting, trigger)?;
    // if the request is `working` already, the payment starts after a step, or the refund comes at once
    let begins = output.request_since.map_or(at, |since| since.max(at));
    let due_at = match to {
        State::Accepted if is_working => pace.step(begins),
        State::Rejected if is_working => Some(begins),
        _ => None,
    };
    let (account_id, id) = (output.account_id, output.id);
    Some(Move {
        account_id,
        id,
        to,
        at,
        due_at,
        rejection_reason: rejection_reason.map(Into::into),
        failure_reason: None,
        attempts: 0,
        cause,
    })
}
