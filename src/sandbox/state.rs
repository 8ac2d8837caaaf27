//! The state of the control plane's handlers: the application, and everything that only `/_sandbox` needs.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;

use super::clock::locks::ClockLocks;
use super::faults::cache::FaultCache;
use super::request_log::log::{LIMITS, RequestLog};
use crate::accounts::sweeper::Sweeper;
use crate::web::app::App;

/// The state of the control plane's handlers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ControlPlane(Arc<Parts>);

/// The parts of a [`ControlPlane`].
#[derive(Debug)]
pub struct Parts {
    pub app: App,
    /// Serializes the requests that move an account's clock.
    pub clock_locks: ClockLocks,
    /// Deletes the rows of accounts that have ended.
    pub sweeper: Sweeper,
    /// The account and the faults of each key.
    pub fault_cache: FaultCache,
    /// The requests to `/api` that this server answered.
    pub request_log: RequestLog,
    /// The SHA-256 of the server's admin token.
    pub admin_token: Option<[u8; 32]>,
}

impl ControlPlane {
    /// Returns the control plane of an application.
    pub fn new(app: App, admin_token: Option<[u8; 32]>) -> Self {
        Self(Arc::new(Parts {
            clock_locks: ClockLocks::default(),
            sweeper: Sweeper::default(),
            fault_cache: FaultCache::new(app.database.clone()),
            request_log: RequestLog::new(LIMITS),
            admin_token,
            app,
        }))
    }

    /// Forgets an account that has ended, wherever this server keeps it in memory. None of its events is sent any more.
    pub async fn forget(&self, account_id: i64) {
        self.app.ids.forget(account_id);
        self.fault_cache.forget(account_id);
        self.request_log.forget(account_id);
        self.app.dispatcher.forget(account_id).await;
    }
}

impl Deref for ControlPlane {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl FromRef<ControlPlane> for App {
    fn from_ref(plane: &ControlPlane) -> Self {
        plane.app.clone()
    }
}
