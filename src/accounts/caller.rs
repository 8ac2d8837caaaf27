//! Who calls: the API key, what it may do, and the user it acts as.
//!
//! Nothing about a caller is kept in memory: each statement of a request looks its caller up itself (see
//! [`caller!`](crate::caller)), so a key that goes is refused at once by every server.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row};

use super::settings::OwnSettings;
use super::time::AccountTime;
use crate::database::StoreError;
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::{Error, Errors};

crate::codes! {
    INVALID_API_KEY = 401 "invalid_api_key" "Invalid Api Key";
    NOT_ENOUGH_PERMISSIONS = 401 "not_enough_permissions" "Not enough permissions";
    ACTING_USER_UNKNOWN = 401 "acting_user_unknown" "The user to act as is not known";
}

/// The SQL of the caller, the first part of every statement's `with`: `$1` is the key's SHA-256, `$2` the id of the
/// user to act as or null. No row: the key is unknown. `user_id` null: the user to act as is. The account's time and
/// settings are read with it, so that what was set holds for the next statement of every server.
#[macro_export]
macro_rules! caller {
    () => {
        concat!(
            "caller as (
                select k.account_id, k.level, u.id as user_id, a.frozen_at, a.ahead, ",
            $crate::own_settings!("a"),
            " as own
                from api_keys k
                join accounts a on a.id = k.account_id
                left join users u on u.account_id = k.account_id and u.id = coalesce($2, k.user_id)
                where k.key_sha256 = $1
            )"
        )
    };
}

/// The columns of the caller that [`Caller::judge`] reads, which come first.
#[macro_export]
macro_rules! caller_columns {
    () => {
        "c.account_id, c.level, c.user_id, c.frozen_at, c.ahead, c.own"
    };
}

/// How many columns those are.
pub const COLUMNS: usize = 6;

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// The `Authorization` header, read: the SHA-256 of the key (the key itself is forgotten here) and the user to act
/// as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Credentials {
    pub key_sha256: [u8; 32],
    /// `user=ID`; an id that can't be one is 0, which is nobody's.
    pub acting_as: Option<i64>,
}

impl Credentials {
    /// Reads `KEY` or `KEY; user=ID`.
    ///
    /// # Errors
    /// 401 where there is no header, or something other than `user=ID` behind the key.
    pub fn read(header: Option<&[u8]>) -> Result<Self, Errors> {
        let Some(header) = header else { return Err(invalid_key("there is none; send the raw API key, no scheme")) };
        let mut parts = header.splitn(2, |byte| *byte == b';');
        let key = parts.next().unwrap_or_default().trim_ascii();
        let acting_as = match parts.next().map(<[u8]>::trim_ascii) {
            None | Some(b"") => None,
            Some(parameter) => {
                let id = parameter.strip_prefix(b"user=").and_then(|id| std::str::from_utf8(id).ok());
                let Some(id) = id else {
                    return Err(invalid_key("what follows the key must be user=ID, the user to act as"));
                };
                Some(id_number(id.trim()))
            }
        };
        Ok(Self { key_sha256: sha256(key), acting_as })
    }
}

impl Credentials {
    /// A statement that begins with the [`caller!`](crate::caller), whose parameters these are; its own are bound from
    /// `$3` on.
    pub fn query(&self, sql: &'static str) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(sql).bind(self.key_sha256.as_slice()).bind(self.acting_as)
    }
}

/// The SHA-256 under which a key is known.
pub fn sha256(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Bytes as lower-case hexadecimal digits, which is how a hash is shown.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// A caller that a statement found, and that may do what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub account_id: i64,
    /// Whom it acts as.
    pub user_id: i64,
    pub time: AccountTime,
    pub own: OwnSettings,
}

impl Caller {
    /// Judges the caller of a statement whose first columns are those of the caller. `row` is its first row.
    ///
    /// # Errors
    /// 401 where the key is unknown, may not write, or acts as a user that isn't there.
    pub fn judge(row: Option<&PgRow>, access: Access) -> Result<Self, StoreError> {
        let Some(row) = row else {
            return Err(invalid_key("the key is not known; send the raw API key, no scheme such as Bearer").into());
        };
        let (account_id, level): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
        if access == Access::Write && level != "write" {
            let detail = "the key may only read; use one that may write";
            return Err(Errors::from(Error::new(NOT_ENOUGH_PERMISSIONS, detail).header("Authorization")).into());
        }
        let Some(user_id) = row.try_get(2)? else {
            let detail = "the key is good, but user=ID names no user of its account";
            return Err(Errors::from(Error::new(ACTING_USER_UNKNOWN, detail).header("Authorization")).into());
        };
        Ok(Self { account_id, user_id, time: AccountTime::read(row, 3)?, own: OwnSettings::read(row, 5)? })
    }
}

/// Looks a caller up by itself, for requests that fail before their statement.
///
/// # Errors
/// 401 as [`Caller::judge`] says; those of the database.
pub async fn authenticate(
    connection: &mut PgConnection,
    credentials: &Credentials,
    access: Access,
) -> Result<Caller, StoreError> {
    const SQL: &str = concat!("with ", crate::caller!(), " select ", crate::caller_columns!(), " from caller c");
    let row = credentials.query(SQL).fetch_optional(connection).await?;
    Caller::judge(row.as_ref(), access)
}

fn invalid_key(detail: &str) -> Errors {
    Error::new(INVALID_API_KEY, detail).header("Authorization").into()
}
