//! Whose events are sent next, and how many at once. Pure.
//!
//! A receiver begins with one delivery at a time and earns more by taking events; one that fails is back to one. What
//! is free goes to whoever has the least under way. So that receivers that hang leave room for the others, however many
//! they are and however much there is for them, those that are slow get a quarter of what there is, those nothing is
//! known of at most as much again, and what prompt ones have under way beyond their first takes half.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// What takes longer than this is slow.
const PROMPT: Duration = Duration::from_secs(1);
/// How many are claimed for each that may run, where answers come promptly, so that sending goes on during a round trip
/// to the database.
const AHEAD: usize = 4;
/// The most receivers of which nothing is held that a statement is told of: so many that are prompt, and so many that
/// are slow.
const MOST_TOLD: usize = 256;
/// The most receivers that are remembered.
const MOST_KNOWN: usize = 10_000;

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

/// How much of a receiver's may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub key: Key,
    /// How much is held of it.
    pub held: usize,
    /// How much more may be.
    pub more: usize,
}

/// What is held of every receiver's events.
#[derive(Debug)]
pub struct Lanes<T> {
    limits: Limits,
    by_receiver: BTreeMap<Key, Lane<T>>,
    /// Counts what has begun.
    begun: u64,
}

/// What is known of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    New,
    Prompt,
    /// It fails, or takes its time.
    Slow,
}

#[derive(Debug)]
struct Lane<T> {
    /// Claimed, and not begun.
    waiting: VecDeque<T>,
    /// When those under way began.
    running: Vec<Instant>,
    /// How many may run at once.
    slots: usize,
    /// As its last outcome was.
    standing: Standing,
    /// Which of all that have begun was its last.
    last_begun: u64,
}

impl<T> Lane<T> {
    fn new(standing: Standing) -> Self {
        Self { waiting: VecDeque::new(), running: Vec::new(), slots: 1, standing, last_begun: 0 }
    }

    fn held(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// A receiver that is taking long is slow before it is known what becomes of that.
    fn standing(&self, now: Instant) -> Standing {
        let is_late = self.running.iter().any(|begun| now.duration_since(*begun) > PROMPT);
        if is_late { Standing::Slow } else { self.standing }
    }
}

/// What is under way.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    all: usize,
    slow: usize,
    new: usize,
    /// Of prompt ones, beyond the first of each.
    extra: usize,
}

impl Load {
    fn add(&mut self, standing: Standing, others: usize) {
        self.all += 1;
        match standing {
            Standing::Slow => self.slow += 1,
            Standing::New => self.new += 1,
            Standing::Prompt => self.extra += usize::from(others > 0),
        }
    }

    fn allows(&self, standing: Standing, others: usize, total: usize) -> bool {
        let quarter = (total / 4).max(1);
        self.all < total
            && match standing {
                Standing::Slow => self.slow < quarter && self.slow + self.new < half(total),
                Standing::New => self.slow + self.new < half(total),
                Standing::Prompt => others == 0 || self.extra < half(total),
            }
    }
}

fn half(total: usize) -> usize {
    (total / 2).max(1)
}

impl<T> Lanes<T> {
    /// Nothing is held.
    pub fn new(limits: Limits) -> Self {
        Self { limits, by_receiver: BTreeMap::new(), begun: 0 }
    }

    fn load(&self, now: Instant) -> Load {
        let mut load = Load::default();
        for lane in self.by_receiver.values() {
            let standing = lane.standing(now);
            (0..lane.running.len()).for_each(|others| load.add(standing, others));
        }
        load
    }

    /// How many more deliveries may be claimed, of receivers that [`rooms`](Self::rooms) has. A first one of each may be
    /// where there is no room, too: what is held of others doesn't keep it out.
    pub fn room(&self) -> usize {
        (AHEAD * self.limits.total).saturating_sub(self.held())
    }

    /// How many more may be claimed of all other receivers together: what could begin of those that nothing is known of.
    pub fn room_of_others(&self, now: Instant) -> usize {
        let load = self.load(now);
        let waiting =
            self.by_receiver.values().filter(|lane| lane.standing != Standing::Prompt && !lane.waiting.is_empty());
        half(self.limits.total).saturating_sub(load.slow + load.new + waiting.count())
    }

