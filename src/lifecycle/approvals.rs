//! New users are approved when their time has come, and the checks that waited for them run again.

use sqlx::Acquire;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::{BATCH, Moved, Rules};
use crate::concierge::changes::Changes;
use crate::concierge::{outputs, users};
use crate::events::Cause;

/// Approves users whose approval is due.
///
/// # Errors
/// Those of the database; then nothing of it happened.
pub async fn approve(
    connection: &mut PgConnection,
    until: OffsetDateTime,
    rules: &Rules,
) -> Result<Moved, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut due = users::store::claim(&mut transaction, until, BATCH).await?;
    let claimed = Moved::new(&due, |user| user.due_at);
    // what waits for an approval happens at its instant, before later approvals
    if let Some(at) = due.iter().find(|user| user.is_waited_for).map(|user| user.due_at) {
        due.retain(|user| user.due_at <= at);
    }
    let moves: Vec<users::store::Move> = due
        .iter()
        .filter_map(|user| {
            let to = user.state.approved()?;
            let (account_id, id, at) = (user.account_id, user.id, user.due_at);
            Some(users::store::Move { account_id, id, to, at, cause: Cause::TIMER })
        })
        .collect();
    if !moves.is_empty() {
        let payees: Vec<_> = moves.iter().map(|user| (user.account_id, user.id, user.at)).collect();
        let resumed = outputs::store::life::resume(&mut transaction, &payees, BATCH).await?;
        // where more wait than one transaction resumes, the approval comes with the last of them
        if i64::try_from(resumed).is_ok_and(|resumed| resumed < BATCH) {
            Changes { users: moves, ..Changes::default() }.save(&mut transaction, &rules.public_url).await?;
        }
    }
    transaction.commit().await?;
    Ok(claimed)
}
