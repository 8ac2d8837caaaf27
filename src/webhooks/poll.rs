//! Polls: database round trips that save results and claim due deliveries.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::Acquire;
use sqlx::postgres::PgConnection;

use super::store;
use super::store::{Claim, Delivery, Ended, Outlook};
use crate::database::Database;

/// Time limit of a poll; after it, the connection counts as dead.
const LONGEST: Duration = Duration::from_secs(5);

/// Result of a poll.
#[derive(Debug, Default)]
pub struct Trip {
    /// Account and event of each saved result.
    pub recorded: HashSet<(i64, i64)>,
    pub claimed: Vec<Delivery>,
    /// Due times of the polled accounts; `None` after a poll that both saved and claimed.
    pub outlook: Option<Vec<Outlook>>,
}

/// Saves results, claims due deliveries, and reads due times. After saving, due times are read if nothing was claimed.
///
/// Returns `None` if the database is unavailable. `looks_into_all`: due times of all accounts, not only the claim's.
pub async fn round_trip(
    database: &Database,
    claim: &Claim,
    looks_into_all: bool,
    ended: &[Ended],
    renewed: &[(i64, i64)],
    given_back: &[(i64, i64)],
) -> Option<Trip> {
    exchange(database, async |connection| {
        if !renewed.is_empty() {
            store::renew(connection, claim.server, renewed).await?;
        }
        if !given_back.is_empty() {
            store::release(connection, claim.server, given_back).await?;
        }
        let mut trip = Trip::default();
        let accounts = (!looks_into_all).then_some(claim.accounts.as_slice());
        if ended.is_empty() {
            // usually nothing is due, and this query is faster than a claim
            let outlook = store::outlook(connection, accounts, claim.now).await?;
            let due: Vec<i64> = outlook.iter().filter(|of| of.is_due).map(|of| of.account_id).collect();
            if !due.is_empty() {
                trip.claimed = store::claim(connection, &Claim { accounts: due, ..claim.clone() }).await?;
            }
            trip.outlook = Some(outlook);
        } else {
            // one transaction for both, so that the disk is written once
            let mut transaction = connection.begin().await?;
            trip.recorded = store::record(&mut transaction, claim.server, ended).await?;
            trip.claimed = store::claim(&mut transaction, claim).await?;
            transaction.commit().await?;
            if trip.claimed.is_empty() {
                trip.outlook = Some(store::outlook(connection, accounts, claim.now).await?);
            }
        }
        Ok(trip)
    })
    .await
}

/// Runs `work` with a connection. Returns `None` and logs if the database is unavailable.
pub async fn exchange<T>(
    database: &Database,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Option<T> {
    let connection = database.connection().await;
    let mut connection = connection
        .inspect_err(|error| tracing::warn!(%error, "the database is unavailable; deliveries wait for it"))
        .ok()?;
    match tokio::time::timeout(LONGEST, work(&mut connection)).await {
        Ok(outcome) => connection.finish(outcome).ok(),
        Err(_) => {
            tracing::warn!("the database did not answer a poll for due events");
            database.discard_idle();
            None
        }
    }
}
