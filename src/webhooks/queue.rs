//! Claimed deliveries before their attempts.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::concurrency::{ConcurrencyLimiter, ConcurrencyLimits, ReceiverKey};
use super::delivery::{Delivery, DeliveryKey};

/// Claimed deliveries before their attempts.
///
/// * A delivery is here once: it waits for a slot of its receiver, or for the release of its lease.
/// * A started delivery occupies its slot until [`finish`](Self::finish).
#[derive(Debug)]
pub struct DeliveryQueue {
    limiter: ConcurrencyLimiter<Arc<Delivery>>,
    /// Deliveries that can't start soon. The next poll releases them for any server.
    released: HashSet<DeliveryKey>,
}

impl DeliveryQueue {
    /// Returns an empty queue.
    pub fn new(limits: ConcurrencyLimits) -> Self {
        Self { limiter: ConcurrencyLimiter::new(limits), released: HashSet::new() }
    }

    /// Returns the limiter, which has the quotas of the next claim.
    pub fn limiter(&self) -> &ConcurrencyLimiter<Arc<Delivery>> {
        &self.limiter
    }

    /// Adds claimed deliveries. Skips leased ones.
    /// A lease of this server may have expired while the database was unavailable.
    pub fn add(&mut self, claimed: Vec<Delivery>, leased: &HashSet<DeliveryKey>) {
        for delivery in claimed {
            // claimed again after its lease expired, so no longer to be released
            self.released.remove(&delivery.key());
            if !leased.contains(&delivery.key()) {
                let (receiver, was_tried) = (delivery.receiver(), delivery.tries > 0);
                self.limiter.add(receiver, Arc::new(delivery), was_tried);
            }
        }
    }

    /// Returns true if no delivery waits for a slot or occupies one.
    pub fn is_empty(&self) -> bool {
        self.limiter.held() == 0
    }

    /// Starts and returns the deliveries that the limits allow. Queues the blocked ones for release.
    pub fn start(&mut self, now: Instant) -> Vec<Arc<Delivery>> {
        let started = self.limiter.start(now);
        self.released.extend(self.limiter.take_blocked(now).iter().map(|delivery| delivery.key()));
        started
    }

    /// Frees the slot of a delivery that started at `started`.
    pub fn finish(&mut self, receiver: ReceiverKey, started: Instant, was_received: bool) {
        self.limiter.finish(receiver, started, was_received, Instant::now());
    }

    /// Drops the waiting deliveries of an account.
    pub fn forget(&mut self, account_id: i64) {
        self.limiter.forget(account_id);
    }

    /// Removes and returns the deliveries to release.
    pub fn take_released(&mut self) -> Vec<DeliveryKey> {
        self.released.drain().collect()
    }

    /// Puts back deliveries that a poll could not release.
    pub fn put_back(&mut self, unreleased: Vec<DeliveryKey>) {
        self.released.extend(unreleased);
    }

    /// Returns the deliveries that wait for a slot.
    pub fn waiting(&self) -> impl Iterator<Item = DeliveryKey> {
        self.limiter.waiting().map(|delivery| delivery.key())
    }
}
