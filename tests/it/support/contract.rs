//! The API document, and the check of every answer against it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use concierge_sandbox::contract;
use jsonschema::Validator;
use parking_lot::Mutex;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::Call;

/// Headers of every answer of HTTP, which OpenAPI doesn't describe.
const TRANSPORT: [&str; 7] =
    ["connection", "content-length", "content-type", "date", "keep-alive", "transfer-encoding", "trailer"];

/// The API document.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| contract::document("http://localhost:8080", &[]));

/// Number of answers that a fault or a preference injected.
static INJECTED: AtomicU64 = AtomicU64::new(0);

/// A request and its answer.
#[derive(Debug)]
pub struct Exchange<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub status: u16,
    pub headers: &'a HeaderMap,
    pub text: &'a str,
}

/// Panics unless the document describes the answer: its status, its headers and its body.
///
/// Answers injected by a fault or `Prefer` have any status, so only their body is checked.
#[track_caller]
pub fn check(exchange: &Exchange<'_>) {
    if let Err(fault) = fault(exchange) {
        panic!("the API document does not describe this answer: {fault}\n{exchange:#?}");
    }
}

/// Returns the number of exempt answers: a fault or a preference injected them.
pub fn injected() -> u64 {
    INJECTED.load(Ordering::Relaxed)
}

/// Returns what the document does not describe.
pub fn fault(exchange: &Exchange<'_>) -> Result<(), String> {
    // without a body, HEAD has the answers of GET
    let is_head = exchange.method == "HEAD";
    let body: Value = serde_json::from_str(exchange.text).unwrap_or_default();
    // only requests to the API have faults and preferences
    if exchange.path.starts_with("/api/") && body["errors"][0]["code"] == "fault_injected" {
        INJECTED.fetch_add(1, Ordering::Relaxed);
        return validate("error document", &json!({ "$ref": "#/components/schemas/ErrorDocument" }), &body);
    }
    let method = if is_head { "get".to_owned() } else { exchange.method.to_ascii_lowercase() };
    let (pointer, operation) = operation(exchange.path, &method);
    let response = match (operation, exchange.status) {
        (Found::Operation(operation), status) => response_of(operation, &status.to_string()),
        (Found::NoMethod, 405) => &DOCUMENT["components"]["responses"]["MethodNotAllowed"],
        (Found::NoPath, 404) => &DOCUMENT["components"]["responses"]["RouteUnknown"],
        (Found::NoMethod | Found::NoPath, _) => &Value::Null,
    };
    if response.is_null() {
        return Err(format!("{pointer} has no response {}", exchange.status));
    }
    check_headers(response, exchange.headers)?;
    if is_head {
        return Ok(());
    }
    let Some(content) = response["content"].as_object() else {
        return if exchange.text.is_empty() { Ok(()) } else { Err("the response has no content".to_owned()) };
    };
    let media_type = exchange.headers.get("content-type").map_or("", |value| value.to_str().unwrap());
    let media_type = media_type.split(';').next().unwrap();
    let Some(media) = content.get(media_type) else {
        return Err(format!("the response has no content of {media_type:?}"));
    };
    if media_type.ends_with("json") {
        validate(&format!("{pointer} {} {media_type}", exchange.status), &media["schema"], &body)?;
    }
    if exchange.status >= 400 {
        check_codes(operation, exchange.status, response, &body)
    } else {
        check_present(exchange.query, &body)
    }
}

/// The part of the document for a path and a method.
#[derive(Clone, Copy)]
enum Found {
    Operation(&'static Value),
    NoMethod,
    NoPath,
}

/// Finds the operation of a request: the path with the most literal segments.
fn operation(path: &str, method: &str) -> (String, Found) {
    let document: &'static Value = &DOCUMENT;
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let segments: Vec<&str> = path.split('/').collect();
    let literals = |template: &str| template.split('/').filter(|segment| !segment.starts_with('{')).count();
    let matches = |template: &&String| {
        let wanted: Vec<&str> = template.split('/').collect();
        let same = |(wanted, found): (&&str, &&str)| wanted == found || (wanted.starts_with('{') && !found.is_empty());
        wanted.len() == segments.len() && wanted.iter().zip(&segments).all(same)
    };
    let paths = document["paths"].as_object().unwrap();
    let Some(template) = paths.keys().filter(matches).max_by_key(|template| literals(template)) else {
        return (path.to_owned(), Found::NoPath);
    };
    let pointer = format!("{method} {template}");
    match &paths[template][method] {
        Value::Null => (pointer, Found::NoMethod),
        operation => (pointer, Found::Operation(operation)),
    }
}

/// Returns a response of an operation; most errors are components.
fn response_of(operation: &'static Value, status: &str) -> &'static Value {
    let response = &operation["responses"][status];
    match response["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(&reference[1..]).unwrap(),
        None => response,
    }
}

fn check_headers(response: &Value, headers: &HeaderMap) -> Result<(), String> {
    let described = response["headers"].as_object().unwrap();
    for (name, value) in headers {
        // the CORS protocol is no part of an operation: its setting may add headers anywhere under /api
        if TRANSPORT.contains(&name.as_str()) || name.as_str().starts_with("access-control-") {
            continue;
        }
        let Some((known, _)) = described.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_str())) else {
            return Err(format!("the response has no header {name}"));
        };
        let header = &DOCUMENT["components"]["headers"][known];
        let text = value.to_str().unwrap();
        let typed = text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number));
        let value = if header["schema"]["type"] == "integer" { typed } else { json!(text) };
        validate(&format!("header {known}"), &header["schema"], &value)?;
    }
    let required = described.keys().filter(|name| DOCUMENT["components"]["headers"][*name]["required"] == true);
    match required.into_iter().find(|name| !headers.contains_key(name.as_str())) {
        Some(name) => Err(format!("the header {name} is missing")),
        None => Ok(()),
    }
}

