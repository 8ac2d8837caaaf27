//! `--accounts open`: a key that nobody has is the key of an account of its own, which is made when it is first used.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::OWN;
use crate::accounts::caller::{Credentials, hex};
use crate::accounts::store::has_key;
use crate::concierge::fixtures::create_account_for;
use crate::jsonapi::error::Errors;
use crate::server::App;

/// How long a key that was found counts as known.
const KNOWN: Duration = Duration::from_secs(1);
/// The most keys that are remembered.
const MOST: usize = 10_000;

/// The keys that were found of late.
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

    /// Forgets keys: those of an account that was deleted.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

/// Where accounts are made, listed and deleted.
const ACCOUNTS: &str = "/_sandbox/accounts";

/// Whether a call is one of a key's, which has an account then: every one, but for those that concern other accounts. `id`
/// is the one in the path.
pub fn is_of_a_key(path: &str, id: &str) -> bool {
    !path.starts_with(ACCOUNTS) || id == OWN
}

/// Sees to it that a key has an account, unless it is what the server is administered with.
///
/// # Errors
/// 503 where the database is away.
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
            // another request was faster
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(()),
            done => done.map(|_| ()),
        }
    }
    .await;
    connection.conclude(ensured)?;
    app.known_keys.add(key);
    Ok(())
}
