//! The account that runs Postgres: our own or, because Postgres refuses to run as root, another one if we are root.
//!
//! The differences between the two are here: commands, folders and access to paths. Left to others: the choice of commands
//! and folders.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, fchown, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;

use super::error::{PrivateError, failed};

/// Prints a line for each folder in its arguments, up to the first inaccessible one.
const ENTER: &str = r#"for folder do cd "$folder" 2>/dev/null || exit 0; echo; done"#;

/// The account that runs Postgres: ours, or another one if we are root.
#[derive(Debug, Clone, Copy)]
pub(super) struct OsAccount {
    /// Its name; empty for ours.
    pub(super) name: &'static str,
    /// Its user id and group id, unless it is ours.
    ids: Option<(u32, u32)>,
}

impl OsAccount {
    /// Returns our own account or, for root, the first usable one of `postgres` and `nobody`.
    pub(super) fn choose() -> Result<Self, PrivateError> {
        if !geteuid().is_root() {
            return Ok(Self { name: "", ids: None });
        }
        let id = |flag, name| -> Option<u32> {
            let output = Command::new("id").args([flag, name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        for name in ["postgres", "nobody"] {
            let account = Self { name, ids: id("-u", name).zip(id("-g", name)) };
            // In a container even root may not be allowed to change accounts.
            if account.ids.is_some() && account.command("/bin/sh").args(["-c", ":"]).status().is_ok() {
                return Ok(account);
            }
        }
        Err(PrivateError::NoAccount)
    }

    /// Returns its user id.
    pub(super) fn uid(self) -> u32 {
        self.ids.map_or(geteuid().as_raw(), |(uid, _)| uid)
    }

    /// Builds a command that runs as this account, in an accessible folder and in English.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C");
        // These variables are set for psql, not for this server.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Creates a folder that only this account can enter.
    pub(super) fn make_folder(self, folder: &Path) -> Result<(), PrivateError> {
        let made = DirBuilder::new().mode(0o700).create(folder);
        let owned = made.and_then(|()| match self.ids {
            Some((uid, gid)) => lchown(folder, Some(uid), Some(gid)),
            None => Ok(()),
        });
        owned.map_err(failed("create", folder))
    }

    /// Gives a file of ours to this account.
    pub(super) fn own(self, file: &File) -> io::Result<()> {
        match self.ids {
            Some((uid, gid)) => fchown(file, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Returns the first folder on the path to `folder` that is closed to this account.
    pub(super) fn barrier(self, folder: &Path) -> Option<PathBuf> {
        self.ids?;
        let mut path: Vec<&Path> = folder.ancestors().collect();
        path.reverse();
        let output = self.command("/bin/sh").args(["-c", ENTER, "sh"]).args(&path).output();
        let entered = output.map_or(0, |output| output.stdout.len());
        path.get(entered).map(PathBuf::from)
    }
}
