//! Timelines: what happened to a resource, what set it off, who was told, and what comes next. Only looks.

pub mod document;
pub mod outlook;
pub mod routes;
mod store;
pub mod trace;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::concierge::event_types::RESOURCE_TYPES;
use crate::concierge::outputs::scenario::Decision;
use crate::concierge::{outputs, requests, users, withdrawal_instructions};
use crate::events::Cause;
use crate::jsonapi::schema::Schema;
use outlook::Outlook;

/// What has a timeline: whatever events tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Output,
    Request,
    User,
    WithdrawalInstruction,
}

/// All of them, in the order of [`RESOURCE_TYPES`].
const SUBJECTS: [Subject; RESOURCE_TYPES.len()] =
    [Subject::Output, Subject::Request, Subject::User, Subject::WithdrawalInstruction];

impl Subject {
    /// The subject of a type of resource.
    pub fn named(type_name: &str) -> Option<Self> {
        SUBJECTS.into_iter().find(|subject| subject.schema().type_name == type_name)
    }

    /// The schema of its resources.
    pub const fn schema(self) -> &'static Schema {
        match self {
            Self::Output => &outputs::SCHEMA,
            Self::Request => &requests::SCHEMA,
            Self::User => &users::SCHEMA,
            Self::WithdrawalInstruction => &withdrawal_instructions::SCHEMA,
        }
    }
}

/// What a resource is now, and what comes next.
#[derive(Debug, Clone)]
pub struct Present {
    pub state: &'static str,
    /// Since when, where that is kept.
    pub since: Option<OffsetDateTime>,
    /// Of an output: how its payment goes.
    pub decision: Option<Decision>,
    pub outlook: Outlook,
    /// The state that it was in when it came to be there.
    began_in: &'static str,
    /// Of a request: why it was cancelled.
    cancellation_reason: Option<String>,
}

/// What a resource of an account is now, and what comes next; `None` where there is no such resource.
///
/// # Errors
/// Those of the database.
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

/// An event, and what became of its sending.
#[derive(Debug, Clone)]
pub struct Told {
    pub id: i64,
    pub event_type: String,
    pub at: OffsetDateTime,
    /// What set it off, unless that wasn't kept yet.
    pub cause: Option<Cause>,
    /// Its sending, if it had somewhere to go.
    pub delivery: Option<Delivery>,
}

/// The sending of an event.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub state: String,
    /// When the next attempt is due.
    pub due_at: Option<OffsetDateTime>,
    /// The last attempts, in their order.
    pub attempts: Vec<Attempt>,
}

/// An attempt to send an event.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub at: OffsetDateTime,
    /// Of the answer, if there was one.
    pub status: Option<i16>,
    /// Why the event was not received; `None`: it was.
    pub error: Option<String>,
}

/// A step that something took.
#[derive(Debug, Clone)]
pub struct Transition {
    /// `None`: it came into being.
    pub from: Option<&'static str>,
    pub to: &'static str,
    /// What made it happen; `None` where the state stayed the same.
    pub trigger: Option<&'static str>,
    pub told: Told,
}

/// The most transitions that are shown, the last ones.
const MOST: usize = 1000;

/// What happened to a resource, and what comes next.
#[derive(Debug, Clone)]
pub struct Timeline {
    pub present: Present,
    pub transitions: Vec<Transition>,
    /// Whether there are earlier transitions.
    pub left_off: bool,
}

/// The timeline of a resource of an account; `None` where there is no such resource. To be called in a transaction that
/// sees the world at one instant.
async fn read(
    connection: &mut PgConnection,
    account_id: i64,
    subject: Subject,
    id: i64,
) -> Result<Option<Timeline>, sqlx::Error> {
    let Some(mut present) = present(connection, account_id, subject, id).await? else { return Ok(None) };
    // one more than are shown tells from where the first of them led
    let told = store::told(connection, account_id, subject.schema().type_name, id, MOST + 1).await?;
    let left_off = told.len() > MOST;
    let transitions = trace::trace(subject, present.began_in, told, left_off, present.cancellation_reason.as_deref());
    let last_moved_at = transitions.iter().rfind(|step| step.trigger.is_some()).map(|step| step.told.at);
    present.since = present.since.max(last_moved_at.filter(|_| subject == Subject::User));
    Ok(Some(Timeline { present, transitions, left_off }))
}
