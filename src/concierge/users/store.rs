//! All SQL of users.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;

use super::state::ComplianceState;
use super::{User, UserChanges};
use crate::accounts::caller::{self, Access, Caller, Credentials};
use crate::accounts::settings::milliseconds;
use crate::accounts::timing::Timing;
use crate::concierge::due::Due;
use crate::concierge::listing::Table;
use crate::database::StoreError;
use crate::events::Cause;

/// Columns for [`read`], prefixed with a table alias.
#[macro_export]
macro_rules! user_columns {
    ($t:literal) => {
        concat!(
            $t,
            ".id, ",
            $t,
            ".name, ",
            $t,
            ".email, ",
            $t,
            ".kyc_accepted, ",
            $t,
            ".otp_enabled, ",
            $t,
            ".do_not_email, ",
            $t,
            ".trezor_login_enabled, ",
            $t,
            ".compliance_state, ",
            $t,
            ".webhook_url"
        )
    };
}

/// Number of these columns.
pub const COLUMNS: usize = 9;

/// The collection.
pub const TABLE: Table<User> =
    Table { name: "users", columns: crate::user_columns!("t"), joins: "", condition: "", read };

/// Reads a user from the columns at `at`.
///
/// # Errors
/// A decoding error if the row does not match.
pub fn read(row: &PgRow, at: usize) -> Result<User, sqlx::Error> {
    Ok(User {
        id: row.try_get(at)?,
        name: row.try_get(at + 1)?,
        email: row.try_get(at + 2)?,
        kyc_accepted: row.try_get(at + 3)?,
        otp_enabled: row.try_get(at + 4)?,
        do_not_email: row.try_get(at + 5)?,
        trezor_login_enabled: row.try_get(at + 6)?,
        compliance_state: read_state(row.try_get(at + 7)?)?,
        webhook_url: row.try_get(at + 8)?,
    })
}

/// Parses the name of a state.
///
/// # Errors
/// A decoding error if no state has this name.
pub fn read_state(name: &str) -> Result<ComplianceState, sqlx::Error> {
    ComplianceState::named(name).ok_or_else(|| sqlx::Error::Decode(format!("no compliance state {name:?}").into()))
}

/// The user of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserSelector {
    /// The acting user.
    Caller,
    Id(i64),
}

impl UserSelector {
    const fn id(self) -> Option<i64> {
        match self {
            Self::Caller => None,
            Self::Id(id) => Some(id),
        }
    }
}

/// The caller, and the user if it exists.
pub type FoundUser = (Caller, Option<User>);

/// Finds a user of the caller's account.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn find(
    connection: &mut PgConnection,
    credentials: &Credentials,
    which: UserSelector,
) -> Result<FoundUser, StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        " select ",
        crate::caller_columns!(),
        ", ",
        crate::user_columns!("u"),
        " from caller c left join users u on u.account_id = c.account_id and u.id = coalesce($3, c.user_id)"
    );
    let row = credentials.query(SQL).bind(which.id()).fetch_optional(connection).await?;
    read_authorized(row.as_ref(), Access::Read)
}

/// A new user.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub user: User,
    /// Due time of the approval. `None`: the user is not approved automatically.
    pub due_at: Option<OffsetDateTime>,
}

/// Inserts a new user; its approval follows the account's timing, if it has any.
/// Returns `None` if the id does not belong to the caller's account, because of a reset.
/// `now` is the server's time.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn create(
    connection: &mut PgConnection,
    credentials: &Credentials,
    (account_id, id): (i64, i64),
    email: Option<&str>,
    now: OffsetDateTime,
    server: &Timing,
) -> Result<(Caller, Option<NewUser>), StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        ", created as (
            insert into users (account_id, id, name, email, compliance_state, created_at, due_at, made_by)
            select c.account_id, $3, $4, $4, 'new', ",
        crate::account_time!("c", "$5"),
        ", ",
        crate::approval_due_at!("c", "$5", "$6", "$7"),
        ", c.user_id
            from caller c where c.level = 'write' and c.user_id is not null and c.account_id = $8
            returning *
        )
        select ",
        crate::caller_columns!(),
        ", ",
        crate::user_columns!("u"),
        ", u.due_at from caller c left join created u on true"
    );
    let row = credentials
        .query(SQL)
        .bind(id)
        .bind(email)
        .bind(now)
        .bind(milliseconds(server.approval_delay))
        .bind(i64::from(server.approves))
        .bind(account_id)
        .fetch_optional(connection)
        .await?;
    let caller = Caller::authorize(row.as_ref(), Access::Write)?;
    let due_at = row.as_ref().map(|row| row.try_get(caller::COLUMNS + COLUMNS)).transpose()?.flatten();
    Ok((caller, found(row.as_ref())?.map(|user| NewUser { user, due_at })))
}

