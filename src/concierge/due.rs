//! What a step is for: accounts in which something is due, each with its time and its pace.

use std::collections::HashMap;

use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use time::OffsetDateTime;

use crate::accounts::pace::Pace;
use crate::accounts::store::own_settings_held;
use std::time::Duration;

/// The most outputs or users one transaction moves.
pub const BATCH: i64 = 1000;
/// The least there is between two instants.
pub const INSTANT: Duration = Duration::from_micros(1);

/// An account in which something is due.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    pub id: i64,
    /// Up to when things happen in it.
    pub until: OffsetDateTime,
    pub pace: Pace,
}

/// The accounts of a step.
#[derive(Debug, Clone)]
pub struct Due(pub Vec<Account>);

impl Due {
    /// A statement whose first parameters are the accounts' ids, up to when, the most rows of each and the most of all.
    pub fn query(&self, sql: &'static str, limit: i64) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(sql)
            .bind(self.0.iter().map(|account| account.id).collect::<Vec<_>>())
            .bind(self.0.iter().map(|account| account.until).collect::<Vec<_>>())
            .bind(self.share(limit))
            .bind(limit)
    }

    /// The part of so many rows that each account has.
    fn share(&self, limit: i64) -> i64 {
        let accounts = i64::try_from(self.0.len()).unwrap_or(i64::MAX);
        (limit / accounts.max(1)).max(1)
    }

    /// Keeps the settings of these accounts as they are until this transaction ends, and goes by them: they may have changed
    /// since it was looked what is due. Leaves out accounts that have ended, or are being changed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn hold(&self, connection: &mut PgConnection, server: &Pace) -> Result<Self, sqlx::Error> {
        let ids: Vec<i64> = self.0.iter().map(|account| account.id).collect();
        let held = own_settings_held(connection, &ids).await?;
        let account = |account: &Account| {
            let own = held.get(&account.id)?;
            Some(Account { pace: own.pace(server), ..*account })
        };
        Ok(Self(self.0.iter().filter_map(account).collect()))
    }

    fn account(&self, id: i64) -> &Account {
        // what was claimed is of one of them
        self.0.iter().find(|account| account.id == id).unwrap_or(&self.0[0])
    }

    /// How long things take in one of the accounts.
    pub fn pace(&self, account_id: i64) -> &Pace {
        &self.account(account_id).pace
    }

    /// Up to when things happen in one of them.
    pub fn until(&self, account_id: i64) -> OffsetDateTime {
        self.account(account_id).until
    }

    /// Leaves what comes behind the rest of a full batch for another time.
    pub fn hold_back(&mut self, moved: &Moved) {
        for account in &mut self.0 {
            if let Some(full_to) = moved.full_to.get(&account.id) {
                account.until = account.until.min(*full_to);
            }
        }
    }
}

/// What one kind came to.
#[derive(Debug, Default)]
pub struct Moved {
    /// How many rows were moved or deferred of each account.
    pub rows: HashMap<i64, usize>,
    /// Where there may be more: up to when everything of an account was claimed.
    full_to: HashMap<i64, OffsetDateTime>,
    first: Option<OffsetDateTime>,
}

impl Moved {
    /// What was claimed, account by account and each in the order of time, with the limit under which it was.
    pub fn new(due: &Due, limit: i64, claimed: impl Iterator<Item = (i64, OffsetDateTime)>) -> Self {
        let (mut moved, mut last) = (Self::default(), HashMap::new());
        for (account_id, due_at) in claimed {
            *moved.rows.entry(account_id).or_default() += 1;
            moved.first = moved.first.or(Some(due_at));
            last.insert(account_id, due_at);
        }
        let share = usize::try_from(due.share(limit)).unwrap_or(usize::MAX);
        let is_full = |account_id: &i64| moved.rows.get(account_id).is_some_and(|rows| *rows >= share);
        moved.full_to = last.into_iter().filter(|(account_id, _)| is_full(account_id)).collect();
        moved
    }

    /// What was claimed of a kind behind which nothing waits.
    pub fn counted(claimed: impl Iterator<Item = i64>) -> Self {
        let mut moved = Self::default();
        for account_id in claimed {
            *moved.rows.entry(account_id).or_default() += 1;
        }
        moved
    }

    /// Up to when a batch of one account is to be moved where instants are kept apart: one that a full batch has only the
    /// first of waits, unless it is all there is, so that it is cut into the same batches wherever the leap began.
    pub fn whole_instants(&self) -> OffsetDateTime {
        match (self.first, self.full_to.values().next()) {
            (Some(first), Some(cut)) if first < *cut => *cut - INSTANT,
            (_, Some(cut)) => *cut,
            _ => time::PrimitiveDateTime::MAX.assume_utc(),
        }
    }
}

/// The last instant before one, but not before that at which it was brought about.
pub fn before(instant: OffsetDateTime, since: OffsetDateTime) -> OffsetDateTime {
    (instant - INSTANT).max(since)
}
