//! The SQL that queues events again.
//!
//! Each resource has one due event; its later events wait. A transaction that queues an event checks for pending
//! events of the resource. Two concurrent transactions could both find none and queue two events as due. A transition
//! therefore locks the resource's row until its event is queued.
//!
//! Code that queues an event without a transition locks that row too. Before it, it locks the account's row
//! ([`lock`](crate::accounts::store::lock)). The account's lock also covers events of resources that do not exist.

use std::collections::{BTreeMap, HashSet};

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;

use crate::accounts::reserved::MASTER_USER;
use crate::concierge::event_types::RESOURCE_TYPES;
use crate::jsonapi::since::Since;

/// An undelivered event.
#[derive(Debug, Clone)]
pub struct Unreceived {
    pub id: i64,
    pub resource_type: String,
    pub resource_id: i64,
    /// True if its delivery is due later.
    pub is_due: bool,
}

/// Lists undelivered events after the id `behind`, in order of id: without a receiver, given up, or due after `now`.
/// Skips events with an attempt in progress.
///
/// # Errors
/// Errors of the database.
pub async fn unreceived(
    connection: &mut PgConnection,
    account_id: i64,
    behind: i64,
    since: Option<Since>,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Unreceived>, sqlx::Error> {
    let sql = "select e.id, e.resource_type, e.resource_id, d.state is not distinct from 'due'
        from events e left join deliveries d on d.account_id = e.account_id and d.event_id = e.id
        where e.account_id = $1 and e.id > $2 and ($3::timestamptz is null or e.created_at >= $3)
        and (d.state is null or d.state = 'given_up'
            or d.state = 'due' and d.due_at > $4 and coalesce(d.leased_until <= clock_timestamp(), true))
        order by e.id limit $5";
    let (behind, from) = match since {
        Some(Since::Id(id)) => (behind.max(id), None),
        Some(Since::Time(time)) => (behind, Some(time)),
        None => (behind, None),
    };
    let query = sqlx::query(sql).bind(account_id).bind(behind).bind(from).bind(now).bind(limit);
    let unreceived = |row: &PgRow| {
        Ok(Unreceived {
            id: row.try_get(0)?,
            resource_type: row.try_get(1)?,
            resource_id: row.try_get(2)?,
            is_due: row.try_get(3)?,
        })
    };
    query.fetch_all(connection).await?.iter().map(unreceived).collect()
}

/// Result of queueing an event again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// Queued, or due earlier than before.
    Queued,
    /// A delivery attempt is in progress.
    BeingSent,
    /// No `webhook_url` is set.
    NoReceiver,
}

/// Schedules the due ones of these events for an attempt now, and restarts their retry schedule.
///
/// Returns one result for each due event. Locks in order of resource, like the code that ends deliveries.
///
/// # Errors
/// Errors of the database.
pub async fn bring_forward(
    connection: &mut PgConnection,
    account_id: i64,
    ids: &[i64],
    now: OffsetDateTime,
) -> Result<Vec<Repeated>, sqlx::Error> {
    const SQL: &str = concat!(
        "with due as materialized (
            select d.event_id, coalesce(d.leased_until > clock_timestamp(), false) as is_being_sent
            from deliveries d where d.account_id = $1 and d.event_id = any($2) and d.state = 'due'
            order by d.account_id, d.resource_type, d.resource_id for update
        ), standing as materialized (
            select due.event_id, due.is_being_sent, r.id as receiver_id
            from due join events e on e.account_id = $1 and e.id = due.event_id ",
        crate::event_receiver!("$4"),
        "), brought as (
            update deliveries d set due_at = least(d.due_at, $3), tries = 0, receiver_id = s.receiver_id
            from standing s
            where d.account_id = $1 and d.event_id = s.event_id and not s.is_being_sent and s.receiver_id is not null
        )
        select is_being_sent, receiver_id is not null from standing"
    );
    let query = sqlx::query(SQL).bind(account_id).bind(ids).bind(now).bind(MASTER_USER);
    let repeated = |row: &PgRow| {
        Ok(match (row.try_get(0)?, row.try_get(1)?) {
            (true, _) => Repeated::BeingSent,
            (false, true) => Repeated::Queued,
            (false, false) => Repeated::NoReceiver,
        })
    };
    query.fetch_all(connection).await?.iter().map(repeated).collect()
}

/// Locks a resource against transitions until this transaction ends, if the resource exists.
///
/// # Errors
/// Errors of the database.
pub async fn hold(connection: &mut PgConnection, account_id: i64, type_name: &str, id: i64) -> Result<(), sqlx::Error> {
    let Some(table) = table(type_name) else { return Ok(()) };
    let sql = format!("select from {table} where account_id = $1 and id = $2 for share");
    sqlx::query(AssertSqlSafe(sql)).bind(account_id).bind(id).execute(connection).await.map(|_| ())
}

