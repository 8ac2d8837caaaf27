//! The benchmark. `cargo bench` measures everything but the soak, `cargo bench -- --quick` is a short trial run, and
//! `cargo bench -- load` or `cargo bench -- soak` runs the named parts only.
//!
//! It starts and stops a private database and the server's release program. Each figure is printed with its target.
//! The exit code covers correctness only: all requests answered, all rows saved.

mod background; // part `background`: decisions about due outputs
mod client; // HTTP client with exact counts
mod generators; // wrk and pgbench
mod load; // part `load`: requests per second, compared with the database alone; memory
mod machine; // description of the machine
mod mass; // part `mass`: a million outputs
mod payout; // part `payout`: one request with many outputs
mod process; // CPU and memory of processes
mod report; // printing
mod request; // the measured requests
mod soak; // part `soak`, only by name: five minutes of mixed traffic
mod start; // part `start`: size and start-up
mod webhooks; // part `webhooks`: delivery of events
mod world; // the database and the server

use std::process::ExitCode;
use std::time::Duration;

use world::{Outcome, World};

/// Size of the measurement.
struct Scale {
    /// Number of runs of each kind.
    rounds: usize,
    /// Duration of each run.
    run: Duration,
    /// Requests of each of the sixteen clients in the exact count.
    exact: usize,
    /// Number of server starts.
    starts: usize,
    /// Outputs in the large collection.
    mass: i64,
    /// Requests of each kind to the large collection.
    sequential: usize,
    /// Outputs that are due at once.
    due: i64,
    /// Outputs that become due one by one.
    single: usize,
    /// Outputs of the large request.
    payout: i64,
    /// Queued events.
    events: i64,
    /// Periods of the soak.
    periods: usize,
    /// Duration of a period.
    period: Duration,
}

const FULL: Scale = Scale {
    rounds: 3,
    run: Duration::from_secs(3),
    exact: 1000,
    starts: 10,
    mass: 1_000_000,
    sequential: 300,
    due: 50_000,
    single: 200,
    payout: 20_000,
    events: 10_000,
    periods: 5,
    period: Duration::from_mins(1),
};

const QUICK: Scale = Scale {
    rounds: 1,
    run: Duration::from_secs(1),
    exact: 50,
    starts: 3,
    mass: 20_000,
    sequential: 50,
    due: 5000,
    single: 20,
    payout: 2000,
    events: 1000,
    periods: 3,
    period: Duration::from_secs(10),
};

const PARTS: [&str; 7] = ["start", "load", "mass", "background", "payout", "webhooks", "soak"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scale = if arguments.iter().any(|argument| argument == "--quick") { QUICK } else { FULL };
    let parts: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with("--")).collect();
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        eprintln!("{unknown} is not a part; the parts are {}", PARTS.join(", "));
        return ExitCode::FAILURE;
    }
    match measure(&scale, &parts).await {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            eprintln!("\nfault: {}", faults.join("\nfault: "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(scale: &Scale, parts: &[&str]) -> Outcome<Vec<String>> {
    let world = World::start()?;
    machine::describe(&mut world.connect("postgres").await?).await?;
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    let mut faults = Vec::new();
    if wanted("start") {
        start::run(&world, scale).await?;
    }
    if wanted("load") {
        faults.extend(load::run(&world, scale).await?);
    }
    if wanted("mass") {
        mass::run(&world, scale).await?;
    }
    if wanted("background") {
        faults.extend(background::run(&world, scale).await?);
    }
    if wanted("payout") {
        faults.extend(payout::run(&world, scale).await?);
    }
    if wanted("webhooks") {
        faults.extend(webhooks::run(&world, scale).await?);
    }
    if parts.contains(&"soak") {
        faults.extend(soak::run(&world, scale).await?);
    }
    Ok(faults)
}
