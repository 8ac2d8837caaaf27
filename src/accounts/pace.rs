//! How long things take in the emulated world, and whether they happen by themselves at all. Pure.

use std::time::Duration;

use time::OffsetDateTime;

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From a new output to the end of its checks.
    pub check_delay: Duration,
    /// Whether new users are approved by time.
    pub approves: bool,
    /// From a new user to its approval.
    pub approval_delay: Duration,
    /// From the request for a quote to the quote, where that doesn't come at once.
    pub quote_delay: Duration,
    /// Of each later step of an output.
    pub step_delay: Duration,
    /// Nothing happens by itself, deadlines included.
    pub is_manual: bool,
}

impl Pace {
    /// When the next step of an output comes that came to its state at an instant.
    pub fn step(&self, from: OffsetDateTime) -> Option<OffsetDateTime> {
        self.by_itself(from + self.step_delay)
    }

    /// The instant, unless nothing happens by itself.
    pub fn by_itself(&self, at: OffsetDateTime) -> Option<OffsetDateTime> {
        (!self.is_manual).then_some(at)
    }
}
