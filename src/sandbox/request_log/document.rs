//! Exchanges as plain JSON.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::applied::AppliedFault;
use super::{Exchange, Message};
use crate::jsonapi::values::Timestamp;

/// A request to the API and its answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoggedRequest<'a> {
    /// The X-Request-Id of the answer.
    id: &'a str,
    /// The server's time of the request's arrival.
    at: Timestamp,
    /// Method of the request.
    method: &'a str,
    /// Path of the request.
    path: &'a str,
    /// Query of the request, without passwords; null without one.
    query: Option<&'a str>,
    /// Status of the answer, or null if there was none.
    status: Option<u16>,
    /// Time to the answer, in milliseconds.
    duration_ms: u64,
    /// The fault or preference that applied, or null.
    fault: Option<&'a AppliedFault>,
    /// The request.
    request: LoggedMessage<'a>,
    /// The answer, or null if there was none.
    response: Option<LoggedMessage<'a>>,
}

/// One side of an exchange, without secrets.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoggedMessage<'a> {
    /// The headers by lower-case name. Repeated headers are joined into one list.
    headers: LoggedHeaders<'a>,
    /// Beginning of the body as text, at most 16 KiB.
    body: Cow<'a, str>,
    /// Size of the whole body, in bytes.
    body_size: usize,
    /// True if the body was longer than its beginning here.
    body_is_cut: bool,
}

/// Headers in the order of their arrival, each name once.
#[derive(Debug)]
pub struct LoggedHeaders<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl Serialize for LoggedHeaders<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl JsonSchema for LoggedHeaders<'_> {
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
pub fn render(exchange: &Exchange) -> LoggedRequest<'_> {
    let response = exchange.response.as_ref();
    LoggedRequest {
        id: &exchange.id,
        at: Timestamp(exchange.at),
        method: exchange.method.as_str(),
        path: &exchange.path,
        query: exchange.query.as_deref(),
        status: response.map(|(status, _)| *status),
        duration_ms: u64::try_from(exchange.duration.as_millis()).unwrap_or(u64::MAX),
        fault: exchange.fault.as_deref(),
        request: render_message(&exchange.request),
        response: response.map(|(_, message)| render_message(message)),
    }
}

fn render_message(message: &Message) -> LoggedMessage<'_> {
    let mut headers: Vec<(&str, Cow<'_, str>)> = Vec::new();
    for (name, value) in message.headers.lines().filter_map(|line| line.split_once(": ")) {
        match headers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, list)) => list.to_mut().extend([", ", value]),
            None => headers.push((name, value.into())),
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
fn text(body: &[u8], is_cut: bool) -> Cow<'_, str> {
    let whole = match std::str::from_utf8(body) {
        Err(error) if is_cut && error.error_len().is_none() => &body[..error.valid_up_to()],
        _ => body,
    };
    String::from_utf8_lossy(whole)
}
