//! One shared value per account, dropped with its last user.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// One value for each account in use.
#[derive(Debug)]
pub struct Shared<T>(Mutex<HashMap<i64, Weak<T>>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> Shared<T> {
    /// Returns the value of an account, created if missing. It lives until its last holder drops it.
    pub fn of(&self, account_id: i64) -> Arc<T> {
        let mut all = self.0.lock();
        if let Some(shared) = all.get(&account_id).and_then(Weak::upgrade) {
            return shared;
        }
        all.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::default();
        all.insert(account_id, Arc::downgrade(&shared));
        shared
    }

    /// Returns the value of an account if anyone holds it.
    pub fn held(&self, account_id: i64) -> Option<Arc<T>> {
        self.0.lock().get(&account_id).and_then(Weak::upgrade)
    }
}
