//! Parameters: of paths, of queries and of headers.

use serde_json::{Value, json};

use super::resources::{component, reference};
use super::values::{self, example};
use crate::jsonapi::query::{DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE, Target};
use crate::jsonapi::schema::{Attribute, Filter, Input, Schema, ValueType, Values};
use crate::web::route::{Answer, Operation, QueryOf};

/// Describes the parameters of a path: those of the operation, else the id of its resource.
pub fn path_parameters(path: &str, operation: &Operation) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    names.map(|name| path_parameter(name, operation)).collect()
}

fn path_parameter(name: &str, operation: &Operation) -> Value {
    let own = operation.path.iter().find(|attribute| attribute.name == name);
    let id = match own {
        Some(attribute) => {
            let mut schema = values::answer(attribute.value_type);
            if let ValueType::Text { .. } = attribute.value_type {
                schema["minLength"] = 1.into();
            }
            return parameter("path", attribute, schema, true);
        }
        None => json!({ "type": "string", "pattern": "^[0-9]+$" }),
    };
    let schema = match (operation.query, operation.answer) {
        (QueryOf::Resource(_, schema), _) | (_, Answer::Document(_, schema)) => Some(schema),
        _ => None,
    };
    let mut described = json!({ "name": name, "in": "path", "required": true, "schema": id });
    if let Some(schema) = schema {
        described["description"] = format!("Id of one of the {}.", schema.type_name).into();
        described["example"] = schema.example_id.into();
    }
    described
}

fn parameter(place: &str, attribute: &Attribute, schema: Value, is_required: bool) -> Value {
    let mut described = json!({
        "name": attribute.name,
        "in": place,
        "description": attribute.about,
        "required": is_required,
        "schema": schema,
    });
    if let Some(example) = example(attribute) {
        described["example"] = example;
    }
    described
}

/// Describes the header parameters of an operation.
pub fn header_parameters(operation: &Operation, is_api: bool) -> Vec<Value> {
    let mut all: Vec<Value> = operation
        .headers
        .iter()
        .map(|header| {
            parameter("header", header, values::answer(header.value_type), header.on_create == Input::Required)
        })
        .collect();
    if is_api {
        all.push(json!({ "$ref": "#/components/parameters/Version" }));
    }
    all
}

/// Describes the query parameters.
pub fn query(query: &QueryOf) -> Vec<Value> {
    match query {
        QueryOf::None => Vec::new(),
        QueryOf::Plain(attributes) => attributes.iter().map(plain).collect(),
        QueryOf::Resource(target, schema) => of_resource(*target, schema),
    }
}

fn plain(attribute: &Attribute) -> Value {
    parameter("query", attribute, values::answer(attribute.value_type), attribute.on_create == Input::Required)
}

/// Names the page parameters.
fn pages() -> impl Iterator<Item = Value> {
    ["PageSize", "PageNumber", "PageOffset"]
        .into_iter()
        .map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }))
}

/// Describes the parameters that operations share, by name.
pub fn shared() -> Value {
    let query = |name: &str, about: &str, schema: Value| json!({ "name": name, "in": "query", "required": false, "description": about, "schema": schema });
    let size = json!({ "type": "integer", "minimum": 1, "maximum": LARGEST_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE });
    let number = json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX });
    let offset = json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX });
    let id = json!({ "type": "string", "pattern": "^[1-9][0-9]{0,17}$" });
    json!({
        "PageSize": query("page[size]", "Size of a page. Also `page[per_page]` or `page[limit]`.", size),
        "PageNumber": query("page[number]", "Number of the page, from 1. Also `page[page]`.", number),
        "PageOffset": query("page[offset]", "Number of skipped entries. Excludes the other starts of a page.", offset),
        "PageAfter": query("page[after]", "The page starts after this id, or after this number from the links of a page of the request log. Excludes the other starts of a page.", id.clone()),
        "PageBefore": query("page[before]", "The page ends before this id, or before this number from the links of a page of the request log. Excludes the other starts of a page.", id),
        "Version": {
            "name": "Version",
            "in": "header",
            "required": false,
            "description": "Version of the API that the client was written for. Logged, without effect.",
            "schema": { "type": "string", "pattern": "^[0-9]{1,9}[.][0-9]{1,9}([.][0-9]{1,9})?$" },
            "example": "2.1",
        },
    })
}

