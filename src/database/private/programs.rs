//! Postgres's programs: the search for suitable ones, initdb to create a database and postgres to serve it.
//!
//! Left to others: the folders ([`super::folders`]), the account ([`super::account`]), and the life of a child process
//! ([`super::child`]).

use std::cmp::Reverse;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::Signal;

use super::account::OsAccount;
use super::child::{ProcessLog, ProcessState, Tied, Wish};
use super::error::PrivateError;
use crate::database::private::error::{OLDEST, START_LIMIT};

/// Oldest supported major version.
pub(super) const USER: &str = "postgres";

/// Time limit of initdb to end, and of postgres to become ready.
pub(super) const PORT: u16 = 5432;

/// Options of initdb: the same everywhere. The socket is in a closed folder, so no password is needed.
const INITDB: [&str; 4] = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"];

/// Usual locations of Postgres: a folder, the prefix of its subfolders with a version, and the path below those.
const USUAL: [(&str, &str, &str); 7] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ("/usr/local", "pgsql", "bin"),
];

/// Returns the folders to search for Postgres's programs: the ones in `PATH`, then the usual install folders.
pub fn program_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let installed = USUAL.into_iter().flat_map(|(parent, prefix, rest)| {
        entries(Path::new(parent), prefix).into_iter().map(move |folder| folder.join(rest))
    });
    on_path.chain(installed).collect()
}

/// Returns the command that installs Postgres on this system.
fn install_command() -> &'static str {
    if cfg!(target_os = "macos") {
        return "`brew install postgresql@17`";
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key| release.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    let systems = format!("{} {}", value("ID="), value("ID_LIKE=")).replace(['"', '\''], " ");
    let command = systems.split_whitespace().find_map(|system| match system {
        "debian" | "ubuntu" => Some("`apt-get install postgresql`"),
        "fedora" | "rhel" | "centos" => Some("`dnf install postgresql-server`"),
        "alpine" => Some("`apk add postgresql`"),
        "arch" => Some("`pacman -S postgresql`"),
        _ => None,
    });
    command.unwrap_or("its server, with your system's package manager")
}

/// The programs of one Postgres installation, and the account to run them as.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    folder: PathBuf,
    /// The major version.
    pub(super) major: u32,
    /// The account that runs them.
    pub(super) account: OsAccount,
}

impl Programs {
    /// Returns the supported installations in `folders`, newest first, at least one.
    pub(super) fn installed(folders: &[PathBuf], account: OsAccount) -> Result<Vec<Self>, PrivateError> {
        let mut all: Vec<Self> = folders.iter().filter_map(|folder| Self::look(folder, account)).collect();
        all.sort_by_key(|programs| Reverse(programs.major));
        let install = install_command();
        let found = all.first().ok_or(PrivateError::NotFound { install })?.major;
        if found < OLDEST {
            return Err(PrivateError::TooOld { found, install });
        }
        all.retain(|programs| programs.major >= OLDEST);
        Ok(all)
    }

    /// Returns the installation in `folder`, if it has one that the account can run.
    fn look(folder: &Path, account: OsAccount) -> Option<Self> {
        let postgres = folder.join("postgres");
        if !postgres.is_file() || !folder.join("initdb").is_file() {
            return None;
        }
        let output = account.command(postgres).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        // As in "postgres (PostgreSQL) 17.2 (Debian 17.2-1)" or "17beta1".
        let major = text.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?;
        Some(Self { folder: folder.into(), major: major.parse().ok()?, account })
    }

    /// Creates a database in the empty folder `cluster`. If we are killed meanwhile, `doomed` is removed.
    pub(super) fn initdb(&self, cluster: &Path, flags: &[&str], doomed: &Path) -> Result<(), PrivateError> {
        let mut args: Vec<OsString> = vec!["-D".into(), cluster.into(), format!("--username={USER}").into()];
        args.extend(INITDB.iter().chain(flags).map(OsString::from));
        let program = self.folder.join("initdb");
        let mut initdb = Tied::spawn(self.account, &program, &args, doomed, &[Signal::QUIT], &Arc::default())?;
        let progress = initdb.wait_until(START_LIMIT, |progress| progress.ended);
        if !progress.ended {
            return Err(PrivateError::TimedOut { log: progress.lines() });
        }
        if initdb.finish().is_ok_and(|status| status.success()) { Ok(()) } else { Err(progress.failure(cluster)) }
    }
}

/// A database to serve: the same at each start.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) programs: Programs,
    /// The folder of the database.
    pub(super) cluster: PathBuf,
    /// The folder of the socket, removed if we are killed.
    pub(super) scratch: PathBuf,
    pub(super) settings: Vec<(&'static str, String)>,
    /// The signals that stop the server, the gentlest first.
    pub(super) signals: &'static [Signal],
}

impl Service {
    /// Starts the server, with its progress in `log`, and waits until it is ready. Gives up as soon as it is not to run.
    pub(super) fn start(&self, log: &Arc<ProcessLog>) -> Result<Tied, PrivateError> {
        let ours = [
            ("listen_addresses", String::new()),
            ("unix_socket_directories", format!("\"{}\"", self.scratch.display())),
            ("port", PORT.to_string()),
            // We read its log: on standard error, in English.
            ("lc_messages", "C".into()),
            ("logging_collector", "off".into()),
            ("log_destination", "stderr".into()),
        ];
        let mut args: Vec<OsString> = vec!["-D".into(), self.cluster.as_os_str().into()];
        for (name, value) in ours.iter().chain(&self.settings) {
            args.extend(["-c".into(), format!("{name}={value}").into()]);
        }
        let Programs { folder, account, .. } = &self.programs;
        let server = Tied::spawn(*account, &folder.join("postgres"), &args, &self.scratch, self.signals, log)?;
        match server.wait_until(START_LIMIT, |state| state.ready || state.ended || state.wish > Wish::Run) {
            state @ ProcessState { ended: true, .. } => Err(state.failure(&self.cluster)),
            ProcessState { ready: true, .. } => Ok(server),
            state => Err(PrivateError::TimedOut { log: state.lines() }),
        }
    }
}

/// The paths in `folder` whose name begins with `prefix`; none if it can't be read.
pub(super) fn entries(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = found.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()));
    named.map(|entry| entry.path()).collect()
}
