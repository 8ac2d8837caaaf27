//! The default account, and what it is seeded with when it is made: `--seed`.

use std::path::{Path, PathBuf};

use sqlx::Acquire;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::document::read;
use super::plant;
use crate::accounts::pace::Pace;
use crate::accounts::reserved::MASTER_USER;
use crate::concierge::fixtures::{has_default_account, make_default_account};
use crate::database::{StoreError, settle};
use crate::events::address::AddressRules;
use crate::jsonapi::error::{Error, Errors, Source};

/// What the default account is made with.
#[derive(Debug)]
pub struct Beginning<'a> {
    /// The server's time.
    pub now: OffsetDateTime,
    pub pace: &'a Pace,
    pub rules: &'a AddressRules,
    pub seed: Option<&'a SeedFile>,
}

/// A file that says what to seed.
#[derive(Debug)]
pub struct SeedFile {
    pub path: PathBuf,
    text: Vec<u8>,
}

impl SeedFile {
    /// Reads a file as it is. What is in it is looked at when it is needed.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), text: std::fs::read(path)? })
    }
}

/// Makes the default account with what is to be seeded, or neither, unless it is there. Several servers may do so at once.
///
/// # Errors
/// The faults of the seed; those of the database.
pub async fn ensure_default_account(
    connection: &mut PgConnection,
    beginning: &Beginning<'_>,
) -> Result<(), StoreError> {
    if has_default_account(connection).await? {
        return Ok(());
    }
    let Beginning { now, pace, rules, seed } = *beginning;
    let mut transaction = connection.begin().await?;
    let outcome = async {
        let account_id = make_default_account(&mut transaction, now).await?;
        if let Some(file) = seed {
            let (seed, reader) = read(&file.text, MASTER_USER, rules)?;
            plant(&mut transaction, account_id, (&seed, reader), now, pace).await?;
        }
        Ok(())
    }
    .await;
    match settle(transaction, outcome).await {
        // another server was faster
        Err(StoreError::Database(sqlx::Error::Database(error)))
            if matches!(error.constraint(), Some("api_keys_pkey" | "accounts_name_idx")) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// Faults as one sentence.
pub fn list(faults: &Errors) -> String {
    let fault = |error: &Error| match &error.source {
        Some(Source::Pointer(pointer)) if !pointer.is_empty() => format!("{pointer} {}", error.detail),
        _ => error.detail.clone(),
    };
    faults.as_slice().iter().map(fault).collect::<Vec<_>>().join("; ")
}
