//! What every handler may use.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use time::OffsetDateTime;

use super::open_accounts::OpenAccounts;
use super::rate_limit::RateLimit;
use crate::accounts::caller::{Caller, Credentials};
use crate::accounts::ids::Ids;
use crate::accounts::watchers::Watchers;
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::concierge::outputs::{Complete, store};
use crate::concierge::rules::Rules;
use crate::database::Database;
use crate::database::batch::Batch;
use crate::events::address::AddressRules;
use crate::jsonapi::error::Errors;
use crate::lifecycle::catch_up;
use crate::metrics::Metrics;
use crate::webhooks::Orders;

/// What every handler may use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<AppState>);

/// The parts of an [`App`].
#[derive(Debug)]
pub struct AppState {
    pub database: Database,
    pub ids: Ids,
    pub clock: Clock,
    pub rules: Rules,
    pub alarm: Alarm,
    /// When the next event is to be sent.
    pub deliveries: Alarm,
    /// Whoever sends them.
    pub post: Orders,
    /// Who waits for something to happen.
    pub watchers: Watchers,
    /// Makes accounts of unknown keys, if the server does that.
    pub open_accounts: Option<OpenAccounts>,
    pub metrics: Metrics,
    pub rate_limit: RateLimit,
    /// Which addresses events may be sent to.
    pub address_rules: AddressRules,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    pub create_outputs: Batch<Credentials, store::Creation, store::Outcome>,
    pub find_outputs: Batch<Credentials, i64, (Caller, Option<Complete>)>,
}

impl App {
    /// Returns an application made of these parts.
    pub fn new(state: AppState) -> Self {
        Self(Arc::new(state))
    }

    /// Sees to it that what is due in the caller's account at an instant of its time happens then. Where that is now and its
    /// time stands still, it happens before this returns, so that the same calls have the same answers.
    pub async fn set_off(&self, caller: &Caller, due_at: Option<OffsetDateTime>) {
        let Some(comes) = due_at.and_then(|due_at| caller.time.comes(due_at)) else { return };
        if caller.time.frozen_at.is_some() {
            self.catch_up(caller.account_id).await;
        }
        self.alarm.set(caller.account_id, comes);
    }

    /// Does everything that is due in an account whose time stands still, before this returns.
    pub async fn catch_up(&self, account_id: i64) {
        let done = async {
            let mut connection = self.database.connection().await?;
            let caught_up = catch_up(&mut connection, account_id, self.clock.now(), &self.rules).await;
            connection.conclude(caught_up)
        };
        // what went wrong is logged, and the background's to do
        drop(done.await);
        self.deliveries.set(account_id, OffsetDateTime::UNIX_EPOCH);
    }

    /// Has whatever is due in an account by now happen and be told: its time has changed.
    pub fn wake(&self, account_id: i64) {
        self.alarm.set(account_id, OffsetDateTime::UNIX_EPOCH);
        self.deliveries.set(account_id, OffsetDateTime::UNIX_EPOCH);
    }

    /// Makes the account of a request's key where accounts are open and the key is unknown.
    ///
    /// # Errors
    /// 503 where the database is away.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<(), Errors> {
        match &self.open_accounts {
            Some(open) => open.ensure(&self.database, &self.clock, headers).await,
            None => Ok(()),
        }
    }

    /// Has whoever wants to know be told of what happened in the caller's account.
    pub fn tell(&self, caller: &Caller) {
        self.watchers.notify(caller.account_id);
        self.deliveries.set(caller.account_id, OffsetDateTime::UNIX_EPOCH);
    }
}

impl Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0
    }
}

/// Does something in a task of its own, so that it comes to its end though the client hangs up.
pub async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