/// Locks the resources of these events, but skips resources in transition: waiting with locks held could deadlock.
/// Returns the ids of the events with a locked resource or a resource that does not exist.
///
/// # Errors
/// Errors of the database.
pub async fn hold_free(
    connection: &mut PgConnection,
    account_id: i64,
    events: &[Unreceived],
) -> Result<Vec<i64>, sqlx::Error> {
    let mut by_type: BTreeMap<&str, Vec<&Unreceived>> = BTreeMap::new();
    for event in events {
        by_type.entry(&event.resource_type).or_default().push(event);
    }
    let mut free = Vec::new();
    for (type_name, events) in by_type {
        let Some(table) = table(type_name) else { continue };
        let ids: Vec<i64> = events.iter().map(|event| event.resource_id).collect();
        let there = format!("select id from {table} where account_id = $1 and id = any($2)");
        let held = AssertSqlSafe(format!("{there} for share skip locked"));
        let held: Vec<i64> = sqlx::query_scalar(held).bind(account_id).bind(&ids).fetch_all(&mut *connection).await?;
        let held: HashSet<i64> = held.into_iter().collect();
        let missed: Vec<i64> = ids.into_iter().filter(|id| !held.contains(id)).collect();
        let there = sqlx::query_scalar(AssertSqlSafe(there)).bind(account_id).bind(missed);
        let moved: Vec<i64> = there.fetch_all(&mut *connection).await?;
        let moved: HashSet<i64> = moved.into_iter().collect();
        free.extend(events.iter().filter(|event| !moved.contains(&event.resource_id)).map(|event| event.id));
    }
    Ok(free)
}

/// Returns the table of a type of resource. Both have the same name.
fn table(type_name: &str) -> Option<&'static str> {
    RESOURCE_TYPES.into_iter().find(|known| *known == type_name)
}

/// Queues events that are not queued: given up, without a receiver, or, with `again`, delivered. Returns one result for
/// each of these. The caller has locked their resources, if they exist.
///
/// As in recording events, it takes share locks on the pending deliveries of each resource. They stay pending until
/// this transaction ends. It locks in order of resource, the due delivery first.
///
/// # Errors
/// Errors of the database.
pub async fn queue(
    connection: &mut PgConnection,
    account_id: i64,
    ids: &[i64],
    again: bool,
    now: OffsetDateTime,
) -> Result<Vec<Repeated>, sqlx::Error> {
    const SQL: &str = concat!(
        "with asked as materialized (
            select e.id, e.resource_type, e.resource_id, r.id as receiver_id
            from events e left join deliveries d on d.account_id = e.account_id and d.event_id = e.id ",
        crate::event_receiver!("$4"),
        " where e.account_id = $1 and e.id = any($2)
            and (d.state is null or d.state = 'given_up' or $5 and d.state = 'delivered')
        ), places as materialized (
            select q.resource_type, q.resource_id, q.ids, q.receivers, p.pending
            from (
                select resource_type, resource_id, array_agg(id order by id) as ids,
                    array_agg(receiver_id order by id) as receivers
                from asked where receiver_id is not null
                group by resource_type, resource_id order by resource_type, resource_id
            ) q
            cross join lateral (
                select count(*) as pending from (
                    select from deliveries d
                    where d.account_id = $1 and d.resource_type = q.resource_type and d.resource_id = q.resource_id
                    and d.state in ('due', 'waiting')
                    order by d.state, d.event_id for share of d
                ) d
            ) p
        ), queued as (
            insert into deliveries (account_id, event_id, receiver_id, resource_type, resource_id, state, due_at)
            select $1, q.id, q.receiver_id, p.resource_type, p.resource_id,
                case when p.pending = 0 and q.turn = 1 then 'due' else 'waiting' end,
                case when p.pending = 0 and q.turn = 1 then $3 end
            from places p cross join lateral unnest(p.ids, p.receivers) with ordinality as q (id, receiver_id, turn)
            on conflict (account_id, event_id) do update set
                receiver_id = excluded.receiver_id, state = excluded.state, due_at = excluded.due_at,
                ended_at = null, tries = 0
        )
        select receiver_id is not null from asked"
    );
    let query = sqlx::query_scalar(SQL).bind(account_id).bind(ids).bind(now).bind(MASTER_USER).bind(again);
    let has_receivers: Vec<bool> = query.fetch_all(connection).await?;
    let repeated = |has_receiver| if has_receiver { Repeated::Queued } else { Repeated::NoReceiver };
    Ok(has_receivers.into_iter().map(repeated).collect())
}
