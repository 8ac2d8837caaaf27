//! Funding of waiting requests, in order of acceptance, each in full or not at all.

use bigdecimal::BigDecimal;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::life::Life;
use super::store::life::{claim_waiting, sum_outputs, waiting_besides};
use crate::concierge::changes::Changes;
use crate::concierge::due::{Due, Moved};
use crate::concierge::money;
use crate::concierge::money::{Locked, Wallet};
use crate::concierge::ports;
use crate::events::Cause;

/// Most wallets read by one transaction.
const WALLETS: i64 = 100;
/// Most requests funded by one transaction: all outputs of each are read, and there may be many.
const REQUESTS: usize = 10;

/// Funds waiting requests from wallets with new money.
///
/// # Errors
/// Database errors.
pub async fn give(connection: &mut PgConnection, due: &Due) -> Result<(Moved, Changes), sqlx::Error> {
    let filled = money::filled(connection, due, WALLETS).await?;
    let moved = Moved::counted(filled.iter().map(|filled| filled.wallet.account_id));
    if filled.is_empty() {
        return Ok((moved, Changes::default()));
    }
    let wallets: Vec<Wallet> = filled.into_iter().map(|filled| filled.wallet).collect();
    let mut waiting = claim_waiting(connection, &wallets).await?;
    let locked = money::lock(connection, &wallets).await?;
    let late = waiting_besides(connection, &wallets, &waiting).await?;
    waiting.sort_by_key(|life| (life.quote_accepted_at, life.id));
    let mut funded: Vec<(Life, OffsetDateTime)> = Vec::new();
    let mut emptied = Vec::new();
    for (wallet, mut balance, due_at) in locked {
        // another server has handled it
        let Some(filled_at) = due_at else { continue };
        let (of_wallet, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|life| waits_for(life, &wallet));
        waiting = rest;
        let mut again = late.contains(&wallet).then_some(filled_at);
        for life in of_wallet {
            // a request accepted after the money came is funded when it was accepted
            let at = life.quote_accepted_at.map_or(filled_at, |accepted| accepted.max(filled_at));
            if at > due.until(life.account_id) {
                again = again.or(Some(at));
            } else if is_in_time(&life, at) && balance >= needed(&life) {
                if funded.len() == REQUESTS {
                    again = Some(filled_at);
                    break;
                }
                balance -= needed(&life);
                funded.push((life, at));
            }
        }
        emptied.push((wallet, balance, again));
    }
    let changes = start_work(connection, funded, &mut emptied, due).await?;
    money::save(connection, &emptied).await?;
    Ok((moved, changes))
}

fn needed(life: &Life) -> BigDecimal {
    life.total_to_spend.clone().unwrap_or_default()
}

fn waits_for(life: &Life, wallet: &Wallet) -> bool {
    life.account_id == wallet.account_id
        && life.user_id == wallet.user_id
        && ports::currency(&life.port_code) == wallet.currency
}

/// Returns true if a request had not expired at `at`.
fn is_in_time(life: &Life, at: OffsetDateTime) -> bool {
    life.due_at.is_none_or(|deadline| at <= deadline)
}

/// Moves funded requests to `working`. The cost of their rejected outputs returns to the wallet at once.
/// Other waiting requests can use it.
async fn start_work(
    connection: &mut PgConnection,
    funded: Vec<(Life, OffsetDateTime)>,
    emptied: &mut [Locked],
    due: &Due,
) -> Result<Changes, sqlx::Error> {
    let mut changes = Changes::default();
    if funded.is_empty() {
        return Ok(changes);
    }
    let ids: Vec<_> = funded.iter().map(|(life, _)| (life.account_id, life.id)).collect();
    let outputs = sum_outputs(connection, &ids).await?;
    for ((mut life, at), outputs) in funded.into_iter().zip(outputs) {
        if outputs.rejected > BigDecimal::default()
            && let Some((_, balance, again)) = emptied.iter_mut().find(|(wallet, ..)| waits_for(&life, wallet))
        {
            *balance += &outputs.rejected;
            *again = Some(again.map_or(at, |again| again.min(at)));
        }
        life.cause = Cause::MONEY;
        let done = life.fund(at, due.pace(life.account_id).step_delay, outputs.open, outputs.rejected);
        // only accepted requests wait for money
        debug_assert!(done.is_ok(), "{done:?}");
        changes.requests.push(life);
    }
    Ok(changes)
}
