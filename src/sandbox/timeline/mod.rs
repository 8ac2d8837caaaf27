//! Timelines: a resource's past transitions with their causes and deliveries, and its next transition. Read-only.

pub mod document;
pub mod names;
pub mod read;
pub mod routes;
mod store;
pub mod trace;

use time::OffsetDateTime;

use crate::concierge::event_types::RESOURCE_TYPES;
use crate::concierge::outlook::Outlook;
use crate::concierge::outputs::scenario::Decision;
use crate::concierge::{outputs, requests, users, withdrawal_instructions};
use crate::events::Cause;
use crate::jsonapi::schema::Schema;
use crate::sandbox::events::DeliveryState;

/// Resource types with a timeline: all types that have events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Output,
    Request,
    User,
    WithdrawalInstruction,
}

/// Every subject, in the order of [`RESOURCE_TYPES`].
const SUBJECTS: [Subject; RESOURCE_TYPES.len()] =
    [Subject::Output, Subject::Request, Subject::User, Subject::WithdrawalInstruction];

impl Subject {
    /// Returns the subject of a resource type.
    pub fn named(type_name: &str) -> Option<Self> {
        SUBJECTS.into_iter().find(|subject| subject.schema().type_name == type_name)
    }

    /// Returns the schema of the resource type.
    pub const fn schema(self) -> &'static Schema {
        match self {
            Self::Output => &outputs::document::SCHEMA,
            Self::Request => &requests::document::SCHEMA,
            Self::User => &users::document::SCHEMA,
            Self::WithdrawalInstruction => &withdrawal_instructions::document::SCHEMA,
        }
    }
}

/// A resource's current state and its outlook.
#[derive(Debug, Clone)]
pub struct Present {
    pub state: &'static str,
    /// Time of entry into the state, if it is recorded.
    pub since: Option<OffsetDateTime>,
    /// For an output: the scenario of its payment.
    pub decision: Option<Decision>,
    pub outlook: Outlook,
    /// State at the time of creation.
    began_in: &'static str,
    /// For a request: the reason of its cancellation.
    cancellation_reason: Option<String>,
}

/// An event and its delivery.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    pub id: i64,
    pub event_type: String,
    pub at: OffsetDateTime,
    /// Cause of the event. Old events have none recorded.
    pub cause: Option<Cause>,
    /// `None` if the event had no receiver.
    pub delivery: Option<TimelineDelivery>,
}

/// The delivery of an event.
#[derive(Debug, Clone)]
pub struct TimelineDelivery {
    pub state: DeliveryState,
    /// Due time of the next attempt.
    pub due_at: Option<OffsetDateTime>,
    /// The last attempts, oldest first.
    pub attempts: Vec<TimelineAttempt>,
}

/// An attempt to deliver an event.
#[derive(Debug, Clone)]
pub struct TimelineAttempt {
    pub at: OffsetDateTime,
    /// HTTP status of the answer, if there was one.
    pub status: Option<i16>,
    /// Reason of the failure; `None` after a success.
    pub error: Option<String>,
}

/// A past transition of a resource.
#[derive(Debug, Clone)]
pub struct PastTransition {
    /// `None` for the creation of the resource.
    pub from: Option<&'static str>,
    pub to: &'static str,
    /// `None` if the state did not change.
    pub trigger: Option<&'static str>,
    pub told: RecordedEvent,
}

/// A resource's past transitions and its outlook.
#[derive(Debug, Clone)]
pub struct Timeline {
    pub present: Present,
    pub transitions: Vec<PastTransition>,
    /// True if older transitions are left out.
    pub left_off: bool,
}
