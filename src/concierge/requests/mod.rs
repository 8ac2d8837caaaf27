//! Requests: a payer's order to pay many people at once, of which each output is one.

pub mod document;
pub mod quote;
pub mod routes;
pub mod state;
pub mod store;

pub use document::SCHEMA;
use state::State;

use crate::jsonapi::document::Identifier;

/// A request as it is stored.
#[derive(Debug, Clone)]
pub struct ConciergeRequest {
    pub id: i64,
    /// The payer.
    pub user_id: i64,
    /// Where the money comes from.
    pub port_code: String,
    pub state: State,
    pub external_id: Option<String>,
    pub payment_authorization_code: Option<String>,
    /// Ids of its outputs, ascending.
    pub outputs: Vec<i64>,
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
