//! Requests: a payer's order for many payments at once.
//! Each output is one payment.

pub mod actions;
pub mod cascade;
pub mod deadlines;
pub mod document;
pub mod funding;
pub mod progress;
pub mod quote;
pub mod state;
pub mod store;

use bigdecimal::BigDecimal;
use progress::Progress;

use crate::jsonapi::document::Identifier;

/// A request with the data for its document.
#[derive(Debug, Clone)]
pub struct ConciergeRequest {
    pub progress: Progress,
    pub external_id: Option<String>,
    pub payment_authorization_code: Option<String>,
    pub receipt_token: Option<String>,
    /// Ids of the outputs, ascending.
    pub outputs: Vec<i64>,
    /// Number of outputs in each state, in the order of [`outputs::state::NAMES`](super::outputs::state::NAMES).
    pub counts: Vec<i64>,
    /// Balance of the payer's wallet in the port's currency.
    pub funds_available: BigDecimal,
    /// Creator of the request; `None` stands for the master user.
    pub made_by: Option<i64>,
}

/// A new request.
#[derive(Debug, Clone)]
pub struct NewConciergeRequest {
    /// The payer; `None` for the acting user.
    pub user: Option<Identifier>,
    pub port_code: String,
    pub external_id: Option<String>,
    pub payment_authorization_code: Option<String>,
}

/// Changes of a PATCH: `None` keeps a value, `Some(None)` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestChanges {
    pub external_id: Option<Option<String>>,
    pub payment_authorization_code: Option<Option<String>>,
}
