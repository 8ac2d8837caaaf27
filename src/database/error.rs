//! The errors of the database, and their conversion to answers.

use super::private::PrivateError;
use crate::jsonapi::error::{Error, Errors, INTERNAL, UNAVAILABLE};

/// Reasons for a missing database. Each message names a remedy.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("DATABASE_URL is invalid: {0}. Its form is postgres://USER:PASSWORD@HOST:5432/DATABASE")]
    Url(sqlx::Error),
    #[error(
        "the database at {at} can't be reached: {cause}. Start it or correct DATABASE_URL (--database-url). \
         Without a URL, a private PostgreSQL is used"
    )]
    Unreachable { at: String, cause: sqlx::Error },
    #[error("the database at {at} runs PostgreSQL {found}; version 15 or newer is needed")]
    TooOld { at: String, found: i32 },
    #[error("the schema of the database at {at} can't be migrated: {cause}")]
    Migration { at: String, cause: sqlx::migrate::MigrateError },
    #[error(transparent)]
    Private(#[from] PrivateError),
}

/// The failure of a store.
#[derive(Debug)]
pub enum StoreError {
    /// The reasons to show to the client. Nothing was changed.
    Refused(Errors),
    Database(sqlx::Error),
}

impl From<Errors> for StoreError {
    fn from(refused: Errors) -> Self {
        Self::Refused(refused)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<sqlx::Error> for Errors {
    fn from(error: sqlx::Error) -> Self {
        if is_unavailable(&error) {
            tracing::warn!(%error, "the database is unavailable");
            let detail = "the database is unavailable; repeat the request in a moment";
            return Self::from(Error::new(UNAVAILABLE, detail)).retry_after(1);
        }
        // rows are deleted only with their account
        if matches!(&error, sqlx::Error::Database(error) if error.is_foreign_key_violation()) {
            let detail = "the account was reset or deleted during the request; repeat the request";
            return Self::from(Error::new(UNAVAILABLE, detail)).retry_after(1);
        }
        tracing::error!(%error, "a statement failed");
        Error::new(INTERNAL, "the server failed; see the server log for this X-Request-Id").into()
    }
}

/// Returns whether an error means that the database is unavailable, rather than that a statement failed.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // class 08: connection; 53: resources, a full disk included; 57P: shutting down or starting up
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") || code == "25006"
        }),
        _ => false,
    }
}
