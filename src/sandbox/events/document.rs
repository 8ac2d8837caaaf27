//! The schema and rendering of events, and the bodies that trigger and recover events. The bodies are plain JSON.

use serde_json::Value as Json;

use super::{AttemptRow, DELIVERED, EventDetails, EventRow, STATES};
use crate::concierge::event_types::{self, EventType, RESOURCE_TYPES};
use crate::concierge::outputs;
use crate::jsonapi::document::{Identifier, kind, quote};
use crate::jsonapi::error::{
    ATTRIBUTE_INVALID, ATTRIBUTE_MISSING, DOCUMENT_INVALID, Error, Errors, RELATIONSHIP_TYPE_MISMATCH,
};
use crate::jsonapi::json;
use crate::jsonapi::query::Query;
use crate::jsonapi::render::{self, Included, Linkage, Resource, Value};
use crate::jsonapi::schema::{Attribute, Filter, Reference, Schema, Values};
use crate::jsonapi::since::Since;

/// Schema of an event. Only the document of a single event has `attempts`.
pub static SCHEMA: Schema = Schema {
    type_name: "events",
    path: "/_sandbox/events",
    attributes: &[
        Attribute::new("event_type"),
        Attribute::new("created_at"),
        Attribute::new("sent_at"),
        Attribute::new("delivery_state"),
        Attribute::new("delivered"),
        Attribute::new("ended_at"),
        Attribute::new("next_attempt_at"),
        Attribute::new("attempts_count"),
        Attribute::new("is_made_up"),
        Attribute::own_document("attempts"),
    ],
    relationships: &[],
    references: &[
        Reference { name: "resource", instead: "GET /_sandbox/events/ID includes it, in its state at the event" },
        Reference { name: "failures", instead: "there is one for each payment attempt of the output that had failed" },
    ],
    default_include: &[],
    sort: &[],
    filters: &[
        Filter { name: "type", column: "event_type", values: Values::OneOf(&event_types::NAMES) },
        Filter::new("resource", Values::Resource(&RESOURCE_TYPES)),
        Filter::new("delivered", Values::Boolean),
        Filter::new("delivery_state", Values::OneOf(&STATES)),
        Filter { name: "since", column: "created_at", values: Values::Since },
    ],
};

/// Renders an event as a resource.
pub fn render(record: &EventRow) -> Resource {
    let time = |time: Option<time::OffsetDateTime>| time.map_or(Value::Null, Value::Time);
    let resource = Linkage::Reference { type_name: record.resource_type.clone(), id: record.resource_id.to_string() };
    let mut relationships = vec![("resource", resource)];
    if record.resource_type == outputs::document::SCHEMA.type_name {
        let ids = (1..=record.failures.unwrap_or_default()).map(|number| number.to_string()).collect();
        relationships.push(("failures", Linkage::References { type_name: "failures", ids }));
    }
    Resource {
        schema: &SCHEMA,
        id: record.id.to_string(),
        attributes: vec![
            ("event_type", Value::Text(Some(record.event_type.clone()))),
            ("created_at", Value::Time(record.created_at)),
            ("sent_at", time(record.sent_at)),
            ("delivery_state", Value::Text(Some(record.delivery_state.clone()))),
            ("delivered", Value::Boolean(record.delivery_state == DELIVERED)),
            ("ended_at", time(record.ended_at)),
            ("next_attempt_at", time(record.due_at)),
            ("attempts_count", Value::Integer(record.attempts.into())),
            ("is_made_up", Value::Boolean(record.is_made_up)),
        ],
        relationships,
    }
}

/// Renders the document of one event, with its delivery attempts and its resource in the state at the event. `include=`
/// omits the resource.
pub fn document(event: &EventDetails, mut query: Query, origin: &str) -> Vec<u8> {
    let mut resource = render(&event.record);
    resource.attributes.push(("attempts", Value::Objects(event.attempts.iter().map(render_attempt).collect())));
    let mut included = Included::default();
    if !query.is_compound {
        query.is_compound = true;
        event.resource.iter().for_each(|resource| included.show_stored(resource.clone()));
    }
    render::render_document(&resource, &included, &query, origin)
}

fn render_attempt(attempt: &AttemptRow) -> Vec<(&'static str, Value)> {
    vec![
        ("number", Value::Integer(attempt.number.into())),
        ("at", Value::Time(attempt.at)),
        ("status", attempt.status.map_or(Value::Null, |status| Value::Integer(status.into()))),
        ("error", Value::Text(attempt.error.clone())),
        ("duration_ms", Value::Integer(attempt.duration.into())),
        ("response", Value::Text(Some(attempt.response.clone()))),
        ("next_attempt_at", attempt.next_at.map_or(Value::Null, Value::Time)),
    ]
}

