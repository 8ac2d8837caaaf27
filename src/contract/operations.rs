//! Path items: each operation of the doors with its parameters, body and answers.

use serde_json::{Map, Value, json};

use super::parameters::{header_parameters, path_parameters, query};
use super::resources::{component, document_or_null, reference};
use super::{errors, resources, values};
use crate::jsonapi::MEDIA_TYPE;
use crate::jsonapi::schema::Schema;
use crate::web::route::{Answer, Body, Key, Operation, Route};

/// An operation of a door.
#[derive(Debug, Clone)]
pub struct Described {
    /// Path with its parameters in braces.
    pub path: String,
    pub id: String,
    pub summary: String,
    pub operation: Operation,
    /// Group in lists of operations.
    pub tag: &'static str,
    /// True if the rate limit counts it.
    pub is_limited: bool,
}

/// Returns the operations of a table of routes.
pub fn of_table(routes: &'static [Route], tag: fn(&'static str) -> &'static str, is_limited: bool) -> Vec<Described> {
    let mut all = Vec::new();
    for route in routes {
        for operation in route.operations {
            all.push(Described {
                path: route.path.to_owned(),
                id: operation.id.to_owned(),
                summary: operation.summary.to_owned(),
                operation: *operation,
                tag: tag(route.path),
                is_limited,
            });
        }
    }
    all
}

/// Describes the paths of these operations.
pub fn paths(operations: &[Described], generator: &mut schemars::SchemaGenerator, examples: &Value) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for described in operations {
        let method = described.operation.method.to_ascii_lowercase();
        let item = describe(described, operations, generator, examples);
        paths.entry(described.path.clone()).or_insert_with(|| json!({}))[method] = item;
    }
    Value::Object(paths)
}

fn describe(
    described: &Described,
    operations: &[Described],
    generator: &mut schemars::SchemaGenerator,
    examples: &Value,
) -> Value {
    let Described { path, id, summary, operation, tag, is_limited } = described;
    let mut item = json!({ "tags": [tag], "operationId": id, "summary": summary });
    let mut parameters = path_parameters(path, operation);
    parameters.extend(query(&operation.query));
    parameters.extend(header_parameters(operation, *is_limited || path.starts_with("/api/")));
    if !parameters.is_empty() {
        item["parameters"] = parameters.into();
    }
    if let Some(body) = request_body(described) {
        item["requestBody"] = body;
    }
    let mut responses = Map::new();
    if let Some((status, success)) = described_success(described, operations, generator, examples) {
        responses.insert(status.to_string(), success);
    }
    responses.extend(errors::responses(&errors::of(path, operation, *is_limited), operation.answer_headers));
    item["responses"] = Value::Object(responses);
    item["security"] = security(operation.key);
    item
}

/// Describes the answer of a success with its example and its links, if there is one.
fn described_success(
    described: &Described,
    operations: &[Described],
    generator: &mut schemars::SchemaGenerator,
    examples: &Value,
) -> Option<(u16, Value)> {
    let Described { id, operation, .. } = described;
    let (status, mut success) = success(&operation.answer, &described.summary, operation.answer_headers, generator)?;
    if let Some(example) = examples.get(id).filter(|_| success.get("content").is_some()) {
        for content in success["content"].as_object_mut().into_iter().flat_map(Map::values_mut).take(1) {
            content["example"] = example.clone();
        }
    }
    let links = links(described, operations);
    if !links.is_empty() {
        success["links"] = Value::Object(links);
    }
    Some((status, success))
}

fn security(key: Key) -> Value {
    match key {
        Key::None => json!([]),
        Key::Optional => json!([{}, { "apiKey": [] }]),
        Key::Read | Key::Write => json!([{ "apiKey": [] }]),
        Key::Admin => json!([{}, { "adminToken": [] }]),
        Key::OwnerOrAdmin => json!([{ "apiKey": [] }, { "adminToken": [] }]),
    }
}

fn request_body(described: &Described) -> Option<Value> {
    let operation = &described.operation;
    let (schema, is_required, media_types): (Value, bool, &[&str]) = match operation.body {
        Body::None => return None,
        Body::Empty => {
            let nothing = json!({ "type": "object", "additionalProperties": false });
            (nothing, false, &["application/json"])
        }
        Body::Create(schema) => {
            (reference(&format!("{}Creation", component(schema))), true, &[MEDIA_TYPE, "application/json"])
        }
        Body::Update(schema) => {
            (reference(&update_name(schema, &described.path)), true, &[MEDIA_TYPE, "application/json"])
        }
        Body::Action(_, attributes) => (resources::action(attributes), false, &[MEDIA_TYPE, "application/json"]),
        Body::Plain(members) => {
            let is_required = members.iter().any(|member| member.on_create == crate::jsonapi::schema::Input::Required);
            (values::input_object(members, false), is_required, &["application/json"])
        }
        Body::Resources(schemas) => (resources::resources(schemas), true, &[MEDIA_TYPE, "application/json"]),
        Body::Items(item) => {
            let list = json!({ "type": "array", "items": item() });
            let body = json!({
                "type": "object",
                "required": ["data"],
                "properties": { "data": list, "meta": ignored(), "links": ignored() },
                "additionalProperties": false,
            });
            (body, true, &["application/json"])
        }
    };
    let mut content = Map::new();
    for media_type in media_types {
        let mut media = json!({ "schema": schema });
        if let Some(example) = operation.example.and_then(|example| serde_json::from_str::<Value>(example).ok()) {
            media["example"] = example;
        }
        content.insert((*media_type).to_owned(), media);
    }
    Some(json!({ "required": is_required, "content": content }))
}

