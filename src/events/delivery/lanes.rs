//! Whose events are sent next, and how many at once. Pure.
//!
//! A receiver begins with one delivery at a time and earns more by answering promptly; one that fails or is slow is
//! back to one, and all of those together get half of what there is. So a receiver that hangs costs the others nothing,
//! however much there is for it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// An answer later than this is slow.
const PROMPT: Duration = Duration::from_secs(1);

/// How many are claimed for each that runs, where answers come promptly, so that sending goes on during a round trip to
/// the database.
const AHEAD: usize = 4;

/// A receiver: an account, and the user whose `webhook_url` it is.
pub type Key = (i64, i64);

/// How much is sent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Deliveries at once.
    pub total: usize,
    /// Of them, to one receiver.
    pub receiver: usize,
}

/// What is held of every receiver's events.
#[derive(Debug)]
pub struct Lanes<T> {
    limits: Limits,
    lanes: BTreeMap<Key, Lane<T>>,
}

#[derive(Debug)]
struct Lane<T> {
    /// Claimed, and not begun.
    waiting: VecDeque<T>,
    running: usize,
    /// How many may run at once.
    slots: usize,
    /// Whether its last outcome was a failure, or slow.
    is_slow: bool,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), running: 0, slots: 1, is_slow: false }
    }
}

impl<T> Lane<T> {
    fn held(&self) -> usize {
        self.waiting.len() + self.running
    }
}

impl<T> Lanes<T> {
    /// Nothing is held.
    pub fn new(limits: Limits) -> Self {
        Self { limits, lanes: BTreeMap::new() }
    }

    /// How many more deliveries may be claimed.
    pub fn room(&self) -> usize {
        (AHEAD * self.limits.total).saturating_sub(self.held())
    }

    /// How many more of these receivers' may be; one, of any other's. Those that answer promptly have their next ones at
    /// hand when one is done.
    pub fn rooms(&self) -> Vec<(Key, usize)> {
        let slow_room = self.slow_room() > 0;
        let room = |lane: &Lane<T>| match lane.is_slow {
            true if !slow_room => 0,
            true => lane.slots.saturating_sub(lane.held()),
            false => (AHEAD * lane.slots).saturating_sub(lane.held()),
        };
        self.lanes.iter().map(|(key, lane)| (*key, room(lane))).collect()
    }

    /// Takes in what was claimed.
    pub fn add(&mut self, key: Key, delivery: T) {
        self.lanes.entry(key).or_default().waiting.push_back(delivery);
    }

    /// The deliveries that begin now, receiver by receiver, those that answer promptly first.
    pub fn begin(&mut self) -> Vec<T> {
        let mut begun = Vec::new();
        let mut free = self.limits.total.saturating_sub(self.lanes.values().map(|lane| lane.running).sum());
        let mut slow_free = self.slow_room();
        for is_slow in [false, true] {
            // one of each receiver, then another one
            loop {
                let before = begun.len();
                for lane in self.lanes.values_mut().filter(|lane| lane.is_slow == is_slow) {
                    if free == 0 || (is_slow && slow_free == 0) {
                        return begun;
                    }
                    if lane.running < lane.slots
                        && let Some(delivery) = lane.waiting.pop_front()
                    {
                        lane.running += 1;
                        free -= 1;
                        slow_free -= usize::from(is_slow);
                        begun.push(delivery);
                    }
                }
                if begun.len() == before {
                    break;
                }
            }
        }
        begun
    }

    /// One of a receiver's ended.
    pub fn ended(&mut self, key: Key, was_received: bool, took: Duration) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.running = lane.running.saturating_sub(1);
        lane.is_slow = !was_received || took > PROMPT;
        lane.slots = if lane.is_slow { 1 } else { (lane.slots + 1).min(self.limits.receiver) };
    }

    /// Forgets receivers for which there is nothing, after it was looked. Those that are slow are remembered, but no more
    /// of them than a statement can well be told of.
    pub fn forget_idle(&mut self) {
        const MOST: usize = 1000;
        let all = self.lanes.len() > MOST;
        self.lanes.retain(|_, lane| lane.held() > 0 || (lane.is_slow && !all));
    }

    /// How many are held.
    pub fn held(&self) -> usize {
        self.lanes.values().map(Lane::held).sum()
    }

    /// What was claimed and not begun.
    pub fn waiting(&self) -> impl Iterator<Item = &T> {
        self.lanes.values().flat_map(|lane| &lane.waiting)
    }

    /// How many more may go to slow ones.
    fn slow_room(&self) -> usize {
        let running: usize = self.lanes.values().filter(|lane| lane.is_slow).map(|lane| lane.running).sum();
        (self.limits.total / 2).max(1).saturating_sub(running)
    }
}
