//! SQL of outputs' transitions: claims due outputs and saves the results.

use std::borrow::Cow;

use bigdecimal::BigDecimal;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use super::{read, read_state};
use crate::concierge::due::Due;
use crate::concierge::outputs::Output;
use crate::concierge::outputs::scenario::{Carriers, Decision, Scenario};
use crate::concierge::outputs::state::State;
use crate::concierge::requests::progress::Progress;
use crate::concierge::requests::store::transitions::read_state as read_request_state;
use crate::concierge::users::state::ComplianceState;
use crate::concierge::{requests, users};
use crate::events::Cause;

/// Reads the scenario of a payment from four columns:
/// the outcome of its call, the instruction's label and bank account number, the payee's e-mail address.
///
/// # Errors
/// A decoding error if the row does not match.
pub fn read_decision(row: &PgRow, at: usize) -> Result<Decision, sqlx::Error> {
    let carriers = Carriers {
        header: row.try_get(at)?,
        label: row.try_get(at + 1)?,
        bank_account_number: row.try_get(at + 2)?,
        email: row.try_get(at + 3)?,
    };
    Ok(Scenario::of(&carriers))
}

/// An accepting output with due checks.
#[derive(Debug, Clone, Copy)]
pub struct DueCheck {
    pub account_id: i64,
    pub id: i64,
    pub due_at: OffsetDateTime,
    pub payee: ComplianceState,
    pub decision: Decision,
    pub request: requests::state::State,
    /// Time of the request's last transition.
    pub request_since: Option<OffsetDateTime>,
}

/// Locks accepting outputs with due checks, oldest first per account; skips locked rows.
/// Also skips an output if something is due before it:
/// its payee's approval, its request's transition, or money for its request.
///
/// The shared lock on the payee delays its approval until this transaction ends.
/// So this transaction sees the approval, or the approval sees the waiting output.
/// The shared lock on the request keeps its state.
///
/// # Errors
/// Database errors.
pub async fn claim_checks(connection: &mut PgConnection, due: &Due, limit: i64) -> Result<Vec<DueCheck>, sqlx::Error> {
    let sql = "select o.* from unnest($1::bigint[], $2::timestamptz[]) as a (account_id, until)
        cross join lateral (
            select o.account_id, o.id, o.due_at, u.compliance_state, r.state, r.state_since, o.outcome,
                w.label, w.bank_account_number, u.email
            from concierge_request_outputs o
            join users u on u.account_id = o.account_id and u.id = o.user_id
            join concierge_requests r on r.account_id = o.account_id and r.id = o.request_id
            join withdrawal_instructions w on w.account_id = o.account_id and w.id = o.withdrawal_instruction_id
            where o.account_id = a.account_id and o.due_at <= a.until and o.state = 'accepting'
            and (u.due_at is null or u.due_at > o.due_at)
            and (r.due_at is null or r.due_at >= o.due_at)
            and not (r.state = 'quote_accepted' and exists (
                select from cash_wallets c
                where c.account_id = r.account_id and c.user_id = r.user_id and c.currency = r.currency
                and c.due_at < o.due_at
            ))
            order by o.due_at, o.id limit $3
            for share of r, u skip locked for no key update of o skip locked
        ) o limit $4";
    let rows = due.query(sql, limit).fetch_all(connection).await?;
    let due = |row: &PgRow| {
        Ok(DueCheck {
            account_id: row.try_get(0)?,
            id: row.try_get(1)?,
            due_at: row.try_get(2)?,
            payee: users::store::read_state(row.try_get(3)?)?,
            request: read_request_state(row.try_get(4)?)?,
            request_since: row.try_get(5)?,
            decision: read_decision(row, 6)?,
        })
    };
    rows.iter().map(due).collect()
}

/// A payment with a due step; its request is working.
#[derive(Debug, Clone)]
pub struct DuePayment {
    pub account_id: i64,
    pub id: i64,
    pub request_id: i64,
    pub due_at: OffsetDateTime,
    pub state: State,
    pub decision: Decision,
    pub attempts: i32,
    pub budget: BigDecimal,
    pub fee_and_cost: BigDecimal,
}

