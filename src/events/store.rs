//! All SQL of events.

use sqlx::postgres::PgConnection;

use super::Event;

/// Writes events, in the order of their times and, where those are the same, in their own. An event's id is the next
/// of its account: without gaps, and ascending in the order of commits. The counters are locked in one order, so that
/// two servers never wait for each other; nothing else may be locked after them.
///
/// # Errors
/// Those of the database.
pub async fn write(connection: &mut PgConnection, events: &[Event]) -> Result<(), sqlx::Error> {
    let sql = "with told as (
            select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[])
                with ordinality as e (account_id, event_type, resource_type, resource_id, at, position)
        ), counted as (
            select account_id, count(*) as events from told group by account_id
        ), counters as (
            select c.account_id from id_counters c join counted n on n.account_id = c.account_id
            where c.type = 'events' order by c.account_id for no key update of c
        ), advanced as (
            update id_counters c set next_id = c.next_id + n.events
            from counted n join counters l on l.account_id = n.account_id
            where c.account_id = n.account_id and c.type = 'events'
            returning c.account_id, c.next_id - n.events as first_id
        )
        insert into events (account_id, id, event_type, resource_type, resource_id, created_at)
        select e.account_id,
            a.first_id - 1 + row_number() over (partition by e.account_id order by e.at, e.position),
            e.event_type, e.resource_type, e.resource_id, e.at
        from told e join advanced a on a.account_id = e.account_id";
    sqlx::query(sql)
        .bind(events.iter().map(|event| event.account_id).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.event_type).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.resource_type).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.resource_id).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.at).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
}
