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
    pub delivery_state: DeliveryState,
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
    /// URL to call. `None`: there was none.
    pub url: Option<String>,
    /// JSON object of the headers of the call. `None`: there was no call.
    pub headers: Option<Box<RawValue>>,
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

/// State of a delivery.
///
/// A `waiting` event waits for the earlier events of its resource. `delivered` and `given_up` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    NoReceiver,
    Waiting,
    Due,
    Delivered,
    GivenUp,
}

/// Names of the states, in the order of [`DeliveryState`].
pub const STATES: [&str; 5] = ["no_receiver", "waiting", "due", "delivered", "given_up"];

crate::json_by_name!(
    DeliveryState,
    STATES,
    "State of a delivery; a waiting event waits for the earlier events of its resource."
);

impl DeliveryState {
    /// Returns the name for documents and the database.
    pub const fn name(self) -> &'static str {
        STATES[self as usize]
    }

    /// Returns the state with this name.
    ///
    /// # Errors
    /// A decoding error for an unknown name.
    pub fn read(name: &str) -> Result<Self, sqlx::Error> {
        let all = [Self::NoReceiver, Self::Waiting, Self::Due, Self::Delivered, Self::GivenUp];
        let known = all.into_iter().find(|state| state.name() == name);
        known.ok_or_else(|| sqlx::Error::Decode(format!("no delivery state {name:?}").into()))
    }
}
