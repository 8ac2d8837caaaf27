//! A PostgreSQL server of our own, for those who have not set up one: found among the programs
//! installed on this machine, started as a child process that listens on a unix socket only, and
//! gone when we are gone, even by `kill -9`.
//!
//! Left to others: when to want one, connecting to it, and what is put in it.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::iter::repeat_n;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf, absolute};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, geteuid, kill_process};

const USER: &str = "postgres";
const INITDB: &str = "--username=postgres --auth=trust --encoding=UTF8 --locale=C --no-instructions";
const PORT: u16 = 5432;
const SOCKET: &str = "/.s.PGSQL.5432";
const OLDEST: u32 = 15;
/// The longest path a unix socket can have on every system: 104 bytes, one of them the NUL.
const LONGEST_SOCKET: usize = 103;
const PREFIX: &str = "concierge-sandbox-";
const SCRATCH_LOCK: &str = "throw-away.lock";
const DATA_LOCK: &str = "concierge-sandbox.lock";
const CLUSTER: &str = "postgres";
const STAGING: &str = "postgres.new-";
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long the server of a killed owner may still be on its way out of a data directory.
const HANDOVER: Duration = Duration::from_secs(8);
const TAIL: usize = 20;

/// Runs `$2 …` in its own process, beside a watcher that stops it and removes the folder `$1` as
/// soon as standard input ends; a line on standard input sends the watcher away.
// The watcher is started by a subshell that ends at once, so that the program never meets a child
// it does not know; it leaves standard output and error alone, so that their readers see the end.
const TIE: &str = r#"
folder=$1
shift
exec 3<&0 </dev/null
({
    trap '' HUP INT TERM
    read -r line <&3 || {
        kill -QUIT $$
        n=0
        while [ $n -lt 10 ] && kill -0 $$; do sleep 1; n=$((n + 1)); done
        rm -rf -- "$folder/postgres" && rm -rf -- "$folder"
    }
} >/dev/null 2>&1 &)
exec "$@" 3<&-
"#;

/// Why there is no server of our own; each message is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    #[error(
        "PostgreSQL was not found on this machine: install it ({install}), or bring your own by \
         setting DATABASE_URL or with `docker compose up`"
    )]
    NotFound { install: &'static str },
    #[error(
        "PostgreSQL {found} is too old, {OLDEST} is the oldest that will do: install a newer one \
         ({install}), or bring your own by setting DATABASE_URL or with `docker compose up`"
    )]
    TooOld { found: u32, install: &'static str },
    #[error(
        "PostgreSQL refuses to run as root, and neither of the accounts postgres and nobody can \
         be used to run it: start as an ordinary user, or set DATABASE_URL"
    )]
    NoAccount,
    #[error(
        "the data directory is out of reach for the account {account}, which runs PostgreSQL \
         because root may not: let it into {barrier:?} (`chmod o+x`), or choose a data directory \
         elsewhere"
    )]
    OutOfReach { barrier: PathBuf, account: &'static str },
    #[error(
        "the database in {0:?} was made by PostgreSQL {1}, but only {2} is installed: install \
         PostgreSQL {1}, or choose another data directory"
    )]
    OtherVersion(PathBuf, String, String),
    #[error(
        "the data directory {0:?} is in use by another server: stop that one, or choose another \
         data directory"
    )]
    InUse(PathBuf),
    #[error("{0:?} holds something else than our database: choose an empty or a new data directory")]
    NotOurs(PathBuf),
    #[error(
        "the database in {0:?} belongs to another account (id {1}) than PostgreSQL would run as \
         (id {2}): start as its owner, or choose another data directory"
    )]
    OtherOwner(PathBuf, u32, u32),
    #[error(
        "the disk that holds {0:?} is full: free some space there, or choose another place (the \
         data directory, or TMPDIR for a throw-away database)"
    )]
    DiskFull(PathBuf),
    #[error("PostgreSQL could not start, mend what its last lines tell of:\n{0}")]
    Failed(String),
    #[error(
        "PostgreSQL was not ready within {limit} s, try again when this machine is less busy; its \
         last lines:\n{0}",
        limit = START_LIMIT.as_secs()
    )]
    TimedOut(String),
    #[error("could not {0} {1:?}, check that it is there and its permissions: {2}")]
    Io(&'static str, PathBuf, io::Error),
}

