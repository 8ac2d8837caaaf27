//! Moves of a resource to a given state, transition by transition.
//!
//! The path of an output may need its request to work, and the path of a request its outputs to be final.

use sqlx::postgres::PgConnection;

use super::{Actor, MAX_STEPS, check_path, is_not_possible, outputs, refuse, requests};
use crate::concierge::machine::{Machine, Named};
use crate::concierge::outputs::state as output_states;
use crate::concierge::requests::state as request_states;
use crate::concierge::requests::store::transitions::lock_of_output;
use crate::database::StoreError;
use crate::jsonapi::error::Errors;

/// The path of a resource to a state. Pure: the loops around it read the present state and make the transitions.
///
/// The background task may move the resource meanwhile, so each round computes the path again.
struct StatePath<S: 'static, T: 'static> {
    /// Name of the resource in messages.
    name: String,
    machine: &'static Machine<S, T>,
    to: S,
    /// True if the path may have intermediate states.
    through: bool,
    /// True if a state beyond the target counts as the target, because the background task was faster.
    may_be_past: bool,
    /// Number of further transitions.
    left: usize,
}

impl<S: Named, T: Named> StatePath<S, T> {
    /// Checks that the path leads from the present state to the target, before the first transition.
    fn check(&self, from: S) -> Result<(), Errors> {
        check_path(&self.name, self.machine, (from, self.to), self.through)
    }

    /// Returns the next trigger in the present state; `None` at the end of the path.
    fn next(&mut self, from: S) -> Result<Option<T>, Errors> {
        let Some(path) = self.machine.path(from, self.to) else {
            let is_past = self.may_be_past && self.machine.path(self.to, from).is_some();
            return if is_past { Ok(None) } else { Err(refuse(&self.name, self.machine, from, self.to.name())) };
        };
        self.left = self.left.saturating_sub(1);
        Ok(path.first().copied())
    }

    /// Accepts the outcome of a transition. If only the state refused it, another round may succeed.
    fn accept<V>(&self, stepped: Result<V, StoreError>) -> Result<(), StoreError> {
        match stepped {
            Err(StoreError::Refused(refused)) if self.through && self.left > 0 && is_not_possible(&refused) => Ok(()),
            stepped => stepped.map(|_| ()),
        }
    }
}

/// Moves an output to a state.
///
/// `through` allows intermediate states. It also moves the request to `working` if the path requires that.
///
/// # Errors
/// 404 for an unknown output; 409 if no path leads there, or a longer one without `through`; database errors.
/// Transitions made before the error stay.
pub async fn move_output(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    to: output_states::State,
    through: bool,
) -> Result<(), StoreError> {
    use output_states::Trigger;
    let (name, machine) = (format!("output {id}"), &output_states::MACHINE);
    let mut path = StatePath { name, machine, to, through, may_be_past: false, left: MAX_STEPS };
    path.check(outputs::state(connection, actor, id).await?)?;
    while let Some(trigger) = path.next(outputs::state(connection, actor, id).await?)? {
        let stepped = async {
            if through && !matches!(trigger, Trigger::Accept | Trigger::Reject) {
                let progress = lock_of_output(connection, actor.caller.account_id, id).await?;
                if let Some(progress) = progress.filter(|progress| progress.state != request_states::State::Working) {
                    move_request(connection, actor, progress.id, request_states::State::Working, true).await?;
                }
            }
            outputs::step(connection, actor, id, trigger, None).await
        };
        path.accept(stepped.await)?;
    }
    Ok(())
}

/// Moves a request to a state.
///
/// `through` allows intermediate states. It also moves outputs to `settled` if the path requires them to be final.
///
/// # Errors
/// 404 for an unknown request; 409 if no path leads there, or a longer one without `through`; database errors.
/// Transitions made before the error stay.
pub async fn move_request(
    connection: &mut PgConnection,
    actor: &Actor<'_>,
    id: i64,
    to: request_states::State,
    through: bool,
) -> Result<(), StoreError> {
    use request_states::Trigger;
    let (name, machine) = (format!("request {id}"), &request_states::MACHINE);
    let mut path = StatePath { name, machine, to, through, may_be_past: true, left: MAX_STEPS };
    path.check(requests::state(connection, actor, id).await?)?;
    while let Some(trigger) = path.next(requests::state(connection, actor, id).await?)? {
        // the request finishes with its last output
        if trigger == Trigger::Finish && through && outputs::settle_all(connection, actor, id).await? > 0 {
            continue;
        }
        path.accept(requests::step(connection, actor, id, trigger, None).await)?;
    }
    Ok(())
}
