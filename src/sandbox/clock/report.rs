//! Lists the events and delivery attempts of an advance of the clock.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use super::advance::Advanced;
use crate::jsonapi::render::timestamp;

/// Maximum number of entries in the list.
const LISTED: i64 = 1000;

/// Lists the events and delivery attempts of an advance in order of time, `LISTED` at most. The flag is true if there
/// are more.
///
/// # Errors
/// Errors of the database.
pub async fn list(
    connection: &mut PgConnection,
    account_id: i64,
    walked: Advanced,
) -> Result<(Vec<Value>, bool), sqlx::Error> {
    let sql = "select * from (
            (
                select e.created_at as at, 0 as kind, e.id, e.event_type, e.resource_type, e.resource_id,
                    0 as number, null::smallint as status, null as error
                from events e where e.account_id = $1 and e.id > $2 order by e.id limit $5
            )
            union all
            (
                select a.at, 1, e.id, e.event_type, e.resource_type, e.resource_id, a.number, a.status, a.error
                from delivery_attempts a
                join events e on e.account_id = a.account_id and e.id = a.event_id
                where a.account_id = $1 and a.at > $3 and a.at <= $4
                order by a.at, a.event_id, a.number limit $5
            )
        ) happened order by at, kind, id, number limit $5";
    let rows = sqlx::query(sql)
        .bind(account_id)
        .bind(walked.last_event)
        .bind(walked.from)
        .bind(walked.to)
        .bind(LISTED + 1)
        .fetch_all(connection)
        .await?;
    let listed = usize::try_from(LISTED).unwrap_or(usize::MAX);
    let happened: Result<Vec<Value>, sqlx::Error> = rows.iter().take(listed).map(render).collect();
    Ok((happened?, rows.len() > listed))
}

fn render(row: &PgRow) -> Result<Value, sqlx::Error> {
    let (at, kind): (OffsetDateTime, i32) = (row.try_get(0)?, row.try_get(1)?);
    let (id, event_type, resource_type): (i64, String, String) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
    let resource_id: i64 = row.try_get(5)?;
    let mut happened = json!({
        "at": timestamp(at),
        "event": { "id": id.to_string(), "event_type": event_type },
        "resource": { "type": resource_type, "id": resource_id.to_string() },
    });
    if kind == 1 {
        let (number, status, error): (i32, Option<i16>, Option<String>) =
            (row.try_get(6)?, row.try_get(7)?, row.try_get(8)?);
        happened["attempt"] = json!({ "number": number, "status": status, "error": error });
    }
    Ok(happened)
}