/// What kind of server to start.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// Where the database is kept, made if missing; `None` for one that is thrown away at the end.
    pub data_dir: Option<PathBuf>,
    /// Further settings for the server, as in `postgres -c name=value`.
    pub settings: Vec<(&'static str, String)>,
}

/// A PostgreSQL server of our own: a child process on a unix socket, tied to our life.
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
    /// Starts the newest PostgreSQL installed that suits, and waits until it accepts connections.
    ///
    /// # Errors
    /// Any [`PrivateError`]; nothing is left running then.
    pub fn start(options: Options) -> Result<Self, PrivateError> {
        Self::start_from(&program_folders(), options)
    }

    /// Like [`PrivatePostgres::start`], with PostgreSQL looked for in `folders` only.
    ///
    /// # Errors
    /// As [`PrivatePostgres::start`].
    pub fn start_from(folders: &[PathBuf], options: Options) -> Result<Self, PrivateError> {
        let account = Account::choose()?;
        let programs = Programs::installed(folders, account)?;
        sweep(account);
        let claim = |folder: PathBuf| DataDir::claim(&folder, account);
        let data = options.data_dir.map(claim).transpose()?;
        let scratch = Scratch::make(account)?;
        let (cluster, programs) = match &data {
            Some(data) => data.cluster(&programs)?,
            None => {
                let cluster = scratch.folder.join(CLUSTER);
                account.make_folder(&cluster)?;
                programs[0].initdb(&cluster, &["--no-sync"], &scratch.folder)?;
                (cluster, &programs[0])
            }
        };
        let signals: &[Signal] = match data {
            Some(_) => &[Signal::INT, Signal::QUIT],
            None => &[Signal::QUIT],
        };
        let deadline = Instant::now() + HANDOVER;
        let server = loop {
            let outcome = programs.serve(&cluster, &scratch.folder, &options.settings, signals);
            match (outcome, &data) {
                (Err(PrivateError::Failed(log)), Some(data)) if is_taken(&log) => {
                    if Instant::now() > deadline {
                        return Err(PrivateError::InUse(data.folder.clone()));
                    }
                    thread::sleep(Duration::from_millis(200));
                }
                (outcome, _) => break outcome?,
            }
        };
        Ok(Self { server, scratch, data })
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
        self.server.child.id()
    }

    /// Stops the server and removes what is not to be kept; a kept database is shut down in order.
    pub fn stop(self) {}
}

/// Whether a server could not start only because another one has not left its data yet.
fn is_taken(log: &str) -> bool {
    log.contains("postmaster.pid\" already exists") || log.contains("is still in use")
}

/// The folders where PostgreSQL's programs may be: those of `PATH` and the usual install folders.
pub fn program_folders() -> Vec<PathBuf> {
    let usual = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/libexec", "postgresql", ""),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
        ("/usr/local", "pgsql", "bin"),
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let installed = usual.into_iter().flat_map(|(parent, prefix, rest)| {
        entries(Path::new(parent), prefix).into_iter().map(move |folder| folder.join(rest))
    });
    on_path.chain(installed).collect()
}

/// The paths in `folder` whose name begins with `prefix`; none if it can't be read.
fn entries(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    found
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()))
        .map(|entry| entry.path())
        .collect()
}

/// The command that installs PostgreSQL on this system.
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

/// The programs of one PostgreSQL installation, and the account to run them as.
#[derive(Debug)]
struct Programs {
    folder: PathBuf,
    major: u32,
    account: Account,
}

