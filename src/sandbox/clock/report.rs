//! Lists the events and delivery attempts of an advance of the clock.

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::advance::Advanced;
use super::document::ClockDocument;
use crate::concierge::event_types::{EventTypeName, ResourceReference};
use crate::jsonapi::values::{NumericId, Timestamp};

/// Maximum number of entries in the list.
const LISTED: i64 = 1000;

/// An account's clock after a move, with everything that happened on the way.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MovedClock {
    #[serde(flatten)]
    pub clock: ClockDocument,
    /// The account's time before the move.
    pub from: Timestamp,
    /// The account's time after the move.
    pub to: Timestamp,
    /// Events and delivery attempts on the way, in order of time; the first thousand.
    pub happened: Vec<Happening>,
    /// True if more happened.
    pub more_happened: bool,
}

/// An event, or an attempt to deliver one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Happening {
    /// The account's time.
    at: Timestamp,
    /// The event.
    event: HappenedEvent,
    /// Resource of the event.
    resource: ResourceReference,
    /// The delivery attempt; absent for the event itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HappenedAttempt")]
    attempt: Option<HappenedAttempt>,
}

/// An event on the way of a clock.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HappenedEvent {
    /// Id of the event.
    id: NumericId,
    /// Type of the event.
    event_type: EventTypeName,
}

/// A delivery attempt on the way of a clock.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HappenedAttempt {
    /// Number of the attempt, from 1.
    number: i32,
    /// HTTP status of the answer; null if there was none.
    status: Option<i16>,
    /// Reason of the failure; null after a success.
    error: Option<String>,
}

/// Lists the events and delivery attempts of an advance in order of time, `LISTED` at most. The flag is true if there
/// are more.
///
/// # Errors
/// Errors of the database.
pub async fn list(
    connection: &mut PgConnection,
    account_id: i64,
    walked: Advanced,
) -> Result<(Vec<Happening>, bool), sqlx::Error> {
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
    let happened: Result<Vec<Happening>, sqlx::Error> = rows.iter().take(listed).map(render).collect();
    Ok((happened?, rows.len() > listed))
}

fn render(row: &PgRow) -> Result<Happening, sqlx::Error> {
    let kind: i32 = row.try_get(1)?;
    let attempt = || {
        Ok::<_, sqlx::Error>(HappenedAttempt {
            number: row.try_get(6)?,
            status: row.try_get(7)?,
            error: row.try_get(8)?,
        })
    };
    Ok(Happening {
        at: Timestamp(row.try_get(0)?),
        event: HappenedEvent { id: NumericId(row.try_get(2)?), event_type: EventTypeName(row.try_get(3)?) },
        resource: ResourceReference::new(row.try_get::<String, _>(4)?, row.try_get(5)?),
        attempt: (kind == 1).then(attempt).transpose()?,
    })
}
