//! All SQL to create and show outputs. [`transitions`] has the SQL of their transitions.

pub mod transitions;

use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use super::state::{MACHINE, State};
use super::{Output, OutputDetails};
use crate::accounts::caller::{self, Access, Caller, Credentials};
use crate::accounts::reserved::MASTER_USER;
use crate::accounts::settings::milliseconds;
use crate::concierge::listing::Table;
use crate::concierge::requests;
use crate::concierge::users::{self, User};
use crate::concierge::withdrawal_instructions::{self, WithdrawalInstruction};
use crate::database::batch::Answers;

/// Columns for [`read`], prefixed with a table alias.
#[macro_export]
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
            ".rejection_reason, ",
            $t,
            ".failure_reason"
        )
    };
}

const COLUMNS: usize = 10;

/// Columns of an output, its payee and its instruction, whose body is read for the calls that show it.
macro_rules! complete_columns {
    ($t:literal) => {
        concat!(
            crate::output_columns!($t),
            ", ",
            crate::user_columns!("u"),
            ", ",
            crate::withdrawal_instruction_columns!("w", "case when q.shows_body then w.body end")
        )
    };
}

/// Joins for these columns.
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
pub const TABLE: Table<Output> =
    Table { name: "concierge_request_outputs", columns: crate::output_columns!("t"), joins: "", condition: "", read };

/// Reads an output from the columns at `at`.
///
/// # Errors
/// A decoding error if the row does not match.
pub fn read(row: &PgRow, at: usize) -> Result<Output, sqlx::Error> {
    Ok(Output {
        id: row.try_get(at)?,
        request_id: row.try_get(at + 1)?,
        user_id: row.try_get(at + 2)?,
        withdrawal_instruction_id: row.try_get(at + 3)?,
        port_code: row.try_get(at + 4)?,
        amount: row.try_get(at + 5)?,
        budget: row.try_get(at + 6)?,
        state: read_state(row.try_get(at + 7)?)?,
        rejection_reason: row.try_get(at + 8)?,
        failure_reason: row.try_get(at + 9)?,
    })
}

/// Parses the name of a state.
///
/// # Errors
/// A decoding error if no state has this name.
pub fn read_state(name: &str) -> Result<State, sqlx::Error> {
    MACHINE.named(name).ok_or_else(|| sqlx::Error::Decode(format!("no output state {name:?}").into()))
}

fn read_complete(row: &PgRow, at: usize) -> Result<OutputDetails, sqlx::Error> {
    Ok(OutputDetails {
        output: read(row, at)?,
        user: users::store::read(row, at + COLUMNS)?,
        withdrawal_instruction: withdrawal_instructions::store::read(row, at + COLUMNS + users::store::COLUMNS)?,
    })
}

/// A new output with the parameters of its creation.
#[derive(Debug, Clone)]
pub struct Creation {
    pub output: Output,
    /// Account of the output's id.
    pub account_id: i64,
    /// The server's time.
    pub now: OffsetDateTime,
    /// The server's delay before the checks.
    pub check_delay: Duration,
    /// Scenario of the payment, if the call names one.
    pub outcome: Option<&'static str>,
    /// The resource for its event, as JSON.
    pub snapshot: String,
    /// `X-Request-Id` of the call.
    pub caused_by: Arc<str>,
    /// True if the answer shows the instruction's body, which may be large.
    pub shows_body: bool,
}

/// Result of creating an output, with the resources found.
#[derive(Debug)]
pub struct CreationResult {
    pub caller: Caller,
    pub request_state: Option<requests::state::State>,
    pub user: Option<User>,
    pub withdrawal_instruction: Option<WithdrawalInstruction>,
    /// True if the output was created: all related resources exist and match.
    pub created: bool,
    /// Due time of its checks. `None`: automatic transitions are off.
    pub due_at: Option<OffsetDateTime>,
    /// True if its event has a receiver.
    pub told: bool,
}

