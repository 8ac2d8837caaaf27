//! The rules that payouts go by: timing, prices and public addresses.

use std::sync::Arc;

use crate::accounts::pace::Pace;
use crate::concierge::pricing::Prices;

/// What the lifecycle goes by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Of accounts that have none of their own.
    pub pace: Pace,
    /// Of the day.
    pub prices: Arc<Prices>,
    /// Scheme and host of the URLs that events show.
    pub public_url: Arc<str>,
}
