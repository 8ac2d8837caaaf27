//! Simulated transitions of outputs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use sqlx::postgres::PgConnection;

use super::{Actor, MAX_STEPS, check_path, is_not_possible, refuse, requests};
use crate::concierge::changes::Changes;
use crate::concierge::machine::Named;
use crate::concierge::outputs::SCHEMA;
use crate::concierge::outputs::payments::{Closed, close, refund};
use crate::concierge::outputs::state::{FAILURE, MACHINE, State, Trigger, next};
use crate::concierge::outputs::store::transitions::{DuePayment, OutputTransition, lock, lock_open};
use crate::concierge::requests::actions::ACTION_NOT_POSSIBLE;
use crate::concierge::requests::progress::Progress;
use crate::concierge::requests::state::State as RequestState;
use crate::concierge::requests::store::transitions::{lock_of_output, lock_one};
use crate::database::{StoreError, transaction};
use crate::jsonapi::error::{Error, Errors};
use crate::web::call::not_found;

/// Default reason of a simulated rejection.
const REJECTION: &str = "rejected by the control plane";

/// Returns true if the transition takes a reason.
pub const fn has_reason(trigger: Trigger) -> bool {
    matches!(trigger, Trigger::Reject | Trigger::Fail | Trigger::Return)
}

/// Makes one transition.
///
/// # Errors
/// 404 for an unknown output; 409 for an impossible transition; database errors. Then nothing is changed.
pub async fn step(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    trigger: Trigger,
    reason: Option<&str>,
) -> Result<State, StoreError> {
    transaction(connection, async |transaction| take(transaction, actor, id, trigger, reason).await).await
}

async fn take(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    trigger: Trigger,
    reason: Option<&str>,
) -> Result<State, StoreError> {
    let actor = &actor.hold(connection).await?;
    let (account_id, now) = (actor.caller.account_id, actor.now);
    let unknown = || not_found(&SCHEMA, &id.to_string());
    let progress = lock_of_output(connection, account_id, id).await?.ok_or_else(unknown)?;
    let output = lock(connection, account_id, id, now).await?.ok_or_else(unknown)?;
    let name = format!("output {id}");
    let to =
        MACHINE.after(output.state, trigger).ok_or_else(|| refuse(&name, &MACHINE, output.state, trigger.name()))?;
    if progress.state != RequestState::Working && !matches!(trigger, Trigger::Accept | Trigger::Reject) {
        let detail = format!(
            "{name} is {}; `{}` requires a working request, but request {} is {}. To move the request, POST \
             {{\"state\":\"working\",\"through\":true}} to /_sandbox/simulations/concierge_requests/{}/transition",
            output.state.name(),
            trigger.name(),
            progress.id,
            progress.state.name(),
            progress.id
        );
        return Err(Errors::from(Error::new(ACTION_NOT_POSSIBLE, detail)).into());
    }
    save(connection, actor, &progress, &[OutputStep { output: &output, trigger, to }], reason).await?;
    Ok(to)
}

/// A transition of a locked output.
#[derive(Debug, Clone, Copy)]
struct OutputStep<'a> {
    output: &'a DuePayment,
    trigger: Trigger,
    to: State,
}

impl<'a> OutputStep<'a> {
    /// Returns the first transition on the path to a state.
    fn towards(output: &'a DuePayment, state: State) -> Option<Self> {
        let trigger = *MACHINE.path(output.state, state)?.first()?;
        Some(Self { output, trigger, to: MACHINE.after(output.state, trigger)? })
    }

    /// Returns the number of payment attempts after the transition.
    fn attempts(&self) -> i32 {
        self.output.attempts + i32::from(self.trigger == Trigger::Issue)
    }
}

