//! Notifies waiting clients of changes in an account.

use std::sync::Arc;

use tokio::sync::Notify;

use super::shared::Shared;

/// The watchers of all accounts. Cheap to clone; clones share their watchers.
#[derive(Debug, Clone, Default)]
pub struct Watchers(Arc<Shared<Notify>>);

impl Watchers {
    /// Returns the notification of changes in an account. It reports the changes known to this server.
    pub fn watch(&self, account_id: i64) -> Arc<Notify> {
        self.0.of(account_id)
    }

    /// Notifies the watchers of an account of a change.
    pub fn notify(&self, account_id: i64) {
        if let Some(watched) = self.0.held(account_id) {
            watched.notify_waiters();
        }
    }
}
