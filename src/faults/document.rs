//! Reads and renders lists of faults, in plain JSON.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::reading::{FaultReader, LONGEST_RETRY_AFTER, MOST_TIMES};
use super::{Effect, Fault, FaultTarget, ListedFault, MOST, RequestFault, STATUSES, WebhookEffect, WebhookFault, When};
use crate::jsonapi::document::{MOST_FAULTS, kind};
use crate::jsonapi::error::{ATTRIBUTE_INVALID, DOCUMENT_INVALID, Error, Errors};
use crate::jsonapi::json;
use crate::jsonapi::json::escape;

/// The member by which a fault can match nothing, and why.
pub type Mismatch = fn(&Fault) -> Option<(&'static str, String)>;

/// Describes a fault in a body.
pub fn item_schema() -> Value {
    let optional = |mut schema: Value| {
        schema["type"] = json!([schema["type"].take(), "null"]);
        schema
    };
    let whole = |least: i64, most: i64| optional(json!({ "type": "integer", "minimum": least, "maximum": most }));
    let text = || json!({ "type": "string", "minLength": 1 });
    let only_true = || json!({ "type": "boolean", "const": true });
    let flag = || json!({ "anyOf": [only_true(), { "type": "null" }] });
    let when =
        || json!({ "anyOf": [{ "type": "string", "enum": ["before", "after"] }, only_true(), { "type": "null" }] });
    let mut methods = json!({ "type": "string", "enum": super::METHODS });
    methods["enum"].as_array_mut().into_iter().for_each(|names| names.push(Value::Null));
    let counts = [
        ("times", whole(1, MOST_TIMES), "Number of matches that it applies to; all by default."),
        ("after", whole(0, MOST_TIMES), "Number of matches that pass before."),
        ("hits", json!({}), "Part of answers; ignored."),
        ("remaining", json!({}), "Part of answers; ignored."),
    ];
    let requests = [
        ("method", optional(methods), "Method of the API; any by default."),
        ("path", text(), "Path of the API; `*` is one segment, `**` any number."),
        ("latency", optional(text()), "Time before anything else happens, such as 250ms."),
        ("status", whole((*STATUSES.start()).into(), (*STATUSES.end()).into()), "Answers with this error."),
        ("retry_after", whole(0, LONGEST_RETRY_AFTER), "`Retry-After` of that answer, in seconds."),
        ("close", when(), "Closes the connection, before or after the request is carried out."),
        ("reset", when(), "Resets the connection, before or after the request is carried out."),
        ("truncate", flag(), "Sends half of the answer's body."),
    ];
    let webhooks = [
        ("webhook", text(), "Event type; `*` stands for any characters."),
        ("duplicate", flag(), "Sends the event twice."),
        ("reorder", flag(), "Sends the event after the next one."),
        ("delay", optional(text()), "Time before it is sent, such as 5s."),
        ("drop", flag(), "Never sends it."),
        ("bad_auth", flag(), "Sends it with a wrong key."),
    ];
    let object = |members: &[(&str, Value, &str)], required: &str| {
        let described = members.iter().chain(&counts).map(|(name, schema, about)| {
            let mut schema = schema.clone();
            schema["description"] = (*about).into();
            ((*name).to_owned(), schema)
        });
        json!({
            "type": "object",
            "required": [required],
            "properties": described.collect::<Map<_, _>>(),
            "additionalProperties": false,
        })
    };
    json!({ "anyOf": [object(&requests, "path"), object(&webhooks, "webhook")] })
}

/// Reads a list of faults. `mismatch` says of one which member matches nothing, and why.
///
/// # Errors
/// All errors of the body.
pub fn read_list(body: &[u8], mismatch: Mismatch) -> Result<Vec<Fault>, Errors> {
    let document = json::read(body).map_err(Errors::new)?;
    let shape = |at: &str, detail: String| Errors::from(Error::new(DOCUMENT_INVALID, detail).at(at));
    let Some(members) = document.as_object() else {
        return Err(shape("", format!("the body is {}; it must be an object with a member `data`", kind(&document))));
    };
    let list = match members.get("data") {
        Some(Value::Array(list)) => list,
        Some(other) => {
            let detail = format!("`data` is {}; it must be an array of faults", kind(other));
            return Err(shape("/data", detail));
        }
        None => return Err(shape("", "`data` is missing; it must be an array of faults".into())),
    };
    let mut errors = Vec::new();
    // `meta` and `links` are part of answers, which can be sent again
    let is_unknown = |name: &&String| !["data", "meta", "links"].contains(&name.as_str());
    for other in members.keys().filter(is_unknown).take(MOST_FAULTS) {
        let detail = format!("`{other}` is not a known member; the body has one member, `data`");
        errors.push(Error::new(ATTRIBUTE_INVALID, detail).at(format!("/{}", escape(other))));
    }
    if list.len() > MOST {
        let detail = format!("`data` has {} items; it must have at most {MOST}", list.len());
        errors.push(Error::new(ATTRIBUTE_INVALID, detail).at("/data"));
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
    let pointer = format!("/data/{index}");
    let Some(members) = item.as_object() else {
        let detail = format!("`data[{index}]` is {}; it must be an object", kind(item));
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

/// A fault; a fault of requests has a `path`, a fault of deliveries has a `webhook`.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct FaultDocument {
    /// Method of the requests; absent for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    method: Option<&'static str>,
    /// Pattern of the requests' paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    path: Option<String>,
    /// Time that a request waits before anything else happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SpokenDuration")]
    latency: Option<SpokenDuration>,
    /// Status of the answer; the request is not carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u16")]
    status: Option<u16>,
    /// Retry-After of the answer, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    retry_after: Option<u64>,
    /// The connection is closed before or after the request is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "When")]
    close: Option<When>,
    /// The connection is reset before or after the request is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "When")]
    reset: Option<When>,
    /// True if the connection breaks in the middle of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    truncate: Option<bool>,
    /// Pattern of the event types.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    webhook: Option<String>,
    /// True if the event is sent twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    duplicate: Option<bool>,
    /// True if the event is sent after the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    reorder: Option<bool>,
    /// Time by which the event is sent later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SpokenDuration")]
    delay: Option<SpokenDuration>,
    /// True if the event is not sent, but counts as delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    drop: Option<bool>,
    /// True if the event is sent with wrong authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    bad_auth: Option<bool>,
    /// Number of times the fault applies; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    times: Option<i64>,
    /// Number of matches that pass before the fault applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    after: Option<i64>,
}

/// A fault of an account's list, with its hits.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CountedFault {
    #[serde(flatten)]
    fault: FaultDocument,
    /// Number of times the fault has applied.
    hits: i64,
    /// Number of times the fault still applies; null without a limit.
    remaining: Option<i64>,
}

/// A duration in the form people write, such as `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpokenDuration(pub Duration);

impl Serialize for SpokenDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl JsonSchema for SpokenDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SpokenDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+[a-z]+( [0-9]+[a-z]+)*$", "examples": ["250ms", "1m 30s"] })
    }
}

