//! Cascades of a request's transition to its outputs: pricing, starting and cancelling them.
//!
//! A cascade works in batches, so that a request with tens of thousands of outputs needs no long transaction.

use std::collections::HashMap;

use bigdecimal::BigDecimal;
use sqlx::postgres::PgConnection;

use super::document::SCHEMA;
use super::progress::{NotPossible, Progress};
use super::state::{State, Trigger};
use super::store::transitions as store;
use crate::accounts::timing::Timing;
use crate::concierge::changes::Changes;
use crate::concierge::due::Due;
use crate::concierge::outputs::store::transitions::{
    CascadeOutput, OutputTransition, Quoted, next_in_cascade, save_prices,
};
use crate::concierge::pricing::{Price, Prices};
use crate::concierge::{outputs, ports};
use crate::events;
use crate::events::Cause;

/// Maximum number of outputs in one transaction.
const BATCH: usize = 1000;

/// Cascades to the next outputs of locked requests, up to the limit of one transaction.
/// The requests share the limit equally.
/// The outputs and requests changed are added to `changes`.
///
/// # Errors
/// Database errors; an impossible transition, wrapped in one.
pub async fn cascade_to_outputs(
    connection: &mut PgConnection,
    mut requests: Vec<Progress>,
    prices: &Prices,
    due: &Due,
    changes: &mut Changes,
) -> Result<(), sqlx::Error> {
    recall_causes(connection, &mut requests).await?;
    let share = (BATCH / requests.len().max(1)).max(1);
    let mut taken = next_in_cascade(connection, &requests, share + 1).await?;
    // one output more than the share means that the request has further outputs
    let mut counts = vec![0; requests.len()];
    taken.retain(|output| {
        let count = counts.get_mut(output.request).map_or(0, |count| {
            *count += 1;
            *count
        });
        count <= share
    });
    let mut prices = PriceLists::new(prices);
    let mut quoted = Vec::new();
    for output in &taken {
        let Some(progress) = requests.get(output.request) else { continue };
        match progress.state {
            State::QuoteRequested => quoted.extend(prices.quote(progress, output)),
            State::Working => changes.outputs.extend(start(progress, output, due.timing(progress.account_id))),
            State::Cancelled => changes.outputs.extend(cancel(progress, output)),
            State::Draft | State::Quoted | State::QuoteAccepted | State::Finished => {}
        }
    }
    if !quoted.is_empty() {
        save_prices(connection, &quoted).await?;
    }
    let last: HashMap<usize, i64> = taken.iter().map(|output| (output.request, output.id)).collect();
    let mut done = Vec::new();
    for (place, mut progress) in requests.into_iter().enumerate() {
        if counts[place] > share {
            progress.outputs_done_to = last.get(&place).copied().or(progress.outputs_done_to);
            changes.requests.push(progress);
        } else {
            done.push(progress);
        }
    }
    finish_cascades(connection, done, due, changes).await
}

/// Restores the causes of cancelled requests in a continued cascade.
/// Their outputs are cancelled with the same cause.
async fn recall_causes(connection: &mut PgConnection, requests: &mut [Progress]) -> Result<(), sqlx::Error> {
    let going_on = |progress: &&mut Progress| progress.state == State::Cancelled && progress.told.is_empty();
    let ids: Vec<_> = requests.iter_mut().filter(going_on).map(|progress| (progress.account_id, progress.id)).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let causes = events::store::latest_causes(connection, SCHEMA.type_name, &ids).await?;
    for (progress, cause) in requests.iter_mut().filter(going_on).zip(causes) {
        progress.cause = cause.unwrap_or(Cause::TIMER);
    }
    Ok(())
}

/// Finishes the transitions of requests after their last output.
async fn finish_cascades(
    connection: &mut PgConnection,
    done: Vec<Progress>,
    due: &Due,
    changes: &mut Changes,
) -> Result<(), sqlx::Error> {
    let priced: Vec<_> = done
        .iter()
        .filter(|progress| progress.state == State::QuoteRequested)
        .map(|progress| (progress.account_id, progress.id))
        .collect();
    let mut totals =
        if priced.is_empty() { Vec::new() } else { store::sum_outputs(connection, &priced).await? }.into_iter();
    for mut progress in done {
        let Some(trigger) = trigger_at_end(&progress) else {
            progress.end_cascade();
            changes.requests.push(progress);
            continue;
        };
        let moved = match (trigger, progress.due_at.or(progress.state_since)) {
            (Trigger::Quote, Some(at)) => {
                let total = totals.next().map_or_else(BigDecimal::default, |outputs| outputs.budget);
                progress.quote(total, at, due.timing(progress.account_id))
            }
            (Trigger::Finish, Some(at)) => progress.finish(at),
            _ => Err(NotPossible { state: progress.state, trigger }),
        };
        moved.map_err(|refused| refused.of(&progress))?;
        changes.requests.push(progress);
    }
    Ok(())
}

