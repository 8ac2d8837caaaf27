//! The private PostgreSQL server: its data, its remains, and its refusals.
//! Needs PostgreSQL 15 or newer and `psql` on this machine.
//!
//! Tests of `kill -9` kill the program itself, run as its users run it.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use concierge_sandbox::database::private::{Options, PrivateError, PrivatePostgres};
use tempfile::TempDir;

/// The time limit for a server to end after its program was killed.
const GONE: Duration = Duration::from_mins(1);

/// Makes a folder open to every account, also to the one that root runs PostgreSQL as.
/// Its path is short enough for a socket on every system.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    folder
}

fn keep_in(folder: &TempDir) -> Options {
    Options { data_dir: Some(folder.path().join("data")), ..Options::default() }
}

fn start_error(options: Options) -> PrivateError {
    PrivatePostgres::start(options).unwrap_err()
}

fn ask(server: &PrivatePostgres, sql: &str) -> String {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-A", "-t", "-d", "postgres", "-c", sql, "-U", server.user(), "-p", &server.port().to_string()]);
    let output = psql.arg("-h").arg(server.socket_dir()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn becomes_true(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + GONE;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        thread::yield_now();
    }
    true
}

/// Lists the throw-away folders in a temp folder.
fn throw_away_folders(temp: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(temp).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.join("throw-away.lock").exists()).collect()
}

/// A ready program with a private database, killed when dropped.
struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    fn start<S: AsRef<OsStr>>(temp: &Path, flags: &[S]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_concierge-sandbox"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("TMPDIR", temp).env("SANDBOX_LOG", "warn");
        command.args(["--listen", "127.0.0.1:0"]).args(flags).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut program = Self { child, stdout };
        let mut line = String::new();
        program.stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with("concierge-sandbox is ready on http://127.0.0.1:"), "{line}");
        program
    }

    /// Kills the program with -9, and waits for its end.
    fn kill(mut self) {
        self.child.kill().unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "the program prints one line, and no other process holds its standard output");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn temporary_server_answers_and_leaves_nothing() {
    let server = PrivatePostgres::start(Options::default()).unwrap();
    let folder = server.socket_dir().to_owned();
    assert!(server.is_temporary());
    assert_eq!(ask(&server, "show fsync"), "on");
    assert_eq!(ask(&server, "show listen_addresses"), "");
    assert_eq!(ask(&server, "show server_encoding"), "UTF8");
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);

    server.stop();
    assert!(!folder.exists());
}

#[test]
fn settings_reach_the_server() {
    let work_mem = |value: &str| Options { settings: vec![("work_mem", value.into())], ..Options::default() };
    let server = PrivatePostgres::start(work_mem("7MB")).unwrap();
    assert_eq!(ask(&server, "show work_mem"), "7MB");

    let error = start_error(work_mem("nonsense")).to_string();
    assert!(error.contains("nonsense"), "PostgreSQL's own words: {error}");
}

#[test]
fn kept_data_survive_and_serve_one_server_at_a_time() {
    let folder = open_folder();
    let server = PrivatePostgres::start(keep_in(&folder)).unwrap();
    assert!(!server.is_temporary());
    ask(&server, "create table kept as select 42 as answer");
    let error = start_error(keep_in(&folder));
    assert!(matches!(error, PrivateError::InUse { .. }), "{error}");
    server.stop();

    let server = PrivatePostgres::start(keep_in(&folder)).unwrap();
    assert_eq!(ask(&server, "select answer from kept"), "42");
}

#[test]
fn data_dir_may_have_any_length() {
    let folder = open_folder();
    let data_dir = Some(folder.path().join("long-name/".repeat(20)));
    let server = PrivatePostgres::start(Options { data_dir, ..Options::default() }).unwrap();
    assert_eq!(ask(&server, "select 1"), "1");
}

