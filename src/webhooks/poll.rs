//! Polls: database round trips that save results and claim due deliveries.

mod database;
mod results;
mod task;

use std::collections::HashSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::delivery::{DeliveryKey, FinishedAttempt};
use super::store::{DeliveryClaim, DueTimes};
use crate::alarm::Alarm;
use crate::database::Database;
pub use database::LeaseChanges;
use database::PollWork;
pub use results::ResultObservers;
use results::UnsavedResults;
pub use task::FinishedPoll;

/// Interval of lease renewals.
const RENEWAL: Duration = Duration::from_secs(5);

/// The schedule of polls, the current poll, and the results to save.
///
/// * One poll runs at a time. It takes all unsaved results, and puts back the failed ones.
/// * An account reported due stays due until a poll that started later finds it idle.
/// * Results and deliveries that a poll brings of an account deleted meanwhile are dropped.
#[derive(Debug)]
pub struct Poller {
    database: Database,
    observers: ResultObservers,
    results: UnsavedResults,
    /// Accounts that may have due deliveries.
    due: HashSet<i64>,
    /// Accounts reported due since the last poll started.
    newly_due: HashSet<i64>,
    /// `true` if the next poll should start now.
    is_requested: bool,
    /// `true` if the next poll covers all accounts.
    covers_all: bool,
    /// The current poll, if there is one.
    current: JoinSet<FinishedPoll>,
    /// Accounts deleted during the current poll.
    forgotten: HashSet<i64>,
    /// Start of the last poll.
    started_at: Instant,
    /// Number of polls started.
    started: u64,
    /// Time of the last lease renewal.
    renewed_at: Instant,
}

impl Poller {
    /// Returns a poller that polls all accounts at once.
    pub fn new(database: Database, observers: ResultObservers) -> Self {
        Self {
            database,
            observers,
            results: UnsavedResults::default(),
            due: HashSet::new(),
            newly_due: HashSet::new(),
            is_requested: true,
            covers_all: true,
            current: JoinSet::new(),
            forgotten: HashSet::new(),
            started_at: Instant::now(),
            started: 0,
            renewed_at: Instant::now(),
        }
    }

    /// Requests a poll now.
    pub fn request(&mut self) {
        self.is_requested = true;
    }

    /// Requests a poll of all accounts now.
    pub fn request_full(&mut self) {
        (self.is_requested, self.covers_all) = (true, true);
    }

    /// Requests a poll of these accounts now. Without accounts, does nothing.
    pub fn report_due(&mut self, accounts: impl IntoIterator<Item = i64>) {
        for account_id in accounts {
            self.newly_due.insert(account_id);
            self.is_requested = true;
        }
    }

    /// Adds a result to save.
    pub fn add_result(&mut self, result: FinishedAttempt) {
        self.results.push(result);
    }

    /// Drops the results of a deleted account, now and from the current poll.
    pub fn forget(&mut self, account_id: i64) {
        self.results.forget(account_id);
        if self.is_running() {
            self.forgotten.insert(account_id);
        }
    }

    /// Returns true while a poll runs.
    pub fn is_running(&self) -> bool {
        !self.current.is_empty()
    }

    /// Returns true if a poll should start: one is requested, or there are new results to save.
    pub fn should_start(&self) -> bool {
        !self.is_running() && (self.is_requested || self.results.has_new())
    }

    /// Returns true if the next poll should renew leases.
    pub fn should_renew(&self) -> bool {
        self.renewed_at.elapsed() >= RENEWAL
    }

    /// Returns the start of the last poll.
    pub fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Returns the number of polls started.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Returns the deliveries with an unsaved result. Results of the current poll are left out.
    pub fn unsaved(&self) -> impl Iterator<Item = DeliveryKey> {
        self.results.keys()
    }

    /// Returns true if an account may have due deliveries.
    pub fn is_any_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Starts a poll. It covers the accounts reported due, and the accounts of unsaved results.
    pub fn start(&mut self, claim: DeliveryClaim, leases: LeaseChanges) {
        self.started_at = Instant::now();
        self.started += 1;
        self.is_requested = false;
        self.due.extend(self.newly_due.drain());
        self.due.extend(self.results.keys().map(|key| key.account_id));
        let covers_all = std::mem::take(&mut self.covers_all);
        let accounts = self.due.iter().copied().collect();
        let work = PollWork { claim, accounts, covers_all, leases, results: self.results.take() };
        self.current.spawn(task::run(self.database.clone(), self.observers.clone(), self.started, work));
    }

    /// Waits for the current poll. Returns its result, to be applied; `None`: it panicked.
    pub async fn next(&mut self) -> Option<FinishedPoll> {
        match self.current.join_next().await {
            Some(Ok(finished)) => Some(self.apply(finished)),
            Some(Err(error)) => {
                tracing::error!(%error, "a poll for due events failed");
                None
            }
            None => std::future::pending().await,
        }
    }

    /// Keeps unsaved results. Drops everything of accounts deleted meanwhile.
    fn apply(&mut self, mut finished: FinishedPoll) -> FinishedPoll {
        let forgotten = std::mem::take(&mut self.forgotten);
        finished.unsaved.retain(|result| !forgotten.contains(&result.delivery.account_id));
        finished.claimed.retain(|delivery| !forgotten.contains(&delivery.account_id));
        self.results.put_back(std::mem::take(&mut finished.unsaved));
        if finished.was_renewed {
            self.renewed_at = Instant::now();
        }
        finished
    }

    /// Replaces the due times of the polled accounts.
    pub fn apply_due_times(&mut self, finished: &FinishedPoll, alarm: &Alarm) {
        let Some(due_times) = &finished.due_times else { return };
        self.due.retain(|account_id| !finished.covers(*account_id));
        for DueTimes { account_id, is_due, next } in due_times {
            if *is_due {
                self.due.insert(*account_id);
            }
            if let Some(next) = next {
                alarm.schedule(*account_id, *next);
            }
        }
    }

    /// Saves the unsaved results, but none of a poll still running. Releases the leases of this server.
    pub async fn close(mut self, server: Uuid, released: &[DeliveryKey]) {
        let results = self.results.take();
        if released.is_empty() && results.is_empty() {
            return;
        }
        if database::save_and_release(&self.database, server, &results, released).await.is_none() {
            tracing::warn!("the results of the last delivery attempts could not be saved");
        }
    }
}
