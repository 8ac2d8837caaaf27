//! What changed an answer: a fault of the account, or a preference of the request.

use schemars::JsonSchema;
use serde::Serialize;

use crate::faults::document::FaultDocument;

/// The fault of the account, or the preference of the request, that changed an answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum AppliedFault {
    Preference(AppliedPreference),
    Fault(FaultDocument),
}

/// A preference of the request.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AppliedPreference {
    /// The applied preference, such as `code=503`.
    prefer: String,
}

impl AppliedFault {
    /// Returns whether the connection broke before the whole answer was sent.
    pub const fn breaks_connection(&self) -> bool {
        match self {
            Self::Preference(_) => false,
            Self::Fault(fault) => fault.breaks_connection(),
        }
    }
}

impl AppliedPreference {
    /// Names the preference for a status.
    pub fn code(status: u16) -> Self {
        Self { prefer: format!("code={status}") }
    }
}
