//! All SQL of the events table.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::Event;
use super::cause::{Cause, CauseKind};
use crate::accounts::reserved::MASTER_USER;

/// Lateral join `r`: the `id` of the receiver of event `e`, or null, from [`event_receiver_id!`].
///
/// [`event_receiver_id!`]: crate::event_receiver_id
#[macro_export]
macro_rules! event_receiver {
    ($master:literal) => {
        concat!(
            "cross join lateral (
                select ",
            $crate::event_receiver_id!("e.account_id", "e.made_by", $master),
            " as id
            ) r"
        )
    };
}

/// Id of the user who would receive an event now, or null.
///
/// The receiver is the maker of the resource, or else the master user, if they have a `webhook_url`.
/// `$account` and `$maker` are columns; `$master` is the parameter with the id of the master user.
#[macro_export]
macro_rules! event_receiver_id {
    ($account:literal, $maker:literal, $master:literal) => {
        concat!(
            "coalesce(
                    (select u.id from users u
                        where u.account_id = ",
            $account,
            " and u.id = ",
            $maker,
            " and u.webhook_url is not null),
                    (select u.id from users u
                        where u.account_id = ",
            $account,
            " and u.id = ",
            $master,
            " and u.webhook_url is not null)
                )"
        )
    };
}

/// Origin of the links in an event, from the columns of its possible receivers `maker` and `master`; null: unknown.
///
/// `$account` is the account's `public_url`, `$server` the parameter with the server's. Without both, the links are for
/// the client that set the `webhook_url`.
#[macro_export]
macro_rules! event_origin {
    ($account:literal, $server:literal) => {
        concat!(
            "coalesce(",
            $account,
            ", ",
            $server,
            ", case when maker.webhook_url is null then master.webhook_origin else maker.webhook_origin end)"
        )
    };
}

/// Joins of the users that may receive event `e`. `$master` is the parameter with the id of the master user.
#[macro_export]
macro_rules! event_receivers {
    ($master:literal) => {
        concat!(
            "left join users maker on maker.account_id = e.account_id and maker.id = e.made_by
            left join users master on master.account_id = e.account_id and master.id = ",
            $master
        )
    };
}

/// Insertion of events up to its values. `$optional` are further columns, each with a comma, or nothing.
#[macro_export]
macro_rules! outbox_event {
    ($optional:literal) => {
        concat!(
            "insert into events (
                account_id, id, event_type, resource_type, resource_id, created_at, resource, made_by, failures, ",
            $optional,
            "cause, caused_by
            )"
        )
    };
}

/// Insertion of deliveries up to its values.
#[macro_export]
macro_rules! outbox_delivery {
    () => {
        "insert into deliveries (account_id, event_id, receiver_id, resource_type, resource_id, state, due_at)"
    };
}

/// Returns the id of the last event of an account. Later events have greater ids.
///
/// # Errors
/// Database errors.
pub async fn last_id(connection: &mut PgConnection, account_id: i64) -> Result<i64, sqlx::Error> {
    let sql = "select next_id - 1 from id_counters where account_id = $1 and type = 'events'";
    let last: Option<i64> = sqlx::query_scalar(sql).bind(account_id).fetch_optional(connection).await?;
    Ok(last.unwrap_or_default())
}

