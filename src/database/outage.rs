//! Outages of the database in the log: at most one line a second, and one at the end.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::is_full;

/// Minimum time between two lines.
pub const PAUSE: Duration = Duration::from_secs(1);

/// Time for which a disk counts as full after a write found it so, in the log.
const FULL: Duration = Duration::from_secs(5);

/// The present outage, if any.
#[derive(Debug, Default)]
pub struct Outage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Begin of the outage.
    since: Option<Instant>,
    logged: Option<Instant>,
    /// Time of the last write with a full disk, unless a check found room since.
    found_full: Option<Instant>,
}

impl Outage {
    /// Logs a failure of the database, at most once a second.
    pub fn note(&self, error: &sqlx::Error) {
        let now = Instant::now();
        let mut state = self.0.lock();
        if is_full(error) {
            state.found_full = Some(now);
        }
        state.since.get_or_insert(now);
        if state.logged.is_none_or(|logged| now - logged >= PAUSE) {
            state.logged = Some(now);
            drop(state);
            tracing::warn!(%error, "the database is unavailable; work for it waits");
        }
    }

    /// Ends the outage, if any, after a success.
    pub fn end(&self) {
        let mut state = self.0.lock();
        // reads succeed on a full disk
        if state.found_full.is_some_and(|found| found.elapsed() < FULL) {
            return;
        }
        let Some(since) = state.since.take() else { return };
        drop(state);
        tracing::info!(outage = ?since.elapsed(), "the database is back");
    }

    /// Returns whether a write found the disk full, and no [check](Self::has_room) found room since.
    pub fn is_full(&self) -> bool {
        self.0.lock().found_full.is_some()
    }

    /// Notes that a write found room again.
    pub fn has_room(&self) {
        self.0.lock().found_full = None;
        self.end();
    }
}
