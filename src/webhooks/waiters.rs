//! Callers that wait for the dispatcher.

use std::collections::HashSet;

use tokio::sync::oneshot;

use super::poll::FinishedPoll;

/// Callers that wait for the dispatcher. Each is answered once, and then removed.
///
/// * A caller waiting for an idle account is answered after a poll that started after its call.
/// * A caller of `forget` is answered when its account has no attempt in flight.
#[derive(Debug, Default)]
pub struct Waiters {
    idle: Vec<IdleWaiter>,
    forgets: Vec<ForgetWaiter>,
}

/// A caller waiting until nothing is due.
#[derive(Debug)]
struct IdleWaiter {
    /// Account to wait for; `None`: all accounts.
    account_id: Option<i64>,
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
    /// Adds a caller waiting until an account is idle; `None`: all accounts.
    pub fn add_idle(&mut self, account_id: Option<i64>, polls_before: u64, done: oneshot::Sender<()>) {
        self.idle.push(IdleWaiter { account_id, polls_before, done });
    }

    /// Adds a caller waiting for the attempts of a deleted account.
    pub fn add_forget(&mut self, account_id: i64, done: oneshot::Sender<()>) {
        self.forgets.push(ForgetWaiter { account_id, done });
    }

    /// Returns true if a caller waits for an idle account.
    pub fn has_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// Returns the accounts that callers wait for to be idle.
    pub fn idle_accounts(&self) -> impl Iterator<Item = i64> {
        self.idle.iter().filter_map(|waiter| waiter.account_id)
    }

    /// Answers the callers with an idle account that the poll covered.
    pub fn answer_idle(&mut self, finished: &FinishedPoll, is_idle: impl Fn(Option<i64>) -> bool) {
        let is_answered = |waiter: &mut IdleWaiter| {
            finished.number > waiter.polls_before && finished.covers(waiter.account_id) && is_idle(waiter.account_id)
        };
        for waiter in self.idle.extract_if(.., is_answered) {
            waiter.done.send(()).unwrap_or_default(); // the caller may be gone
        }
    }

    /// Answers the callers of `forget` for accounts without attempts in flight.
    pub fn answer_forgets(&mut self, in_flight: &HashSet<i64>) {
        for waiter in self.forgets.extract_if(.., |waiter| !in_flight.contains(&waiter.account_id)) {
            waiter.done.send(()).unwrap_or_default();
        }
    }
}
