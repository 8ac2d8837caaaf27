//! Actions of a payer on a request.
//!
//! Each action locks the request.
//! If two actions race, the second sees the result of the first and may be refused.

use std::time::Duration;

use bigdecimal::BigDecimal;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::cascade::cascade_to_outputs;
use super::document::{HINT_TOKEN, render};
use super::progress::{NotPossible, Progress};
use super::state::{MACHINE, Trigger};
use super::store::FoundRequest;
use super::store::transitions::{Outputs, lock, prices_asked, sum_outputs};
use super::{NewConciergeRequest, store};
use crate::accounts::caller::Credentials;
use crate::accounts::store::lock_shared_by_key;
use crate::accounts::timing::Timing;
use crate::concierge::cash_wallets::ledger::{Credit, Wallet};
use crate::concierge::changes::Changes;
use crate::concierge::due::{Due, DueAccount};
use crate::concierge::machine::Named;
use crate::concierge::rules::Rules;
use crate::concierge::{estimates, ports};
use crate::database::{StoreError, transaction};
use crate::events;
use crate::events::{Cause, Event, ResourceSnapshot};
use crate::jsonapi::error::{Error, Errors};
use crate::jsonapi::render::timestamp;

crate::codes! {
    ACTION_NOT_POSSIBLE = 409 "action_not_possible" "The action is not possible in the present state";
    OUTPUTS_MISSING = 422 "outputs_missing" "The request has no outputs";
    HINT_TOKEN_UNKNOWN = 422 "hint_token_unknown" "No estimate has this hint_token";
    HINT_TOKEN_EXPIRED = 422 "hint_token_expired" "The hint_token has expired";
    HINT_TOKEN_MISMATCH = 422 "hint_token_mismatch" "The hint_token is for other ports or amounts";
}

/// An action with its parameters.
#[derive(Debug, Clone)]
pub enum Action {
    RequestQuote { hint_token: Option<String> },
    AcceptQuote,
    Cancel,
}

/// Inserts a request in state draft; `id` is the id of its account and its own.
/// Returns `None` if the payer does not exist, or the id belongs to another account because of a reset.
/// `now` is the server's time.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn draft(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: (i64, i64),
    new: &NewConciergeRequest,
    now: OffsetDateTime,
    rules: &Rules,
    cause: Cause,
) -> Result<FoundRequest, StoreError> {
    transaction(connection, async |transaction| {
        let (caller, request) = store::create(transaction, credentials, id, new, now).await?;
        if let Some(request) = &request {
            let resource = ResourceSnapshot::of(&render(request), request.made_by, &rules.public_url);
            let event_type = request.progress.state.event_type();
            let (account_id, at) = (caller.account_id, caller.time.at(now));
            let event = Event { account_id, event_type, at, resource, cause, is_made_up: false };
            events::store::record(transaction, &[event]).await?;
        }
        Ok((caller, request))
    })
    .await
}

/// Runs an action on a request of the caller's account.
/// An unknown request is ignored.
/// `now` is the server's time.
///
/// # Errors
/// 401 if the caller is not allowed.
/// 409 if the request's state does not allow the action.
/// 422 if a precondition of the action fails.
/// Database errors.
/// Nothing changes on an error.
pub async fn act(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: i64,
    action: &Action,
    now: OffsetDateTime,
    rules: &Rules,
    cause: Cause,
) -> Result<(), StoreError> {
    transaction(connection, async |transaction| {
        // lock the account first: its clock must not be moved while the action waits for the request
        lock_shared_by_key(transaction, credentials.key_sha256).await?;
        let (caller, Some(mut progress)) = lock(transaction, credentials, id).await? else { return Ok(()) };
        progress.cause = cause;
        let timing = caller.settings.timing(&rules.timing);
        run(transaction, progress, action, caller.time.at(now), (rules, timing)).await
    })
    .await
}

/// Runs an action on a locked request.
/// `now` is the account's time.
///
/// # Errors
/// 409 if the request's state does not allow the action.
/// 422 if a precondition of the action fails.
/// Database errors.
pub async fn run(
    connection: &mut PgConnection,
    mut progress: Progress,
    action: &Action,
    now: OffsetDateTime,
    (rules, timing): (&Rules, Timing),
) -> Result<(), StoreError> {
    match action {
        Action::RequestQuote { hint_token } => {
            request_quote(connection, &mut progress, hint_token.as_deref(), now, &timing).await?;
        }
        Action::AcceptQuote => {
            progress.accept_quote(now, &timing).map_err(|refused| not_possible(refused, &progress, now))?;
        }
        Action::Cancel => progress.cancel(now).map_err(|refused| not_possible(refused, &progress, now))?,
    }
    save(connection, progress, action, now, (rules, timing)).await
}

