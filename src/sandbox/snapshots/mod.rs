//! Snapshots: a copy of an account's world under a name, to which it can go back, as often as it likes. One survives a reset
//! of its account, and goes with it.

pub mod document;
pub mod routes;
pub mod store;

use time::OffsetDateTime;

crate::codes! {
    TOO_MANY_SNAPSHOTS = 409 "too_many_snapshots" "The account has as many snapshots as it may have";
}

/// The most that an account has.
pub const MOST: i64 = 20;

/// A snapshot as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub name: String,
    /// In the account's time.
    pub taken_at: OffsetDateTime,
    /// Whether that ran on.
    pub runs: bool,
    /// How many there are of each of [`COUNTED`](store::COUNTED).
    pub counts: Vec<i64>,
}
