//! The size of a run.

use std::time::Duration;

/// The size of each scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Number of troubles.
    pub rounds: usize,
    /// Acknowledged writes before each trouble.
    pub writes: u64,
    /// Time in which the database is halted or its connections end.
    pub halt: Duration,
    /// Number of kills among several servers.
    pub kills: usize,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Scale {
    /// For each change: three minutes at most for all scenarios.
    pub const fn plain(seed: u64) -> Self {
        Self { rounds: 2, writes: 40, halt: Duration::from_secs(2), kills: 3, seed }
    }

    /// For a longer look.
    pub const fn full(seed: u64) -> Self {
        Self { rounds: 6, writes: 300, halt: Duration::from_secs(20), kills: 16, seed }
    }
}
