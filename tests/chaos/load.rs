//! The load of a scenario.

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
    /// The account has a receiver of events.
    pub is_told: bool,
}

pub const BUSY: AccountLoad = AccountLoad { clients: 4, is_told: true };
pub const UNTOLD: AccountLoad = AccountLoad { clients: 2, is_told: false };
