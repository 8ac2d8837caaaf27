//! Simulations: actions of the real system's operators, banks and payers, triggered by a test.
//!
//! Each is a transition of its resource's state machine at the account's current time.
//! It records its event and applies its consequences.

pub mod contract;
mod document;
mod outputs;
mod requests;
pub mod routes;
mod transition;
mod users;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::accounts::caller::Caller;
use crate::accounts::store::lock_shared;
use crate::accounts::timing::Timing;
use crate::concierge::due::{Due, DueAccount};
use crate::concierge::machine::{Machine, Named};
use crate::concierge::requests::actions::ACTION_NOT_POSSIBLE;
use crate::events::Cause;
use crate::jsonapi::error::{Error, Errors};
use crate::web::app::App;

crate::codes! {
    FUNDS_MISSING = 409 "funds_missing" "The wallet does not hold enough money";
}

/// Maximum number of transitions in one call, automatic ones in between included. Every path is shorter.
const MAX_STEPS: usize = 50;

/// The account, the time and the cause of a simulation.
#[derive(Debug, Clone)]
pub struct Actor<'a> {
    pub app: &'a App,
    pub caller: Caller,
    /// The account's current time.
    pub now: OffsetDateTime,
    pub cause: Cause,
}

impl Actor<'_> {
    /// Returns the actor with the account's current time and settings.
    ///
    /// A share lock keeps both unchanged until the transaction ends.
    ///
    /// # Errors
    /// Database errors.
    async fn hold(&self, transaction: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let mut actor = self.clone();
        // nobody sees the result in a deleted account
        if let Some(account) = lock_shared(transaction, self.caller.account_id).await? {
            actor.now = account.time.now(&self.app.clock);
            (actor.caller.time, actor.caller.settings) = (account.time, account.settings);
        }
        Ok(actor)
    }

    /// Returns the account's delays.
    pub fn timing(&self) -> Timing {
        self.caller.settings.timing(&self.app.rules.timing)
    }

    /// Returns the account as the input of background steps.
    pub fn due(&self) -> Due {
        Due(vec![DueAccount { id: self.caller.account_id, until: self.now, timing: self.timing() }])
    }

    /// Schedules the consequences, and wakes waiting clients and the webhook dispatcher.
    pub async fn follow_up(&self) {
        self.app.schedule(&self.caller, Some(self.now)).await;
        self.app.notify(&self.caller);
    }
}

/// Checks that a path leads from one state to another. It must be a single transition unless `through` is set.
///
/// # Errors
/// 409 otherwise, with the path.
fn check_path<S: Named, T: Named>(
    what: &str,
    machine: &Machine<S, T>,
    (from, to): (S, S),
    through: bool,
) -> Result<(), Errors> {
    let path = machine.path(from, to).ok_or_else(|| refuse(what, machine, from, to.name()))?;
    let detail = match path.len() {
        0 => format!("{what} is already {}", from.name()),
        1 => return Ok(()),
        _ if through => return Ok(()),
        _ => {
            let names = path.iter().map(|trigger| trigger.name()).collect::<Vec<_>>().join(", ");
            format!(
                "{what} is {}; `{}` is {} transitions away ({names}): set \"through\": true to make them all",
                from.name(),
                to.name(),
                path.len()
            )
        }
    };
    Err(Error::new(ACTION_NOT_POSSIBLE, detail).into())
}

/// Returns true if the resource's current state is the only reason for the refusal.
fn is_not_possible(refused: &Errors) -> bool {
    refused.as_slice().iter().all(|error| error.code == ACTION_NOT_POSSIBLE)
}

/// Returns 409 with the current state and its possible transitions.
fn refuse<S: Named, T: Named>(what: &str, machine: &Machine<S, T>, state: S, asked: &str) -> Errors {
    let possible: Vec<&str> =
        machine.transitions.iter().filter(|arrow| arrow.from == state).map(|arrow| arrow.trigger.name()).collect();
    let possible =
        if possible.is_empty() { "it is final".to_owned() } else { format!("possible: {}", possible.join(", ")) };
    let detail = format!("{what} is {}; `{asked}` is not possible in this state ({possible})", state.name());
    Error::new(ACTION_NOT_POSSIBLE, detail).into()
}
