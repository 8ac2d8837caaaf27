//! The caller of a request: the API key, its access level and the acting user.
//!
//! Authorization is never cached: each statement of a request looks up its caller (see [`caller!`](crate::caller)).
//! So every server refuses a deleted key at once.

use std::fmt::Write;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row};

use super::settings::AccountSettings;
use super::time::AccountTime;
use crate::database::StoreError;
use crate::jsonapi::document::id_number;
use crate::jsonapi::error::{Error, Errors};

crate::codes! {
    INVALID_API_KEY = 401 "invalid_api_key" "Invalid Api Key";
    NOT_ENOUGH_PERMISSIONS = 401 "not_enough_permissions" "Not enough permissions";
    ACTING_USER_UNKNOWN = 401 "acting_user_unknown" "The acting user does not exist";
    TOO_MANY_ACCOUNTS = 409 "too_many_accounts" "The server has too many accounts";
}

/// SQL of the caller, the first part of every statement's `with`.
///
/// `$1` is the key's SHA-256; `$2` is the id of the acting user, or null for the user of the key.
/// No row means an unknown key; a null `user_id` means an unknown acting user.
/// The row includes the account's time and settings, so a change applies to the next statement of every server.
#[macro_export]
macro_rules! caller {
    () => {
        concat!(
            "caller as (
                select k.account_id, k.level, u.id as user_id, a.frozen_at, a.ahead, ",
            $crate::account_settings!("a"),
            " as own, a.public_url
                from api_keys k
                join accounts a on a.id = k.account_id
                left join users u on u.account_id = k.account_id and u.id = coalesce($2, k.user_id)
                where k.key_sha256 = $1
            )"
        )
    };
}

/// The columns of the caller. They come first in the select list, where [`Caller::authorize`] reads them.
#[macro_export]
macro_rules! caller_columns {
    () => {
        "c.account_id, c.level, c.user_id, c.frozen_at, c.ahead, c.own, c.public_url"
    };
}

/// Number of columns in [`caller_columns!`](crate::caller_columns).
pub const COLUMNS: usize = 7;

/// Access needed by a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// A parsed `Authorization` header: the SHA-256 of the key and the acting user. The key itself is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Credentials {
    pub key_sha256: [u8; 32],
    /// The id in `user=ID`; 0, the id of no user, if it is malformed.
    pub acting_as: Option<i64>,
}

impl Credentials {
    /// Parses `KEY` or `KEY; user=ID`.
    ///
    /// # Errors
    /// 401 if the header is missing, or the key is followed by anything but `user=ID`.
    pub fn read(header: Option<&[u8]>) -> Result<Self, Errors> {
        let Some(header) = header else {
            return Err(invalid_key("`Authorization` is missing; send the raw API key without a scheme"));
        };
        let mut parts = header.splitn(2, |byte| *byte == b';');
        let key = parts.next().unwrap_or_default().trim_ascii();
        let acting_as = match parts.next().map(<[u8]>::trim_ascii) {
            None | Some(b"") => None,
            Some(parameter) => {
                let id = parameter.strip_prefix(b"user=").and_then(|id| std::str::from_utf8(id).ok());
                let Some(id) = id else {
                    let detail = "`Authorization` has an unknown parameter; only `user=ID` may follow the key";
                    return Err(invalid_key(detail));
                };
                Some(id_number(id.trim()))
            }
        };
        Ok(Self { key_sha256: sha256(key), acting_as })
    }
}

impl Credentials {
    /// Builds a query of a statement that begins with [`caller!`](crate::caller), and binds `$1` and `$2`.
    /// Bind the statement's own parameters from `$3` on.
    pub fn query(&self, sql: &'static str) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(sql).bind(self.key_sha256.as_slice()).bind(self.acting_as)
    }
}

/// A key as it is stored: by hashes only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredKey {
    /// Finds the key. Every event shows it to the receiver, in `WEBHOOK-AUTH`.
    pub sha256: [u8; 32],
    /// Leads to the addresses of receipts, so it must not follow from `sha256`.
    pub receipt_secret: [u8; 32],
    /// `write` or `read`.
    pub level: &'static str,
}

impl StoredKey {
    /// Returns what is stored of a key with this level.
    pub fn of(key: &str, level: &'static str) -> Self {
        let receipt_secret = Sha256::new_with_prefix(b"receipts ").chain_update(key).finalize().into();
        Self { sha256: sha256(key.as_bytes()), receipt_secret, level }
    }
}

/// Returns the SHA-256 by which a key is stored.
pub fn sha256(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Formats bytes as lower-case hexadecimal digits, as hashes are shown.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// An authorized caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub account_id: i64,
    /// The acting user.
    pub user_id: i64,
    pub time: AccountTime,
    pub settings: AccountSettings,
    /// The account's own origin of links.
    pub public_url: Option<Arc<str>>,
}

impl Caller {
    /// Authorizes the caller of a statement. `row` is the statement's first row and begins with the caller's columns.
    ///
    /// # Errors
    /// 401 if the key is unknown, lacks write access, or its acting user does not exist.
    pub fn authorize(row: Option<&PgRow>, access: Access) -> Result<Self, StoreError> {
        let Some(row) = row else {
            let detail = "`Authorization` has an unknown key; send the raw API key without a scheme such as Bearer";
            return Err(invalid_key(detail).into());
        };
        let (account_id, level): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
        if access == Access::Write && level != "write" {
            let detail = "`Authorization` has a read-only key; use a key that may write";
            return Err(Errors::from(Error::new(NOT_ENOUGH_PERMISSIONS, detail).header("Authorization")).into());
        }
        let Some(user_id) = row.try_get(2)? else {
            let detail = "`Authorization` has a valid key, but `user=ID` names no user of its account";
            return Err(Errors::from(Error::new(ACTING_USER_UNKNOWN, detail).header("Authorization")).into());
        };
        let (time, settings) = (AccountTime::read(row, 3)?, AccountSettings::read(row, 5)?);
        let public_url = row.try_get::<Option<&str>, _>(6)?.map(Into::into);
        Ok(Self { account_id, user_id, time, settings, public_url })
    }
}

/// Looks up a caller in a separate statement, for requests that fail before their own.
///
/// # Errors
/// 401 as in [`Caller::authorize`]; database errors.
pub async fn authenticate(
    connection: &mut PgConnection,
    credentials: &Credentials,
    access: Access,
) -> Result<Caller, StoreError> {
    const SQL: &str = concat!("with ", crate::caller!(), " select ", crate::caller_columns!(), " from caller c");
    let row = credentials.query(SQL).fetch_optional(connection).await?;
    Caller::authorize(row.as_ref(), access)
}

fn invalid_key(detail: &str) -> Errors {
    Error::new(INVALID_API_KEY, detail).header("Authorization").into()
}
