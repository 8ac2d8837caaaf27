//! JSON Schemas of values and of objects made of attributes.

use serde_json::{Map, Value, json};

use crate::jsonapi::schema::{Attribute, Input, Presence, ValueType};
use crate::jsonapi::values::IsoDuration;

/// Pattern of ids.
const DIGITS: &str = "^[0-9]+$";
/// Pattern of a decimal in a string.
const NUMBER: &str = "^[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$";

/// Describes a value in an answer.
pub fn answer(value_type: ValueType) -> Value {
    match value_type {
        ValueType::Text { longest } => text(longest),
        ValueType::OneOf(names) => json!({ "type": "string", "enum": names }),
        ValueType::Id => json!({ "type": "string", "pattern": DIGITS }),
        ValueType::Boolean => json!({ "type": "boolean" }),
        ValueType::Integer { least, most } => integer(least, most),
        ValueType::Decimal => json!({ "type": "number" }),
        ValueType::Time => json!({ "type": "string", "format": "date-time" }),
        ValueType::Since => {
            json!({ "anyOf": [{ "type": "string", "pattern": DIGITS }, { "type": "string", "format": "date-time" }] })
        }
        ValueType::Duration => json!({ "type": "string", "pattern": IsoDuration::PATTERN }),
        ValueType::Url => json!({ "type": "string", "format": "uri" }),
        ValueType::Free => json!({ "type": "object", "additionalProperties": true }),
        ValueType::Object(members) => answer_object(members),
        ValueType::Objects(members) => json!({ "type": "array", "items": answer_object(members) }),
    }
}

/// Describes a value in a body.
pub fn input(value_type: ValueType) -> Value {
    match value_type {
        ValueType::Id => json!({ "type": ["string", "integer"], "pattern": DIGITS, "minimum": 0 }),
        ValueType::Since => json!({ "type": ["string", "integer"], "minLength": 1, "minimum": 0 }),
        // exact numbers are safer as text in some languages
        ValueType::Decimal => json!({ "type": ["number", "string"], "pattern": NUMBER }),
        // also the form people write, which has no format name
        ValueType::Duration => json!({ "type": "string", "minLength": 1 }),
        ValueType::Object(members) => input_object(members, false),
        ValueType::Objects(members) => {
            json!({ "type": "array", "minItems": 1, "items": input_object(members, true) })
        }
        ValueType::Text { .. }
        | ValueType::OneOf(_)
        | ValueType::Boolean
        | ValueType::Integer { .. }
        | ValueType::Time
        | ValueType::Url
        | ValueType::Free => answer(value_type),
    }
}

fn text(longest: usize) -> Value {
    if longest == usize::MAX { json!({ "type": "string" }) } else { json!({ "type": "string", "maxLength": longest }) }
}

fn integer(least: i64, most: i64) -> Value {
    let mut schema = json!({ "type": "integer", "minimum": least });
    if most < i64::MAX {
        schema["maximum"] = most.into();
    }
    schema
}

/// Describes an object of an answer: closed, with every member that is always present required.
pub fn answer_object(members: &[Attribute]) -> Value {
    let always: Vec<&str> = members.iter().filter(|member| is_present(member)).map(|member| member.name).collect();
    closed(answer_properties(members), &always)
}

/// Returns whether an answer without sparse fieldsets always has the attribute.
pub fn is_present(attribute: &Attribute) -> bool {
    attribute.presence != Presence::Optional
}

/// Describes the attributes of an answer by name.
pub fn answer_properties(attributes: &[Attribute]) -> Map<String, Value> {
    let described = attributes.iter().map(|attribute| {
        let mut schema = answer(attribute.value_type);
        if attribute.presence == Presence::Nullable {
            allow_null(&mut schema);
        }
        (attribute.name.to_owned(), explained(schema, attribute))
    });
    described.collect()
}

/// Describes an object of a body. Null stands for an absent member. `is_open` allows unknown members.
pub fn input_object(members: &[Attribute], is_open: bool) -> Value {
    let required = required(members.iter().map(|member| (member.name, member.on_create)));
    let properties = input_properties(members, |attribute| attribute.on_create);
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !is_open {
        schema["additionalProperties"] = false.into();
    }
    schema
}

/// Describes the attributes of a body by name. `part` says what each of them is in this body.
pub fn input_properties(attributes: &[Attribute], part: impl Fn(&Attribute) -> Input) -> Map<String, Value> {
    let mut described = Map::new();
    for attribute in attributes {
        let mut schema = input(attribute.value_type);
        match part(attribute) {
            Input::Ignored => continue,
            Input::Required => {}
            Input::Optional => allow_null(&mut schema),
        }
        described.insert(attribute.name.to_owned(), explained(schema, attribute));
    }
    described
}

/// Returns the required names.
pub fn required<'a>(parts: impl Iterator<Item = (&'a str, Input)>) -> Vec<&'a str> {
    parts.filter(|(_, part)| *part == Input::Required).map(|(name, _)| name).collect()
}

/// Describes an object without other members.
pub fn closed(properties: Map<String, Value>, required: &[&str]) -> Value {
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// Allows null in place of a value.
pub fn allow_null(schema: &mut Value) {
    // generators of clients know a type beside null, but no object with members beside null
    if schema.get("properties").is_some() || schema.get("type").is_none() {
        *schema = json!({ "anyOf": [schema.take(), { "type": "null" }] });
        return;
    }
    match &mut schema["type"] {
        Value::Array(types) => types.push("null".into()),
        one => *one = json!([one.take(), "null"]),
    }
    if let Some(Value::Array(names)) = schema.get_mut("enum") {
        names.push(Value::Null);
    }
}

/// Returns the members of an object.
pub fn members(object: Value) -> Map<String, Value> {
    if let Value::Object(members) = object { members } else { Map::new() }
}

/// Adds the description and the example of an attribute.
fn explained(mut schema: Value, attribute: &Attribute) -> Value {
    schema["description"] = attribute.about.into();
    if let Some(example) = example(attribute) {
        schema["examples"] = json!([example]);
    }
    schema
}

/// Returns the example of an attribute.
pub fn example(attribute: &Attribute) -> Option<Value> {
    serde_json::from_str(attribute.example).ok()
}
