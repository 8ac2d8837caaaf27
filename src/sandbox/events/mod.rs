//! Events over HTTP: list, redeliver, recover and trigger.
//!
//! Recording an event is left to its cause, and delivery to [`events`](crate::events).

pub mod document;
pub mod redeliver;
pub mod routes;
mod sample;
mod store;
mod trigger;

use serde_json::value::RawValue;
use time::OffsetDateTime;

crate::codes! {
    WEBHOOK_URL_MISSING = 409 "webhook_url_missing" "No webhook_url is set to send the event to";
}

/// An event and the state of its delivery.
#[derive(Debug, Clone)]
pub struct EventRow {
    pub id: i64,
    pub event_type: String,
    /// Type of its resource.
    pub resource_type: String,
    pub resource_id: i64,
    pub created_at: OffsetDateTime,
    /// Failed payment attempts at the event, if the resource is an output.
    pub failures: Option<i32>,
    /// True for a synthetic event.
    pub is_made_up: bool,
    /// One of [`STATES`].
    pub delivery_state: String,
    /// Time of the first delivery attempt.
    pub sent_at: Option<OffsetDateTime>,
    /// Time at which it was delivered or given up.
    pub ended_at: Option<OffsetDateTime>,
    /// Due time of the next attempt.
    pub due_at: Option<OffsetDateTime>,
    /// Number of delivery attempts.
    pub attempts: i32,
}

/// An event with its delivery attempts and its resource.
#[derive(Debug, Clone)]
pub struct EventDetails {
    pub record: EventRow,
    /// All delivery attempts, the first one first.
    pub attempts: Vec<AttemptRow>,
    /// The resource in its state at the event. `None` for old events, recorded before this was kept.
    pub resource: Option<Box<RawValue>>,
}

/// A delivery attempt.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    /// Counts from 1.
    pub number: i32,
    pub at: OffsetDateTime,
    /// Status of the answer, if there was one.
    pub status: Option<i16>,
    /// Reason of the failure. `None`: delivered.
    pub error: Option<String>,
    /// In milliseconds.
    pub duration: i32,
    /// Beginning of the answer's body.
    pub response: String,
    /// Due time of the next attempt after this one.
    pub next_at: Option<OffsetDateTime>,
}

/// States of a delivery.
///
/// A `waiting` event waits for the earlier events of its resource. `delivered` and `given_up` are final.
pub const STATES: [&str; 5] = ["no_receiver", "waiting", "due", "delivered", "given_up"];
const DELIVERED: &str = STATES[3];
