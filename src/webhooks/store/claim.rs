//! The claim of due deliveries.

use std::sync::Arc;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::lease::LEASE;
use crate::accounts::reserved::MASTER_USER;
use crate::accounts::time::AccountTime;
use crate::events::links;
use crate::webhooks::concurrency::Quota;
use crate::webhooks::delivery::{Delivery, Postponement};
use crate::webhooks::envelope::Envelope;

/// Parameters of a claim.
#[derive(Debug, Clone)]
pub struct DeliveryClaim {
    /// This server.
    pub server: Uuid,
    /// Current server time.
    pub now: OffsetDateTime,
    /// `true` if events of every account are sent at their due time, not at `now`.
    pub uses_due_time: bool,
    /// Quotas of known receivers; any other receiver has a quota of one.
    pub quotas: Vec<Quota>,
    /// Maximum number of deliveries from known receivers.
    pub limit: usize,
    /// Maximum number of known receivers with a first delivery beyond `limit`.
    pub first_deliveries: usize,
    /// Maximum number of deliveries from unknown receivers.
    pub unknown_receivers: usize,
    /// The server's public URL, for links.
    pub public_url: Option<Arc<str>>,
}

/// Maximum number of bytes of resources in one claim. The first delivery may exceed it.
const MOST_BYTES: i64 = 16 << 20;

/// The statement of a claim.
///
/// It jumps from receiver to receiver through the index, without reading all deliveries of each.
const CLAIM: &str = concat!(
    "with recursive account as (
        select a.id, ",
    crate::account_time!("a", "$1"),
    " as now, $11 or a.frozen_at is not null as leaps, a.frozen_at is not null as stands,
        a.frozen_at, a.ahead, a.public_url, a.name
        from unnest($14::bigint[]) as i (id) join accounts a on a.id = i.id and ",
    crate::account_lives!("a"),
    "
    ), receiver (account_id, receiver_id, due_at) as (
        select f.* from account a cross join lateral (
            select d.account_id, d.receiver_id, d.due_at from deliveries d
            where d.state = 'due' and d.account_id = a.id
            order by d.receiver_id, d.due_at, d.event_id limit 1
        ) f
        union all
        select n.* from receiver r cross join lateral (
            select d.account_id, d.receiver_id, d.due_at from deliveries d
            where d.state = 'due' and d.account_id = r.account_id and d.receiver_id > r.receiver_id
            order by d.receiver_id, d.due_at, d.event_id limit 1
        ) n
    ), lane as (
        select * from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
            as l (account_id, receiver_id, held, room)
    ), found as (
        select c.account_id, c.event_id, c.due_at, c.tries > 0 as was_tried, l.held is not null as is_known,
            coalesce(l.held, 0)
            + row_number() over (partition by r.account_id, r.receiver_id order by c.due_at, c.event_id) as place
        from receiver r
        join account a on a.id = r.account_id
        left join lane l on l.account_id = r.account_id and l.receiver_id = r.receiver_id
        cross join lateral (
            select d.account_id, d.event_id, d.due_at, d.tries, d.leased_until from deliveries d
            where d.state = 'due' and d.account_id = r.account_id and d.receiver_id = r.receiver_id
            and d.due_at <= a.now and (a.stands or d.leased_until is null or d.leased_until <= clock_timestamp())
            order by d.due_at, d.event_id limit case when a.stands then 1 else coalesce(l.room, 1) end
        ) c
        where r.due_at <= a.now and (c.leased_until is null or c.leased_until <= clock_timestamp())
    ), ranked as (
        select f.*, row_number() over (
            partition by f.is_known order by f.place, f.was_tried, f.due_at, f.account_id, f.event_id
        ) as rank
        from found f
    ), chosen as (
        select c.account_id, c.event_id, c.rank,
            sum(octet_length(e.resource)) over (order by c.rank rows unbounded preceding) as bytes
        from ranked c join events e on e.account_id = c.account_id and e.id = c.event_id
        where case when c.is_known then c.rank <= $7 or (c.place = 1 and c.rank <= $8) else c.rank <= $13 end
    ), claimable as (
        select d.account_id, d.event_id, a.now, a.leaps from chosen c
        join account a on a.id = c.account_id
        join deliveries d on d.account_id = c.account_id and d.event_id = c.event_id
        where (coalesce(c.bytes, 0) <= $9 or c.rank = 1)
        -- skips rows changed since they were chosen
        and d.due_at <= a.now and (d.leased_until is null or d.leased_until <= clock_timestamp())
        for no key update of d skip locked
    ), claimed as (
        update deliveries d set
            leased_by = $2, leased_until = clock_timestamp() + make_interval(secs => $10),
            sent_at = coalesce(d.sent_at, case when c.leaps then d.due_at else c.now end)
        from claimable c where d.account_id = c.account_id and d.event_id = c.event_id
        returning d.*
    )
    select d.account_id, d.receiver_id, d.due_at, d.tries, d.event_id, e.event_type, e.created_at, d.sent_at,
        e.resource_type, e.resource_id, e.resource, e.failures, e.is_made_up,
        coalesce(maker.webhook_url, master.webhook_url), k.key_sha256, a.frozen_at, a.ahead,
        exists (select from faults f where f.account_id = d.account_id and f.is_of_webhooks), d.held_for,
        e.links, ",
    crate::event_origin!("a.public_url", "$15"),
    ", a.name
    from claimed d
    join account a on a.id = d.account_id
    join events e on e.account_id = d.account_id and e.id = d.event_id
    ",
    crate::event_receivers!("$12"),
    "
    left join lateral (
        select key_sha256 from api_keys k where k.account_id = d.account_id
        order by k.level = 'write' desc, k.created_at, k.key_sha256 limit 1
    ) k on true
    order by d.due_at, d.account_id, d.event_id"
);