/// Renders a fault without its hits. Stored faults have this form.
pub fn render(fault: &Fault) -> FaultDocument {
    let mut document = FaultDocument {
        times: fault.times,
        after: Some(fault.after).filter(|after| *after > 0),
        ..FaultDocument::default()
    };
    match &fault.on {
        FaultTarget::Requests(RequestFault { method, path, latency, effect }) => {
            document.method = *method;
            document.path = Some(path.as_str().to_owned());
            document.latency = latency.map(SpokenDuration);
            match *effect {
                Some(Effect::Status { status, retry_after }) => {
                    document.status = Some(status);
                    document.retry_after = retry_after;
                }
                Some(Effect::Close(when)) => document.close = Some(when),
                Some(Effect::Reset(when)) => document.reset = Some(when),
                Some(Effect::Truncate) => document.truncate = Some(true),
                None => {}
            }
        }
        FaultTarget::Webhooks(WebhookFault { events, effect }) => {
            document.webhook = Some(events.as_str().to_owned());
            match *effect {
                WebhookEffect::Duplicate => document.duplicate = Some(true),
                WebhookEffect::Reorder => document.reorder = Some(true),
                WebhookEffect::Delay(delay) => document.delay = Some(SpokenDuration(delay)),
                WebhookEffect::Drop => document.drop = Some(true),
                WebhookEffect::BadAuth => document.bad_auth = Some(true),
            }
        }
    }
    document
}

/// Renders a fault with its hits.
pub fn render_counted(listed: &ListedFault) -> CountedFault {
    let remaining = listed.fault.times.map(|times| times - listed.hits);
    CountedFault { fault: render(&listed.fault), hits: listed.hits, remaining }
}

impl FaultDocument {
    /// Returns whether the fault breaks the connection of a request.
    pub const fn breaks_connection(&self) -> bool {
        self.close.is_some() || self.reset.is_some() || self.truncate.is_some()
    }
}
