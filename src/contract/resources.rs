//! JSON Schemas of resources and their documents, derived from the schemas as data.

use serde_json::{Map, Value, json};

use super::values::{allow_null, answer_properties, closed, input_properties, is_present, members, required};
use crate::jsonapi::schema::{Attribute, Cardinality, Input, Reference, Relationship, Schema};

/// Name of the extension that lists members present without sparse fieldsets.
pub const PRESENT: &str = "x-present";
/// The same where the resource is included in another one's document.
pub const PRESENT_INCLUDED: &str = "x-present-included";

/// Returns the name of a resource's component: its type in Pascal case.
pub fn component(schema: &Schema) -> String {
    pascal(schema.type_name)
}

fn pascal(type_name: &str) -> String {
    let words = type_name.split('_').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    words.collect()
}

/// Returns a reference to a component.
pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Describes a resource, its documents, and the bodies that create or update it.
pub fn components(schema: &'static Schema) -> Vec<(String, Value)> {
    let name = component(schema);
    vec![
        (name.clone(), resource(schema)),
        (format!("{name}Document"), document(schema, reference(&name))),
        (format!("{name}Collection"), collection(schema)),
    ]
}

/// Describes the parts that all collections share.
pub fn shared() -> Vec<(String, Value)> {
    let link = |about: &str| json!({ "type": "string", "format": "uri", "description": about });
    let link_or_null = |about: &str| json!({ "type": ["string", "null"], "format": "uri", "description": about });
    let links = json!({
        "self": link("This page."),
        "first": link("The first page."),
        "prev": link_or_null("The page before, or null on the first."),
        "next": link_or_null("The page after, or null on the last."),
        "last": link("The last page, in a collection of at most 10 000."),
    });
    let meta = json!({ "total": {
        "type": "integer",
        "minimum": 0,
        "description": "Number of resources, in a collection of at most 10 000.",
    } });
    vec![
        ("PageLinks".to_owned(), closed(members(links), &["self", "first", "prev", "next"])),
        ("PageMeta".to_owned(), closed(members(meta), &["total"])),
    ]
}

/// Describes a resource. With sparse fieldsets any attribute may be absent, so none is required.
fn resource(schema: &Schema) -> Value {
    let mut attributes = closed(answer_properties(schema.attributes), &[]);
    attributes[PRESENT] = json!(present(schema.attributes, |_| true));
    attributes[PRESENT_INCLUDED] = json!(present(schema.attributes, |attribute| attribute.when_included));
    let mut properties = json!({
        "id": { "type": "string", "description": "Id within the type." },
        "type": { "type": "string", "const": schema.type_name },
        "attributes": attributes,
    });
    let mut linked = Map::new();
    for relationship in schema.relationships {
        linked.insert(relationship.name.to_owned(), linkage(relationship));
    }
    for reference in schema.references {
        linked.insert(reference.name.to_owned(), reference_linkage(reference));
    }
    if !linked.is_empty() {
        properties["relationships"] = closed(linked, &[]);
    }
    closed(members(properties), &["id", "type", "attributes"])
}

fn present(attributes: &[Attribute], is_shown: fn(&Attribute) -> bool) -> Vec<&'static str> {
    let present = attributes.iter().filter(|attribute| is_present(attribute) && is_shown(attribute));
    present.map(|attribute| attribute.name).collect()
}

fn linkage(relationship: &Relationship) -> Value {
    let identifier = identifier(&[relationship.target.type_name]);
    relationship_object(identifier, relationship.cardinality)
}

fn reference_linkage(reference: &Reference) -> Value {
    relationship_object(identifier(reference.types), reference.cardinality)
}

/// Describes an identifier of one of these types.
pub fn identifier(types: &[&str]) -> Value {
    let type_name = match types {
        [one] => json!({ "type": "string", "const": one }),
        types => json!({ "type": "string", "enum": types }),
    };
    let id = json!({ "type": "string" });
    closed(members(json!({ "id": id, "type": type_name })), &["id", "type"])
}

/// Describes a relationship object.
pub fn relationship_object(identifier: Value, cardinality: Cardinality) -> Value {
    let data = match cardinality {
        Cardinality::One => identifier,
        Cardinality::Many => json!({ "type": "array", "items": identifier }),
    };
    closed(members(json!({ "data": data })), &["data"])
}

/// Describes the document of one resource.
fn document(schema: &'static Schema, data: Value) -> Value {
    let omitted = json!({ "type": "string", "description": "Why a change's answer has no included resources." });
    let meta = closed(members(json!({ "omitted": omitted })), &["omitted"]);
    closed(members(json!({ "data": data, "included": included(schema), "meta": meta })), &["data"])
}

/// Describes the document of one resource, or of none.
pub fn document_or_null(schema: &'static Schema) -> Value {
    document(schema, json!({ "anyOf": [reference(&component(schema)), { "type": "null" }] }))
}

fn collection(schema: &'static Schema) -> Value {
    let properties = json!({
        "data": { "type": "array", "items": reference(&component(schema)) },
        "included": included(schema),
        "links": reference("PageLinks"),
        "meta": reference("PageMeta"),
    });
    closed(members(properties), &["data", "links"])
}

