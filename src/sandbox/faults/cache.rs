//! A cache of the account and the faults of each key. An entry is used for [`MAX_AGE`], so requests of an account without
//! faults pay almost nothing.
//!
//! Every server sees a change of faults after that time, so a request that changes faults waits for it. Under load no
//! request waits for the database: a stale entry is refreshed in the background.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use crate::database::{Database, silence};
use crate::faults::store::{FaultClaim, List};
use crate::faults::{FaultTarget, RequestFault, store};
use crate::jsonapi::error::Errors;

/// Time for which an entry may be used.
pub const MAX_AGE: Duration = Duration::from_millis(50);
/// Age at which an entry is refreshed in the background.
const STALE: Duration = Duration::from_millis(35);
/// Entries kept before expired entries are dropped.
const REMEMBERED: usize = 10_000;
/// Limit on a statement. A dead connection would otherwise hold up the account's requests.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The cache. Cheap to clone; clones share the entries.
#[derive(Debug, Clone)]
pub struct FaultCache {
    database: Database,
    entries: Arc<Mutex<HashMap<[u8; 32], Arc<Entry>>>>,
}

/// The account of a key, as recently read.
#[derive(Debug)]
pub struct CachedAccount {
    pub account_id: i64,
    /// Faults of its requests.
    list: List,
}

#[derive(Debug, Default)]
struct Entry {
    /// The account, with the instant before it was read.
    known: Mutex<Option<(Instant, Arc<CachedAccount>)>>,
    /// Locked during a read from the database.
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl Entry {
    /// Returns the account and its age.
    fn known(&self) -> Option<(Duration, Arc<CachedAccount>)> {
        self.known.lock().as_ref().map(|(since, known)| (since.elapsed(), Arc::clone(known)))
    }

    /// Returns the account and its age, unless it has expired.
    fn fresh(&self) -> Option<(Duration, Arc<CachedAccount>)> {
        self.known().filter(|(age, _)| *age < MAX_AGE)
    }
}

impl FaultCache {
    /// Creates an empty directory.
    pub fn new(database: Database) -> Self {
        Self { database, entries: Arc::default() }
    }

    /// Finds the account of a key. Returns `None` for an unknown key.
    ///
    /// # Errors
    /// 503 while the database is unavailable.
    pub async fn find(&self, key_sha256: &[u8; 32]) -> Result<Option<Arc<CachedAccount>>, Errors> {
        let entry = self.entry(key_sha256);
        let Some((age, known)) = entry.fresh() else {
            // boxed because it is large and rare: every request's future would have its size
            return Box::pin(self.find_expired(key_sha256, &entry)).await;
        };
        if age >= STALE
            && let Ok(lock) = Arc::clone(&entry.reading).try_lock_owned()
        {
            let (directory, key_sha256) = (self.clone(), *key_sha256);
            tokio::spawn(async move {
                // after a failure the entry expires, and the next request reports the error
                directory.read(&key_sha256, &entry).await.ok();
                drop(lock);
            });
        }
        Ok(Some(known))
    }

    async fn find_expired(&self, key_sha256: &[u8; 32], entry: &Entry) -> Result<Option<Arc<CachedAccount>>, Errors> {
        let _lock = self.database.unless_unavailable(entry.reading.lock()).await?;
        // a concurrent request read it meanwhile
        if let Some((_, known)) = entry.fresh() {
            return Ok(Some(known));
        }
        self.read(key_sha256, entry).await
    }

    /// Finds the fault that applies to a request of a key, if any, and counts the hit.
    ///
    /// # Errors
    /// 503 while the database is unavailable.
    pub async fn claim(
        &self,
        key_sha256: &[u8; 32],
        known: &Arc<CachedAccount>,
        method: &str,
        path: &str,
    ) -> Result<Option<RequestFault>, Errors> {
        let mut known = Arc::clone(known);
        for _ in 0..store::CLAIMS {
            let matching: Vec<(i32, &RequestFault)> = known.matching(method, path).collect();
            let Some(list) = known.list.id.filter(|_| !matching.is_empty()) else { return Ok(None) };
            let ids: Vec<i32> = matching.iter().map(|(id, _)| *id).collect();
            let work = async |connection: &mut PgConnection| {
                with_timeout(store::claim(connection, known.account_id, list, &ids)).await
            };
            match self.database.run_repeatable(work).await? {
                FaultClaim::Acts(id) => {
                    return Ok(matching.into_iter().find(|(known, _)| *known == id).map(|(_, fault)| fault.clone()));
                }
                FaultClaim::Passes => return Ok(None),
                FaultClaim::Gone => {
                    let entry = self.entry(key_sha256);
                    let Some(reread) = self.read(key_sha256, &entry).await? else { return Ok(None) };
                    known = reread;
                }
            }
        }
        Ok(None)
    }

    /// Drops the entries of a changed account, so this server sees the change at once. Other servers see it after
    /// [`MAX_AGE`].
    pub fn forget(&self, account_id: i64) {
        // a read in progress then fills an entry outside of the map
        self.entries.lock().retain(|_, entry| entry.known().is_none_or(|(_, known)| known.account_id != account_id));
    }

    fn entry(&self, key_sha256: &[u8; 32]) -> Arc<Entry> {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(key_sha256) {
            return Arc::clone(entry);
        }
        if entries.len() >= REMEMBERED {
            entries.retain(|_, entry| entry.fresh().is_some());
            // no test uses so many keys in so short a time
            if entries.len() >= REMEMBERED {
                entries.clear();
            }
        }
        Arc::clone(entries.entry(*key_sha256).or_default())
    }

    async fn read(&self, key_sha256: &[u8; 32], entry: &Entry) -> Result<Option<Arc<CachedAccount>>, Errors> {
        let work = async |connection: &mut PgConnection| {
            let since = Instant::now();
            let found = with_timeout(store::find(connection, key_sha256)).await?;
            Ok::<_, sqlx::Error>((since, found))
        };
        let (since, found) = self.database.run_repeatable(work).await?;
        let known = found.map(|(account_id, list)| Arc::new(CachedAccount { account_id, list }));
        entry.known.lock().clone_from(&known.as_ref().map(|known| (since, Arc::clone(known))));
        if known.is_none() {
            // the key may belong to an account the next time
            self.entries.lock().remove(key_sha256);
        }
        Ok(known)
    }
}

impl CachedAccount {
    /// Returns whether the account has faults of requests.
    pub fn has_faults(&self) -> bool {
        !self.list.faults.is_empty()
    }

    /// Returns the faults that match a request and have hits remaining, each with its id.
    fn matching(&self, method: &str, path: &str) -> impl Iterator<Item = (i32, &RequestFault)> {
        self.list.faults.iter().filter(|listed| !listed.is_used_up()).filter_map(move |listed| match &listed.fault.on {
            FaultTarget::Requests(fault) => {
                let is_meant = fault.method.is_none_or(|meant| meant == method) && fault.path.matches(path);
                is_meant.then_some((listed.id, fault))
            }
            FaultTarget::Webhooks(_) => None,
        })
    }
}

async fn with_timeout<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(STATEMENT_TIMEOUT, statement).await.unwrap_or_else(|_| Err(silence(STATEMENT_TIMEOUT)))
}
