//! Reads and renders lists of faults, in plain JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::reading::FaultReader;
use super::{Effect, Fault, FaultTarget, ListedFault, MOST, RequestFault, WebhookEffect, WebhookFault, When};
use crate::jsonapi::document::{MOST_FAULTS, kind};
use crate::jsonapi::error::{ATTRIBUTE_INVALID, DOCUMENT_INVALID, Error, Errors};
use crate::jsonapi::json;
use crate::jsonapi::json::escape;

/// The member by which a fault can match nothing, and why.
pub type Mismatch = fn(&Fault) -> Option<(&'static str, String)>;

/// Reads a list of faults. `mismatch` says of one which member matches nothing, and why.
///
/// # Errors
/// All errors of the body.
pub fn read_list(body: &[u8], mismatch: Mismatch) -> Result<Vec<Fault>, Errors> {
    let document = json::read(body).map_err(Errors::new)?;
    let shape = |at: &str, detail: String| Errors::from(Error::new(DOCUMENT_INVALID, detail).at(at));
    let Some(members) = document.as_object() else {
        return Err(shape("", format!("the body is {}; it must be an object with a member `faults`", kind(&document))));
    };
    let list = match members.get("faults") {
        Some(Value::Array(list)) => list,
        Some(other) => {
            let detail = format!("`faults` is {}; it must be an array of faults", kind(other));
            return Err(shape("/faults", detail));
        }
        None => return Err(shape("", "`faults` is missing; it must be an array of faults".into())),
    };
    let mut errors = Vec::new();
    for other in members.keys().filter(|name| *name != "faults").take(MOST_FAULTS) {
        let detail = format!("`{other}` is not a known member; the body has one member, `faults`");
        errors.push(Error::new(ATTRIBUTE_INVALID, detail).at(format!("/{}", escape(other))));
    }
    if list.len() > MOST {
        let detail = format!("`faults` has {} items; it must have at most {MOST}", list.len());
        errors.push(Error::new(ATTRIBUTE_INVALID, detail).at("/faults"));
    }
    let mut faults = Vec::new();
    for (index, item) in list.iter().enumerate() {
        if errors.len() >= MOST_FAULTS {
            break;
        }
        faults.extend(read_item(item, index, mismatch, &mut errors));
    }
    errors.truncate(MOST_FAULTS);
    if errors.is_empty() { Ok(faults) } else { Err(Errors::new(errors)) }
}

fn read_item(item: &Value, index: usize, mismatch: Mismatch, errors: &mut Vec<Error>) -> Option<Fault> {
    let pointer = format!("/faults/{index}");
    let Some(members) = item.as_object() else {
        let detail = format!("`faults[{index}]` is {}; it must be an object", kind(item));
        errors.push(Error::new(ATTRIBUTE_INVALID, detail).at(pointer));
        return None;
    };
    let mut reading = FaultReader::new(members, pointer);
    let fault = reading.fault();
    if let Some(fault) = &fault {
        reading.mismatch(mismatch(fault));
    }
    let is_faultless = reading.errors.is_empty();
    errors.append(&mut reading.errors);
    fault.filter(|_| is_faultless)
}

/// Reads a stored fault. Returns `None` for a kind of fault unknown to this server.
pub fn read_stored(text: &str) -> Option<Fault> {
    let document: Value = serde_json::from_str(text).ok()?;
    let mut reading = FaultReader::new(document.as_object()?, String::new());
    reading.fault().filter(|_| reading.errors.is_empty())
}

/// Renders a fault without `hits` and `remaining`. Stored faults have this form.
pub fn render(fault: &Fault) -> Map<String, Value> {
    let mut members = Map::new();
    let mut add = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    let time = |time: Duration| Value::from(humantime::format_duration(time).to_string());
    let when = |when: When| Value::from(if when == When::Before { "before" } else { "after" });
    match &fault.on {
        FaultTarget::Requests(RequestFault { method, path, latency, effect }) => {
            if let Some(method) = *method {
                add("method", method.into());
            }
            add("path", path.as_str().into());
            if let Some(latency) = *latency {
                add("latency", time(latency));
            }
            match *effect {
                Some(Effect::Status { status, retry_after }) => {
                    add("status", status.into());
                    if let Some(seconds) = retry_after {
                        add("retry_after", seconds.into());
                    }
                }
                Some(Effect::Close(at)) => add("close", when(at)),
                Some(Effect::Reset(at)) => add("reset", when(at)),
                Some(Effect::Truncate) => add("truncate", true.into()),
                None => {}
            }
        }
        FaultTarget::Webhooks(WebhookFault { events, effect }) => {
            add("webhook", events.as_str().into());
            match *effect {
                WebhookEffect::Duplicate => add("duplicate", true.into()),
                WebhookEffect::Reorder => add("reorder", true.into()),
                WebhookEffect::Delay(delay) => add("delay", time(delay)),
                WebhookEffect::Drop => add("drop", true.into()),
                WebhookEffect::BadAuth => add("bad_auth", true.into()),
            }
        }
    }
    if let Some(times) = fault.times {
        add("times", times.into());
    }
    if fault.after > 0 {
        add("after", fault.after.into());
    }
    members
}

/// Renders a list of faults with their hits. `remaining` is null for a fault without limit.
pub fn render_list(faults: &[ListedFault]) -> Value {
    let shown = faults.iter().map(|listed| {
        let mut members = render(&listed.fault);
        members.insert("hits".to_owned(), listed.hits.into());
        members.insert("remaining".to_owned(), listed.fault.times.map(|times| times - listed.hits).into());
        Value::Object(members)
    });
    json!({ "faults": shown.collect::<Vec<_>>() })
}
