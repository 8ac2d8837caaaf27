//! Wakes the lifecycle when something is due earlier than it thought.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::clock::Clock;

/// Set by whoever writes a due time, waited for by the lifecycle. Cheap to clone; clones are the same alarm.
#[derive(Debug, Clone)]
pub struct Alarm(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The earliest due time known, in milliseconds since 1970; `i64::MAX` for none.
    earliest: AtomicI64,
    earlier: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self(Arc::new(Inner { earliest: AtomicI64::new(i64::MAX), earlier: Notify::new() }))
    }
}

impl Alarm {
    /// Says that something will be due at `due_at`.
    pub fn set(&self, due_at: OffsetDateTime) {
        let due_at = milliseconds(due_at);
        if self.0.earliest.fetch_min(due_at, Ordering::AcqRel) > due_at {
            self.0.earlier.notify_one();
        }
    }

    /// Waits until `planned`, or until an earlier due time that is set meanwhile or was set since the last wait.
    pub async fn wait(&self, clock: &Clock, planned: Option<OffsetDateTime>) {
        if let Some(planned) = planned {
            self.set(planned);
        }
        loop {
            let earlier = self.0.earlier.notified();
            let earliest = self.0.earliest.load(Ordering::Acquire);
            let due = async {
                match OffsetDateTime::from_unix_timestamp_nanos(i128::from(earliest) * 1_000_000) {
                    Ok(instant) => clock.sleep_until(instant).await,
                    Err(_) => std::future::pending().await, // none is known
                }
            };
            tokio::select! {
                () = due => {
                    self.0.earliest.store(i64::MAX, Ordering::Release);
                    return;
                }
                () = earlier => {}
            }
        }
    }
}

fn milliseconds(instant: OffsetDateTime) -> i64 {
    i64::try_from(instant.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
