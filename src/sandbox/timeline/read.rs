//! Reads a timeline: the present state, the past transitions, the outlook.

use sqlx::postgres::PgConnection;

use super::{Present, Subject, Timeline, store, trace};

/// Maximum number of transitions in a timeline. Older ones are left out.
const MOST: usize = 1000;

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

/// Reads the timeline of a resource; `None` for an unknown resource.
///
/// Call it in a repeatable-read transaction, so that all parts are of one instant.
pub async fn read(
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
