//! Actions of a payer on a request.
//!
//! Each action locks the request.
//! If two actions race, the second sees the result of the first and may be refused.

use std::time::Duration;

use bigdecimal::BigDecimal;
use sqlx::Acquire;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::NewConciergeRequest;
use super::document::{HINT_TOKEN, render};
use super::fan_out::take_outputs_along;
use super::life::{Life, NotPossible};
use super::state::{MACHINE, Trigger};
use super::store::life::{Outputs, lock, prices_asked, sum_outputs};
use super::store::{self, Found};
use crate::accounts::caller::Credentials;
use crate::accounts::pace::Pace;
use crate::accounts::store::share_of;
use crate::concierge::changes::Changes;
use crate::concierge::due::{Account, Due};
use crate::concierge::machine::Named;
use crate::concierge::money::{Credit, Wallet};
use crate::concierge::rules::Rules;
use crate::concierge::{estimates, ports};
use crate::database::{StoreError, settle};
use crate::events::{self, Cause, Event, Snapshot};
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
) -> Result<Found, StoreError> {
    let mut transaction = connection.begin().await?;
    let outcome = async {
        let (caller, request) = store::create(&mut transaction, credentials, id, new, now).await?;
        if let Some(request) = &request {
            let resource = Snapshot::of(&render(request), request.made_by, &rules.public_url);
            let event_type = request.life.state.event_type();
            let (account_id, at) = (caller.account_id, caller.time.at(now));
            let event = Event { account_id, event_type, at, resource, cause, is_made_up: false };
            events::store::write(&mut transaction, &[event]).await?;
        }
        Ok((caller, request))
    }
    .await;
    settle(transaction, outcome).await
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
    let mut transaction = connection.begin().await?;
    let outcome = async {
        // lock the account first: its clock must not be moved while the action waits for the request
        share_of(&mut transaction, credentials.key_sha256).await?;
        let (caller, Some(mut life)) = lock(&mut transaction, credentials, id).await? else { return Ok(()) };
        life.cause = cause;
        let pace = caller.own.pace(&rules.pace);
        carry_out(&mut transaction, life, action, caller.time.at(now), (rules, pace)).await
    }
    .await;
    settle(transaction, outcome).await
}

/// Runs an action on a locked request.
/// `now` is the account's time.
///
/// # Errors
/// 409 if the request's state does not allow the action.
/// 422 if a precondition of the action fails.
/// Database errors.
pub async fn carry_out(
    connection: &mut PgConnection,
    mut life: Life,
    action: &Action,
    now: OffsetDateTime,
    (rules, pace): (&Rules, Pace),
) -> Result<(), StoreError> {
    match action {
        Action::RequestQuote { hint_token } => {
            request_quote(connection, &mut life, hint_token.as_deref(), now, &pace).await?;
        }
        Action::AcceptQuote => {
            life.accept_quote(now, &pace).map_err(|refused| not_possible(refused, &life, now))?;
        }
        Action::Cancel => life.cancel(now).map_err(|refused| not_possible(refused, &life, now))?,
    }
    save(connection, life, action, now, (rules, pace)).await
}

async fn request_quote(
    connection: &mut PgConnection,
    life: &mut Life,
    hint_token: Option<&str>,
    now: OffsetDateTime,
    pace: &Pace,
) -> Result<(), StoreError> {
    // faults of the state come before faults of the request
    life.after(Trigger::RequestQuote).map_err(|refused| not_possible(refused, life, now))?;
    let outputs = sum_outputs(connection, &[(life.account_id, life.id)]).await?;
    let outputs = outputs.first().filter(|outputs| outputs.count > 0).ok_or_else(|| {
        let detail = format!("request {} has no outputs; add at least one before asking for a quote", life.id);
        Errors::from(Error::new(OUTPUTS_MISSING, detail))
    })?;
    let held_prices = match hint_token {
        Some(token) => Some(held_prices(connection, life, token, now).await?),
        None => None,
    };
    let delay = if is_quoted_at_once(life, outputs) { Duration::ZERO } else { pace.quote_delay };
    life.request_quote(now, delay, held_prices, pace).map_err(|refused| not_possible(refused, life, now))?;
    Ok(())
}

fn is_quoted_at_once(life: &Life, outputs: &Outputs) -> bool {
    let codes = std::iter::once(&life.port_code).chain(&outputs.port_codes);
    codes.filter_map(|code| ports::find(code)).all(ports::Port::is_quoted_at_once)
}

/// Returns the prices held by an estimate of this account for the request's origin and outputs.
async fn held_prices(
    connection: &mut PgConnection,
    life: &Life,
    token: &str,
    now: OffsetDateTime,
) -> Result<String, StoreError> {
    let refuse = |code, detail: String| Err(StoreError::from(Errors::from(Error::new(code, detail).at(HINT_TOKEN))));
    let Some(hold) = estimates::store::find_hold(connection, life.account_id, token).await? else {
        let detail = "`hint_token` belongs to no estimate of this account; leave it out, or make an estimate";
        return refuse(HINT_TOKEN_UNKNOWN, detail.into());
    };
    if hold.expires_at < now {
        let detail =
            format!("`hint_token` expired at {}; leave it out, or make another estimate", timestamp(hold.expires_at));
        return refuse(HINT_TOKEN_EXPIRED, detail);
    }
    if hold.port_code != life.port_code {
        let detail = format!("`hint_token` is for port {}; the request's port is {}", hold.port_code, life.port_code);
        return refuse(HINT_TOKEN_MISMATCH, detail);
    }
    let outputs = prices_asked(connection, life).await?;
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
    life: Life,
    action: &Action,
    now: OffsetDateTime,
    (rules, pace): (&Rules, Pace),
) -> Result<(), StoreError> {
    let mut changes = Changes::default();
    match action {
        Action::RequestQuote { .. } => changes.requests.push(life),
        Action::AcceptQuote => {
            // a credit of 0 schedules the payer's wallet for funding
            let currency = ports::currency(&life.port_code).to_owned();
            let wallet = Wallet { account_id: life.account_id, user_id: life.user_id, currency };
            let at = pace.by_itself(now);
            changes.credits.push(Credit { wallet, amount: BigDecimal::default(), at });
            changes.requests.push(life);
        }
        Action::Cancel => {
            let due = Due(vec![Account { id: life.account_id, until: now, pace }]);
            take_outputs_along(connection, vec![life], &rules.prices, &due, &mut changes).await?;
        }
    }
    Ok(changes.save(connection, &rules.public_url).await?)
}

/// Returns a 409 that names the present state and the states that allow the action.
fn not_possible(refused: NotPossible, life: &Life, now: OffsetDateTime) -> Errors {
    let possible: Vec<&str> = MACHINE.possible(refused.trigger).map(Named::name).collect();
    let mut detail = format!(
        "the request is {}; {} is possible while it is {}",
        refused.state.name(),
        refused.trigger.name(),
        possible.join(", ")
    );
    if refused.trigger == Trigger::AcceptQuote
        && let Some(timetable) = life.timetable.filter(|timetable| timetable.accept_quote_before <= now)
    {
        let before = timestamp(timetable.accept_quote_before);
        detail = format!("the quote was to be accepted before {before}; {detail}");
    }
    Error::new(ACTION_NOT_POSSIBLE, detail).into()
}
