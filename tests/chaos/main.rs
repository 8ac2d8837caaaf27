//! Chaos: load, trouble in the middle of it, recovery, and a checker of every invariant.
//!
//! `cargo test --test chaos` takes three minutes at most, `cargo test --test chaos -- --full` longer. Words choose
//! scenarios by name. The table has the calls of each scenario, and its acknowledged, lost and doubled writes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

#[path = "../it/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the integration tests, which use the rest")]
mod support;

mod checker; // the invariants after all trouble
mod clients; // the load
mod disk; // a small file system
mod journal; // the answers to the clients
mod listener; // the receiver of events
mod load; // the size of the load
mod planted; // the test of the checker
mod postgres; // a PostgreSQL to be killed
mod random; // seeded choices
mod report; // the table
mod scale; // the size of a run
mod scenarios; // the troubles
mod stage; // one scenario

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Instant;

use futures_util::FutureExt;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;

use postgres::Clusters;
use report::{Report, remark};
use scale::Scale;
use scenarios::{CALM, SCENARIOS, Scenario};

const USAGE: &str = "usage: cargo test --test chaos -- [--full] [--seed NUMBER] [WORD OF A SCENARIO...]";
const SEED: u64 = 14;
/// Name of the test of the checker, among the scenarios.
const CHECKER: &str = "checker";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((scale, words)) = read(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(scale, &words))
}

/// Returns the size and the chosen scenarios.
fn read(arguments: &[String]) -> Option<(Scale, Vec<String>)> {
    let (mut is_full, mut seed, mut words) = (false, SEED, Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--full" => is_full = true,
            "--seed" => seed = arguments.next()?.parse().ok()?,
            option if option.starts_with('-') => return None,
            word => words.push(word.to_lowercase()),
        }
    }
    Some((if is_full { Scale::full(seed) } else { Scale::plain(seed) }, words))
}

/// The rest of a scenario: due work ends while the next scenario runs.
enum Ending {
    Checking(JoinHandle<Report>),
    Skipped(String),
    Failed,
}

async fn run(scale: Scale, words: &[String]) -> ExitCode {
    let begun = Instant::now();
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.to_lowercase().contains(word));
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| is_chosen(scenario.name)).collect();
    let own = chosen.iter().filter(|scenario| scenario.has_own_cluster()).count();
    let mut clusters = Clusters::start(own).await;
    let announce = |name: &str| eprintln!("{:>6.1} s  {name}", begun.elapsed().as_secs_f64());
    let mut planting = None;
    if is_chosen(CHECKER) {
        announce(CHECKER);
        let sound = CALM.run(Scale { writes: 100, ..scale }, &mut clusters).await.unwrap();
        planting = Some(tokio::spawn(async { planted::missed(sound.rest().await).await }));
    }
    let mut endings = Vec::new();
    for scenario in chosen {
        announce(scenario.name);
        endings.push((scenario.name, start(scenario, scale, &mut clusters).await));
    }
    let mut is_sound = true;
    if let Some(planting) = planting {
        let missed = planting.await.unwrap();
        println!("\nthe checker named {} of {} planted faults", planted::COUNT - missed.len(), planted::COUNT);
        is_sound &= missed.is_empty();
        for line in missed {
            println!("{line}");
        }
    }
    is_sound &= print_table(endings).await;
    println!("\nafter {:.0} s, with seed {}", begun.elapsed().as_secs_f64(), scale.seed);
    if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a scenario up to its last recovery. A panic fails this scenario only.
async fn start(scenario: &Scenario, scale: Scale, clusters: &mut Clusters) -> Ending {
    match AssertUnwindSafe(scenario.run(scale, clusters)).catch_unwind().await {
        Ok(Ok(stage)) => Ending::Checking(tokio::spawn(async { stage.rest().await.report().await })),
        Ok(Err(reason)) => Ending::Skipped(reason),
        Err(_) => Ending::Failed,
    }
}

/// Prints a row for each scenario, then the findings. Returns whether there are none.
async fn print_table(endings: Vec<(&'static str, Ending)>) -> bool {
    let (mut is_sound, mut lines) = (true, Vec::new());
    println!("\n{}", Report::heading());
    for (name, ending) in endings {
        let report = match ending {
            Ending::Checking(checking) => checking.await.ok(),
            Ending::Skipped(reason) => {
                println!("{}", remark(name, &format!("skipped: {reason}")));
                continue;
            }
            Ending::Failed => None,
        };
        match report {
            Some(report) => {
                println!("{}", report.row());
                is_sound &= report.findings.is_empty();
                lines.extend(report.lines());
            }
            None => {
                println!("{}", remark(name, "failed: see the panic above"));
                is_sound = false;
            }
        }
    }
    for line in lines {
        println!("{line}");
    }
    is_sound
}