/// Returns the trigger at the end of a request's cascade; `None`: the request stays in its state.
pub fn trigger_at_end(progress: &Progress) -> Option<Trigger> {
    match progress.state {
        State::QuoteRequested => Some(Trigger::Quote),
        State::Working if progress.outputs_open == 0 => Some(Trigger::Finish),
        State::Draft | State::Quoted | State::QuoteAccepted | State::Working | State::Finished | State::Cancelled => {
            None
        }
    }
}

/// Returns the step of an output in the cascade of a request, and the state after it; `None` without a step.
pub fn step_of_output(
    request: State,
    output: outputs::state::State,
    is_timed: bool,
) -> Option<(outputs::state::Trigger, outputs::state::State)> {
    let trigger = match request {
        // an output with a timer starts at its own time
        State::Working if output == outputs::state::State::Accepted && !is_timed => outputs::state::Trigger::Work,
        State::Cancelled => outputs::state::Trigger::Cancel,
        State::Draft
        | State::QuoteRequested
        | State::Quoted
        | State::QuoteAccepted
        | State::Working
        | State::Finished => return None,
    };
    Some((trigger, outputs::state::MACHINE.after(output, trigger)?))
}

/// Prices of a batch: the current prices and the prices held by requests.
struct PriceLists<'a> {
    current: &'a Prices,
    held: HashMap<(i64, i64), Option<Prices>>,
}

impl<'a> PriceLists<'a> {
    fn new(current: &'a Prices) -> Self {
        Self { current, held: HashMap::new() }
    }

    /// Computes the missing one of an output's `amount` and `budget`.
    fn quote(&mut self, progress: &Progress, output: &CascadeOutput) -> Option<Quoted> {
        let held = self.held.entry((progress.account_id, progress.id)).or_insert_with(|| {
            let held = progress.held_prices.as_deref()?;
            Prices::read(held)
                .inspect_err(|error| tracing::error!(%error, "held prices unreadable, using current prices"))
                .ok()
        });
        let price = match (&output.amount, &output.budget) {
            (Some(amount), _) => Price::Amount(amount.clone()),
            (None, Some(budget)) => Price::Budget(budget.clone()),
            (None, None) => return None,
        };
        let (origin, destination) = (ports::find(&progress.port_code)?, ports::find(&output.port_code)?);
        let priced = held.as_ref().unwrap_or(self.current).price(origin, destination, &price);
        Some(Quoted {
            account_id: progress.account_id,
            id: output.id,
            amount: priced.amount,
            budget: priced.budget,
            fee_and_cost: priced.fee_and_cost,
        })
    }
}

/// Starts an output, unless timing is manual.
fn start(progress: &Progress, output: &CascadeOutput, timing: &Timing) -> Option<OutputTransition> {
    let (_, to) = step_of_output(progress.state, output.state, output.is_timed)?;
    let at = timing.unless_manual(progress.due_at?)?;
    Some(OutputTransition {
        account_id: progress.account_id,
        id: output.id,
        to,
        at,
        due_at: timing.step(at),
        rejection_reason: None,
        failure_reason: None,
        attempts: output.attempts,
        cause: Cause::TIMER,
    })
}

/// Cancels an output if its state allows it.
fn cancel(progress: &Progress, output: &CascadeOutput) -> Option<OutputTransition> {
    let (_, to) = step_of_output(progress.state, output.state, output.is_timed)?;
    Some(OutputTransition {
        account_id: progress.account_id,
        id: output.id,
        to,
        at: progress.state_since?,
        due_at: None,
        rejection_reason: None,
        failure_reason: None,
        attempts: output.attempts,
        cause: progress.cause.clone(),
    })
}
