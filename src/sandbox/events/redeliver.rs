//! Redelivers one event, or recovers all undelivered events.

use std::collections::HashSet;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::EventRow;
use super::store::queue;
use super::store::queue::{Repeated, Unreceived};
use crate::accounts::store::lock;
use crate::database::{StoreError, transaction};
use crate::jsonapi::since::Since;

/// Maximum number of events queued in one transaction.
const BATCH: i64 = 1000;

/// Schedules an event for delivery now, in any state. Returns `None` if it waits for earlier events of its resource.
/// The receiver is chosen anew, from the current `webhook_url`s.
///
/// # Errors
/// Errors of the database.
pub async fn redeliver(
    connection: &mut PgConnection,
    account_id: i64,
    record: &EventRow,
    now: OffsetDateTime,
) -> Result<Option<Repeated>, StoreError> {
    let brought = queue::bring_forward(connection, account_id, &[record.id], now).await?;
    if let Some(brought) = brought.first() {
        return Ok(Some(*brought));
    }
    let EventRow { id, resource_type, resource_id, .. } = record;
    let event = EventToQueue { id: *id, resource_type, resource_id: *resource_id };
    queue_one(connection, account_id, event, true, now).await
}

/// The event to queue, and its resource.
#[derive(Debug, Clone, Copy)]
struct EventToQueue<'a> {
    id: i64,
    resource_type: &'a str,
    resource_id: i64,
}

/// Queues an event unless it is queued. Waits for transitions of its resource in progress.
async fn queue_one(
    connection: &mut PgConnection,
    account_id: i64,
    event: EventToQueue<'_>,
    again: bool,
    now: OffsetDateTime,
) -> Result<Option<Repeated>, StoreError> {
    let work = async |transaction: &mut PgConnection| {
        // events of an ended account are not delivered
        if lock(transaction, account_id).await?.is_none() {
            return Ok(None);
        }
        queue::hold(transaction, account_id, event.resource_type, event.resource_id).await?;
        let queued = queue::queue(transaction, account_id, &[event.id], again, now).await?;
        Ok(queued.first().copied())
    };
    transaction(connection, work).await
}

/// Result of a recovery.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recovered {
    /// Events queued again, or made due earlier.
    pub count: u64,
    /// Events not queued for lack of a `webhook_url`.
    pub without_receiver: u64,
}

impl Recovered {
    fn add(&mut self, repeated: impl IntoIterator<Item = Repeated>) {
        for repeated in repeated {
            match repeated {
                Repeated::Queued => self.count += 1,
                Repeated::NoReceiver => self.without_receiver += 1,
                Repeated::BeingSent => {}
            }
        }
    }
}

/// Schedules all undelivered events for delivery now: given up, without a receiver, or due later. It works in batches
/// and commits each one, so a later failure does not undo it.
///
/// # Errors
/// Errors of the database.
pub async fn recover(
    connection: &mut PgConnection,
    account_id: i64,
    since: Option<Since>,
    now: OffsetDateTime,
) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    let mut left = Vec::new();
    let mut behind = 0;
    loop {
        // outside of the transaction: the search may have to skip many delivered events
        let found = queue::unreceived(connection, account_id, behind, since, now, BATCH).await?;
        let Some(last) = found.last() else { break };
        behind = last.id;
        let (due, ended): (Vec<_>, Vec<_>) = found.into_iter().partition(|event| event.is_due);
        if !due.is_empty() {
            let due: Vec<i64> = due.iter().map(|event| event.id).collect();
            recovered.add(queue::bring_forward(connection, account_id, &due, now).await?);
        }
        if !ended.is_empty() {
            let (queued, free) = queue_free(connection, account_id, &ended, now).await?;
            recovered.add(queued);
            left.extend(ended.into_iter().filter(|event| !free.contains(&event.id)));
        }
    }
    // resources locked by a transition are awaited one at a time
    for Unreceived { id, resource_type, resource_id, .. } in left {
        let event = EventToQueue { id, resource_type: &resource_type, resource_id };
        recovered.add(queue_one(connection, account_id, event, false, now).await?);
    }
    Ok(recovered)
}

/// Queues events in one transaction, but skips events of resources in transition. Returns the results, and the ids of
/// the events not skipped.
async fn queue_free(
    connection: &mut PgConnection,
    account_id: i64,
    events: &[Unreceived],
    now: OffsetDateTime,
) -> Result<(Vec<Repeated>, HashSet<i64>), StoreError> {
    let work = async |transaction: &mut PgConnection| {
        if lock(transaction, account_id).await?.is_none() {
            return Ok((Vec::new(), events.iter().map(|event| event.id).collect()));
        }
        let free = queue::hold_free(transaction, account_id, events).await?;
        let queued = queue::queue(transaction, account_id, &free, false, now).await?;
        Ok((queued, free.into_iter().collect()))
    };
    transaction(connection, work).await
}
