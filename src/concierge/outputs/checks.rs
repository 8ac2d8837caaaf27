//! Timed preliminary checks of outputs.

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::cause_of;
use super::scenario::Decision;
use super::state::{CheckResult, MACHINE, State, Trigger, check};
use super::store::transitions::{DueCheck, OutputTransition, claim_checks};
use crate::accounts::timing::Timing;
use crate::concierge::changes::Changes;
use crate::concierge::due::{BATCH, BatchResult, Due, before};
use crate::concierge::requests;
use crate::concierge::users::state::ComplianceState;
use crate::events::Cause;

/// Runs due checks. `one_by_one`: stops before the first due time that they set.
///
/// # Errors
/// Database errors.
pub async fn run(
    connection: &mut PgConnection,
    due: &Due,
    one_by_one: bool,
) -> Result<(BatchResult, Changes), sqlx::Error> {
    let outputs = claim_checks(connection, due, BATCH).await?;
    let moved = BatchResult::new(due, BATCH, outputs.iter().map(|output| (output.account_id, output.due_at)));
    let mut changes = Changes::default();
    let mut last = one_by_one.then(|| moved.last_whole_instant());
    for output in &outputs {
        if last.is_some_and(|last| output.due_at > last) {
            break;
        }
        let Some(step) = step(output, due.timing(output.account_id)) else {
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

/// Step of an output after its checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedStep {
    pub trigger: Trigger,
    pub to: State,
    pub rejection_reason: Option<&'static str>,
    pub cause: Cause,
}

/// Returns the step after an output's checks; `None`: they wait for the payee's approval.
pub fn decide(payee: ComplianceState, decision: Decision) -> Option<CheckedStep> {
    let (trigger, rejection_reason, cause) = match check(payee, decision) {
        CheckResult::Accepted => (Trigger::Accept, None, Cause::TIMER),
        CheckResult::Rejected { reason, asked } => {
            let cause = if asked { cause_of(Trigger::Reject, decision) } else { Cause::TIMER };
            (Trigger::Reject, Some(reason), cause)
        }
        CheckResult::Deferred => return None,
    };
    Some(CheckedStep { trigger, to: MACHINE.after(State::Accepting, trigger)?, rejection_reason, cause })
}

/// Returns the payee's state at the checks. An approval due by then comes first, as in [`claim_checks`].
pub fn payee_at_checks(
    payee: ComplianceState,
    approved_at: Option<OffsetDateTime>,
    checked_at: Option<OffsetDateTime>,
) -> ComplianceState {
    let is_approved_first = approved_at.zip(checked_at).is_some_and(|(approved, checked)| approved <= checked);
    payee.approved().filter(|_| is_approved_first).unwrap_or(payee)
}

/// Returns the transition after an output's checks; `None`: they wait for the payee's approval.
fn step(output: &DueCheck, timing: &Timing) -> Option<OutputTransition> {
    let CheckedStep { to, rejection_reason, cause, .. } = decide(output.payee, output.decision)?;
    let at = output.due_at;
    let is_working = output.request == requests::state::State::Working;
    // if the request is `working` already, the payment starts after a step, or the refund comes at once
    let begins = output.request_since.map_or(at, |since| since.max(at));
    let due_at = match to {
        State::Accepted if is_working => timing.step(begins),
        State::Rejected if is_working => Some(begins),
        _ => None,
    };
    let (account_id, id) = (output.account_id, output.id);
    Some(OutputTransition {
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
