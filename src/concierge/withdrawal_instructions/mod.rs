//! Withdrawal instructions: the destination of a user's money.
//! The client's body is stored and returned unchanged.

pub mod actions;
pub mod document;
pub mod store;

use serde_json::value::RawValue;

use crate::jsonapi::document::Identifier;

/// A stored instruction.
#[derive(Debug, Clone)]
pub struct WithdrawalInstruction {
    pub id: i64,
    pub user_id: i64,
    pub label: Option<String>,
    pub schema: String,
    /// The client's object, not interpreted. `None`: not loaded.
    pub body: Option<Box<RawValue>>,
    pub payment_method_type: Option<String>,
}

/// A new instruction.
#[derive(Debug, Clone)]
pub struct NewWithdrawalInstruction {
    /// The owner; `None` for the acting user.
    pub user: Option<Identifier>,
    pub label: Option<String>,
    pub schema: String,
    /// JSON text of an object.
    pub body: String,
    pub payment_method_type: Option<String>,
}
