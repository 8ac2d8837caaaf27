//! The state of one receiver, and the shares of slots by health. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Longest prompt delivery; a longer one is slow.
const PROMPT: Duration = Duration::from_secs(1);

/// Health of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiverHealth {
    /// No result yet.
    New,
    /// Received within [`PROMPT`].
    Prompt,
    /// Failing, or slower than [`PROMPT`].
    Slow,
}

/// Claimed deliveries of one receiver.
#[derive(Debug)]
pub struct ReceiverQueue<T> {
    /// Deliveries claimed and not started.
    pub waiting: VecDeque<T>,
    /// Start times of the deliveries in flight.
    pub in_flight: Vec<Instant>,
    /// Deliveries allowed at once.
    pub slots: usize,
    /// Health after the last result.
    pub last_health: ReceiverHealth,
    /// Number of the last delivery started, among the deliveries of all receivers.
    pub last_started: u64,
}

impl<T> ReceiverQueue<T> {
    /// Returns the queue of a receiver without deliveries.
    pub fn new(health: ReceiverHealth) -> Self {
        Self { waiting: VecDeque::new(), in_flight: Vec::new(), slots: 1, last_health: health, last_started: 0 }
    }

    /// Returns the number of deliveries held: claimed and not finished.
    pub fn held(&self) -> usize {
        self.waiting.len() + self.in_flight.len()
    }

    /// Returns the health now. An overdue delivery in flight makes a receiver slow before its result.
    pub fn health(&self, now: Instant) -> ReceiverHealth {
        let is_late = self.in_flight.iter().any(|started| now.duration_since(*started) > PROMPT);
        if is_late { ReceiverHealth::Slow } else { self.last_health }
    }

    /// Ends the delivery started at `started`. A success adds a slot up to `most`, a failure leaves one.
    pub fn finish(&mut self, started: Instant, was_received: bool, now: Instant, most: usize) {
        if let Some(place) = self.in_flight.iter().position(|one| *one == started) {
            self.in_flight.swap_remove(place);
        }
        let is_prompt = was_received && now.duration_since(started) <= PROMPT;
        self.last_health = if is_prompt { ReceiverHealth::Prompt } else { ReceiverHealth::Slow };
        self.slots = if was_received { (self.slots + 1).min(most) } else { 1 };
    }
}

/// Number of deliveries in flight, by share.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    pub all: usize,
    pub slow: usize,
    pub new: usize,
    /// Deliveries to prompt receivers, beyond the first of each.
    pub extra: usize,
}

impl Load {
    /// Adds one delivery to a receiver that had `in_flight` before.
    pub fn add(&mut self, health: ReceiverHealth, in_flight: usize) {
        self.all += 1;
        match health {
            ReceiverHealth::Slow => self.slow += 1,
            ReceiverHealth::New => self.new += 1,
            ReceiverHealth::Prompt => self.extra += usize::from(in_flight > 0),
        }
    }

    /// Returns true if a delivery may start, to a receiver that has `in_flight` already.
    pub fn allows(&self, health: ReceiverHealth, in_flight: usize, total: usize) -> bool {
        let quarter = (total / 4).max(1);
        self.all < total
            && match health {
                ReceiverHealth::Slow => self.slow < quarter && self.slow + self.new < half(total),
                ReceiverHealth::New => self.slow + self.new < half(total),
                ReceiverHealth::Prompt => in_flight == 0 || self.extra < half(total),
            }
    }
}

/// Returns half of all slots, at least one.
pub fn half(total: usize) -> usize {
    (total / 2).max(1)
}