/// Changes a user. `origin` is the origin of the call, for links in events to a new `webhook_url`.
///
/// # Errors
/// 401 if the caller is not allowed; database errors.
pub async fn update(
    connection: &mut PgConnection,
    credentials: &Credentials,
    which: UserSelector,
    changes: &UserChanges,
    origin: &str,
) -> Result<FoundUser, StoreError> {
    const SQL: &str = concat!(
        "with ",
        crate::caller!(),
        ", changed as (
            update users u set
                name = case when $4 then $5 else u.name end,
                email = case when $6 then $7 else u.email end,
                webhook_url = case when $8 then $9 else u.webhook_url end,
                webhook_origin = case when not $8 then u.webhook_origin when $9 is not null then $11 end,
                do_not_email = coalesce($10, u.do_not_email)
            from caller c
            where c.level = 'write' and u.account_id = c.account_id and u.id = coalesce($3, c.user_id)
            returning u.*
        )
        select ",
        crate::caller_columns!(),
        ", ",
        crate::user_columns!("u"),
        " from caller c left join changed u on true"
    );
    let row = credentials
        .query(SQL)
        .bind(which.id())
        .bind(changes.name.is_some())
        .bind(changes.name.as_ref().and_then(Option::as_deref))
        .bind(changes.email.is_some())
        .bind(changes.email.as_ref().and_then(Option::as_deref))
        .bind(changes.webhook_url.is_some())
        .bind(changes.webhook_url.as_ref().and_then(Option::as_deref))
        .bind(changes.do_not_email)
        .bind(origin)
        .fetch_optional(connection)
        .await?;
    read_authorized(row.as_ref(), Access::Write)
}

fn read_authorized(row: Option<&PgRow>, access: Access) -> Result<FoundUser, StoreError> {
    Ok((Caller::authorize(row, access)?, found(row)?))
}

fn found(row: Option<&PgRow>) -> Result<Option<User>, sqlx::Error> {
    let Some(row) = row else { return Ok(None) };
    let found: Option<i64> = row.try_get(caller::COLUMNS)?;
    found.map(|_| read(row, caller::COLUMNS)).transpose()
}

/// Loads users of one account by id.
///
/// # Errors
/// Database errors.
pub async fn load(connection: &mut PgConnection, account_id: i64, ids: &[i64]) -> Result<Vec<User>, sqlx::Error> {
    const SQL: &str =
        concat!("select ", crate::user_columns!("u"), " from users u where u.account_id = $1 and u.id = any($2)");
    let rows = sqlx::query(SQL).bind(account_id).bind(ids).fetch_all(connection).await?;
    rows.iter().map(|row| read(row, 0)).collect()
}

/// Locks a user and returns its compliance state, or `None` for an unknown user.
///
/// # Errors
/// Database errors.
pub async fn lock(
    connection: &mut PgConnection,
    account_id: i64,
    id: i64,
) -> Result<Option<ComplianceState>, sqlx::Error> {
    let sql = "select compliance_state from users where account_id = $1 and id = $2 for no key update";
    let state: Option<String> = sqlx::query_scalar(sql).bind(account_id).bind(id).fetch_optional(connection).await?;
    state.as_deref().map(read_state).transpose()
}

/// A user with a due approval.
#[derive(Debug, Clone, Copy)]
pub struct DueApproval {
    pub account_id: i64,
    pub id: i64,
    pub state: ComplianceState,
    pub due_at: OffsetDateTime,
    /// True if the checks of an output wait for the approval.
    pub has_waiting_outputs: bool,
}

/// Locks users with a due approval, oldest first per account; skips locked rows.
///
/// # Errors
/// Database errors.
pub async fn claim(connection: &mut PgConnection, due: &Due, limit: i64) -> Result<Vec<DueApproval>, sqlx::Error> {
    let sql = "select u.* from unnest($1::bigint[], $2::timestamptz[]) as a (account_id, until)
        cross join lateral (
            select u.account_id, u.id, u.compliance_state, u.due_at, exists (
                select from concierge_request_outputs o
                where o.account_id = u.account_id and o.user_id = u.id and o.state = 'accepting' and o.due_at is null
            )
            from users u where u.account_id = a.account_id and u.due_at <= a.until
            order by u.due_at, u.id limit $3 for no key update of u skip locked
        ) u limit $4";
    let rows = due.query(sql, limit).fetch_all(connection).await?;
    let due = |row: &PgRow| {
        Ok(DueApproval {
            account_id: row.try_get(0)?,
            id: row.try_get(1)?,
            state: read_state(row.try_get(2)?)?,
            due_at: row.try_get(3)?,
            has_waiting_outputs: row.try_get(4)?,
        })
    };
    rows.iter().map(due).collect()
}

/// Transition of a user to save, with its instant.
#[derive(Debug, Clone)]
pub struct UserTransition {
    pub account_id: i64,
    pub id: i64,
    pub to: ComplianceState,
    pub at: OffsetDateTime,
    pub cause: Cause,
}

/// Saves transitions of users and returns account, creator and new user of each.
/// Enabling a user also accepts its identity check.
///
/// # Errors
/// Database errors.
pub async fn save(
    connection: &mut PgConnection,
    moves: &[UserTransition],
) -> Result<Vec<(i64, Option<i64>, User)>, sqlx::Error> {
    const SQL: &str = concat!(
        "update users u set
            compliance_state = m.state, due_at = null, kyc_accepted = u.kyc_accepted or m.state = 'enabled'
        from unnest($1::bigint[], $2::bigint[], $3::text[]) as m (account_id, id, state)
        where u.account_id = m.account_id and u.id = m.id
        returning u.account_id, u.made_by, ",
        crate::user_columns!("u")
    );
    let rows = sqlx::query(SQL)
        .bind(moves.iter().map(|step| step.account_id).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.id).collect::<Vec<_>>())
        .bind(moves.iter().map(|step| step.to.name()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, read(row, 2)?))).collect()
}

/// SQL for the next due approval of account `a`.
pub const NEXT_DUE: &str = "select min(due_at) from users where account_id = a.id";
