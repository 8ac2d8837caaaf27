//! What is measured: a private database server with its usual durability, and the server's release program as a child
//! process of ours.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use concierge_sandbox::database::connect_options;
use concierge_sandbox::database::private::{Options, PrivatePostgres};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// A value, or a sentence that says why there is none.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// The server's program, built like the one that is released.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_concierge-sandbox");

/// The settings under which nothing happens in the background while requests are counted.
pub const QUIET: [&str; 2] = ["--check-delay", "2h"];

/// The database server.
pub struct World(PrivatePostgres);

impl World {
    pub fn start() -> Outcome<Self> {
        // sixteen connections of the server and up to 64 of pgbench
        let settings = vec![("max_connections", "200".to_owned())];
        Ok(Self(PrivatePostgres::start(Options { data_dir: None, settings })?))
    }

    pub fn postgres(&self) -> &PrivatePostgres {
        &self.0
    }

    /// A connection to one of its databases.
    pub async fn connect(&self, database: &str) -> Outcome<PgConnection> {
        Ok(connect_options(&self.0, database).connect().await?)
    }

    /// Makes an empty database.
    pub async fn create(&self, database: &'static str) -> Outcome<()> {
        let mut connection = self.connect("postgres").await?;
        sqlx::raw_sql(AssertSqlSafe(format!("create database {database}"))).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Starts the server's program on a database and waits until it is ready.
    pub fn serve(&self, database: &str, flags: &[&str]) -> Outcome<Server> {
        let folder = self.0.socket_dir().display();
        let url = format!("postgres:///{database}?host={folder}&port={}&user={}", self.0.port(), self.0.user());
        let mut command = Command::new(PROGRAM);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"SANDBOX_") || name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command.env("NO_COLOR", "1").env("DATABASE_URL", url).args(["--listen", "127.0.0.1:0"]).args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = Instant::now();
        let mut child = command.spawn().map_err(|error| format!("the server's program can't be run: {error}"))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut server = Server { child, address: String::new(), spawned, start_up: Duration::ZERO };
        if let Some(stderr) = stderr {
            thread::spawn(move || show_failures(BufReader::new(stderr)));
        }
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        server.start_up = spawned.elapsed();
        let address = line.trim().rsplit("http://").next().filter(|address| !address.is_empty());
        address.ok_or("the server ended before it was ready")?.clone_into(&mut server.address);
        Ok(server)
    }
}

/// Shows what the server logs, without what it says when all is well.
fn show_failures(lines: impl BufRead) {
    for line in lines.lines().map_while(Result::ok).filter(|line| !line.contains(" INFO ")) {
        eprintln!("the server says: {line}");
    }
}

/// A running server. Dropping it stops it.
pub struct Server {
    child: Child,
    /// Host and port.
    pub address: String,
    /// When its process was started.
    pub spawned: Instant,
    /// How long it took to be ready.
    pub start_up: Duration,
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
