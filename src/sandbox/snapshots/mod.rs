//! Snapshots: named copies of an account's data. An account can be restored to one any number of times.
//!
//! A snapshot survives a reset of its account. It is deleted with the account.

pub mod document;
pub mod routes;
pub mod store;

use schemars::JsonSchema;
use serde::Serialize;
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
    pub counts: SnapshotCounts,
}

/// Number of resources in a snapshot, by type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SnapshotCounts {
    /// Number of users.
    pub users: i64,
    /// Number of withdrawal instructions.
    pub withdrawal_instructions: i64,
    /// Number of requests.
    pub concierge_requests: i64,
    /// Number of outputs.
    pub concierge_request_outputs: i64,
    /// Number of events.
    pub events: i64,
}
