//! Minutes of mixed traffic: accounts made, used and deleted, payouts, lists, clocks, refused calls, failing receivers.
//!
//! Nothing grows: memory, descriptors and rows of the last period are those of the second one.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use crate::Scale;
use crate::client::Client;
use crate::process;
use crate::report::{Target, figure, figure_with_target, heading, percentile};
use crate::request::{BODY, PATH};
use crate::world::{Outcome, World};

/// Clients at a time.
const CLIENTS: u64 = 4;
/// Outputs of each account.
const OUTPUTS: usize = 8;
/// Time between samples.
const SAMPLE: Duration = Duration::from_millis(500);

/// What a server uses, at one instant.
struct Sample {
    /// Millions of bytes.
    memory: f64,
    descriptors: f64,
    rows: f64,
}

/// Sends traffic, prints, and returns the faults found.
pub async fn run(world: &World, scale: &Scale) -> Outcome<Vec<String>> {
    heading("Soak: mixed traffic");
    world.create("soak").await?;
    let server = world.serve("soak", &["--check-delay", "20ms", "--step-delay", "20ms", "--max-accounts", "100"])?;
    let mut connection = world.connect("soak").await?;
    let tables = tables(&mut connection).await?;
    // takes connections and answers none
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let traffic = Arc::new(Traffic {
        address: server.address.clone(),
        receivers: [format!("http://{}/", silent.local_addr()?), "http://127.0.0.1:9/".to_owned()],
        is_over: AtomicBool::new(false),
        calls: AtomicU64::new(0),
    });
    let start = |number| {
        let traffic = Arc::clone(&traffic);
        // errors cross threads as text
        thread::spawn(move || traffic.client(number).map_err(|error| error.to_string()))
    };
    let clients: Vec<_> = (0..CLIENTS).map(start).collect();
    let periods = observe(&mut connection, server.pid(), &tables, scale).await;
    traffic.is_over.store(true, Ordering::Relaxed);
    let ended: Vec<_> = clients.into_iter().map(JoinHandle::join).collect();
    let periods = periods?;
    let mut faults = Vec::new();
    for end in ended {
        match end {
            Ok(Ok(())) => {}
            Ok(Err(error)) => faults.push(format!("a client of the soak failed: {error}")),
            Err(_) => faults.push("a client of the soak panicked".to_owned()),
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    figure("calls", Some(traffic.calls.load(Ordering::Relaxed) as f64), "");
    for (name, unit, within, of) in [
        ("memory", "MB", 0.05, (|sample| sample.memory) as fn(&Sample) -> f64),
        ("descriptors", "", 0.1, |sample| sample.descriptors),
        ("rows", "", 0.25, |sample| sample.rows),
    ] {
        // a sample may hit the moment between an account's end and the end of its rows
        let [second, last] = [periods.get(1), periods.last()]
            .map(|period| period.and_then(|samples| percentile(samples.iter().map(of), 0.5)));
        figure(&format!("{name} in the second period"), second, unit);
        figure(&format!("{name} in the last period"), last, unit);
        let growth = second.zip(last).map(|(second, last)| last / second);
        let target = Target::AtMost(1.0 + within);
        figure_with_target(&format!("{name}, last to second"), growth, "", target);
        if growth.is_some_and(|growth| growth > 1.0 + within) {
            faults.push(format!("{name} grew during the soak"));
        }
    }
    Ok(faults)
}

/// Samples the server's use, period by period.
async fn observe(
    connection: &mut PgConnection,
    server: u32,
    tables: &[String],
    scale: &Scale,
) -> Outcome<Vec<Vec<Sample>>> {
    let mut periods = Vec::new();
    for _ in 0..scale.periods {
        let (mut samples, end) = (Vec::new(), Instant::now() + scale.period);
        while Instant::now() < end {
            tokio::time::sleep(SAMPLE).await;
            let (Some(memory), Some(descriptors)) = (process::resident(server), process::descriptors(server)) else {
                return Err("the server's use can't be read from /proc".into());
            };
            #[expect(clippy::cast_precision_loss, reason = "a count")]
            samples.push(Sample { memory, descriptors: descriptors as f64, rows: rows(connection, tables).await? });
        }
        periods.push(samples);
    }
    Ok(periods)
}

/// The traffic of all clients.
struct Traffic {
    address: String,
    /// URLs of receivers that fail.
    receivers: [String; 2],
    is_over: AtomicBool,
    calls: AtomicU64,
}

impl Traffic {
    /// Uses one account after another: makes it, calls, deletes it.
    fn client(&self, number: u64) -> Outcome<()> {
        let mut client = Client::connect(&self.address)?;
        let mut round = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            round += 1;
            let key = format!("soak_{number}_{round}");
            let mut call = |method: &str, path: &str, body: &str, expected: u16| -> Outcome<()> {
                let status = client.send(method, path, &key, body)?.status;
                self.calls.fetch_add(1, Ordering::Relaxed);
                let fault = || format!("{method} {path} was answered with {status} instead of {expected}");
                if status == expected { Ok(()) } else { Err(fault().into()) }
            };
            call("POST", "/_sandbox/accounts", &format!(r#"{{"key":"{key}"}}"#), 201)?;
            let url = &self.receivers[usize::from(round % 2 == 0)];
            let listen = format!(r#"{{"data":{{"type":"users","attributes":{{"webhook_url":"{url}"}}}}}}"#);
            call("PATCH", "/api/users/me", &listen, 200)?;
            for _ in 0..OUTPUTS {
                call("POST", PATH, BODY, 201)?;
                call("POST", PATH, "{", 400)?;
                call("GET", "/api/none", "", 404)?;
                call("GET", "/api/concierge_request_outputs?include=user,request&page[size]=5", "", 200)?;
            }
            call("GET", "/_sandbox/wait?resource=concierge_requests/1010&state=draft&timeout=1s", "", 200)?;
            call("GET", "/_sandbox/events", "", 200)?;
            call("POST", "/_sandbox/clock/freeze", "", 200)?;
            call("GET", "/_sandbox/requests", "", 200)?;
            call("DELETE", "/_sandbox/accounts/me", "", 204)?;
        }
        Ok(())
    }
}

/// Returns the names of all tables.
async fn tables(connection: &mut PgConnection) -> Outcome<Vec<String>> {
    let sql = "select tablename::text from pg_tables where schemaname = 'public' order by 1";
    Ok(sqlx::query_scalar(sql).fetch_all(connection).await?)
}

/// Counts the rows of all tables.
async fn rows(connection: &mut PgConnection, tables: &[String]) -> Outcome<f64> {
    let counts: Vec<String> = tables.iter().map(|table| format!("(select count(*) from {table})")).collect();
    let sql = format!("select ({})::float8", counts.join(" + "));
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await?)
}
