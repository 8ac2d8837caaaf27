//! SQL of the faults that postpone events.

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::webhooks::delivery::{DeliveryKey, Postponement};

/// Postpones a delivery leased to this server until a time of its account.
///
/// # Errors
/// Database errors.
pub async fn postpone(
    connection: &mut PgConnection,
    server: Uuid,
    key: DeliveryKey,
    until: OffsetDateTime,
    why: Postponement,
) -> Result<(), sqlx::Error> {
    let sql = "update deliveries set due_at = $4, held_for = $5, sent_at = null, leased_by = null, leased_until = null
        where account_id = $2 and event_id = $3 and state = 'due' and leased_by = $1";
    sqlx::query(sql)
        .bind(server)
        .bind(key.account_id)
        .bind(key.event_id)
        .bind(until)
        .bind(why.name())
        .execute(connection)
        .await
        .map(|_| ())
}

/// Swaps a delivery leased to this server with the next one of its resource. Returns true if there is one.
///
/// # Errors
/// Database errors.
pub async fn swap_with_next(
    connection: &mut PgConnection,
    server: Uuid,
    key: DeliveryKey,
) -> Result<bool, sqlx::Error> {
    let sql = "with held as materialized (
            select d.* from deliveries d
            where d.account_id = $2 and d.event_id = $3 and d.state = 'due' and d.leased_by = $1 for no key update
        ), next as materialized (
            select n.account_id, n.event_id from held h cross join lateral (
                select * from deliveries w
                where w.account_id = h.account_id and w.resource_type = h.resource_type
                and w.resource_id = h.resource_id and w.state = 'waiting'
                order by w.event_id limit 1 for no key update
            ) n
        ), behind as (
            update deliveries d set
                state = 'waiting', due_at = null, held_for = 'delay', sent_at = null, leased_by = null,
                leased_until = null
            from next n where d.account_id = n.account_id and d.event_id = $3
        )
        update deliveries d set state = 'due', due_at = h.due_at, held_for = 'delay'
        from next n, held h where d.account_id = n.account_id and d.event_id = n.event_id";
    let swapped = sqlx::query(sql).bind(server).bind(key.account_id).bind(key.event_id).execute(connection).await?;
    Ok(swapped.rows_affected() > 0)
}
