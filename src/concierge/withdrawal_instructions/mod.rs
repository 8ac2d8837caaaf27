//! Withdrawal instructions: where a user's money goes. The body is the client's, kept and returned as sent.

pub mod actions;
pub mod document;
pub mod store;

pub use document::SCHEMA;
use serde_json::value::RawValue;

use crate::jsonapi::document::Identifier;

/// An instruction as it is stored.
#[derive(Debug, Clone)]
pub struct WithdrawalInstruction {
    pub id: i64,
    pub user_id: i64,
    pub label: Option<String>,
    pub schema: String,
    /// The client's object, unread.
    pub body: Box<RawValue>,
    pub payment_method_type: Option<String>,
}

/// An instruction to be made.
#[derive(Debug, Clone)]
pub struct NewWithdrawalInstruction {
    /// Whose it is; the acting user's where nobody is named.
    pub user: Option<Identifier>,
    pub label: Option<String>,
    pub schema: String,
    /// JSON text of an object.
    pub body: String,
    pub payment_method_type: Option<String>,
}
