//! Cash wallets: the money of a user, one wallet for each currency.
//!
//! Requests are paid from the payer's wallet.
//! This module only shows wallets; `money` changes them.

pub mod ledger;
pub mod store;

use bigdecimal::BigDecimal;

use super::ports::PORTS;
use crate::jsonapi::render::{Resource, Value};
use crate::jsonapi::schema::{Attribute, Schema, ValueType};

/// Schema of wallets.
/// The id of a wallet is its currency (known).
///
/// `available` always equals `balance`: money is debited at once, never reserved.
pub static SCHEMA: Schema = Schema {
    type_name: "cash_wallets",
    path: "/api/cash_wallets",
    example_id: "ars",
    pages_by_id: false,
    attributes: &[
        Attribute::new(
            "currency",
            ValueType::Text { longest: 3 },
            "Currency, ISO 4217 in lower case; also the id.",
            r#""ars""#,
        ),
        Attribute::new("balance", ValueType::Decimal, "Money in the wallet, in units of the currency.", "1000000"),
        Attribute::new("available", ValueType::Decimal, "Money free to spend, in units of the currency.", "1000000"),
    ],
    relationships: &[],
    references: &[],
    default_include: &[],
    sort: &[],
    filters: &[],
};

/// The money of a user in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CashWallet {
    /// ISO 4217, in lower case.
    pub currency: String,
    /// Balance in units of the currency.
    pub balance: BigDecimal,
}

/// Returns the currencies of wallets: the ports' currencies, in lower case, ascending.
pub fn currencies() -> Vec<String> {
    let mut currencies: Vec<String> = PORTS.iter().map(|port| port.currency.to_ascii_lowercase()).collect();
    currencies.sort_unstable();
    currencies.dedup();
    currencies
}

/// Returns the currency of wallets with this name, ignoring case.
pub fn currency(name: &str) -> Option<String> {
    currencies().into_iter().find(|currency| currency.eq_ignore_ascii_case(name))
}

/// Returns one wallet for each currency: from `stored`, else an empty one.
/// A user has a wallet in every currency; the database stores used wallets only.
pub fn complete(currencies: Vec<String>, stored: &[CashWallet]) -> Vec<CashWallet> {
    let wallet = |currency: String| {
        let found = stored.iter().find(|wallet| wallet.currency == currency);
        CashWallet { balance: found.map(|wallet| wallet.balance.clone()).unwrap_or_default(), currency }
    };
    currencies.into_iter().map(wallet).collect()
}

/// Renders a wallet as a resource.
pub fn render(wallet: &CashWallet) -> Resource {
    Resource {
        schema: &SCHEMA,
        id: wallet.currency.clone(),
        attributes: vec![
            ("currency", Value::Text(Some(wallet.currency.clone()))),
            ("balance", Value::Decimal(wallet.balance.clone())),
            ("available", Value::Decimal(wallet.balance.clone())),
        ],
        relationships: Vec::new(),
    }
}
