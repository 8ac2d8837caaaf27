//! States and transitions of outputs, and the choice between transitions.
//!
//! Pure: the same input gives the same answer.

use super::scenario::{Decision, Scenario, ScenarioSource};
use crate::concierge::machine::{Machine, Named, Transition};
use crate::concierge::users::state::ComplianceState;

/// State of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The preliminary checks have not run.
    Accepting,
    /// The checks passed; the output waits for its request to work.
    Accepted,
    /// The checks failed. Final.
    Rejected,
    /// The money is on its way to the destination port.
    Working,
    /// The payment was issued; the receiving bank has not confirmed it.
    Settling,
    /// The receiving bank confirmed it. Final.
    Settled,
    /// The receiving bank refused it; a retry may follow.
    Failed,
    /// The payment failed for good and the money was refunded. Final.
    Returned,
    /// The payment was cancelled. Final.
    Cancelled,
}

/// Triggers of an output's transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    Accept,
    Reject,
    Work,
    Issue,
    Settle,
    Fail,
    Retry,
    Return,
    Cancel,
}

/// Names of all states, in the order of [`State`].
pub const NAMES: [&str; 9] =
    ["accepting", "accepted", "rejected", "working", "settling", "settled", "failed", "returned", "cancelled"];

const fn arrow(from: State, trigger: Trigger, to: State) -> Transition<State, Trigger> {
    Transition { from, trigger, to }
}

/// All states and transitions (known from the guides).
pub static MACHINE: Machine<State, Trigger> = Machine {
    states: &[
        State::Accepting,
        State::Accepted,
        State::Rejected,
        State::Working,
        State::Settling,
        State::Settled,
        State::Failed,
        State::Returned,
        State::Cancelled,
    ],
    transitions: &[
        arrow(State::Accepting, Trigger::Accept, State::Accepted),
        arrow(State::Accepting, Trigger::Reject, State::Rejected),
        arrow(State::Accepted, Trigger::Work, State::Working),
        arrow(State::Working, Trigger::Issue, State::Settling),
        arrow(State::Settling, Trigger::Settle, State::Settled),
        arrow(State::Settling, Trigger::Fail, State::Failed),
        arrow(State::Failed, Trigger::Retry, State::Working),
        arrow(State::Failed, Trigger::Return, State::Returned),
        arrow(State::Accepting, Trigger::Cancel, State::Cancelled),
        arrow(State::Accepted, Trigger::Cancel, State::Cancelled),
        arrow(State::Working, Trigger::Cancel, State::Cancelled),
    ],
};

impl Named for State {
    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Named for Trigger {
    fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Work => "work",
            Self::Issue => "issue",
            Self::Settle => "settle",
            Self::Fail => "fail",
            Self::Retry => "retry",
            Self::Return => "return",
            Self::Cancel => "cancel",
        }
    }
}

impl Trigger {
    /// Returns true if the scenario decides for or against this trigger.
    pub const fn is_decided_by_scenario(self) -> bool {
        match self {
            Self::Reject | Self::Settle | Self::Fail | Self::Retry | Self::Return | Self::Cancel => true,
            Self::Accept | Self::Work | Self::Issue => false,
        }
    }
}

impl State {
    /// Returns the name for documents and the database.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Returns the number of failed attempts on entering this state, given the number of attempts.
    pub const fn failures(self, attempts: i32) -> i32 {
        match self {
            Self::Settling | Self::Settled => attempts - 1,
            Self::Accepting
            | Self::Accepted
            | Self::Rejected
            | Self::Working
            | Self::Failed
            | Self::Returned
            | Self::Cancelled => attempts,
        }
    }

    /// Returns the type of the event for entering this state.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Accepting => "concierge_request_output_accepting",
            Self::Accepted => "concierge_request_output_accepted",
            Self::Rejected => "concierge_request_output_rejected",
            Self::Working => "concierge_request_output_working",
            Self::Settling => "concierge_request_output_settling",
            Self::Settled => "concierge_request_output_settled",
            Self::Failed => "concierge_request_output_failed",
            Self::Returned => "concierge_request_output_returned",
            Self::Cancelled => "concierge_request_output_cancelled",
        }
    }

    /// Returns the payer's refund for a funded output in this state.
    /// Rejected outputs are refunded in full (known), returned ones less fees (known).
    /// Cancelled outputs were never tried, so they are refunded in full.
    pub const fn refund(self) -> Refund {
        match self {
            Self::Rejected | Self::Cancelled => Refund::Budget,
            Self::Returned => Refund::BudgetLessFee,
            Self::Accepting | Self::Accepted | Self::Working | Self::Settling | Self::Settled | Self::Failed => {
                Refund::Nothing
            }
        }
    }
}

/// Refund of an output's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refund {
    Nothing,
    Budget,
    BudgetLessFee,
}

/// Result of the preliminary checks of an accepting output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    Accepted,
    Rejected {
        reason: &'static str,
        /// True if the scenario requests the rejection.
        asked: bool,
    },
    /// The payee is not approved yet; the checks run again after a change.
    Deferred,
}

/// Runs the preliminary checks: first the payee's compliance, then the scenario.
pub const fn check(payee: ComplianceState, decision: Decision) -> CheckResult {
    match (payee, decision.scenario) {
        (ComplianceState::Enabled, Scenario::Rejected) => CheckResult::Rejected {
            reason: match decision.source {
                ScenarioSource::Header => "the preliminary checks failed, as the header Sandbox-Outcome asked",
                ScenarioSource::Label => "the preliminary checks failed, as the instruction's label asks",
                ScenarioSource::BankAccountNumber => {
                    "the preliminary checks failed, as the instruction's bank_account_number asks"
                }
                ScenarioSource::Email => "the preliminary checks failed, as the payee's e-mail address asks",
                ScenarioSource::Default => "the preliminary checks failed",
            },
            asked: true,
        },
        (ComplianceState::Enabled, _) => CheckResult::Accepted,
        (ComplianceState::Rejected, _) => CheckResult::Rejected { reason: "the payee was rejected", asked: false },
        (ComplianceState::Disabled, _) => CheckResult::Rejected { reason: "the payee is disabled", asked: false },
        (ComplianceState::New, _) => CheckResult::Deferred,
    }
}

/// The `failure_reason` of a failed payment.
pub const FAILURE: &str = "the receiving bank refused the payment";
/// Number of attempts before the money is refunded.
const TRIES: i32 = 3;

/// Returns the next timed trigger of a payment after `attempts` issues, or `None`.
pub const fn next(state: State, scenario: Scenario, attempts: i32) -> Option<Trigger> {
    match (state, scenario) {
        (State::Accepted, _) => Some(Trigger::Work),
        (State::Working, Scenario::Cancelled) => Some(Trigger::Cancel),
        (State::Working, _) => Some(Trigger::Issue),
        (State::Settling, Scenario::Failed | Scenario::Returned) => Some(Trigger::Fail),
        (State::Settling, Scenario::FailedThenSettled) if attempts <= 1 => Some(Trigger::Fail),
        (
            State::Settling,
            Scenario::Settled | Scenario::FailedThenSettled | Scenario::Rejected | Scenario::Cancelled,
        ) => Some(Trigger::Settle),
        (State::Failed, Scenario::Returned) => Some(Trigger::Return),
        (State::Failed, _) if attempts >= TRIES => Some(Trigger::Return),
        (State::Failed, _) => Some(Trigger::Retry),
        (State::Settling, Scenario::Stuck)
        | (State::Accepting | State::Rejected | State::Settled | State::Returned | State::Cancelled, _) => None,
    }
}
