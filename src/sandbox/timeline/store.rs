//! The SQL of timelines: the facts about a resource, and its events.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::trace::{CREATED, DELETED};
use super::{Present, RecordedEvent, TimelineAttempt, TimelineDelivery};
use crate::concierge::outlook::{OutputFacts, RequestFacts, UserFacts, of_instruction, of_output, of_request, of_user};
use crate::concierge::requests::store::transitions as requests;
use crate::concierge::users::state::ComplianceState;
use crate::concierge::{outputs, users};
use crate::events::store::read_cause;
use crate::sandbox::events::DeliveryState;

/// Maximum number of attempts in a delivery. Older ones are left out.
const MOST_ATTEMPTS: i64 = 20;

/// Columns with the facts about a request `r`.
macro_rules! request_columns {
    () => {
        concat!(
            "coalesce(wallet.balance, 0), wallet.due_at, others.last_created_at, others.due_at, others.accepting, ",
            crate::progress_columns!("r")
        )
    };
}

/// Joins for these columns. Outputs are read only if the request is in one of `$states`.
macro_rules! request_joins {
    ($states:literal) => {
        concat!(
            " left join cash_wallets wallet
                on wallet.account_id = r.account_id and wallet.user_id = r.user_id and wallet.currency = r.currency
            left join lateral (
                select max(o.created_at) as last_created_at, min(o.due_at) as due_at,
                    count(*) filter (where o.state = 'accepting') as accepting
                from concierge_request_outputs o
                where o.account_id = r.account_id and o.request_id = r.id and r.state in ",
            $states,
            ") others on true"
        )
    };
}

fn read_request(row: &PgRow, at: usize) -> Result<RequestFacts, sqlx::Error> {
    Ok(RequestFacts {
        balance: row.try_get(at)?,
        money_due_at: row.try_get(at + 1)?,
        last_output_at: row.try_get(at + 2)?,
        outputs_due_at: row.try_get(at + 3)?,
        outputs_accepting: row.try_get(at + 4)?,
        progress: requests::read(row, at + 5)?,
    })
}

/// Returns the current state of an output.
///
/// # Errors
/// Database errors.
pub async fn output(connection: &mut PgConnection, account_id: i64, id: i64) -> Result<Option<Present>, sqlx::Error> {
    const SQL: &str = concat!(
        "select o.state, o.state_since, o.due_at, o.attempts, o.outcome, w.label, w.bank_account_number, u.email,
            u.id, u.compliance_state, u.due_at, ",
        request_columns!(),
        " from concierge_request_outputs o
        join withdrawal_instructions w on w.account_id = o.account_id and w.id = o.withdrawal_instruction_id
        join users u on u.account_id = o.account_id and u.id = o.user_id
        join concierge_requests r on r.account_id = o.account_id and r.id = o.request_id",
        request_joins!("('draft')"),
        " where o.account_id = $1 and o.id = $2"
    );
    let Some(row) = sqlx::query(SQL).bind(account_id).bind(id).fetch_optional(connection).await? else {
        return Ok(None);
    };
    let output = OutputFacts {
        state: outputs::store::read_state(row.try_get(0)?)?,
        due_at: row.try_get(2)?,
        attempts: row.try_get(3)?,
        decision: outputs::store::transitions::read_decision(&row, 4)?,
        payee: read_user(&row, 8)?,
        request: read_request(&row, 11)?,
    };
    Ok(Some(Present {
        state: output.state.name(),
        since: row.try_get(1)?,
        decision: Some(output.decision),
        outlook: of_output(&output),
        began_in: outputs::state::MACHINE.states[0].name(),
        cancellation_reason: None,
    }))
}

/// Returns the current state of a request.
///
/// # Errors
/// Database errors.
pub async fn request(connection: &mut PgConnection, account_id: i64, id: i64) -> Result<Option<Present>, sqlx::Error> {
    const SQL: &str = concat!(
        "select ",
        request_columns!(),
        " from concierge_requests r",
        request_joins!("('draft', 'working')"),
        " where r.account_id = $1 and r.id = $2"
    );
    let Some(row) = sqlx::query(SQL).bind(account_id).bind(id).fetch_optional(connection).await? else {
        return Ok(None);
    };
    let request = read_request(&row, 0)?;
    let outlook = of_request(&request);
    let progress = request.progress;
    Ok(Some(Present {
        state: progress.state.name(),
        since: progress.state_since,
        decision: None,
        outlook,
        began_in: crate::concierge::requests::state::MACHINE.states[0].name(),
        cancellation_reason: progress.cancellation_reason,
    }))
}

fn read_user(row: &PgRow, at: usize) -> Result<UserFacts, sqlx::Error> {
    Ok(UserFacts {
        id: row.try_get(at)?,
        state: users::store::read_state(row.try_get(at + 1)?)?,
        due_at: row.try_get(at + 2)?,
    })
}

/// Returns the current state of a user.
///
/// `since` is the time of creation, because the time of the last change is not stored. Fixtures began as approved.
///
/// # Errors
/// Database errors.
pub async fn user(connection: &mut PgConnection, account_id: i64, id: i64) -> Result<Option<Present>, sqlx::Error> {
    let sql = "select id, compliance_state, due_at, created_at, made_by is null
        from users where account_id = $1 and id = $2";
    let Some(row) = sqlx::query(sql).bind(account_id).bind(id).fetch_optional(connection).await? else {
        return Ok(None);
    };
    let user = read_user(&row, 0)?;
    let began_in = if row.try_get(4)? { ComplianceState::Enabled } else { ComplianceState::New };
    Ok(Some(Present {
        state: user.state.name(),
        since: row.try_get(3)?,
        decision: None,
        outlook: of_user(&user),
        began_in: began_in.name(),
        cancellation_reason: None,
    }))
}

/// Returns the current state of a withdrawal instruction.
///
/// # Errors
/// Database errors.
pub async fn instruction(
    connection: &mut PgConnection,
    account_id: i64,
    id: i64,
) -> Result<Option<Present>, sqlx::Error> {
    let sql = "select coalesce(deleted_at, created_at), deleted_at is not null
        from withdrawal_instructions where account_id = $1 and id = $2";
    let Some(row) = sqlx::query(sql).bind(account_id).bind(id).fetch_optional(connection).await? else {
        return Ok(None);
    };
    let is_deleted = row.try_get(1)?;
    Ok(Some(Present {
        state: if is_deleted { DELETED } else { CREATED },
        since: row.try_get(0)?,
        decision: None,
        outlook: of_instruction(is_deleted),
        began_in: CREATED,
        cancellation_reason: None,
    }))
}

/// Returns the last `limit` events of a resource, oldest first, with their deliveries. Made-up events are left out.
///
/// # Errors
/// Database errors.
pub async fn told(
    connection: &mut PgConnection,
    account_id: i64,
    type_name: &str,
    id: i64,
    limit: usize,
) -> Result<Vec<RecordedEvent>, sqlx::Error> {
    let sql = "select e.id, e.event_type, e.created_at, e.cause, e.caused_by, d.state, d.due_at
        from events e left join deliveries d on d.account_id = e.account_id and d.event_id = e.id
        where e.account_id = $1 and e.resource_type = $2 and e.resource_id = $3 and not e.is_made_up
        order by e.id desc limit $4";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = sqlx::query(sql).bind(account_id).bind(type_name).bind(id).bind(limit);
    let mut rows = query.fetch_all(&mut *connection).await?;
    rows.reverse();
    let ids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
    let mut attempts = attempts(connection, account_id, &ids).await?;
    let told = |row: &PgRow| {
        let id = row.try_get(0)?;
        let attempts = attempts.remove(&id).unwrap_or_default();
        let state = row.try_get::<Option<&str>, _>(5)?.map(DeliveryState::read).transpose()?;
        let due_at = row.try_get(6)?;
        Ok(RecordedEvent {
            id,
            event_type: row.try_get(1)?,
            at: row.try_get(2)?,
            cause: read_cause(row, 3)?,
            delivery: state.map(|state| TimelineDelivery { state, due_at, attempts }),
        })
    };
    rows.iter().map(told).collect()
}

/// Returns the last attempts to deliver each event, oldest first.
async fn attempts(
    connection: &mut PgConnection,
    account_id: i64,
    events: &[i64],
) -> Result<HashMap<i64, Vec<TimelineAttempt>>, sqlx::Error> {
    let sql = "select e.id, a.at, a.status, a.error from unnest($2::bigint[]) as e (id) cross join lateral (
            select * from delivery_attempts a where a.account_id = $1 and a.event_id = e.id
            order by a.number desc limit $3
        ) a
        order by e.id, a.number";
    let rows = sqlx::query(sql).bind(account_id).bind(events).bind(MOST_ATTEMPTS).fetch_all(connection).await?;
    let mut attempts: HashMap<i64, Vec<TimelineAttempt>> = HashMap::new();
    for row in rows {
        let attempt = TimelineAttempt { at: row.try_get(1)?, status: row.try_get(2)?, error: row.try_get(3)? };
        attempts.entry(row.try_get(0)?).or_default().push(attempt);
    }
    Ok(attempts)
}
