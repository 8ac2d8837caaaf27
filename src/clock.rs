//! The only reader of the machine's clock. The emulated system takes all its time from here, as a parameter.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::watch;

/// A source of the present instant. Cheap to clone; clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock(TimeSource);

#[derive(Debug, Clone)]
enum TimeSource {
    Machine,
    Manual(Arc<watch::Sender<OffsetDateTime>>),
}

impl Clock {
    /// Returns a clock that shows the machine's time.
    pub fn machine() -> Self {
        Self(TimeSource::Machine)
    }

    /// Returns a clock that stands still until it is advanced.
    pub fn manual(start: OffsetDateTime) -> Self {
        Self(TimeSource::Manual(Arc::new(watch::Sender::new(start))))
    }

    /// Returns the present instant in whole milliseconds, like every displayed time.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now(&self) -> OffsetDateTime {
        let now = match &self.0 {
            TimeSource::Machine => OffsetDateTime::now_utc(),
            TimeSource::Manual(time) => *time.borrow(),
        };
        now.truncate_to_millisecond()
    }

    /// Advances a manual clock and returns its new time. It has no effect on the machine's clock.
    pub fn advance(&self, by: Duration) -> OffsetDateTime {
        if let TimeSource::Manual(time) = &self.0 {
            time.send_modify(|time| *time += by);
        }
        self.now()
    }

    /// Waits until a manual clock has moved since the last look at `seen`. Never returns for the machine's clock.
    pub async fn moved(seen: &mut Option<watch::Receiver<OffsetDateTime>>) {
        if let Some(seen) = seen
            && seen.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Returns whether time moves on command only, in leaps.
    pub fn is_moved_by_hand(&self) -> bool {
        matches!(self.0, TimeSource::Manual(_))
    }

    /// Returns the argument of [`Clock::moved`].
    pub fn moves(&self) -> Option<watch::Receiver<OffsetDateTime>> {
        match &self.0 {
            TimeSource::Machine => None,
            TimeSource::Manual(time) => Some(time.subscribe()),
        }
    }

    /// Waits until the clock shows `instant` or later.
    pub async fn sleep_until(&self, instant: OffsetDateTime) {
        match &self.0 {
            TimeSource::Machine => {
                let left = instant - self.now();
                // `now` drops a part of a millisecond, so this is never early
                tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
            }
            TimeSource::Manual(time) => {
                // the sender lives in `self`, so the wait can't fail
                let _ = time.subscribe().wait_for(|time| *time >= instant).await;
            }
        }
    }
}
