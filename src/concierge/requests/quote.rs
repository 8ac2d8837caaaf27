//! The deadlines of a request. Pure.

use std::time::Duration;

use time::OffsetDateTime;

/// How long a draft may be left alone (known: abandoned drafts are cancelled; our choice: after 30 days).
pub const DRAFT: Duration = Duration::from_hours(30 * 24);
/// How long a quote may be accepted, from its `eta`.
const ACCEPTANCE: Duration = Duration::from_mins(10);
/// How long the payer may then take to fund it.
const PROVISION: Duration = Duration::from_hours(12);

/// When a draft that was touched at that instant is pruned.
pub fn prune_at(touched: OffsetDateTime) -> OffsetDateTime {
    touched + DRAFT
}

/// What a payer is told when it asks for a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timetable {
    /// When the quote comes, at the latest.
    pub eta: OffsetDateTime,
    pub accept_quote_before: OffsetDateTime,
    pub provision_funds_before: OffsetDateTime,
}

impl Timetable {
    /// The timetable of a quote that comes after `delay`.
    pub fn from(requested_at: OffsetDateTime, delay: Duration) -> Self {
        let eta = requested_at + delay;
        let accept_quote_before = eta + ACCEPTANCE;
        Self { eta, accept_quote_before, provision_funds_before: accept_quote_before + PROVISION }
    }
}
