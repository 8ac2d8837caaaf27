//! The measured system: a private database server with its usual durability, and the server's release program as a
//! child process.

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

/// A value, or a sentence with the reason for its absence.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// The server's program, built like a release.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_concierge-sandbox");

/// Settings that prevent background work during the count of requests.
pub const QUIET: [&str; 2] = ["--check-delay", "2h"];

/// The database server.
pub struct World(PrivatePostgres);

impl World {
    pub fn start() -> Outcome<Self> {
        // the server uses sixteen connections, pgbench up to 64
        let settings = vec![("max_connections", "200".to_owned())];
        Ok(Self(PrivatePostgres::start(Options { data_dir: None, settings })?))
    }

    pub fn postgres(&self) -> &PrivatePostgres {
        &self.0
    }

    /// Connects to a database.
    pub async fn connect(&self, database: &str) -> Outcome<PgConnection> {
        Ok(connect_options(&self.0, database).connect().await?)
    }

    /// Creates an empty database.
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
        let mut child = command.spawn().map_err(|error| format!("the server's program cannot be run: {error}"))?;
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

/// Prints the log of the server, except lines of level INFO.
fn show_failures(lines: impl BufRead) {
    for line in lines.lines().map_while(Result::ok).filter(|line| !line.contains(" INFO ")) {
        eprintln!("server log: {line}");
    }
}

/// A running server. Dropping it stops it.
pub struct Server {
    child: Child,
    /// Host and port.
    pub address: String,
    /// Time of the start of its process.
    pub spawned: Instant,
    /// Time from the start until it was ready.
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
