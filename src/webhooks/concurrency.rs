//! Limits on concurrent deliveries, in total and for each receiver. Pure.
//!
//! A receiver starts with one slot, gains one per success, and drops to one on failure.
//! A free slot goes to the receiver with the fewest deliveries in flight.
//! Shares keep slow receivers from blocking the rest, for any number of receivers and deliveries:
//!
//! * slow receivers: a quarter of all slots
//! * slow and new receivers together: half of all slots
//! * prompt receivers, beyond the first slot of each: half of all slots

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Longest prompt delivery; a longer one is slow.
const PROMPT: Duration = Duration::from_secs(1);
/// Deliveries claimed for each slot of a prompt receiver: enough to keep sending during a database round trip.
const AHEAD: usize = 4;
/// Most idle receivers passed to a claim: this many prompt ones, and this many slow ones.
const MOST_TOLD: usize = 256;
/// Most receivers remembered; above this, idle ones are dropped.
const MOST_KNOWN: usize = 10_000;

/// A receiver: the account, and the user with the `webhook_url`.
pub type Key = (i64, i64);

/// Limits on concurrent deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Concurrent deliveries to all receivers.
    pub total: usize,
    /// Concurrent deliveries to one receiver.
    pub receiver: usize,
}

/// Quota of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub key: Key,
    /// Deliveries held: claimed and not finished.
    pub held: usize,
    /// Deliveries that may still be claimed.
    pub more: usize,
}

/// Concurrency limiter: the claimed deliveries of all receivers.
#[derive(Debug)]
pub struct Lanes<T> {
    limits: Limits,
    by_receiver: BTreeMap<Key, ReceiverQueue<T>>,
    /// Deliveries started so far.
    begun: u64,
}

/// Health of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// No result yet.
    New,
    /// Received within [`PROMPT`].
    Prompt,
    /// Failing, or slower than [`PROMPT`].
    Slow,
}

#[derive(Debug)]
struct ReceiverQueue<T> {
    /// Deliveries claimed and not started.
    waiting: VecDeque<T>,
    /// Start times of the deliveries in flight.
    running: Vec<Instant>,
    /// Deliveries allowed at once.
    slots: usize,
    /// Health after the last result.
    health: Health,
    /// Number of the last delivery started, among the deliveries of all receivers.
    last_begun: u64,
}

impl<T> ReceiverQueue<T> {
    fn new(health: Health) -> Self {
        Self { waiting: VecDeque::new(), running: Vec::new(), slots: 1, health, last_begun: 0 }
    }

    fn held(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// Returns the health now. An overdue delivery in flight makes a receiver slow before its result.
    fn health(&self, now: Instant) -> Health {
        let is_late = self.running.iter().any(|begun| now.duration_since(*begun) > PROMPT);
        if is_late { Health::Slow } else { self.health }
    }
}

/// Deliveries in flight.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    all: usize,
    slow: usize,
    new: usize,
    /// Deliveries to prompt receivers, beyond the first of each.
    extra: usize,
}

impl Load {
    fn add(&mut self, health: Health, running: usize) {
        self.all += 1;
        match health {
            Health::Slow => self.slow += 1,
            Health::New => self.new += 1,
            Health::Prompt => self.extra += usize::from(running > 0),
        }
    }

    fn allows(&self, health: Health, running: usize, total: usize) -> bool {
        let quarter = (total / 4).max(1);
        self.all < total
            && match health {
                Health::Slow => self.slow < quarter && self.slow + self.new < half(total),
                Health::New => self.slow + self.new < half(total),
                Health::Prompt => running == 0 || self.extra < half(total),
            }
    }
}

fn half(total: usize) -> usize {
    (total / 2).max(1)
}

impl<T> Lanes<T> {
    /// Returns a limiter without deliveries.
    pub fn new(limits: Limits) -> Self {
        Self { limits, by_receiver: BTreeMap::new(), begun: 0 }
    }

    fn load(&self, now: Instant) -> Load {
        let mut load = Load::default();
        for queue in self.by_receiver.values() {
            let health = queue.health(now);
            (0..queue.running.len()).for_each(|running| load.add(health, running));
        }
        load
    }

    /// Returns the quota of all receivers in [`rooms`](Self::rooms) together.
    /// The first delivery of each may exceed it, so a full limiter keeps no receiver out.
    pub fn room(&self) -> usize {
        (AHEAD * self.limits.total).saturating_sub(self.held())
    }

