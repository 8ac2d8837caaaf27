//! The load of a scenario.

use std::time::Duration;

/// The load of both accounts.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub accounts: [AccountLoad; 2],
    /// Statuses that clients expect besides 2xx, 409 and 503.
    pub also_expected: &'static [u16],
}

/// The load of one account.
#[derive(Debug, Clone, Copy)]
pub struct AccountLoad {
    /// Number of clients.
    pub clients: usize,
    /// Pause of a client after each payout.
    pub pause: Duration,
    /// The account has a receiver of events.
    pub is_told: bool,
}

pub const BUSY: AccountLoad = AccountLoad { clients: 4, pause: Duration::ZERO, is_told: true };
pub const UNTOLD: AccountLoad = AccountLoad { clients: 2, is_told: false, ..BUSY };
pub const OCCASIONAL: AccountLoad = AccountLoad { clients: 1, pause: Duration::from_millis(250), is_told: true };
