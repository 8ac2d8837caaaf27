//! Outputs: who is paid, where, how much and how. The heart of the API.

pub mod checks;
pub mod document;
pub mod payments;
pub mod scenario;
pub mod state;
pub mod store;

use bigdecimal::BigDecimal;
pub use document::SCHEMA;
use scenario::Decision;
use state::{State, Trigger};

use super::users::User;
use super::withdrawal_instructions::WithdrawalInstruction;
use crate::events::Cause;
use crate::jsonapi::document::Identifier;

/// An output as it is stored.
#[derive(Debug, Clone)]
pub struct Output {
    pub id: i64,
    pub request_id: i64,
    /// The payee.
    pub user_id: i64,
    pub withdrawal_instruction_id: i64,
    /// Where the money goes to.
    pub port_code: String,
    /// What the payee receives, in the port's currency.
    pub amount: Option<BigDecimal>,
    /// What the payer spends, in the request's currency.
    pub budget: Option<BigDecimal>,
    pub state: State,
    pub rejection_reason: Option<String>,
    pub failure_reason: Option<String>,
}

/// An output with what its document includes unless the client says otherwise.
#[derive(Debug, Clone)]
pub struct Complete {
    pub output: Output,
    pub user: User,
    pub withdrawal_instruction: WithdrawalInstruction,
}

/// How much is paid: what the payee receives, or what the payer spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Price {
    Amount(BigDecimal),
    Budget(BigDecimal),
}

impl Price {
    /// The one of the two that is known.
    pub fn amount_and_budget(self) -> (Option<BigDecimal>, Option<BigDecimal>) {
        match self {
            Self::Amount(amount) => (Some(amount), None),
            Self::Budget(budget) => (None, Some(budget)),
        }
    }
}

/// Why a payment takes a step of its own: its time has come, and it may be that something asked for this way.
pub fn cause_of(trigger: Trigger, decision: Decision) -> Cause {
    let by = if trigger.is_for_the_scenario() { decision.asked() } else { None };
    Cause { by: by.map(Into::into), ..Cause::TIMER }
}

/// An output to be made.
#[derive(Debug, Clone)]
pub struct NewOutput {
    pub request: Identifier,
    pub user: Identifier,
    pub withdrawal_instruction: Identifier,
    pub port_code: String,
    pub price: Price,
}