/// Describes the related resources: those of every reachable type, and those that the references name.
fn included(schema: &'static Schema) -> Value {
    let related = schema.reachable().into_iter().filter(|other| other.type_name != schema.type_name);
    let mut names: Vec<String> = related.map(component).collect();
    let shown = schema.references.iter().filter(|reference| reference.is_included);
    names.extend(shown.flat_map(|reference| reference.types).map(|type_name| pascal(type_name)));
    let returns_to_itself = schema.relationships.iter().any(|relationship| {
        relationship.target.reachable().iter().any(|reached| reached.type_name == schema.type_name)
    });
    if returns_to_itself || names.is_empty() {
        names.push(component(schema));
    }
    let items = match names.as_slice() {
        [one] => reference(one),
        names => json!({ "anyOf": names.iter().map(|name| reference(name)).collect::<Vec<_>>() }),
    };
    json!({ "type": "array", "items": items, "description": "Related resources, each once." })
}

/// Describes the body that creates a resource. It is open: other members have no effect.
pub fn creation(schema: &'static Schema) -> Value {
    let attributes = body_object(
        input_properties(schema.attributes, |attribute| attribute.on_create),
        &required(schema.attributes.iter().map(|attribute| (attribute.name, attribute.on_create))),
    );
    let linked = schema.relationships.iter().filter(|relationship| relationship.on_create != Input::Ignored);
    let linked: Map<String, Value> =
        linked.map(|relationship| (relationship.name.to_owned(), input_linkage(relationship))).collect();
    let needed = required(schema.relationships.iter().map(|linked| (linked.name, linked.on_create)));
    let relationships = (!linked.is_empty()).then(|| body_object(linked, &needed));
    body(schema, attributes, relationships, None)
}

/// Describes the body that updates a resource.
pub fn update(schema: &'static Schema, names_id: bool) -> Value {
    let attributes = body_object(input_properties(schema.attributes, |attribute| attribute.on_update), &[]);
    let id = json!({ "type": ["string", "integer"], "description": "The id in the path." });
    body(schema, attributes, None, names_id.then_some(id))
}

/// Describes the body of an action: anything, and of a document these attributes.
pub fn action(attributes: &[Attribute]) -> Value {
    if attributes.is_empty() {
        return json!({ "type": "object", "description": "Nothing in it has an effect." });
    }
    let attributes = body_object(input_properties(attributes, |attribute| attribute.on_create), &[]);
    let mut data = json!({ "type": "object", "properties": { "attributes": attributes } });
    allow_null(&mut data);
    json!({ "type": "object", "properties": { "data": data } })
}

/// Describes a body with several resources, each with its id.
pub fn resources(schemas: &[&'static Schema]) -> Value {
    let items: Vec<Value> = schemas.iter().map(|schema| seeded(schema)).collect();
    let data = json!({ "type": "array", "items": { "anyOf": items } });
    json!({ "type": "object", "required": ["data"], "properties": { "data": data } })
}

fn seeded(schema: &'static Schema) -> Value {
    let needed = required(schema.attributes.iter().map(|attribute| (attribute.name, attribute.on_create)));
    let every = |_: &Attribute| Input::Optional;
    let mut attributes = closed(input_properties(schema.attributes, every), &needed);
    if needed.is_empty() {
        allow_null(&mut attributes);
    }
    let linked: Map<String, Value> = schema
        .relationships
        .iter()
        .filter(|relationship| relationship.cardinality == Cardinality::One)
        .map(|relationship| (relationship.name.to_owned(), input_linkage(relationship)))
        .collect();
    let needed = required(schema.relationships.iter().map(|linked| (linked.name, linked.on_create)));
    let mut properties = json!({
        "type": { "type": "string", "const": schema.type_name },
        "id": { "type": ["string", "integer"] },
        "attributes": attributes,
    });
    if !linked.is_empty() {
        properties["relationships"] = body_object(linked, &needed);
    }
    json!({ "type": "object", "required": ["type", "id"], "properties": properties })
}

fn body(schema: &Schema, attributes: Value, relationships: Option<Value>, id: Option<Value>) -> Value {
    let mut needed = vec!["type"];
    let mut properties = json!({ "type": { "type": "string", "const": schema.type_name } });
    if let Some(id) = id {
        properties["id"] = id;
        needed.push("id");
    }
    let mut part = |name: &'static str, part: Value| {
        if part.get("required").is_some() {
            needed.push(name);
        }
        properties[name] = part;
    };
    part("attributes", attributes);
    if let Some(relationships) = relationships {
        part("relationships", relationships);
    }
    let data = json!({ "type": "object", "required": needed, "properties": properties });
    json!({ "type": "object", "required": ["data"], "properties": { "data": data } })
}

fn body_object(properties: Map<String, Value>, needed: &[&str]) -> Value {
    if needed.is_empty() {
        let mut object = json!({ "type": "object", "properties": properties });
        allow_null(&mut object);
        return object;
    }
    json!({ "type": "object", "required": needed, "properties": properties })
}

fn input_linkage(relationship: &Relationship) -> Value {
    let identifier = json!({
        "type": "object",
        "required": ["type", "id"],
        "properties": {
            "type": { "type": "string", "const": relationship.target.type_name },
            "id": { "type": ["string", "integer"] },
        },
    });
    let mut linked = json!({ "type": "object", "required": ["data"], "properties": { "data": identifier } });
    if relationship.on_create != Input::Required {
        allow_null(&mut linked["properties"]["data"]);
        allow_null(&mut linked);
    }
    linked
}
