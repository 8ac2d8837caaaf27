//! Where a server's files are: a throw-away folder for its socket and for data that nobody keeps, and the data
//! directory for those that somebody does.
//!
//! Both are locked while we live; the system unlocks them when we are gone, and that is how the next server knows
//! what it may sweep away or take over. Left to others: what runs in them.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::iter::repeat_n;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf, absolute};

use rustix::fs::OFlags;

use super::account::Account;
use super::error::{PrivateError, failed};
use super::programs::Programs;
use crate::database::private::programs::entries;

/// How the names of throw-away folders begin.
const PREFIX: &str = "concierge-sandbox-";

/// The lock in a throw-away folder, which also marks it as ours.
const SCRATCH_LOCK: &str = "throw-away.lock";

/// The lock in a data directory, which also marks it as ours.
const DATA_LOCK: &str = "concierge-sandbox.lock";

/// The folder of the database in either; the watcher in `child.rs` knows it too.
const CLUSTER: &str = "postgres";

/// How the name of that folder begins while initdb is at work.
const STAGING: &str = "postgres.new-";

/// What the socket's path adds to that of its folder.
const SOCKET: &str = "/.s.PGSQL.5432";

/// The longest path a unix socket can have on every system: 104 bytes, one of them the NUL.
const LONGEST_SOCKET: usize = 103;

/// A folder in the temp folder for the socket and for throw-away data, locked while we live and removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Its path.
    pub(super) folder: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes one in the first temp folder that will do.
    pub(super) fn make(account: Account) -> Result<Self, PrivateError> {
        let closed = io::Error::other("PostgreSQL's account cannot enter it");
        let mut outcome = Err(failed("use", &std::env::temp_dir())(closed));
        for parent in temp_folders().iter().flat_map(|parent| repeat_n(parent, 3)) {
            let folder = parent.join(format!("{PREFIX}{}", random_suffix()));
            // What PostgreSQL's list of socket folders and the system's addresses can hold.
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

    // Until it is locked another server may sweep it away, so we look whether it is still there.
    fn make_in(folder: PathBuf, account: Account) -> Result<Self, PrivateError> {
        account.make_folder(&folder)?;
        let locked = File::create_new(folder.join(SCRATCH_LOCK)).and_then(|file| {
            file.try_lock()?;
            match file.metadata()?.nlink() {
                0 => Err(io::ErrorKind::NotFound.into()),
                _ => Ok(file),
            }
        });
        let lock = locked.map_err(failed("make", &folder))?;
        Ok(Self { folder, _lock: lock })
    }

    /// Makes a database that goes with the folder; its folder.
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

/// Removes a throw-away folder.
// The lock goes last, so that what a broken-off removal leaves can still be told as ours.
fn remove_scratch(folder: &Path) {
    let removed = match fs::remove_dir_all(folder.join(CLUSTER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::remove_dir_all(folder),
    };
    if let Err(error) = removed {
        tracing::warn!("could not remove {}: {error}", folder.display());
    }
}

/// Removes what killed servers of this account have left in the temp folders.
pub(super) fn sweep(account: Account) {
    for folder in temp_folders().iter().flat_map(|parent| entries(parent, PREFIX)) {
        // Anybody may put anything there under our name, and as root we must not fall for it.
        let ours = |found: Metadata| found.is_dir() && found.uid() == account.uid();
        if !fs::symlink_metadata(&folder).is_ok_and(ours) {
            continue;
        }
        match open_lock(&folder.join(SCRATCH_LOCK), OpenOptions::new().read(true)) {
            Ok(lock) if lock.try_lock().is_ok() => remove_scratch(&folder),
            // Left by an account that could empty the folder but not take it away.
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
    /// Locks the folder, made if missing, unless others' things are in it.
    pub(super) fn claim(folder: &Path, account: Account) -> Result<Self, PrivateError> {
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

    /// Makes the folder if it is missing, and resolves its path; the account can enter it.
    fn reach(folder: &Path, account: Account) -> Result<PathBuf, PrivateError> {
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

    /// The database's folder, made if missing, and the programs that suit it.
    pub(super) fn cluster<'a>(&self, programs: &'a [Programs]) -> Result<(PathBuf, &'a Programs), PrivateError> {
        for left_over in entries(&self.folder, STAGING) {
            // Its own watcher may be at it too, and its name is never used again.
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

    /// Makes the database.
    // Made aside and renamed when whole, so that a broken-off initdb is never taken for a database.
    fn make_cluster(&self, cluster: &Path, programs: &Programs) -> Result<(), PrivateError> {
        let staging = self.folder.join(format!("{STAGING}{}", random_suffix()));
        programs.account.make_folder(&staging)?;
        let made = programs.initdb(&staging, &[], &staging).and_then(|()| {
            fs::rename(&staging, cluster).map_err(failed("make", cluster))?;
            let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
            synced.map_err(failed("write", &self.folder))
        });
        if made.is_err() {
            let _ = fs::remove_dir_all(&staging);
        }
        made
    }
}

/// Opens a lock file in a folder that belongs to the account that Postgres runs as.
// No links and no pipes: as root we would trip over whatever they lead to.
fn open_lock(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(flags.bits().cast_signed()).open(path)
}

/// Where throw-away folders may be: where the environment says, else where every system has room.
fn temp_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = absolute(std::env::temp_dir()).into_iter().collect();
    for usual in ["/tmp", "/var/tmp"].map(PathBuf::from) {
        if !folders.contains(&usual) {
            folders.push(usual);
        }
    }
    folders
}

/// Six hexadecimal digits, so that names do not meet.
fn random_suffix() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{:06x}", random & 0xff_ffff)
}