/// SQL to create outputs in one round trip, one row for each call.
/// It reads the caller and the related resources, inserts outputs and events, and returns the data for the answers.
///
/// Shared locks keep the request a draft and the instruction undeleted until the output is inserted.
/// Shared locks do not conflict, so outputs of one request are created concurrently.
/// The counter of events is locked last, as in every transaction.
/// A new output has no earlier event, so its event waits for no delivery.
/// An id from before a reset belongs to another account and creates nothing, although the new account may use its number.
pub const CREATE: &str = concat!(
    "with ",
    crate::caller!(),
    ", moment as (
        select ",
    crate::account_time!("c", "$10"),
    " as at, ",
    crate::check_due_at!("c", "$10", "$11"),
    " as due_at from caller c
    ), request as (
        select r.id, r.state from caller c
        join concierge_requests r on r.account_id = c.account_id and r.id = any($4::bigint[])
        where c.level = 'write' for share of r
    ), payee as (
        select u.* from caller c join users u on u.account_id = c.account_id and u.id = any($5::bigint[])
    ), instruction as (
        select w.* from caller c
        join withdrawal_instructions w
            on w.account_id = c.account_id and w.id = any($6::bigint[]) and w.deleted_at is null
        where c.level = 'write' for key share of w
    ), call as (
        select * from unnest(
            $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::numeric[], $9::numeric[], $12::text[],
            $14::bigint[], $15::text[], $16::text[], $17::boolean[]
        ) with ordinality as q (
            id, request_id, user_id, instruction_id, port_code, amount, budget, snapshot, account_id, outcome, caused_by,
            shows_body, position
        )
    ), created as (
        insert into concierge_request_outputs (
            account_id, id, request_id, user_id, withdrawal_instruction_id, port_code, amount, budget,
            state, created_at, state_since, due_at, made_by, outcome
        )
        select c.account_id, q.id, r.id, u.id, w.id, q.port_code, q.amount, q.budget, 'accepting', m.at, m.at,
            m.due_at, c.user_id, q.outcome
        from caller c
        cross join moment m
        join call q on c.level = 'write' and c.user_id is not null and q.account_id = c.account_id
        join request r on r.id = q.request_id and r.state = 'draft'
        join payee u on u.id = q.user_id
        join instruction w on w.id = q.instruction_id and w.user_id = u.id
        returning id, due_at
    ), counter as (
        update id_counters i set next_id = i.next_id + n.events
        from caller c, (select count(*) as events from created) n
        where n.events > 0 and i.account_id = c.account_id and i.type = 'events'
        returning i.account_id, i.next_id - n.events as first_id
    ), event as (
        ",
    crate::outbox_event!(""),
    "
        select i.account_id, i.first_id - 1 + row_number() over (order by q.position),
            'concierge_request_output_accepting', 'concierge_request_outputs', o.id, m.at, q.snapshot, c.user_id, 0,
            'request', q.caused_by
        from caller c, moment m, counter i, created o join call q on q.id = o.id
        where q.account_id = c.account_id
        returning account_id, id, resource_type, resource_id
    ), receiver as (
        select ",
    crate::event_receiver_id!("c.account_id", "c.user_id", "$13"),
    " as id from caller c
    ), delivery as (
        ",
    crate::outbox_delivery!(),
    "
        select e.account_id, e.id, r.id, e.resource_type, e.resource_id, 'due', m.at
        from event e, moment m, receiver r where r.id is not null
    )
    select ",
    crate::caller_columns!(),
    ", o.id, o.due_at, (select id from receiver) is not null, r.state, ",
    crate::user_columns!("u"),
    ", ",
    crate::withdrawal_instruction_columns!("w", "case when q.shows_body then w.body end"),
    "
    from caller c
    left join call q on true
    left join request r on r.id = q.request_id
    left join payee u on u.id = q.user_id
    left join instruction w on w.id = q.instruction_id
    left join created o on o.id = q.id and q.account_id = c.account_id
    order by q.position"
);

