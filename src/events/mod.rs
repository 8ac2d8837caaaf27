//! The outbox: events of all changes, with their causes ([`cause`]) and receivers ([`receiver`], [`address`]).
//!
//! An event is recorded in the transaction of its change. A delivery is queued if a `webhook_url` is set ([`store`]).
//! Left to others: sending ([`webhooks`](crate::webhooks)), and the resources that events are about.

pub mod address;
pub mod cause;
pub mod links;
pub mod receiver;
pub mod store;

use std::sync::Arc;

pub use cause::Cause;
use time::OffsetDateTime;

use crate::jsonapi::document::id_number;
use crate::jsonapi::render::{self, Resource};

/// A change of a resource.
#[derive(Debug, Clone)]
pub struct Event {
    pub account_id: i64,
    pub event_type: &'static str,
    pub at: OffsetDateTime,
    pub resource: ResourceSnapshot,
    pub cause: Cause,
    /// `true` for a synthetic event, made on request without a change.
    pub is_made_up: bool,
}

/// A resource as it was at its event.
#[derive(Debug, Clone)]
pub struct ResourceSnapshot {
    pub type_name: &'static str,
    pub id: i64,
    /// JSON of the resource, as in a document's `included`.
    pub json: Arc<str>,
    /// Places of the paths of its links in `json`.
    pub links: Arc<[i32]>,
    /// Maker of the resource, a user; decides the receiver of its events. `None`: the master user.
    pub made_by: Option<i64>,
    /// Failed payment attempts; outputs only.
    pub failures: Option<i32>,
}

impl ResourceSnapshot {
    /// Returns a snapshot of a resource. Its links are under `origin` until the event is sent.
    pub fn of(resource: &Resource, made_by: Option<i64>, origin: &str) -> Self {
        let json = render::render_included(resource, origin);
        Self {
            type_name: resource.schema.type_name,
            id: id_number(&resource.id),
            links: links::find(resource, &json, origin).into(),
            json: json.into(),
            made_by,
            failures: None,
        }
    }
}
