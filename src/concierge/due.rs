//! The accounts of a step, each with its time and its timing, and the result of one kind of work.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use time::OffsetDateTime;

use crate::accounts::store::lock_settings;
use crate::accounts::timing::Timing;

/// Maximum number of outputs or users moved by one transaction.
pub const BATCH: i64 = 1000;
/// Resolution of time: the least difference of two instants.
pub const INSTANT: Duration = Duration::from_micros(1);

/// An account with due work.
#[derive(Debug, Clone, Copy)]
pub struct DueAccount {
    pub id: i64,
    /// End of the step, in account time; later work waits.
    pub until: OffsetDateTime,
    pub timing: Timing,
}

/// The accounts of a step.
#[derive(Debug, Clone)]
pub struct Due(pub Vec<DueAccount>);

impl Due {
    /// Returns a statement with its first parameters bound: account ids, ends of the step, row limit of each account,
    /// total row limit.
    pub fn query(&self, sql: &'static str, limit: i64) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(sql)
            .bind(self.0.iter().map(|account| account.id).collect::<Vec<_>>())
            .bind(self.0.iter().map(|account| account.until).collect::<Vec<_>>())
            .bind(self.share(limit))
            .bind(limit)
    }

    /// Returns the row limit of each account, out of a total.
    fn share(&self, limit: i64) -> i64 {
        let accounts = i64::try_from(self.0.len()).unwrap_or(i64::MAX);
        (limit / accounts.max(1)).max(1)
    }

    /// Locks the settings of these accounts until the transaction ends, and applies them.
    /// They may have changed since the agenda was read. Leaves out accounts that have ended or are locked.
    ///
    /// # Errors
    /// Database errors.
    pub async fn lock_settings(&self, connection: &mut PgConnection, server: &Timing) -> Result<Self, sqlx::Error> {
        let ids: Vec<i64> = self.0.iter().map(|account| account.id).collect();
        let held = lock_settings(connection, &ids).await?;
        let account = |account: &DueAccount| {
            let own = held.get(&account.id)?;
            Some(DueAccount { timing: own.timing(server), ..*account })
        };
        Ok(Self(self.0.iter().filter_map(account).collect()))
    }

    fn account(&self, id: i64) -> &DueAccount {
        // claimed rows always belong to one of these accounts
        self.0.iter().find(|account| account.id == id).unwrap_or(&self.0[0])
    }

    /// Returns the timing of one of the accounts.
    pub fn timing(&self, account_id: i64) -> &Timing {
        &self.account(account_id).timing
    }

    /// Returns the end of the step in one of the accounts.
    pub fn until(&self, account_id: i64) -> OffsetDateTime {
        self.account(account_id).until
    }

    /// Ends the step of each account at its full batch, so that later work waits for the remaining rows.
    pub fn limit_to(&mut self, moved: &BatchResult) {
        for account in &mut self.0 {
            if let Some(full_until) = moved.full_until.get(&account.id) {
                account.until = account.until.min(*full_until);
            }
        }
    }
}

/// Result of one kind of work.
#[derive(Debug, Default)]
pub struct BatchResult {
    /// Rows moved or deferred, by account.
    pub rows: HashMap<i64, usize>,
    /// Due time of the last claimed row, for accounts with a full batch. More rows may be due.
    full_until: HashMap<i64, OffsetDateTime>,
    /// Due time of the first claimed row.
    first: Option<OffsetDateTime>,
}

impl BatchResult {
    /// Returns the result of a claim under a row limit. Rows come account by account, each in order of time.
    pub fn new(due: &Due, limit: i64, claimed: impl Iterator<Item = (i64, OffsetDateTime)>) -> Self {
        let (mut moved, mut last) = (Self::default(), HashMap::new());
        for (account_id, due_at) in claimed {
            *moved.rows.entry(account_id).or_default() += 1;
            moved.first = moved.first.or(Some(due_at));
            last.insert(account_id, due_at);
        }
        let share = usize::try_from(due.share(limit)).unwrap_or(usize::MAX);
        let is_full = |account_id: &i64| moved.rows.get(account_id).is_some_and(|rows| *rows >= share);
        moved.full_until = last.into_iter().filter(|(account_id, _)| is_full(account_id)).collect();
        moved
    }

    /// Returns the result of a claim that delays no other work.
    pub fn from_counts(claimed: impl Iterator<Item = i64>) -> Self {
        let mut moved = Self::default();
        for account_id in claimed {
            *moved.rows.entry(account_id).or_default() += 1;
        }
        moved
    }

    /// Returns the end of a batch of one account that keeps instants whole.
    /// The last instant of a full batch may be incomplete: it waits for the next batch, unless it is the only one.
    /// So an advance of the clock gives the same batches, wherever it starts.
    pub fn last_whole_instant(&self) -> OffsetDateTime {
        match (self.first, self.full_until.values().next()) {
            (Some(first), Some(cut)) if first < *cut => *cut - INSTANT,
            (_, Some(cut)) => *cut,
            _ => time::PrimitiveDateTime::MAX.assume_utc(),
        }
    }
}

/// Returns the last instant before `instant`, but at least `since`, the instant of its cause.
pub fn before(instant: OffsetDateTime, since: OffsetDateTime) -> OffsetDateTime {
    (instant - INSTANT).max(since)
}
