//! All SQL of outputs.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use super::state::State;
use super::{Complete, Output, Price};
use crate::accounts::caller::{Access, Caller, Credentials};
use crate::concierge::listing::Table;
use crate::concierge::users::{self, User};
use crate::concierge::withdrawal_instructions::{self, WithdrawalInstruction};
use crate::concierge::{requests, users::state::ComplianceState};
use crate::database::batch::Answers;

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

/// An output to be made, by the ids of what it refers to.
#[derive(Debug, Clone)]
pub struct Creation {
    pub id: i64,
    pub request_id: i64,
    pub user_id: i64,
    pub withdrawal_instruction_id: i64,
    pub port_code: String,
    pub price: Price,
    pub now: OffsetDateTime,
    pub due_at: OffsetDateTime,
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

/// Creating outputs, in one round trip: who calls, what each output refers to, the inserts, and what the answers
/// show, a row a call.
///
/// The shares of the request and the instruction keep both as they are until the output is there: the first against
/// a request that stops being a draft, the second against a deletion. Shares don't wait for each other, so outputs
/// of one request are made side by side.
pub const CREATE: &str = concat!(
    "with ",
    crate::caller!(),
    ", request as (
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
            $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::numeric[], $9::numeric[]
        ) with ordinality as q (id, request_id, user_id, instruction_id, port_code, amount, budget, position)
    ), created as (
        insert into concierge_request_outputs (
            account_id, id, request_id, user_id, withdrawal_instruction_id, port_code, amount, budget,
            state, created_at, state_since, due_at
        )
        select c.account_id, q.id, r.id, u.id, w.id, q.port_code, q.amount, q.budget, 'accepting', $10, $10, $11
        from caller c
        join call q on c.level = 'write' and c.user_id is not null
        join request r on r.id = q.request_id and r.state = 'draft'
        join payee u on u.id = q.user_id
        join instruction w on w.id = q.instruction_id and w.user_id = u.id
        returning id
    )
    select c.account_id, c.level, c.user_id, o.id, r.state, ",
    crate::user_columns!("u"),
    ", ",
    crate::withdrawal_instruction_columns!("w"),
    "
    from caller c
    left join call q on true
    left join request r on r.id = q.request_id
    left join payee u on u.id = q.user_id
    left join instruction w on w.id = q.instruction_id
    left join created o on o.id = q.id
    order by q.position"
);

/// Makes outputs, whose checks are due at `due_at`, each if everything it refers to is there and fits.
///
/// # Errors
/// 401 for the caller; those of the database.
pub async fn create(connection: &mut PgConnection, credentials: Credentials, calls: Vec<Creation>) -> Answers<Outcome> {
    let (Some(now), Some(due_at)) =
        (calls.iter().map(|call| call.now).max(), calls.iter().map(|call| call.due_at).max())
    else {
        return Ok(Vec::new());
    };
    let (amounts, budgets): (Vec<_>, Vec<_>) = calls.iter().map(|call| call.price.clone().amount_and_budget()).unzip();
    let rows = sqlx::query(CREATE)
        .bind(credentials.key_sha256.as_slice())
        .bind(credentials.acting_as)
        .bind(calls.iter().map(|call| call.id).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.request_id).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.user_id).collect::<Vec<_>>())
        .bind(calls.iter().map(|call| call.withdrawal_instruction_id).collect::<Vec<_>>())
        .bind(calls.into_iter().map(|call| call.port_code).collect::<Vec<_>>())
        .bind(amounts)
        .bind(budgets)
        .bind(now)
        .bind(due_at)
        .fetch_all(connection)
        .await?;
    let caller = Caller::judge(rows.first(), Access::Write)?;
    let outcomes: Result<_, sqlx::Error> = rows.iter().map(|row| read_outcome(row, caller)).collect();
    Ok(outcomes?)
}

fn read_outcome(row: &PgRow, caller: Caller) -> Result<Outcome, sqlx::Error> {
    const USER: usize = 5;
    const INSTRUCTION: usize = USER + users::store::COLUMNS;
    let created: Option<i64> = row.try_get(3)?;
    let state: Option<&str> = row.try_get(4)?;
    let user: Option<i64> = row.try_get(USER)?;
    let instruction: Option<i64> = row.try_get(INSTRUCTION)?;
    Ok(Outcome {
        caller,
        request_state: state.map(requests::store::read_state).transpose()?,
        user: user.map(|_| users::store::read(row, USER)).transpose()?,
        withdrawal_instruction: instruction
            .map(|_| withdrawal_instructions::store::read(row, INSTRUCTION))
            .transpose()?,
        created: created.is_some(),
    })
}

/// Showing outputs with their payees and their instructions, in one round trip, a row a call.
pub const FIND: &str = concat!(
    "with ",
    crate::caller!(),
    "
    select c.account_id, c.level, c.user_id, ",
    complete_columns!("o"),
    "
    from caller c
    left join unnest($3::bigint[]) with ordinality as q (id, position) on true
    left join concierge_request_outputs o on o.account_id = c.account_id and o.id = q.id",
    complete_joins!("o"),
    "
    order by q.position"
);

/// Outputs of the caller's account.
///
/// # Errors
/// 401 for the caller; those of the database.
pub async fn find(
    connection: &mut PgConnection,
    credentials: Credentials,
    ids: Vec<i64>,
) -> Answers<(Caller, Option<Complete>)> {
    let rows = sqlx::query(FIND)
        .bind(credentials.key_sha256.as_slice())
        .bind(credentials.acting_as)
        .bind(ids)
        .fetch_all(connection)
        .await?;
    let caller = Caller::judge(rows.first(), Access::Read)?;
    let complete = |row: &PgRow| {
        let found: Option<i64> = row.try_get(3)?;
        Ok((caller, found.map(|_| read_complete(row, 3)).transpose()?))
    };
    let found: Result<_, sqlx::Error> = rows.iter().map(complete).collect();
    Ok(found?)
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
