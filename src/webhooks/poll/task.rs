//! The task of one poll.

use super::database::{PollOutcome, PollWork, poll};
use super::results::ResultObservers;
use crate::database::Database;
use crate::webhooks::delivery::{Delivery, DeliveryKey, FinishedAttempt};
use crate::webhooks::store::DueTimes;

/// A finished poll.
#[derive(Debug)]
pub struct FinishedPoll {
    /// Number of the poll.
    pub number: u64,
    /// Accounts polled; `None`: all.
    pub accounts: Option<Vec<i64>>,
    /// Results that could not be saved.
    pub unsaved: Vec<FinishedAttempt>,
    /// `true` if the leases were renewed.
    pub was_renewed: bool,
    /// Deliveries to send.
    pub claimed: Vec<Delivery>,
    /// Deliveries still to be released: their rows were locked, or the database was unavailable.
    pub unreleased: Vec<DeliveryKey>,
    /// Due times. `None` after a poll that both saved and claimed, or if the database was unavailable.
    pub due_times: Option<Vec<DueTimes>>,
}

impl FinishedPoll {
    /// Returns true if the poll covered an account.
    pub fn covers(&self, account_id: i64) -> bool {
        self.accounts.as_ref().is_none_or(|accounts| accounts.contains(&account_id))
    }

    /// Returns true if the poll covered all accounts.
    pub fn covers_all(&self) -> bool {
        self.accounts.is_none()
    }
}

/// Runs a poll, and notifies the observers of the saved results.
pub async fn run(database: Database, observers: ResultObservers, number: u64, mut work: PollWork) -> FinishedPoll {
    let outcome = poll(&database, &work).await;
    let was_renewed = outcome.is_some() && !work.leases.renewed.is_empty();
    let unavailable = || PollOutcome { unreleased: work.leases.released.clone(), ..PollOutcome::default() };
    let PollOutcome { saved, claimed, unreleased, due_times } = outcome.unwrap_or_else(unavailable);
    for result in work.results.extract_if(.., |result| saved.contains(&result.delivery.key())) {
        observers.notify(&result);
    }
    let accounts = (!work.covers_all).then_some(work.accounts);
    FinishedPoll { number, accounts, unsaved: work.results, was_renewed, claimed, unreleased, due_times }
}
