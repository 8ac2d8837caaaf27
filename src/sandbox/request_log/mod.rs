//! Exchanges of an account's client with the emulated API: each a request and its answer.
//!
//! The answering server keeps the last ones of each account in memory, within the limits of [`log`].
//! [`intercept`](super::intercept) records them.

pub mod applied;
pub mod capture;
pub mod document;
pub mod log;
pub mod query;
pub mod record;
pub mod redact;
pub mod routes;

use std::sync::Arc;
use std::time::Duration;

use applied::AppliedFault;
use axum::http::Method;
use time::OffsetDateTime;

use crate::faults::pattern::PathPattern;

/// A request and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The `X-Request-Id` of the answer.
    pub id: Arc<str>,
    pub at: OffsetDateTime,
    pub method: Method,
    pub path: Box<str>,
    pub query: Option<Box<str>>,
    pub request: Message,
    /// `None`: the client hung up before the answer, or a fault suppressed the answer.
    pub response: Option<(u16, Message)>,
    pub duration: Duration,
    /// The fault or preference applied to the request.
    pub fault: Option<Box<AppliedFault>>,
}

/// The kept part of one side of an exchange.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// One line each, name and value separated by `: `. Secrets are redacted.
    pub headers: Box<str>,
    /// The beginning of the body, without passwords.
    pub body: Box<[u8]>,
    /// Size of the whole body, in bytes.
    pub body_size: usize,
    /// True if the body was longer than its kept part.
    pub is_cut: bool,
}

impl Message {
    /// Returns the value of a header. `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Exchange {
    /// Returns its approximate size in memory, in bytes.
    pub fn weight(&self) -> usize {
        /// Size of a fault. The limit on its pattern bounds it.
        const FAULT: usize = 2 * PathPattern::LONGEST;
        /// Size of the entries in the log's maps.
        const LISTING: usize = 200;
        let message = |message: &Message| message.headers.len() + message.body.len();
        let fault = self.fault.as_ref().map_or(0, |_| FAULT);
        let response = self.response.as_ref().map_or(0, |(_, response)| message(response));
        let query = self.query.as_ref().map_or(0, |query| query.len());
        let target = self.method.as_str().len() + self.path.len() + query;
        size_of::<Self>() + LISTING + self.id.len() + target + message(&self.request) + response + fault
    }
}