/// Locks payments with a due step and their requests, oldest first per account; skips locked rows.
/// Both rows are locked, so that no decision uses a row that another server has just changed.
///
/// # Errors
/// Database errors.
pub async fn claim_payments(
    connection: &mut PgConnection,
    due: &Due,
    limit: i64,
) -> Result<Vec<DuePayment>, sqlx::Error> {
    let sql = "select o.* from unnest($1::bigint[], $2::timestamptz[]) as a (account_id, until)
        cross join lateral (
            select o.account_id, o.id, o.request_id, o.due_at, o.state, o.attempts,
                coalesce(o.budget, 0) as budget, coalesce(o.fee_and_cost, 0) as fee_and_cost,
                o.outcome, w.label, w.bank_account_number, u.email
            from concierge_request_outputs o
            join concierge_requests r on r.account_id = o.account_id and r.id = o.request_id
            join withdrawal_instructions w on w.account_id = o.account_id and w.id = o.withdrawal_instruction_id
            join users u on u.account_id = o.account_id and u.id = o.user_id
            where o.account_id = a.account_id and o.due_at <= a.until and o.state <> 'accepting'
            order by o.due_at, o.id limit $3
            for no key update of r, o skip locked
        ) o limit $4";
    let rows = due.query(sql, limit).fetch_all(connection).await?;
    rows.iter().map(read_payment).collect()
}

/// SQL to read outputs as [`DuePayment`]s due at `$2`, up to the conditions.
macro_rules! due_now {
    () => {
        "select o.account_id, o.id, o.request_id, $2::timestamptz, o.state, o.attempts, coalesce(o.budget, 0),
            coalesce(o.fee_and_cost, 0), o.outcome, w.label, w.bank_account_number, u.email
        from concierge_request_outputs o
        join withdrawal_instructions w on w.account_id = o.account_id and w.id = o.withdrawal_instruction_id
        join users u on u.account_id = o.account_id and u.id = o.user_id
        where "
    };
}

/// Locks an output as if its next step were due at `now`.
/// Its request must be locked already.
///
/// # Errors
/// Database errors.
pub async fn lock(
    connection: &mut PgConnection,
    account_id: i64,
    id: i64,
    now: OffsetDateTime,
) -> Result<Option<DuePayment>, sqlx::Error> {
    const SQL: &str = concat!(due_now!(), "o.account_id = $1 and o.id = $3 for no key update of o");
    let row = sqlx::query(SQL).bind(account_id).bind(now).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(read_payment).transpose()
}

