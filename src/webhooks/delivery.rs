//! A delivery: an event on its way to its receiver, and the result of an attempt.

use std::sync::Arc;

use time::OffsetDateTime;

use super::client::AttemptOutcome;
use super::concurrency::ReceiverKey;
use super::envelope::Envelope;
use crate::accounts::time::AccountTime;

/// Identity of a delivery. An event has one delivery at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryKey {
    pub account_id: i64,
    pub event_id: i64,
}

impl From<(i64, i64)> for DeliveryKey {
    fn from((account_id, event_id): (i64, i64)) -> Self {
        Self { account_id, event_id }
    }
}

/// An event claimed by this server.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub account_id: i64,
    /// Public name of the account.
    pub account_name: String,
    pub receiver_id: i64,
    pub due_at: OffsetDateTime,
    /// Attempts since the event was queued.
    pub tries: usize,
    pub envelope: Envelope,
    /// Current `webhook_url` of the resource's maker, or else of the master user.
    pub url: Option<String>,
    /// SHA-256 of the account's oldest key with write access, or else of its oldest key.
    pub key_sha256: Option<Vec<u8>>,
    /// Time of the account at the claim.
    pub time: AccountTime,
    /// `true` if the account has webhook faults; one may apply to this attempt.
    pub has_faults: bool,
    /// Effect of the fault that postponed the event earlier.
    pub postponed_by: Option<Postponement>,
}

impl Delivery {
    /// Returns the receiver.
    pub fn receiver(&self) -> ReceiverKey {
        ReceiverKey { account_id: self.account_id, user_id: self.receiver_id }
    }

    /// Returns account and event.
    pub fn key(&self) -> DeliveryKey {
        DeliveryKey { account_id: self.account_id, event_id: self.envelope.event_id }
    }
}

/// Effect of a fault that postpones an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Postponement {
    /// Sent after a delay.
    Delay,
    /// Sent after the next event of its resource.
    Reorder,
}

impl Postponement {
    /// Returns the name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Reorder => "reorder",
        }
    }

    /// Returns the effect with this name in the database.
    pub fn named(name: &str) -> Self {
        if name == Self::Reorder.name() { Self::Reorder } else { Self::Delay }
    }
}

/// A finished attempt.
#[derive(Debug, Clone)]
pub struct FinishedAttempt {
    pub delivery: Arc<Delivery>,
    pub outcome: AttemptOutcome,
    /// Start of the attempt, in account time.
    pub at: OffsetDateTime,
    /// End of the attempt, in account time.
    pub ended_at: OffsetDateTime,
    /// Time of the next attempt; `None`: the event was received or is given up.
    pub next_at: Option<OffsetDateTime>,
}

impl FinishedAttempt {
    /// Returns the state of the delivery after this attempt, as the database names it.
    pub fn state(&self) -> &'static str {
        match (self.outcome.is_received(), self.next_at) {
            (true, _) => "delivered",
            (false, Some(_)) => "due",
            (false, None) => "given_up",
        }
    }
}
