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

/// Most requests moved by one transaction.
const BATCH: i64 = 100;
/// Most drafts among them: all outputs of each are read, and there may be many.
const DRAFTS: usize = 10;

/// Moves due requests.
///
/// # Errors
/// Database errors.
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
        let takes_outputs = match progress.state {
            State::Draft => prune(connection, &mut progress).await?,
            State::Quoted | State::QuoteAccepted => expire(&mut progress),
            // their cascade to outputs continues
            State::QuoteRequested | State::Working | State::Finished | State::Cancelled => true,
        };
        if takes_outputs {
            with_outputs.push(progress);
        } else {
            changes.requests.push(progress);
        }
    }
    cascade_to_outputs(connection, with_outputs, prices, due, &mut changes).await?;
    Ok((moved, changes))
}

/// Cancels an expired request.
fn expire(progress: &mut Progress) -> bool {
    let at = progress.due_at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let done = progress.expire(at);
    debug_assert!(done.is_ok(), "{done:?}");
    done.is_ok()
}

/// Prunes a draft. If an output was added meanwhile, postpones that instead.
/// The due time is not up to date, because adding an output does not update the request's row.
async fn prune(connection: &mut PgConnection, progress: &mut Progress) -> Result<bool, sqlx::Error> {
    let outputs = sum_outputs(connection, &[(progress.account_id, progress.id)]).await?;
    let put_off = outputs.first().and_then(|outputs| outputs.last_created_at).map(prune_at);
    if put_off > progress.due_at {
        progress.due_at = put_off;
        return Ok(false);
    }
    Ok(expire(progress))
}