fn of_resource(target: Target, schema: &'static Schema) -> Vec<Value> {
    let mut parameters = Vec::new();
    if target == Target::Nothing {
        return parameters;
    }
    if target != Target::List {
        if !schema.relationships.is_empty() {
            parameters.push(include(schema));
        }
        parameters.extend(schema.reachable().into_iter().map(fields));
    }
    if target == Target::Collection {
        parameters.push(sort(schema));
    }
    if target != Target::Single {
        parameters.extend(schema.filters.iter().map(filter));
        parameters.extend(pages());
        if schema.pages_by_id {
            let ends = ["PageAfter", "PageBefore"];
            parameters.extend(ends.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })));
        }
    }
    parameters
}

/// Describes a parameter with values separated by commas.
fn list(name: &str, about: &str, items: Value) -> Value {
    json!({
        "name": name,
        "in": "query",
        "required": false,
        "description": about,
        "style": "form",
        "explode": false,
        "schema": { "type": "array", "items": items },
    })
}

fn include(schema: &Schema) -> Value {
    let names: Vec<&str> = schema.relationships.iter().map(|relationship| relationship.name).collect();
    let default = match schema.default_include {
        [] => "none".to_owned(),
        paths => paths.join(","),
    };
    let about = format!(
        "Related resources to include, as paths of up to five relationships joined by dots. Default: {default}."
    );
    let mut described = list(
        "include",
        &about,
        json!({ "type": "string", "pattern": format!("^({})([.][a-z_]+)*$", names.join("|")) }),
    );
    described["example"] = json!(names);
    described
}

/// Refers to the component that describes the sparse fieldset of a type.
fn fields(schema: &'static Schema) -> Value {
    json!({ "$ref": format!("#/components/parameters/{}Fields", component(schema)) })
}

/// Describes the sparse fieldset of a type, and the names of its fields.
pub fn fieldset(schema: &'static Schema) -> ((String, Value), (String, Value)) {
    let name = component(schema);
    // an empty value names none
    let names: Vec<&str> = schema.fields().chain([""]).collect();
    let about = format!("The only attributes and relationships to show of {}.", schema.type_name);
    let field = format!("{name}Field");
    let parameter = list(&format!("fields[{}]", schema.type_name), &about, reference(&field));
    ((format!("{name}Fields"), parameter), (field, json!({ "type": "string", "enum": names })))
}

fn sort(schema: &Schema) -> Value {
    let mut keys = Vec::new();
    for key in std::iter::once("id").chain(schema.sort.iter().copied()) {
        keys.extend([key.to_owned(), format!("-{key}")]);
    }
    let about = "Sort keys, each once; a leading `-` means descending. Default: id.";
    let mut described = list("sort", about, json!({ "type": "string", "enum": keys }));
    described["schema"]["uniqueItems"] = true.into();
    described
}

fn filter(filter: &Filter) -> Value {
    let name = format!("filter[{}]", filter.name);
    let any = "Any of these.";
    match filter.values {
        Values::Ids => list(&name, any, json!({ "type": "string", "pattern": "^[0-9]+$" })),
        Values::OneOf(names) => list(&name, any, json!({ "type": "string", "enum": names })),
        Values::Boolean => list(&name, any, json!({ "type": "string", "enum": ["true", "false"] })),
        Values::Text => {
            let about = "Any of these texts. A backslash stands before a comma or backslash that belongs to a text.";
            list(&name, about, json!({ "type": "string" }))
        }
        Values::Resource(types) => {
            let pattern = format!("^({})(/[0-9]+)?$", types.join("|"));
            let about = "One resource, `TYPE/ID`, or all of a `TYPE`.";
            single(&name, about, json!({ "type": "string", "pattern": pattern }))
        }
        Values::Checked { expected, .. } => {
            single(&name, &format!("Value: {expected}."), json!({ "type": "string", "minLength": 1 }))
        }
        Values::Since => {
            let about = "Only after the resource with this id, or from this time on (RFC 3339).";
            let since = json!({ "anyOf": [{ "type": "string", "pattern": "^[0-9]+$" }, { "type": "string", "format": "date-time" }] });
            single(&name, about, since)
        }
    }
}

fn single(name: &str, about: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": about, "schema": schema })
}