    /// How much more of these receivers' may be claimed; one, of any other's. Those that answer promptly have their next
    /// ones at hand when one is done.
    pub fn rooms(&self, now: Instant) -> Vec<Room> {
        let slow_begin = self.load(now).allows(Standing::Slow, 0, self.limits.total);
        let (mut rooms, mut prompt, mut slow) = (Vec::new(), Vec::new(), 0);
        for (key, lane) in &self.by_receiver {
            let (held, standing) = (lane.held(), lane.standing(now));
            let more = match standing {
                Standing::Prompt => AHEAD * lane.slots,
                Standing::New => 1,
                Standing::Slow if slow_begin => lane.slots,
                Standing::Slow => 0,
            };
            let room = Room { key: *key, held, more: more.saturating_sub(held) };
            match standing {
                _ if held > 0 => rooms.push(room),
                Standing::Prompt => prompt.push((lane.last_begun, room)),
                Standing::Slow if !slow_begin && slow < MOST_TOLD => {
                    slow += 1;
                    rooms.push(room);
                }
                Standing::Slow | Standing::New => {}
            }
        }
        // those that were sent something last
        prompt.sort_unstable_by_key(|(last_begun, _)| std::cmp::Reverse(*last_begun));
        rooms.extend(prompt.into_iter().take(MOST_TOLD).map(|(_, room)| room));
        rooms
    }

    /// Takes in what was claimed. `was_tried`: it was tried before, which tells of its receiver where nothing is known.
    pub fn add(&mut self, key: Key, delivery: T, was_tried: bool) {
        let standing = if was_tried { Standing::Slow } else { Standing::New };
        self.by_receiver.entry(key).or_insert_with(|| Lane::new(standing)).waiting.push_back(delivery);
    }

    /// The deliveries that begin now.
    pub fn begin(&mut self, now: Instant) -> Vec<T> {
        let mut load = self.load(now);
        let mut begun = Vec::new();
        loop {
            let total = self.limits.total;
            let may = |lane: &Lane<T>| {
                let running = lane.running.len();
                !lane.waiting.is_empty() && running < lane.slots && load.allows(lane.standing(now), running, total)
            };
            let candidates = self.by_receiver.values_mut().filter(|lane| may(lane));
            let Some(lane) = candidates.min_by_key(|lane| (lane.running.len(), lane.last_begun)) else { return begun };
            load.add(lane.standing(now), lane.running.len());
            lane.running.push(now);
            self.begun += 1;
            lane.last_begun = self.begun;
            begun.extend(lane.waiting.pop_front());
        }
    }

    /// What was claimed of receivers that aren't prompt and can't begin: others may take it, or we again, later.
    pub fn give_back(&mut self, now: Instant) -> Vec<T> {
        let others = self.by_receiver.values_mut().filter(|lane| lane.standing(now) != Standing::Prompt);
        others.flat_map(|lane| lane.waiting.drain(..)).collect()
    }

    /// Drops what was claimed of an account and has not begun.
    pub fn forget(&mut self, account_id: i64) {
        for (_, lane) in self.by_receiver.range_mut((account_id, i64::MIN)..=(account_id, i64::MAX)) {
            lane.waiting.clear();
        }
    }

    /// One of a receiver's, which had begun then, ended.
    pub fn ended(&mut self, key: Key, begun: Instant, was_received: bool, now: Instant) {
        let Some(lane) = self.by_receiver.get_mut(&key) else { return };
        if let Some(place) = lane.running.iter().position(|running| *running == begun) {
            lane.running.swap_remove(place);
        }
        let is_prompt = was_received && now.duration_since(begun) <= PROMPT;
        lane.standing = if is_prompt { Standing::Prompt } else { Standing::Slow };
        lane.slots = if was_received { (lane.slots + 1).min(self.limits.receiver) } else { 1 };
        if self.by_receiver.len() > MOST_KNOWN {
            self.by_receiver.retain(|_, lane| lane.held() > 0);
        }
    }

    /// How many are held.
    pub fn held(&self) -> usize {
        self.by_receiver.values().map(Lane::held).sum()
    }

    /// What was claimed and not begun.
    pub fn waiting(&self) -> impl Iterator<Item = &T> {
        self.by_receiver.values().flat_map(|lane| &lane.waiting)
    }
}