    /// Returns the quota of all other receivers together: the new receivers that could start.
    pub fn room_of_others(&self, now: Instant) -> usize {
        let load = self.load(now);
        let waiting =
            self.by_receiver.values().filter(|queue| queue.health != Health::Prompt && !queue.waiting.is_empty());
        half(self.limits.total).saturating_sub(load.slow + load.new + waiting.count())
    }

    /// Returns the quotas of known receivers. Any other receiver has a quota of one.
    /// A prompt receiver gets more than its slots, so its next deliveries are ready.
    pub fn rooms(&self, now: Instant) -> Vec<Room> {
        let slow_begin = self.load(now).allows(Health::Slow, 0, self.limits.total);
        let (mut rooms, mut prompt, mut slow) = (Vec::new(), Vec::new(), 0);
        for (key, queue) in &self.by_receiver {
            let (held, health) = (queue.held(), queue.health(now));
            let more = match health {
                Health::Prompt => AHEAD * queue.slots,
                Health::New => 1,
                Health::Slow if slow_begin => queue.slots,
                Health::Slow => 0,
            };
            let room = Room { key: *key, held, more: more.saturating_sub(held) };
            match health {
                _ if held > 0 => rooms.push(room),
                Health::Prompt => prompt.push((queue.last_begun, room)),
                Health::Slow if !slow_begin && slow < MOST_TOLD => {
                    slow += 1;
                    rooms.push(room);
                }
                Health::Slow | Health::New => {}
            }
        }
        // most recently used first
        prompt.sort_unstable_by_key(|(last_begun, _)| std::cmp::Reverse(*last_begun));
        rooms.extend(prompt.into_iter().take(MOST_TOLD).map(|(_, room)| room));
        rooms
    }

    /// Adds a claimed delivery. `was_tried`: an earlier attempt failed, so an unknown receiver counts as slow.
    pub fn add(&mut self, key: Key, delivery: T, was_tried: bool) {
        let health = if was_tried { Health::Slow } else { Health::New };
        self.by_receiver.entry(key).or_insert_with(|| ReceiverQueue::new(health)).waiting.push_back(delivery);
    }

    /// Starts all deliveries that the limits allow, and returns them.
    pub fn begin(&mut self, now: Instant) -> Vec<T> {
        let mut load = self.load(now);
        let mut begun = Vec::new();
        loop {
            let total = self.limits.total;
            let may = |queue: &ReceiverQueue<T>| {
                let running = queue.running.len();
                !queue.waiting.is_empty() && running < queue.slots && load.allows(queue.health(now), running, total)
            };
            let candidates = self.by_receiver.values_mut().filter(|queue| may(queue));
            let next = candidates.min_by_key(|queue| (queue.running.len(), queue.last_begun));
            let Some(queue) = next else { return begun };
            load.add(queue.health(now), queue.running.len());
            queue.running.push(now);
            self.begun += 1;
            queue.last_begun = self.begun;
            begun.extend(queue.waiting.pop_front());
        }
    }

    /// Removes and returns the deliveries that can't start, except for prompt receivers'.
    /// Any server may claim them later.
    pub fn give_back(&mut self, now: Instant) -> Vec<T> {
        let queues = self.by_receiver.values_mut().filter(|queue| queue.health(now) != Health::Prompt);
        queues.flat_map(|queue| queue.waiting.drain(..)).collect()
    }

    /// Drops the deliveries of an account that have not started.
    pub fn forget(&mut self, account_id: i64) {
        for (_, queue) in self.by_receiver.range_mut((account_id, i64::MIN)..=(account_id, i64::MAX)) {
            queue.waiting.clear();
        }
    }

    /// Ends the delivery to a receiver that started at `begun`.
    pub fn ended(&mut self, key: Key, begun: Instant, was_received: bool, now: Instant) {
        let Some(queue) = self.by_receiver.get_mut(&key) else { return };
        if let Some(place) = queue.running.iter().position(|running| *running == begun) {
            queue.running.swap_remove(place);
        }
        let is_prompt = was_received && now.duration_since(begun) <= PROMPT;
        queue.health = if is_prompt { Health::Prompt } else { Health::Slow };
        queue.slots = if was_received { (queue.slots + 1).min(self.limits.receiver) } else { 1 };
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
