//! SQL that saves the results of attempts.

use std::borrow::Borrow;
use std::collections::HashSet;

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::webhooks::delivery::{DeliveryKey, FinishedAttempt};

/// Saves attempts, and makes the next events of their resources due. Must run in a transaction.
/// The next event is looked up after the finished deliveries are locked.
/// So a concurrent insert either waits for this transaction or is seen by it.
///
/// A server that lost its lease still saves its attempt. Success counts without a lease.
/// After a failure, only the server with the lease schedules the next attempt.
///
/// Skips locked deliveries. Returns account and event of all saved ones, and of deliveries that no longer exist.
/// A delivery disappears if its account is reset or deleted.
///
/// # Errors
/// Database errors.
pub async fn save_results(
    connection: &mut PgConnection,
    server: Uuid,
    results: &[FinishedAttempt],
) -> Result<HashSet<DeliveryKey>, sqlx::Error> {
    let write = "with ended as (
            select * from unnest(
                $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
                $8::smallint[], $9::text[], $10::integer[], $11::text[], $12::text[], $13::text[]
            ) as e (account_id, event_id, state, at, ended_at, next_at, status, error, duration, response, url, headers)
        ), held as (
            select d.account_id, d.event_id, d.attempts, d.state = 'due' as is_due, d.leased_by = $1 as is_ours
            from ended e join deliveries d on d.account_id = e.account_id and d.event_id = e.event_id
            order by d.account_id, d.resource_type, d.resource_id, d.event_id for no key update of d skip locked
        ), decided as (
            select e.*, h.attempts, h.is_due and (coalesce(h.is_ours, false) or e.state = 'delivered') as decides
            from held h join ended e on e.account_id = h.account_id and e.event_id = h.event_id
        ), moved as (
            update deliveries d set
                state = case when h.decides then h.state else d.state end,
                due_at = case when h.decides then h.next_at else d.due_at end,
                ended_at = case when h.decides and h.state <> 'due' then h.ended_at else d.ended_at end,
                leased_by = case when h.decides then null else d.leased_by end,
                leased_until = case when h.decides then null else d.leased_until end,
                tries = d.tries + 1, attempts = d.attempts + 1
            from decided h where d.account_id = h.account_id and d.event_id = h.event_id
        )
        insert into delivery_attempts
            (account_id, event_id, number, at, status, error, duration, response, next_at, url, headers)
        select account_id, event_id, attempts + 1, at, status, error, duration, response, next_at, url, headers
        from decided
        returning account_id, event_id";
    let saved: Vec<(i64, i64)> = sqlx::query_as(write)
        .bind(server)
        .bind(column(results, |result| result.delivery.account_id))
        .bind(column(results, |result| result.delivery.envelope.event_id))
        .bind(column(results, FinishedAttempt::state))
        .bind(column(results, |result| result.at))
        .bind(column(results, |result| result.ended_at))
        .bind(column(results, |result| result.next_at))
        .bind(column(results, |result| result.outcome.status.map(u16::cast_signed)))
        .bind(column(results, |result| result.outcome.error.as_deref()))
        .bind(column(results, |result| milliseconds(result.outcome.duration)))
        .bind(column(results, |result| result.outcome.body.as_str()))
        .bind(column(results, |result| result.outcome.call.as_ref().map(|call| call.url.as_str())))
        .bind(column(results, |result| result.outcome.call.as_ref()?.headers.as_deref()))
        .fetch_all(&mut *connection)
        .await?;
    let mut saved: HashSet<DeliveryKey> = saved.into_iter().map(DeliveryKey::from).collect();
    let is_done = |result: &&FinishedAttempt| result.state() != "due" && saved.contains(&result.delivery.key());
    let done: Vec<&FinishedAttempt> = results.iter().filter(is_done).collect();
    if saved.len() < results.len() {
        saved.extend(gone(&mut *connection, results).await?);
    }
    if done.is_empty() {
        return Ok(saved);
    }
    // `waiting` is spelled out: the row is found by its key, without reading all waiting rows
    let follow = "with done as (
            select distinct on (account_id, resource_type, resource_id) *
            from unnest($1::bigint[], $2::text[], $3::bigint[], $4::timestamptz[])
                as d (account_id, resource_type, resource_id, at)
            order by account_id, resource_type, resource_id, at desc
        ), following as (
            select f.account_id, f.event_id, greatest(d.at, (
                select e.created_at from events e where e.account_id = f.account_id and e.id = f.event_id
            )) as due_at
            from done d cross join lateral (
                select w.account_id, w.event_id from deliveries w
                where w.account_id = d.account_id and w.resource_type = d.resource_type
                and w.resource_id = d.resource_id and w.state in ('due', 'waiting')
                order by w.state, w.event_id limit 1
            ) f
        )
        update deliveries d set state = 'due', due_at = f.due_at
        from following f
        where d.account_id = f.account_id and d.event_id = f.event_id and d.due_at is null and d.ended_at is null";
    sqlx::query(follow)
        .bind(column(&done, |result| result.delivery.account_id))
        .bind(column(&done, |result| result.delivery.envelope.resource_type.as_str()))
        .bind(column(&done, |result| result.delivery.envelope.resource_id))
        .bind(column(&done, |result| result.ended_at))
        .execute(connection)
        .await?;
    Ok(saved)
}

/// Returns the deliveries that no longer exist.
async fn gone(connection: &mut PgConnection, results: &[FinishedAttempt]) -> Result<Vec<DeliveryKey>, sqlx::Error> {
    let sql = "select e.account_id, e.event_id from unnest($1::bigint[], $2::bigint[]) as e (account_id, event_id)
        where not exists (
            select from deliveries d where d.account_id = e.account_id and d.event_id = e.event_id
        )";
    let gone: Vec<(i64, i64)> = sqlx::query_as(sql)
        .bind(column(results, |result| result.delivery.account_id))
        .bind(column(results, |result| result.delivery.envelope.event_id))
        .fetch_all(connection)
        .await?;
    Ok(gone.into_iter().map(DeliveryKey::from).collect())
}

/// Returns one value of each result, as an array for the database.
fn column<'a, T>(results: &'a [impl Borrow<FinishedAttempt>], value: impl Fn(&'a FinishedAttempt) -> T) -> Vec<T> {
    results.iter().map(|result| value(result.borrow())).collect()
}

fn milliseconds(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
