//! Exchanges as plain JSON.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::applied::AppliedFault;
use super::{Exchange, Message};
use crate::jsonapi::values::Timestamp;

/// A request to the API and its answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoggedRequest {
    /// The X-Request-Id of the answer.
    id: String,
    /// The server's time of the request's arrival.
    at: Timestamp,
    /// Method of the request.
    method: String,
    /// Path of the request.
    path: String,
    /// Query of the request, without passwords; null without one.
    query: Option<String>,
    /// Status of the answer, or null if there was none.
    status: Option<u16>,
    /// Time to the answer, in milliseconds.
    duration_ms: u64,
    /// The fault or preference that applied, or null.
    fault: Option<Box<AppliedFault>>,
    /// The request.
    request: LoggedMessage,
    /// The answer, or null if there was none.
    response: Option<LoggedMessage>,
}

/// One side of an exchange, without secrets.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoggedMessage {
    /// The headers by lower-case name. Repeated headers are joined into one list.
    headers: LoggedHeaders,
    /// Beginning of the body as text, at most 16 KiB.
    body: String,
    /// Size of the whole body, in bytes.
    body_size: usize,
    /// True if the body was longer than its beginning here.
    body_is_cut: bool,
}

/// Headers in the order of their arrival, each name once.
#[derive(Debug)]
pub struct LoggedHeaders(Vec<(String, String)>);

impl Serialize for LoggedHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl JsonSchema for LoggedHeaders {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LoggedHeaders".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

/// Renders an exchange. `status` and `response` are null if there was no answer.
pub fn render(exchange: &Exchange) -> LoggedRequest {
    let response = exchange.response.as_ref();
    LoggedRequest {
        id: exchange.id.as_ref().to_owned(),
        at: Timestamp(exchange.at),
        method: exchange.method.as_str().to_owned(),
        path: exchange.path.as_ref().to_owned(),
        query: exchange.query.as_deref().map(str::to_owned),
        status: response.map(|(status, _)| *status),
        duration_ms: u64::try_from(exchange.duration.as_millis()).unwrap_or(u64::MAX),
        fault: exchange.fault.clone(),
        request: render_message(&exchange.request),
        response: response.map(|(_, message)| render_message(message)),
    }
}

fn render_message(message: &Message) -> LoggedMessage {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in message.headers.lines().filter_map(|line| line.split_once(": ")) {
        match headers.iter_mut().find(|(known, _)| known == name) {
            Some((_, list)) => list.extend([", ", value]),
            None => headers.push((name.to_owned(), value.to_owned())),
        }
    }
    LoggedMessage {
        headers: LoggedHeaders(headers),
        body: text(&message.body, message.is_cut),
        body_size: message.body_size,
        body_is_cut: message.is_cut,
    }
}

/// Decodes a body as text. Omits a last character that the cut split.
fn text(body: &[u8], is_cut: bool) -> String {
    let whole = match std::str::from_utf8(body) {
        Err(error) if is_cut && error.error_len().is_none() => &body[..error.valid_up_to()],
        _ => body,
    };
    String::from_utf8_lossy(whole).into_owned()
}
