//! What happens to outputs when somebody says so.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sqlx::Acquire;
use sqlx::postgres::PgConnection;

use super::{Actor, is_not_possible, refuse, requests};
use crate::concierge::call::not_found;
use crate::concierge::changes::Changes;
use crate::concierge::machine::Named;
use crate::concierge::outputs::SCHEMA;
use crate::concierge::outputs::state::{FAILURE, MACHINE, State, Trigger, next};
use crate::concierge::outputs::store::life::{Move, lock};
use crate::concierge::requests::actions::ACTION_NOT_POSSIBLE;
use crate::concierge::requests::state::State as RequestState;
use crate::concierge::requests::store::life::lock_of_output;
use crate::database::{StoreError, settle};
use crate::jsonapi::error::{Error, Errors};
use crate::lifecycle::payments::{Closed, close, refund};

/// The most steps of a way: more than any has, what goes on by itself meanwhile included.
pub const LONGEST_WAY: usize = 50;
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
    let (account_id, now, pace) = (actor.caller.account_id, actor.now, actor.pace());
    let gone = || not_found(&SCHEMA, &id.to_string());
    let life = lock_of_output(connection, account_id, id).await?.ok_or_else(gone)?;
    let output = lock(connection, account_id, id, now).await?.ok_or_else(gone)?;
    let name = format!("output {id}");
    let to =
        MACHINE.after(output.state, trigger).ok_or_else(|| refuse(&name, &MACHINE, output.state, trigger.name()))?;
    let is_working = life.state == RequestState::Working;
    if !is_working && !matches!(trigger, Trigger::Accept | Trigger::Reject) {
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
    let attempts = output.attempts + i32::from(trigger == Trigger::Issue);
    let goes_on = is_working && next(to, output.decision.scenario, attempts).is_some();
    let reason = |default: &'static str| reason.map_or(Cow::Borrowed(default), |reason| Cow::Owned(reason.to_owned()));
    let mut changes = Changes::default();
    changes.outputs.push(Move {
        account_id,
        id,
        to,
        at: now,
        due_at: if goes_on { pace.step(now) } else { None },
        rejection_reason: (to == State::Rejected).then(|| reason(REJECTION)),
        failure_reason: matches!(to, State::Failed | State::Returned).then(|| reason(FAILURE)),
        attempts,
        cause: actor.cause.clone(),
    });
    if is_working && MACHINE.is_final(to) {
        let closed = Closed { outputs: 1, returned: refund(&output, to), at: now };
        let closed = BTreeMap::from([((account_id, life.id), closed)]);
        close(connection, &closed, &actor.due(), &mut changes).await?;
        changes.requests.iter_mut().for_each(|life| life.cause = actor.cause.clone());
    }
    changes.save(connection, &actor.app.rules.public_url).await?;
    Ok(to)
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
    let way = MACHINE.way(from, to).ok_or_else(|| refuse(&name, &MACHINE, from, to.name()))?;
    if way.is_empty() || (way.len() > 1 && !through) {
        let way: Vec<&str> = way.iter().map(|trigger| trigger.name()).collect();
        let detail = if way.is_empty() {
            format!("{name} is {} already", from.name())
        } else {
            let way = way.join(", ");
            format!("{name} is {}; the way to {} is {way}: say \"through\": true to go it", from.name(), to.name())
        };
        return Err(Errors::from(Error::new(ACTION_NOT_POSSIBLE, detail)).into());
    }
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
