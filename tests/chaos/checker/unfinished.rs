//! Nothing due is left undone: timers went on, and every event was sent.

use sqlx::postgres::PgPool;

/// Work that is due and undone. Drafts and quotes wait for their client, and snapshots stand still.
const UNFINISHED: &str = "
    with live as (
        select id, coalesce(frozen_at, now() + ahead * interval '1 millisecond') - interval '1 second' as past
        from accounts where ended_at is null and snapshot_of is null
    )
    select 'request ' || r.id || ' is still ' || r.state from concierge_requests r join live on live.id = r.account_id
    where r.state in ('quote_requested', 'quote_accepted', 'working')
    union all
    select 'output ' || o.id || ' is still ' || o.state
    from concierge_request_outputs o join live on live.id = o.account_id
    where o.state in ('accepting', 'working', 'settling', 'failed')
    union all
    select type || ' ' || due.id || ' was due at ' || due.due_at from (
        select account_id, 'request' as type, id::text, due_at from concierge_requests
        union all select account_id, 'output', id::text, due_at from concierge_request_outputs
        union all select account_id, 'user', id::text, due_at from users
        union all select account_id, 'wallet', currency, due_at from cash_wallets
    ) due join live on live.id = due.account_id where due.due_at < live.past
    union all
    select 'the delivery of event ' || d.event_id || ' is still ' || d.state
    from deliveries d join live on live.id = d.account_id where d.state <> 'delivered'
    union all
    select 'account ' || id || ' ended, but its rows are there' from accounts where ended_at is not null";

/// Returns the work that is due and undone.
pub async fn faults(database: &PgPool) -> Vec<String> {
    sqlx::query_scalar(UNFINISHED).fetch_all(database).await.unwrap()
}
