//! All SQL for the documents of requests: inserting, finding, changing and listing.
//! [`transitions`] has the SQL of their transitions.

pub mod transitions;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use super::{ConciergeRequest, NewConciergeRequest, RequestChanges, quote};
use crate::accounts::caller::{self, Access, Caller, Credentials};
use crate::concierge::listing::Table;
use crate::database::StoreError;
use crate::jsonapi::document::Identifier;

/// Columns for [`read`], prefixed with a table alias.
macro_rules! request_columns {
    ($t:literal) => {
        concat!(
            crate::progress_columns!($t),
            ", ",
            $t,
            ".external_id, ",
            $t,
            ".payment_authorization_code, ",
            $t,
            ".receipt_token, outputs.ids, outputs.counts, coalesce(wallet.balance, 0), ",
            $t,
            ".made_by"
        )
    };
}

/// Joins for these columns.
/// One pass over a request's outputs yields ids and counts.
macro_rules! request_joins {
    ($t:literal) => {
        concat!(
            " left join lateral (
                select coalesce(array_agg(o.id order by o.id), '{}') as ids, array[
                    count(*) filter (where o.state = 'accepting'),
                    count(*) filter (where o.state = 'accepted'),
                    count(*) filter (where o.state = 'rejected'),
                    count(*) filter (where o.state = 'working'),
                    count(*) filter (where o.state = 'settling'),
                    count(*) filter (where o.state = 'settled'),
                    count(*) filter (where o.state = 'failed'),
                    count(*) filter (where o.state = 'returned'),
                    count(*) filter (where o.state = 'cancelled')
                ] as counts
                from concierge_request_outputs o
                where o.account_id = ",
            $t,
            ".account_id and o.request_id = ",
            $t,
            ".id
            ) outputs on true
            left join cash_wallets wallet on wallet.account_id = ",
            $t,
            ".account_id and wallet.user_id = ",
            $t,
            ".user_id and wallet.currency = ",
            $t,
            ".currency"
        )
    };
}

/// The collection.
pub const TABLE: Table<ConciergeRequest> = Table {
    name: "concierge_requests",
    columns: request_columns!("t"),
    joins: request_joins!("t"),
    condition: "",
    read,
};

fn read(row: &PgRow, at: usize) -> Result<ConciergeRequest, sqlx::Error> {
    const OWN: usize = transitions::COLUMNS;
    Ok(ConciergeRequest {
        progress: transitions::read(row, at)?,
        external_id: row.try_get(at + OWN)?,
        payment_authorization_code: row.try_get(at + OWN + 1)?,
        receipt_token: row.try_get(at + OWN + 2)?,
        outputs: row.try_get(at + OWN + 3)?,
        counts: row.try_get(at + OWN + 4)?,
        funds_available: row.try_get(at + OWN + 5)?,
        made_by: row.try_get(at + OWN + 6)?,
    })
}

/// A caller and the requested resource.
pub type FoundRequest = (Caller, Option<ConciergeRequest>);

/// Inserts a request in state draft.
/// Returns `None` if the payer does not exist, or the id does not belong to the caller's account.
/// `now` is the server's time.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn create(
    connection: &mut PgConnection,
    credentials: &Credentials,
    (account_id, id): (i64, i64),
    new: &NewConciergeRequest,
    now: OffsetDateTime,
) -> Result<FoundRequest, StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        ", created as (
            insert into concierge_requests
                (account_id, id, user_id, port_code, state, external_id, payment_authorization_code, created_at,
                state_since, due_at, made_by)
            select c.account_id, $3, u.id, $5, 'draft', $6, $7, m.at, m.at,
                case c.own[6] when 0 then m.at + $9 end, c.user_id
            from caller c
            cross join lateral (select ",
        crate::account_time!("c", "$8"),
        " as at) m
            join users u on u.account_id = c.account_id and u.id = coalesce($4, c.user_id)
            where c.level = 'write' and c.user_id is not null and c.account_id = $10
            returning *
        )
        select ",
        crate::caller_columns!(),
        ", ",
        request_columns!("r"),
        " from caller c left join created r on true",
        request_joins!("r")
    );
    let row = credentials
        .query(SQL)
        .bind(id)
        .bind(new.user.as_ref().map(Identifier::number))
        .bind(&new.port_code)
        .bind(new.external_id.as_deref())
        .bind(new.payment_authorization_code.as_deref())
        .bind(now)
        .bind(quote::DRAFT)
        .bind(account_id)
        .fetch_optional(connection)
        .await?;
    read_authorized(row.as_ref(), Access::Write)
}

