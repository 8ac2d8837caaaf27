//! A small file system in memory, to be filled.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use tempfile::TempDir;

use crate::postgres::open_folder;

/// Size of the file system. A fresh database takes half of it.
const SIZE: &str = "size=160m";
const FILLER: &str = "filler";

/// A file system of its own. It ends with the last process that uses it.
pub struct SmallDisk {
    folder: TempDir,
    /// Its root, open as long as it exists.
    root: File,
}

impl SmallDisk {
    /// Mounts one, as root or by a `sudo` that asks for no password.
    ///
    /// # Errors
    /// The reason for which this machine has none.
    pub fn mount() -> Result<Self, String> {
        if !cfg!(target_os = "linux") {
            return Err("a small file system in memory needs Linux".to_owned());
        }
        let folder = open_folder();
        privileged("mount", &["-t", "tmpfs", "-o", &format!("{SIZE},mode=777"), "tmpfs"], folder.path())?;
        let root = File::open(folder.path()).unwrap();
        Ok(Self { folder, root })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes its path. Only open folders lead to it now, so that nothing is left after any end of this program.
    pub fn detach(&self) {
        privileged("umount", &["--lazy"], self.folder.path()).unwrap();
    }

    /// Takes all free space.
    pub fn fill(&self) {
        let flags = OFlags::WRONLY | OFlags::CREATE;
        let mut filler = File::from(openat(&self.root, FILLER, flags, Mode::RUSR | Mode::WUSR).unwrap());
        // small writes take the last pages too
        for size in [1 << 20, 1 << 12] {
            while filler.write_all(&vec![1; size]).is_ok() {}
        }
    }

    /// Gives the space back.
    pub fn empty(&self) {
        unlinkat(&self.root, FILLER, AtFlags::empty()).unwrap();
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
