//! As whom Postgres runs: as ourselves, or, since it refuses to run as root, as another account if we are root.
//!
//! What differs between the two is here: commands, folders, and what is out of reach. Left to others: which commands
//! and which folders.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, fchown, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;

use super::error::{PrivateError, failed};

/// Prints a line for each folder of its arguments that can be entered, up to the first that can't.
const ENTER: &str = r#"for folder do cd "$folder" 2>/dev/null || exit 0; echo; done"#;

/// The account that Postgres runs as: ours, or another one if we are root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    /// Its name; empty for ours.
    pub(super) name: &'static str,
    /// Its user and group if it is not ours.
    ids: Option<(u32, u32)>,
}

impl Account {
    /// Ours, or the first one that root can be instead.
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
            // In a container even root may not be allowed to be somebody else.
            if account.ids.is_some() && account.command("/bin/sh").args(["-c", ":"]).status().is_ok() {
                return Ok(account);
            }
        }
        Err(PrivateError::NoAccount)
    }

    /// Its user id.
    pub(super) fn uid(self) -> u32 {
        self.ids.map_or(geteuid().as_raw(), |(uid, _)| uid)
    }

    /// A command that runs as this account, in a folder that it can enter, and speaks English.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C");
        // What is set for somebody's psql is not meant for this server.
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

    /// Makes a folder that only this account can enter.
    pub(super) fn make_folder(self, folder: &Path) -> Result<(), PrivateError> {
        let made = DirBuilder::new().mode(0o700).create(folder);
        let owned = made.and_then(|()| match self.ids {
            Some((uid, gid)) => lchown(folder, Some(uid), Some(gid)),
            None => Ok(()),
        });
        owned.map_err(failed("make", folder))
    }

    /// Hands this account a file that we have made.
    pub(super) fn own(self, file: &File) -> io::Result<()> {
        match self.ids {
            Some((uid, gid)) => fchown(file, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// The first folder on the way into `folder` that keeps this account out.
    pub(super) fn barrier(self, folder: &Path) -> Option<PathBuf> {
        self.ids?;
        let mut way: Vec<&Path> = folder.ancestors().collect();
        way.reverse();
        let output = self.command("/bin/sh").args(["-c", ENTER, "sh"]).args(&way).output();
        let entered = output.map_or(0, |output| output.stdout.len());
        way.get(entered).map(PathBuf::from)
    }
}
