//! The background task that clears away what accounts leave that were reset or deleted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::accounts::store;
use crate::database::Database;

/// How often to look for what other servers left.
const PATROL: Duration = Duration::from_mins(1);

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
        loop {
            let swept = tokio::select! {
                swept = sweep(&database) => swept,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            // what couldn't be cleared is tried again later
            if swept.unwrap_or_default() {
                continue;
            }
            tokio::select! {
                () = self.0.notified() => {}
                () = tokio::time::sleep(PATROL) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}

/// Clears an account that has ended, if there is one.
async fn sweep(database: &Database) -> Option<bool> {
    let mut connection = database.connection().await.ok()?;
    let done = async {
        let Some(id) = store::next_ended(&mut connection).await? else { return Ok(false) };
        store::clear(&mut connection, id).await?;
        Ok::<_, sqlx::Error>(true)
    }
    .await;
    connection.conclude(done).ok()
}
