//! Funding of waiting requests, in order of acceptance, each in full or not at all.

use bigdecimal::BigDecimal;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::progress::Progress;
use super::store::transitions::{claim_waiting, sum_outputs, wallets_with_further_requests};
use crate::concierge::cash_wallets::ledger;
use crate::concierge::cash_wallets::ledger::{Locked, Wallet};
use crate::concierge::changes::Changes;
use crate::concierge::due::{BatchResult, Due};
use crate::concierge::ports;
use crate::events::Cause;

/// Maximum number of wallets read by one transaction.
const WALLETS: i64 = 100;
/// Maximum number of requests funded by one transaction: all outputs of each are read, and there may be many.
const REQUESTS: usize = 10;

/// Funds waiting requests from wallets with new ledger.
///
/// # Errors
/// Database errors; an impossible transition, wrapped in one.
pub async fn run(connection: &mut PgConnection, due: &Due) -> Result<(BatchResult, Changes), sqlx::Error> {
    let filled = ledger::due_wallets(connection, due, WALLETS).await?;
    let moved = BatchResult::from_counts(filled.iter().map(|filled| filled.wallet.account_id));
    if filled.is_empty() {
        return Ok((moved, Changes::default()));
    }
    let wallets: Vec<Wallet> = filled.into_iter().map(|filled| filled.wallet).collect();
    let mut waiting = claim_waiting(connection, &wallets).await?;
    let locked = ledger::lock(connection, &wallets).await?;
    let late = wallets_with_further_requests(connection, &wallets, &waiting).await?;
    waiting.sort_by_key(|progress| (progress.quote_accepted_at, progress.id));
    let mut funded: Vec<(Progress, OffsetDateTime)> = Vec::new();
    let mut emptied = Vec::new();
    for (wallet, mut balance, due_at) in locked {
        // another server has handled it
        let Some(filled_at) = due_at else { continue };
        let (of_wallet, rest): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|progress| waits_for(progress, &wallet));
        waiting = rest;
        let mut again = late.contains(&wallet).then_some(filled_at);
        for progress in of_wallet {
            let at = funded_at(&progress, filled_at);
            if at > due.until(progress.account_id) {
                again = again.or(Some(at));
            } else if can_fund(&progress, at, &balance) {
                if funded.len() == REQUESTS {
                    again = Some(filled_at);
                    break;
                }
                balance -= needed(&progress);
                funded.push((progress, at));
            }
        }
        emptied.push((wallet, balance, again));
    }
    let changes = start_work(connection, funded, &mut emptied, due).await?;
    ledger::save(connection, &emptied).await?;
    Ok((moved, changes))
}

/// Returns the sum that funds a request.
pub fn needed(progress: &Progress) -> BigDecimal {
    progress.total_to_spend.clone().unwrap_or_default()
}

/// Returns the time at which money of `filled_at` funds a request: not before its acceptance.
pub fn funded_at(progress: &Progress, filled_at: OffsetDateTime) -> OffsetDateTime {
    progress.quote_accepted_at.map_or(filled_at, |accepted| accepted.max(filled_at))
}

/// Returns true if a balance funds a request at `at`: in full, and not after its deadline.
pub fn can_fund(progress: &Progress, at: OffsetDateTime, balance: &BigDecimal) -> bool {
    progress.due_at.is_none_or(|deadline| at <= deadline) && *balance >= needed(progress)
}

fn waits_for(progress: &Progress, wallet: &Wallet) -> bool {
    progress.account_id == wallet.account_id
        && progress.user_id == wallet.user_id
        && ports::currency(&progress.port_code) == wallet.currency
}

/// Moves funded requests to `working`. The cost of their rejected outputs returns to the wallet at once.
/// Other waiting requests can use it.
async fn start_work(
    connection: &mut PgConnection,
    funded: Vec<(Progress, OffsetDateTime)>,
    emptied: &mut [Locked],
    due: &Due,
) -> Result<Changes, sqlx::Error> {
    let mut changes = Changes::default();
    if funded.is_empty() {
        return Ok(changes);
    }
    let ids: Vec<_> = funded.iter().map(|(progress, _)| (progress.account_id, progress.id)).collect();
    let outputs = sum_outputs(connection, &ids).await?;
    for ((mut progress, at), outputs) in funded.into_iter().zip(outputs) {
        if outputs.rejected > BigDecimal::default()
            && let Some((_, balance, again)) = emptied.iter_mut().find(|(wallet, ..)| waits_for(&progress, wallet))
        {
            *balance += &outputs.rejected;
            *again = Some(again.map_or(at, |again| again.min(at)));
        }
        progress.cause = Cause::MONEY;
        let done = progress.fund(at, due.timing(progress.account_id).step_delay, outputs.open, outputs.rejected);
        done.map_err(|refused| refused.of(&progress))?;
        changes.requests.push(progress);
    }
    Ok(changes)
}
