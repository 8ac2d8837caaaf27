//! Rules for every document of the server.

use std::collections::HashSet;

use concierge_sandbox::concierge::SCHEMAS;
use concierge_sandbox::jsonapi::schema::Schema;
use serde_json::{Map, Value};

use super::{Key, key, linked, resources, text};

/// Asserts that a document has the specified structure and only known members.
#[track_caller]
pub fn document(document: &Value) {
    let top = object(document);
    only(top, &["data", "included", "links", "meta", "jsonapi"]);
    let data = top.get("data").expect("a document without errors has data");
    assert!(data.is_array() || data.is_object(), "primary data: {data}");
    let mut seen: HashSet<Key> = HashSet::new();
    let included = top.get("included").map(|included| included.as_array().expect("included is an array"));
    for resource in resources(data).chain(included.into_iter().flatten()) {
        resource_object(resource);
        assert!(seen.insert(key(resource)), "{:?} appears twice in {document}", key(resource));
    }
    if let Some(links) = top.get("links") {
        only(object(links), &["self", "related", "describedby", "first", "last", "prev", "next"]);
        for link in object(links).values() {
            let is_absolute = |link: &str| link.starts_with("http://127.0.0.1:") && link.contains("/api/");
            assert!(link.is_null() || link.as_str().is_some_and(is_absolute), "link {link}");
        }
        assert!(links["self"].is_string() && (data.is_array() || links.get("first").is_none()), "{links}");
    }
    if let Some(meta) = top.get("meta") {
        assert!(object(meta).get("status").is_none(), "a status in meta looks like the HTTP status: {meta}");
    }
}

/// Asserts that every included resource is linked from the primary data, directly or indirectly.
#[track_caller]
pub fn full_linkage(document: &Value) {
    let Some(included) = document["included"].as_array() else { return };
    let mut reached: HashSet<Key> = HashSet::new();
    let mut next: Vec<Key> = resources(&document["data"]).flat_map(|resource| linked(resource, None)).collect();
    while let Some(found) = next.pop() {
        if reached.insert(found.clone()) {
            let resource = included.iter().find(|resource| key(resource) == found);
            next.extend(resource.into_iter().flat_map(|resource| linked(resource, None)));
        }
    }
    for resource in included {
        assert!(reached.contains(&key(resource)), "nothing links to {:?} in {document}", key(resource));
    }
}

#[track_caller]
fn resource_object(resource: &Value) {
    let members = object(resource);
    only(members, &["id", "type", "attributes", "relationships", "links", "meta"]);
    assert!(!text(&resource["id"]).is_empty(), "id of {resource}");
    let schema = schema(text(&resource["type"]));
    let attributes = object(members.get("attributes").expect("every resource has attributes"));
    for name in attributes.keys() {
        assert!(schema.attributes.iter().any(|attribute| attribute.name == name), "{name} of {resource}");
    }
    let Some(relationships) = members.get("relationships") else { return };
    for (name, relationship) in object(relationships) {
        let declared = schema.relationship(name).unwrap_or_else(|| panic!("{name} of {resource}"));
        only(object(relationship), &["data", "links", "meta"]);
        let data = object(relationship).get("data").expect("every relationship has data");
        for identifier in resources(data) {
            assert_eq!(object(identifier).keys().collect::<Vec<_>>(), ["id", "type"], "{identifier}");
            assert!(!text(&identifier["id"]).is_empty(), "{identifier}");
            assert_eq!(identifier["type"], declared.target.type_name, "{name} of {resource}");
        }
    }
}

/// Returns the schema of a declared type.
#[track_caller]
pub fn schema(type_name: &str) -> &'static Schema {
    SCHEMAS.iter().find(|schema| schema.type_name == type_name).unwrap_or_else(|| panic!("no type {type_name}"))
}

#[track_caller]
fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("{value} is not an object"))
}

#[track_caller]
fn only(object: &Map<String, Value>, known: &[&str]) {
    for name in object.keys() {
        assert!(known.contains(&name.as_str()), "the member {name} is not among {known:?}");
    }
}
