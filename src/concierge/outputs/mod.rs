//! Outputs: single payments of a request, each with payee, destination and price.
//! The heart of the API.

pub mod checks;
pub mod document;
pub mod misspelling;
pub mod payments;
pub mod scenario;
pub mod state;
pub mod store;

use bigdecimal::BigDecimal;
use scenario::Decision;
use state::{State, Trigger};

use super::pricing::Price;
use super::users::User;
use super::withdrawal_instructions::WithdrawalInstruction;
use crate::events::Cause;
use crate::jsonapi::document::Identifier;

/// A stored output.
#[derive(Debug, Clone)]
pub struct Output {
    pub id: i64,
    pub request_id: i64,
    /// The payee.
    pub user_id: i64,
    pub withdrawal_instruction_id: i64,
    /// Destination port.
    pub port_code: String,
    /// Sum for the payee, in the port's currency.
    pub amount: Option<BigDecimal>,
    /// Sum from the payer, in the request's currency.
    pub budget: Option<BigDecimal>,
    pub state: State,
    pub rejection_reason: Option<String>,
    pub failure_reason: Option<String>,
}

/// An output with its default includes.
#[derive(Debug, Clone)]
pub struct OutputDetails {
    pub output: Output,
    pub user: User,
    pub withdrawal_instruction: WithdrawalInstruction,
}

/// Returns the cause of a timed step: the timer, with the test value if it decided the step.
pub fn cause_of(trigger: Trigger, decision: Decision) -> Cause {
    let by = if trigger.is_decided_by_scenario() { decision.asked() } else { None };
    Cause { by: by.map(Into::into), ..Cause::TIMER }
}

/// A new output.
#[derive(Debug, Clone)]
pub struct NewOutput {
    pub request: Identifier,
    pub user: Identifier,
    pub withdrawal_instruction: Identifier,
    pub port_code: String,
    pub price: Price,
}

impl NewOutput {
    /// Returns the output in its first state.
    pub fn accepting(&self, id: i64) -> Output {
        let (amount, budget) = self.price.clone().amount_and_budget();
        Output {
            id,
            request_id: self.request.number(),
            user_id: self.user.number(),
            withdrawal_instruction_id: self.withdrawal_instruction.number(),
            port_code: self.port_code.clone(),
            amount,
            budget,
            state: State::Accepting,
            rejection_reason: None,
            failure_reason: None,
        }
    }
}
