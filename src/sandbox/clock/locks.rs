//! Locks on the clocks of accounts. Of the requests to this server, one at a time moves the clock of an account.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::CLOCK_MOVED;
use crate::accounts::shared::Shared;
use crate::jsonapi::error::{Error, Errors};

/// Time that a receiver may take to answer an event while requests wait for the lock. One of these requests may be the
/// receiver's own.
const PATIENCE: Duration = Duration::from_secs(1);

/// The clock locks of all accounts.
#[derive(Debug, Default)]
pub struct ClockLocks(Shared<Queue>);

/// The clock lock of one account.
#[derive(Debug, Default)]
struct Queue {
    first: Arc<Mutex<()>>,
    /// Time since which the holder waits for the answer to an event.
    delivering_since: parking_lot::Mutex<Option<Instant>>,
}

/// A held clock lock. Dropping it releases the lock.
#[derive(Debug)]
pub struct ClockLock {
    queue: Arc<Queue>,
    _first: OwnedMutexGuard<()>,
}

impl ClockLocks {
    /// Locks an account's clock.
    ///
    /// # Errors
    /// 409 if the holder has waited long for a handler's answer. That handler may have sent this request, and would
    /// wait for itself.
    pub async fn take(&self, account_id: i64) -> Result<ClockLock, Errors> {
        let queue = self.0.of(account_id);
        let mut first = pin!(Arc::clone(&queue.first).lock_owned());
        loop {
            if let Ok(first) = tokio::time::timeout(PATIENCE, &mut first).await {
                // a cancelled delivery left it set
                *queue.delivering_since.lock() = None;
                return Ok(ClockLock { queue, _first: first });
            }
            if queue.delivering_since.lock().is_some_and(|since| since.elapsed() >= PATIENCE) {
                let detail = "another request is moving the clock of this account and waits for a webhook's answer; a \
                    webhook handler must answer before it moves the clock";
                return Err(Error::new(CLOCK_MOVED, detail).into());
            }
        }
    }
}

impl ClockLock {
    /// Awaits the delivery of events, and marks the lock as waiting for their receivers.
    pub async fn tell<T>(&self, delivery: impl Future<Output = T>) -> T {
        *self.queue.delivering_since.lock() = Some(Instant::now());
        let delivered = delivery.await;
        *self.queue.delivering_since.lock() = None;
        delivered
    }
}
