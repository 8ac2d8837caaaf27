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
    /// Scheme and host of URLs in events.
    pub public_url: Arc<str>,
}
