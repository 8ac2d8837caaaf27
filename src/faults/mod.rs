//! Faults: failures to inject into an account's requests and webhooks, to test its client.
//!
//! An account's faults are a list in the database. Hits are counted there, so several servers share one count.
//! Left to others: faults of requests act in the control plane. The dispatcher of webhooks applies faults of deliveries,
//! through [`store::claim_webhook_fault`].

pub mod document;
pub mod pattern;
mod reading;
pub mod store;

use std::time::Duration;

use pattern::{EventPattern, PathPattern};
use schemars::JsonSchema;
use serde::Serialize;

crate::codes! {
    FAULT_MATCHES_NOTHING = 422 "fault_matches_nothing" "The fault can never match";
    FAULT_INJECTED = 503 "fault_injected" "The sandbox injected this failure";
}

/// The methods of the emulated API.
pub const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PATCH", "DELETE"];
/// The statuses that a fault can answer with.
pub const STATUSES: std::ops::RangeInclusive<u16> = 400..=599;
/// Maximum number of faults of an account.
pub const MOST: usize = 100;
/// Longest delay of an answer.
pub const LONGEST_LATENCY: Duration = Duration::from_mins(1);

/// A failure to inject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub on: FaultTarget,
    /// Number of times the fault applies. `None`: without limit.
    pub times: Option<i64>,
    /// Number of matches that pass before the fault applies.
    pub after: i64,
}

/// The target and the effect of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultTarget {
    Requests(RequestFault),
    Webhooks(WebhookFault),
}

/// A fault of requests: a latency, an effect, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFault {
    /// `None`: any method.
    pub method: Option<&'static str>,
    pub path: PathPattern,
    /// Time that the request waits before anything else happens.
    pub latency: Option<Duration>,
    pub effect: Option<Effect>,
}

/// Effect of a fault on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The request is answered with an error and not carried out.
    Status { status: u16, retry_after: Option<u64> },
    /// The connection is closed without an answer.
    Close(When),
    /// The connection is reset without an answer.
    Reset(When),
    /// The request is carried out, and the connection breaks in the middle of the answer's body.
    Truncate,
}

/// Time at which a connection ends: before the request is carried out, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    Before,
    After,
}

/// A fault of webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookFault {
    pub events: EventPattern,
    pub effect: WebhookEffect,
}

/// Effect of a fault on the delivery of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookEffect {
    /// The event is sent twice.
    Duplicate,
    /// The event is sent after the next one.
    Reorder,
    /// The event is sent later by this time.
    Delay(Duration),
    /// The event is not sent, but counts as delivered.
    Drop,
    /// The event is sent with wrong authentication.
    BadAuth,
}

/// A fault in a list, with its hits.
#[derive(Debug, Clone)]
pub struct ListedFault {
    /// Position in the list, from 1.
    pub id: i32,
    pub fault: Fault,
    pub hits: i64,
}

impl ListedFault {
    /// Returns whether the fault has no hits remaining.
    pub fn is_used_up(&self) -> bool {
        self.fault.times.is_some_and(|times| self.hits >= times)
    }
}
