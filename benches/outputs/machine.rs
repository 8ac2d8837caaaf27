//! The machine of a measurement.

use std::fs;
use std::num::NonZero;
use std::time::Duration;

use sqlx::postgres::PgConnection;

use crate::process;
use crate::world::Outcome;

/// Maximum CPU share of other processes. A larger share makes the figures doubtful.
const BUSY: f64 = 0.1;

/// Prints the machine, and the database's version and settings. Warns if other processes use the CPU.
pub async fn describe(connection: &mut PgConnection) -> Outcome<()> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let model = value("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = value("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let system = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let setting = async |connection: &mut PgConnection, name: &str| -> Outcome<String> {
        Ok(sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(connection).await?)
    };
    println!("machine:    {cores} cores ({model}), memory {memory}, {} {}", std::env::consts::OS, system.trim());
    println!(
        "database:   PostgreSQL {}, a unix socket, fsync {}, synchronous_commit {}, shared_buffers {}",
        setting(connection, "server_version").await?,
        setting(connection, "fsync").await?,
        setting(connection, "synchronous_commit").await?,
        setting(connection, "shared_buffers").await?,
    );
    println!("server:     concierge-sandbox {}, its defaults, HTTP over loopback", env!("CARGO_PKG_VERSION"));
    println!("generators: wrk -t1, pgbench -j 1; they share the cores with the server and the database");
    if let Some(busy) = busy().await.filter(|busy| *busy > BUSY) {
        println!("DOUBTFUL:   other processes use {:.0} % of the CPU", busy * 100.0);
    }
    Ok(())
}

/// Returns the value of a name in a file of `name: value` lines.
fn value(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim().to_owned())
}

/// Returns the share of the CPU in use during a second without work of this benchmark.
async fn busy() -> Option<f64> {
    let (busy_before, all_before) = process::cpu_of_all()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (busy, all) = process::cpu_of_all()?;
    Some((busy - busy_before) / (all - all_before).max(1.0))
}

/// CPU time used so far, in total and by this benchmark. Two readings give the share of other processes.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    busy: f64,
    all: f64,
    ours: f64,
}

impl Shares {
    /// Reads the CPU times. `database` is the database's main process; all other programs are child processes.
    pub fn now(database: u32) -> Option<Self> {
        let (busy, all) = process::cpu_of_all()?;
        let ours = process::cpu_of_family(std::process::id())? + process::cpu_of_family(database)?;
        Some(Self { busy, all, ours })
    }

    /// Returns the CPU share of other processes since `before`.
    pub fn of_others(before: Option<Self>, database: u32) -> Option<f64> {
        let (before, now) = (before?, Self::now(database)?);
        let others = (now.busy - before.busy) - (now.ours - before.ours);
        Some((others / (now.all - before.all).max(1.0)).max(0.0))
    }
}
