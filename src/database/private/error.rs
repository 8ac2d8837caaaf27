//! Why there is no private server: the cases, and for each a message that says what to do about it.
//!
//! Left to others: telling which case it is; only errors of the file system are sorted here.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The oldest major version that will do.
pub(super) const OLDEST: u32 = 15;

/// How long initdb may take to end, and postgres to be ready.
pub(super) const START_LIMIT: Duration = Duration::from_mins(1);

/// Why there is no server of our own; each message is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    /// No folder that was looked in has both initdb and postgres.
    #[error(
        "PostgreSQL was not found on this machine: install it ({install}), or bring your own by setting DATABASE_URL \
         or with `docker compose up`"
    )]
    NotFound {
        /// The command that installs Postgres on this system.
        install: &'static str,
    },
    /// Even the newest Postgres here is older than we can use.
    #[error(
        "PostgreSQL {found} is too old, {OLDEST} is the oldest that will do: install a newer one ({install}), or \
         bring your own by setting DATABASE_URL or with `docker compose up`"
    )]
    TooOld {
        /// Its major version.
        found: u32,
        /// The command that installs Postgres on this system.
        install: &'static str,
    },
    /// We are root, and there is nobody else to be.
    #[error(
        "PostgreSQL refuses to run as root, and neither of the accounts postgres and nobody can be used to run it: \
         start as an ordinary user, or set DATABASE_URL"
    )]
    NoAccount,
    /// We may enter the data directory as root, but Postgres may not.
    #[error(
        "the data directory is out of reach for the account {account}, which runs PostgreSQL because root may not: \
         let it into {barrier:?} (`chmod o+x`), or choose a data directory elsewhere"
    )]
    OutOfReach {
        /// The first folder on the way that is closed.
        barrier: PathBuf,
        /// The account that runs Postgres.
        account: &'static str,
    },
    /// The data are in the format of a Postgres that is not installed.
    #[error(
        "the database in {cluster:?} was made by PostgreSQL {made_by}, but only {installed} is installed: install \
         PostgreSQL {made_by}, or choose another data directory"
    )]
    OtherVersion {
        /// The folder of the database.
        cluster: PathBuf,
        /// The major version that its data are of.
        made_by: String,
        /// The major versions here.
        installed: String,
    },
    /// Somebody else's server, or another one of ours, works on these data.
    #[error(
        "the data directory {folder:?} is in use by another server: stop that one, or choose another data directory"
    )]
    InUse {
        /// The data directory.
        folder: PathBuf,
    },
    /// What is there was not made by us, and is left alone.
    #[error("{folder:?} holds something else than our database: choose an empty or a new data directory")]
    NotOurs {
        /// The folder with the other things.
        folder: PathBuf,
    },
    /// Postgres refuses data of another account than its own.
    #[error(
        "the database in {cluster:?} belongs to another account (id {owner}) than PostgreSQL would run as (id \
         {runner}): start as its owner, or choose another data directory"
    )]
    OtherOwner {
        /// The folder of the database.
        cluster: PathBuf,
        /// The user id that it belongs to.
        owner: u32,
        /// The user id that would run Postgres.
        runner: u32,
    },
    /// Nothing more can be written, which Postgres can't do without.
    #[error(
        "the disk that holds {path:?} is full: free some space there, or choose another place (the data directory, or \
         TMPDIR for a throw-away database)"
    )]
    DiskFull {
        /// What was to be written.
        path: PathBuf,
    },
    /// initdb or postgres ended, for a reason that only its own words tell.
    #[error("PostgreSQL could not start, mend what its last lines tell of:\n{log}")]
    Failed {
        /// Its last lines.
        log: String,
    },
    /// initdb or postgres runs but does not come to an end or a start.
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
        /// What was to be done with it: one word.
        action: &'static str,
        /// The file, folder or program.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Turns an I/O error into ours.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrivateError {
    move |cause| match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PrivateError::DiskFull { path: path.into() },
        _ => PrivateError::Io { action, path: path.into(), cause },
    }
}
