//! Timed steps of payments of `working` requests, and refunds of payments that end.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::cause_of;
use super::scenario::Decision;
use super::state::{FAILURE, MACHINE, Refund, State, Trigger, next};
use super::store::transitions::{DuePayment, OutputTransition, claim_payments};
use crate::accounts::timing::Timing;
use crate::concierge::cash_wallets::ledger::{Credit, Wallet};
use crate::concierge::changes::Changes;
use crate::concierge::due::{BATCH, BatchResult, Due, before};
use crate::concierge::ports;
use crate::concierge::requests::store::transitions::read_locked;

/// Outputs of one request that ended: their number, their refund, and the end of the last one.
#[derive(Debug)]
pub struct Closed {
    pub outputs: i64,
    pub returned: BigDecimal,
    pub at: OffsetDateTime,
}

/// Runs the next step of due payments. `one_by_one`: stops before the first due time that they set.
/// A refund counts as one, because a request may wait for the money.
///
/// # Errors
/// Database errors; an impossible transition, wrapped in one.
pub async fn run(
    connection: &mut PgConnection,
    due: &Due,
    one_by_one: bool,
) -> Result<(BatchResult, Changes), sqlx::Error> {
    let outputs = claim_payments(connection, due, BATCH).await?;
    let moved = BatchResult::new(due, BATCH, outputs.iter().map(|output| (output.account_id, output.due_at)));
    let mut changes = Changes::default();
    let mut closed: BTreeMap<(i64, i64), Closed> = BTreeMap::new();
    let mut last = one_by_one.then(|| moved.last_whole_instant());
    for output in &outputs {
        if last.is_some_and(|last| output.due_at > last) {
            break;
        }
        let ended_in = match step(output, due.timing(output.account_id)) {
            Some(step) => {
                if let (Some(last), Some(next)) = (&mut last, step.due_at) {
                    *last = (*last).min(before(next, step.at));
                }
                let to = step.to;
                changes.outputs.push(step);
                to
            }
            // it ended before; only its refund is due
            None => {
                changes.stopped.push((output.account_id, output.id));
                output.state
            }
        };
        if !MACHINE.is_final(ended_in) {
            continue;
        }
        let refund = refund(output, ended_in);
        if one_by_one && refund > BigDecimal::default() {
            last = Some(output.due_at);
        }
        let none = Closed { outputs: 0, returned: BigDecimal::default(), at: output.due_at };
        let request = closed.entry((output.account_id, output.request_id)).or_insert(none);
        request.outputs += 1;
        request.returned += refund;
        request.at = request.at.max(output.due_at);
    }
    close(connection, &closed, due, &mut changes).await?;
    Ok((moved, changes))
}

/// Returns the next timed step of a payment and the state after it; `None` if there is none.
pub fn next_step(state: State, decision: Decision, attempts: i32) -> Option<(Trigger, State)> {
    let trigger = next(state, decision.scenario, attempts)?;
    Some((trigger, MACHINE.after(state, trigger)?))
}

/// Returns the number of attempts after a step: each issue is one.
pub fn attempts_after(trigger: Trigger, attempts: i32) -> i32 {
    attempts + i32::from(trigger == Trigger::Issue)
}

/// Returns the due time of the step after a state entered at `at`; `None` if there is none.
pub fn next_due_at(
    state: State,
    decision: Decision,
    attempts: i32,
    at: OffsetDateTime,
    timing: &Timing,
) -> Option<OffsetDateTime> {
    next_step(state, decision, attempts).and_then(|_| timing.step(at))
}

/// Returns true if a state has a `failure_reason`.
pub const fn has_failure_reason(state: State) -> bool {
    matches!(state, State::Failed | State::Returned)
}

/// Returns the next transition of a payment; `None` if there is none.
fn step(output: &DuePayment, timing: &Timing) -> Option<OutputTransition> {
    let (trigger, to) = next_step(output.state, output.decision, output.attempts)?;
    let attempts = attempts_after(trigger, output.attempts);
    Some(OutputTransition {
        account_id: output.account_id,
        id: output.id,
        to,
        at: output.due_at,
        due_at: next_due_at(to, output.decision, attempts, output.due_at, timing),
        rejection_reason: None,
        failure_reason: has_failure_reason(to).then_some(FAILURE.into()),
        attempts,
        cause: cause_of(trigger, output.decision),
    })
}

/// Returns the refund of a funded output that ends in a state.
pub fn refund(output: &DuePayment, ended_in: State) -> BigDecimal {
    match ended_in.refund() {
        Refund::Nothing => BigDecimal::default(),
        Refund::Budget => output.budget.clone(),
        Refund::BudgetLessFee => &output.budget - &output.fee_and_cost,
    }
}

/// Counts ended outputs in their requests, which are locked, and credits refunds to the payers.
///
/// # Errors
/// Database errors; an impossible transition, wrapped in one, if a request is not `working`.
pub async fn close(
    connection: &mut PgConnection,
    closed: &BTreeMap<(i64, i64), Closed>,
    due: &Due,
    changes: &mut Changes,
) -> Result<(), sqlx::Error> {
    if closed.is_empty() {
        return Ok(());
    }
    let requests: Vec<_> = closed.keys().copied().collect();
    let mut credits: BTreeMap<Wallet, Credit> = BTreeMap::new();
    for mut progress in read_locked(connection, &requests).await? {
        let Some(ended) = closed.get(&(progress.account_id, progress.id)) else { continue };
        let done = progress.close_outputs(ended.outputs, &ended.returned, ended.at);
        done.map_err(|refused| refused.of(&progress))?;
        if ended.returned > BigDecimal::default() {
            let currency = ports::currency(&progress.port_code).to_owned();
            let wallet = Wallet { account_id: progress.account_id, user_id: progress.user_id, currency };
            let at = due.timing(progress.account_id).unless_manual(ended.at);
            let none = Credit { wallet: wallet.clone(), amount: BigDecimal::default(), at };
            let credit = credits.entry(wallet).or_insert(none);
            credit.amount += &ended.returned;
            credit.at = credit.at.max(at);
        }
        changes.requests.push(progress);
    }
    changes.credits.extend(credits.into_values());
    Ok(())
}
