//! Renewal and release of leases.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::webhooks::delivery::DeliveryKey;

/// Duration of a lease, in seconds. It is renewed while the server lives.
pub const LEASE: f64 = 20.0;

/// Renews leases of this server. Skips locked rows: they are renewed the next time.
///
/// # Errors
/// Database errors.
pub async fn renew(connection: &mut PgConnection, server: Uuid, held: &[DeliveryKey]) -> Result<(), sqlx::Error> {
    lease(connection, server, held, Some(LEASE)).await.map(|_| ())
}

/// Ends leases of this server, so that any server can claim the deliveries. Skips locked rows, and returns them.
///
/// # Errors
/// Database errors.
pub async fn release(
    connection: &mut PgConnection,
    server: Uuid,
    held: &[DeliveryKey],
) -> Result<Vec<DeliveryKey>, sqlx::Error> {
    lease(connection, server, held, None).await
}

/// Sets the remaining seconds of this server's leases; `None`: ends them. Returns the leases with a locked row.
async fn lease(
    connection: &mut PgConnection,
    server: Uuid,
    held: &[DeliveryKey],
    seconds: Option<f64>,
) -> Result<Vec<DeliveryKey>, sqlx::Error> {
    let sql = "with held as (
            select d.account_id, d.event_id from unnest($2::bigint[], $3::bigint[]) as h (account_id, event_id)
            join deliveries d on d.account_id = h.account_id and d.event_id = h.event_id
            where d.leased_by = $1
        ), free as (
            select d.account_id, d.event_id from held h
            join deliveries d on d.account_id = h.account_id and d.event_id = h.event_id
            where d.leased_by = $1 for no key update of d skip locked
        ), changed as (
            update deliveries d set
                leased_by = case when $4::float8 is not null then d.leased_by end,
                leased_until = clock_timestamp() + make_interval(secs => $4::float8)
            from free f where d.account_id = f.account_id and d.event_id = f.event_id
        )
        select account_id, event_id from held except select account_id, event_id from free";
    let (accounts, events): (Vec<i64>, Vec<i64>) = held.iter().map(|key| (key.account_id, key.event_id)).unzip();
    let query = sqlx::query_as(sql).bind(server).bind(accounts).bind(events).bind(seconds);
    let locked: Vec<(i64, i64)> = query.fetch_all(connection).await?;
    Ok(locked.into_iter().map(DeliveryKey::from).collect())
}