#[test]
fn foreign_data_dir_is_left_unchanged() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    fs::write(&data_dir, "dear").unwrap();
    let error = start_error(keep_in(&folder)).to_string();
    assert!(error.contains("not a directory"), "{error}");

    fs::remove_file(&data_dir).unwrap();
    fs::create_dir(&data_dir).unwrap();
    fs::write(data_dir.join("letter"), "dear").unwrap();
    let error = start_error(keep_in(&folder));
    assert!(matches!(error, PrivateError::NotOurs { .. }), "{error}");
    assert_eq!(fs::read_dir(data_dir).unwrap().count(), 1);
}

#[test]
fn partial_initdb_is_removed_and_other_version_refused() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    let half = data_dir.join("postgres.new-abcdef");
    fs::create_dir_all(half.join("base")).unwrap();
    fs::write(half.join("PG_VERSION"), "15\n").unwrap();
    fs::write(data_dir.join("concierge-sandbox.lock"), "").unwrap();
    PrivatePostgres::start(keep_in(&folder)).unwrap().stop();
    assert!(!half.exists());

    fs::write(data_dir.join("postgres/PG_VERSION"), "14\n").unwrap();
    let error = start_error(keep_in(&folder)).to_string();
    assert!(error.contains("created by PostgreSQL 14"), "{error}");
}

#[test]
fn inaccessible_folder_is_named() {
    let folder = open_folder();
    if fs::metadata(folder.path()).unwrap().uid() != 0 {
        return; // Only root runs PostgreSQL as another account.
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    let error = start_error(keep_in(&folder));
    assert!(matches!(&error, PrivateError::OutOfReach { barrier, .. } if barrier == folder.path()), "{error}");
    assert!(!folder.path().join("data").exists());
}

#[test]
fn missing_postgres_error_names_the_ways_out() {
    let missing = PrivatePostgres::start_from(&[], Options::default()).unwrap_err();
    assert!(matches!(missing, PrivateError::NotFound { .. }), "{missing}");

    let folder = open_folder();
    // Written by another process: a program still open for writing, even in a forked child, won't run.
    let script =
        r##"printf "#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'" > postgres; chmod 755 postgres; touch initdb"##;
    assert!(Command::new("sh").args(["-c", script]).current_dir(folder.path()).status().unwrap().success());
    let old = PrivatePostgres::start_from(&[folder.path().into()], Options::default()).unwrap_err();
    assert!(matches!(old, PrivateError::TooOld { found: 14, .. }), "{old}");

    for message in [missing, old].map(|error| error.to_string()) {
        let named = ["install", "DATABASE_URL", "docker compose up"].iter().all(|way_out| message.contains(way_out));
        assert!(named, "{message}");
    }
}

#[test]
fn killed_program_ends_its_server_and_keeps_its_data() {
    let temp = open_folder();
    let data_dir = temp.path().join("data");
    let program = Program::start(temp.path(), &[OsStr::new("--data-dir"), data_dir.as_os_str()]);
    let socket_dir = throw_away_folders(temp.path()).remove(0);
    program.kill();
    // Only a stopping server removes this file.
    assert!(becomes_true(|| !data_dir.join("postgres/postmaster.pid").exists()));

    let server = PrivatePostgres::start(keep_in(&temp)).unwrap();
    assert_eq!(ask(&server, "select 1"), "1");
    assert!(becomes_true(|| !socket_dir.exists()));
}

#[test]
fn start_removes_only_remains_of_killed_programs() {
    let temp = open_folder();
    let no_flags: [&str; 0] = [];
    let living = Program::start(temp.path(), &no_flags);
    let living_folder = throw_away_folders(temp.path()).remove(0);
    let account = fs::metadata(&living_folder).unwrap();
    let left = temp.path().join("concierge-sandbox-left00");
    fs::create_dir_all(left.join("postgres/base")).unwrap();
    fs::write(left.join("throw-away.lock"), "").unwrap();
    chown(&left, Some(account.uid()), Some(account.gid())).unwrap();
    let foreign = temp.path().join("concierge-sandbox-letters");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letter"), "dear").unwrap();

    drop(Program::start(temp.path(), &no_flags));
    assert!(!left.exists());
    assert!(foreign.join("letter").exists());

    assert!(living_folder.exists());
    living.kill();
    assert!(
        becomes_true(|| throw_away_folders(temp.path()).is_empty()),
        "throw-away data are removed after a killed program"
    );
}
