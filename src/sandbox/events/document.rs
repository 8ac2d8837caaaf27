//! The schema and rendering of events, and the bodies that trigger and recover events. The bodies are plain JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::{AttemptRow, DeliveryState, EventDetails, EventRow, STATES};
use crate::concierge::event_types::{self, EventType, RESOURCE_TYPES};
use crate::concierge::outputs;
use crate::jsonapi::document::{Identifier, Reader};
use crate::jsonapi::error::{Errors, RELATIONSHIP_TYPE_MISMATCH};
use crate::jsonapi::query::Query;
use crate::jsonapi::render::{self, Included, Linkage, Resource, Value};
use crate::jsonapi::schema::{Attribute, Cardinality, Filter, Input, Reference, Schema, ValueType, Values};
use crate::jsonapi::since::Since;
use crate::webhooks::envelope::FAILURES;

/// A delivery attempt.
static ATTEMPT: [Attribute; 9] = [
    Attribute::new("number", ValueType::Integer { least: 1, most: i64::MAX }, "Number of the attempt, from 1.", "1"),
    Attribute::new("at", ValueType::Time, "Time of the attempt.", r#""2019-11-25T12:53:02.741Z""#),
    Attribute::new(
        "url",
        ValueType::Text { longest: usize::MAX },
        "URL to call, without user name and password; null if there was none.",
        r#""http://127.0.0.1:3000/hook""#,
    )
    .nullable(),
    Attribute::new(
        "headers",
        ValueType::Free,
        "Headers of the call, by lower-case name; null if there was none.",
        r#"{"host":"127.0.0.1:3000","webhook-id":"1"}"#,
    )
    .nullable(),
    Attribute::new(
        "status",
        ValueType::Integer { least: 0, most: 999 },
        "HTTP status of the answer, if there was one.",
        "200",
    )
    .nullable(),
    Attribute::new(
        "error",
        ValueType::Text { longest: usize::MAX },
        "Reason of the failure.",
        r#""the receiver answered 500""#,
    )
    .nullable(),
    Attribute::new("duration_ms", ValueType::Integer { least: 0, most: i64::MAX }, "Duration in milliseconds.", "12"),
    Attribute::new("response", ValueType::Text { longest: usize::MAX }, "Beginning of the answer's body.", r#""ok""#),
    Attribute::new(
        "next_attempt_at",
        ValueType::Time,
        "Due time of the next attempt.",
        r#""2019-11-25T12:55:02.741Z""#,
    )
    .nullable(),
];

/// Schema of an event. Only the document of a single event has `attempts`.
pub static SCHEMA: Schema = Schema {
    type_name: "events",
    path: "/_sandbox/events",
    example_id: "1",
    pages_by_id: true,
    attributes: &[
        Attribute::new(
            "event_type",
            ValueType::OneOf(&event_types::NAMES),
            "Type of the event.",
            r#""concierge_request_output_accepted""#,
        ),
        Attribute::new("created_at", ValueType::Time, "Time of the event.", r#""2019-11-25T12:53:02.741Z""#),
        Attribute::new(
            "sent_at",
            ValueType::Time,
            "Time of the first delivery attempt.",
            r#""2019-11-25T12:53:02.741Z""#,
        )
        .nullable(),
        Attribute::new("delivery_state", ValueType::OneOf(&STATES), "State of the delivery.", r#""delivered""#),
        Attribute::new("delivered", ValueType::Boolean, "True once the receiver answered 200.", "true"),
        Attribute::new(
            "ended_at",
            ValueType::Time,
            "Time of success or of giving up.",
            r#""2019-11-25T12:53:02.741Z""#,
        )
        .nullable(),
        Attribute::new(
            "next_attempt_at",
            ValueType::Time,
            "Due time of the next attempt.",
            r#""2019-11-25T12:53:02.741Z""#,
        )
        .nullable(),
        Attribute::new(
            "attempts_count",
            ValueType::Integer { least: 0, most: i64::MAX },
            "Number of delivery attempts.",
            "1",
        ),
        Attribute::new("is_made_up", ValueType::Boolean, "True for a triggered event without a change.", "false"),
        Attribute::new(
            "attempts",
            ValueType::Objects(&ATTEMPT),
            "All delivery attempts, the first one first; in the event's own document.",
            "[]",
        )
        .own_document()
        .optional(),
    ],
    relationships: &[],
    references: &[
        Reference {
            name: "resource",
            types: &RESOURCE_TYPES,
            cardinality: Cardinality::One,
            is_included: true,
            instead: "GET /_sandbox/events/ID includes it, in its state at the event",
        },
        Reference {
            name: "failures",
            types: &[FAILURES],
            cardinality: Cardinality::Many,
            is_included: false,
            instead: "there is one for each payment attempt of the output that had failed",
        },
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
        relationships.push(("failures", Linkage::References { type_name: FAILURES, ids }));
    }
    Resource {
        schema: &SCHEMA,
        id: record.id.to_string(),
        attributes: vec![
            ("event_type", Value::Text(Some(record.event_type.clone()))),
            ("created_at", Value::Time(record.created_at)),
            ("sent_at", time(record.sent_at)),
            ("delivery_state", Value::Name(record.delivery_state.name())),
            ("delivered", Value::Boolean(record.delivery_state == DeliveryState::Delivered)),
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
pub fn document(event: EventDetails, mut query: Query, origin: &str) -> Vec<u8> {
    let mut resource = render(&event.record);
    resource.attributes.push(("attempts", Value::Objects(event.attempts.into_iter().map(render_attempt).collect())));
    let mut included = Included::default();
    if shows_resource(&query) {
        event.resource.into_iter().for_each(|resource| included.show_stored(resource));
    }
    query.is_compound = true;
    render::render_document(&resource, &included, &query, origin)
}

/// Returns whether the document of an event has its resource. `include=` omits it.
pub const fn shows_resource(query: &Query) -> bool {
    !query.is_compound
}

fn render_attempt(attempt: AttemptRow) -> Vec<(&'static str, Value)> {
    vec![
        ("number", Value::Integer(attempt.number.into())),
        ("at", Value::Time(attempt.at)),
        ("url", Value::Text(attempt.url)),
        ("headers", attempt.headers.map_or(Value::Null, Value::Json)),
        ("status", attempt.status.map_or(Value::Null, |status| Value::Integer(status.into()))),
        ("error", Value::Text(attempt.error)),
        ("duration_ms", Value::Integer(attempt.duration.into())),
        ("response", Value::Text(Some(attempt.response))),
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

/// Members of the body that triggers an event.
pub const TRIGGER: &[Attribute] = &[
    Attribute::new("event_type", ValueType::OneOf(&event_types::NAMES), "Type of the event.", r#""user_enabled""#)
        .on_create(Input::Required),
    Attribute::new(
        "resource",
        ValueType::Object(RESOURCE),
        "Resource of the event; a sample by default.",
        r#"{"type":"users","id":"20202"}"#,
    )
    .on_create(Input::Optional),
];
const RESOURCE: &[Attribute] = &[
    Attribute::new("type", ValueType::OneOf(&RESOURCE_TYPES), "Type of the resource.", r#""users""#)
        .on_create(Input::Required),
    Attribute::new("id", ValueType::Id, "Id of the resource.", r#""20202""#).on_create(Input::Required),
];
/// Members of the body that recovers events.
pub const RECOVER: &[Attribute] = &[Attribute::new(
    "since",
    ValueType::Since,
    "Only events after the one with this id, or from this time on.",
    r#""2019-11-25T12:53:02.741Z""#,
)
.on_create(Input::Optional)];

/// Reads a synthetic event: `event_type`, and `resource` with its `type` and `id`.
///
/// # Errors
/// All faults of the body.
pub fn read_new(body: &[u8]) -> Result<NewEvent, Errors> {
    let mut reader = Reader::open_plain(body, TRIGGER)?;
    let event_type = read_event_type(&mut reader);
    let resource = reader.inside("resource", RESOURCE, |reader| read_resource(reader, event_type)).flatten();
    reader.finish(event_type.map(|event_type| NewEvent { event_type, resource }))
}

fn read_event_type(reader: &mut Reader) -> Option<&'static EventType> {
    let expected = format!("one of {}", event_types::NAMES.join(", "));
    if reader.is_null("event_type") {
        reader.missing("event_type", expected);
        return None;
    }
    let found = reader.text("event_type", usize::MAX)?;
    let known = EventType::named(&found);
    if known.is_none() {
        reader.invalid("event_type", expected);
    }
    known
}

/// Reads the resource of an event. Its type must be the type of resource of such events.
fn read_resource(reader: &mut Reader, event_type: Option<&'static EventType>) -> Option<Identifier> {
    let expected = event_type.map_or_else(|| RESOURCE_TYPES.join(" or "), |known| known.schema().type_name.to_owned());
    for name in ["type", "id"].into_iter().filter(|name| reader.is_null(name)).collect::<Vec<_>>() {
        reader.missing(name, format_args!("the {name} of one of the {expected}"));
    }
    if let Some(found) = reader.text("type", usize::MAX)
        && let Some(event_type) = event_type.filter(|known| known.schema().type_name != found)
    {
        let detail = format!("`type` is {found:?}; it must be {expected} for a {}", event_type.name);
        reader.fault(RELATIONSHIP_TYPE_MISMATCH, &reader.pointer("type"), detail);
    }
    reader.text_or_number("id", "a string of decimal digits").map(|text| Identifier { text })
}

/// Reads the start of the events to recover: `since`, an event's id or a time. Without a body all are recovered.
///
/// # Errors
/// The fault of the body.
pub fn read_since(body: &[u8]) -> Result<Option<Since>, Errors> {
    let mut reader = Reader::open_plain(body, RECOVER)?;
    let text = reader.text_or_number("since", Since::EXPECTED);
    let since = text.as_deref().and_then(Since::read);
    if text.is_some() && since.is_none() {
        reader.invalid("since", Since::EXPECTED);
    }
    reader.finish(Some(since))
}

/// Result of a recovery.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecoveredEvents {
    /// Number of events to send again.
    pub recovered: u64,
}
