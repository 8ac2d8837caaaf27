//! The events that the server sends, as webhooks of the document.

use serde_json::{Value, json};

use super::resources::{component, identifier, reference, relationship_object};
use super::values::{closed, members};
use crate::concierge::event_types::{EVENT_TYPES, EventSubject, EventType};
use crate::jsonapi::schema::Cardinality;
use crate::webhooks::envelope::FAILURES;

/// Describes one webhook for each event type. `examples` are recorded answers by `operationId`.
pub fn webhooks(examples: &Value) -> Value {
    let webhook = |event_type: &EventType| (event_type.name.to_owned(), webhook(event_type, examples));
    Value::Object(EVENT_TYPES.iter().map(webhook).collect())
}

fn webhook(event_type: &EventType, examples: &Value) -> Value {
    let type_name = event_type.schema().type_name;
    let content = json!({ "application/json": { "schema": reference(&event_component(event_type)), "example": example(event_type, examples) } });
    json!({ "post": {
        "tags": ["Events"],
        "operationId": event_type.name,
        "summary": format!("An event of one of the {type_name}."),
        "parameters": [
            header("WEBHOOK-AUTH", "Lower-case hex SHA-256 of the API key.", "^[0-9a-f]{64}$"),
            header("webhook-id", "Id of the event, the same in every attempt.", "^[0-9]+$"),
            header("webhook-timestamp", "Time of the attempt, in seconds since 1970.", "^[0-9]+$"),
            header("webhook-signature", "Signature as in Standard Webhooks; the secret is the SHA-256 of the key.", "^v1,"),
        ],
        "requestBody": { "required": true, "content": content },
        "responses": { "200": { "description": "Received. After any other status the event is sent again." } },
    } })
}

fn header(name: &str, about: &str, pattern: &str) -> Value {
    json!({
        "name": name,
        "in": "header",
        "required": true,
        "description": about,
        "schema": { "type": "string", "pattern": pattern },
    })
}

/// Returns the name of an event's component: its resource's and a suffix.
fn event_component(event_type: &EventType) -> String {
    format!("{}Event", component(event_type.schema()))
}

/// Describes the body of the events of each resource.
pub fn components() -> Vec<(String, Value)> {
    let mut described: Vec<(String, Value)> = Vec::new();
    for event_type in &EVENT_TYPES {
        let name = event_component(event_type);
        if described.iter().all(|(known, _)| *known != name) {
            described.push((name, body(event_type)));
        }
    }
    described
}

fn body(event_type: &EventType) -> Value {
    let schema = event_type.schema();
    let of_resource = |other: &&EventType| other.schema().type_name == schema.type_name;
    let names: Vec<&str> = EVENT_TYPES.iter().filter(of_resource).map(|other| other.name).collect();
    let time = json!({ "type": "string", "format": "date-time" });
    let attributes = json!({
        "event_type": { "type": "string", "enum": names },
        "created_at": time,
        "sent_at": { "type": "string", "format": "date-time", "description": "Time of the first attempt." },
    });
    let resource = relationship_object(identifier(&[schema.type_name]), Cardinality::One);
    let mut relationships = json!({ "resource": resource });
    let mut linked = vec!["resource"];
    if let EventSubject::Output(_) = event_type.subject {
        relationships[FAILURES] = relationship_object(identifier(&[FAILURES]), Cardinality::Many);
        linked.push(FAILURES);
    }
    let data = json!({
        "type": { "type": "string", "const": "events" },
        "id": { "type": "string", "pattern": "^[0-9]+$" },
        "attributes": closed(members(attributes), &["event_type", "created_at", "sent_at"]),
        "relationships": closed(members(relationships), &linked),
    });
    let meta = json!({ "is_made_up": { "type": "boolean", "const": true } });
    let document = json!({
        "data": closed(members(data), &["type", "id", "attributes", "relationships"]),
        "included": {
            "type": "array",
            "items": reference(&component(schema)),
            "description": "The resource in its state at the event.",
        },
        "meta": closed(members(meta), &["is_made_up"]),
    });
    closed(members(document), &["data", "included"])
}

/// Returns an example of an event, with a recorded resource as others include it.
fn example(event_type: &EventType, examples: &Value) -> Value {
    let schema = event_type.schema();
    let operation = match event_type.subject {
        EventSubject::Output(_) => "getOutput",
        EventSubject::Request(_) => "getRequest",
        EventSubject::User(_) => "getUser",
        EventSubject::WithdrawalInstruction => "getWithdrawalInstruction",
    };
    let mut included = examples[operation]["data"].clone();
    let is_shown = |name: &str| schema.attributes.iter().any(|known| known.name == name && known.when_included);
    if let Some(attributes) = included["attributes"].as_object_mut() {
        attributes.retain(|name, _| is_shown(name));
    }
    let is_linked = |name: &str| schema.relationships.iter().any(|known| known.name == name && known.when_included);
    if let Some(linked) = included.get_mut("relationships").and_then(Value::as_object_mut) {
        linked.retain(|name, _| is_linked(name));
    }
    let mut relationships = json!({ "resource": { "data": { "type": schema.type_name, "id": schema.example_id } } });
    if let EventSubject::Output(_) = event_type.subject {
        relationships[FAILURES] = json!({ "data": [] });
    }
    json!({
        "data": {
            "type": "events",
            "id": "1",
            "attributes": {
                "event_type": event_type.name,
                "created_at": "2019-11-25T12:53:02.741Z",
                "sent_at": "2019-11-25T12:53:02.741Z",
            },
            "relationships": relationships,
        },
        "included": [included],
    })
}
