//! The bodies that create and reset accounts, and the rendering of an account. All are plain JSON.

use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::accounts::settings::Mode;
use crate::accounts::store::Account;
use crate::accounts::time::AccountTime;
use crate::jsonapi::document::Reader;
use crate::jsonapi::error::{ATTRIBUTE_INVALID, Errors};
use crate::jsonapi::values::Timestamp;

/// Longest key, in characters.
const LONGEST_KEY: usize = 200;

/// Initial state of a fresh account.
#[derive(Debug, Clone)]
pub struct InitialState {
    /// `None`: a running clock with the server's time.
    pub clock: Option<InitialClock>,
}

/// Initial clock of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitialClock {
    now: OffsetDateTime,
    frozen: bool,
}

impl InitialState {
    /// Returns the account's time; the server's time is `now`.
    pub fn time(&self, now: OffsetDateTime) -> AccountTime {
        match self.clock {
            None => AccountTime::default(),
            Some(InitialClock { now: at, frozen: true }) => {
                AccountTime { frozen_at: Some(at), ..AccountTime::default() }
            }
            Some(InitialClock { now: at, frozen: false }) => AccountTime { ahead: at - now, frozen_at: None },
        }
    }
}

/// An account to create.
#[derive(Debug, Clone)]
pub struct NewAccount {
    pub key: String,
    pub read_only_key: String,
    pub beginning: InitialState,
}

/// Reads the account to create. Generates missing keys.
///
/// # Errors
/// All faults of the body.
pub fn read_new(body: &[u8]) -> Result<NewAccount, Errors> {
    let mut reader = Reader::open_plain(body, &["key", "read_only_key", "clock"])?;
    let key = read_key(&mut reader, "key");
    let read_only_key = read_key(&mut reader, "read_only_key");
    if let (Some(key), Some(read_only)) = (&key, &read_only_key)
        && key == read_only
    {
        reader.fault(ATTRIBUTE_INVALID, "/read_only_key", "`read_only_key` equals `key`; the two must differ");
    }
    let clock = read_clock(&mut reader);
    let generate = || Uuid::new_v4().simple().to_string();
    let new = NewAccount {
        key: key.unwrap_or_else(generate),
        read_only_key: read_only_key.unwrap_or_else(generate),
        beginning: InitialState { clock },
    };
    reader.finish(Some(new))
}

/// Reads the initial state of an account to reset.
///
/// # Errors
/// All faults of the body.
pub fn read_initial_state(body: &[u8]) -> Result<InitialState, Errors> {
    let mut reader = Reader::open_plain(body, &["clock"])?;
    let clock = read_clock(&mut reader);
    reader.finish(Some(InitialState { clock }))
}

fn read_key(reader: &mut Reader, name: &str) -> Option<String> {
    let key = reader.text(name, LONGEST_KEY)?;
    let is_usable = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
    if !is_usable {
        reader.invalid(name, "one or more printable ASCII characters, without spaces and semicolons");
    }
    is_usable.then_some(key)
}

/// Reads `clock` with its `now` and `frozen`. `frozen` defaults to true.
fn read_clock(reader: &mut Reader) -> Option<InitialClock> {
    let start = reader.inside("clock", &["now", "frozen"], |reader| {
        if reader.is_null("now") {
            reader.missing("now", "an instant, such as 2019-11-25T12:53:02.741Z");
        }
        let (now, frozen) = (reader.time("now"), reader.boolean("frozen").unwrap_or(true));
        let is_in_calendar = now.is_none_or(|now| (1900..9000).contains(&now.year()));
        if !is_in_calendar {
            reader.invalid("now", "an instant in the years 1900 to 8999");
        }
        now.map(|now| InitialClock { now, frozen })
    });
    start.flatten()
}

/// An account.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccountDocument {
    /// Id of the account. A reset keeps it.
    id: String,
    /// The account's time of its creation or last reset.
    created_at: Timestamp,
    /// The account's clock.
    clock: AccountClock,
    /// `auto` if timers move resources, `manual` if only calls do.
    progression: Mode,
}

/// Time of an account.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccountClock {
    /// The account's present time.
    now: Timestamp,
    /// True if the clock stands still between calls.
    frozen: bool,
}

/// A new account with its keys, shown this once.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CreatedAccount {
    #[serde(flatten)]
    pub account: AccountDocument,
    /// API key with all permissions.
    pub key: String,
    /// API key that can only read.
    pub read_only_key: String,
}

/// Renders an account. `now` is the server's time.
pub fn render(account: &Account, now: OffsetDateTime) -> AccountDocument {
    AccountDocument {
        id: account.name.clone(),
        created_at: Timestamp(account.created_at),
        clock: AccountClock { now: Timestamp(account.time.at(now)), frozen: !account.runs },
        progression: Mode::of(!account.settings.is_manual),
    }
}
