//! Limits on concurrent deliveries, in total and for each receiver. Pure.
//!
//! A receiver starts with one slot, gains one per success, and drops to one on failure.
//! A free slot goes to the receiver with the fewest deliveries in flight.
//! Shares keep slow receivers from blocking the rest, for any number of receivers and deliveries:
//!
//! * slow receivers: a quarter of all slots
//! * slow and new receivers together: half of all slots
//! * prompt receivers, beyond the first slot of each: half of all slots

mod receiver;

use std::collections::BTreeMap;

use tokio::time::Instant;

use receiver::{Load, ReceiverHealth, ReceiverQueue, half};

/// Deliveries claimed for each slot of a prompt receiver: enough to keep sending during a database round trip.
const AHEAD: usize = 4;
/// Maximum number of idle receivers with a quota: this many prompt ones, and this many slow ones.
const MOST_IDLE_QUOTAS: usize = 256;
/// Maximum number of receivers remembered; above this, idle ones are dropped.
const MOST_KNOWN: usize = 10_000;

/// A receiver of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiverKey {
    pub account_id: i64,
    /// The user with the `webhook_url`.
    pub user_id: i64,
}

/// Limits on concurrent deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcurrencyLimits {
    /// Concurrent deliveries to all receivers.
    pub total: usize,
    /// Concurrent deliveries to one receiver.
    pub receiver: usize,
}

/// Quota of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub receiver: ReceiverKey,
    /// Deliveries held: claimed and not finished.
    pub held: usize,
    /// Deliveries that may still be claimed.
    pub more: usize,
}

/// Concurrency limiter: the claimed deliveries of all receivers.
///
/// * Each delivery added waits until [`start`](Self::start) or [`take_blocked`](Self::take_blocked) returns it.
/// * Each delivery started occupies a slot of its receiver until [`finish`](Self::finish).
#[derive(Debug)]
pub struct ConcurrencyLimiter<T> {
    limits: ConcurrencyLimits,
    by_receiver: BTreeMap<ReceiverKey, ReceiverQueue<T>>,
    /// Deliveries started so far.
    started: u64,
}

impl<T> ConcurrencyLimiter<T> {
    /// Returns a limiter without deliveries.
    pub fn new(limits: ConcurrencyLimits) -> Self {
        Self { limits, by_receiver: BTreeMap::new(), started: 0 }
    }

    /// Returns the limits.
    pub fn limits(&self) -> ConcurrencyLimits {
        self.limits
    }

    fn load(&self, now: Instant) -> Load {
        let mut load = Load::default();
        for queue in self.by_receiver.values() {
            let health = queue.health(now);
            (0..queue.in_flight.len()).for_each(|in_flight| load.add(health, in_flight));
        }
        load
    }

    /// Returns the quota of all receivers in [`quotas`](Self::quotas) together.
    /// The first delivery of each may exceed it, so a full limiter keeps no receiver out.
    pub fn total_quota(&self) -> usize {
        (AHEAD * self.limits.total).saturating_sub(self.held())
    }

    /// Returns the quota of all unknown receivers together: the new receivers that could start.
    pub fn quota_for_unknown(&self, now: Instant) -> usize {
        let load = self.load(now);
        let is_waiting =
            |queue: &&ReceiverQueue<T>| queue.last_health != ReceiverHealth::Prompt && !queue.waiting.is_empty();
        let waiting = self.by_receiver.values().filter(is_waiting).count();
        half(self.limits.total).saturating_sub(load.slow + load.new + waiting)
    }

