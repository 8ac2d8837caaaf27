//! All SQL of deliveries: claims, leases and results.
//!
//! A delivery is leased to the server that sends it. Leases use database time, the same for all servers.
//! The leases of a stopped server expire, and other servers claim its deliveries.

mod outcome;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

pub use outcome::{Ended, hold_back, let_pass, record};

use super::concurrency::{Key, Room};
use super::envelope::Envelope;
use crate::accounts::reserved::MASTER_USER;
use crate::accounts::time::AccountTime;

/// Duration of a lease, in seconds. It is renewed while the server lives.
const LEASE: f64 = 20.0;

/// An event claimed by this server.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub account_id: i64,
    pub receiver_id: i64,
    pub due_at: OffsetDateTime,
    /// Attempts since the event was queued.
    pub tries: usize,
    pub envelope: Envelope,
    /// Current `webhook_url` of the resource's maker, or else of the master user.
    pub url: Option<String>,
    /// SHA-256 of the account's oldest key with write access, or else of its oldest key.
    pub key_sha256: Option<Vec<u8>>,
    /// Time of the account at the claim.
    pub time: AccountTime,
    /// `true` if the account has webhook faults; one may apply to this attempt.
    pub has_faults: bool,
    /// Reason of an earlier postponement.
    pub held_for: Option<Held>,
}

/// Effect of a fault that postpones an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Sent after a delay.
    Delay,
    /// Sent after the next event of its resource.
    Reorder,
}

impl Held {
    const fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Reorder => "reorder",
        }
    }

    fn named(name: &str) -> Self {
        if name == Self::Reorder.name() { Self::Reorder } else { Self::Delay }
    }
}

impl Delivery {
    /// Returns the receiver.
    pub fn lane(&self) -> Key {
        (self.account_id, self.receiver_id)
    }

    /// Returns account and event.
    pub fn key(&self) -> (i64, i64) {
        (self.account_id, self.envelope.event_id)
    }
}

/// Parameters of a claim.
#[derive(Debug, Clone)]
pub struct Claim {
    /// This server.
    pub server: Uuid,
    /// Current server time.
    pub now: OffsetDateTime,
    /// `true` if events of every account are sent at their due time, not at `now`.
    pub leaps: bool,
    /// Accounts with due deliveries.
    pub accounts: Vec<i64>,
    /// Quotas of known receivers; any other receiver has a quota of one.
    pub rooms: Vec<Room>,
    /// Most deliveries from known receivers.
    pub limit: usize,
    /// Most known receivers with a first delivery beyond `limit`.
    pub firsts: usize,
    /// Most deliveries from unknown receivers.
    pub others: usize,
}

/// Most bytes of resources in one claim. The first delivery may exceed it.
const MOST_BYTES: i64 = 16 << 20;

/// Claims due deliveries. Receivers with the fewest deliveries held come first, and for each receiver the oldest.
///
/// If the clock of an account is frozen, its deliveries to a receiver are claimed one by one.
/// Each waits for the result of the one before. So the same calls give the same order of deliveries.
///
/// The query jumps from receiver to receiver through the index, without reading all deliveries of each.
///
/// # Errors
/// Database errors.
pub async fn claim(connection: &mut PgConnection, claim: &Claim) -> Result<Vec<Delivery>, sqlx::Error> {
    const SQL: &str = concat!(
        "with recursive account as (
            select a.id, ",
        crate::account_time!("a", "$1"),
        " as now, $11 or a.frozen_at is not null as leaps, a.frozen_at is not null as stands,
            a.frozen_at, a.ahead
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
            exists (select from faults f where f.account_id = d.account_id and f.is_of_webhooks), d.held_for
        from claimed d
        join account a on a.id = d.account_id
        join events e on e.account_id = d.account_id and e.id = d.event_id
        left join users maker on maker.account_id = d.account_id and maker.id = e.made_by
        left join users master on master.account_id = d.account_id and master.id = $12
        left join lateral (
            select key_sha256 from api_keys k where k.account_id = d.account_id
            order by k.level = 'write' desc, k.created_at, k.key_sha256 limit 1
        ) k on true
        order by d.due_at, d.account_id, d.event_id"
    );
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let rows = sqlx::query(SQL)
        .bind(claim.now)
        .bind(claim.server)
        .bind(claim.rooms.iter().map(|room| room.key.0).collect::<Vec<_>>())
        .bind(claim.rooms.iter().map(|room| room.key.1).collect::<Vec<_>>())
        .bind(claim.rooms.iter().map(|room| number(room.held)).collect::<Vec<_>>())
        .bind(claim.rooms.iter().map(|room| number(room.more)).collect::<Vec<_>>())
        .bind(number(claim.limit))
        .bind(number(claim.firsts))
        .bind(MOST_BYTES)
        .bind(LEASE)
        .bind(claim.leaps)
        .bind(MASTER_USER)
        .bind(number(claim.others))
        .bind(&claim.accounts)
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<Delivery, sqlx::Error> {
    let tries: i32 = row.try_get(3)?;
    Ok(Delivery {
        account_id: row.try_get(0)?,
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
            resource: row.try_get(10)?,
            failures: row.try_get(11)?,
            is_made_up: row.try_get(12)?,
        },
        url: row.try_get(13)?,
        key_sha256: row.try_get(14)?,
        time: AccountTime::read(row, 15)?,
        has_faults: row.try_get(17)?,
        held_for: row.try_get::<Option<&str>, _>(18)?.map(Held::named),
    })
}

