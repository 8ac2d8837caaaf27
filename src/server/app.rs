//! What every handler may use.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::rate_limit::RateLimit;
use crate::accounts::caller::{Caller, Credentials};
use crate::accounts::ids::Ids;
use crate::accounts::sweeper::Sweeper;
use crate::accounts::watchers::Watchers;
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::concierge::outputs::{Complete, store};
use crate::concierge::rules::Rules;
use crate::database::Database;
use crate::database::batch::Batch;
use crate::events::address::AddressRules;
use crate::lifecycle::catch_up;
use crate::metrics::Metrics;
use crate::sandbox::accounts::open::KnownKeys;
use crate::sandbox::clock::turns::Turns;
use crate::sandbox::exchanges::log::Log;
use crate::sandbox::faults::directory::Directory;
use crate::webhooks::Orders;

/// What every handler may use. Cheap to clone.
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
    /// When the next event is to be sent.
    pub deliveries: Alarm,
    /// Whoever sends them.
    pub post: Orders,
    /// Who waits for something to happen.
    pub watchers: Watchers,
    /// Whose turn it is to move a clock.
    pub walks: Turns,
    /// Clears what accounts leave.
    pub sweeper: Sweeper,
    /// Whether unknown keys are accounts of their own, and those that were found of late.
    pub is_open: bool,
    pub known_keys: KnownKeys,
    /// The SHA-256 of what the whole server is administered with.
    pub admin_token: Option<[u8; 32]>,
    pub metrics: Metrics,
    pub rate_limit: RateLimit,
    /// Whose keys are, and what is to go wrong for them.
    pub directory: Directory,
    /// What clients of this server did of late.
    pub log: Log,
    /// Which addresses events may be sent to.
    pub address_rules: AddressRules,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    pub create_outputs: Batch<Credentials, store::Creation, store::Outcome>,
    pub find_outputs: Batch<Credentials, i64, (Caller, Option<Complete>)>,
}

impl App {
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

    /// Forgets all that this server keeps in memory of an account that has ended. Nothing more of it is sent.
    pub async fn forget(&self, account_id: i64) {
        self.ids.forget(account_id);
        self.directory.forget(account_id);
        self.log.forget(account_id);
        self.post.forget(account_id).await;
    }

    /// Has whoever wants to know be told of what happened in the caller's account.
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
