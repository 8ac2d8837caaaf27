//! Estimates: what outputs would cost, without making any. Not stored, but for the prices that an estimate holds.

pub mod document;
pub mod store;

use std::time::Duration;

use bigdecimal::BigDecimal;
pub use document::SCHEMA;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::outputs::Price;
use super::ports::Port;
use super::pricing::Prices;
use crate::accounts::caller::hex;

/// How long an estimate holds its prices (known).
pub const HOLD: Duration = Duration::from_mins(10);

/// What is to be estimated.
#[derive(Debug, Clone)]
pub enum NewEstimate {
    /// Outputs of a request at an origin.
    Outputs { origin: &'static Port, outputs: Vec<NewOutput> },
    /// A sum that is sent: the older form.
    Sum { from: &'static Port, to: &'static Port, amount: BigDecimal },
}

/// An output to be estimated.
#[derive(Debug, Clone)]
pub struct NewOutput {
    /// Where the money would go to.
    pub port: &'static Port,
    pub price: Price,
}

/// What outputs are priced by, in an order that doesn't depend on the client: SHA-256 of the port and the amount or
/// budget of each. The same for the same ports and amounts, however they are ordered and written.
pub fn fingerprint<'a>(outputs: impl IntoIterator<Item = (&'a str, &'a Price)>) -> [u8; 32] {
    let line = |(port_code, price): (&str, &Price)| match price {
        Price::Amount(amount) => format!("{port_code} amount {}\n", amount.normalized().to_plain_string()),
        Price::Budget(budget) => format!("{port_code} budget {}\n", budget.normalized().to_plain_string()),
    };
    let mut lines: Vec<String> = outputs.into_iter().map(line).collect();
    lines.sort_unstable();
    lines.iter().fold(Sha256::new(), Digest::chain_update).finalize().into()
}

/// What an estimate of these outputs, made at that instant, holds its prices under: 64 lower-case hex digits, the same
/// in every account.
pub fn hint_token(origin: &Port, outputs_sha256: [u8; 32], prices: &Prices, now: OffsetDateTime) -> String {
    let hash = Sha256::new()
        .chain_update(origin.code)
        .chain_update(outputs_sha256)
        .chain_update((now.unix_timestamp_nanos() / 1_000_000).to_be_bytes())
        .chain_update(prices.json());
    hex(&hash.finalize())
}
