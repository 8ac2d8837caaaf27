//! Renders exchanges as plain JSON.

use serde_json::{Map, Value, json};

use super::{Exchange, Message};
use crate::jsonapi::render::timestamp;

/// Renders an exchange. `status` and `response` are null if there was no answer.
pub fn render(exchange: &Exchange) -> Value {
    let response = exchange.response.as_ref();
    json!({
        "id": &*exchange.id,
        "at": timestamp(exchange.at),
        "method": exchange.method.as_str(),
        "path": &*exchange.path,
        "query": exchange.query.as_deref(),
        "status": response.map(|(status, _)| status),
        "duration_ms": u64::try_from(exchange.duration.as_millis()).unwrap_or(u64::MAX),
        "fault": exchange.fault,
        "request": render_message(&exchange.request),
        "response": response.map(|(_, message)| render_message(message)),
    })
}

fn render_message(message: &Message) -> Value {
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in message.headers.lines().filter_map(|line| line.split_once(": ")) {
        match headers.get_mut(name) {
            // repeated headers are joined into one list
            Some(Value::String(list)) => list.extend([", ", value]),
            _ => drop(headers.insert(name.to_owned(), value.into())),
        }
    }
    json!({
        "headers": headers,
        "body": text(&message.body, message.is_cut),
        "body_size": message.body_size,
        "body_is_cut": message.is_cut,
    })
}

/// Decodes a body as text. Omits a last character that the cut split.
fn text(body: &[u8], is_cut: bool) -> String {
    let whole = match std::str::from_utf8(body) {
        Err(error) if is_cut && error.error_len().is_none() => &body[..error.valid_up_to()],
        _ => body,
    };
    String::from_utf8_lossy(whole).into_owned()
}
