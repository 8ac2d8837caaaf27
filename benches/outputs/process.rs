//! CPU time and memory of processes, read from /proc. On systems without /proc all figures are `None`.

use std::fs;

/// The unit of CPU times in /proc, in microseconds. It is the same on all supported Linux systems.
const TICK: f64 = 1e6 / 100.0;

/// Returns the CPU time of a process, in microseconds.
pub fn cpu(pid: u32) -> Option<f64> {
    Some(Usage::read(pid)?.own * TICK)
}

/// Returns the CPU time of a process and its children, ended ones included, in microseconds.
pub fn cpu_of_family(pid: u32) -> Option<f64> {
    loop {
        let before = Usage::read(pid)?;
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let children = processes.filter_map(Usage::read).filter(|usage| usage.parent == pid);
        let children: f64 = children.map(|child| child.own).sum();
        let after = Usage::read(pid)?;
        // a child that ends during the count would be missed, or counted twice
        #[expect(clippy::float_cmp, reason = "whole numbers")]
        if before.ended == after.ended {
            return Some((after.own + after.ended + children) * TICK);
        }
    }
}

/// Returns the CPU time used by all processes, and the CPU time available, in microseconds.
pub fn cpu_of_all() -> Option<(f64, f64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields = text.lines().next()?.split_whitespace().skip(1);
    let ticks: Vec<f64> = fields.take(8).filter_map(|field| field.parse().ok()).collect();
    let all: f64 = ticks.iter().sum();
    // idle time includes waits for a disk
    Some(((all - ticks.get(3)? - ticks.get(4)?) * TICK, all * TICK))
}

/// Returns the current resident memory, in millions of bytes.
pub fn resident(pid: u32) -> Option<f64> {
    memory(pid, "VmRSS:")
}

/// Returns the number of open descriptors.
pub fn descriptors(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Returns the maximum resident memory so far, in millions of bytes.
pub fn resident_at_most(pid: u32) -> Option<f64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, key: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0 / 1e6)
}

/// CPU time of one process, in ticks.
struct Usage {
    parent: u32,
    own: f64,
    /// CPU time of ended children.
    ended: f64,
}

impl Usage {
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // the name, in parentheses, may hold anything
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            ended: ticks(13)? + ticks(14)?,
        })
    }
}
