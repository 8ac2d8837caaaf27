//! When the next of each kind is due, and which of them happen first.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;

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

/// When the next of each kind is due, in the order of [`KINDS`].
#[derive(Debug, Clone, Copy)]
pub struct Agenda([Option<OffsetDateTime>; 5]);

impl Agenda {
    /// Reads it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn read(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let next = [
            users::store::NEXT_DUE,
            outputs::store::life::NEXT_CHECK,
            outputs::store::life::NEXT_PAYMENT,
            money::NEXT_DUE,
            requests::store::life::NEXT_DUE,
        ];
        let sql = format!("select {}", next.map(|next| format!("({next})")).join(", "));
        let row: PgRow = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await?;
        let mut due = [None; 5];
        for (place, due) in due.iter_mut().enumerate() {
            *due = row.try_get(place)?;
        }
        Ok(Self(due))
    }

    /// When the next of a kind is due.
    pub fn of(&self, kind: Kind) -> Option<OffsetDateTime> {
        self.0[kind as usize]
    }

    /// When anything is due.
    pub fn earliest(&self) -> Option<OffsetDateTime> {
        self.0.into_iter().flatten().min()
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
