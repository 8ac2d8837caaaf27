//! The scenarios: trouble under load, and its end.

pub mod accounts;
pub mod databases;
pub mod servers;

use std::pin::Pin;
use std::sync::Arc;

use crate::disk::SmallDisk;
use crate::load::{BUSY, Load, UNTOLD};
use crate::postgres::{Clusters, Postgres};
use crate::scale::Scale;
use crate::stage::Stage;

/// Trouble on a stage.
type Trouble = for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A scenario.
pub struct Scenario {
    pub name: &'static str,
    /// Number of servers.
    servers: usize,
    /// The database that the scenario needs.
    place: Place,
    load: Load,
    trouble: Trouble,
}

/// The PostgreSQL of a scenario.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// One for several scenarios.
    Shared,
    Own,
    /// One of its own on a small disk.
    SmallDisk,
}

const USUAL: Load = Load { accounts: [BUSY; 2], also_expected: &[] };

/// Every scenario, in the order of the table.
pub const SCENARIOS: [Scenario; 10] = [
    Scenario {
        name: "server: kill -9",
        servers: 1,
        place: Place::Shared,
        load: USUAL,
        trouble: |stage| Box::pin(servers::killed(stage)),
    },
    Scenario {
        name: "three servers: one killed every 3 s",
        servers: 3,
        place: Place::Shared,
        load: USUAL,
        trouble: |stage| Box::pin(servers::one_of_three_killed(stage)),
    },
    Scenario {
        name: "PostgreSQL: stopped immediately",
        servers: 1,
        place: Place::Own,
        load: USUAL,
        trouble: |stage| Box::pin(databases::stopped(stage)),
    },
    Scenario {
        name: "PostgreSQL: killed",
        servers: 1,
        place: Place::Own,
        load: USUAL,
        trouble: |stage| Box::pin(databases::killed(stage)),
    },
    Scenario {
        name: "PostgreSQL: frozen",
        servers: 1,
        place: Place::Own,
        load: USUAL,
        trouble: |stage| Box::pin(databases::frozen(stage)),
    },
    Scenario {
        name: "PostgreSQL: connections terminated",
        servers: 1,
        place: Place::Shared,
        load: USUAL,
        trouble: |stage| Box::pin(databases::terminated(stage)),
    },
    Scenario {
        name: "PostgreSQL: disk full",
        servers: 1,
        place: Place::SmallDisk,
        load: USUAL,
        trouble: |stage| Box::pin(databases::without_space(stage)),
    },
    Scenario {
        name: "PostgreSQL: answers withheld, then reset",
        servers: 1,
        place: Place::Shared,
        load: USUAL,
        trouble: |stage| Box::pin(databases::answers_withheld(stage)),
    },
    Scenario {
        name: "account: reset, snapshot, restore, delete",
        servers: 1,
        place: Place::Shared,
        // clients of a replaced account find their key, their request or its outputs gone
        load: Load { also_expected: &[401, 404, 422], ..USUAL },
        trouble: |stage| Box::pin(accounts::replaced(stage)),
    },
    Scenario {
        name: "account: clock advanced",
        servers: 1,
        place: Place::Shared,
        load: Load { accounts: [BUSY, UNTOLD], ..USUAL },
        trouble: |stage| Box::pin(accounts::advanced(stage)),
    },
];

/// Load without trouble.
pub const CALM: Scenario =
    Scenario { name: "calm", servers: 1, place: Place::Shared, load: USUAL, trouble: |_| Box::pin(async {}) };

impl Scenario {
    /// Runs the trouble, and returns the stage after the last recovery.
    ///
    /// # Errors
    /// The reason for which this machine can't run it.
    pub async fn run(&self, scale: Scale, clusters: &mut Clusters) -> Result<Stage, String> {
        let postgres = match self.place {
            Place::Shared => clusters.shared(),
            Place::Own => clusters.own().await,
            Place::SmallDisk => Arc::new(Postgres::start_on(SmallDisk::mount()?).await),
        };
        let mut stage = Stage::open(self.name, scale, &postgres, self.servers, self.load).await;
        (self.trouble)(&mut stage).await;
        // load goes on after the trouble, too
        stage.writes(scale.writes / 2).await;
        Ok(stage)
    }

    /// Returns whether the scenario has a PostgreSQL of its own.
    pub fn has_own_cluster(&self) -> bool {
        matches!(self.place, Place::Own)
    }
}
