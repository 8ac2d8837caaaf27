//! A private Postgres server, for machines without a configured one.
//!
//! It is a child process that runs the programs installed on this machine and listens on a unix socket only. It ends
//! with this process, even after `kill -9`. If it ends by itself, it is started again.
//!
//! This file starts and stops a server; the modules below provide the parts. Left to others: the choice of a private server,
//! connections to it, and its schema.

mod account; // the account that runs it
mod child; // a process that ends when we end
mod error; // failures and their remedies
mod folders; // its socket and its data
mod orphans; // processes that it leaves behind
mod programs; // initdb and postgres: search and execution
mod supervisor; // starts after an end

pub use orphans::adopt;
pub use programs::program_folders;

use crate::database::private::programs::PORT;
use crate::database::private::programs::USER;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use account::OsAccount;
use child::ProcessLog;
pub use error::PrivateError;
use folders::{DataDir, Scratch};
use programs::{Programs, Service};
use supervisor::Supervised;

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
    server: Supervised,
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
        let programs = programs.clone();
        // Only kept data needs an orderly shutdown.
        let signals: &[Signal] = if data.is_some() { &[Signal::INT, Signal::QUIT] } else { &[Signal::QUIT] };
        let service =
            Service { programs, cluster, scratch: scratch.folder.clone(), settings: options.settings, signals };
        let progress = Arc::new(ProcessLog::default());

        let deadline = Instant::now() + HANDOVER;
        let mut served = service.start(&progress);
        while let (Err(PrivateError::Failed { log }), Some(data)) = (&served, &data)
            && is_taken(log)
        {
            if Instant::now() > deadline {
                return Err(PrivateError::InUse { folder: data.folder.clone() });
            }
            #[expect(clippy::disallowed_methods, reason = "no notification exists for another process's child")]
            thread::sleep(Duration::from_millis(200));
            served = service.start(&progress);
        }
        Ok(Self { server: Supervised::watch(served?, service, progress), scratch, data })
    }

    /// Waits until the server is lost: it failed three times within a minute, and is not started again. Returns a sentence
    /// with the remedy.
    pub fn lost(&self) -> impl Future<Output = String> + use<> {
        let mut lost = self.server.lost();
        async move {
            let sentence = lost.wait_for(Option::is_some).await.ok().and_then(|lost| lost.clone());
            match sentence {
                Some(sentence) => sentence,
                // It was stopped.
                None => std::future::pending().await,
            }
        }
    }

    /// Leaves the server alone: from now on it is not started again.
    pub fn leave(&self) {
        self.server.leave();
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

    /// Returns the id of the main process of the present server.
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
