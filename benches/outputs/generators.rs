//! The two load generators: wrk against the server, pgbench against its database.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use concierge_sandbox::accounts::caller::sha256;
use concierge_sandbox::database::SESSION;
use concierge_sandbox::database::private::{PrivatePostgres, program_folders};

use crate::request::{KEY, PATH, Request};
use crate::world::Outcome;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/outputs/wrk.lua");
const WRK_MISSING: &str = "wrk is missing; it loads the server: `apt-get install wrk` or `brew install wrk`";
const PGBENCH_MISSING: &str = "pgbench is missing; it measures the database alone. It comes with PostgreSQL's server \
     programs (`apt-get install postgresql`, `brew install postgresql@17`), on some systems in the package \
     postgresql-contrib";

/// Figures measured by wrk.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub per_second: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// Successful answers.
    pub acknowledged: i64,
    /// Error answers and broken connections.
    pub errors: i64,
}

/// Repeats one request on several connections.
pub fn wrk(address: &str, request: Request, id: i64, connections: u32, duration: Duration) -> Outcome<Load> {
    let url = match request {
        Request::Post => format!("http://{address}{PATH}"),
        Request::Get => format!("http://{address}{PATH}/{id}"),
    };
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{}s", duration.as_secs()), "-s", SCRIPT, &url, "--"]);
    command.args([request.method(), KEY]).args(request.body());
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => WRK_MISSING.to_owned(),
        _ => format!("wrk can't be run: {error}"),
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().rev().find(|line| line.starts_with('{'));
    let unread = || format!("wrk printed no figures: {text}{}", String::from_utf8_lossy(&output.stderr));
    let figures: serde_json::Value = serde_json::from_str(figures.ok_or_else(unread)?)?;
    let figure = |name: &str| figures[name].as_f64().ok_or_else(unread);
    let count = |name: &str| figures[name].as_i64().ok_or_else(unread);
    Ok(Load {
        per_second: figure("answers")? / figure("microseconds")? * 1e6,
        p50: figure("p50")? / 1000.0,
        p99: figure("p99")? / 1000.0,
        acknowledged: count("answers")? - count("refused")?,
        errors: count("refused")? + count("broken")?,
    })
}

/// Returns the path of pgbench, from the installation with the server program.
pub fn find_pgbench() -> Outcome<PathBuf> {
    let whole = |folder: &PathBuf| folder.join("postgres").is_file() && folder.join("pgbench").is_file();
    let folder = program_folders().into_iter().find(whole).ok_or(PGBENCH_MISSING)?;
    Ok(folder.join("pgbench"))
}

/// Figures measured by pgbench.
#[derive(Debug, Clone, Copy)]
pub struct Alone {
    pub per_second: f64,
    pub transactions: i64,
}

/// Repeats one prepared statement, with the session settings of the server's connections.
#[derive(Debug)]
pub struct Pgbench<'a> {
    pub program: PathBuf,
    pub postgres: &'a PrivatePostgres,
    pub database: &'static str,
    /// Creation time of its outputs.
    pub now: String,
}

impl Pgbench<'_> {
    /// Runs the statement of a request.
    ///
    /// For GET, `base` is the id of the output shown. For POST, all ids above `base` are free.
    pub fn run(&self, request: Request, base: i64, clients: u32, duration: Duration) -> Outcome<Alone> {
        let key = sha256(KEY.as_bytes()).map(|byte| format!("{byte:02x}")).concat();
        let variables = [
            ("key", format!("\\x{key}")),
            ("actor", "50505".into()),
            ("request", "1010".into()),
            ("user", "20202".into()),
            ("instruction", "2121".into()),
            ("port", "us_usd".into()),
            ("amount", "1500.25".into()),
            ("now", self.now.clone()),
            ("n", "0".into()),
            ("base", base.to_string()),
            ("clients", clients.to_string()),
        ];
        let mut command = Command::new(&self.program);
        let session =
            SESSION.map(|(name, value)| format!("-c {name}={}", value.trim_matches('\'').replace(' ', "\\ ")));
        command.env("PGOPTIONS", session.join(" "));
        command.args(["-M", "prepared", "-n", "-j", "1", "-f", "-", "-c", &clients.to_string()]);
        command.args(["-T", &duration.as_secs().to_string()]);
        command.args(variables.iter().flat_map(|(name, value)| ["-D".to_owned(), format!("{name}={value}")]));
        command.arg("-h").arg(self.postgres.socket_dir()).args(["-p", &self.postgres.port().to_string()]);
        command.args(["-U", self.postgres.user(), self.database]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("pgbench can't be run: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(request.script().as_bytes())?;
        }
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let failure = || format!("pgbench failed: {text}{}", String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(failure().into());
        }
        let figure = |start: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(start))?;
            value.split_whitespace().next()?.parse::<f64>().ok()
        };
        let transactions = figure("number of transactions actually processed:").ok_or_else(failure)?;
        #[expect(clippy::cast_possible_truncation, reason = "a count")]
        let transactions = transactions as i64;
        Ok(Alone { per_second: figure("tps =").ok_or_else(failure)?, transactions })
    }
}