impl Programs {
    /// The installations in `folders` that are new enough, newest first, at least one.
    fn installed(folders: &[PathBuf], account: Account) -> Result<Vec<Self>, PrivateError> {
        let look = |folder: &PathBuf| Self::look(folder.clone(), account);
        let mut all: Vec<Self> = folders.iter().filter_map(look).collect();
        all.sort_by_key(|programs| Reverse(programs.major));
        let install = install_command();
        let found = all.first().ok_or(PrivateError::NotFound { install })?.major;
        if found < OLDEST {
            return Err(PrivateError::TooOld { found, install });
        }
        all.retain(|programs| programs.major >= OLDEST);
        Ok(all)
    }

    /// The installation in `folder`, if there is one that the account can run.
    fn look(folder: PathBuf, account: Account) -> Option<Self> {
        let postgres = folder.join("postgres");
        if !postgres.is_file() || !folder.join("initdb").is_file() {
            return None;
        }
        let output = account.command(postgres).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
        let digits = digits.split(|c: char| !c.is_ascii_digit()).next()?;
        let major = digits.parse().ok()?;
        Some(Self { folder, major, account })
    }

    /// Makes a database in the empty folder `cluster`; if we are killed meanwhile, `doomed` goes.
    fn initdb(&self, cluster: &Path, flags: &[&str], doomed: &Path) -> Result<(), PrivateError> {
        let flags = INITDB.split(' ').chain(flags.iter().copied());
        let mut args: Vec<OsString> = vec!["-D".into(), cluster.into()];
        args.extend(flags.map(OsString::from));
        let program = self.folder.join("initdb");
        let mut initdb = Tied::spawn(self.account, &program, &args, doomed, &[Signal::QUIT])?;
        let progress = initdb.log.wait_until(START_LIMIT, |log| log.ended);
        match progress.ended {
            false => Err(PrivateError::TimedOut(progress.lines)),
            true if initdb.finish() => Ok(()),
            true => Err(progress.failure(cluster)),
        }
    }

