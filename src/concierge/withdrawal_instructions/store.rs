//! All SQL of withdrawal instructions.

use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use time::OffsetDateTime;

use super::{NewWithdrawalInstruction, WithdrawalInstruction};
use crate::accounts::caller::{self, Access, Caller, Credentials};
use crate::concierge::listing::Table;
use crate::database::StoreError;
use crate::jsonapi::document::Identifier;

/// Columns for [`read`], prefixed with a table alias. `$body` is the expression of the body, which may be large.
#[macro_export]
macro_rules! withdrawal_instruction_columns {
    ($t:literal) => {
        $crate::withdrawal_instruction_columns!($t, $t, ".body")
    };
    ($t:literal, $($body:expr),+) => {
        concat!(
            $t,
            ".id, ",
            $t,
            ".user_id, ",
            $t,
            ".label, ",
            $t,
            ".schema, ",
            $($body,)+
            ", ",
            $t,
            ".payment_method_type"
        )
    };
}

/// Number of these columns.
pub const COLUMNS: usize = 6;

/// The collection, without deleted instructions and without bodies: see [`bodies`].
pub const TABLE: Table<WithdrawalInstruction> = Table {
    name: "withdrawal_instructions",
    columns: crate::withdrawal_instruction_columns!("t", "null::json"),
    joins: "",
    condition: "and t.deleted_at is null",
    read,
};

/// Reads an instruction from the columns at `at`.
///
/// # Errors
/// A decoding error if the row does not match.
pub fn read(row: &PgRow, at: usize) -> Result<WithdrawalInstruction, sqlx::Error> {
    let body: Option<Json<Box<RawValue>>> = row.try_get(at + 4)?;
    Ok(WithdrawalInstruction {
        id: row.try_get(at)?,
        user_id: row.try_get(at + 1)?,
        label: row.try_get(at + 2)?,
        schema: row.try_get(at + 3)?,
        body: body.map(|Json(body)| body),
        payment_method_type: row.try_get(at + 5)?,
    })
}

/// Inserts an instruction.
/// Returns `None` if its user does not exist, or the id does not belong to the caller's account.
/// `now` is the server's time.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn create(
    connection: &mut PgConnection,
    credentials: &Credentials,
    (account_id, id): (i64, i64),
    new: &NewWithdrawalInstruction,
    now: OffsetDateTime,
) -> Result<(Caller, Option<WithdrawalInstruction>), StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        ", created as (
            insert into withdrawal_instructions
                (account_id, id, user_id, label, schema, body, payment_method_type, created_at)
            select c.account_id, $3, u.id, $5, $6, $7::text::json, $8, ",
        crate::account_time!("c", "$9"),
        "
            from caller c join users u on u.account_id = c.account_id and u.id = coalesce($4, c.user_id)
            where c.level = 'write' and c.user_id is not null and c.account_id = $10
            returning *
        )
        select ",
        crate::caller_columns!(),
        ", ",
        crate::withdrawal_instruction_columns!("w"),
        " from caller c left join created w on true"
    );
    let row = credentials
        .query(SQL)
        .bind(id)
        .bind(new.user.as_ref().map(Identifier::number))
        .bind(new.label.as_deref())
        .bind(&new.schema)
        .bind(&new.body)
        .bind(new.payment_method_type.as_deref())
        .bind(now)
        .bind(account_id)
        .fetch_optional(connection)
        .await?;
    let caller = Caller::authorize(row.as_ref(), Access::Write)?;
    Ok((caller, found(row.as_ref())?))
}

/// Finds an instruction of the caller's account. Its body, which may be large, is read on request.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn find(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: i64,
    shows_body: bool,
) -> Result<(Caller, Option<WithdrawalInstruction>), StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        " select ",
        crate::caller_columns!(),
        ", ",
        crate::withdrawal_instruction_columns!("w", "case when $4 then w.body end"),
        " from caller c
        left join withdrawal_instructions w on w.account_id = c.account_id and w.id = $3 and w.deleted_at is null"
    );
    let row = credentials.query(SQL).bind(id).bind(shows_body).fetch_optional(connection).await?;
    let caller = Caller::authorize(row.as_ref(), Access::Read)?;
    Ok((caller, found(row.as_ref())?))
}

