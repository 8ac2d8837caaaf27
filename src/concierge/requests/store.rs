//! All SQL of requests.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use super::state::State;
use super::{ConciergeRequest, NewConciergeRequest, quote};
use crate::accounts::caller::{Access, Caller, Credentials};
use crate::concierge::listing::Table;
use crate::database::StoreError;
use crate::jsonapi::document::Identifier;

/// The columns [`read`] reads, of a table alias.
macro_rules! request_columns {
    ($t:literal) => {
        concat!(
            $t,
            ".id, ",
            $t,
            ".user_id, ",
            $t,
            ".port_code, ",
            $t,
            ".state, ",
            $t,
            ".external_id, ",
            $t,
            ".payment_authorization_code, array(
                select o.id from concierge_request_outputs o
                where o.account_id = ",
            $t,
            ".account_id and o.request_id = ",
            $t,
            ".id order by o.id
            )"
        )
    };
}

/// The collection.
pub const TABLE: Table<ConciergeRequest> =
    Table { name: "concierge_requests", columns: request_columns!("t"), joins: "", condition: "", read };

fn read(row: &PgRow, at: usize) -> Result<ConciergeRequest, sqlx::Error> {
    Ok(ConciergeRequest {
        id: row.try_get(at)?,
        user_id: row.try_get(at + 1)?,
        port_code: row.try_get(at + 2)?,
        state: read_state(row.try_get(at + 3)?)?,
        external_id: row.try_get(at + 4)?,
        payment_authorization_code: row.try_get(at + 5)?,
        outputs: row.try_get(at + 6)?,
    })
}

/// Reads a state's name.
///
/// # Errors
/// Where there is no such state.
pub fn read_state(name: &str) -> Result<State, sqlx::Error> {
    State::named(name).ok_or_else(|| sqlx::Error::Decode(format!("no request state {name:?}").into()))
}

/// A caller and what it asked for.
pub type Found = (Caller, Option<ConciergeRequest>);

/// Makes a request in state draft; `None` where the payer isn't there.
///
/// # Errors
/// 401 for the caller; those of the database.
pub async fn create(
    connection: &mut PgConnection,
    credentials: &Credentials,
    id: i64,
    new: &NewConciergeRequest,
    now: OffsetDateTime,
) -> Result<Found, StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        ", created as (
            insert into concierge_requests
                (account_id, id, user_id, port_code, state, external_id, payment_authorization_code, created_at,
                state_since, due_at)
            select c.account_id, $3, u.id, $5, 'draft', $6, $7, $8, $8, $9
            from caller c join users u on u.account_id = c.account_id and u.id = coalesce($4, c.user_id)
            where c.level = 'write' and c.user_id is not null
            returning *
        )
        select c.account_id, c.level, c.user_id, ",
        request_columns!("r"),
        " from caller c left join created r on true"
    );
    let row = sqlx::query(SQL)
        .bind(credentials.key_sha256.as_slice())
        .bind(credentials.acting_as)
        .bind(id)
        .bind(new.user.as_ref().map(Identifier::number))
        .bind(&new.port_code)
        .bind(new.external_id.as_deref())
        .bind(new.payment_authorization_code.as_deref())
        .bind(now)
        .bind(quote::prune_at(now))
        .fetch_optional(connection)
        .await?;
    judged(row.as_ref(), Access::Write)
}

/// A request of the caller's account.
///
/// # Errors
/// 401 for the caller; those of the database.
pub async fn find(connection: &mut PgConnection, credentials: &Credentials, id: i64) -> Result<Found, StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        " select c.account_id, c.level, c.user_id, ",
        request_columns!("r"),
        " from caller c left join concierge_requests r on r.account_id = c.account_id and r.id = $3"
    );
    let row = sqlx::query(SQL)
        .bind(credentials.key_sha256.as_slice())
        .bind(credentials.acting_as)
        .bind(id)
        .fetch_optional(connection)
        .await?;
    judged(row.as_ref(), Access::Read)
}

fn judged(row: Option<&PgRow>, access: Access) -> Result<Found, StoreError> {
    let caller = Caller::judge(row, access)?;
    let Some(row) = row else { return Ok((caller, None)) };
    let id: Option<i64> = row.try_get(3)?;
    Ok((caller, id.map(|_| read(row, 3)).transpose()?))
}

/// The requests with these ids, of one account.
///
/// # Errors
/// Those of the database.
pub async fn load(
    connection: &mut PgConnection,
    account_id: i64,
    ids: &[i64],
) -> Result<Vec<ConciergeRequest>, sqlx::Error> {
    const SQL: &str = concat!(
        "select ",
        request_columns!("r"),
        " from concierge_requests r where r.account_id = $1 and r.id = any($2)"
    );
    let rows = sqlx::query(SQL).bind(account_id).bind(ids).fetch_all(connection).await?;
    rows.iter().map(|row| read(row, 0)).collect()
}