/// Describes a member of an answer that has no effect in a body.
fn ignored() -> Value {
    json!({ "description": "Part of answers; ignored." })
}

/// Returns the component of the body that updates a resource. A path by role ignores the id.
pub fn update_name(schema: &Schema, path: &str) -> String {
    let by_role = if path.contains('{') { "" } else { "ByRole" };
    format!("{}Update{by_role}", component(schema))
}

fn success(
    answer: &Answer,
    summary: &str,
    own: &[&str],
    generator: &mut schemars::SchemaGenerator,
) -> Option<(u16, Value)> {
    let json_api = |schema: Value| json!({ MEDIA_TYPE: { "schema": schema } });
    let document = |schema: &Schema| reference(&format!("{}Document", component(schema)));
    let (status, about, names, content): (u16, &str, &[&str], Option<Value>) = match answer {
        Answer::Document(status, schema) => (*status, "The resource.", &[], Some(json_api(document(schema)))),
        Answer::Created(schema) => (201, "The new resource.", &["Location"], Some(json_api(document(schema)))),
        Answer::DocumentOrNull(schema) => {
            (200, "The resource, or null.", &[], Some(json_api(document_or_null(schema))))
        }
        Answer::Collection(schema) => {
            let collection = reference(&format!("{}Collection", component(schema)));
            (200, "A page of the collection.", &[], Some(json_api(collection)))
        }
        Answer::Never => return None,
        Answer::Empty => (204, "Done; there is no body.", &[], None),
        Answer::Json(status, schema) => {
            let schema = schema(generator).to_value();
            (*status, summary, &[], Some(json!({ "application/json": { "schema": schema } })))
        }
        Answer::CreatedJson(schema) => {
            let schema = schema(generator).to_value();
            (201, summary, &["Location"], Some(json!({ "application/json": { "schema": schema } })))
        }
        Answer::JsonOrText(schema, media_type) => {
            let schema = schema(generator).to_value();
            let content = json!({
                "application/json": { "schema": schema },
                *media_type: { "schema": { "type": "string" } },
            });
            (200, summary, &[], Some(content))
        }
        Answer::Files(media_types) => {
            let texts = media_types.iter().map(|name| ((*name).to_owned(), json!({ "schema": { "type": "string" } })));
            (200, "The file.", &[], Some(Value::Object(texts.collect())))
        }
        Answer::JsonOrPage(schema) => {
            let schema = schema(generator).to_value();
            let content = json!({
                "application/json": { "schema": schema },
                "text/html": { "schema": { "type": "string" } },
            });
            (200, "The document, in the format that `Accept` prefers.", &[], Some(content))
        }
        Answer::Structured(media_type) => {
            let schema = json!({ "type": "object", "additionalProperties": true });
            (200, summary, &[], Some(json!({ *media_type: { "schema": schema } })))
        }
        Answer::Text(media_type) => {
            (200, summary, &[], Some(json!({ *media_type: { "schema": { "type": "string" } } })))
        }
    };
    let mut headers = errors::EVERY_HEADER.to_vec();
    headers.extend(names);
    headers.extend(own);
    let mut response = json!({ "description": about, "headers": errors::header_references(&headers) });
    if let Some(content) = content {
        response["content"] = content;
    }
    Some((status, response))
}

/// Links an answer with a resource to the operations of that resource.
fn links(described: &Described, operations: &[Described]) -> Map<String, Value> {
    let (Answer::Created(schema) | Answer::Document(_, schema)) = described.operation.answer else { return Map::new() };
    let prefix = format!("{}/{{id}}", schema.path);
    let simulations = format!("/_sandbox/simulations/{}/{{id}}/", schema.type_name);
    let names_id = |other: &&Described| {
        let path = &other.path;
        (*path == prefix || path.starts_with(&format!("{prefix}/")) || path.starts_with(&simulations))
            && other.id != described.id
    };
    let link = |other: &Described| {
        let id = json!({ "id": "$response.body#/data/id" });
        (other.id.clone(), json!({ "operationId": other.id, "parameters": id }))
    };
    operations.iter().filter(names_id).map(link).collect()
}
