//! The shared state of all handlers.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use time::OffsetDateTime;

use super::account_limits::AccountLimits;
use super::answers::AnswerMemory;
use super::cors::CrossOrigins;
use super::open_accounts::OpenAccounts;
use super::origin::OriginRules;
use super::rate_limit::RateLimit;
use super::stopping::Stopping;
use crate::accounts::caller::{Caller, Credentials};
use crate::accounts::ids::Ids;
use crate::accounts::watchers::Watchers;
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::concierge::impossible;
use crate::concierge::outputs::{OutputDetails, store};
use crate::concierge::rules::Rules;
use crate::database::batch::Batch;
use crate::database::{Database, Progress};
use crate::events::address::AddressRules;
use crate::jsonapi::error::Errors;
use crate::lifecycle::catch_up;
use crate::metrics::Metrics;
use crate::webhooks::DispatcherHandle;

/// The shared state of all handlers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<AppState>);

/// The parts of an [`App`].
#[derive(Debug)]
pub struct AppState {
    pub database: Database,
    pub ids: Ids,
    pub clock: Clock,
    pub rules: Rules,
    pub origins: OriginRules,
    /// Origins of pages that may call the API from a browser, if any.
    pub cross_origins: Option<CrossOrigins>,
    pub alarm: Alarm,
    /// Wakes the dispatcher when an event is due.
    pub deliveries: Alarm,
    /// Handle of the dispatcher, which delivers events.
    pub dispatcher: DispatcherHandle,
    /// Clients that wait for a change in an account.
    pub watchers: Watchers,
    pub account_limits: AccountLimits,
    /// Makes accounts of unknown keys, if the server does that.
    pub open_accounts: Option<OpenAccounts>,
    pub metrics: Metrics,
    pub rate_limit: RateLimit,
    /// Memory of the large answers under way.
    pub answers: AnswerMemory,
    /// Rules for the addresses of webhook URLs.
    pub address_rules: AddressRules,
    /// Time limit for a body to arrive.
    pub body_timeout: Duration,
    /// Ends what only waits, when the server stops.
    pub stopping: Stopping,
    pub create_outputs: Batch<Credentials, store::Creation, store::CreationResult>,
    pub find_outputs: Batch<Credentials, store::Search, (Caller, Option<OutputDetails>)>,
}

impl App {
    /// Returns an application made of these parts.
    pub fn new(state: AppState) -> Self {
        Self(Arc::new(state))
    }

    /// Schedules the work due at `due_at` in the caller's account. If its clock is frozen and the work is due now, runs
    /// it before returning, so that replays are deterministic.
    pub async fn schedule(&self, caller: &Caller, due_at: Option<OffsetDateTime>) {
        let Some(arrival) = due_at.and_then(|due_at| caller.time.arrival(due_at)) else { return };
        if caller.time.frozen_at.is_some() {
            self.catch_up(caller.account_id).await;
        }
        self.alarm.schedule(caller.account_id, arrival);
    }

    /// Runs everything due in an account with a frozen clock, before returning.
    pub async fn catch_up(&self, account_id: i64) {
        let done = self.database.run(async |connection| {
            let now = self.clock.now();
            let caught_up = catch_up(connection, account_id, now, &self.rules).await;
            caught_up.inspect_err(|error| impossible::count(error, &self.metrics))
        });
        // a failure is logged, and the background task tries again
        drop(done.await);
        self.deliveries.wake(account_id);
    }

    /// Schedules everything due by now in an account, deliveries included, after a change of its time.
    pub fn wake(&self, account_id: i64) {
        self.alarm.wake(account_id);
        self.deliveries.wake(account_id);
    }

    /// Creates the account of a request's key where accounts are open and the key is unknown.
    ///
    /// # Errors
    /// 503 if the database is unavailable.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<(), Errors> {
        match &self.open_accounts {
            Some(open) => open.ensure(&self.database, &self.clock, &self.account_limits, headers).await,
            None => Ok(()),
        }
    }

    /// Wakes waiting clients and the webhook dispatcher for the caller's account.
    pub fn notify(&self, caller: &Caller) {
        self.watchers.notify(caller.account_id);
        self.deliveries.wake(caller.account_id);
    }
}

impl Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0
    }
}

/// Runs work in a separate task, so that it completes even if the client hangs up.
pub async fn run_to_completion<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(Progress::current().scope(work)).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
