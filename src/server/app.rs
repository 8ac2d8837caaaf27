//! The shared state of all handlers.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::rate_limit::RateLimit;
use crate::accounts::caller::Caller;
use crate::accounts::ids::Ids;
use crate::accounts::watchers::Watchers;
use crate::clock::Clock;
use crate::concierge::outputs::{Complete, store};
use crate::database::Database;
use crate::database::batch::Batch;
use crate::events::address::AddressRules;
use crate::events::delivery::Orders;
use crate::lifecycle::{Alarm, Rules, catch_up};
use crate::metrics::Metrics;
use crate::sandbox::accounts::open::KnownKeys;
use crate::sandbox::accounts::sweep::Sweeper;
use crate::sandbox::clock::turns::Turns;
use crate::sandbox::exchanges::log::Log;
use crate::sandbox::faults::directory::Directory;

/// The shared state of all handlers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(pub(super) Arc<Rooms>);

/// The parts of an [`App`].
#[derive(Debug)]
pub struct Rooms {
    pub database: Database,
    pub ids: Ids,
    pub clock: Clock,
    pub rules: Rules,
    pub alarm: Alarm,
    /// Wakes the dispatcher when an event is due.
    pub deliveries: Alarm,
    /// Handle of the dispatcher, which delivers events.
    pub post: Orders,
    /// Clients that wait for a change in an account.
    pub watchers: Watchers,
    /// Locks that let one request at a time move a clock.
    pub walks: Turns,
    /// Clears ended accounts.
    pub sweeper: Sweeper,
    /// True if an unknown key creates its account.
    pub is_open: bool,
    /// Keys with an account, as seen lately.
    pub known_keys: KnownKeys,
    /// SHA-256 of the token for server-wide administration.
    pub admin_token: Option<[u8; 32]>,
    pub metrics: Metrics,
    pub rate_limit: RateLimit,
    /// The account of each key, and the faults for it.
    pub directory: Directory,
    /// The latest requests to this server.
    pub log: Log,
    /// Rules for the addresses of webhook URLs.
    pub address_rules: AddressRules,
    /// Time limit for a body to arrive.
    pub body_timeout: Duration,
    pub create_outputs: Batch<store::Creation, store::Outcome>,
    pub find_outputs: Batch<i64, (Caller, Option<Complete>)>,
}

impl App {
    /// Schedules the work due at `due_at` in the caller's account. If its clock is frozen and the work is due now, runs
    /// it before returning, so that replays are deterministic.
    pub async fn set_off(&self, caller: &Caller, due_at: Option<OffsetDateTime>) {
        let Some(comes) = due_at.and_then(|due_at| caller.time.comes(due_at)) else { return };
        if caller.time.frozen_at.is_some() {
            self.catch_up(caller.account_id).await;
        }
        self.alarm.set(caller.account_id, comes);
    }

    /// Runs everything due in an account with a frozen clock, before returning.
    pub async fn catch_up(&self, account_id: i64) {
        let done = async {
            let mut connection = self.database.connection().await?;
            let caught_up = catch_up(&mut connection, account_id, self.clock.now(), &self.rules).await;
            connection.conclude(caught_up)
        };
        // a failure is logged, and the background task tries again
        drop(done.await);
        self.deliveries.set(account_id, OffsetDateTime::UNIX_EPOCH);
    }

    /// Schedules everything due by now in an account, deliveries included, after a change of its time.
    pub fn wake(&self, account_id: i64) {
        self.alarm.set(account_id, OffsetDateTime::UNIX_EPOCH);
        self.deliveries.set(account_id, OffsetDateTime::UNIX_EPOCH);
    }

    /// Removes an ended account from this server's memory. None of its events are sent after this returns.
    pub async fn forget(&self, account_id: i64) {
        self.ids.forget(account_id);
        self.directory.forget(account_id);
        self.log.forget(account_id);
        self.post.forget(account_id).await;
    }

    /// Wakes waiting clients and the webhook dispatcher for the caller's account.
    pub fn tell(&self, caller: &Caller) {
        self.watchers.notify(caller.account_id);
        self.deliveries.set(caller.account_id, OffsetDateTime::UNIX_EPOCH);
    }
}

impl Deref for App {
    type Target = Rooms;

    fn deref(&self) -> &Rooms {
        &self.0
    }
}
