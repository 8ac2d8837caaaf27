//! Sending events once more: one, or all that weren't received.

use std::collections::HashSet;

use sqlx::Acquire;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::Record;
use super::store::queue::{self, Repeated, Unreceived};
use crate::accounts::store::lock;
use crate::database::{StoreError, settle};
use crate::jsonapi::since::Since;

/// The most events one transaction queues.
const BATCH: i64 = 1000;

/// Has an event be sent now, whatever became of it; `None` where it waits until those before it are sent. It goes to
/// whoever has a `webhook_url` now.
///
/// # Errors
/// Those of the database.
pub async fn redeliver(
    connection: &mut PgConnection,
    account_id: i64,
    record: &Record,
    now: OffsetDateTime,
) -> Result<Option<Repeated>, StoreError> {
    let brought = queue::bring_forward(connection, account_id, &[record.id], now).await?;
    if let Some(brought) = brought.first() {
        return Ok(Some(*brought));
    }
    queue_one(connection, account_id, record.id, (&record.resource_type, record.resource_id), true, now).await
}

/// Queues an event unless it is queued, once what it tells of isn't being moved.
async fn queue_one(
    connection: &mut PgConnection,
    account_id: i64,
    id: i64,
    (type_name, resource_id): (&str, i64),
    again: bool,
    now: OffsetDateTime,
) -> Result<Option<Repeated>, StoreError> {
    let mut transaction = connection.begin().await?;
    let outcome = async {
        // nobody is told of what an account that has ended had
        if lock(&mut transaction, account_id).await?.is_none() {
            return Ok(None);
        }
        queue::hold(&mut transaction, account_id, type_name, resource_id).await?;
        let queued = queue::queue(&mut transaction, account_id, &[id], again, now).await?;
        Ok(queued.first().copied())
    }
    .await;
    settle(transaction, outcome).await
}

/// What became of all that weren't received.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recovered {
    /// How many are sent again, or earlier.
    pub count: u64,
    /// How many could not be, because nobody has a `webhook_url`.
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

/// Has every event be sent now that wasn't received, in batches: those that were given up, had no receiver, or are due
/// later. Each batch stays, whatever becomes of the next.
///
/// # Errors
/// Those of the database.
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
        // looked for outside of the transaction: many that were received may have to be passed over
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
    // what was being moved is waited for, one at a time
    for Unreceived { id, resource_type, resource_id, .. } in left {
        recovered.add(queue_one(connection, account_id, id, (&resource_type, resource_id), false, now).await?);
    }
    Ok(recovered)
}

/// Queues events in one transaction, but for those of what is being moved. Says what became of them, and the ids of all
/// but those.
async fn queue_free(
    connection: &mut PgConnection,
    account_id: i64,
    events: &[Unreceived],
    now: OffsetDateTime,
) -> Result<(Vec<Repeated>, HashSet<i64>), StoreError> {
    let mut transaction = connection.begin().await?;
    let outcome = async {
        if lock(&mut transaction, account_id).await?.is_none() {
            return Ok((Vec::new(), events.iter().map(|event| event.id).collect()));
        }
        let free = queue::hold_free(&mut transaction, account_id, events).await?;
        let queued = queue::queue(&mut transaction, account_id, &free, false, now).await?;
        Ok((queued, free.into_iter().collect()))
    }
    .await;
    settle(transaction, outcome).await
}
