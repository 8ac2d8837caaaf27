//! The list of what is to go wrong for an account's client: what a fault is, what it matches, and its SQL.
//!
//! An account's faults are a list in the database, counted there, so that several servers count as one. How they act on
//! requests is the control plane's business; [`store::claim_webhook_fault`] says how on deliveries.

pub mod document;
pub mod pattern;
mod reading;
pub mod store;

use std::time::Duration;

use pattern::{EventPattern, PathPattern};

crate::codes! {
    FAULT_MATCHES_NOTHING = 422 "fault_matches_nothing" "The fault can match nothing";
    FAULT_INJECTED = 503 "fault_injected" "The sandbox was told to fail";
}

/// The methods that a request to the emulated API can have.
pub const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PATCH", "DELETE"];
/// The statuses that a fault can answer with.
pub const STATUSES: std::ops::RangeInclusive<u16> = 400..=599;
/// The most faults an account may have at once.
pub const MOST: usize = 100;
/// How long an answer can be held back.
pub const LONGEST_LATENCY: Duration = Duration::from_mins(1);

/// Something that is to go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub on: On,
    /// How often; `None`: without end.
    pub times: Option<i64>,
    /// How many that it matches it lets pass before.
    pub after: i64,
}

/// What a fault acts on, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    Requests(RequestFault),
    Webhooks(WebhookFault),
}

/// What goes wrong with requests. It holds them back, has an effect, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFault {
    /// `None`: any.
    pub method: Option<&'static str>,
    pub path: PathPattern,
    /// How long the request waits before anything else happens.
    pub latency: Option<Duration>,
    pub effect: Option<Effect>,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is answered with an error and has no effect.
    Status { status: u16, retry_after: Option<u64> },
    /// The connection is closed without an answer.
    Close(When),
    /// The connection is reset without an answer.
    Reset(When),
    /// It is carried out, and the answer breaks off in the middle of its body.
    Truncate,
}

/// When a connection ends: before the request has an effect, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

/// What goes wrong with the sending of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookFault {
    pub events: EventPattern,
    pub effect: WebhookEffect,
}

/// What happens to an event that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookEffect {
    /// It is sent twice.
    Duplicate,
    /// It is sent after the next one.
    Reorder,
    /// It is sent that much later.
    Delay(Duration),
    /// It isn't sent, as if it had been received.
    Drop,
    /// It is sent with authentication that isn't ours.
    BadAuth,
}

/// A fault of a list, and how often it acted.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Place in the list, from 1.
    pub id: i32,
    pub fault: Fault,
    pub hits: i64,
}

impl Listed {
    /// Whether it acts no more.
    pub fn is_used_up(&self) -> bool {
        self.fault.times.is_some_and(|times| self.hits >= times)
    }
}