async fn request_quote(
    connection: &mut PgConnection,
    progress: &mut Progress,
    hint_token: Option<&str>,
    now: OffsetDateTime,
    timing: &Timing,
) -> Result<(), StoreError> {
    // faults of the state come before faults of the request
    progress.after(Trigger::RequestQuote).map_err(|refused| not_possible(refused, progress, now))?;
    let outputs = sum_outputs(connection, &[(progress.account_id, progress.id)]).await?;
    let outputs = outputs.first().filter(|outputs| outputs.count > 0).ok_or_else(|| {
        let detail = format!("request {} has no outputs; add at least one before asking for a quote", progress.id);
        Errors::from(Error::new(OUTPUTS_MISSING, detail))
    })?;
    let held_prices = match hint_token {
        Some(token) => Some(held_prices(connection, progress, token, now).await?),
        None => None,
    };
    let delay = if is_quoted_at_once(progress, outputs) { Duration::ZERO } else { timing.quote_delay };
    progress.request_quote(now, delay, held_prices, timing).map_err(|refused| not_possible(refused, progress, now))?;
    Ok(())
}

fn is_quoted_at_once(progress: &Progress, outputs: &Outputs) -> bool {
    let codes = std::iter::once(&progress.port_code).chain(&outputs.port_codes);
    codes.filter_map(|code| ports::find(code)).all(ports::Port::is_quoted_at_once)
}

/// Returns the prices held by an estimate of this account for the request's origin and outputs.
async fn held_prices(
    connection: &mut PgConnection,
    progress: &Progress,
    token: &str,
    now: OffsetDateTime,
) -> Result<String, StoreError> {
    let refuse = |code, detail: String| Err(StoreError::from(Errors::from(Error::new(code, detail).at(HINT_TOKEN))));
    let Some(hold) = estimates::store::find_hold(connection, progress.account_id, token).await? else {
        let detail = "`hint_token` belongs to no estimate of this account; leave it out, or make an estimate";
        return refuse(HINT_TOKEN_UNKNOWN, detail.into());
    };
    if hold.expires_at < now {
        let detail =
            format!("`hint_token` expired at {}; leave it out, or make another estimate", timestamp(hold.expires_at));
        return refuse(HINT_TOKEN_EXPIRED, detail);
    }
    if hold.port_code != progress.port_code {
        let detail =
            format!("`hint_token` is for port {}; the request's port is {}", hold.port_code, progress.port_code);
        return refuse(HINT_TOKEN_MISMATCH, detail);
    }
    let outputs = prices_asked(connection, progress).await?;
    if estimates::fingerprint(outputs.iter().map(|(port, price)| (port.as_str(), price))) != hold.outputs_sha256 {
        let detail =
            "`hint_token` is for different outputs; the port and the amount or budget of each output must be the same";
        return refuse(HINT_TOKEN_MISMATCH, detail.into());
    }
    Ok(hold.prices)
}

/// Saves the request and cascades the action to its outputs, up to the limit of one transaction.
async fn save(
    connection: &mut PgConnection,
    progress: Progress,
    action: &Action,
    now: OffsetDateTime,
    (rules, timing): (&Rules, Timing),
) -> Result<(), StoreError> {
    let mut changes = Changes::default();
    match action {
        Action::RequestQuote { .. } => changes.requests.push(progress),
        Action::AcceptQuote => {
            // a credit of 0 schedules the payer's wallet for funding
            let currency = ports::currency(&progress.port_code).to_owned();
            let wallet = Wallet { account_id: progress.account_id, user_id: progress.user_id, currency };
            let at = timing.unless_manual(now);
            changes.credits.push(Credit { wallet, amount: BigDecimal::default(), at });
            changes.requests.push(progress);
        }
        Action::Cancel => {
            let due = Due(vec![DueAccount { id: progress.account_id, until: now, timing }]);
            cascade_to_outputs(connection, vec![progress], &rules.prices, &due, &mut changes).await?;
        }
    }
    Ok(changes.save(connection, &rules.public_url).await?)
}

/// Returns a 409 that names the present state and the states that allow the action.
fn not_possible(refused: NotPossible, progress: &Progress, now: OffsetDateTime) -> Errors {
    let possible: Vec<&str> = MACHINE.possible(refused.trigger).map(Named::name).collect();
    let mut detail = format!(
        "the request is {}; {} is possible while it is {}",
        refused.state.name(),
        refused.trigger.name(),
        possible.join(", ")
    );
    if refused.trigger == Trigger::AcceptQuote
        && let Some(timetable) = progress.timetable.filter(|timetable| timetable.accept_quote_before <= now)
    {
        let before = timestamp(timetable.accept_quote_before);
        detail = format!("the quote was to be accepted before {before}; {detail}");
    }
    Error::new(ACTION_NOT_POSSIBLE, detail).into()
}
