//! Timed transitions of requests: quotes, deadlines, and their cascade to outputs.

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::fan_out::take_outputs_along;
use super::life::Life;
use super::quote::prune_at;
use super::state::State;
use super::store::life::{claim, sum_outputs};
use crate::concierge::changes::Changes;
use crate::concierge::due::{Due, Moved};
use crate::concierge::pricing::Prices;

/// Most requests moved by one transaction.
const BATCH: i64 = 100;
/// Most drafts among them: all outputs of each are read, and there may be many.
const DRAFTS: usize = 10;

/// Moves due requests.
///
/// # Errors
/// Database errors.
pub async fn move_on(
    connection: &mut PgConnection,
    due: &Due,
    prices: &Prices,
) -> Result<(Moved, Changes), sqlx::Error> {
    let requests = claim(connection, due, BATCH).await?;
    let moved = Moved::counted(requests.iter().map(|life| life.account_id));
    let mut changes = Changes::default();
    let mut with_outputs = Vec::new();
    let mut drafts = 0;
    for mut life in requests {
        drafts += usize::from(life.state == State::Draft);
        if drafts > DRAFTS && life.state == State::Draft {
            continue;
        }
        let takes_outputs = match life.state {
            State::Draft => prune(connection, &mut life).await?,
            State::Quoted | State::QuoteAccepted => expire(&mut life),
            // their cascade to outputs continues
            State::QuoteRequested | State::Working | State::Finished | State::Cancelled => true,
        };
        if takes_outputs {
            with_outputs.push(life);
        } else {
            changes.requests.push(life);
        }
    }
    take_outputs_along(connection, with_outputs, prices, due, &mut changes).await?;
    Ok((moved, changes))
}

/// Cancels an expired request.
fn expire(life: &mut Life) -> bool {
    let at = life.due_at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let done = life.expire(at);
    debug_assert!(done.is_ok(), "{done:?}");
    done.is_ok()
}

/// Prunes a draft. If an output was added meanwhile, postpones that instead.
/// The due time is not up to date, because adding an output does not update the request's row.
async fn prune(connection: &mut PgConnection, life: &mut Life) -> Result<bool, sqlx::Error> {
    let outputs = sum_outputs(connection, &[(life.account_id, life.id)]).await?;
    let put_off = outputs.first().and_then(|outputs| outputs.last_created_at).map(prune_at);
    if put_off > life.due_at {
        life.due_at = put_off;
        return Ok(false);
    }
    Ok(expire(life))
}
