//! The exchanges of an account's client with the emulated API: a request, and what it was answered.
//!
//! They are kept in the memory of the server that answered, the last ones of each account, and in bounds whatever is
//! sent: see [`log`]. Each is put on record by [`intercept`](super::intercept).

pub mod capture;
mod document;
pub mod log;
mod query;
pub mod record;
pub mod redact;
pub mod routes;

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::faults::pattern::PathPattern;

/// A request, and what it was answered.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The `X-Request-Id` of the answer.
    pub id: Arc<str>,
    pub at: OffsetDateTime,
    pub method: Method,
    pub path: Box<str>,
    pub query: Option<Box<str>>,
    pub request: Message,
    /// `None`: the client went away before there was an answer, or was to get none.
    pub response: Option<(u16, Message)>,
    pub duration: Duration,
    /// What the sandbox was told to do to it.
    pub fault: Option<Map<String, Value>>,
}

/// One side of an exchange, as far as it is kept.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// A line each, name and value with `: ` between them. What is secret isn't among them.
    pub headers: Box<str>,
    /// The beginning of the body, without passwords.
    pub body: Box<[u8]>,
    /// How long the body was.
    pub body_size: usize,
    /// Whether the body was longer than what is kept of it.
    pub is_cut: bool,
}

impl Message {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Exchange {
    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        /// Of a fault, whose pattern is no longer than that; and of the places where the exchange is listed.
        const FAULT: usize = 2 * PathPattern::LONGEST;
        const LISTING: usize = 200;
        let message = |message: &Message| message.headers.len() + message.body.len();
        let fault = self.fault.as_ref().map_or(0, |_| FAULT);
        let response = self.response.as_ref().map_or(0, |(_, response)| message(response));
        let query = self.query.as_ref().map_or(0, |query| query.len());
        let target = self.method.as_str().len() + self.path.len() + query;
        size_of::<Self>() + LISTING + self.id.len() + target + message(&self.request) + response + fault
    }
}
