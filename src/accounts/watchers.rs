//! Who waits for something to happen in an account, and is to look again when something did.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The watchers of all accounts. Cheap to clone; clones are the same watchers.
#[derive(Debug, Clone, Default)]
pub struct Watchers(Arc<Mutex<HashMap<i64, Weak<Notify>>>>);

impl Watchers {
    /// What is notified whenever something happened in an account that this server knows of.
    pub fn watch(&self, account_id: i64) -> Arc<Notify> {
        let mut watched = self.0.lock();
        if let Some(notify) = watched.get(&account_id).and_then(Weak::upgrade) {
            return notify;
        }
        watched.retain(|_, notify| notify.strong_count() > 0);
        let notify = Arc::default();
        watched.insert(account_id, Arc::downgrade(&notify));
        notify
    }

    /// Says that something happened in an account.
    pub fn notify(&self, account_id: i64) {
        let watched = self.0.lock().get(&account_id).and_then(Weak::upgrade);
        if let Some(notify) = watched {
            notify.notify_waiters();
        }
    }
}
