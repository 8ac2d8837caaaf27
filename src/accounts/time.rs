//! An account's time: the server's time plus the skipped time, or a frozen instant. Pure.

use sqlx::Row;
use sqlx::postgres::PgRow;
use time::{Duration, OffsetDateTime};

use crate::alarm::Arrival;
use crate::clock::Clock;

/// An account's time relative to the server's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountTime {
    /// Lead over the server's time.
    pub ahead: Duration,
    /// The instant at which it is frozen, if it is.
    pub frozen_at: Option<OffsetDateTime>,
}

impl AccountTime {
    /// Reads the columns `frozen_at` and `ahead`, at the indexes `at` and `at + 1`.
    ///
    /// # Errors
    /// If the row holds something else.
    pub fn read(row: &PgRow, at: usize) -> Result<Self, sqlx::Error> {
        Ok(Self { frozen_at: row.try_get(at)?, ahead: Duration::milliseconds(row.try_get(at + 1)?) })
    }

    /// Returns the account's time at an instant of the server's.
    pub fn at(&self, server: OffsetDateTime) -> OffsetDateTime {
        self.frozen_at.unwrap_or_else(|| server.checked_add(self.ahead).unwrap_or(server))
    }

    /// Returns the account's present time.
    pub fn now(&self, clock: &Clock) -> OffsetDateTime {
        self.at(clock.now())
    }

    /// Converts an instant of the account's time to the server's. `None`: the account is frozen.
    pub fn to_server_time(&self, instant: OffsetDateTime) -> Option<OffsetDateTime> {
        if self.frozen_at.is_some() { None } else { instant.checked_sub(self.ahead) }
    }

    /// Returns when work with this due time is due. `None`: never, because a frozen account reaches no later instant.
    pub fn arrival(&self, due_at: OffsetDateTime) -> Option<Arrival> {
        match self.frozen_at {
            Some(frozen_at) => (due_at <= frozen_at).then_some(Arrival::Now),
            None => self.to_server_time(due_at).map(Arrival::At),
        }
    }

    /// Returns whether time moves on command only, in leaps.
    pub fn advances_by_hand(&self, clock: &Clock) -> bool {
        self.frozen_at.is_some() || clock.is_moved_by_hand()
    }

    /// Returns the instant to record for work in the real world that was due at `due_at`. It is now; where time leaps,
    /// it is the due time, as after a real wait.
    pub fn recorded_at(&self, clock: &Clock, due_at: OffsetDateTime) -> OffsetDateTime {
        if self.advances_by_hand(clock) { due_at } else { self.now(clock) }
    }
}

/// SQL of the account's time at an instant of the server's, for the alias of a table with the account's columns.
#[macro_export]
macro_rules! account_time {
    ($t:literal, $server:literal) => {
        concat!("coalesce(", $t, ".frozen_at, ", $server, " + ", $t, ".ahead * interval '1 millisecond')")
    };
}
