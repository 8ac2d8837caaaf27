//! The SQL that finds awaited events.

use sqlx::Row;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::concierge::event_types::EventType;
use crate::events::store::last_id;
use crate::sandbox::events::DeliveryState;

/// An event and the state of its delivery.
#[derive(Debug, Clone)]
pub struct AwaitedDelivery {
    pub event_id: i64,
    pub state: DeliveryState,
    pub attempts: i32,
    pub next_attempt_at: Option<OffsetDateTime>,
    /// Error of the last attempt.
    pub last_error: Option<String>,
}

/// Returns the first event of a type after the event `since`, and the id of the account's last event.
///
/// The event may be limited to one resource.
///
/// # Errors
/// Database errors.
pub async fn first_event(
    connection: &mut PgConnection,
    account_id: i64,
    event_type: &EventType,
    resource_id: Option<i64>,
    since: i64,
) -> Result<(Option<AwaitedDelivery>, i64), sqlx::Error> {
    // read first: event ids follow the order of commits
    let last = last_id(&mut *connection, account_id).await?;
    let sql = "select e.id, coalesce(d.state, 'no_receiver'), coalesce(d.attempts, 0), d.due_at, (
            select a.error from delivery_attempts a where a.account_id = e.account_id and a.event_id = e.id
            order by a.number desc limit 1
        )
        from events e left join deliveries d on d.account_id = e.account_id and d.event_id = e.id
        where e.account_id = $1 and e.event_type = $2 and e.resource_type = $3 and e.id > $5
        and ($4::bigint is null or e.resource_id = $4)
        order by e.id limit 1";
    let row = sqlx::query(sql)
        .bind(account_id)
        .bind(event_type.name)
        .bind(event_type.schema().type_name)
        .bind(resource_id)
        .bind(since)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok((None, last)) };
    let found = AwaitedDelivery {
        event_id: row.try_get(0)?,
        state: DeliveryState::read(row.try_get(1)?)?,
        attempts: row.try_get(2)?,
        next_attempt_at: row.try_get(3)?,
        last_error: row.try_get(4)?,
    };
    Ok((Some(found), last))
}
