//! What an account has of its own of the server's settings.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::pace::Pace;

/// An account's own settings; `None`: as the server says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnSettings {
    pub check_delay: Option<Duration>,
    pub approval_delay: Option<Duration>,
    pub quote_delay: Option<Duration>,
    pub step_delay: Option<Duration>,
    /// Whether new users are approved by time.
    pub approves: Option<bool>,
    /// Nothing happens by itself.
    pub is_manual: bool,
}

/// The SQL of an account's own settings, of the alias of its table: an array, so that they are one column everywhere.
#[macro_export]
macro_rules! own_settings {
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

/// The SQL of when the checks of an output that is made now are due, of the alias of a caller, the server's time and its
/// delay.
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

/// The same of the approval of a user, which there is where the account's own policy, or else the server's, is 1.
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

/// A delay as the store keeps it.
pub fn milliseconds(delay: Duration) -> i64 {
    i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)
}

impl OwnSettings {
    /// Reads the column that [`own_settings!`](crate::own_settings) makes.
    ///
    /// # Errors
    /// Where the row holds something else.
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

    /// How long things take in the account.
    pub fn pace(&self, server: &Pace) -> Pace {
        Pace {
            check_delay: self.check_delay.unwrap_or(server.check_delay),
            approves: self.approves.unwrap_or(server.approves),
            approval_delay: self.approval_delay.unwrap_or(server.approval_delay),
            quote_delay: self.quote_delay.unwrap_or(server.quote_delay),
            step_delay: self.step_delay.unwrap_or(server.step_delay),
            is_manual: self.is_manual,
        }
    }
}
