//! An alarm that wakes a background task at the earliest due time, even if that moves earlier.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::clock::Clock;

/// The time at which something is due, in server time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    /// At once, before everything with a time.
    Now,
    At(OffsetDateTime),
}

impl Arrival {
    /// Returns whether it is due by `now`.
    pub fn is_due(self, now: OffsetDateTime) -> bool {
        self <= Self::At(now)
    }
}

impl From<OffsetDateTime> for Arrival {
    fn from(instant: OffsetDateTime) -> Self {
        Self::At(instant)
    }
}

/// Due times of accounts, in server time. Cheap to clone; clones share one alarm.
#[derive(Debug, Clone, Default)]
pub struct Alarm(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    due: Mutex<Plan>,
    earlier: Notify,
}

/// Earliest known due time of each account.
#[derive(Debug, Default)]
struct Plan {
    by_account: HashMap<i64, Arrival>,
    by_time: BTreeSet<(Arrival, i64)>,
}

impl Plan {
    fn earliest(&self) -> Option<Arrival> {
        self.by_time.first().map(|(due_at, _)| *due_at)
    }
}

impl Alarm {
    /// Makes an account due at once.
    pub fn wake(&self, account_id: i64) {
        self.schedule(account_id, Arrival::Now);
    }

    /// Schedules an account for `due_at`. An earlier known time stays.
    pub fn schedule(&self, account_id: i64, due_at: impl Into<Arrival>) {
        let due_at = due_at.into();
        let mut plan = self.0.due.lock();
        let known = plan.by_account.get(&account_id).copied();
        if known.is_some_and(|known| known <= due_at) {
            return;
        }
        let is_earlier = plan.earliest().is_none_or(|earliest| due_at < earliest);
        plan.by_account.insert(account_id, due_at);
        plan.by_time.insert((due_at, account_id));
        if let Some(known) = known {
            plan.by_time.remove(&(known, account_id));
        }
        drop(plan);
        if is_earlier {
            self.0.earlier.notify_one();
        }
    }

    /// Removes and returns the accounts that are due, `most` at most, the earliest first.
    pub fn take_due(&self, now: OffsetDateTime, most: usize) -> Vec<i64> {
        let mut plan = self.0.due.lock();
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((due_at, account_id)) = plan.by_time.first().copied()
            && due_at.is_due(now)
        {
            plan.by_time.pop_first();
            plan.by_account.remove(&account_id);
            taken.push(account_id);
        }
        taken
    }

    /// Removes the due time of an account.
    pub fn forget(&self, account_id: i64) {
        let mut plan = self.0.due.lock();
        if let Some(due_at) = plan.by_account.remove(&account_id) {
            plan.by_time.remove(&(due_at, account_id));
        }
    }

    /// Waits for the earliest due time.
    pub async fn wait(&self, clock: &Clock) {
        loop {
            let earlier = self.0.earlier.notified();
            let earliest = self.0.due.lock().earliest();
            let due = async {
                match earliest {
                    Some(Arrival::Now) => {}
                    Some(Arrival::At(instant)) => clock.sleep_until(instant).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                () = earlier => {}
            }
        }
    }
}
