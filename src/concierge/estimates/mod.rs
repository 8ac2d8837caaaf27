//! Estimates: prices for outputs before they exist.
//! Only the held prices of an estimate are stored.

pub mod document;
pub mod store;

use std::time::Duration;

use bigdecimal::BigDecimal;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::ports::Port;
use super::pricing::{Price, Prices};
use crate::accounts::caller::hex;

/// Time for which an estimate holds its prices (known).
pub const HOLD: Duration = Duration::from_mins(10);

/// A requested estimate.
#[derive(Debug, Clone)]
pub enum NewEstimate {
    /// Outputs of a request at one origin.
    Outputs { origin: &'static Port, outputs: Vec<EstimatedOutput> },
    /// A single sum to send: the older form.
    Sum { from: &'static Port, to: &'static Port, amount: BigDecimal },
}

/// An output to estimate.
#[derive(Debug, Clone)]
pub struct EstimatedOutput {
    /// Destination of the money.
    pub port: &'static Port,
    pub price: Price,
}

/// Returns the SHA-256 of each output's port and amount or budget, in a canonical order.
/// It does not depend on the client's order or notation of decimals.
pub fn fingerprint<'a>(outputs: impl IntoIterator<Item = (&'a str, &'a Price)>) -> [u8; 32] {
    let line = |(port_code, price): (&str, &Price)| match price {
        Price::Amount(amount) => format!("{port_code} amount {}\n", amount.normalized().to_plain_string()),
        Price::Budget(budget) => format!("{port_code} budget {}\n", budget.normalized().to_plain_string()),
    };
    let mut lines: Vec<String> = outputs.into_iter().map(line).collect();
    lines.sort_unstable();
    lines.iter().fold(Sha256::new(), Digest::chain_update).finalize().into()
}

/// Returns the token for the held prices of an estimate at `now`.
/// It has 64 lower-case hex digits and is the same in every account.
pub fn hint_token(origin: &Port, outputs_sha256: [u8; 32], prices: &Prices, now: OffsetDateTime) -> String {
    let hash = Sha256::new()
        .chain_update(origin.code)
        .chain_update(outputs_sha256)
        .chain_update((now.unix_timestamp_nanos() / 1_000_000).to_be_bytes())
        .chain_update(prices.json());
    hex(&hash.finalize())
}
