//! The next ids, counted per account and type, without a row that every request would queue for: a server leases
//! blocks of ids and hands them out from memory, smallest first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use sqlx::postgres::PgConnection;

use super::caller::{Access, Credentials, authenticate};
use crate::database::Database;
use crate::jsonapi::error::Errors;

/// The first lease; each next one is twice the last, up to [`LARGEST_LEASE`].
const FIRST_LEASE: i64 = 16;
const LARGEST_LEASE: i64 = 4096;

/// The ids this server may give.
#[derive(Debug, Clone, Default)]
pub struct Ids(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The account of each write key seen. A reset gives a key another account: then the statement that was to use an id
    /// finds out, and it is [forgotten](Ids::forget).
    accounts: Mutex<HashMap<[u8; 32], i64>>,
    leases: Mutex<HashMap<(i64, &'static str), Arc<Lease>>>,
}

#[derive(Debug, Default)]
struct Lease {
    free: Mutex<BinaryHeap<Reverse<i64>>>,
    /// Held while a block is leased: the size of the last one, and where it ended.
    last: tokio::sync::Mutex<(i64, i64)>,
}

/// An id that was handed out.
#[derive(Debug)]
pub struct Taken {
    pub id: i64,
    /// The account whose id it is: the caller's, unless that was reset meanwhile.
    pub account_id: i64,
    lease: Arc<Lease>,
}

impl Taken {
    /// Hands the id back, so that the next resource gets it: nothing was made of it, because of `errors`. Where those
    /// leave open whether something was, the id is not given again.
    pub fn refused(self, errors: Errors) -> Errors {
        if errors.status() < 500 {
            self.lease.free.lock().push(Reverse(self.id));
        }
        errors
    }
}

impl Ids {
    /// The next id of a type in the caller's account.
    ///
    /// # Errors
    /// 401 where the key is unknown or may not write; 503 where the database is away.
    pub async fn take(
        &self,
        database: &Database,
        credentials: &Credentials,
        type_name: &'static str,
    ) -> Result<Taken, Errors> {
        loop {
            let account_id = self.account(database, credentials).await?;
            let lease = Arc::clone(self.0.leases.lock().entry((account_id, type_name)).or_default());
            if let Some(Reverse(id)) = lease.free.lock().pop() {
                return Ok(Taken { id, account_id, lease: Arc::clone(&lease) });
            }
            let mut last = database.unless_away(lease.last.lock()).await?;
            if !lease.free.lock().is_empty() {
                continue; // leased while we waited
            }
            let size = (last.0 * 2).clamp(FIRST_LEASE, LARGEST_LEASE);
            let mut connection = database.connection().await?;
            let leased = lease_block(&mut connection, account_id, type_name, size).await;
            let Some(first) = connection.conclude(leased)? else {
                self.forget(credentials, account_id);
                continue; // the account is gone, and its key with it or another one's
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
        let mut connection = database.connection().await?;
        let found = authenticate(&mut connection, credentials, Access::Write).await;
        let caller = connection.conclude(found)?;
        self.0.accounts.lock().insert(credentials.key_sha256, caller.account_id);
        Ok(caller.account_id)
    }

    /// Forgets that a key is of an account, and the ids of that: it is of another one, and may be known to be by now.
    pub fn forget(&self, credentials: &Credentials, account_id: i64) {
        let mut accounts = self.0.accounts.lock();
        if accounts.get(&credentials.key_sha256) == Some(&account_id) {
            accounts.remove(&credentials.key_sha256);
        }
        drop(accounts);
        self.0.leases.lock().retain(|(leased, _), _| *leased != account_id);
    }

    /// Gives what is left of each last block back to the database, where no other server has leased since, so that
    /// a restart leaves no gap.
    ///
    /// # Errors
    /// Those of the database; then there are gaps and nothing worse.
    pub async fn release(&self, database: &Database) -> Result<(), sqlx::Error> {
        let leases: Vec<_> = self.0.leases.lock().drain().collect();
        let mut connection = database.connection().await?;
        for ((account_id, type_name), lease) in leases {
            let (_, end) = *lease.last.lock().await;
            let free = std::mem::take(&mut *lease.free.lock()).into_sorted_vec();
            // `Reverse` sorts the largest first: count the unbroken run down from the end of the block
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
        connection.end();
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
