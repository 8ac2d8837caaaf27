//! Simulated transitions of requests.

use bigdecimal::BigDecimal;
use sqlx::postgres::PgConnection;

use super::{Actor, MAX_STEPS, check_path, is_not_possible, outputs, refuse};
use crate::concierge::cash_wallets::ledger;
use crate::concierge::cash_wallets::ledger::{Credit, Wallet};
use crate::concierge::changes::Changes;
use crate::concierge::machine::Named;
use crate::concierge::ports;
use crate::concierge::requests::SCHEMA;
use crate::concierge::requests::actions::{self, ACTION_NOT_POSSIBLE, Action};
use crate::concierge::requests::cascade::cascade_to_outputs;
use crate::concierge::requests::progress::{NotPossible, Progress};
use crate::concierge::requests::state::{MACHINE, State, Trigger};
use crate::concierge::requests::store::transitions::{lock_one, sum_outputs};
use crate::database::{StoreError, transaction};
use crate::jsonapi::error::{Error, Errors};
use crate::web::call::not_found;

/// Makes one transition and completes its cascade to outputs. `prices` are the prices of a quote.
///
/// # Errors
/// 404 for an unknown request; 409 for an impossible transition; database errors. Then nothing is changed.
pub async fn step(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    trigger: Trigger,
    prices: Option<String>,
) -> Result<(), StoreError> {
    let mut first = Some((trigger, prices));
    loop {
        let work = async |transaction: &mut PgConnection| {
            let actor = &actor.hold(transaction).await?;
            let progress = lock_one(transaction, actor.caller.account_id, id).await?;
            let mut progress = progress.ok_or_else(|| not_found(&SCHEMA, &id.to_string()))?;
            progress.cause = actor.cause.clone();
            match first.take() {
                Some((trigger, prices)) => {
                    begin(transaction, actor, progress, trigger, prices).await?;
                    Ok::<_, StoreError>(true)
                }
                // the remaining outputs, unless the background task was faster
                None if has_cascade_left(&progress, trigger) => {
                    cascade(transaction, actor, progress).await?;
                    Ok(true)
                }
                None => Ok(false),
            }
        };
        if !transaction(connection, work).await? {
            return Ok(());
        }
    }
}

/// Returns true while the transition has a cascade to complete.
fn has_cascade_left(progress: &Progress, trigger: Trigger) -> bool {
    let is_under_way = progress.outputs_done_to.is_some();
    match trigger {
        Trigger::Quote => is_under_way && progress.state == State::QuoteRequested,
        Trigger::Cancel | Trigger::Expire => is_under_way && progress.state == State::Cancelled,
        Trigger::RequestQuote | Trigger::AcceptQuote | Trigger::Fund | Trigger::Finish => false,
    }
}

async fn begin(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    mut progress: Progress,
    trigger: Trigger,
    prices: Option<String>,
) -> Result<(), StoreError> {
    let (now, timing, rules) = (actor.now, actor.timing(), &actor.app.rules);
    let name = format!("request {}", progress.id);
    let not_possible = |refused: NotPossible| refuse(&name, &MACHINE, refused.state, trigger.name());
    progress.after(trigger).map_err(not_possible)?;
    match trigger {
        Trigger::RequestQuote => {
            let action = Action::RequestQuote { hint_token: None };
            return actions::run(connection, progress, &action, now, (rules, timing)).await;
        }
        Trigger::AcceptQuote => {
            return actions::run(connection, progress, &Action::AcceptQuote, now, (rules, timing)).await;
        }
        Trigger::Cancel => return actions::run(connection, progress, &Action::Cancel, now, (rules, timing)).await,
        Trigger::Quote => {
            // the quote is due now
            progress.due_at = Some(now);
            if prices.is_some() {
                // these prices apply to all outputs, so a cascade in progress restarts at the first
                (progress.held_prices, progress.outputs_done_to) = (prices, progress.outputs_done_to.map(|_| 0));
            }
        }
        Trigger::Expire => progress.expire(now).map_err(not_possible)?,
        Trigger::Fund => return fund(connection, actor, progress).await,
        Trigger::Finish => {
            let detail = format!(
                "{name} is working; it finishes automatically once all its outputs are final, but {} are still open",
                progress.outputs_open
            );
            return Err(Errors::from(Error::new(ACTION_NOT_POSSIBLE, detail)).into());
        }
    }
    cascade(connection, actor, progress).await
}