fn found(row: Option<&PgRow>) -> Result<Option<WithdrawalInstruction>, sqlx::Error> {
    let Some(row) = row else { return Ok(None) };
    let id: Option<i64> = row.try_get(caller::COLUMNS)?;
    id.map(|_| read(row, caller::COLUMNS)).transpose()
}

/// Loads instructions of one account by id, also deleted ones: outputs still show them. Without their bodies, unless
/// `with_bodies`: see [`bodies`].
///
/// # Errors
/// Database errors.
pub async fn load(
    connection: &mut PgConnection,
    account_id: i64,
    ids: &[i64],
    with_bodies: bool,
) -> Result<Vec<WithdrawalInstruction>, sqlx::Error> {
    const SQL: &str = concat!(
        "select ",
        crate::withdrawal_instruction_columns!("w", "case when $3 then w.body end"),
        " from withdrawal_instructions w where w.account_id = $1 and w.id = any($2)"
    );
    let rows = sqlx::query(SQL).bind(account_id).bind(ids).bind(with_bodies).fetch_all(connection).await?;
    rows.iter().map(|row| read(row, 0)).collect()
}

/// The body of an instruction, with its size in bytes. `None`: the bodies together are too large for one statement.
#[derive(Debug)]
pub struct SizedBody {
    pub id: i64,
    pub size: usize,
    pub body: Option<Box<RawValue>>,
}

/// Loads bodies of one account by instruction, if they have at most `most` bytes together; otherwise their sizes only.
///
/// # Errors
/// Database errors.
pub async fn bodies(
    connection: &mut PgConnection,
    account_id: i64,
    ids: &[i64],
    most: usize,
) -> Result<Vec<SizedBody>, sqlx::Error> {
    let sql = "with sized as materialized (
            select id, octet_length(body::text) as size from withdrawal_instructions
            where account_id = $1 and id = any($2)
        )
        select s.id, s.size, w.body from sized s left join withdrawal_instructions w
            on w.account_id = $1 and w.id = s.id and (select sum(size) from sized) <= $3";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = sqlx::query(sql).bind(account_id).bind(ids).bind(most).fetch_all(connection).await?;
    let read = |row: PgRow| {
        let body: Option<Json<Box<RawValue>>> = row.try_get(2)?;
        let size = usize::try_from(row.try_get::<i32, _>(1)?).unwrap_or_default();
        Ok(SizedBody { id: row.try_get(0)?, size, body: body.map(|Json(body)| body) })
    };
    rows.into_iter().map(read).collect()
}

/// Locks an instruction, so that no new output uses it: a new output needs a shared lock.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn lock(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: i64,
) -> Result<(Caller, Option<WithdrawalInstruction>), StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        ", instruction as (
            select w.* from withdrawal_instructions w, caller c
            where w.account_id = c.account_id and w.id = $3 and w.deleted_at is null and c.level = 'write'
            for update of w
        )
        select ",
        crate::caller_columns!(),
        ", ",
        crate::withdrawal_instruction_columns!("w"),
        " from caller c left join instruction w on true"
    );
    let row = credentials.query(SQL).bind(id).fetch_optional(connection).await?;
    let caller = Caller::authorize(row.as_ref(), Access::Write)?;
    Ok((caller, found(row.as_ref())?))
}

/// Deletes a locked instruction, unless an output in a non-final state uses it.
/// Returns the first such output.
///
/// # Errors
/// Database errors.
pub async fn delete(
    connection: &mut PgConnection,
    account_id: i64,
    id: i64,
    now: OffsetDateTime,
) -> Result<Option<i64>, sqlx::Error> {
    let sql = "with used as (
            select min(id) as id from concierge_request_outputs
            where account_id = $1 and withdrawal_instruction_id = $2
            and state not in ('rejected', 'settled', 'returned', 'cancelled')
        ), deleted as (
            update withdrawal_instructions set deleted_at = $3
            where account_id = $1 and id = $2 and (select id from used) is null
        )
        select id from used";
    sqlx::query_scalar(sql).bind(account_id).bind(id).bind(now).fetch_one(connection).await
}