/// Locks up to `limit` non-final outputs of a request as if their next step were due at `now`, by id.
/// The request must be locked already.
///
/// # Errors
/// Database errors.
pub async fn lock_open(
    connection: &mut PgConnection,
    account_id: i64,
    request_id: i64,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<DuePayment>, sqlx::Error> {
    const SQL: &str = concat!(
        due_now!(),
        "o.account_id = $1 and o.request_id = $3 and o.state not in ('rejected', 'settled', 'returned', 'cancelled')
        order by o.id limit $4 for no key update of o"
    );
    let query = sqlx::query(SQL).bind(account_id).bind(now).bind(request_id).bind(limit);
    query.fetch_all(connection).await?.iter().map(read_payment).collect()
}

fn read_payment(row: &PgRow) -> Result<DuePayment, sqlx::Error> {
    Ok(DuePayment {
        account_id: row.try_get(0)?,
        id: row.try_get(1)?,
        request_id: row.try_get(2)?,
        due_at: row.try_get(3)?,
        state: read_state(row.try_get(4)?)?,
        attempts: row.try_get(5)?,
        budget: row.try_get(6)?,
        fee_and_cost: row.try_get(7)?,
        decision: read_decision(row, 8)?,
    })
}

/// An output in a cascade of its request.
#[derive(Debug, Clone)]
pub struct CascadeOutput {
    /// Index of its request, from 0.
    pub request: usize,
    pub id: i64,
    pub state: State,
    pub is_timed: bool,
    pub attempts: i32,
    pub port_code: String,
    pub amount: Option<BigDecimal>,
    pub budget: Option<BigDecimal>,
}

/// Reads the next outputs of locked requests, up to `limit` for each, after the request's cascade cursor.
///
/// # Errors
/// Database errors.
pub async fn next_in_cascade(
    connection: &mut PgConnection,
    requests: &[Progress],
    limit: usize,
) -> Result<Vec<CascadeOutput>, sqlx::Error> {
    let sql = "select r.position - 1, o.id, o.state, o.due_at is not null, o.attempts, o.port_code, o.amount, o.budget
        from unnest($1::bigint[], $2::bigint[], $3::bigint[]) with ordinality as r (account_id, id, done_to, position),
        lateral (
            select * from concierge_request_outputs o
            where o.account_id = r.account_id and o.request_id = r.id and o.id > r.done_to
            order by o.id limit $4
        ) o
        order by r.position, o.id";
    let rows = sqlx::query(sql)
        .bind(requests.iter().map(|progress| progress.account_id).collect::<Vec<_>>())
        .bind(requests.iter().map(|progress| progress.id).collect::<Vec<_>>())
        .bind(requests.iter().map(|progress| progress.outputs_done_to.unwrap_or_default()).collect::<Vec<_>>())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    let taken = |row: &PgRow| {
        let request: i64 = row.try_get(0)?;
        Ok(CascadeOutput {
            request: usize::try_from(request).unwrap_or_default(),
            id: row.try_get(1)?,
            state: read_state(row.try_get(2)?)?,
            is_timed: row.try_get(3)?,
            attempts: row.try_get(4)?,
            port_code: row.try_get(5)?,
            amount: row.try_get(6)?,
            budget: row.try_get(7)?,
        })
    };
    rows.iter().map(taken).collect()
}

/// The prices of one output.
#[derive(Debug, Clone)]
pub struct Quoted {
    pub account_id: i64,
    pub id: i64,
    pub amount: BigDecimal,
    pub budget: BigDecimal,
    pub fee_and_cost: BigDecimal,
}

/// Saves the prices of outputs.
///
/// # Errors
/// Database errors.
pub async fn save_prices(connection: &mut PgConnection, quoted: &[Quoted]) -> Result<(), sqlx::Error> {
    let sql = "update concierge_request_outputs o set amount = q.amount, budget = q.budget, fee_and_cost = q.fee
        from unnest($1::bigint[], $2::bigint[], $3::numeric[], $4::numeric[], $5::numeric[])
            as q (account_id, id, amount, budget, fee)
        where o.account_id = q.account_id and o.id = q.id";
    sqlx::query(sql)
        .bind(quoted.iter().map(|quoted| quoted.account_id).collect::<Vec<_>>())
        .bind(quoted.iter().map(|quoted| quoted.id).collect::<Vec<_>>())
        .bind(quoted.iter().map(|quoted| quoted.amount.clone()).collect::<Vec<_>>())
        .bind(quoted.iter().map(|quoted| quoted.budget.clone()).collect::<Vec<_>>())
        .bind(quoted.iter().map(|quoted| quoted.fee_and_cost.clone()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
}

/// Removes the timers of outputs, by account and id.
///
/// # Errors
/// Database errors.
pub async fn stop_timers(connection: &mut PgConnection, outputs: &[(i64, i64)]) -> Result<(), sqlx::Error> {
    let (accounts, ids): (Vec<i64>, Vec<i64>) = outputs.iter().copied().unzip();
    let sql = "update concierge_request_outputs o set due_at = null
        from unnest($1::bigint[], $2::bigint[]) as d (account_id, id)
        where o.account_id = d.account_id and o.id = d.id";
    sqlx::query(sql).bind(accounts).bind(ids).execute(connection).await.map(|_| ())
}

/// Schedules the checks of up to `limit` outputs that wait for these payees: account, user, time of decision.
/// Returns their number.
/// Takes shared locks on their requests first, because a cancellation locks a request before its outputs.
///
/// # Errors
/// Database errors.
pub async fn resume(
    connection: &mut PgConnection,
    payees: &[(i64, i64, OffsetDateTime)],
    limit: i64,
) -> Result<usize, sqlx::Error> {
    let waiting = "select o.account_id, o.id, o.request_id, p.at
        from unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) as p (account_id, user_id, at)
        join concierge_request_outputs o
            on o.account_id = p.account_id and o.user_id = p.user_id and o.state = 'accepting' and o.due_at is null
        limit $4";
    let rows = sqlx::query(waiting)
        .bind(payees.iter().map(|payee| payee.0).collect::<Vec<_>>())
        .bind(payees.iter().map(|payee| payee.1).collect::<Vec<_>>())
        .bind(payees.iter().map(|payee| payee.2).collect::<Vec<_>>())
        .bind(limit)
        .fetch_all(&mut *connection)
        .await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let ids = |column| rows.iter().map(|row| row.try_get(column)).collect::<Result<Vec<i64>, _>>();
    let (accounts, outputs, requests) = (ids(0)?, ids(1)?, ids(2)?);
    let times = rows.iter().map(|row| row.try_get(3)).collect::<Result<Vec<OffsetDateTime>, _>>()?;
    let share = "select 1 from concierge_requests r
        where (r.account_id, r.id) in (select * from unnest($1::bigint[], $2::bigint[]))
        order by r.account_id, r.id for share of r";
    sqlx::query(share).bind(&accounts).bind(requests).execute(&mut *connection).await?;
    let sql = "update concierge_request_outputs o set due_at = p.at
        from unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) as p (account_id, id, at)
        where o.account_id = p.account_id and o.id = p.id and o.state = 'accepting' and o.due_at is null";
    sqlx::query(sql).bind(accounts).bind(outputs).bind(times).execute(connection).await?;
    Ok(rows.len())
}

/// Transition of an output to save, with its instant.
#[derive(Debug, Clone)]
pub struct OutputTransition {
    pub account_id: i64,
    pub id: i64,
    pub to: State,
    pub at: OffsetDateTime,
    /// Due time of its next step.
    pub due_at: Option<OffsetDateTime>,
    pub rejection_reason: Option<Cow<'static, str>>,
    pub failure_reason: Option<Cow<'static, str>>,
    pub attempts: i32,
    pub cause: Cause,
}

/// Saves transitions of outputs and returns account, creator and new output of each.
///
/// # Errors
/// Database errors.
pub async fn save(
    connection: &mut PgConnection,
    moves: &[OutputTransition],
) -> Result<Vec<(i64, Option<i64>, Output)>, sqlx::Error> {
    const SQL: &str = concat!(
        "update concierge_request_outputs o set
            state = m.state, state_since = m.at, due_at = m.due_at, rejection_reason = m.rejection_reason,
            failure_reason = m.failure_reason, attempts = m.attempts
        from unnest(
            $1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[],
            $8::integer[]
        ) as m (account_id, id, state, at, due_at, rejection_reason, failure_reason, attempts)
        where o.account_id = m.account_id and o.id = m.id
        returning o.account_id, o.made_by, ",
        crate::output_columns!("o")
    );
    let rows = sqlx::query(SQL)
        .bind(moves.iter().map(|step| step.account_id).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.id).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.to.name()).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.at).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.due_at).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.rejection_reason.as_deref()).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.failure_reason.as_deref()).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.attempts).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, read(row, 2)?))).collect()
}

/// SQL for the next due check of account `a`.
pub const NEXT_CHECK: &str = "select min(due_at) from concierge_request_outputs
    where account_id = a.id and state = 'accepting' and due_at is not null";
/// SQL for the next due step of a payment of account `a`.
pub const NEXT_PAYMENT: &str = "select min(due_at) from concierge_request_outputs
    where account_id = a.id and state <> 'accepting' and due_at is not null";
