//! Something that all who deal with an account at once share, and that goes when nobody does any more.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// One of it for each account that somebody deals with.
#[derive(Debug)]
pub struct Shared<T>(Mutex<HashMap<i64, Weak<T>>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> Shared<T> {
    /// That of an account, which is there from now on until nobody holds it any more.
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

    /// That of an account, if somebody holds it.
    pub fn held(&self, account_id: i64) -> Option<Arc<T>> {
        self.0.lock().get(&account_id).and_then(Weak::upgrade)
    }
}
