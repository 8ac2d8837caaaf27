//! The errors of the database, and their conversion to answers.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgSeverity};

use super::private::PrivateError;
use super::progress::Progress;
use crate::jsonapi::error::{Code, Error, Errors, INTERNAL, UNAVAILABLE};

/// Reasons for a missing database. Each message names a remedy.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("DATABASE_URL is invalid: {0}. Its form is postgres://USER:PASSWORD@HOST:5432/DATABASE")]
    Url(sqlx::Error),
    #[error(
        "the database at {at} can't be reached: {cause}. Start it or correct DATABASE_URL (--database-url). \
         Without a URL, a private PostgreSQL is used"
    )]
    Unreachable { at: String, cause: String },
    #[error("the database at {at} refuses the user {user}: {cause}. Correct user and password in DATABASE_URL")]
    AccessDenied { at: String, user: String, cause: String },
    #[error("the database at {at} does not exist. Create it with `createdb {name}`, or correct DATABASE_URL")]
    Missing { at: String, name: String },
    #[error("the database at {at} runs PostgreSQL {found}; version 15 or newer is needed")]
    TooOld { at: String, found: i32 },
    #[error("the schema of the database at {at} can't be migrated: {cause}")]
    Migration { at: String, cause: sqlx::migrate::MigrateError },
    #[error(transparent)]
    Private(#[from] PrivateError),
}

impl DatabaseError {
    /// Returns the reason for a failed connection.
    pub(super) fn unreachable(options: &PgConnectOptions, at: &str, cause: &sqlx::Error) -> Self {
        let (at, user) = (at.to_owned(), options.get_username().to_owned());
        let sqlx::Error::Database(error) = cause else {
            return Self::Unreachable { at, cause: cause.to_string() };
        };
        // the message alone: the rest names lines of PostgreSQL's own source
        let message = error.message().to_owned();
        match error.code().as_deref() {
            Some("3D000") => {
                let name = options.get_database().unwrap_or(&user).to_owned();
                Self::Missing { at, name }
            }
            Some(code) if code.starts_with("28") => Self::AccessDenied { at, user, cause: message },
            _ => Self::Unreachable { at, cause: message },
        }
    }
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
    /// Converts the failure of work that changed nothing, such as the wait for a connection.
    fn from(error: sqlx::Error) -> Self {
        answer(&error, Progress::current().is_changed())
    }
}

crate::codes! {
    DATABASE_BUSY = 503 "database_busy" "The database has no room for another request";
    DATABASE_CONFLICT = 503 "database_conflict" "A concurrent change stood in the way";
    DATABASE_FULL = 503 "database_full" "The disk of the database is full";
    DATABASE_READ_ONLY = 503 "database_read_only" "The database is read-only";
    DATABASE_REFUSED = 503 "database_refused" "The database refuses this server";
    DATABASE_SLOW = 503 "database_slow" "The database exceeded a time limit";
    DATABASE_STOPPING = 503 "database_stopping" "The database is stopping or starting";
    DATABASE_TLS = 503 "database_tls" "The connection to the database can't be encrypted";
    OUTCOME_UNKNOWN = 503 "outcome_unknown" "The request may or may not have been done";
    SCHEMA_MISSING = 503 "schema_missing" "The database has no schema";
}

/// A kind of failure of the database, rather than of a statement.
struct Failure {
    /// SQLSTATEs, or their first characters.
    states: &'static [&'static str],
    code: Code,
    fault: &'static str,
    /// The remedy. `None`: time cures it, so the answer has a `Retry-After`.
    remedy: Option<&'static str>,
    /// The failure is that of one piece of work, not of the whole database.
    is_local: bool,
}

/// Every kind of failure. The first match applies.
const FAILURES: [Failure; 10] = [
    Failure {
        states: &["40001", "40P01"],
        code: DATABASE_CONFLICT,
        fault: "a concurrent change stood in the way",
        remedy: None,
        is_local: true,
    },
    // cancelled, a lock not available, the time limits of transactions
    Failure {
        states: &["57014", "55P03", "25P03", "25P04"],
        code: DATABASE_SLOW,
        fault: "a statement exceeded a time limit of the database",
        remedy: None,
        is_local: true,
    },
    Failure {
        states: &["53100"],
        code: DATABASE_FULL,
        fault: "the disk of the database is full",
        remedy: Some("make room there"),
        is_local: false,
    },
    Failure {
        states: &["53"],
        code: DATABASE_BUSY,
        fault: "the database has no room for another request",
        remedy: None,
        is_local: false,
    },
    Failure {
        states: &["25006"],
        code: DATABASE_READ_ONLY,
        fault: "the database is read-only",
        remedy: Some("allow writing there"),
        is_local: false,
    },
    Failure {
        states: &["57P"],
        code: DATABASE_STOPPING,
        fault: "the database is stopping or starting",
        remedy: None,
        is_local: false,
    },
    // a wrong password, a database that was dropped
    Failure {
        states: &["28", "3D000"],
        code: DATABASE_REFUSED,
        fault: "the database refuses this server",
        remedy: Some("see the server log for the reason"),
        is_local: false,
    },
    Failure {
        states: &["42P01", "3F000"],
        code: SCHEMA_MISSING,
        fault: "the database has no schema",
        remedy: Some("run `concierge-sandbox migrate` or restart the server"),
        is_local: false,
    },
    TLS,
    AWAY,
];

