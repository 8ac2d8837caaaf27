//! Reasons for a missing private server, each with a message that names a remedy.
//!
//! Left to others: the choice of the case, except for errors of the file system.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The oldest major version that will do.
pub(super) const OLDEST: u32 = 15;

/// How long initdb may take to end, and postgres to be ready.
pub(super) const START_LIMIT: Duration = Duration::from_mins(1);

/// Reasons for a missing private server. Each message is one sentence and names a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    /// No searched folder has both initdb and postgres.
    #[error(
        "PostgreSQL was not found on this machine: install it ({install}), or bring your own by setting DATABASE_URL \
         or with `docker compose up`"
    )]
    NotFound {
        /// Command that installs Postgres on this system.
        install: &'static str,
    },
    /// Even the newest Postgres here is too old for us.
    #[error(
        "PostgreSQL {found} is too old, version {OLDEST} or newer is needed: install a newer one ({install}), or \
         bring your own by setting DATABASE_URL or with `docker compose up`"
    )]
    TooOld {
        /// Its major version.
        found: u32,
        /// Command that installs Postgres on this system.
        install: &'static str,
    },
    /// We are root, and no other account is usable.
    #[error(
        "PostgreSQL refuses to run as root, and neither of the accounts postgres and nobody can be used to run it: \
         start as an ordinary user, or set DATABASE_URL"
    )]
    NoAccount,
    /// We may enter the data directory as root, but Postgres may not.
    #[error(
        "the data directory is closed to the account {account}, which runs PostgreSQL because root may not: \
         open {barrier:?} to it (`chmod o+x`), or choose a data directory elsewhere"
    )]
    OutOfReach {
        /// The first closed folder on the path.
        barrier: PathBuf,
        /// The account that runs Postgres.
        account: &'static str,
    },
    /// The data has the format of a Postgres version that is not installed.
    #[error(
        "the database in {cluster:?} was created by PostgreSQL {made_by}, but only {installed} is installed: install \
         PostgreSQL {made_by}, or choose another data directory"
    )]
    OtherVersion {
        /// The folder of the database.
        cluster: PathBuf,
        /// The major version of its data.
        made_by: String,
        /// The installed major versions.
        installed: String,
    },
    /// Another server, of ours or not, uses this data.
    #[error(
        "the data directory {folder:?} is in use by another server: stop that one, or choose another data directory"
    )]
    InUse {
        /// The data directory.
        folder: PathBuf,
    },
    /// The files in the folder are not ours, and are left alone.
    #[error("{folder:?} holds files that are not our database: choose an empty or a new data directory")]
    NotOurs {
        /// The folder with these files.
        folder: PathBuf,
    },
    /// Postgres accepts only data of its own account.
    #[error(
        "the database in {cluster:?} belongs to another account (id {owner}) than PostgreSQL would run as (id \
         {runner}): start as its owner, or choose another data directory"
    )]
    OtherOwner {
        /// The folder of the database.
        cluster: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user id that would run Postgres.
        runner: u32,
    },
    /// The disk is full, and Postgres needs to write.
    #[error(
        "the disk that holds {path:?} is full: free some space there, or choose another place (the data directory, or \
         TMPDIR for a temporary database)"
    )]
    DiskFull {
        /// The file or folder to write.
        path: PathBuf,
    },
    /// initdb or postgres ended, for a reason given only in its own log.
    #[error("PostgreSQL could not start, remove the cause that its last lines name:\n{log}")]
    Failed {
        /// Its last lines.
        log: String,
    },
    /// It ran, and ended again and again.
    #[error(
        "the private PostgreSQL failed three times within a minute (at last: {how}; its last line: {last_line:?}): see \
         that it has memory and disk space and that nothing kills it, or bring your own by setting DATABASE_URL"
    )]
    Lost {
        /// The last failure.
        how: String,
        /// Its last line about itself.
        last_line: String,
    },
    /// initdb did not end, or postgres did not become ready, in time.
    #[error(
        "PostgreSQL was not ready within {limit} s, try again when this machine is less busy; its last lines:\n{log}",
        limit = START_LIMIT.as_secs()
    )]
    TimedOut {
        /// Its last lines.
        log: String,
    },
    /// A file, folder or program could not be used.
    #[error("could not {action} {path:?}, check that it is there and its permissions: {cause}")]
    Io {
        /// The action that failed: one word.
        action: &'static str,
        /// The file, folder or program.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
}

/// Converts an I/O error to ours.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrivateError {
    move |cause| match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PrivateError::DiskFull { path: path.into() },
        _ => PrivateError::Io { action, path: path.into(), cause },
    }
}
