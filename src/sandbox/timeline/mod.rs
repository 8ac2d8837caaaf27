//! Timelines: a resource's past transitions with their causes and deliveries, and its next transition. Read-only.

pub mod document;
pub mod routes;
mod store;
pub mod trace;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::concierge::event_types::RESOURCE_TYPES;
use crate::concierge::outlook::Outlook;
use crate::concierge::outputs::scenario::Decision;
use crate::concierge::{outputs, requests, users, withdrawal_instructions};
use crate::events::Cause;
use crate::jsonapi::schema::Schema;

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
            Self::Output => &outputs::SCHEMA,
            Self::Request => &requests::SCHEMA,
            Self::User => &users::SCHEMA,
            Self::WithdrawalInstruction => &withdrawal_instructions::SCHEMA,
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

/// Returns a resource's current state and its outlook; `None` for an unknown resource.
///
/// # Errors
/// Database errors.
pub async fn present(
    connection: &mut PgConnection,
    account_id: i64,
    subject: Subject,
    id: i64,
) -> Result<Option<Present>, sqlx::Error> {
    match subject {
        Subject::Output => store::output(connection, account_id, id).await,
        Subject::Request => store::request(connection, account_id, id).await,
        Subject::User => store::user(connection, account_id, id).await,
        Subject::WithdrawalInstruction => store::instruction(connection, account_id, id).await,
    }
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
    pub state: String,
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

/// Maximum number of transitions in a timeline. Older ones are left out.
const MOST: usize = 1000;

/// A resource's past transitions and its outlook.
#[derive(Debug, Clone)]
pub struct Timeline {
    pub present: Present,
    pub transitions: Vec<PastTransition>,
    /// True if older transitions are left out.
    pub left_off: bool,
}

/// Reads the timeline of a resource; `None` for an unknown resource.
///
/// Call it in a repeatable-read transaction, so that all parts are of one instant.
async fn read(
    connection: &mut PgConnection,
    account_id: i64,
    subject: Subject,
    id: i64,
) -> Result<Option<Timeline>, sqlx::Error> {
    let Some(mut present) = present(connection, account_id, subject, id).await? else { return Ok(None) };
    // one more event gives the state before the first transition shown
    let told = store::told(connection, account_id, subject.schema().type_name, id, MOST + 1).await?;
    let left_off = told.len() > MOST;
    let transitions = trace::trace(subject, present.began_in, told, left_off, present.cancellation_reason.as_deref());
    let last_moved_at = transitions.iter().rfind(|step| step.trigger.is_some()).map(|step| step.told.at);
    present.since = present.since.max(last_moved_at.filter(|_| subject == Subject::User));
    Ok(Some(Timeline { present, transitions, left_off }))
}
