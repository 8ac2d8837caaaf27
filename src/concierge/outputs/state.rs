//! The states of an output and what decides between them. Pure: the same input gives the same answer.

use crate::concierge::users::state::ComplianceState;

/// Where an output is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The preliminary checks haven't run.
    Accepting,
    /// They passed.
    Accepted,
    /// They failed. Final.
    Rejected,
}

/// The names of all states, in the order of life.
pub const NAMES: [&str; 3] = ["accepting", "accepted", "rejected"];

impl State {
    /// The name documents and the store use.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Accepting, Self::Accepted, Self::Rejected].into_iter().find(|state| state.name() == name)
    }

    /// The type of the event that tells of the arrival in this state.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Accepting => "concierge_request_output_accepting",
            Self::Accepted => "concierge_request_output_accepted",
            Self::Rejected => "concierge_request_output_rejected",
        }
    }
}

/// What the preliminary checks of an accepting output come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    Accepted,
    Rejected {
        reason: &'static str,
    },
    /// The payee isn't approved yet; the checks run again when that changes.
    Deferred,
}

/// Runs the preliminary checks: they decide by the payee's compliance.
pub const fn check(payee: ComplianceState) -> Checked {
    match payee {
        ComplianceState::Enabled => Checked::Accepted,
        ComplianceState::Rejected => Checked::Rejected { reason: "the payee was rejected" },
        ComplianceState::Disabled => Checked::Rejected { reason: "the payee is disabled" },
        ComplianceState::New => Checked::Deferred,
    }
}
