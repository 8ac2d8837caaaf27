//! Whose turn it is to move an account's clock, of the requests that this server answers.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::CLOCK_MOVED;
use crate::accounts::shared::Shared;
use crate::jsonapi::error::{Error, Errors};

/// How long whoever is told of an event may take to answer while others wait for their turn: it may be who waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// The turns of all accounts.
#[derive(Debug, Default)]
pub struct Turns(Shared<Queue>);

/// Those of an account.
#[derive(Debug, Default)]
struct Queue {
    first: Arc<Mutex<()>>,
    /// Since when whoever's turn it is waits for an answer to an event.
    telling_since: parking_lot::Mutex<Option<Instant>>,
}

/// Somebody's turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    queue: Arc<Queue>,
    _first: OwnedMutexGuard<()>,
}

impl Turns {
    /// Waits for the turn to move an account's clock.
    ///
    /// # Errors
    /// 409 where whoever's turn it is waits long for a handler's answer: the handler may be who asks for the turn, and would
    /// wait for itself.
    pub async fn take(&self, account_id: i64) -> Result<Turn, Errors> {
        let queue = self.0.of(account_id);
        let mut first = pin!(Arc::clone(&queue.first).lock_owned());
        loop {
            if let Ok(first) = tokio::time::timeout(PATIENCE, &mut first).await {
                // of one that was cut short
                *queue.telling_since.lock() = None;
                return Ok(Turn { queue, _first: first });
            }
            if queue.telling_since.lock().is_some_and(|since| since.elapsed() >= PATIENCE) {
                let detail = "another request is moving the clock of this account, and waits for the answer to an event \
                    that it sent; a handler can move the clock once it has answered";
                return Err(Error::new(CLOCK_MOVED, detail).into());
            }
        }
    }
}

impl Turn {
    /// Waits for what depends on the answers to events.
    pub async fn tell<T>(&self, told: impl Future<Output = T>) -> T {
        *self.queue.telling_since.lock() = Some(Instant::now());
        let told = told.await;
        *self.queue.telling_since.lock() = None;
        told
    }
}
