//! The background task that deletes the data of reset and deleted accounts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::store;
use crate::database::Database;

/// Time between polls for accounts that other servers ended.
const POLL_INTERVAL: Duration = Duration::from_mins(1);
/// Time between an account's end and the deletion of its data. Requests in flight still find their data and complete.
const GRACE: Duration = Duration::from_secs(2);

/// Wakes the sweeper. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sweeper(Arc<Notify>);

impl Sweeper {
    /// Wakes the sweeper after the end of an account.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Clears ended accounts until `stop` is set.
    pub async fn run(self, database: Database, mut stop: watch::Receiver<bool>) {
        let sweeping = async {
            loop {
                let ended = ended(&database).await.unwrap_or_default();
                if ended.is_empty() {
                    tokio::select! {
                        () = self.0.notified() => {}
                        () = tokio::time::sleep(POLL_INTERVAL) => {}
                    }
                    continue;
                }
                tokio::time::sleep(GRACE).await;
                for account_id in ended {
                    // the next poll finds an account that could not be cleared
                    clear(&database, account_id).await;
                }
            }
        };
        tokio::select! {
            () = sweeping => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// Returns the ended accounts, or `None` while the database is unavailable.
async fn ended(database: &Database) -> Option<Vec<i64>> {
    database.run(async |connection| store::ended(connection).await).await.ok()
}

async fn clear(database: &Database, account_id: i64) -> Option<()> {
    database.run(async |connection| store::clear(connection, account_id).await).await.ok()
}
