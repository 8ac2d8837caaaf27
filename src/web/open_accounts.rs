//! `--accounts open`: the first request with an unknown key creates an account for that key.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::account_limits::AccountLimits;
use crate::accounts::caller::{Credentials, StoredKey, hex};
use crate::accounts::store::has_key;
use crate::clock::Clock;
use crate::concierge::fixtures::create_account_for;
use crate::database::{Database, StoreError};
use crate::jsonapi::error::Errors;

/// Time for which a found key counts as known.
const KNOWN: Duration = Duration::from_secs(1);
/// Maximum number of keys kept in memory.
const MOST: usize = 10_000;

/// Makes the account of an unknown key. There is one of these where the server's accounts are open.
#[derive(Debug)]
pub struct OpenAccounts {
    /// The SHA-256 of the admin token, which is no key of an account.
    admin_token: Option<[u8; 32]>,
    /// When each key was last found.
    known: Mutex<HashMap<[u8; 32], Instant>>,
}

impl OpenAccounts {
    /// Returns one to which no key is known yet.
    pub fn new(admin_token: Option<[u8; 32]>) -> Self {
        Self { admin_token, known: Mutex::default() }
    }

    /// Forgets the keys that are known: one may be of an account that was deleted.
    pub fn forget_keys(&self) {
        self.known.lock().clear();
    }

    fn knows(&self, key: &[u8; 32]) -> bool {
        self.known.lock().get(key).is_some_and(|found| found.elapsed() < KNOWN)
    }

    fn remember(&self, key: [u8; 32]) {
        let mut known = self.known.lock();
        if known.len() >= MOST {
            known.retain(|_, found| found.elapsed() < KNOWN);
        }
        known.insert(key, Instant::now());
    }

    /// Makes the account of a request's key, unless it is there. A header that can't be a key makes none.
    ///
    /// # Errors
    /// 409 and 429 beyond the limits on accounts; 503 if the database is unavailable.
    pub async fn ensure(
        &self,
        database: &Database,
        clock: &Clock,
        limits: &AccountLimits,
        headers: &HeaderMap,
    ) -> Result<(), Errors> {
        let Some(key) = usable_key(headers) else { return Ok(()) };
        let sha256 = key.sha256;
        if self.knows(&sha256) || self.admin_token == Some(sha256) {
            return Ok(());
        }
        let ensured = database.run_repeatable(async |connection| {
            if has_key(connection, sha256).await? {
                return Ok(());
            }
            limits.check_rate()?;
            limits.check_room(connection).await?;
            let name = hex(&sha256[..16]);
            match create_account_for(connection, &name, &[key], None, clock.now()).await {
                // a concurrent request created it
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(()),
                done => done.map(|_| ()).map_err(StoreError::from),
            }
        });
        ensured.await?;
        self.remember(sha256);
        Ok(())
    }
}

/// Returns a key that somebody could have chosen: one word, as keys are.
fn usable_key(headers: &HeaderMap) -> Option<StoredKey> {
    let header = headers.get(header::AUTHORIZATION)?;
    let key = header.to_str().ok()?.split(';').next()?.trim();
    if key.is_empty() || key.contains(' ') {
        return None;
    }
    Credentials::read(Some(header.as_bytes())).ok().map(|_| StoredKey::of(key, "write"))
}
