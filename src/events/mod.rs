//! Events: the outbox, which is what happened and why ([`cause`]), written in the transaction in which it happens; and
//! sending them.
//!
//! An event is queued where there is a `webhook_url` for it ([`store`]), taken when it is due ([`delivery`]), sent as
//! receivers know it ([`envelope`]) in one attempt ([`attempt`]) to where it may be sent ([`address`], [`receiver`]), and
//! tried again ([`retries`]) until it is received or given up.

pub mod address;
pub mod cause;
pub mod receiver;
pub mod store;

use std::sync::Arc;

pub use cause::Cause;
use time::OffsetDateTime;

use crate::jsonapi::document::id_number;
use crate::jsonapi::render::{self, Resource};

/// Something that happened to a resource.
#[derive(Debug, Clone)]
pub struct Event {
    pub account_id: i64,
    pub event_type: &'static str,
    pub at: OffsetDateTime,
    pub resource: Snapshot,
    pub cause: Cause,
    /// Whether it was made up on request: nothing happened.
    pub is_made_up: bool,
}

/// A resource as it was when something happened to it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub type_name: &'static str,
    pub id: i64,
    /// As documents include it, JSON.
    pub json: Arc<str>,
    /// Who made it, which decides where events of it go to; `None`: the master user.
    pub made_by: Option<i64>,
    /// Of an output: how many tries to pay it had failed.
    pub failures: Option<i32>,
}

impl Snapshot {
    /// A resource as it is now. `origin` is that of the URLs in it.
    pub fn of(resource: &Resource, made_by: Option<i64>, origin: &str) -> Self {
        let json = render::included(resource, origin).into();
        Self { type_name: resource.schema.type_name, id: id_number(&resource.id), json, made_by, failures: None }
    }
}
