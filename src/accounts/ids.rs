//! New ids, counted per account and type.
//!
//! Requests don't queue for a counter row: each server leases blocks of ids and hands them out from memory, smallest
//! first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use sqlx::postgres::PgConnection;

use super::caller::{Access, Caller, Credentials, authenticate};
use crate::database::Database;
use crate::jsonapi::error::Errors;

/// Size of the first lease. Each next lease doubles, up to [`LARGEST_LEASE`].
const FIRST_LEASE: i64 = 16;
const LARGEST_LEASE: i64 = 4096;

/// Ids leased by this server.
#[derive(Debug, Clone, Default)]
pub struct Ids(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The account of each write key seen. A reset moves a key to a new account. The next statement with an id detects
    /// this, and the old account is [forgotten](Ids::forget).
    accounts: Mutex<HashMap<[u8; 32], i64>>,
    leases: Mutex<HashMap<(i64, &'static str), Arc<Lease>>>,
}

#[derive(Debug, Default)]
struct Lease {
    free: Mutex<BinaryHeap<Reverse<i64>>>,
    /// Size and end of the last block. Locked while a block is leased.
    last: tokio::sync::Mutex<(i64, i64)>,
}

/// An id handed out to a request.
#[derive(Debug)]
pub struct LeasedId {
    id: i64,
    /// The account of the id: the caller's, unless that was reset meanwhile.
    account_id: i64,
    lease: Arc<Lease>,
}

impl LeasedId {
    /// Returns an unused id to the pool, and passes on `errors`. After a 5xx the insert may have happened, so the id is
    /// not reused.
    pub fn refused(self, errors: Errors) -> Errors {
        if errors.status() < 500 {
            self.lease.free.lock().push(Reverse(self.id));
        }
        errors
    }
}

impl Ids {
    /// Creates a resource under a new id of its type. `create` gets the account of the id and the id, and returns the
    /// caller; it runs again with another id if the caller's account was reset meanwhile.
    ///
    /// Returns the id too: pass it to [`LeasedId::refused`] if nothing was created.
    ///
    /// # Errors
    /// The errors of `create`; 401 if the key is unknown or may not write; 503 if the database is unavailable.
    pub async fn with<T, F: Future<Output = Result<(Caller, T), Errors>>>(
        &self,
        database: &Database,
        credentials: &Credentials,
        type_name: &'static str,
        create: impl Fn((i64, i64)) -> F,
    ) -> Result<(LeasedId, Caller, T), Errors> {
        loop {
            let taken = self.take(database, credentials, type_name).await?;
            match create((taken.account_id, taken.id)).await {
                Ok((caller, _)) if caller.account_id != taken.account_id => self.forget(taken.account_id),
                Ok((caller, created)) => return Ok((taken, caller, created)),
                Err(errors) => return Err(taken.refused(errors)),
            }
        }
    }

    /// Takes the next id of a type in the caller's account.
    async fn take(
        &self,
        database: &Database,
        credentials: &Credentials,
        type_name: &'static str,
    ) -> Result<LeasedId, Errors> {
        loop {
            let account_id = self.account(database, credentials).await?;
            let lease = Arc::clone(self.0.leases.lock().entry((account_id, type_name)).or_default());
            if let Some(Reverse(id)) = lease.free.lock().pop() {
                return Ok(LeasedId { id, account_id, lease: Arc::clone(&lease) });
            }
            let mut last = database.unless_unavailable(lease.last.lock()).await?;
            if !lease.free.lock().is_empty() {
                continue; // another task leased a block meanwhile
            }
            let size = (last.0 * 2).clamp(FIRST_LEASE, LARGEST_LEASE);
            let leased =
                database.run_repeatable(async |connection| lease_block(connection, account_id, type_name, size).await);
            let Some(first) = leased.await? else {
                self.forget(account_id);
                continue; // the account has ended: its key is gone, or belongs to a new account
            };
            *last = (size, first + size);
            lease.free.lock().extend((first..first + size).map(Reverse));
        }
    }

    async fn account(&self, database: &Database, credentials: &Credentials) -> Result<i64, Errors> {
        let known = self.0.accounts.lock().get(&credentials.key_sha256).copied();
        if let Some(account_id) = known {
            return Ok(account_id);
        }
        let found =
            database.run_repeatable(async |connection| authenticate(connection, credentials, Access::Write).await);
        let caller = found.await?;
        self.0.accounts.lock().insert(credentials.key_sha256, caller.account_id);
        Ok(caller.account_id)
    }

    /// Forgets an ended account. Its keys are gone or belong to a new account; entries of the new account stay, however
    /// late this is called.
    pub fn forget(&self, account_id: i64) {
        self.0.accounts.lock().retain(|_, known| *known != account_id);
        self.0.leases.lock().retain(|(leased, _), _| *leased != account_id);
    }

    /// Returns the unused end of each last block to the database, unless another server has leased since.
    /// So a restart leaves no gap.
    ///
    /// # Errors
    /// Database errors; they leave gaps and nothing worse.
    pub async fn release(&self, database: &Database) -> Result<(), sqlx::Error> {
        let leases: Vec<_> = self.0.leases.lock().drain().collect();
        let mut connection = database.connection().await?;
        for ((account_id, type_name), lease) in leases {
            let (_, end) = *lease.last.lock().await;
            let free = std::mem::take(&mut *lease.free.lock()).into_sorted_vec();
            // `Reverse` sorts the largest id first: count the unbroken run down from the end of the block
            let unused = free.iter().zip(1..).take_while(|(Reverse(id), below)| *id == end - below).count();
            let unused = i64::try_from(unused).unwrap_or_default();
            if unused > 0 {
                sqlx::query("update id_counters set next_id = $4 where account_id = $1 and type = $2 and next_id = $3")
                    .bind(account_id)
                    .bind(type_name)
                    .bind(end)
                    .bind(end - unused)
                    .execute(&mut *connection)
                    .await?;
            }
        }
        connection.release();
        Ok(())
    }
}

async fn lease_block(
    connection: &mut PgConnection,
    account_id: i64,
    type_name: &str,
    size: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let sql = "update id_counters set next_id = next_id + $3
               where account_id = $1 and type = $2 returning next_id - $3";
    sqlx::query_scalar(sql).bind(account_id).bind(type_name).bind(size).fetch_optional(connection).await
}
