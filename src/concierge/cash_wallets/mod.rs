//! Cash wallets: the money a user has, one wallet a currency. Requests are paid from the payer's; what happens to
//! them is the requests' business, here they are only shown.

pub mod store;

use bigdecimal::BigDecimal;

use super::ports::PORTS;
use crate::jsonapi::render::{Resource, Value};
use crate::jsonapi::schema::{Attribute, Schema};

/// What a wallet's document shows. Its id is its currency (known).
///
/// `available` is always the `balance`: nothing is ever reserved, what a request costs is taken at once.
pub static SCHEMA: Schema = Schema {
    type_name: "cash_wallets",
    path: "/api/cash_wallets",
    attributes: &[Attribute::new("currency"), Attribute::new("balance"), Attribute::new("available")],
    relationships: &[],
    references: &[],
    default_include: &[],
    sort: &[],
    filters: &[],
};

/// The money a user has in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CashWallet {
    /// ISO 4217, in lower case.
    pub currency: String,
    /// In units of the currency.
    pub balance: BigDecimal,
}

/// The currencies there are wallets in: those of the ports, in lower case, ascending.
pub fn currencies() -> Vec<String> {
    let mut currencies: Vec<String> = PORTS.iter().map(|port| port.currency.to_ascii_lowercase()).collect();
    currencies.sort_unstable();
    currencies.dedup();
    currencies
}

/// The currency of that name, in any case, if there are wallets in it.
pub fn currency(name: &str) -> Option<String> {
    currencies().into_iter().find(|currency| currency.eq_ignore_ascii_case(name))
}

/// A wallet in each of these currencies: that among `stored`, or an empty one. A user of an exchange has one in each
/// currency, the store keeps those that money was in.
pub fn complete(currencies: Vec<String>, stored: &[CashWallet]) -> Vec<CashWallet> {
    let wallet = |currency: String| {
        let found = stored.iter().find(|wallet| wallet.currency == currency);
        CashWallet { balance: found.map(|wallet| wallet.balance.clone()).unwrap_or_default(), currency }
    };
    currencies.into_iter().map(wallet).collect()
}

/// A wallet as a resource.
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