    /// Returns the quotas of known receivers. Any other receiver has a quota of one.
    /// A prompt receiver gets more than its slots, so its next deliveries are ready.
    pub fn quotas(&self, now: Instant) -> Vec<Quota> {
        let slow_may_start = self.load(now).allows(ReceiverHealth::Slow, 0, self.limits.total);
        let (mut quotas, mut prompt, mut slow) = (Vec::new(), Vec::new(), 0);
        for (receiver, queue) in &self.by_receiver {
            let (held, health) = (queue.held(), queue.health(now));
            let more = match health {
                ReceiverHealth::Prompt => AHEAD * queue.slots,
                ReceiverHealth::New => 1,
                ReceiverHealth::Slow if slow_may_start => queue.slots,
                ReceiverHealth::Slow => 0,
            };
            let quota = Quota { receiver: *receiver, held, more: more.saturating_sub(held) };
            match health {
                _ if held > 0 => quotas.push(quota),
                ReceiverHealth::Prompt => prompt.push((queue.last_started, quota)),
                ReceiverHealth::Slow if !slow_may_start && slow < MOST_IDLE_QUOTAS => {
                    slow += 1;
                    quotas.push(quota);
                }
                ReceiverHealth::Slow | ReceiverHealth::New => {}
            }
        }
        // most recently used first
        prompt.sort_unstable_by_key(|(last_started, _)| std::cmp::Reverse(*last_started));
        quotas.extend(prompt.into_iter().take(MOST_IDLE_QUOTAS).map(|(_, quota)| quota));
        quotas
    }

    /// Adds a claimed delivery. `was_tried`: an earlier attempt failed, so an unknown receiver counts as slow.
    pub fn add(&mut self, receiver: ReceiverKey, delivery: T, was_tried: bool) {
        let health = if was_tried { ReceiverHealth::Slow } else { ReceiverHealth::New };
        self.by_receiver.entry(receiver).or_insert_with(|| ReceiverQueue::new(health)).waiting.push_back(delivery);
    }

    /// Starts all deliveries that the limits allow, and returns them.
    pub fn start(&mut self, now: Instant) -> Vec<T> {
        let mut load = self.load(now);
        let mut started = Vec::new();
        loop {
            let total = self.limits.total;
            let may_start = |queue: &ReceiverQueue<T>| {
                let in_flight = queue.in_flight.len();
                !queue.waiting.is_empty() && in_flight < queue.slots && load.allows(queue.health(now), in_flight, total)
            };
            let candidates = self.by_receiver.values_mut().filter(|queue| may_start(queue));
            let next = candidates.min_by_key(|queue| (queue.in_flight.len(), queue.last_started));
            let Some(queue) = next else { return started };
            load.add(queue.health(now), queue.in_flight.len());
            queue.in_flight.push(now);
            self.started += 1;
            queue.last_started = self.started;
            started.extend(queue.waiting.pop_front());
        }
    }

    /// Removes and returns the deliveries that can't start, except for prompt receivers'.
    /// Any server may claim them later.
    pub fn take_blocked(&mut self, now: Instant) -> Vec<T> {
        let queues = self.by_receiver.values_mut().filter(|queue| queue.health(now) != ReceiverHealth::Prompt);
        queues.flat_map(|queue| queue.waiting.drain(..)).collect()
    }

    /// Drops the deliveries of an account that have not started.
    pub fn forget(&mut self, account_id: i64) {
        let key = |user_id| ReceiverKey { account_id, user_id };
        for (_, queue) in self.by_receiver.range_mut(key(i64::MIN)..=key(i64::MAX)) {
            queue.waiting.clear();
        }
    }

    /// Ends the delivery to a receiver that started at `started`.
    pub fn finish(&mut self, receiver: ReceiverKey, started: Instant, was_received: bool, now: Instant) {
        let Some(queue) = self.by_receiver.get_mut(&receiver) else { return };
        queue.finish(started, was_received, now, self.limits.receiver);
        if self.by_receiver.len() > MOST_KNOWN {
            self.by_receiver.retain(|_, queue| queue.held() > 0);
        }
    }

    /// Returns the number of deliveries held.
    pub fn held(&self) -> usize {
        self.by_receiver.values().map(ReceiverQueue::held).sum()
    }

    /// Returns the deliveries that have not started.
    pub fn waiting(&self) -> impl Iterator<Item = &T> {
        self.by_receiver.values().flat_map(|queue| &queue.waiting)
    }
}
