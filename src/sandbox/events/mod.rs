//! Events as the control plane shows them, repeats them and makes them up. That they are written is the business of
//! whatever causes them, that they are sent is [`events`](crate::events)'.

mod document;
mod repeat;
pub mod routes;
mod sample;
mod store;
mod trigger;

use serde_json::value::RawValue;
use time::OffsetDateTime;

crate::codes! {
    WEBHOOK_URL_MISSING = 409 "webhook_url_missing" "There is nowhere to send the event to";
}

/// An event, and what became of its sending.
#[derive(Debug, Clone)]
pub struct Record {
    pub id: i64,
    pub event_type: String,
    /// What it tells of.
    pub resource_type: String,
    pub resource_id: i64,
    pub created_at: OffsetDateTime,
    /// Of an output: how many tries to pay it had failed.
    pub failures: Option<i32>,
    /// Whether it was made up on request.
    pub is_made_up: bool,
    /// One of [`STATES`].
    pub delivery_state: String,
    /// When it was first tried.
    pub sent_at: Option<OffsetDateTime>,
    /// When it was received or given up.
    pub ended_at: Option<OffsetDateTime>,
    /// When the next attempt is due.
    pub due_at: Option<OffsetDateTime>,
    /// How often it was tried.
    pub attempts: i32,
}

/// An event with all there is to know of it.
#[derive(Debug, Clone)]
pub struct Complete {
    pub record: Record,
    /// Every attempt to send it, the first first.
    pub attempts: Vec<Attempt>,
    /// What it tells of, as it was then. Events of a time when that wasn't kept have none.
    pub resource: Option<Box<RawValue>>,
}

/// An attempt to send an event.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// From 1.
    pub number: i32,
    pub at: OffsetDateTime,
    /// Of the answer, if there was one.
    pub status: Option<i16>,
    /// Why the event was not received; `None`: it was.
    pub error: Option<String>,
    /// In milliseconds.
    pub duration: i32,
    /// How the answer's body begins.
    pub response: String,
    /// When the next attempt was due after it.
    pub next_at: Option<OffsetDateTime>,
}

/// What the sending of an event can be in: it has no receiver, waits until those before it of the same resource are
/// sent, is due, or is over, one way or the other.
pub const STATES: [&str; 5] = ["no_receiver", "waiting", "due", "delivered", "given_up"];
const DELIVERED: &str = STATES[3];