    /// Starts the server on `cluster` with its socket in `scratch`, and waits until it is ready.
    fn serve(
        &self,
        cluster: &Path,
        scratch: &Path,
        settings: &[(&'static str, String)],
        signals: &'static [Signal],
    ) -> Result<Tied, PrivateError> {
        let ours = [
            ("listen_addresses", String::new()),
            ("unix_socket_directories", format!("\"{}\"", scratch.display())),
            ("port", PORT.to_string()),
            ("lc_messages", "C".into()),
            ("logging_collector", "off".into()),
            ("log_destination", "stderr".into()),
        ];
        let mut args: Vec<OsString> = vec!["-D".into(), cluster.into()];
        for (name, value) in ours.iter().chain(settings) {
            args.extend(["-c".into(), format!("{name}={value}").into()]);
        }
        let program = self.folder.join("postgres");
        let server = Tied::spawn(self.account, &program, &args, scratch, signals)?;
        let progress = server.log.wait_until(START_LIMIT, |log| log.ready || log.ended);
        match progress {
            Progress { ended: true, .. } => Err(progress.failure(cluster)),
            Progress { ready: true, .. } => Ok(server),
            _ => Err(PrivateError::TimedOut(progress.lines)),
        }
    }
}

/// The account that PostgreSQL runs as: ours, or another one if we are root.
#[derive(Debug, Clone, Copy)]
struct Account {
    name: &'static str,
    ids: Option<(u32, u32)>,
}

impl Account {
    fn choose() -> Result<Self, PrivateError> {
        if !geteuid().is_root() {
            return Ok(Self { name: "", ids: None });
        }
        let id = |flag, name| -> Option<u32> {
            let output = Command::new("id").args([flag, name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        for name in ["postgres", "nobody"] {
            let ids = id("-u", name).zip(id("-g", name));
            let account = Self { name, ids };
            if ids.is_some() && account.command("/bin/sh").args(["-c", ":"]).status().is_ok() {
                return Ok(account);
            }
        }
        Err(PrivateError::NoAccount)
    }

    fn uid(&self) -> u32 {
        self.ids.map_or(geteuid().as_raw(), |(uid, _)| uid)
    }

    /// A command that runs as this account, in a folder that it can enter, and speaks English.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
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
    fn make_folder(&self, folder: &Path) -> Result<(), PrivateError> {
        let made = DirBuilder::new().mode(0o700).create(folder);
        let owned = made.and_then(|()| match self.ids {
            Some((uid, gid)) => lchown(folder, Some(uid), Some(gid)),
            None => Ok(()),
        });
        owned.map_err(failed("make", folder))
    }

    /// The first folder on the way into `folder` that keeps this account out.
    fn barrier(&self, folder: &Path) -> Option<PathBuf> {
        self.ids?;
        let mut way: Vec<&Path> = folder.ancestors().collect();
        way.reverse();
        let script = r#"for folder do cd "$folder" 2>/dev/null || exit 0; echo; done"#;
        let mut probe = self.command("/bin/sh");
        let output = probe.args(["-c", script, "sh"]).args(&way).output();
        let entered = output.map_or(0, |output| output.stdout.len());
        way.get(entered).map(|folder| folder.to_path_buf())
    }
}

/// Turns an I/O error into ours.
fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrivateError {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PrivateError::DiskFull(path.into()),
        _ => PrivateError::Io(action, path.into(), error),
    }
}

/// A folder in the temp folder for the socket and for throw-away data, locked while we live and
/// removed when dropped.
#[derive(Debug)]
struct Scratch {
    folder: PathBuf,
    _lock: File,
}

impl Scratch {
    fn make(account: Account) -> Result<Self, PrivateError> {
        let closed = io::Error::other("PostgreSQL's account cannot enter it");
        let mut outcome = Err(failed("use", &std::env::temp_dir())(closed));
        for parent in temp_folders().iter().flat_map(|parent| repeat_n(parent, 3)) {
            let folder = parent.join(format!("{PREFIX}{}", random_suffix()));
            // What PostgreSQL's list of socket folders and the system's addresses can hold.
            let longest = LONGEST_SOCKET - SOCKET.len();
            let fits = |path: &str| path.len() <= longest && !path.contains('"');
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
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_scratch(&self.folder);
    }
}

/// The lock goes last, so that what a broken-off removal leaves can still be told as ours.
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
fn sweep(account: Account) {
    let temp_folders = temp_folders();
    for folder in temp_folders.iter().flat_map(|parent| entries(parent, PREFIX)) {
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

/// Opens a lock file in a folder that belongs to the account that PostgreSQL runs as.
// No links and no pipes: as root we would trip over whatever they lead to.
fn open_lock(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(flags.bits() as i32).open(path)
}

fn temp_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = absolute(std::env::temp_dir()).into_iter().collect();
    for usual in ["/tmp", "/var/tmp"].map(PathBuf::from) {
        if !folders.contains(&usual) {
            folders.push(usual);
        }
    }
    folders
}

fn random_suffix() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{:06x}", random & 0xff_ffff)
}

/// A folder for a database that is kept, locked against other servers.
#[derive(Debug)]
struct DataDir {
    folder: PathBuf,
    _lock: File,
}

impl DataDir {
    fn claim(folder: &Path, account: Account) -> Result<Self, PrivateError> {
        let folder = Self::reach(folder, account)?;
        let lock = folder.join(DATA_LOCK);
        fs::read_dir(&folder).map_err(failed("read", &folder))?;
        let foreign = |path: &PathBuf| !path.ends_with("lost+found");
        if entries(&folder, "").iter().any(foreign) && !lock.exists() {
            return Err(PrivateError::NotOurs(folder));
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = open_lock(&lock, &mut options).map_err(failed("open", &lock))?;
        if let Some((uid, gid)) = account.ids {
            fchown(&file, Some(uid), Some(gid)).map_err(failed("own", &lock))?;
        }
        match file.try_lock() {
            Ok(()) => Ok(Self { folder, _lock: file }),
            Err(TryLockError::WouldBlock) => Err(PrivateError::InUse(folder)),
            Err(TryLockError::Error(error)) => Err(failed("lock", &lock)(error)),
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
            let account = account.name;
            return Err(PrivateError::OutOfReach { barrier, account });
        }
        for folder in missing.iter().rev() {
            account.make_folder(folder)?;
        }
        wanted.canonicalize().map_err(failed("find", &wanted))
    }

    /// The database's folder, made if missing, and the programs that suit it.
    fn cluster<'a>(&self, programs: &'a [Programs]) -> Result<(PathBuf, &'a Programs), PrivateError> {
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
            return Err(PrivateError::OtherOwner(cluster, owner, runner));
        }
        let Ok(made_by) = fs::read_to_string(cluster.join("PG_VERSION")) else {
            return Err(PrivateError::NotOurs(cluster));
        };
        let made_by = made_by.trim();
        match programs.iter().find(|one| one.major.to_string() == made_by) {
            Some(programs) => Ok((cluster, programs)),
            None => {
                let mut majors: Vec<_> = programs.iter().map(|one| one.major.to_string()).collect();
                majors.dedup();
                let (made_by, installed) = (made_by.into(), majors.join(", "));
                Err(PrivateError::OtherVersion(cluster, made_by, installed))
            }
        }
    }

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

/// A child process that ends when we end, however we do.
#[derive(Debug)]
struct Tied {
    child: Child,
    log: Arc<Log>,
    /// What stops it, the gentlest first.
    signals: &'static [Signal],
}

impl Tied {
    /// Starts a program; if we are killed before [`Tied::finish`], the folder `doomed` goes too.
    fn spawn(
        account: Account,
        program: &Path,
        args: &[OsString],
        doomed: &Path,
        signals: &'static [Signal],
    ) -> Result<Self, PrivateError> {
        let mut command = account.command("/bin/sh");
        command.args(["-c", TIE, "sh"]).args([doomed, program]).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Out of the terminal's foreground, so that Ctrl-C reaches us only.
        command.process_group(0);
        let mut child = command.spawn().map_err(failed("run", program))?;
        let log = Arc::new(Log::default());
        if let Some(stderr) = child.stderr.take() {
            let log = log.clone();
            thread::spawn(move || log.follow(stderr));
        }
        Ok(Self { child, log, signals })
    }

    /// Sends the watcher away and reaps the child, which has ended or is about to; whether all
    /// went well with it.
    // In this order: the child's process id must not get free while the watcher may still use it.
    fn finish(&mut self) -> bool {
        if let Some(mut stdin) = self.child.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        // `Child::wait` drops standard input, which is why it was taken before.
        self.child.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        for &signal in self.signals.iter().chain(&[Signal::KILL]) {
            if self.log.progress().ended {
                break;
            }
            let _ = kill_process(Pid::from_child(&self.child), signal);
            self.log.wait_until(STOP_LIMIT, |log| log.ended);
        }
        self.finish();
    }
}

/// What a child says on standard error; it has ended when that has.
#[derive(Debug, Default)]
struct Log {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone)]
struct Progress {
    /// The last lines.
    lines: String,
    ready: bool,
    ended: bool,
}

impl Progress {
    /// Why the child failed that was to work on `cluster`.
    fn failure(self, cluster: &Path) -> PrivateError {
        let full = ["No space left on device", "Disk quota exceeded"];
        match full.iter().any(|sign| self.lines.contains(sign)) {
            true => PrivateError::DiskFull(cluster.into()),
            false => PrivateError::Failed(self.lines),
        }
    }
}

impl Log {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, stderr: impl Read) {
        let mut reader = BufReader::new(stderr);
        let mut tail = VecDeque::new();
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            bytes.clear();
            tracing::debug!(target: "postgres", "{line}");
            let ready = line.contains("ready to accept connections");
            tail.push_back(line);
            if tail.len() > TAIL {
                tail.pop_front();
            }
            let mut progress = self.progress();
            progress.ready |= ready;
            progress.lines = tail.make_contiguous().join("\n");
            self.changed.notify_all();
        }
        self.progress().ended = true;
        self.changed.notify_all();
    }

    /// Waits for `condition`, at most for `limit`, and tells how things stand then.
    fn wait_until(&self, limit: Duration, condition: impl Fn(&Progress) -> bool) -> Progress {
        let waiting = |progress: &mut Progress| !condition(progress);
        let waited = self.changed.wait_timeout_while(self.progress(), limit, waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}
