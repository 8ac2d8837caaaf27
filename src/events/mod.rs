//! Events: the outbox, which is what happened, written in the transaction in which it happens; where they may be sent,
//! and one attempt at it.

pub mod address;
pub mod attempt;
mod failure;
pub mod receiver;
mod resolve;
pub mod store;
pub mod trust;

use time::OffsetDateTime;

/// Something that happened to a resource.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub account_id: i64,
    pub event_type: &'static str,
    pub resource_type: &'static str,
    pub resource_id: i64,
    pub at: OffsetDateTime,
}
