//! Payments go on, step by step, once their request works; what ends gives back what it didn't use.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::cause_of;
use super::state::{FAILURE, MACHINE, Refund, State, Trigger, next};
use super::store::life::{DuePayment, Move, claim_payments};
use crate::accounts::pace::Pace;
use crate::concierge::changes::Changes;
use crate::concierge::due::{BATCH, Due, Moved, before};
use crate::concierge::money::{Credit, Wallet};
use crate::concierge::ports;
use crate::concierge::requests::store::life::read_locked;

/// What ended of a request's outputs: how many, what came back of them, and when the last one did.
#[derive(Debug)]
pub struct Closed {
    pub outputs: i64,
    pub returned: BigDecimal,
    pub at: OffsetDateTime,
}

/// Does the next step of payments that are due. `one_by_one`: only those that come before whatever they make due, the money
/// included that they give back, which a request may wait for.
///
/// # Errors
/// Those of the database.
pub async fn go_on(
    connection: &mut PgConnection,
    due: &Due,
    one_by_one: bool,
) -> Result<(Moved, Changes), sqlx::Error> {
    let outputs = claim_payments(connection, due, BATCH).await?;
    let moved = Moved::new(due, BATCH, outputs.iter().map(|output| (output.account_id, output.due_at)));
    let mut changes = Changes::default();
    let mut closed: BTreeMap<(i64, i64), Closed> = BTreeMap::new();
    let mut last = one_by_one.then(|| moved.whole_instants());
    for output in &outputs {
        if last.is_some_and(|last| output.due_at > last) {
            break;
        }
        let ended_in = match step(output, due.pace(output.account_id)) {
            Some(step) => {
                if let (Some(last), Some(next)) = (&mut last, step.due_at) {
                    *last = (*last).min(before(next, step.at));
                }
                let to = step.to;
                changes.outputs.push(step);
                to
            }
            // it ended before, and comes only to give back its money
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

/// The next step of a payment, if there is one.
fn step(output: &DuePayment, pace: &Pace) -> Option<Move> {
    let trigger = next(output.state, output.decision.scenario, output.attempts)?;
    let to = MACHINE.after(output.state, trigger)?;
    let attempts = output.attempts + i32::from(trigger == Trigger::Issue);
    let goes_on = next(to, output.decision.scenario, attempts).is_some();
    Some(Move {
        account_id: output.account_id,
        id: output.id,
        to,
        at: output.due_at,
        due_at: if goes_on { pace.step(output.due_at) } else { None },
        rejection_reason: None,
        failure_reason: matches!(to, State::Failed | State::Returned).then_some(FAILURE.into()),
        attempts,
        cause: cause_of(trigger, output.decision),
    })
}

/// What comes back of an output that was paid for and ends in a state.
pub fn refund(output: &DuePayment, ended_in: State) -> BigDecimal {
    match ended_in.refund() {
        Refund::Nothing => BigDecimal::default(),
        Refund::Budget => output.budget.clone(),
        Refund::BudgetLessFee => &output.budget - &output.fee_and_cost,
    }
}

/// Tells locked requests which of their outputs ended, and payers what came back.
///
/// # Errors
/// Those of the database.
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
    for mut life in read_locked(connection, &requests).await? {
        let Some(ended) = closed.get(&(life.account_id, life.id)) else { continue };
        let done = life.close_outputs(ended.outputs, &ended.returned, ended.at);
        // only outputs of working requests are on their way
        debug_assert!(done.is_ok(), "{done:?}");
        if ended.returned > BigDecimal::default() {
            let currency = ports::currency(&life.port_code).to_owned();
            let wallet = Wallet { account_id: life.account_id, user_id: life.user_id, currency };
            let at = due.pace(life.account_id).by_itself(ended.at);
            let none = Credit { wallet: wallet.clone(), amount: BigDecimal::default(), at };
            let credit = credits.entry(wallet).or_insert(none);
            credit.amount += &ended.returned;
            credit.at = credit.at.max(at);
        }
        changes.requests.push(life);
    }
    changes.credits.extend(credits.into_values());
    Ok(())
}
