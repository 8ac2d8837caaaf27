//! An account's own settings, which override the server's.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::timing::Timing;

/// An account's own settings. `None` stands for the server's setting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountSettings {
    pub check_delay: Option<Duration>,
    pub approval_delay: Option<Duration>,
    pub quote_delay: Option<Duration>,
    pub step_delay: Option<Duration>,
    /// Automatic approval of new users, after a delay.
    pub approves: Option<bool>,
    /// True if automatic transitions are off.
    pub is_manual: bool,
}

/// Choice between timers and calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Auto,
    Manual,
}

impl Mode {
    /// Returns `Auto` if timers act.
    pub const fn of(is_auto: bool) -> Self {
        if is_auto { Self::Auto } else { Self::Manual }
    }
}

/// SQL of an account's own settings, for the alias of its table: an array, so that they are one column everywhere.
#[macro_export]
macro_rules! account_settings {
    ($t:literal) => {
        concat!(
            "array[",
            $t,
            ".check_delay, ",
            $t,
            ".approval_delay, ",
            $t,
            ".quote_delay, ",
            $t,
            ".step_delay, case ",
            $t,
            ".approval when 'auto' then 1 when 'manual' then 0 end, case ",
            $t,
            ".progression when 'manual' then 1 else 0 end]"
        )
    };
}

/// SQL of the due time of a new output's checks, for the alias of a caller, the server's time and its delay. Null while
/// automatic transitions are off.
#[macro_export]
macro_rules! check_due_at {
    ($t:literal, $server:literal, $delay:literal) => {
        concat!(
            "case ",
            $t,
            ".own[6] when 0 then ",
            $crate::account_time!($t, $server),
            " + coalesce(",
            $t,
            ".own[1], ",
            $delay,
            ") * interval '1 millisecond' end"
        )
    };
}

/// SQL of the due time of a new user's approval, like [`check_due_at!`](crate::check_due_at). Null also unless the
/// account's policy, or else the server's, is 1.
#[macro_export]
macro_rules! approval_due_at {
    ($t:literal, $server:literal, $delay:literal, $policy:literal) => {
        concat!(
            "case when ",
            $t,
            ".own[6] = 0 and coalesce(",
            $t,
            ".own[5], ",
            $policy,
            ") = 1 then ",
            $crate::account_time!($t, $server),
            " + coalesce(",
            $t,
            ".own[2], ",
            $delay,
            ") * interval '1 millisecond' end"
        )
    };
}

/// Returns a delay in milliseconds, as stored.
pub fn milliseconds(delay: Duration) -> i64 {
    i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)
}

impl AccountSettings {
    /// Reads the column made by [`own_settings!`](crate::account_settings).
    ///
    /// # Errors
    /// If the row holds something else.
    pub fn read(row: &PgRow, at: usize) -> Result<Self, sqlx::Error> {
        let own: Vec<Option<i64>> = row.try_get(at)?;
        let place = |place: usize| own.get(place).copied().flatten();
        let delay = |at: usize| place(at).and_then(|delay| u64::try_from(delay).ok()).map(Duration::from_millis);
        Ok(Self {
            check_delay: delay(0),
            approval_delay: delay(1),
            quote_delay: delay(2),
            step_delay: delay(3),
            approves: place(4).map(|approves| approves == 1),
            is_manual: place(5) == Some(1),
        })
    }

    /// Returns the account's timing: its own settings, or else the server's.
    pub fn timing(&self, server: &Timing) -> Timing {
        Timing {
            check_delay: self.check_delay.unwrap_or(server.check_delay),
            approves: self.approves.unwrap_or(server.approves),
            approval_delay: self.approval_delay.unwrap_or(server.approval_delay),
            quote_delay: self.quote_delay.unwrap_or(server.quote_delay),
            step_delay: self.step_delay.unwrap_or(server.step_delay),
            is_manual: self.is_manual,
        }
    }
}
