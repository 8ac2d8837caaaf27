//! Simulations: what operators, banks and payers of the real system do, done by a test. Each goes along an arrow of its
//! resource's state machine, at the account's present instant, with its event and whatever follows from it.

mod document;
mod outputs;
mod requests;
pub mod routes;
mod users;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::accounts::caller::Caller;
use crate::accounts::pace::Pace;
use crate::accounts::store::share;
use crate::concierge::due::{Account, Due};
use crate::concierge::machine::{Machine, Named};
use crate::concierge::requests::actions::ACTION_NOT_POSSIBLE;
use crate::events::Cause;
use crate::jsonapi::error::{Error, Errors};
use crate::web::app::App;

crate::codes! {
    FUNDS_MISSING = 409 "funds_missing" "The wallet does not hold that much";
}

/// The most steps of a way: more than any has, what goes on by itself meanwhile included.
const LONGEST_WAY: usize = 50;

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
    /// The actor at the account's present instant and by its present settings, which stay as they are until the transaction ends.
    ///
    /// # Errors
    /// Those of the database.
    async fn hold(&self, transaction: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let mut actor = self.clone();
        // in one that has ended it is nobody's concern any more
        if let Some(account) = share(transaction, self.caller.account_id).await? {
            actor.now = account.time.now(&self.app.clock);
            (actor.caller.time, actor.caller.own) = (account.time, account.own);
        }
        Ok(actor)
    }

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

/// Checks that a way leads to a state from another one, and that it is one step, unless it may go `through` more.
///
/// # Errors
/// 409 where it isn't so, with the way.
fn check_way<S: Named, T: Named>(
    what: &str,
    machine: &Machine<S, T>,
    (from, to): (S, S),
    through: bool,
) -> Result<(), Errors> {
    let way = machine.way(from, to).ok_or_else(|| refuse(what, machine, from, to.name()))?;
    let detail = match way.len() {
        0 => format!("{what} is {} already", from.name()),
        1 => return Ok(()),
        _ if through => return Ok(()),
        _ => {
            let way = way.iter().map(|trigger| trigger.name()).collect::<Vec<_>>().join(", ");
            format!("{what} is {}; the way to {} is {way}: say \"through\": true to go it", from.name(), to.name())
        }
    };
    Err(Error::new(ACTION_NOT_POSSIBLE, detail).into())
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
