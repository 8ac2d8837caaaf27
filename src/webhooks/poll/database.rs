//! The database round trip of a poll.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::Acquire;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::database::{Database, silence};
use crate::webhooks::delivery::{Delivery, DeliveryKey, FinishedAttempt};
use crate::webhooks::store;
use crate::webhooks::store::{DeliveryClaim, DueTimes};

/// Time limit of a poll; after it, the connection counts as dead.
const LONGEST: Duration = Duration::from_secs(5);

/// Changes of this server's leases.
#[derive(Debug, Default)]
pub struct LeaseChanges {
    pub renewed: Vec<DeliveryKey>,
    /// Deliveries to release, so that any server may claim them.
    pub released: Vec<DeliveryKey>,
}

/// Work of a poll.
#[derive(Debug)]
pub struct PollWork {
    pub claim: DeliveryClaim,
    /// Accounts that may have due deliveries.
    pub accounts: Vec<i64>,
    /// `true`: the due times of all accounts are read, not only of `accounts`.
    pub covers_all: bool,
    pub leases: LeaseChanges,
    /// Results to save.
    pub results: Vec<FinishedAttempt>,
}

/// Outcome of a poll in the database.
#[derive(Debug, Default)]
pub struct PollOutcome {
    /// Deliveries with a saved result. Deliveries that no longer exist count as saved.
    pub saved: HashSet<DeliveryKey>,
    pub claimed: Vec<Delivery>,
    /// Deliveries that could not be released, because their rows were locked.
    pub unreleased: Vec<DeliveryKey>,
    /// Due times of the polled accounts; `None` after a poll that both saved and claimed.
    pub due_times: Option<Vec<DueTimes>>,
}

/// Saves results, claims due deliveries, and reads due times. After saving, due times are read if nothing was claimed.
///
/// Returns `None` if the database is unavailable.
pub async fn poll(database: &Database, work: &PollWork) -> Option<PollOutcome> {
    let PollWork { claim, accounts, covers_all, leases, results } = work;
    with_connection(database, async |connection| {
        if !leases.renewed.is_empty() {
            store::renew(connection, claim.server, &leases.renewed).await?;
        }
        let mut outcome = PollOutcome::default();
        if !leases.released.is_empty() {
            outcome.unreleased = store::release(connection, claim.server, &leases.released).await?;
        }
        let covered = (!covers_all).then_some(accounts.as_slice());
        if results.is_empty() {
            // usually nothing is due, and this query is faster than a claim
            let due_times = store::due_times(connection, covered, claim.now).await?;
            let due: Vec<i64> = due_times.iter().filter(|times| times.is_due).map(|times| times.account_id).collect();
            if !due.is_empty() {
                outcome.claimed = store::claim(connection, claim, &due).await?;
            }
            outcome.due_times = Some(due_times);
        } else {
            // one transaction for both, so that the disk is written once
            let mut transaction = connection.begin().await?;
            outcome.saved = store::save_results(&mut transaction, claim.server, results).await?;
            outcome.claimed = store::claim(&mut transaction, claim, accounts).await?;
            transaction.commit().await?;
            if outcome.claimed.is_empty() {
                outcome.due_times = Some(store::due_times(connection, covered, claim.now).await?);
            }
        }
        Ok(outcome)
    })
    .await
}

/// Saves results and releases leases, without a claim. Returns `None` if the database is unavailable.
pub async fn save_and_release(
    database: &Database,
    server: Uuid,
    results: &[FinishedAttempt],
    released: &[DeliveryKey],
) -> Option<()> {
    with_connection(database, async |connection| {
        if !results.is_empty() {
            let mut transaction = connection.begin().await?;
            store::save_results(&mut transaction, server, results).await?;
            transaction.commit().await?;
        }
        // locked ones are free when their lease expires
        store::release(connection, server, released).await.map(|_| ())
    })
    .await
}

/// Runs `work` with a connection. Returns `None` if the database is unavailable.
async fn with_connection<T>(
    database: &Database,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Option<T> {
    let mut connection = database.connection().await.ok()?;
    let outcome = tokio::time::timeout(LONGEST, work(&mut connection)).await;
    connection.finish(outcome.unwrap_or_else(|_| Err(silence(LONGEST)))).ok()
}
