//! Whose a key is, and what faults its account has: asked of the database, and remembered for [`FRESH`], so that an
//! account without faults hardly pays for having none.
//!
//! A change of an account's faults is seen by every server once that time has passed, which is what whoever makes it
//! waits for. Under load nobody waits for the database: what is a while old is asked for anew beside the requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::database::Database;
use crate::faults::store;
use crate::faults::store::{Claim, List};
use crate::faults::{On, RequestFault};
use crate::jsonapi::error::Errors;

/// How long what is known of a key may be used.
pub const FRESH: Duration = Duration::from_millis(50);
/// How old it is when it is asked for anew.
const STALE: Duration = Duration::from_millis(35);
/// Keys remembered before those that are no longer fresh are forgotten.
const REMEMBERED: usize = 10_000;
/// How long the database may take: a connection that carries nothing any more would hold up the account's requests.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of keys. Cheap to clone; clones are the same directory.
#[derive(Debug, Clone)]
pub struct Directory {
    database: Database,
    entries: Arc<Mutex<HashMap<[u8; 32], Arc<Entry>>>>,
}

/// The account of a key, as of a moment ago.
#[derive(Debug)]
pub struct Known {
    pub account_id: i64,
    /// Its faults of requests.
    list: List,
}

#[derive(Debug, Default)]
struct Entry {
    /// What is known, and since when at least it is so.
    known: Mutex<Option<(Instant, Arc<Known>)>>,
    /// Held while the database is asked.
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Entry {
    /// What is known, and how old that is.
    fn known(&self) -> Option<(Duration, Arc<Known>)> {
        self.known.lock().as_ref().map(|(since, known)| (since.elapsed(), Arc::clone(known)))
    }

    /// The same, unless it is too old to be used.
    fn fresh(&self) -> Option<(Duration, Arc<Known>)> {
        self.known().filter(|(age, _)| *age < FRESH)
    }
}

impl Directory {
    /// A directory that knows nothing yet.
    pub fn new(database: Database) -> Self {
        Self { database, entries: Arc::default() }
    }

    /// The account of a key; `None` where it is nobody's.
    ///
    /// # Errors
    /// 503 where the database is away.
    pub async fn find(&self, key_sha256: &[u8; 32]) -> Result<Option<Arc<Known>>, Errors> {
        let entry = self.entry(key_sha256);
        let Some((age, known)) = entry.fresh() else {
            // boxed because it is large and seldom: every request would carry it along
            return Box::pin(self.find_anew(key_sha256, &entry)).await;
        };
        if age >= STALE
            && let Ok(turn) = Arc::clone(&entry.asking).try_lock_owned()
        {
            let (directory, key_sha256) = (self.clone(), *key_sha256);
            tokio::spawn(async move {
                // where this fails, the next request finds out
                directory.ask(&key_sha256, &entry).await.ok();
                drop(turn);
            });
        }
        Ok(Some(known))
    }

    async fn find_anew(&self, key_sha256: &[u8; 32], entry: &Entry) -> Result<Option<Arc<Known>>, Errors> {
        let _turn = self.database.unless_away(entry.asking.lock()).await?;
        // asked meanwhile by whoever came before
        if let Some((_, known)) = entry.fresh() {
            return Ok(Some(known));
        }
        self.ask(key_sha256, entry).await
    }

    /// Finds the fault that acts on a request of a key now, if any does, and counts that it did.
    ///
    /// # Errors
    /// 503 where the database is away.
    pub async fn claim(
        &self,
        key_sha256: &[u8; 32],
        known: &Arc<Known>,
        method: &str,
        path: &str,
    ) -> Result<Option<RequestFault>, Errors> {
        let mut known = Arc::clone(known);
        for _ in 0..store::CLAIMS {
            let matching: Vec<(i32, &RequestFault)> = known.matching(method, path).collect();
            let Some(list) = known.list.id.filter(|_| !matching.is_empty()) else { return Ok(None) };
            let ids: Vec<i32> = matching.iter().map(|(id, _)| *id).collect();
            let mut connection = self.database.connection().await?;
            let claim = patiently(store::claim(&mut connection, known.account_id, list, &ids)).await;
            match connection.conclude(claim)? {
                Claim::Acts(id) => {
                    return Ok(matching.into_iter().find(|(known, _)| *known == id).map(|(_, fault)| fault.clone()));
                }
                Claim::Passes => return Ok(None),
                Claim::Gone => {
                    let entry = self.entry(key_sha256);
                    let Some(anew) = self.ask(key_sha256, &entry).await? else { return Ok(None) };
                    known = anew;
                }
            }
        }
        Ok(None)
    }

    /// Forgets what is known of an account, so that this server sees at once that it has changed. The others do when
    /// [`FRESH`] has passed.
    pub fn forget(&self, account_id: i64) {
        // what is just being asked goes to an entry that nobody finds any more
        self.entries.lock().retain(|_, entry| entry.known().is_none_or(|(_, known)| known.account_id != account_id));
    }

    fn entry(&self, key_sha256: &[u8; 32]) -> Arc<Entry> {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(key_sha256) {
            return Arc::clone(entry);
        }
        if entries.len() >= REMEMBERED {
            entries.retain(|_, entry| entry.fresh().is_some());
            // so many in so short a time are no test's
            if entries.len() >= REMEMBERED {
                entries.clear();
            }
        }
        Arc::clone(entries.entry(*key_sha256).or_default())
    }

    async fn ask(&self, key_sha256: &[u8; 32], entry: &Entry) -> Result<Option<Arc<Known>>, Errors> {
        let mut connection = self.database.connection().await?;
        let since = Instant::now();
        let found = patiently(store::find(&mut connection, key_sha256)).await;
        let known = connection.conclude(found)?.map(|(account_id, list)| Arc::new(Known { account_id, list }));
        entry.known.lock().clone_from(&known.as_ref().map(|known| (since, Arc::clone(known))));
        if known.is_none() {
            // it may be somebody's the next time
            self.entries.lock().remove(key_sha256);
        }
        Ok(known)
    }
}

impl Known {
    /// Whether there are faults that a request may have to be held against.
    pub fn has_faults(&self) -> bool {
        !self.list.faults.is_empty()
    }

    /// The faults that match a request and aren't used up, each with its id.
    fn matching(&self, method: &str, path: &str) -> impl Iterator<Item = (i32, &RequestFault)> {
        self.list.faults.iter().filter(|listed| !listed.is_used_up()).filter_map(move |listed| match &listed.fault.on {
            On::Requests(fault) => {
                let is_meant = fault.method.is_none_or(|meant| meant == method) && fault.path.matches(path);
                is_meant.then_some((listed.id, fault))
            }
            On::Webhooks(_) => None,
        })
    }
}

async fn patiently<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(PATIENCE, statement).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
