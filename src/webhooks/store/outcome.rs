//! SQL for the results of attempts and their consequences.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Delivery, Held};
use crate::webhooks::client::AttemptOutcome;

/// A finished attempt.
#[derive(Debug, Clone)]
pub struct Ended {
    pub delivery: Arc<Delivery>,
    pub outcome: AttemptOutcome,
    /// Start of the attempt, in account time.
    pub at: OffsetDateTime,
    /// End of the attempt, in account time.
    pub ended_at: OffsetDateTime,
    /// Time of the next attempt; `None`: the event was received or is given up.
    pub next_at: Option<OffsetDateTime>,
}

impl Ended {
    fn state(&self) -> &'static str {
        match (self.outcome.is_received(), self.next_at) {
            (true, _) => "delivered",
            (false, Some(_)) => "due",
            (false, None) => "given_up",
        }
    }
}

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
pub async fn record(
    connection: &mut PgConnection,
    server: Uuid,
    ended: &[Ended],
) -> Result<HashSet<(i64, i64)>, sqlx::Error> {
    let write = "with ended as (
            select * from unnest(
                $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
                $8::smallint[], $9::text[], $10::integer[], $11::text[]
            ) as e (account_id, event_id, state, at, ended_at, next_at, status, error, duration, response)
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
        insert into delivery_attempts (account_id, event_id, number, at, status, error, duration, response, next_at)
        select account_id, event_id, attempts + 1, at, status, error, duration, response, next_at from decided
        returning account_id, event_id";
    let recorded = sqlx::query_as(write)
        .bind(server)
        .bind(ended.iter().map(|ended| ended.delivery.account_id).collect::<Vec<_>>())
        .bind(ended.iter().map(|ended| ended.delivery.envelope.event_id).collect::<Vec<_>>())
        .bind(ended.iter().map(Ended::state).collect::<Vec<_>>())
        .bind(ended.iter().map(|ended| ended.at).collect::<Vec<_>>())
        .bind(ended.iter().map(|ended| ended.ended_at).collect::<Vec<_>>())
        .bind(ended.iter().map(|ended| ended.next_at).collect::<Vec<_>>())
        .bind(ended.iter().map(|ended| ended.outcome.status.map(u16::cast_signed)).collect::<Vec<_>>())
        .bind(ended.iter().map(|ended| ended.outcome.error.as_deref()).collect::<Vec<_>>())
        .bind(ended.iter().map(|ended| milliseconds(ended.outcome.duration)).collect::<Vec<_>>())
        .bind(ended.iter().map(|ended| ended.outcome.body.as_str()).collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    let mut recorded: HashSet<(i64, i64)> = recorded.into_iter().collect();
    let done = ended.iter().filter(|ended| ended.state() != "due" && recorded.contains(&ended.delivery.key()));
    let done: Vec<&Ended> = done.collect();
    if recorded.len() < ended.len() {
        recorded.extend(gone(&mut *connection, ended).await?);
    }
    if done.is_empty() {
        return Ok(recorded);
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
        .bind(done.iter().map(|ended| ended.delivery.account_id).collect::<Vec<_>>())
        .bind(done.iter().map(|ended| ended.delivery.envelope.resource_type.as_str()).collect::<Vec<_>>())
        .bind(done.iter().map(|ended| ended.delivery.envelope.resource_id).collect::<Vec<_>>())
        .bind(done.iter().map(|ended| ended.ended_at).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(recorded)
}

/// Returns the deliveries that no longer exist.
async fn gone(connection: &mut PgConnection, ended: &[Ended]) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    let sql = "select e.account_id, e.event_id from unnest($1::bigint[], $2::bigint[]) as e (account_id, event_id)
        where not exists (
            select from deliveries d where d.account_id = e.account_id and d.event_id = e.event_id
        )";
    let (accounts, events): (Vec<i64>, Vec<i64>) = ended.iter().map(|ended| ended.delivery.key()).unzip();
    sqlx::query_as(sql).bind(accounts).bind(events).fetch_all(connection).await
}

fn milliseconds(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// Postpones a delivery leased to this server until a time of its account.
///
/// # Errors
/// Database errors.
pub async fn hold_back(
    connection: &mut PgConnection,
    server: Uuid,
    (account_id, event_id): (i64, i64),
    until: OffsetDateTime,
    why: Held,
) -> Result<(), sqlx::Error> {
    let sql = "update deliveries set due_at = $4, held_for = $5, sent_at = null, leased_by = null, leased_until = null
        where account_id = $2 and event_id = $3 and state = 'due' and leased_by = $1";
    sqlx::query(sql)
        .bind(server)
        .bind(account_id)
        .bind(event_id)
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
pub async fn let_pass(
    connection: &mut PgConnection,
    server: Uuid,
    (account_id, event_id): (i64, i64),
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
    let passed = sqlx::query(sql).bind(server).bind(account_id).bind(event_id).execute(connection).await?;
    Ok(passed.rows_affected() > 0)
}
