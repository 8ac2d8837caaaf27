//! All SQL of outputs.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use super::state::State;
use super::{Complete, NewOutput, Output, Price};
use crate::accounts::caller::{Access, Caller, Credentials};
use crate::concierge::listing::Table;
use crate::concierge::users::{self, User};
use crate::concierge::withdrawal_instructions::{self, WithdrawalInstruction};
use crate::concierge::{requests, users::state::ComplianceState};
use crate::jsonapi::error::Errors;

/// The columns [`read`] reads, of a table alias.
macro_rules! output_columns {
    ($t:literal) => {
        concat!(
            $t,
            ".id, ",
            $t,
            ".request_id, ",
            $t,
            ".user_id, ",
            $t,
            ".withdrawal_instruction_id, ",
            $t,
            ".port_code, ",
            $t,
            ".amount, ",
            $t,
            ".budget, ",
            $t,
            ".state, ",
            $t,
            ".rejection_reason"
        )
    };
}

const COLUMNS: usize = 9;

/// The columns of an output, its payee and its instruction.
macro_rules! complete_columns {
    ($t:literal) => {
        concat!(output_columns!($t), ", ", crate::user_columns!("u"), ", ", crate::withdrawal_instruction_columns!("w"))
    };
}

/// The joins these need.
macro_rules! complete_joins {
    ($t:literal) => {
        concat!(
            " left join users u on u.account_id = ",
            $t,
            ".account_id and u.id = ",
            $t,
            ".user_id
            left join withdrawal_instructions w
                on w.account_id = ",
            $t,
            ".account_id and w.id = ",
            $t,
            ".withdrawal_instruction_id"
        )
    };
}

/// The collection.
pub const TABLE: Table<Complete> = Table {
    name: "concierge_request_outputs",
    columns: complete_columns!("t"),
    joins: complete_joins!("t"),
    condition: "",
    read: read_complete,
};

fn read(row: &PgRow, at: usize) -> Result<Output, sqlx::Error> {
    let state = row.try_get(at + 7)?;
    let unknown = || sqlx::Error::Decode(format!("no output state {state:?}").into());
    Ok(Output {
        id: row.try_get(at)?,
        request_id: row.try_get(at + 1)?,
        user_id: row.try_get(at + 2)?,
        withdrawal_instruction_id: row.try_get(at + 3)?,
        port_code: row.try_get(at + 4)?,
        amount: row.try_get(at + 5)?,
        budget: row.try_get(at + 6)?,
        state: State::named(state).ok_or_else(unknown)?,
        rejection_reason: row.try_get(at + 8)?,
    })
}

fn read_complete(row: &PgRow, at: usize) -> Result<Complete, sqlx::Error> {
    Ok(Complete {
        output: read(row, at)?,
        user: users::store::read(row, at + COLUMNS)?,
        withdrawal_instruction: withdrawal_instructions::store::read(row, at + COLUMNS + users::store::COLUMNS)?,
    })
}

/// What was found when an output was to be made.
#[derive(Debug)]
pub struct Outcome {
    pub caller: Caller,
    pub request_state: Option<requests::state::State>,
    pub user: Option<User>,
    pub withdrawal_instruction: Option<WithdrawalInstruction>,
    /// Whether the output was made: everything is there and fits.
    pub created: bool,
}

/// Creating an output, in one round trip: who calls, what the output refers to, the insert, and what the answer
/// shows.
///
/// The shares of the request and the instruction keep both as they are until the output is there: the first against
/// a request that stops being a draft, the second against a deletion. Shares don't wait for each other, so outputs
/// of one request are made side by side.
pub const CREATE: &str = concat!(
    "with ",
    crate::caller!(),
    ", request as (
        select r.id, r.state from caller c
        join concierge_requests r on r.account_id = c.account_id and r.id = $4
        where c.level = 'write' for share of r
    ), payee as (
        select u.* from caller c join users u on u.account_id = c.account_id and u.id = $5
    ), instruction as (
        select w.* from caller c
        join withdrawal_instructions w on w.account_id = c.account_id and w.id = $6 and w.deleted_at is null
        where c.level = 'write' for key share of w
    ), created as (
        insert into concierge_request_outputs (
            account_id, id, request_id, user_id, withdrawal_instruction_id, port_code, amount, budget,
            state, created_at, state_since, due_at
        )
        select c.account_id, $3, r.id, u.id, w.id, $7, $8, $9, 'accepting', $10, $10, $11
        from caller c, request r, payee u, instruction w
        where c.level = 'write' and c.user_id is not null and r.state = 'draft' and w.user_id = u.id
        returning id
    )
    select c.account_id, c.level, c.user_id, o.id, r.state, ",
    crate::user_columns!("u"),
    ", ",
    crate::withdrawal_instruction_columns!("w"),
    "
    from caller c
    left join request r on true
    left join payee u on true
    left join instruction w on true
    left join created o on true"
);

