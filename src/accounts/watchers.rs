//! Who waits for something to happen in an account, and is to look again when something did.

use std::sync::Arc;

use tokio::sync::Notify;

use super::shared::Shared;

/// The watchers of all accounts. Cheap to clone; clones are the same watchers.
#[derive(Debug, Clone, Default)]
pub struct Watchers(Arc<Shared<Notify>>);

impl Watchers {
    /// What is notified whenever something happened in an account that this server knows of.
    pub fn watch(&self, account_id: i64) -> Arc<Notify> {
        self.0.of(account_id)
    }

    /// Says that something happened in an account.
    pub fn notify(&self, account_id: i64) {
        if let Some(watched) = self.0.held(account_id) {
            watched.notify_waiters();
        }
    }
}
