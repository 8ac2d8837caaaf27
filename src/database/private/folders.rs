//! The folders of a server: a temporary folder for its socket and temporary data, and the data directory for kept
//! data.
//!
//! Both are locked while we run, and the system unlocks them when we end. So the next server knows which folders it
//! may remove or take over. Left to others: the programs that run in them.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::iter::repeat_n;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf, absolute};

use rustix::fs::OFlags;

use super::account::OsAccount;
use super::error::{PrivateError, failed};
use super::programs::Programs;
use crate::database::private::programs::entries;

/// Prefix of the names of temporary folders.
const PREFIX: &str = "concierge-sandbox-";

/// The lock in a temporary folder, which also marks it as ours.
const SCRATCH_LOCK: &str = "throw-away.lock";

/// The lock in a data directory, which also marks it as ours.
const DATA_LOCK: &str = "concierge-sandbox.lock";

/// The folder of the database in either; the watcher in `child.rs` uses the same name.
const CLUSTER: &str = "postgres";

/// Prefix of the name of that folder while initdb fills it.
const STAGING: &str = "postgres.new-";

/// The socket's path below its folder.
const SOCKET: &str = "/.s.PGSQL.5432";

/// Longest path of a unix socket on every system: 104 bytes, one of them the NUL.
const LONGEST_SOCKET: usize = 103;