/// Makes an output, whose checks are due at `due_at`, if everything it refers to is there and fits.
///
/// # Errors
/// Those of the database; inside, 401 for the caller.
pub async fn create(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: i64,
    new: &NewOutput,
    now: OffsetDateTime,
    due_at: OffsetDateTime,
) -> Result<Result<Outcome, Errors>, sqlx::Error> {
    let (amount, budget) = match new.price {
        Price::Amount(amount) => (Some(amount), None),
        Price::Budget(budget) => (None, Some(budget)),
    };
    let row = sqlx::query(CREATE)
        .bind(credentials.key_sha256.as_slice())
        .bind(credentials.acting_as)
        .bind(id)
        .bind(new.request.number())
        .bind(new.user.number())
        .bind(new.withdrawal_instruction.number())
        .bind(&new.port_code)
        .bind(amount)
        .bind(budget)
        .bind(now)
        .bind(due_at)
        .fetch_optional(connection)
        .await?;
    let caller = match Caller::judge(row.as_ref(), Access::Write)? {
        Ok(caller) => caller,
        Err(refused) => return Ok(Err(refused)),
    };
    let Some(row) = row else { return Err(sqlx::Error::RowNotFound) };
    let created: Option<i64> = row.try_get(3)?;
    let state: Option<&str> = row.try_get(4)?;
    let user: Option<i64> = row.try_get(5)?;
    let instruction_at = 5 + users::store::COLUMNS;
    let instruction: Option<i64> = row.try_get(instruction_at)?;
    Ok(Ok(Outcome {
        caller,
        request_state: state.map(requests::store::read_state).transpose()?,
        user: user.map(|_| users::store::read(&row, 5)).transpose()?,
        withdrawal_instruction: instruction
            .map(|_| withdrawal_instructions::store::read(&row, instruction_at))
            .transpose()?,
        created: created.is_some(),
    }))
}

/// Showing an output with its payee and its instruction, in one round trip.
pub const FIND: &str = concat!(
    "with ",
    crate::caller!(),
    "
    select c.account_id, c.level, c.user_id, ",
    complete_columns!("o"),
    "
    from caller c
    left join concierge_request_outputs o on o.account_id = c.account_id and o.id = $3",
    complete_joins!("o")
);

/// An output of the caller's account.
///
/// # Errors
/// Those of the database; inside, 401 for the caller.
pub async fn find(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: i64,
) -> Result<Result<(Caller, Option<Complete>), Errors>, sqlx::Error> {
    let row = sqlx::query(FIND)
        .bind(credentials.key_sha256.as_slice())
        .bind(credentials.acting_as)
        .bind(id)
        .fetch_optional(connection)
        .await?;
    let caller = match Caller::judge(row.as_ref(), Access::Read)? {
        Ok(caller) => caller,
        Err(refused) => return Ok(Err(refused)),
    };
    let Some(row) = row else { return Ok(Ok((caller, None))) };
    let found: Option<i64> = row.try_get(3)?;
    Ok(Ok((caller, found.map(|_| read_complete(&row, 3)).transpose()?)))
}

/// The outputs with these ids, of one account.
///
/// # Errors
/// Those of the database.
pub async fn load(connection: &mut PgConnection, account_id: i64, ids: &[i64]) -> Result<Vec<Output>, sqlx::Error> {
    const SQL: &str = concat!(
        "select ",
        output_columns!("o"),
        " from concierge_request_outputs o where o.account_id = $1 and o.id = any($2) order by o.id"
    );
    let rows = sqlx::query(SQL).bind(account_id).bind(ids).fetch_all(connection).await?;
    rows.iter().map(|row| read(row, 0)).collect()
}

