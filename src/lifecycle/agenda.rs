//! The next due time of each kind of work in an account, and their order.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;

use crate::accounts::pace::Pace;
use crate::accounts::settings::OwnSettings;
use crate::accounts::time::AccountTime;
use crate::concierge::{money, outputs, requests, users};

/// A kind of timed work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Approval of a new user.
    Approval,
    /// Preliminary checks of an output.
    Check,
    /// Next step of a payment.
    Payment,
    /// Payment of waiting requests from a wallet with new money.
    Funding,
    /// Timed transition of a request.
    Request,
}

/// All kinds, in their order at the same instant.
/// Payees are approved before checks. Refunds come before funding, and funding before deadlines.
pub const KINDS: [Kind; 5] = [Kind::Approval, Kind::Check, Kind::Payment, Kind::Funding, Kind::Request];

/// Next due time of each kind of work in an account, in account time.
#[derive(Debug, Clone, Copy)]
pub struct Agenda {
    pub account_id: i64,
    pub time: AccountTime,
    pub pace: Pace,
    /// In the order of [`KINDS`].
    due: [Option<OffsetDateTime>; 5],
    /// Due time of the next delivery.
    pub delivery: Option<OffsetDateTime>,
}

impl Agenda {
    /// Reads the agendas of these accounts; `None`: of all accounts. Ended accounts and snapshots have none.
    /// `pace` is the server's default.
    ///
    /// # Errors
    /// Database errors.
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

    /// Returns the next due time of a kind.
    pub fn of(&self, kind: Kind) -> Option<OffsetDateTime> {
        self.due[kind as usize]
    }

    /// Returns the earliest due time of all kinds.
    pub fn earliest(&self) -> Option<OffsetDateTime> {
        self.due.into_iter().flatten().min()
    }

    /// Returns the earliest due time of all kinds and of deliveries.
    pub fn next(&self) -> Option<OffsetDateTime> {
        self.earliest().into_iter().chain(self.delivery).min()
    }

    /// Returns the kind with the earliest due time.
    pub fn first(&self) -> Option<Kind> {
        let earliest = self.earliest()?;
        KINDS.into_iter().find(|kind| self.of(*kind) == Some(earliest))
    }

    /// Returns the earliest due time of all other kinds.
    pub fn earliest_other(&self, kind: Kind) -> Option<OffsetDateTime> {
        KINDS.into_iter().filter(|other| *other != kind).filter_map(|other| self.of(other)).min()
    }
}