/// Inserts events by time, then by position, and queues the events with a receiver.
/// The receiver has a `webhook_url`: it is the maker of the resource, or else the master user.
/// Ids count up for each account, without gaps, in the order of commits.
///
/// An event waits while an earlier event of its resource is pending.
/// A share lock keeps pending deliveries pending until this transaction ends.
/// So the transaction that finishes one of them later finds the waiting event.
/// Share locks are taken resource by resource, the due delivery first.
/// Counters are locked in one order too, so servers never deadlock. Nothing else may be locked after the counters.
///
/// # Errors
/// Database errors.
pub async fn record(connection: &mut PgConnection, events: &[Event]) -> Result<(), sqlx::Error> {
    const SQL: &str = concat!("with told as (
            select * from unnest(
                $1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $11::bigint[], $7::bigint[],
                $8::integer[], $10::boolean[], $12::text[], $13::text[]
            ) with ordinality as e (
                account_id, event_type, resource_type, resource_id, at, snapshot, made_by, failures, is_made_up, cause,
                caused_by, position
            )
        ), standing as (
            select e.*, r.id as receiver_id, p.pending
            from (select * from told order by account_id, resource_type, resource_id) e
            ", crate::event_receiver!("$9"), "
            cross join lateral (
                select count(*) as pending from (
                    select from deliveries d
                    where r.id is not null and d.account_id = e.account_id and d.resource_type = e.resource_type
                    and d.resource_id = e.resource_id and d.state in ('due', 'waiting')
                    order by d.state, d.event_id for share of d
                ) d
            ) p
        ), counted as (
            select account_id, count(*) as events from standing group by account_id
        ), counters as (
            select c.account_id from id_counters c join counted n on n.account_id = c.account_id
            where c.type = 'events' order by c.account_id for no key update of c
        ), advanced as (
            update id_counters c set next_id = c.next_id + n.events
            from counted n join counters l on l.account_id = n.account_id
            where c.account_id = n.account_id and c.type = 'events'
            returning c.account_id, c.next_id - n.events as first_id
        ), numbered as (
            select e.*,
                a.first_id - 1 + row_number() over (partition by e.account_id order by e.at, e.position) as id,
                row_number() over (
                    partition by e.account_id, e.resource_type, e.resource_id order by e.at, e.position
                ) as turn
            from standing e join advanced a on a.account_id = e.account_id
        ), written as (
            ", crate::outbox_event!("is_made_up, links, "), "
            -- looked up here, so that the steps above do not carry large resources
            select account_id, id, event_type, resource_type, resource_id, at, ($6::text[])[snapshot], made_by, failures,
                is_made_up, ($14::text[])[snapshot]::integer[], cause, caused_by
            from numbered
        )
        ", crate::outbox_delivery!(), "
        select account_id, id, receiver_id, resource_type, resource_id,
            case when pending = 0 and turn = 1 then 'due' else 'waiting' end,
            case when pending = 0 and turn = 1 then at end
        from numbered where receiver_id is not null");
    // events of one resource share its snapshot
    let mut snapshots: Vec<&str> = Vec::with_capacity(events.len());
    let mut links: Vec<Option<String>> = Vec::new();
    let mut places = Vec::with_capacity(events.len());
    for event in events {
        let json: &str = &event.resource.json;
        if snapshots.last().is_none_or(|last| !std::ptr::eq(*last, json)) {
            snapshots.push(json);
            links.push(array(&event.resource.links));
        }
        places.push(i64::try_from(snapshots.len()).unwrap_or_default());
    }
    sqlx::query(SQL)
        .bind(events.iter().map(|event| event.account_id).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.event_type).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.resource.type_name).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.resource.id).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.at).collect::<Vec<_>>())
        .bind(snapshots)
        .bind(events.iter().map(|event| event.resource.made_by).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.resource.failures).collect::<Vec<_>>())
        .bind(MASTER_USER)
        .bind(events.iter().map(|event| event.is_made_up).collect::<Vec<_>>())
        .bind(places)
        .bind(events.iter().map(|event| event.cause.kind.name()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.cause.by.as_deref()).collect::<Vec<_>>())
        .bind(links)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Returns the text of an array: the database has no arrays of arrays of different lengths.
fn array(numbers: &[i32]) -> Option<String> {
    let numbers: Vec<String> = numbers.iter().map(i32::to_string).collect();
    (!numbers.is_empty()).then(|| format!("{{{}}}", numbers.join(",")))
}

/// Reads a cause from two columns. Events older than these columns have none.
///
/// # Errors
/// Other values in these columns.
pub fn read_cause(row: &PgRow, at: usize) -> Result<Option<Cause>, sqlx::Error> {
    let Some(kind) = row.try_get::<Option<&str>, _>(at)? else { return Ok(None) };
    let kind = CauseKind::named(kind).ok_or_else(|| sqlx::Error::Decode(format!("unknown cause {kind:?}").into()))?;
    let by: Option<&str> = row.try_get(at + 1)?;
    Ok(Some(Cause { kind, by: by.map(Into::into) }))
}

/// Returns the cause of the last event of each resource. `resources` are account and id, all of one type.
///
/// # Errors
/// Database errors.
pub async fn latest_causes(
    connection: &mut PgConnection,
    type_name: &str,
    resources: &[(i64, i64)],
) -> Result<Vec<Option<Cause>>, sqlx::Error> {
    let sql = "select e.cause, e.caused_by
        from unnest($1::bigint[], $2::bigint[]) with ordinality as r (account_id, id, position)
        left join lateral (
            select e.cause, e.caused_by from events e
            where e.account_id = r.account_id and e.resource_type = $3 and e.resource_id = r.id and not e.is_made_up
            order by e.id desc limit 1
        ) e on true
        order by r.position";
    let (accounts, ids): (Vec<i64>, Vec<i64>) = resources.iter().copied().unzip();
    let rows = sqlx::query(sql).bind(accounts).bind(ids).bind(type_name).fetch_all(connection).await?;
    rows.iter().map(|row| read_cause(row, 0)).collect()
}
