//! The benchmark: `cargo bench` measures everything, `cargo bench -- --quick` is a short look at whether it works,
//! and names of parts (`cargo bench -- load`) choose among them.
//!
//! It starts a private database and the server's release program, and ends both. Targets are printed beside the
//! figures; the exit code tells only whether all requests were answered and all rows are there.

mod background; // part `background`: outputs decided when they are due
mod client; // a client that counts exactly
mod generators; // wrk and pgbench
mod load; // part `load`: requests a second, beside what the database alone can do; memory
mod machine; // what they run on
mod mass; // part `mass`: a million outputs
mod payout; // part `payout`: one request with very many outputs
mod process; // CPU and memory of processes
mod report; // what is printed
mod request; // what is asked
mod start; // part `start`: size and start-up
mod webhooks; // part `webhooks`: events on their way
mod world; // the database and the server

use std::process::ExitCode;
use std::time::Duration;

use world::{Outcome, World};

/// How much is measured.
struct Scale {
    /// Runs of each kind.
    rounds: usize,
    /// How long each takes.
    run: Duration,
    /// Requests of each of sixteen clients that are counted exactly.
    exact: usize,
    /// How often the server is started.
    starts: usize,
    /// Outputs in a large collection, and requests of each kind to it.
    mass: i64,
    sequential: usize,
    /// Outputs that are due at once, and those that are due one by one.
    due: i64,
    single: usize,
    /// Outputs of one request.
    payout: i64,
    /// Events that are queued.
    events: i64,
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
};

const PARTS: [&str; 6] = ["start", "load", "mass", "background", "payout", "webhooks"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scale = if arguments.iter().any(|argument| argument == "--quick") { QUICK } else { FULL };
    let parts: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with("--")).collect();
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        eprintln!("there is no part {unknown}; the parts are {}", PARTS.join(", "));
        return ExitCode::FAILURE;
    }
    match measure(&scale, &parts).await {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            eprintln!("\nwrong: {}", faults.join("\nwrong: "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the benchmark broke off: {error}");
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
    Ok(faults)
}
