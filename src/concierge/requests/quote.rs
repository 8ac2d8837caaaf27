//! Deadlines of requests. Pure.

use std::time::Duration;

use time::OffsetDateTime;

/// Time before an untouched draft is cancelled (known: abandoned drafts are cancelled; our choice: after 30 days).
pub const DRAFT: Duration = Duration::from_hours(30 * 24);
/// Time to accept a quote, from its `eta`.
const ACCEPTANCE: Duration = Duration::from_mins(10);
/// Time to fund the request after that.
const PROVISION: Duration = Duration::from_hours(12);

/// Returns the time for cancelling a draft last touched at `touched`.
pub fn prune_at(touched: OffsetDateTime) -> OffsetDateTime {
    touched + DRAFT
}

/// Deadlines of a quote, announced on its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timetable {
    /// Latest time of the quote.
    pub eta: OffsetDateTime,
    pub accept_quote_before: OffsetDateTime,
    pub provision_funds_before: OffsetDateTime,
}

impl Timetable {
    /// Returns the timetable of a quote due after `delay`.
    pub fn from(requested_at: OffsetDateTime, delay: Duration) -> Self {
        let eta = requested_at + delay;
        let accept_quote_before = eta + ACCEPTANCE;
        Self { eta, accept_quote_before, provision_funds_before: accept_quote_before + PROVISION }
    }
}
