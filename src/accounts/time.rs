//! An account's time: the server's, as much ahead of it as was skipped, or standing still. Pure.

use sqlx::Row;
use sqlx::postgres::PgRow;
use time::{Duration, OffsetDateTime};

use crate::clock::Clock;

/// How an account's time runs beside the server's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountTime {
    /// By how much it is ahead.
    pub ahead: Duration,
    /// Where it stands still.
    pub frozen_at: Option<OffsetDateTime>,
}

impl AccountTime {
    /// Reads the columns `frozen_at` and `ahead`, which begin at `at`.
    ///
    /// # Errors
    /// Where the row holds something else.
    pub fn read(row: &PgRow, at: usize) -> Result<Self, sqlx::Error> {
        Ok(Self { frozen_at: row.try_get(at)?, ahead: Duration::milliseconds(row.try_get(at + 1)?) })
    }

    /// The account's time at an instant of the server's.
    pub fn at(&self, server: OffsetDateTime) -> OffsetDateTime {
        self.frozen_at.unwrap_or_else(|| server.checked_add(self.ahead).unwrap_or(server))
    }

    /// The account's time.
    pub fn now(&self, clock: &Clock) -> OffsetDateTime {
        self.at(clock.now())
    }

    /// When an instant of the account's comes, in the server's time: not, while the account's time stands still before it.
    pub fn comes(&self, instant: OffsetDateTime) -> Option<OffsetDateTime> {
        match self.frozen_at {
            Some(frozen_at) => (instant <= frozen_at).then_some(OffsetDateTime::UNIX_EPOCH),
            None => instant.checked_sub(self.ahead),
        }
    }

    /// Whether time passes only when somebody moves it on, in leaps.
    pub fn leaps(&self, clock: &Clock) -> bool {
        self.frozen_at.is_some() || clock.is_moved_by_hand()
    }

    /// The instant at which something happens that was due at `due_at`, and for which the real world is needed: now; but
    /// where time leaps, at its due time, as if that had been waited for.
    pub fn happens_at(&self, clock: &Clock, due_at: OffsetDateTime) -> OffsetDateTime {
        if self.leaps(clock) { due_at } else { self.now(clock) }
    }
}

/// The SQL of the account's time, of the alias of a table that has its columns, at an instant of the server's.
#[macro_export]
macro_rules! account_time {
    ($t:literal, $server:literal) => {
        concat!("coalesce(", $t, ".frozen_at, ", $server, " + ", $t, ".ahead * interval '1 millisecond')")
    };
}
