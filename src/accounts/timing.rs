//! Delays of timed steps, and the switch that turns timers off. Pure.

use std::time::Duration;

use time::OffsetDateTime;

/// Delays of timed steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Time from a new output to the end of its checks.
    pub check_delay: Duration,
    /// `true` if new users are approved after [`approval_delay`](Self::approval_delay).
    pub approves: bool,
    /// Time from a new user to its approval.
    pub approval_delay: Duration,
    /// Time from the request for a quote to the quote, unless the quote comes at once.
    pub quote_delay: Duration,
    /// Time of each later step of an output.
    pub step_delay: Duration,
    /// `true` if timers are off, deadlines included.
    pub is_manual: bool,
}

impl Timing {
    /// Returns the time of an output's next step, one `step_delay` after `from`; `None` if timers are off.
    pub fn step(&self, from: OffsetDateTime) -> Option<OffsetDateTime> {
        self.unless_manual(from + self.step_delay)
    }

    /// Returns `at`; `None` if timers are off.
    pub fn unless_manual(&self, at: OffsetDateTime) -> Option<OffsetDateTime> {
        (!self.is_manual).then_some(at)
    }
}
