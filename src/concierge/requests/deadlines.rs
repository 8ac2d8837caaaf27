//! Timed transitions of requests: quotes, deadlines, and their cascade to outputs.

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::cascade::cascade_to_outputs;
use super::progress::Progress;
use super::quote::prune_at;
use super::state::State;
use super::store::transitions::{claim, sum_outputs};
use crate::concierge::changes::Changes;
use crate::concierge::due::{BatchResult, Due};
use crate::concierge::pricing::Prices;

/// Maximum number of requests moved by one transaction.
const BATCH: i64 = 100;
/// Maximum number of drafts among them: all outputs of each are read, and there may be many.
const DRAFTS: usize = 10;

/// Moves due requests.
///
/// # Errors
/// Database errors; an impossible transition, wrapped in one.
pub async fn run(
    connection: &mut PgConnection,
    due: &Due,
    prices: &Prices,
) -> Result<(BatchResult, Changes), sqlx::Error> {
    let requests = claim(connection, due, BATCH).await?;
    let moved = BatchResult::from_counts(requests.iter().map(|progress| progress.account_id));
    let mut changes = Changes::default();
    let mut with_outputs = Vec::new();
    let mut drafts = 0;
    for mut progress in requests {
        drafts += usize::from(progress.state == State::Draft);
        if drafts > DRAFTS && progress.state == State::Draft {
            continue;
        }
        let last_output_at =
            if progress.state == State::Draft { last_output_at(connection, &progress).await? } else { None };
        match expires_at(&progress, last_output_at) {
            // an output was added meanwhile
            Some(at) if Some(at) > progress.due_at => {
                progress.due_at = Some(at);
                changes.requests.push(progress);
            }
            Some(at) => {
                progress.expire(at).map_err(|refused| refused.of(&progress))?;
                with_outputs.push(progress);
            }
            // its cascade to outputs continues
            None => with_outputs.push(progress),
        }
    }
    cascade_to_outputs(connection, with_outputs, prices, due, &mut changes).await?;
    Ok((moved, changes))
}

/// Returns the time at which a request expires; `None` without a deadline. Each new output postpones that of a draft.
///
/// The due time of a draft is not up to date, because adding an output does not update the request's row.
pub fn expires_at(progress: &Progress, last_output_at: Option<OffsetDateTime>) -> Option<OffsetDateTime> {
    let deadline = progress.due_at?;
    match progress.state {
        State::Draft => Some(last_output_at.map_or(deadline, |last| deadline.max(prune_at(last)))),
        State::Quoted | State::QuoteAccepted => Some(deadline),
        State::QuoteRequested | State::Working | State::Finished | State::Cancelled => None,
    }
}

/// Returns the time of the last addition of an output to a draft.
async fn last_output_at(
    connection: &mut PgConnection,
    draft: &Progress,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    let outputs = sum_outputs(connection, &[(draft.account_id, draft.id)]).await?;
    Ok(outputs.first().and_then(|outputs| outputs.last_created_at))
}
