//! The default account and its initial content (`--seed`).

use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::apply::apply;
use super::document::read;
use crate::accounts::reserved::MASTER_USER;
use crate::accounts::timing::Timing;
use crate::concierge::fixtures::{has_default_account, make_default_account};
use crate::database::{StoreError, transaction};
use crate::events::address::AddressRules;
use crate::jsonapi::error::{Error, Errors, Source};

/// Inputs for the creation of the default account.
#[derive(Debug)]
pub struct Bootstrap<'a> {
    /// The server's time.
    pub now: OffsetDateTime,
    pub timing: &'a Timing,
    pub rules: &'a AddressRules,
    pub seed: Option<&'a SeedFile>,
}

/// A file with a seed document.
#[derive(Debug)]
pub struct SeedFile {
    pub path: PathBuf,
    text: Vec<u8>,
}

impl SeedFile {
    /// Reads a file without parsing it. The content is parsed when it is needed.
    ///
    /// # Errors
    /// I/O errors.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), text: std::fs::read(path)? })
    }
}

/// Creates the default account with its seed in one transaction, unless the account exists.
///
/// Several servers may do this at once.
///
/// # Errors
/// The faults of the seed; database errors.
pub async fn ensure_default_account(
    connection: &mut PgConnection,
    beginning: &Bootstrap<'_>,
) -> Result<(), StoreError> {
    if has_default_account(connection).await? {
        return Ok(());
    }
    let Bootstrap { now, timing, rules, seed } = *beginning;
    let work = async |transaction: &mut PgConnection| {
        let account_id = make_default_account(transaction, now).await?;
        if let Some(file) = seed {
            let (seed, reader) = read(&file.text, MASTER_USER, rules)?;
            apply(transaction, account_id, &seed, reader, now, timing, None).await?;
        }
        Ok(())
    };
    match transaction(connection, work).await {
        // another server created it first
        Err(StoreError::Database(sqlx::Error::Database(error)))
            if matches!(error.constraint(), Some("api_keys_pkey" | "accounts_name_idx")) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// Joins faults into one line, each with its pointer.
pub fn describe_faults(faults: &Errors) -> String {
    let fault = |error: &Error| match &error.source {
        Some(Source::Pointer(pointer)) if !pointer.is_empty() => format!("{pointer}: {}", error.detail),
        _ => error.detail.clone(),
    };
    faults.as_slice().iter().map(fault).collect::<Vec<_>>().join("; ")
}
