//! Round trips to the database, by which events are taken and what came of them is written down.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::Acquire;
use sqlx::postgres::PgConnection;

use super::store;
use super::store::{Claim, Delivery, Ended, Outlook};
use crate::database::Database;

/// How long a round trip may take before the connection counts as dead.
const LONGEST: Duration = Duration::from_secs(5);

/// What a round trip came to.
#[derive(Debug, Default)]
pub struct Trip {
    /// Account and event of what was written down.
    pub recorded: HashSet<(i64, i64)>,
    pub claimed: Vec<Delivery>,
    /// When something is due in each account that was looked into; `None` where something was taken after what had ended.
    pub outlook: Option<Vec<Outlook>>,
}

/// Writes down what has ended, takes what is due and, where that is nothing, says when there will be something. `None`
/// where the database is away. `looks_into_all`: not only the accounts of the claim.
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
            // mostly, nothing is due, which is found out faster than whose it would be
            let outlook = store::outlook(connection, accounts, claim.now).await?;
            let due: Vec<i64> = outlook.iter().filter(|of| of.is_due).map(|of| of.account_id).collect();
            if !due.is_empty() {
                trip.claimed = store::claim(connection, &Claim { accounts: due, ..claim.clone() }).await?;
            }
            trip.outlook = Some(outlook);
        } else {
            // in one transaction, so that one commit reaches the disk for both
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

/// Does something with a connection; `None` where the database is away, which is logged.
pub async fn exchange<T>(
    database: &Database,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Option<T> {
    let connection = database.connection().await;
    let mut connection =
        connection.inspect_err(|error| tracing::warn!(%error, "the database is away; events wait for it")).ok()?;
    match tokio::time::timeout(LONGEST, work(&mut connection)).await {
        Ok(outcome) => connection.conclude(outcome).ok(),
        Err(_) => {
            tracing::warn!("the database fell silent while events were taken");
            database.cool();
            None
        }
    }
}