/// Claims due deliveries of these accounts. Receivers with the fewest deliveries held come first, and for each receiver the oldest.
///
/// If the clock of an account is frozen, its deliveries to a receiver are claimed one by one.
/// Each waits for the result of the one before. So the same calls give the same order of deliveries.
///
/// # Errors
/// Database errors.
pub async fn claim(
    connection: &mut PgConnection,
    claim: &DeliveryClaim,
    accounts: &[i64],
) -> Result<Vec<Delivery>, sqlx::Error> {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let rows = sqlx::query(CLAIM)
        .bind(claim.now)
        .bind(claim.server)
        .bind(claim.quotas.iter().map(|quota| quota.receiver.account_id).collect::<Vec<_>>())
        .bind(claim.quotas.iter().map(|quota| quota.receiver.user_id).collect::<Vec<_>>())
        .bind(claim.quotas.iter().map(|quota| number(quota.held)).collect::<Vec<_>>())
        .bind(claim.quotas.iter().map(|quota| number(quota.more)).collect::<Vec<_>>())
        .bind(number(claim.limit))
        .bind(number(claim.first_deliveries))
        .bind(MOST_BYTES)
        .bind(LEASE)
        .bind(claim.uses_due_time)
        .bind(MASTER_USER)
        .bind(number(claim.unknown_receivers))
        .bind(accounts)
        .bind(claim.public_url.as_deref())
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<Delivery, sqlx::Error> {
    let tries: i32 = row.try_get(3)?;
    let resource: Option<String> = row.try_get(10)?;
    let (links, origin): (Option<Vec<i32>>, Option<&str>) = (row.try_get(19)?, row.try_get(20)?);
    Ok(Delivery {
        account_id: row.try_get(0)?,
        account_name: row.try_get::<Option<_>, _>(21)?.unwrap_or_default(),
        receiver_id: row.try_get(1)?,
        due_at: row.try_get(2)?,
        tries: usize::try_from(tries).unwrap_or_default(),
        envelope: Envelope {
            event_id: row.try_get(4)?,
            event_type: row.try_get(5)?,
            created_at: row.try_get(6)?,
            sent_at: row.try_get(7)?,
            resource_type: row.try_get(8)?,
            resource_id: row.try_get(9)?,
            resource: resource.map(|json| links::put_under(json, links.as_deref(), origin)),
            failures: row.try_get(11)?,
            is_made_up: row.try_get(12)?,
        },
        url: row.try_get(13)?,
        key_sha256: row.try_get(14)?,
        time: AccountTime::read(row, 15)?,
        has_faults: row.try_get(17)?,
        postponed_by: row.try_get::<Option<&str>, _>(18)?.map(Postponement::named),
    })
}
