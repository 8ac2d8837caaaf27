//! When the next of each kind is due in an account, and which of them happen first.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;

use crate::accounts::pace::Pace;
use crate::accounts::settings::OwnSettings;
use crate::accounts::time::AccountTime;
use crate::concierge::{money, outputs, requests, users};

/// A kind of thing that happens in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A new user is approved.
    Approval,
    /// An output's preliminary checks run.
    Check,
    /// A payment goes on.
    Payment,
    /// Money that came in is given to the requests that wait for it.
    Funding,
    /// A request moves on by itself.
    Request,
}

/// The order of what happens at the same instant: payees are approved before they are checked, money comes back
/// before it is given out, and is given out before it is too late.
pub const KINDS: [Kind; 5] = [Kind::Approval, Kind::Check, Kind::Payment, Kind::Funding, Kind::Request];

/// When the next of each kind is due in an account, in its time.
#[derive(Debug, Clone, Copy)]
pub struct Agenda {
    pub account_id: i64,
    pub time: AccountTime,
    pub pace: Pace,
    /// In the order of [`KINDS`].
    due: [Option<OffsetDateTime>; 5],
    /// When the next event is to be sent.
    pub delivery: Option<OffsetDateTime>,
}

impl Agenda {
    /// Reads those of these accounts, or of all; of accounts that have ended and of snapshots there is none. `pace` is the
    /// server's.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn read(
        connection: &mut PgConnection,
        accounts: Option<&[i64]>,
        pace: &Pace,
    ) -> Result<Vec<Self>, sqlx::Error> {
        let next = [
            users::store::NEXT_DUE,
            outputs::store::life::NEXT_CHECK,
            outputs::store::life::NEXT_PAYMENT,
            money::NEXT_DUE,
            requests::store::life::NEXT_DUE,
            crate::webhooks::store::NEXT_DUE,
        ];
        let next = next.map(|next| format!("({next})")).join(", ");
        let which = if accounts.is_some() { "a.id = any($1)" } else { "true" };
        let (own, lives) = (crate::own_settings!("a"), crate::account_lives!("a"));
        let sql = format!("select a.id, a.frozen_at, a.ahead, {own}, {next} from accounts a where {which} and {lives}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        if let Some(accounts) = accounts {
            query = query.bind(accounts);
        }
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(|row| Self::read_row(row, pace)).collect()
    }

    fn read_row(row: &PgRow, pace: &Pace) -> Result<Self, sqlx::Error> {
        const FIRST: usize = 4;
        let mut due = [None; 5];
        for (place, due) in due.iter_mut().enumerate() {
            *due = row.try_get(FIRST + place)?;
        }
        Ok(Self {
            account_id: row.try_get(0)?,
            time: AccountTime::read(row, 1)?,
            pace: OwnSettings::read(row, 3)?.pace(pace),
            due,
            delivery: row.try_get(FIRST + due.len())?,
        })
    }

    /// When the next of a kind is due.
    pub fn of(&self, kind: Kind) -> Option<OffsetDateTime> {
        self.due[kind as usize]
    }

    /// When anything is due.
    pub fn earliest(&self) -> Option<OffsetDateTime> {
        self.due.into_iter().flatten().min()
    }

    /// When anything is due, or an event is to be sent.
    pub fn next(&self) -> Option<OffsetDateTime> {
        self.earliest().into_iter().chain(self.delivery).min()
    }

    /// What happens first.
    pub fn first(&self) -> Option<Kind> {
        let earliest = self.earliest()?;
        KINDS.into_iter().find(|kind| self.of(*kind) == Some(earliest))
    }

    /// When something of another kind is due.
    pub fn earliest_other(&self, kind: Kind) -> Option<OffsetDateTime> {
        KINDS.into_iter().filter(|other| *other != kind).filter_map(|other| self.of(other)).min()
    }
}