/// Saves transitions of outputs of a locked request, with their consequences.
async fn save(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    request: &Progress,
    steps: &[OutputStep<'_>],
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    let (account_id, now, timing) = (actor.caller.account_id, actor.now, actor.timing());
    let is_working = request.state == RequestState::Working;
    let reason = |default: &'static str| reason.map_or(Cow::Borrowed(default), |reason| Cow::Owned(reason.to_owned()));
    let mut changes = Changes::default();
    let mut closed = Closed { outputs: 0, returned: BigDecimal::default(), at: now };
    for step in steps {
        let (output, to) = (step.output, step.to);
        let goes_on = is_working && next(to, output.decision.scenario, step.attempts()).is_some();
        changes.outputs.push(OutputTransition {
            account_id,
            id: output.id,
            to,
            at: now,
            due_at: if goes_on { timing.step(now) } else { None },
            rejection_reason: (to == State::Rejected).then(|| reason(REJECTION)),
            failure_reason: matches!(to, State::Failed | State::Returned).then(|| reason(FAILURE)),
            attempts: step.attempts(),
            cause: actor.cause.clone(),
        });
        if is_working && MACHINE.is_final(to) {
            closed.outputs += 1;
            closed.returned += refund(output, to);
        }
    }
    if closed.outputs > 0 {
        let closed = BTreeMap::from([((account_id, request.id), closed)]);
        close(connection, &closed, &actor.due(), &mut changes).await?;
        changes.requests.iter_mut().for_each(|progress| progress.cause = actor.cause.clone());
    }
    changes.save(connection, &actor.app.rules.public_url).await
}

/// Maximum number of outputs settled in one transaction. Each makes several transitions in it.
const BATCH: i64 = 300;

/// Moves the open outputs of a working request to `settled`, and returns their number.
///
/// Stops early if the request leaves `working`.
///
/// # Errors
/// Database errors. Outputs settled before the error stay settled.
pub async fn settle_all(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    request_id: i64,
) -> Result<usize, StoreError> {
    let mut settled = 0;
    loop {
        match transaction(connection, async |transaction| settle_some(transaction, actor, request_id).await).await? {
            0 => return Ok(settled),
            outputs => settled += outputs,
        }
    }
}

async fn settle_some(connection: &mut PgConnection, actor: &Actor<'_>, request_id: i64) -> Result<usize, StoreError> {
    let actor = &actor.hold(connection).await?;
    let account_id = actor.caller.account_id;
    let progress = lock_one(connection, account_id, request_id).await?;
    let Some(progress) = progress.filter(|progress| progress.state == RequestState::Working) else { return Ok(0) };
    let mut outputs = lock_open(connection, account_id, request_id, actor.now, BATCH).await?;
    let settled = outputs.len();
    while !outputs.is_empty() {
        let steps: Vec<OutputStep<'_>> =
            outputs.iter().filter_map(|output| OutputStep::towards(output, State::Settled)).collect();
        save(connection, actor, &progress, &steps, None).await?;
        let moved =
            |step: &OutputStep<'_>| DuePayment { state: step.to, attempts: step.attempts(), ..step.output.clone() };
        outputs = steps.iter().filter(|step| step.to != State::Settled).map(moved).collect();
    }
    Ok(settled)
}

/// Returns the state of an output.
async fn state(connection: &mut PgConnection, actor: &Actor<'_>, id: i64) -> Result<State, StoreError> {
    let output = lock(connection, actor.caller.account_id, id, actor.now).await?;
    Ok(output.ok_or_else(|| not_found(&SCHEMA, &id.to_string()))?.state)
}

/// Moves an output to a state.
///
/// `through` allows intermediate states. It also moves the request to `working` if the path requires that.
///
/// # Errors
/// 404 for an unknown output; 409 if no path leads there, or a longer one without `through`; database errors.
/// Transitions made before the error stay.
pub async fn go(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    to: State,
    through: bool,
) -> Result<(), StoreError> {
    let from = state(connection, actor, id).await?;
    let name = format!("output {id}");
    check_path(&name, &MACHINE, (from, to), through)?;
    // the background task may move it meanwhile, so each round computes the path again
    let mut left = MAX_STEPS;
    loop {
        let from = state(connection, actor, id).await?;
        let path = MACHINE.path(from, to).ok_or_else(|| refuse(&name, &MACHINE, from, to.name()))?;
        let Some(trigger) = path.first().copied() else { return Ok(()) };
        let stepped = async {
            if through && !matches!(trigger, Trigger::Accept | Trigger::Reject) {
                let progress = lock_of_output(connection, actor.caller.account_id, id).await?;
                if let Some(progress) = progress.filter(|progress| progress.state != RequestState::Working) {
                    requests::go(connection, actor, progress.id, RequestState::Working, true).await?;
                }
            }
            step(connection, actor, id, trigger, None).await
        };
        left -= 1;
        match stepped.await {
            Err(StoreError::Refused(refused)) if through && left > 0 && is_not_possible(&refused) => {}
            stepped => drop(stepped?),
        }
    }
}
