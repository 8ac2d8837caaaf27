//! What happened in a walk through time: events, and attempts at telling of them.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use super::walk::Walked;
use crate::jsonapi::render::timestamp;

/// The most that is listed.
const LISTED: i64 = 1000;

/// Up to where everything had happened before a walk.
#[derive(Debug, Clone)]
pub struct Before {
    event: i64,
    at: Option<OffsetDateTime>,
    /// Attempts of the same instant.
    attempts: Vec<(i64, i32)>,
}

impl Before {
    /// Looks where things are in an account that is at that instant of its time.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn look(connection: &mut PgConnection, account_id: i64, at: OffsetDateTime) -> Result<Self, sqlx::Error> {
        let event = "select next_id - 1 from id_counters where account_id = $1 and type = 'events'";
        let event: Option<i64> = sqlx::query_scalar(event).bind(account_id).fetch_optional(&mut *connection).await?;
        let attempts = "select event_id, number from delivery_attempts where account_id = $1 and at >= $2 limit $3";
        let attempts = sqlx::query_as(attempts).bind(account_id).bind(at).bind(LISTED).fetch_all(connection).await?;
        Ok(Self { event: event.unwrap_or_default(), at: Some(at), attempts })
    }

    /// What happened since, in the order of time: `happened`, at most so many, and how many there are beyond.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(
        &self,
        connection: &mut PgConnection,
        account_id: i64,
        walked: Walked,
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
                    where a.account_id = $1 and a.at >= $3 and a.at <= $4
                    and (a.event_id, a.number) not in (select * from unnest($6::bigint[], $7::integer[]))
                    order by a.at, a.event_id limit $5
                )
            ) happened order by at, kind, id, number limit $5";
        let (events, numbers): (Vec<i64>, Vec<i32>) = self.attempts.iter().copied().unzip();
        let rows = sqlx::query(sql)
            .bind(account_id)
            .bind(self.event)
            .bind(self.at.unwrap_or(walked.from))
            .bind(walked.to)
            .bind(LISTED + 1)
            .bind(events)
            .bind(numbers)
            .fetch_all(connection)
            .await?;
        let listed = usize::try_from(LISTED).unwrap_or(usize::MAX);
        let happened: Result<Vec<Value>, sqlx::Error> = rows.iter().take(listed).map(render).collect();
        Ok((happened?, rows.len() > listed))
    }
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
