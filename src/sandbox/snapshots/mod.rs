//! Snapshots: named copies of an account's data. An account can be restored to one any number of times.
//!
//! A snapshot survives a reset of its account. It is deleted with the account.

pub mod document;
pub mod routes;
pub mod store;

use time::OffsetDateTime;

crate::codes! {
    TOO_MANY_SNAPSHOTS = 409 "too_many_snapshots" "The account has the maximum number of snapshots";
}

/// Maximum number of snapshots of an account.
pub const MOST: i64 = 20;

/// A snapshot as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSnapshot {
    pub name: String,
    /// In the account's time.
    pub taken_at: OffsetDateTime,
    /// True if the account's clock was running.
    pub runs: bool,
    /// Row counts of the tables in [`COUNTED`](store::COUNTED), in the same order.
    pub counts: Vec<i64>,
}
