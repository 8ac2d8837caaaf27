//! The SQL that lists and shows events. The SQL that queues them again is in [`queue`].

pub mod queue;

use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::{AttemptRow, DeliveryState, EventDetails, EventRow};
use crate::accounts::caller::{self, Access, Caller, Credentials};
use crate::accounts::reserved::MASTER_USER;
use crate::concierge::listing::Table;
use crate::concierge::outputs::store::read_state;
use crate::database::StoreError;
use crate::events::links;
use crate::web::origin::Origin;

/// Events with their deliveries. The planner drops the join if a query uses no column of a delivery.
macro_rules! records {
    () => {
        "(
            select e.account_id, e.id, e.event_type, e.resource_type, e.resource_id, e.created_at, e.failures,
                e.is_made_up, coalesce(d.state, 'no_receiver') as delivery_state,
                coalesce(d.state = 'delivered', false) as delivered, d.sent_at, d.ended_at, d.due_at,
                coalesce(d.attempts, 0) as attempts
            from events e left join deliveries d on d.account_id = e.account_id and d.event_id = e.id
        )"
    };
}

/// The columns that [`read`] reads.
macro_rules! record_columns {
    () => {
        "t.id, t.event_type, t.resource_type, t.resource_id, t.created_at, t.failures, t.is_made_up, t.delivery_state,
        t.sent_at, t.ended_at, t.due_at, t.attempts"
    };
}

/// Number of these columns.
const COLUMNS: usize = 12;

/// The collection.
pub const TABLE: Table<EventRow> =
    Table { name: records!(), columns: record_columns!(), joins: "", condition: "", read };

fn read(row: &PgRow, at: usize) -> Result<EventRow, sqlx::Error> {
    Ok(EventRow {
        id: row.try_get(at)?,
        event_type: row.try_get(at + 1)?,
        resource_type: row.try_get(at + 2)?,
        resource_id: row.try_get(at + 3)?,
        created_at: row.try_get(at + 4)?,
        failures: row.try_get(at + 5)?,
        is_made_up: row.try_get(at + 6)?,
        delivery_state: DeliveryState::read(row.try_get(at + 7)?)?,
        sent_at: row.try_get(at + 8)?,
        ended_at: row.try_get(at + 9)?,
        due_at: row.try_get(at + 10)?,
        attempts: row.try_get(at + 11)?,
    })
}

/// Finds an event of the caller's account with its delivery attempts, one in each row. Only the first row has the
/// resource, and only if `shows_resource`, as it may be large.
///
/// Its links are those of the delivery. Without a receiver they are under the origin of the call.
///
/// # Errors
/// 401 unless the caller is authorized; errors of the database.
pub async fn find(
    connection: &mut PgConnection,
    credentials: &Credentials,
    access: Access,
    (id, shows_resource): (i64, bool),
    origin: &Origin,
) -> Result<(Caller, Option<EventDetails>), StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        " select ",
        crate::caller_columns!(),
        ", ",
        record_columns!(),
        ", case when $7 and row_number() over (order by a.number) = 1 then e.resource end, e.links, coalesce(",
        crate::event_origin!("c.public_url", "$4"),
        ", case when maker.webhook_url is null and master.webhook_url is null then $5 end),
            a.number, a.at, a.status, a.error, a.duration, a.response, a.next_at, a.url, a.headers
        from caller c left join ",
        records!(),
        " t on t.account_id = c.account_id and t.id = $3
        left join events e on e.account_id = t.account_id and e.id = t.id
        ",
        crate::event_receivers!("$6"),
        "
        left join delivery_attempts a on a.account_id = t.account_id and a.event_id = t.id
        order by a.number"
    );
    const FIRST: usize = caller::COLUMNS;
    const RESOURCE: usize = FIRST + COLUMNS;
    let query = credentials.query(SQL).bind(id).bind(origin.public_url.as_deref()).bind(&*origin.request);
    let rows = query.bind(MASTER_USER).bind(shows_resource).fetch_all(connection).await?;
    let caller = Caller::authorize(rows.first(), access)?;
    let Some(first) = rows.first() else { return Ok((caller, None)) };
    if first.try_get::<Option<i64>, _>(FIRST)?.is_none() {
        return Ok((caller, None));
    }
    let resource: Option<String> = first.try_get(RESOURCE)?;
    let (links, origin): (Option<Vec<i32>>, Option<&str>) =
        (first.try_get(RESOURCE + 1)?, first.try_get(RESOURCE + 2)?);
    let resource = resource.map(|json| links::put_under(json, links.as_deref(), origin));
    let resource = resource.map(RawValue::from_string).transpose();
    let mut attempts = Vec::new();
    for row in &rows {
        attempts.extend(read_attempt(row, RESOURCE + 3)?);
    }
    let resource = resource.map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok((caller, Some(EventDetails { record: read(first, FIRST)?, attempts, resource })))
}

fn read_attempt(row: &PgRow, at: usize) -> Result<Option<AttemptRow>, sqlx::Error> {
    let Some(number) = row.try_get(at)? else { return Ok(None) };
    let headers: Option<String> = row.try_get(at + 8)?;
    let headers = headers.map(RawValue::from_string).transpose();
    Ok(Some(AttemptRow {
        number,
        at: row.try_get(at + 1)?,
        url: row.try_get(at + 7)?,
        headers: headers.map_err(|error| sqlx::Error::Decode(error.into()))?,
        status: row.try_get(at + 2)?,
        error: row.try_get(at + 3)?,
        duration: row.try_get(at + 4)?,
        response: row.try_get(at + 5)?,
        next_at: row.try_get(at + 6)?,
    }))
}

/// Counts the failed payment attempts of an output.
///
/// # Errors
/// Errors of the database.
pub async fn failures(connection: &mut PgConnection, account_id: i64, id: i64) -> Result<i32, sqlx::Error> {
    let sql = "select state, attempts from concierge_request_outputs where account_id = $1 and id = $2";
    let row = sqlx::query(sql).bind(account_id).bind(id).fetch_one(connection).await?;
    Ok(read_state(row.try_get(0)?)?.failures(row.try_get(1)?))
}