/// Inserts each output if its related resources exist and match.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn create(
    connection: &mut PgConnection,
    credentials: Credentials,
    calls: Vec<Creation>,
) -> Answers<CreationResult> {
    let Some(latest) = calls.iter().max_by_key(|call| call.now) else { return Ok(Vec::new()) };
    let rows = credentials
        .query(CREATE)
        .bind(calls.iter().map(|call| call.output.id).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.output.request_id).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.output.user_id).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.output.withdrawal_instruction_id).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.output.port_code.as_str()).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.output.amount.as_ref()).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.output.budget.as_ref()).collect::<Vec<_>>())
        .bind(latest.now)
        .bind(milliseconds(latest.check_delay))
        .bind(calls.iter().map(|call| call.snapshot.as_str()).collect::<Vec<_>>())
        .bind(MASTER_USER)
        .bind(calls.iter().map(|call| call.account_id).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.outcome).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| &*call.caused_by).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.shows_body).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let caller = Caller::authorize(rows.first(), Access::Write)?;
    let outcomes: Result<_, sqlx::Error> = rows.iter().map(|row| read_outcome(row, caller.clone())).collect();
    Ok(outcomes?)
}

fn read_outcome(row: &PgRow, caller: Caller) -> Result<CreationResult, sqlx::Error> {
    const USER: usize = caller::COLUMNS + 4;
    const INSTRUCTION: usize = USER + users::store::COLUMNS;
    let created: Option<i64> = row.try_get(caller::COLUMNS)?;
    let state: Option<&str> = row.try_get(caller::COLUMNS + 3)?;
    let user: Option<i64> = row.try_get(USER)?;
    let instruction: Option<i64> = row.try_get(INSTRUCTION)?;
    Ok(CreationResult {
        caller,
        request_state: state.map(requests::store::transitions::read_state).transpose()?,
        user: user.map(|_| users::store::read(row, USER)).transpose()?,
        withdrawal_instruction: instruction
            .map(|_| withdrawal_instructions::store::read(row, INSTRUCTION))
            .transpose()?,
        created: created.is_some(),
        due_at: row.try_get(caller::COLUMNS + 1)?,
        told: row.try_get(caller::COLUMNS + 2)?,
    })
}

/// SQL to show outputs with their payees and instructions in one round trip, one row for each call.
pub const FIND: &str = concat!(
    "with ",
    crate::caller!(),
    "
    select ",
    crate::caller_columns!(),
    ", ",
    complete_columns!("o"),
    "
    from caller c
    left join unnest($3::bigint[], $4::boolean[]) with ordinality as q (id, shows_body, position) on true
    left join concierge_request_outputs o on o.account_id = c.account_id and o.id = q.id",
    complete_joins!("o"),
    "
    order by q.position"
);

/// An output to find.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    pub id: i64,
    /// True if the answer shows the instruction's body, which may be large.
    pub shows_body: bool,
}

/// Finds outputs of the caller's account.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn find(
    connection: &mut PgConnection,
    credentials: Credentials,
    calls: Vec<Search>,
) -> Answers<(Caller, Option<OutputDetails>)> {
    let ids: Vec<i64> = calls.iter().map(|call| call.id).collect();
    let shows: Vec<bool> = calls.iter().map(|call| call.shows_body).collect();
    let rows = credentials.query(FIND).bind(ids).bind(shows).fetch_all(connection).await?;
    let caller = Caller::authorize(rows.first(), Access::Read)?;
    let complete = |row: &PgRow| {
        let found: Option<i64> = row.try_get(caller::COLUMNS)?;
        Ok((caller.clone(), found.map(|_| read_complete(row, caller::COLUMNS)).transpose()?))
    };
    let found: Result<_, sqlx::Error> = rows.iter().map(complete).collect();
    Ok(found?)
}

/// Loads outputs of one account by id.
///
/// # Errors
/// Database errors.
pub async fn load(connection: &mut PgConnection, account_id: i64, ids: &[i64]) -> Result<Vec<Output>, sqlx::Error> {
    const SQL: &str = concat!(
        "select ",
        crate::output_columns!("o"),
        " from concierge_request_outputs o where o.account_id = $1 and o.id = any($2) order by o.id"
    );
    let rows = sqlx::query(SQL).bind(account_id).bind(ids).fetch_all(connection).await?;
    rows.iter().map(|row| read(row, 0)).collect()
}