/// A synthetic event to create.
#[derive(Debug)]
pub struct NewEvent {
    pub event_type: &'static EventType,
    /// The resource of the event. `None`: a sample.
    pub resource: Option<Identifier>,
}

/// Reads a synthetic event: `event_type`, and `resource` with its `type` and `id`.
///
/// # Errors
/// All faults of the body.
pub fn read_new(body: &[u8]) -> Result<NewEvent, Errors> {
    let document = read_object(body)?;
    let mut faults = Vec::new();
    let event_type = read_event_type(&document).map_err(|fault| faults.push(fault)).ok();
    let resource = match member(&document, "resource") {
        None => None,
        Some(resource) => read_resource(resource, event_type, &mut faults),
    };
    match event_type {
        Some(event_type) if faults.is_empty() => Ok(NewEvent { event_type, resource }),
        _ => Err(Errors::new(faults)),
    }
}

fn read_event_type(document: &Json) -> Result<&'static EventType, Error> {
    let known = || event_types::NAMES.join(", ");
    let Some(found) = member(document, "event_type") else {
        let detail = format!("`event_type` is missing; it must be one of {}", known());
        return Err(Error::new(ATTRIBUTE_MISSING, detail).at(""));
    };
    found.as_str().and_then(EventType::named).ok_or_else(|| {
        let detail = format!("`event_type` is {}; it must be one of {}", quote(found), known());
        Error::new(ATTRIBUTE_INVALID, detail).at("/event_type")
    })
}

/// Reads the resource of an event. Its type must be the type of resource of such events.
fn read_resource(
    resource: &Json,
    event_type: Option<&'static EventType>,
    faults: &mut Vec<Error>,
) -> Option<Identifier> {
    if !resource.is_object() {
        let detail = format!("`resource` is {}; it must be an object with `type` and `id`", quote(resource));
        faults.push(Error::new(ATTRIBUTE_INVALID, detail).at("/resource"));
        return None;
    }
    let expected = event_type.map_or_else(|| RESOURCE_TYPES.join(" or "), |known| known.schema().type_name.to_owned());
    let missing = |name: &str| {
        let detail = format!("`resource.{name}` is missing; it must be the {name} of one of the {expected}");
        Error::new(ATTRIBUTE_MISSING, detail).at("/resource")
    };
    match member(resource, "type") {
        None => faults.push(missing("type")),
        Some(Json::String(found)) => {
            if let Some(event_type) = event_type.filter(|known| known.schema().type_name != found) {
                let detail = format!("`resource.type` is {found:?}; it must be {expected} for a {}", event_type.name);
                faults.push(Error::new(RELATIONSHIP_TYPE_MISMATCH, detail).at("/resource/type"));
            }
        }
        Some(found) => {
            let detail = format!("`resource.type` is {}; it must be the string {expected}", quote(found));
            faults.push(Error::new(ATTRIBUTE_INVALID, detail).at("/resource/type"));
        }
    }
    match member(resource, "id") {
        Some(Json::String(text)) => return Some(Identifier { text: text.clone() }),
        Some(Json::Number(number)) => return Some(Identifier { text: number.to_string() }),
        Some(found) => {
            let detail = format!("`resource.id` is {}; it must be a string of decimal digits", quote(found));
            faults.push(Error::new(ATTRIBUTE_INVALID, detail).at("/resource/id"));
        }
        None => faults.push(missing("id")),
    }
    None
}

/// Reads the start of the events to recover: `since`, an event's id or a time. Without a body all are recovered.
///
/// # Errors
/// The fault of the body.
pub fn read_since(body: &[u8]) -> Result<Option<Since>, Errors> {
    if body.is_empty() {
        return Ok(None);
    }
    let document = read_object(body)?;
    let Some(found) = member(&document, "since") else { return Ok(None) };
    let since = match found {
        Json::String(text) => Since::read(text),
        Json::Number(number) => Since::read(&number.to_string()),
        _ => None,
    };
    let fault = || {
        let detail = format!("`since` is {}; it must be {}", quote(found), Since::EXPECTED);
        Error::new(ATTRIBUTE_INVALID, detail).at("/since")
    };
    Ok(Some(since.ok_or_else(fault)?))
}

fn read_object(body: &[u8]) -> Result<Json, Errors> {
    let document = json::read(body).map_err(Errors::new)?;
    if document.is_object() {
        return Ok(document);
    }
    let detail = format!("the body is {}; it must be an object", kind(&document));
    Err(Error::new(DOCUMENT_INVALID, detail).at("").into())
}

/// Returns a member of an object. `null` counts as absent, as everywhere.
fn member<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    object.get(name).filter(|value| !value.is_null())
}
