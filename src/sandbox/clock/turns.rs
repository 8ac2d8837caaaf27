//! Whose turn it is to move an account's clock, of the requests that this server answers.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// The turns of all accounts.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<i64, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// The turn of an account, which is to be waited for.
    pub fn turn(&self, account_id: i64) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock();
        if let Some(turn) = turns.get(&account_id).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(account_id, Arc::downgrade(&turn));
        turn
    }
}
