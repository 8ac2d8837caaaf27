//! The next due time of each kind of work in an account, and their order.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;

use crate::accounts::settings::AccountSettings;
use crate::accounts::time::AccountTime;
use crate::accounts::timing::Timing;
use crate::concierge::cash_wallets::ledger;
use crate::concierge::{outputs, requests, users};

/// A kind of timed work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkKind {
    /// Approval of a new user.
    Approval,
    /// Preliminary checks of an output.
    Check,
    /// Next step of a payment.
    Payment,
    /// Payment of waiting requests from a wallet with new ledger.
    Funding,
    /// Timed transition of a request.
    Request,
}

/// All kinds, in their order at the same instant.
/// Payees are approved before checks. Refunds come before funding, and funding before deadlines.
pub const KINDS: [WorkKind; 5] =
    [WorkKind::Approval, WorkKind::Check, WorkKind::Payment, WorkKind::Funding, WorkKind::Request];

/// Next due time of each kind of work in an account, in account time.
#[derive(Debug, Clone, Copy)]
pub struct Agenda {
    pub account_id: i64,
    pub time: AccountTime,
    pub timing: Timing,
    /// In the order of [`KINDS`].
    due: [Option<OffsetDateTime>; 5],
    /// Due time of the next delivery.
    pub delivery: Option<OffsetDateTime>,
}

impl Agenda {
    /// Reads the agendas of these accounts; `None`: of all accounts. Ended accounts and snapshots have none.
    /// `timing` is the server's default.
    ///
    /// # Errors
    /// Database errors.
    pub async fn read(
        connection: &mut PgConnection,
        accounts: Option<&[i64]>,
        timing: &Timing,
    ) -> Result<Vec<Self>, sqlx::Error> {
        let next = [
            users::store::NEXT_DUE,
            outputs::store::transitions::NEXT_CHECK,
            outputs::store::transitions::NEXT_PAYMENT,
            ledger::NEXT_DUE,
            requests::store::transitions::NEXT_DUE,
            crate::webhooks::store::NEXT_DUE,
        ];
        let next = next.map(|next| format!("({next})")).join(", ");
        let which = if accounts.is_some() { "a.id = any($1)" } else { "true" };
        let (own, lives) = (crate::account_settings!("a"), crate::account_lives!("a"));
        let sql = format!("select a.id, a.frozen_at, a.ahead, {own}, {next} from accounts a where {which} and {lives}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        if let Some(accounts) = accounts {
            query = query.bind(accounts);
        }
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(|row| Self::read_row(row, timing)).collect()
    }

    fn read_row(row: &PgRow, timing: &Timing) -> Result<Self, sqlx::Error> {
        const FIRST: usize = 4;
        let mut due = [None; 5];
        for (place, due) in due.iter_mut().enumerate() {
            *due = row.try_get(FIRST + place)?;
        }
        Ok(Self {
            account_id: row.try_get(0)?,
            time: AccountTime::read(row, 1)?,
            timing: AccountSettings::read(row, 3)?.timing(timing),
            due,
            delivery: row.try_get(FIRST + due.len())?,
        })
    }

    /// Returns the next due time of a kind.
    pub fn of(&self, kind: WorkKind) -> Option<OffsetDateTime> {
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
    pub fn first(&self) -> Option<WorkKind> {
        let earliest = self.earliest()?;
        KINDS.into_iter().find(|kind| self.of(*kind) == Some(earliest))
    }

    /// Returns the earliest due time of all other kinds.
    pub fn earliest_other(&self, kind: WorkKind) -> Option<OffsetDateTime> {
        KINDS.into_iter().filter(|other| *other != kind).filter_map(|other| self.of(other)).min()
    }
}
