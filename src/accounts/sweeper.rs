//! The background task that clears away what accounts leave that were reset or deleted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::store;
use crate::database::Database;

/// How often to look for what other servers left.
const PATROL: Duration = Duration::from_mins(1);
/// How long after its end an account is cleared: what was under way then finds what it needs, and has ended by then.
const GRACE: Duration = Duration::from_secs(2);

/// Wakes the sweeper. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sweeper(Arc<Notify>);

impl Sweeper {
    /// Says that an account has ended.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Clears accounts that have ended, until told to stop.
    pub async fn run(self, database: Database, mut stop: watch::Receiver<bool>) {
        let sweeping = async {
            loop {
                let ended = ended(&database).await.unwrap_or_default();
                if ended.is_empty() {
                    tokio::select! {
                        () = self.0.notified() => {}
                        () = tokio::time::sleep(PATROL) => {}
                    }
                    continue;
                }
                tokio::time::sleep(GRACE).await;
                for account_id in ended {
                    // one that couldn't be cleared is there the next time
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

/// The accounts that have ended; `None` where the database is away.
async fn ended(database: &Database) -> Option<Vec<i64>> {
    let mut connection = database.connection().await.ok()?;
    let ended = store::ended(&mut connection).await;
    connection.conclude(ended).ok()
}

async fn clear(database: &Database, account_id: i64) -> Option<()> {
    let mut connection = database.connection().await.ok()?;
    let cleared = store::clear(&mut connection, account_id).await;
    connection.conclude(cleared).ok()
}
