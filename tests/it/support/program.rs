//! The program as a process: its output, its end, and its signals.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{client, database, documented_output, send, within};

const OUTPUTS: &str = "/api/concierge_request_outputs";

/// Runs a test against the program over a database of its own, stops the program and checks the invariants.
pub async fn program<T>(arguments: &[&str], test: impl AsyncFnOnce(Program) -> T) -> T {
    database(async |database| test(database.program(arguments).await).await).await
}

/// A running program.
/// When dropped, it goes back to its owner, or is killed if it has none.
pub struct Program {
    child: Option<Child>,
    owner: Option<Arc<Mutex<Vec<Program>>>>,
    pub stdout: Lines,
    pub stderr: Lines,
    /// `http://…` of a ready server.
    pub base: String,
}

/// The end of a program: its status and its unread lines.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<String>,
    pub stderr: Vec<String>,
}

impl Program {
    /// Runs the program with these environment variables and a few kept ones only.
    pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_concierge-sandbox"));
        command.args(arguments).env_clear();
        let kept = ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"];
        command.envs(kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { child: Some(child), owner: None, stdout, stderr, base: String::new() }
    }

    /// Starts a server on a free port, and waits until it is ready.
    /// It has this database, or its private one for `None`.
    pub async fn serve(database: Option<&PgConnectOptions>, arguments: &[&str]) -> Self {
        let mut program = Self::starting(database, arguments);
        program.ready().await;
        program
    }

    /// Starts a server.
    pub fn starting(database: Option<&PgConnectOptions>, arguments: &[&str]) -> Self {
        let url = database.map(url_of).unwrap_or_default();
        Self::run(arguments, &[("DATABASE_URL", &url), ("SANDBOX_LISTEN", "127.0.0.1:0")])
    }

    /// Sets the owner that gets the program back when the test drops it.
    pub(super) fn given_back_to(self, owner: &Arc<Mutex<Vec<Self>>>) -> Self {
        let mut program = self;
        program.owner = Some(Arc::clone(owner));
        program
    }

    /// Waits until the server reports its address.
    pub async fn ready(&mut self) {
        let Some(line) = within(self.stdout.next()).await else {
            panic!("the program ended before it was ready: {:?}", within(self.stderr.rest()).await);
        };
        let base = line.strip_prefix("concierge-sandbox is ready on ").unwrap_or_else(|| panic!("{line:?}"));
        assert!(base.starts_with("http://") || base.starts_with("https://"), "{line:?}");
        base.clone_into(&mut self.base);
    }

    /// Returns host and port of a ready server.
    pub fn address(&self) -> &str {
        self.base.split_once("://").unwrap().1
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Waits for the end of the program.
    pub async fn ended(mut self) -> Ended {
        let stdout = within(self.stdout.rest()).await;
        let stderr = within(self.stderr.rest()).await;
        // both pipes are closed: the program has ended or is about to
        let status = self.child.take().unwrap().wait().unwrap();
        Ended { status, stdout, stderr }
    }

    /// Stops a server with SIGTERM, and returns its unread log lines.
    pub async fn ended_by_stop(self) -> Vec<String> {
        self.signal(Signal::TERM);
        self.ended().await.stderr
    }

    /// Stops a server with SIGTERM, and checks that it ended cleanly.
    pub async fn stop(self) {
        self.signal(Signal::TERM);
        let ended = self.ended().await;
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.stdout, [""; 0], "standard output has one line");
        assert!(!ended.stderr.iter().any(|line| line.contains("WARN")), "{ended:?}");
    }
}

// The program as a server.
impl Program {
    /// Builds a request with the write key.
    pub fn request(&self, client: &Client, method: Method, path: &str) -> RequestBuilder {
        client.request(method, format!("{}{path}", self.base)).header("Authorization", "your_api_key")
    }

    /// Builds the documented request for an output.
    pub fn post(&self, client: &Client) -> RequestBuilder {
        self.request(client, Method::POST, OUTPUTS).json(&documented_output())
    }

    pub async fn get(&self, path: &str) -> Value {
        send(self.request(&client(), Method::GET, path)).await.expect(200)
    }

    /// Makes the documented output and returns its id.
    pub async fn create_output(&self) -> String {
        let document = send(self.post(&client())).await.expect(201);
        document["data"]["id"].as_str().unwrap().to_owned()
    }

    /// Waits until no output is in the state `accepting`.
    pub async fn all_decided(&self) {
        let client = client();
        let asking = async {
            loop {
                let path = format!("{OUTPUTS}?filter[state]=accepting&page[size]=1");
                let waiting = send(self.request(&client, Method::GET, &path)).await.expect(200);
                if waiting["data"] == json!([]) {
                    return;
                }
            }
        };
        within(asking).await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        match self.owner.take() {
            Some(owner) if !std::thread::panicking() => {
                let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
                owner.lock().push(Self { child: Some(child), owner: None, stdout, stderr, base: String::new() });
            }
            _ => {
                child.kill().ok();
                child.wait().ok();
            }
        }
    }
}

/// The lines of a pipe, as they come.
pub struct Lines(UnboundedReceiver<String>);

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                sender.send(line.unwrap()).ok();
            }
        });
        Self(receiver)
    }

    /// Takes the remaining lines, and leaves an ended stream.
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self(unbounded_channel().1))
    }

    /// Returns the next line, or `None` at the end.
    pub async fn next(&mut self) -> Option<String> {
        self.0.recv().await
    }

    /// Returns every line until the end.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.next().await {
            lines.push(line);
        }
        lines
    }
}

/// Returns the URL of a database of the test cluster.
pub fn url_of(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap();
    format!(
        "postgres://{}@localhost:{}/{database}?host={}",
        options.get_username(),
        options.get_port(),
        options.get_host()
    )
}

/// Returns one number from a database.
pub async fn count(database: &PgConnectOptions, query: &str) -> i64 {
    let pool = PgPool::connect_lazy_with(database.clone());
    let count = sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&pool).await.unwrap();
    pool.close().await;
    count
}
