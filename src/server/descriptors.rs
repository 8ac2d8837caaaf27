//! File descriptors: each connection needs one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::serving::REFUSALS;
use crate::config::Config;

/// Maximum number of connections without a setting.
const MOST: usize = 16_384;
/// Descriptors for everything but connections of clients, the database and receivers.
const RESERVE: usize = 64;

/// Raises this process's limit of descriptors as far as it may, and returns the maximum number of connections.
pub fn most_connections(config: &Config) -> usize {
    let others = RESERVE + REFUSALS + config.database_connections as usize + usize::from(config.webhook_deliveries);
    let room = raise().saturating_sub(others).max(1);
    let wanted = config.max_connections.map_or(MOST, |most| most as usize);
    if config.max_connections.is_some() && wanted > room {
        tracing::warn!(
            connections = room,
            "--max-connections is {wanted}, but the limit of file descriptors leaves {room}: raise it with `ulimit -Hn`"
        );
    }
    wanted.min(room)
}

/// Raises the limit of descriptors to the hard limit, and returns it.
fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // a system may have another limit yet: the present one stays
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