/// Finds a request of the caller's account.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn find(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: i64,
) -> Result<FoundRequest, StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        " select ",
        crate::caller_columns!(),
        ", ",
        request_columns!("r"),
        " from caller c left join concierge_requests r on r.account_id = c.account_id and r.id = $3",
        request_joins!("r")
    );
    let row = credentials.query(SQL).bind(id).fetch_optional(connection).await?;
    read_authorized(row.as_ref(), Access::Read)
}

/// Changes a request.
/// A change to a draft postpones its expiry.
/// `now` is the server's time.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn update(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: i64,
    changes: &RequestChanges,
    now: OffsetDateTime,
) -> Result<FoundRequest, StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        ", changed as (
            update concierge_requests r set
                external_id = case when $4 then $5 else r.external_id end,
                payment_authorization_code = case when $6 then $7 else r.payment_authorization_code end,
                due_at = case when r.state = 'draft' and r.due_at is not null then greatest(r.due_at, ",
        crate::account_time!("c", "$8"),
        " + $9) else r.due_at end
            from caller c
            where c.level = 'write' and c.user_id is not null and r.account_id = c.account_id and r.id = $3
            returning r.*
        )
        select ",
        crate::caller_columns!(),
        ", ",
        request_columns!("r"),
        " from caller c left join changed r on true",
        request_joins!("r")
    );
    let row = credentials
        .query(SQL)
        .bind(id)
        .bind(changes.external_id.is_some())
        .bind(changes.external_id.as_ref().and_then(Option::as_deref))
        .bind(changes.payment_authorization_code.is_some())
        .bind(changes.payment_authorization_code.as_ref().and_then(Option::as_deref))
        .bind(now)
        .bind(quote::DRAFT)
        .fetch_optional(connection)
        .await?;
    read_authorized(row.as_ref(), Access::Write)
}

fn read_authorized(row: Option<&PgRow>, access: Access) -> Result<FoundRequest, StoreError> {
    let caller = Caller::authorize(row, access)?;
    let Some(row) = row else { return Ok((caller, None)) };
    let id: Option<i64> = row.try_get(FIRST_COLUMN)?;
    Ok((caller, id.map(|_| read(row, FIRST_COLUMN)).transpose()?))
}

/// Index of the request's first column, after the caller's.
const FIRST_COLUMN: usize = caller::COLUMNS;

/// Loads requests of one account by id.
///
/// # Errors
/// Database errors.
pub async fn load(
    connection: &mut PgConnection,
    account_id: i64,
    ids: &[i64],
) -> Result<Vec<ConciergeRequest>, sqlx::Error> {
    let requests: Vec<(i64, i64)> = ids.iter().map(|id| (account_id, *id)).collect();
    load_all(connection, &requests).await
}

/// Loads requests by account and id.
///
/// # Errors
/// Database errors.
pub async fn load_all(
    connection: &mut PgConnection,
    requests: &[(i64, i64)],
) -> Result<Vec<ConciergeRequest>, sqlx::Error> {
    const SQL: &str = concat!(
        "select ",
        request_columns!("r"),
        " from unnest($1::bigint[], $2::bigint[]) as q (account_id, id)
        join concierge_requests r on r.account_id = q.account_id and r.id = q.id",
        request_joins!("r")
    );
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let (accounts, ids): (Vec<i64>, Vec<i64>) = requests.iter().copied().unzip();
    let rows = sqlx::query(SQL).bind(accounts).bind(ids).fetch_all(connection).await?;
    rows.iter().map(|row| read(row, 0)).collect()
}
