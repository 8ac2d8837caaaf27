//! Results of attempts before they are saved, and their observers after.

use crate::accounts::watchers::Watchers;
use crate::metrics::Metrics;
use crate::webhooks::delivery::{DeliveryKey, FinishedAttempt};

/// Observers of saved results.
#[derive(Debug, Clone)]
pub struct ResultObservers {
    pub metrics: Metrics,
    pub watchers: Watchers,
}

impl ResultObservers {
    /// Counts a saved result, and notifies the account's watchers.
    pub fn notify(&self, result: &FinishedAttempt) {
        self.metrics.attempted(result.outcome.is_received(), result.next_at.is_none());
        self.watchers.notify(result.delivery.account_id);
    }
}

/// Results that are not saved yet.
///
/// A result is here once: it is new, or a poll failed to save it. A new one is a reason to poll.
/// A failed one waits for the next poll: the database was unavailable, or its row was locked.
#[derive(Debug, Default)]
pub struct UnsavedResults {
    new: Vec<FinishedAttempt>,
    failed: Vec<FinishedAttempt>,
}

impl UnsavedResults {
    /// Adds a new result.
    pub fn push(&mut self, result: FinishedAttempt) {
        self.new.push(result);
    }

    /// Adds the results that a poll could not save.
    pub fn put_back(&mut self, failed: Vec<FinishedAttempt>) {
        self.failed.extend(failed);
    }

    /// Removes and returns all results, for a poll.
    pub fn take(&mut self) -> Vec<FinishedAttempt> {
        let mut taken = std::mem::take(&mut self.new);
        taken.append(&mut self.failed);
        taken
    }

    /// Drops the results of an account.
    pub fn forget(&mut self, account_id: i64) {
        self.new.retain(|result| result.delivery.account_id != account_id);
        self.failed.retain(|result| result.delivery.account_id != account_id);
    }

    /// Returns true if there is a new result.
    pub fn has_new(&self) -> bool {
        !self.new.is_empty()
    }

    /// Returns the deliveries of all results.
    pub fn keys(&self) -> impl Iterator<Item = DeliveryKey> {
        self.new.iter().chain(&self.failed).map(|result| result.delivery.key())
    }
}
