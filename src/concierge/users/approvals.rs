//! Timed approval of new users. Checks that wait for an approval run again.

use sqlx::postgres::PgConnection;

use crate::concierge::changes::Changes;
use crate::concierge::due::{BATCH, BatchResult, Due};
use crate::concierge::{outputs, users};
use crate::events::Cause;

/// Approves users with a due approval.
///
/// # Errors
/// Database errors.
pub async fn run(connection: &mut PgConnection, due: &Due) -> Result<(BatchResult, Changes), sqlx::Error> {
    let mut users = users::store::claim(connection, due, BATCH).await?;
    let claimed = BatchResult::new(due, BATCH, users.iter().map(|user| (user.account_id, user.due_at)));
    // waiting checks run at the instant of the approval, before later approvals of the account
    let waited: Vec<_> =
        users.iter().filter(|user| user.has_waiting_outputs).map(|user| (user.account_id, user.due_at)).collect();
    users.retain(|user| {
        let first = waited.iter().find(|(account_id, _)| *account_id == user.account_id);
        first.is_none_or(|(_, at)| user.due_at <= *at)
    });
    let moves: Vec<users::store::UserTransition> = users
        .iter()
        .filter_map(|user| {
            let to = user.state.approved()?;
            let (account_id, id, at) = (user.account_id, user.id, user.due_at);
            Some(users::store::UserTransition { account_id, id, to, at, cause: Cause::TIMER })
        })
        .collect();
    let mut changes = Changes::default();
    if !moves.is_empty() {
        let payees: Vec<_> = moves.iter().map(|user| (user.account_id, user.id, user.at)).collect();
        let resumed = outputs::store::transitions::resume(connection, &payees, BATCH).await?;
        // with more waiting checks than one batch, the approval is saved with the last batch
        if i64::try_from(resumed).is_ok_and(|resumed| resumed < BATCH) {
            changes.users = moves;
        }
    }
    Ok((claimed, changes))
}
