//! What happens to outputs when somebody says so.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use sqlx::Acquire;
use sqlx::postgres::PgConnection;

use super::{Actor, LONGEST_WAY, check_way, is_not_possible, refuse, requests};
use crate::concierge::changes::Changes;
use crate::concierge::machine::Named;
use crate::concierge::outputs::SCHEMA;
use crate::concierge::outputs::payments::{Closed, close, refund};
use crate::concierge::outputs::state::{FAILURE, MACHINE, State, Trigger, next};
use crate::concierge::outputs::store::life::{DuePayment, Move, lock, lock_open};
use crate::concierge::requests::actions::ACTION_NOT_POSSIBLE;
use crate::concierge::requests::life::Life;
use crate::concierge::requests::state::State as RequestState;
use crate::concierge::requests::store::life::{lock_of_output, lock_one};
use crate::database::{StoreError, settle};
use crate::jsonapi::error::{Error, Errors};
use crate::web::call::not_found;

/// Why an output is rejected whose simulation gives no reason.
const REJECTION: &str = "rejected by the control plane";

/// Whether a step leads to a state that has a reason.
pub const fn has_reason(trigger: Trigger) -> bool {
    matches!(trigger, Trigger::Reject | Trigger::Fail | Trigger::Return)
}

/// Takes one step.
///
/// # Errors
/// 404 where there is no such output; 409 where the step isn't possible; those of the database. Then nothing happened.
pub async fn step(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    trigger: Trigger,
    reason: Option<&str>,
) -> Result<State, StoreError> {
    let mut transaction = connection.begin().await?;
    let outcome = take(&mut transaction, actor, id, trigger, reason).await;
    settle(transaction, outcome).await
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
    let gone = || not_found(&SCHEMA, &id.to_string());
    let life = lock_of_output(connection, account_id, id).await?.ok_or_else(gone)?;
    let output = lock(connection, account_id, id, now).await?.ok_or_else(gone)?;
    let name = format!("output {id}");
    let to =
        MACHINE.after(output.state, trigger).ok_or_else(|| refuse(&name, &MACHINE, output.state, trigger.name()))?;
    if life.state != RequestState::Working && !matches!(trigger, Trigger::Accept | Trigger::Reject) {
        let detail = format!(
            "{name} is {}, and {} is possible once its request works; request {} is {}. Take it there with \
             POST /_sandbox/simulations/concierge_requests/{}/transition, {{\"state\":\"working\",\"through\":true}}",
            output.state.name(),
            trigger.name(),
            life.id,
            life.state.name(),
            life.id
        );
        return Err(Errors::from(Error::new(ACTION_NOT_POSSIBLE, detail)).into());
    }
    save(connection, actor, &life, &[Step { output: &output, trigger, to }], reason).await?;
    Ok(to)
}

/// A step of an output that is locked.
#[derive(Debug, Clone, Copy)]
struct Step<'a> {
    output: &'a DuePayment,
    trigger: Trigger,
    to: State,
}

impl<'a> Step<'a> {
    /// The first of the way from where it is to a state.
    fn towards(output: &'a DuePayment, state: State) -> Option<Self> {
        let trigger = *MACHINE.way(output.state, state)?.first()?;
        Some(Self { output, trigger, to: MACHINE.after(output.state, trigger)? })
    }

    /// How many attempts at paying it there are after the step.
    fn attempts(&self) -> i32 {
        self.output.attempts + i32::from(self.trigger == Trigger::Issue)
    }
}

/// Saves a step of each of some outputs of a locked request, and what follows from that.
async fn save(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    request: &Life,
    steps: &[Step<'_>],
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    let (account_id, now, pace) = (actor.caller.account_id, actor.now, actor.pace());
    let is_working = request.state == RequestState::Working;
    let reason = |default: &'static str| reason.map_or(Cow::Borrowed(default), |reason| Cow::Owned(reason.to_owned()));
    let mut changes = Changes::default();
    let mut closed = Closed { outputs: 0, returned: BigDecimal::default(), at: now };
    for step in steps {
        let (output, to) = (step.output, step.to);
        let goes_on = is_working && next(to, output.decision.scenario, step.attempts()).is_some();
        changes.outputs.push(Move {
            account_id,
            id: output.id,
            to,
            at: now,
            due_at: if goes_on { pace.step(now) } else { None },
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
        changes.requests.iter_mut().for_each(|life| life.cause = actor.cause.clone());
    }
    changes.save(connection, &actor.app.rules.public_url).await
}

/// The most outputs that are settled in one transaction: each goes several steps in it.
const BATCH: i64 = 300;

/// Takes every output of a request that isn't final to `settled`, as long as the request works, and says how many those were.
///
/// # Errors
/// Those of the database. What was settled by then stays.
pub async fn settle_all(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    request_id: i64,
) -> Result<usize, StoreError> {
    let mut settled = 0;
    loop {
        let mut transaction = connection.begin().await?;
        let outcome = settle_some(&mut transaction, actor, request_id).await;
        match settle(transaction, outcome).await? {
            0 => return Ok(settled),
            outputs => settled += outputs,
        }
    }
}

async fn settle_some(connection: &mut PgConnection, actor: &Actor<'_>, request_id: i64) -> Result<usize, StoreError> {
    let actor = &actor.hold(connection).await?;
    let account_id = actor.caller.account_id;
    let life = lock_one(connection, account_id, request_id).await?;
    let Some(life) = life.filter(|life| life.state == RequestState::Working) else { return Ok(0) };
    let mut outputs = lock_open(connection, account_id, request_id, actor.now, BATCH).await?;
    let settled = outputs.len();
    while !outputs.is_empty() {
        let steps: Vec<Step<'_>> = outputs.iter().filter_map(|output| Step::towards(output, State::Settled)).collect();
        save(connection, actor, &life, &steps, None).await?;
        let gone = |step: &Step<'_>| DuePayment { state: step.to, attempts: step.attempts(), ..step.output.clone() };
        outputs = steps.iter().filter(|step| step.to != State::Settled).map(gone).collect();
    }
    Ok(settled)
}

/// The state of an output.
async fn state(connection: &mut PgConnection, actor: &Actor<'_>, id: i64) -> Result<State, StoreError> {
    let output = lock(connection, actor.caller.account_id, id, actor.now).await?;
    Ok(output.ok_or_else(|| not_found(&SCHEMA, &id.to_string()))?.state)
}

/// Goes to a state; `through` all that come between, and takes its request along where that has to work for it.
///
/// # Errors
/// 404 where there is no such output; 409 where no way leads there, or a longer one and it isn't `through`; those of the
/// database. What was gone by then stays.
pub async fn go(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    to: State,
    through: bool,
) -> Result<(), StoreError> {
    let from = state(connection, actor, id).await?;
    let name = format!("output {id}");
    check_way(&name, &MACHINE, (from, to), through)?;
    // it may go on by itself meanwhile, so each step is the first of the way from where it is by then
    let mut left = LONGEST_WAY;
    loop {
        let from = state(connection, actor, id).await?;
        let way = MACHINE.way(from, to).ok_or_else(|| refuse(&name, &MACHINE, from, to.name()))?;
        let Some(trigger) = way.first().copied() else { return Ok(()) };
        let stepped = async {
            if through && !matches!(trigger, Trigger::Accept | Trigger::Reject) {
                let life = lock_of_output(connection, actor.caller.account_id, id).await?;
                if let Some(life) = life.filter(|life| life.state != RequestState::Working) {
                    requests::go(connection, actor, life.id, RequestState::Working, true).await?;
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
