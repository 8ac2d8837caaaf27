//! A Postgres server of our own, for those who have not set up one: found among the programs installed on this
//! machine, started as a child process that listens on a unix socket only, and gone when we are gone, even by
//! `kill -9`.
//!
//! This file tells how a server starts and stops; the chapters below tell of what it takes. Left to others: when to
//! want one, connecting to it, and what is put in it.

mod account; // as whom it runs
mod child; // a process that ends when we end
mod error; // why there is none, and what to do
mod folders; // where its socket and its data are
mod programs; // initdb and postgres: found and run

pub use programs::program_folders;

use crate::database::private::programs::PORT;
use crate::database::private::programs::USER;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use account::Account;
use child::Tied;
pub use error::PrivateError;
use folders::{DataDir, Scratch};
use programs::Programs;

/// How long the server of a killed owner may still be on its way out of a data directory.
const HANDOVER: Duration = Duration::from_secs(8);

/// What kind of server to start.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// Where the database is kept, made if missing; `None` for one that is thrown away at the end.
    pub data_dir: Option<PathBuf>,
    /// Further settings for the server, as in `postgres -c name=value`.
    pub settings: Vec<(&'static str, String)>,
}

/// A Postgres server of our own: a child process on a unix socket, tied to our life.
///
/// Dropping it stops the server, as [`PrivatePostgres::stop`] does.
#[derive(Debug)]
pub struct PrivatePostgres {
    // Dropped in this order: the server goes before its folder, and the claim on the data last.
    server: Tied,
    scratch: Scratch,
    data: Option<DataDir>,
}

impl PrivatePostgres {
    /// Starts the newest Postgres installed that suits, and waits until it accepts connections.
    ///
    /// # Errors
    /// Any [`PrivateError`]; nothing is left running then.
    pub fn start(options: Options) -> Result<Self, PrivateError> {
        Self::start_from(&programs::program_folders(), options)
    }

    /// Like [`PrivatePostgres::start`], with Postgres looked for in `folders` only.
    ///
    /// # Errors
    /// As [`PrivatePostgres::start`].
    pub fn start_from(folders: &[PathBuf], options: Options) -> Result<Self, PrivateError> {
        let account = Account::choose()?;
        let programs = Programs::installed(folders, account)?;
        folders::sweep(account);
        let data = options.data_dir.map(|folder| DataDir::claim(&folder, account)).transpose()?;
        let scratch = Scratch::make(account)?;
        let (cluster, programs) = match &data {
            Some(data) => data.cluster(&programs)?,
            None => (scratch.cluster(&programs[0])?, &programs[0]),
        };
        // Only data that are kept are worth an orderly end.
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
            #[expect(clippy::disallowed_methods, reason = "nothing tells when somebody else's child has ended")]
            thread::sleep(Duration::from_millis(200));
            served = serve();
        }
        Ok(Self { server: served?, scratch, data })
    }

    /// The folder that holds the server's socket, closed to all but the account that runs it.
    pub fn socket_dir(&self) -> &Path {
        &self.scratch.folder
    }

    /// The number in the socket's name; no network port is open.
    pub fn port(&self) -> u16 {
        PORT
    }

    /// The superuser to connect as; no password is asked for.
    pub fn user(&self) -> &str {
        USER
    }

    /// Whether the data go when the server stops.
    pub fn is_throw_away(&self) -> bool {
        self.data.is_none()
    }

    /// The server's main process.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Stops the server and removes what is not to be kept; a kept database is shut down in order.
    pub fn stop(self) {}
}

/// Whether a server could not start only because another one has not left its data yet.
fn is_taken(log: &str) -> bool {
    log.contains("postmaster.pid\" already exists") || log.contains("is still in use")
}
