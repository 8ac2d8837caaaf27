//! Simulations: what operators, banks and payers of the real system do, done by a test. Each goes along an arrow of its
//! resource's state machine, at the account's present instant, with its event and whatever follows from it.

mod document;
mod outputs;
mod requests;
pub mod routes;
mod users;

use time::OffsetDateTime;

use crate::accounts::caller::Caller;
use crate::concierge::machine::{Machine, Named};
use crate::concierge::requests::actions::ACTION_NOT_POSSIBLE;
use crate::events::Cause;
use crate::jsonapi::error::{Error, Errors};
use crate::lifecycle::{Account, Due, Pace};
use crate::server::App;

crate::codes! {
    FUNDS_MISSING = 409 "funds_missing" "The wallet does not hold that much";
}

/// Whose world it is, and when.
#[derive(Debug, Clone)]
pub struct Actor<'a> {
    pub app: &'a App,
    pub caller: Caller,
    /// The account's present instant.
    pub now: OffsetDateTime,
    pub cause: Cause,
}

impl Actor<'_> {
    /// How long things take in the account.
    pub fn pace(&self) -> Pace {
        self.caller.own.pace(&self.app.rules.pace)
    }

    /// The account as what moves things wants it.
    pub fn due(&self) -> Due {
        Due(vec![Account { id: self.caller.account_id, until: self.now, pace: self.pace() }])
    }

    /// Has what follows happen and be told.
    pub async fn follow_up(&self) {
        self.app.set_off(&self.caller, Some(self.now)).await;
        self.app.tell(&self.caller);
    }
}

/// Whether something isn't possible in the present state.
fn is_not_possible(refused: &Errors) -> bool {
    refused.as_slice().iter().all(|error| error.code == ACTION_NOT_POSSIBLE)
}

/// 409: what something is, and what is possible then.
fn refuse<S: Named, T: Named>(what: &str, machine: &Machine<S, T>, state: S, asked: &str) -> Errors {
    let possible: Vec<&str> =
        machine.arrows.iter().filter(|arrow| arrow.from == state).map(|arrow| arrow.trigger.name()).collect();
    let possible = if possible.is_empty() { "nothing, it is final".to_owned() } else { possible.join(", ") };
    let detail = format!("{what} is {}; {asked} is not possible then, but {possible}", state.name());
    Error::new(ACTION_NOT_POSSIBLE, detail).into()
}