/// Subquery for the earliest due time of the deliveries of account `a`.
pub const NEXT_DUE: &str = "select min(due_at) from deliveries where account_id = a.id and state = 'due'";

/// Due times of an account's deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    pub account_id: i64,
    /// `true` if a delivery is due, even if a server is sending it.
    pub is_due: bool,
    /// Earliest due time in the future, in server time.
    pub next: Option<OffsetDateTime>,
}

/// Returns the due times of deliveries in these accounts; `None`: in all accounts.
///
/// # Errors
/// Database errors.
pub async fn outlook(
    connection: &mut PgConnection,
    accounts: Option<&[i64]>,
    now: OffsetDateTime,
) -> Result<Vec<Outlook>, sqlx::Error> {
    const SQL: &str = concat!(
        "select a.id, a.frozen_at, a.ahead, d.earliest <= d.now, (
            select min(due_at) from deliveries where account_id = a.id and state = 'due' and due_at > d.now
        )
        from accounts a cross join lateral (
            select min(due_at) as earliest, ",
        crate::account_time!("a", "$1"),
        " as now from deliveries where account_id = a.id and state = 'due'
        ) d
        where ",
        crate::account_lives!("a"),
        " and d.earliest is not null and (a.id = any($2) or $2 is null)"
    );
    let rows = sqlx::query(SQL).bind(now).bind(accounts).fetch_all(connection).await?;
    let outlook = |row: &PgRow| {
        let next: Option<OffsetDateTime> = row.try_get(4)?;
        let next = next.and_then(|next| AccountTime::read(row, 1).ok()?.to_server_time(next));
        Ok(Outlook { account_id: row.try_get(0)?, is_due: row.try_get(3)?, next })
    };
    rows.iter().map(outlook).collect()
}

/// Renews leases of this server.
///
/// # Errors
/// Database errors.
pub async fn renew(connection: &mut PgConnection, server: Uuid, held: &[(i64, i64)]) -> Result<(), sqlx::Error> {
    lease(connection, server, held, Some(LEASE)).await
}

/// Ends leases of this server, so that any server can claim the deliveries.
///
/// # Errors
/// Database errors.
pub async fn release(connection: &mut PgConnection, server: Uuid, held: &[(i64, i64)]) -> Result<(), sqlx::Error> {
    lease(connection, server, held, None).await
}

/// Sets the remaining seconds of this server's leases; `None`: ends them.
/// Skips locked rows: they are renewed the next time, or free when their lease expires.
async fn lease(
    connection: &mut PgConnection,
    server: Uuid,
    held: &[(i64, i64)],
    seconds: Option<f64>,
) -> Result<(), sqlx::Error> {
    let sql = "with held as (
            select d.account_id, d.event_id from unnest($2::bigint[], $3::bigint[]) as h (account_id, event_id)
            join deliveries d on d.account_id = h.account_id and d.event_id = h.event_id
            where d.leased_by = $1 for no key update of d skip locked
        )
        update deliveries d set
            leased_by = case when $4::float8 is not null then d.leased_by end,
            leased_until = clock_timestamp() + make_interval(secs => $4::float8)
        from held h where d.account_id = h.account_id and d.event_id = h.event_id";
    let (accounts, events): (Vec<i64>, Vec<i64>) = held.iter().copied().unzip();
    sqlx::query(sql).bind(server).bind(accounts).bind(events).bind(seconds).execute(connection).await.map(|_| ())
}

/// Returns the creation time of the oldest pending event, among accounts in server time.
///
/// # Errors
/// Database errors.
pub async fn oldest_pending(connection: &mut PgConnection) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    const SQL: &str = concat!(
        "select min(e.created_at) from accounts a
        join deliveries d on d.account_id = a.id and d.state in ('due', 'waiting')
        join events e on e.account_id = d.account_id and e.id = d.event_id
        where a.frozen_at is null and a.ahead = 0 and ",
        crate::account_lives!("a")
    );
    sqlx::query_scalar(SQL).fetch_one(connection).await
}
