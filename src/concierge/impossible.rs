//! The error for a transition that the rules led to and the stored state does not allow.
//!
//! Its cause is a defect, or a row changed by hand. It rolls the transaction back, so that no money moves without it.

use crate::metrics::Metrics;

/// A transition that the state of a resource does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{resource} {id} of account {account_id} is {state}; `{trigger}` is impossible in this state")]
pub struct ImpossibleTransition {
    /// Name of the resource in messages.
    pub resource: &'static str,
    pub account_id: i64,
    pub id: i64,
    pub state: &'static str,
    pub trigger: &'static str,
}

impl ImpossibleTransition {
    /// Returns the impossible transition that an error reports, if it reports one.
    pub fn reported_by(error: &sqlx::Error) -> Option<&Self> {
        match error {
            sqlx::Error::Decode(cause) => cause.downcast_ref(),
            _ => None,
        }
    }
}

/// Reports it like any other stored row that contradicts the rules: as a failure, not as an outage.
impl From<ImpossibleTransition> for sqlx::Error {
    fn from(impossible: ImpossibleTransition) -> Self {
        Self::Decode(Box::new(impossible))
    }
}

/// Counts an error that reports an impossible transition. Call it where the error is logged.
pub fn count(error: &sqlx::Error, metrics: &Metrics) {
    if ImpossibleTransition::reported_by(error).is_some() {
        metrics.count_impossible_transition();
    }
}