const TLS: Failure = Failure {
    states: &[],
    code: DATABASE_TLS,
    fault: "the connection to the database can't be encrypted",
    remedy: Some("see the server log for the reason"),
    is_local: false,
};

const AWAY: Failure =
    Failure { states: &["08"], code: UNAVAILABLE, fault: "the database is unavailable", remedy: None, is_local: false };

/// Returns the kind of a failure, or `None` if a statement failed.
fn classify(error: &sqlx::Error) -> Option<&'static Failure> {
    let of = |code: &str| FAILURES.iter().find(|kind| kind.states.iter().any(|state| code.starts_with(state)));
    match error {
        sqlx::Error::Database(error) => of(&error.code()?),
        sqlx::Error::Tls(_) => Some(&TLS),
        // each connection is at work
        sqlx::Error::PoolTimedOut => of("53300"),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Some(&AWAY)
        }
        _ => None,
    }
}

/// Converts the failure of work to an answer. `is_unknown`: the request may have changed something.
pub(super) fn answer(error: &sqlx::Error, is_unknown: bool) -> Errors {
    let Some(kind) = classify(error) else {
        // rows are deleted only with their account
        if matches!(error, sqlx::Error::Database(error) if error.is_foreign_key_violation()) {
            let detail = "the account was reset or deleted during the request; repeat the request";
            return Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1);
        }
        tracing::error!(%error, "a statement failed");
        return Error::new(INTERNAL, "the server failed; see the server log for this X-Request-Id").into();
    };
    if kind.is_local {
        tracing::warn!(%error, "the database gave work up");
    }
    if is_unknown {
        return outcome_unknown(kind.fault);
    }
    kind.answer()
}

impl Failure {
    /// Answers a request that was not done.
    fn answer(&self) -> Errors {
        let fault = self.fault;
        let Some(remedy) = self.remedy else {
            let detail = format!("{fault}; the request was not done: repeat it in a moment");
            return Errors::from(Error::new(self.code, detail)).retry_after(1);
        };
        let detail = format!("{fault}; the request was not done: {remedy}, then repeat it");
        Error::new(self.code, detail).into()
    }
}

/// Answers a request that found the database in a state of this code.
pub(super) fn refused(code: Code) -> Errors {
    let kind = FAILURES.iter().find(|kind| kind.code == code).unwrap_or(&AWAY);
    kind.answer()
}

/// Answers a request whose change may be stored. Without `Retry-After`, because clients repeat what names one.
pub fn outcome_unknown(fault: &str) -> Errors {
    let detail = format!("{fault}; the request may or may not have been done: look before you repeat it");
    Error::new(OUTCOME_UNKNOWN, detail).into()
}

/// Returns whether work that failed so may be stored all the same. `is_committing`: its commit was sent.
pub(super) fn is_lost(error: &sqlx::Error, is_committing: bool) -> bool {
    let sqlx::Error::Database(error) = error else { return true };
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    match severity {
        // its transaction is rolled back
        Some(PgSeverity::Error) => false,
        // the session ended, after the commit perhaps
        Some(PgSeverity::Fatal) => is_committing,
        // the server crashed, in the middle of the commit perhaps
        _ => true,
    }
}

/// Returns the failure of work without an answer in time.
pub fn silence(limit: Duration) -> sqlx::Error {
    let silence = format!("the database did not answer within {} s", limit.as_secs());
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, silence))
}

/// Returns whether the failure is that of the whole database, not of one piece of work.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    classify(error).is_some_and(|kind| !kind.is_local)
}

/// Returns whether time alone may cure the failure of a connection.
pub(super) fn is_temporary(error: &sqlx::Error) -> bool {
    classify(error).is_some_and(|kind| kind.remedy.is_none())
}

/// Returns whether the work lost against a concurrent change, and can be done again at once.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    classify(error).is_some_and(|kind| kind.code == DATABASE_CONFLICT)
}

/// Returns whether the disk of the database is full.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    classify(error).is_some_and(|kind| kind.code == DATABASE_FULL)
}