async fn cascade(connection: &mut PgConnection, actor: &Actor<'_>, progress: Progress) -> Result<(), StoreError> {
    let (mut changes, rules) = (Changes::default(), &actor.app.rules);
    cascade_to_outputs(connection, vec![progress], &rules.prices, &actor.due(), &mut changes).await?;
    Ok(changes.save(connection, &rules.public_url).await?)
}

/// Credits the ledger missing in the payer's wallet, then debits the cost of the request.
async fn fund(connection: &mut PgConnection, actor: &Actor<'_>, mut progress: Progress) -> Result<(), StoreError> {
    let (now, timing) = (actor.now, actor.timing());
    let outputs = sum_outputs(connection, &[(progress.account_id, progress.id)]).await?;
    let (open, rejected) =
        outputs.first().map_or_else(Default::default, |outputs| (outputs.open, outputs.rejected.clone()));
    let currency = ports::currency(&progress.port_code).to_owned();
    let wallet = Wallet { account_id: progress.account_id, user_id: progress.user_id, currency };
    // creates the wallet if it does not exist
    let nothing = Credit { wallet: wallet.clone(), amount: BigDecimal::default(), at: None };
    ledger::credit(connection, &[nothing]).await?;
    let needed = progress.total_to_spend.clone().unwrap_or_default();
    let locked = ledger::lock(connection, &[wallet]).await?;
    let filled = locked.into_iter().map(|(wallet, balance, due_at)| {
        // another request may wait for the refund of rejected outputs
        let looked_at = if rejected > BigDecimal::default() { timing.unless_manual(now) } else { None };
        let left = balance.max(needed.clone()) - &needed + &rejected;
        (wallet, left, due_at.into_iter().chain(looked_at).min())
    });
    let filled: Vec<_> = filled.collect();
    let done = progress.fund(now, timing.step_delay, open, rejected);
    // `begin` checked that the transition is possible
    debug_assert!(done.is_ok(), "{done:?}");
    ledger::save(connection, &filled).await?;
    let changes = Changes { requests: vec![progress], ..Changes::default() };
    Ok(changes.save(connection, &actor.app.rules.public_url).await?)
}

/// Returns the state of a request.
async fn state(connection: &mut PgConnection, actor: &Actor<'_>, id: i64) -> Result<State, StoreError> {
    let progress = lock_one(connection, actor.caller.account_id, id).await?;
    Ok(progress.ok_or_else(|| not_found(&SCHEMA, &id.to_string()))?.state)
}

/// Moves a request to a state.
///
/// `through` allows intermediate states. It also moves outputs to `settled` if the path requires them to be final.
///
/// # Errors
/// 404 for an unknown request; 409 if no path leads there, or a longer one without `through`; database errors.
/// Transitions made before the error stay.
pub async fn go(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    to: State,
    through: bool,
) -> Result<(), StoreError> {
    let from = state(connection, actor, id).await?;
    let name = format!("request {id}");
    check_path(&name, &MACHINE, (from, to), through)?;
    // the background task may move it meanwhile, so each round computes the path again
    let mut left = MAX_STEPS;
    loop {
        let from = state(connection, actor, id).await?;
        let Some(path) = MACHINE.path(from, to) else {
            // the background task moved it past the target
            return if MACHINE.path(to, from).is_some() {
                Ok(())
            } else {
                Err(refuse(&name, &MACHINE, from, to.name()).into())
            };
        };
        let Some(trigger) = path.first().copied() else { return Ok(()) };
        left -= 1;
        // the request finishes with its last output
        if trigger == Trigger::Finish && through && outputs::settle_all(connection, actor, id).await? > 0 {
            continue;
        }
        match step(connection, actor, id, trigger, None).await {
            Err(StoreError::Refused(refused)) if through && left > 0 && is_not_possible(&refused) => {}
            stepped => stepped?,
        }
    }
}
