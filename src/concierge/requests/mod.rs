//! Requests: a payer's order to pay many people at once, of which each output is one.

pub mod actions;
pub mod deadlines;
pub mod document;
pub mod fan_out;
pub mod funding;
pub mod life;
pub mod quote;
pub mod state;
pub mod store;

use bigdecimal::BigDecimal;
pub use document::SCHEMA;
use life::Life;

use crate::jsonapi::document::Identifier;

/// A request as its document shows it.
#[derive(Debug, Clone)]
pub struct ConciergeRequest {
    pub life: Life,
    pub external_id: Option<String>,
    pub payment_authorization_code: Option<String>,
    pub receipt_token: Option<String>,
    /// Ids of its outputs, ascending.
    pub outputs: Vec<i64>,
    /// How many of them are in each state, in the order of [`outputs::state::NAMES`](super::outputs::state::NAMES).
    pub counts: Vec<i64>,
    /// What the payer's wallet holds in the port's currency.
    pub funds_available: BigDecimal,
    /// Who made it, if not the master user.
    pub made_by: Option<i64>,
}

/// A request to be made.
#[derive(Debug, Clone)]
pub struct NewConciergeRequest {
    /// The payer; the acting user where nobody is named.
    pub user: Option<Identifier>,
    pub port_code: String,
    pub external_id: Option<String>,
    pub payment_authorization_code: Option<String>,
}

/// What a PATCH changes; `None` leaves as it is, `Some(None)` clears.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    pub external_id: Option<Option<String>>,
    pub payment_authorization_code: Option<Option<String>>,
}
