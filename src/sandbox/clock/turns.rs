//! Whose turn it is to move an account's clock, of the requests that this server answers.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::accounts::shared::Shared;

/// The turns of all accounts.
#[derive(Debug, Default)]
pub struct Turns(Shared<Mutex<()>>);

impl Turns {
    /// The turn of an account, which is to be waited for.
    pub fn turn(&self, account_id: i64) -> Arc<Mutex<()>> {
        self.0.of(account_id)
    }
}
