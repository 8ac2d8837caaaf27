//! `--accounts open`: the first request with an unknown key creates an account for that key.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::OWN;
use crate::accounts::caller::{Credentials, hex};
use crate::accounts::fixtures::create_account_for;
use crate::accounts::store::has_key;
use crate::jsonapi::error::Errors;
use crate::server::App;

/// Time for which a found key counts as known.
const KNOWN: Duration = Duration::from_secs(1);
/// Most keys kept in memory.
const MOST: usize = 10_000;

/// Keys found a moment ago.
#[derive(Debug, Default)]
pub struct KnownKeys(Mutex<HashMap<[u8; 32], Instant>>);

impl KnownKeys {
    fn has(&self, key: &[u8; 32]) -> bool {
        self.0.lock().get(key).is_some_and(|found| found.elapsed() < KNOWN)
    }

    fn add(&self, key: [u8; 32]) {
        let mut known = self.0.lock();
        if known.len() >= MOST {
            known.retain(|_, found| found.elapsed() < KNOWN);
        }
        known.insert(key, Instant::now());
    }

    /// Forgets all keys, after the deletion of an account.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

/// Path that creates, lists and deletes accounts.
const ACCOUNTS: &str = "/_sandbox/accounts";

/// Returns whether a call needs an account for its key. Calls about other accounts need none. `id` is the id in the
/// path.
pub fn is_of_a_key(path: &str, id: &str) -> bool {
    !path.starts_with(ACCOUNTS) || id == OWN
}

/// Creates an account for a key without one. The admin token gets none.
///
/// # Errors
/// 503 while the database is unavailable.
pub async fn ensure(app: &App, credentials: &Credentials) -> Result<(), Errors> {
    let key = credentials.key_sha256;
    if app.known_keys.has(&key) || app.admin_token == Some(key) {
        return Ok(());
    }
    let mut connection = app.database.connection().await?;
    let ensured = async {
        if has_key(&mut connection, key).await? {
            return Ok(());
        }
        let name = hex(&key[..16]);
        match create_account_for(&mut connection, &name, &[(key, "write")], None, app.clock.now()).await {
            // a concurrent request created it
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(()),
            done => done.map(|_| ()),
        }
    }
    .await;
    connection.conclude(ensured)?;
    app.known_keys.add(key);
    Ok(())
}
