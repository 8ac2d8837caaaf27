//! A PostgreSQL of a scenario, to be stopped, killed and frozen. Its data and its address outlive that.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use concierge_sandbox::database::connect_options;
use concierge_sandbox::database::private::{Options, PrivatePostgres};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::disk::SmallDisk;

/// A PostgreSQL with its data in a folder. Dropping it ends its processes.
pub struct Postgres {
    // dropped in this order: the server before its data
    server: Mutex<Option<PrivatePostgres>>,
    folder: TempDir,
    data: PathBuf,
    /// The file system of the data, if it is one of its own.
    pub disk: Option<SmallDisk>,
}

impl Postgres {
    /// Starts a server on fresh data.
    pub async fn start() -> Self {
        let folder = open_folder();
        let data = folder.path().join("data");
        Self::start_in(folder, data, None).await
    }

    /// Starts a server on a small file system.
    pub async fn start_on(disk: SmallDisk) -> Self {
        let data = disk.path().join("data");
        let postgres = Self::start_in(open_folder(), data, Some(disk)).await;
        postgres.disk.as_ref().unwrap().detach();
        postgres
    }

    async fn start_in(folder: TempDir, data: PathBuf, disk: Option<SmallDisk>) -> Self {
        let postgres = Self { server: Mutex::default(), folder, data, disk };
        postgres.start_again().await;
        postgres
    }

    /// Starts the server on its data.
    pub async fn start_again(&self) {
        // a commit is durable against the end of every process, but not against that of the machine
        let settings =
            [("fsync", "off"), ("max_connections", "200"), ("min_wal_size", "32MB"), ("max_wal_size", "64MB")];
        let settings = settings.map(|(name, value)| (name, value.to_owned())).to_vec();
        let options = Options { data_dir: Some(self.data.clone()), settings };
        let server = spawn_blocking(|| PrivatePostgres::start(options)).await.unwrap().unwrap();
        // each start has another folder for the socket, so clients know it by a link
        let new = self.folder.path().join("new");
        symlink(server.socket_dir(), &new).unwrap();
        fs::rename(&new, self.folder.path().join("socket")).unwrap();
        *self.server.lock() = Some(server);
    }

    /// Returns the options of a database of this server.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        let server = self.server.lock();
        let options = connect_options(server.as_ref().unwrap(), database);
        options.host(self.folder.path().join("socket").to_str().unwrap())
    }

    /// Makes a database, copied from another one if there is a template.
    pub async fn create_database(&self, name: &str, template: &str) -> PgConnectOptions {
        let create = format!("create database {name} template {template}");
        sqlx::query(AssertSqlSafe(create)).execute(&mut self.connect().await).await.unwrap();
        self.options(name)
    }

    /// Connects to the maintenance database.
    pub async fn connect(&self) -> PgConnection {
        self.options("postgres").connect().await.unwrap()
    }

    /// Stops the server at once, as `pg_ctl stop -m immediate` does.
    pub async fn stop_immediately(&self) {
        kill_process(self.postmaster(), Signal::QUIT).unwrap();
        self.reap().await;
    }

    /// Kills every process of the server.
    pub async fn kill(&self) {
        let postmaster = self.postmaster();
        // so that it starts no further ones
        kill_process(postmaster, Signal::STOP).unwrap();
        self.signal_children(Signal::KILL);
        kill_process(postmaster, Signal::KILL).unwrap();
        self.reap().await;
    }

    /// Halts every process of the server.
    pub fn freeze(&self) {
        kill_process(self.postmaster(), Signal::STOP).unwrap();
        self.signal_children(Signal::STOP);
    }

    /// Lets every process run again.
    pub fn thaw(&self) {
        self.signal_children(Signal::CONT);
        // it may have ended meanwhile
        kill_process(self.postmaster(), Signal::CONT).ok();
    }

    fn postmaster(&self) -> Pid {
        let pid = self.server.lock().as_ref().unwrap().pid();
        Pid::from_raw(pid.try_into().unwrap()).unwrap()
    }

    fn signal_children(&self, signal: Signal) {
        let postmaster = self.postmaster();
        let listed = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().unwrap();
        for line in String::from_utf8(listed.stdout).unwrap().lines() {
            let ids: Vec<i32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
            if ids[1] == postmaster.as_raw_nonzero().get() {
                // it may have ended meanwhile
                kill_process(Pid::from_raw(ids[0]).unwrap(), signal).ok();
            }
        }
    }

    /// Waits until every process has ended.
    async fn reap(&self) {
        let server = self.server.lock().take();
        spawn_blocking(|| drop(server)).await.unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.server.lock().is_some() {
            // a halted process would not stop
            self.thaw();
        }
    }
}

/// The servers of all scenarios: one that they share, and the next ones of their own.
pub struct Clusters {
    shared: Arc<Postgres>,
    own: mpsc::Receiver<Postgres>,
}

impl Clusters {
    /// Starts the shared server, and then `own` further ones beside the scenarios.
    pub async fn start(own: usize) -> Self {
        let shared = Arc::new(Postgres::start().await);
        let (started, next) = mpsc::channel(1);
        tokio::spawn(async move {
            for _ in 0..own {
                if started.send(Postgres::start().await).await.is_err() {
                    return;
                }
            }
        });
        Self { shared, own: next }
    }

    pub fn shared(&self) -> Arc<Postgres> {
        Arc::clone(&self.shared)
    }

    /// Returns a server that no other scenario has.
    pub async fn own(&mut self) -> Arc<Postgres> {
        Arc::new(self.own.recv().await.unwrap())
    }
}

/// Makes a folder that PostgreSQL's account can enter. Its path is short enough for a socket.
pub fn open_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("chaos-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    folder
}