/// An accepting output whose checks are due.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    pub account_id: i64,
    pub id: i64,
    pub due_at: OffsetDateTime,
    pub payee: ComplianceState,
}

/// Locks accepting outputs whose checks are due, those first that have waited longest, and leaves out what another
/// server has locked.
///
/// The share of the payee makes its approval wait until this transaction ends: either we see the approval, or the
/// approval sees that the output waits for it.
///
/// # Errors
/// Those of the database.
pub async fn claim(connection: &mut PgConnection, now: OffsetDateTime, limit: i64) -> Result<Vec<Due>, sqlx::Error> {
    let sql = "select o.account_id, o.id, o.due_at, u.compliance_state
        from concierge_request_outputs o
        join users u on u.account_id = o.account_id and u.id = o.user_id
        where o.due_at <= $1 and o.state = 'accepting'
        order by o.due_at, o.account_id, o.id limit $2
        for no key update of o skip locked for share of u skip locked";
    let rows = sqlx::query(sql).bind(now).bind(limit).fetch_all(connection).await?;
    let due = |row: &PgRow| {
        Ok(Due {
            account_id: row.try_get(0)?,
            id: row.try_get(1)?,
            due_at: row.try_get(2)?,
            payee: users::store::read_state(row.try_get(3)?)?,
        })
    };
    rows.iter().map(due).collect()
}

/// Takes the timers off outputs that wait for their payee's approval.
///
/// # Errors
/// Those of the database.
pub async fn defer(connection: &mut PgConnection, outputs: &[(i64, i64)]) -> Result<(), sqlx::Error> {
    let (accounts, ids): (Vec<i64>, Vec<i64>) = outputs.iter().copied().unzip();
    let sql = "update concierge_request_outputs o set due_at = null
        from unnest($1::bigint[], $2::bigint[]) as d (account_id, id)
        where o.account_id = d.account_id and o.id = d.id";
    sqlx::query(sql).bind(accounts).bind(ids).execute(connection).await.map(|_| ())
}

/// Makes the checks of outputs due that waited for these payees (account, user and when it was decided).
///
/// # Errors
/// Those of the database.
pub async fn resume(connection: &mut PgConnection, payees: &[(i64, i64, OffsetDateTime)]) -> Result<(), sqlx::Error> {
    let accounts: Vec<i64> = payees.iter().map(|payee| payee.0).collect();
    let users: Vec<i64> = payees.iter().map(|payee| payee.1).collect();
    let times: Vec<OffsetDateTime> = payees.iter().map(|payee| payee.2).collect();
    let sql = "update concierge_request_outputs o set due_at = p.at
        from unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) as p (account_id, user_id, at)
        where o.account_id = p.account_id and o.user_id = p.user_id and o.state = 'accepting' and o.due_at is null";
    sqlx::query(sql).bind(accounts).bind(users).bind(times).execute(connection).await.map(|_| ())
}

/// An output's move to another state at its own time.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    pub account_id: i64,
    pub id: i64,
    pub to: State,
    pub rejection_reason: Option<&'static str>,
    pub at: OffsetDateTime,
}

/// Saves moves of outputs together with the events that tell of them.
///
/// # Errors
/// Those of the database.
pub async fn save(connection: &mut PgConnection, moves: &[Move]) -> Result<(), sqlx::Error> {
    const SQL: &str = concat!(
        "with moved as (
            update concierge_request_outputs o
            set state = m.state, rejection_reason = m.reason, state_since = m.at, due_at = null
            from unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
                with ordinality as m (account_id, id, state, reason, event_type, at, position)
            where o.account_id = m.account_id and o.id = m.id
            returning m.*
        ), ",
        crate::tell!()
    );
    sqlx::query(SQL)
        .bind(super::SCHEMA.type_name)
        .bind(moves.iter().map(|step| step.account_id).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.id).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.to.name()).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.rejection_reason).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.to.event_type()).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.at).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
}

/// When the next check is due.
///
/// # Errors
/// Those of the database.
pub async fn next_due(connection: &mut PgConnection) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar("select min(due_at) from concierge_request_outputs").fetch_one(connection).await
}
