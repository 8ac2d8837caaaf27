//! The outbox: what happened, written by the very statement that makes it happen.

/// The SQL that tells of moved resources, the last part of a statement that has a common table expression
/// `moved (account_id, id, at, position, event_type)`; `$1` is the resources' type. An event's id is the next of its
/// account. The counters are locked in one order, so that two servers never wait for each other.
#[macro_export]
macro_rules! tell {
    () => {
        "counted as (
            select account_id, count(*) as events from moved group by account_id
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
        select m.account_id,
            a.first_id - 1 + row_number() over (partition by m.account_id order by m.at, m.position),
            m.event_type, $1, m.id, m.at
        from moved m join advanced a on a.account_id = m.account_id"
    };
}
