//! Callers that wait for the dispatcher.

use std::collections::HashSet;

use tokio::sync::oneshot;

use super::poll::FinishedPoll;

/// Callers that wait for the dispatcher. Each is answered once, and then removed.
///
/// * A caller waiting for idle accounts is answered after a poll of all accounts that started after its call.
/// * A caller of `forget` is answered when its account has no attempt in flight.
#[derive(Debug, Default)]
pub struct Waiters {
    idle: Vec<IdleWaiter>,
    forgets: Vec<ForgetWaiter>,
}

/// A caller waiting until nothing is due.
#[derive(Debug)]
struct IdleWaiter {
    /// Number of polls started before the call.
    polls_before: u64,
    done: oneshot::Sender<()>,
}

/// A caller waiting for the attempts of a deleted account.
#[derive(Debug)]
struct ForgetWaiter {
    account_id: i64,
    done: oneshot::Sender<()>,
}

impl Waiters {
    /// Adds a caller waiting until all accounts are idle.
    pub fn add_idle(&mut self, polls_before: u64, done: oneshot::Sender<()>) {
        self.idle.push(IdleWaiter { polls_before, done });
    }

    /// Adds a caller waiting for the attempts of a deleted account.
    pub fn add_forget(&mut self, account_id: i64, done: oneshot::Sender<()>) {
        self.forgets.push(ForgetWaiter { account_id, done });
    }

    /// Returns true if a caller waits for idle accounts.
    pub fn has_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// Answers the callers with idle accounts that the poll covered.
    pub fn answer_idle(&mut self, finished: &FinishedPoll) {
        if finished.covers_all() {
            for waiter in self.idle.extract_if(.., |waiter| finished.number > waiter.polls_before) {
                waiter.done.send(()).unwrap_or_default(); // the caller may be gone
            }
        }
    }

    /// Answers the callers of `forget` for accounts without attempts in flight.
    pub fn answer_forgets(&mut self, in_flight: &HashSet<i64>) {
        for waiter in self.forgets.extract_if(.., |waiter| !in_flight.contains(&waiter.account_id)) {
            waiter.done.send(()).unwrap_or_default();
        }
    }
}