/// A folder in the temp folder for the socket and temporary data, locked while we run and removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Its path.
    pub(super) folder: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Creates one in the first usable temp folder.
    pub(super) fn make(account: OsAccount) -> Result<Self, PrivateError> {
        let closed = io::Error::other("PostgreSQL's account cannot enter it");
        let mut outcome = Err(failed("use", &std::env::temp_dir())(closed));
        for parent in temp_folders().iter().flat_map(|parent| repeat_n(parent, 3)) {
            let folder = parent.join(format!("{PREFIX}{}", random_suffix()));
            // The limits of PostgreSQL's list of socket folders and of the system's addresses.
            let fits = |path: &str| path.len() + SOCKET.len() <= LONGEST_SOCKET && !path.contains('"');
            if !folder.to_str().is_some_and(fits) || account.barrier(parent).is_some() {
                continue;
            }
            outcome = Self::make_in(folder, account);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    // Another server may remove it until it is locked, so we check that it still exists.
    fn make_in(folder: PathBuf, account: OsAccount) -> Result<Self, PrivateError> {
        account.make_folder(&folder)?;
        let locked = File::create_new(folder.join(SCRATCH_LOCK)).and_then(|file| {
            file.try_lock()?;
            match file.metadata()?.nlink() {
                0 => Err(io::ErrorKind::NotFound.into()),
                _ => Ok(file),
            }
        });
        let lock = locked.map_err(failed("create", &folder))?;
        Ok(Self { folder, _lock: lock })
    }

    /// Creates a database that is removed with the folder, and returns the folder of the database.
    pub(super) fn cluster(&self, programs: &Programs) -> Result<PathBuf, PrivateError> {
        let cluster = self.folder.join(CLUSTER);
        programs.account.make_folder(&cluster)?;
        programs.initdb(&cluster, &["--no-sync"], &self.folder)?;
        Ok(cluster)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_scratch(&self.folder);
    }
}

/// Removes a temporary folder.
// The lock is removed last, so that the remains of an interrupted removal are still known as ours.
fn remove_scratch(folder: &Path) {
    let removed = match fs::remove_dir_all(folder.join(CLUSTER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::remove_dir_all(folder),
    };
    if let Err(error) = removed {
        tracing::warn!("could not remove {}: {error}", folder.display());
    }
}

/// Removes the temporary folders left by killed servers of this account.
pub(super) fn sweep(account: OsAccount) {
    for folder in temp_folders().iter().flat_map(|parent| entries(parent, PREFIX)) {
        // Any user may put files there under our name, and as root we must not trust them.
        let ours = |found: Metadata| found.is_dir() && found.uid() == account.uid();
        if !fs::symlink_metadata(&folder).is_ok_and(ours) {
            continue;
        }
        match open_lock(&folder.join(SCRATCH_LOCK), OpenOptions::new().read(true)) {
            Ok(lock) if lock.try_lock().is_ok() => remove_scratch(&folder),
            // Left by an account that could empty the folder but not remove it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => drop(fs::remove_dir(&folder)),
            _ => {}
        }
    }
}

/// A folder for a database that is kept, locked against other servers.
#[derive(Debug)]
pub(super) struct DataDir {
    /// Its path, without links.
    pub(super) folder: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Locks the folder, created if missing, unless it holds files that are not ours.
    pub(super) fn claim(folder: &Path, account: OsAccount) -> Result<Self, PrivateError> {
        let folder = Self::reach(folder, account)?;
        let path = folder.join(DATA_LOCK);
        fs::read_dir(&folder).map_err(failed("read", &folder))?;
        let foreign = |path: &PathBuf| !path.ends_with("lost+found");
        if entries(&folder, "").iter().any(foreign) && !path.exists() {
            return Err(PrivateError::NotOurs { folder });
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let lock = open_lock(&path, &mut options).map_err(failed("open", &path))?;
        account.own(&lock).map_err(failed("own", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(PrivateError::InUse { folder }),
            Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }

    /// Creates the folder if missing, resolves its path, and checks that the account can enter it.
    fn reach(folder: &Path, account: OsAccount) -> Result<PathBuf, PrivateError> {
        let wanted = absolute(folder).map_err(failed("find", folder))?;
        let (there, missing): (Vec<&Path>, Vec<&Path>) = wanted.ancestors().partition(|path| path.exists());
        let there = there.first().copied().unwrap_or(Path::new("/"));
        let there = there.canonicalize().map_err(failed("find", there))?;
        if !there.is_dir() {
            return Err(failed("use", &there)(io::ErrorKind::NotADirectory.into()));
        }
        if let Some(barrier) = account.barrier(&there) {
            return Err(PrivateError::OutOfReach { barrier, account: account.name });
        }
        for folder in missing.iter().rev() {
            account.make_folder(folder)?;
        }
        wanted.canonicalize().map_err(failed("find", &wanted))
    }

    /// Returns the database's folder, created if missing, and the programs of its version.
    pub(super) fn cluster<'a>(&self, programs: &'a [Programs]) -> Result<(PathBuf, &'a Programs), PrivateError> {
        for left_over in entries(&self.folder, STAGING) {
            // Its own watcher may be removing it too, and its name is never used again.
            let _ = fs::remove_dir_all(&left_over);
        }
        let cluster = self.folder.join(CLUSTER);
        if !cluster.exists() {
            self.make_cluster(&cluster, &programs[0])?;
        }
        let runner = programs[0].account.uid();
        let owner = cluster.metadata().map_err(failed("read", &cluster))?.uid();
        if owner != runner {
            return Err(PrivateError::OtherOwner { cluster, owner, runner });
        }
        let Ok(made_by) = fs::read_to_string(cluster.join("PG_VERSION")) else {
            return Err(PrivateError::NotOurs { folder: cluster });
        };
        let made_by = made_by.trim().to_owned();
        if let Some(suitable) = programs.iter().find(|one| one.major.to_string() == made_by) {
            return Ok((cluster, suitable));
        }
        let mut majors: Vec<_> = programs.iter().map(|one| one.major.to_string()).collect();
        majors.dedup();
        Err(PrivateError::OtherVersion { cluster, made_by, installed: majors.join(", ") })
    }

    /// Creates the database.
    // Created under another name and renamed when complete, so that an interrupted initdb never counts as a database.
    fn make_cluster(&self, cluster: &Path, programs: &Programs) -> Result<(), PrivateError> {
        let staging = self.folder.join(format!("{STAGING}{}", random_suffix()));
        programs.account.make_folder(&staging)?;
        let made = programs.initdb(&staging, &[], &staging).and_then(|()| {
            fs::rename(&staging, cluster).map_err(failed("create", cluster))?;
            let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
            synced.map_err(failed("write", &self.folder))
        });
        if made.is_err() {
            let _ = fs::remove_dir_all(&staging);
        }
        made
    }
}

/// Opens a lock file in a folder that belongs to Postgres's account.
// No links and no pipes: as root we would follow them anywhere.
fn open_lock(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(flags.bits().cast_signed()).open(path)
}

/// Returns the parents of temporary folders: the environment's choice first, then the usual ones.
fn temp_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = absolute(std::env::temp_dir()).into_iter().collect();
    for usual in ["/tmp", "/var/tmp"].map(PathBuf::from) {
        if !folders.contains(&usual) {
            folders.push(usual);
        }
    }
    folders
}

/// Returns six random hexadecimal digits, so that names do not collide.
fn random_suffix() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{:06x}", random & 0xff_ffff)
}
