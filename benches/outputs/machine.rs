//! What the figures were measured on.

use std::fs;
use std::num::NonZero;
use std::time::Duration;

use sqlx::postgres::PgConnection;

use crate::process;
use crate::world::Outcome;

/// More of its CPU than this used by others makes the figures doubtful.
const BUSY: f64 = 0.1;

/// Prints the machine, the database's version and settings, and whether others use the machine too.
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
    println!("generators: wrk -t1, pgbench -j 1; all of them share the cores with what they load");
    if let Some(busy) = busy().await.filter(|busy| *busy > BUSY) {
        println!("DOUBTFUL:   others use {:.0} % of this machine's CPU", busy * 100.0);
    }
    Ok(())
}

/// The value behind a name in a file of `name: value` lines.
fn value(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim().to_owned())
}

/// The share of the CPU that is used during a second in which we do nothing.
async fn busy() -> Option<f64> {
    let (busy_before, all_before) = process::cpu_of_all()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (busy, all) = process::cpu_of_all()?;
    Some((busy - busy_before) / (all - all_before).max(1.0))
}

/// What was used so far by everybody and by us; two of them tell what others used meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    busy: f64,
    all: f64,
    ours: f64,
}

impl Shares {
    /// `database` is the main process of the database; the other programs that we start are our children.
    pub fn now(database: u32) -> Option<Self> {
        let (busy, all) = process::cpu_of_all()?;
        let ours = process::cpu_of_family(std::process::id())? + process::cpu_of_family(database)?;
        Some(Self { busy, all, ours })
    }

    /// The share of the CPU that others have used since then.
    pub fn of_others(before: Option<Self>, database: u32) -> Option<f64> {
        let (before, now) = (before?, Self::now(database)?);
        let others = (now.busy - before.busy) - (now.ours - before.ours);
        Some((others / (now.all - before.all).max(1.0)).max(0.0))
    }
}
