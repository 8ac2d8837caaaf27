//! A private Postgres server, for machines without a configured one.
//!
//! It is a child process that runs the programs installed on this machine and listens on a unix socket only. It ends
//! with this process, even after `kill -9`.
//!
//! This file starts and stops a server; the modules below provide the parts. Left to others: the choice of a private server,
//! connections to it, and its schema.

mod account; // the account that runs it
mod child; // a process that ends when we end
mod error; // failures and their remedies
mod folders; // its socket and its data
mod programs; // initdb and postgres: search and execution

pub use programs::program_folders;

use crate::database::private::programs::PORT;
use crate::database::private::programs::USER;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use account::OsAccount;
use child::Tied;
pub use error::PrivateError;
use folders::{DataDir, Scratch};
use programs::Programs;

/// Longest wait for the server of a killed owner to leave a data directory.
const HANDOVER: Duration = Duration::from_secs(8);

/// Options of a private server.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// Folder of the database, created if missing; `None` for a database that is deleted at the end.
    pub data_dir: Option<PathBuf>,
    /// Additional settings of the server, as in `postgres -c name=value`.
    pub settings: Vec<(&'static str, String)>,
}

/// A private Postgres server: a child process on a unix socket, which ends when we end.
///
/// Dropping it stops the server, like [`PrivatePostgres::stop`].
#[derive(Debug)]
pub struct PrivatePostgres {
    // Dropped in this order: the server before its folder, the lock on the data last.
    server: Tied,
    scratch: Scratch,
    data: Option<DataDir>,
}

impl PrivatePostgres {
    /// Starts the newest suitable Postgres of this machine, and waits until it accepts connections.
    ///
    /// # Errors
    /// Any [`PrivateError`]; no process is left running.
    pub fn start(options: Options) -> Result<Self, PrivateError> {
        Self::start_from(&programs::program_folders(), options)
    }

    /// Does the same as [`PrivatePostgres::start`] with the Postgres programs in `folders` only.
    ///
    /// # Errors
    /// As in [`PrivatePostgres::start`].
    pub fn start_from(folders: &[PathBuf], options: Options) -> Result<Self, PrivateError> {
        let account = OsAccount::choose()?;
        let programs = Programs::installed(folders, account)?;
        folders::sweep(account);
        let data = options.data_dir.map(|folder| DataDir::claim(&folder, account)).transpose()?;
        let scratch = Scratch::make(account)?;
        let (cluster, programs) = match &data {
            Some(data) => data.cluster(&programs)?,
            None => (scratch.cluster(&programs[0])?, &programs[0]),
        };
        // Only kept data needs an orderly shutdown.
        let signals: &[Signal] = if data.is_some() { &[Signal::INT, Signal::QUIT] } else { &[Signal::QUIT] };
        let serve = || programs.serve(&cluster, &scratch.folder, &options.settings, signals);

        let deadline = Instant::now() + HANDOVER;
        let mut served = serve();
        while let (Err(PrivateError::Failed { log }), Some(data)) = (&served, &data)
            && is_taken(log)
        {
            if Instant::now() > deadline {
                return Err(PrivateError::InUse { folder: data.folder.clone() });
            }
            #[expect(clippy::disallowed_methods, reason = "no notification exists for another process's child")]
            thread::sleep(Duration::from_millis(200));
            served = serve();
        }
        Ok(Self { server: served?, scratch, data })
    }

    /// Returns the folder of the server's socket, closed to all accounts but the server's.
    pub fn socket_dir(&self) -> &Path {
        &self.scratch.folder
    }

    /// Returns the port number in the socket's name; no network port is open.
    pub fn port(&self) -> u16 {
        PORT
    }

    /// Returns the superuser to connect as; it needs no password.
    pub fn user(&self) -> &str {
        USER
    }

    /// Returns whether the data is deleted when the server stops.
    pub fn is_temporary(&self) -> bool {
        self.data.is_none()
    }

    /// Returns the id of the server's main process.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Stops the server and deletes temporary data. A kept database is shut down in order.
    pub fn stop(self) {}
}

/// Returns whether a server failed to start only because another server still uses its data.
fn is_taken(log: &str) -> bool {
    log.contains("postmaster.pid\" already exists") || log.contains("is still in use")
}
