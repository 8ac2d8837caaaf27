//! The rules that payouts go by: timing, prices and public addresses.

use std::sync::Arc;

use crate::accounts::timing::Timing;
use crate::concierge::pricing::Prices;

/// Settings of payouts.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Timing of accounts without their own.
    pub timing: Timing,
    /// Prices of the day.
    pub prices: Arc<Prices>,
    /// Origin of links in recorded events, until they are sent to a client with another one.
    pub public_url: Arc<str>,
}
