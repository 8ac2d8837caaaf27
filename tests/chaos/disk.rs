//! A small file system in memory, to be filled.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::postgres::open_folder;

/// Size of the file system. A fresh database takes half of it.
const SIZE: &str = "size=160m";

/// A file system of its own, unmounted when dropped.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one, as root or by a `sudo` that asks for no password.
    ///
    /// # Errors
    /// The reason for which this machine has none.
    pub fn mount() -> Result<Self, String> {
        if !cfg!(target_os = "linux") {
            return Err("a small file system in memory needs Linux".to_owned());
        }
        let disk = Self(open_folder());
        privileged("mount", &["-t", "tmpfs", "-o", SIZE, "tmpfs"], disk.path())?;
        privileged("chmod", &["777"], disk.path())?;
        Ok(disk)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all free space.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        // a write in parts takes the last pages too
        for size in [1 << 20, 1 << 12] {
            while filler.write_all(&vec![1; size]).is_ok() {}
        }
    }

    /// Gives the space back.
    pub fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(reason) = privileged("umount", &[], self.path()) {
            eprintln!("{} stays mounted: {reason}", self.path().display());
        }
    }
}

fn privileged(program: &str, arguments: &[&str], folder: &Path) -> Result<(), String> {
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", program]);
        sudo
    };
    let output = command.args(arguments).arg(folder).output().map_err(|error| format!("{program}: {error}"))?;
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {message}")) }
}