/// Checks that the operation names every code in the answer, under its status.
fn check_codes(operation: Found, status: u16, response: &Value, body: &Value) -> Result<(), String> {
    let named = |response: &Value, code: &Value| response["x-error-codes"].as_array().unwrap().contains(code);
    for error in body["errors"].as_array().unwrap() {
        // errors of several statuses share the general one
        let of_own_status = match operation {
            Found::Operation(operation) if status == 400 => response_of(operation, error["status"].as_str().unwrap()),
            _ => response,
        };
        if of_own_status.is_null() || !named(of_own_status, &error["code"]) {
            return Err(format!("no response {} names the code {}", error["status"], error["code"]));
        }
    }
    Ok(())
}

/// Checks that resources without sparse fieldsets have every member that is always there.
fn check_present(query: &str, body: &Value) -> Result<(), String> {
    if form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name.starts_with("fields[")) {
        return Ok(());
    }
    let data = match &body["data"] {
        Value::Array(resources) => resources.as_slice(),
        resource @ Value::Object(_) => std::slice::from_ref(resource),
        _ => &[],
    };
    let primary = data.iter().map(|resource| (resource, "x-present"));
    let included = body["included"].as_array().into_iter().flatten().map(|resource| (resource, "x-present-included"));
    for (resource, list) in primary.chain(included).filter(|(resource, _)| resource["attributes"].is_object()) {
        let type_name = resource["type"].as_str().unwrap_or_default();
        let described = DOCUMENT["components"]["schemas"].as_object().unwrap().values();
        let attributes = described.map(|schema| &schema["properties"]).find_map(|properties| {
            let is_own = properties["type"]["const"] == type_name && properties["attributes"][list].is_array();
            is_own.then(|| &properties["attributes"][list])
        });
        for name in attributes.and_then(Value::as_array).into_iter().flatten() {
            if resource["attributes"].get(name.as_str().unwrap()).is_none() {
                return Err(format!("{type_name} without the attribute {name}"));
            }
        }
    }
    Ok(())
}

/// Panics unless the document describes a delivery as a webhook: its headers and its body.
#[track_caller]
pub fn check_event(call: &Call) {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    if body["data"]["type"] != "events" {
        // a test of attempts alone sends other bytes
        return;
    }
    let name = body["data"]["attributes"]["event_type"].as_str().unwrap();
    let described = &DOCUMENT["webhooks"][name]["post"];
    assert!(described.is_object(), "the API document has no webhook {name}");
    let schema = &described["requestBody"]["content"]["application/json"]["schema"];
    let fault = validate(&format!("webhook {name}"), schema, &body);
    let headers = described["parameters"].as_array().unwrap();
    let fault = headers.iter().fold(fault, |fault, header| {
        let known = header["name"].as_str().unwrap();
        // an account without a key has no headers of authentication
        let Some(value) = call.header(&known.to_lowercase()) else { return fault };
        fault.and_then(|()| validate(&format!("webhook header {known}"), &header["schema"], &json!(value)))
    });
    assert_eq!(fault, Ok(()), "the API document does not describe this event: {body:#}");
}

/// Validates a value against a schema of the document. `name` identifies the schema.
pub fn validate(name: &str, schema: &Value, value: &Value) -> Result<(), String> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let known = VALIDATORS.lock().get(name).cloned();
    let validator = known.unwrap_or_else(|| {
        let root = json!({ "components": DOCUMENT["components"], "allOf": [schema] });
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        let built = Arc::new(options.build(&root).unwrap_or_else(|error| panic!("{name}: {error}")));
        VALIDATORS.lock().insert(name.to_owned(), Arc::clone(&built));
        built
    });
    let faults: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{} at {:?}", error, error.instance_path().as_str()))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(format!("{name}: {}", faults.join("; "))) }
}
