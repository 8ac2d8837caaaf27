//! The errors of an operation, and the answers that carry them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::resources::reference;
use super::values::{closed, members};
use crate::accounts::caller::{self, ACTING_USER_UNKNOWN, INVALID_API_KEY, NOT_ENOUGH_PERMISSIONS, TOO_MANY_ACCOUNTS};
use crate::database::OUTCOME_UNKNOWN;
use crate::jsonapi::error::{
    ACCEPT_UNSUPPORTED, ANSWER_TOO_LARGE, ATTRIBUTE_INVALID, ATTRIBUTE_MISSING, ATTRIBUTE_UNKNOWN, BODY_TIMEOUT,
    BODY_TOO_LARGE, CLIENT_ID_FORBIDDEN, CONTENT_ENCODING_UNSUPPORTED, Code, DOCUMENT_INVALID, FIELD_UNKNOWN,
    FILTER_UNKNOWN, HEADER_INVALID, HOST_NOT_ALLOWED, ID_MISMATCH, INCLUDE_UNKNOWN, INTERNAL, JSON_INVALID,
    MEDIA_TYPE_UNSUPPORTED, METHOD_NOT_ALLOWED, ORIGIN_NOT_ALLOWED, PARAMETER_INVALID, PARAMETER_UNKNOWN, RATE_LIMITED,
    RELATIONSHIP_MISSING, RELATIONSHIP_TYPE_MISMATCH, RESOURCE_NOT_FOUND, ROUTE_UNKNOWN, SORT_UNKNOWN, TYPE_MISMATCH,
    UNAVAILABLE, URL_TOO_LONG,
};
use crate::jsonapi::query::Target;
use crate::jsonapi::{self, MEDIA_TYPE};
use crate::sandbox::accounts::INVALID_ADMIN_TOKEN;
use crate::web::route::{Body, Key, Operation, QueryOf};
use crate::{concierge, database, sandbox};

/// Headers of every answer.
pub const EVERY_HEADER: [&str; 2] = ["X-Request-Id", "Vary"];
/// Name of the extension that lists the codes of an answer.
const CODES: &str = "x-error-codes";

/// Returns all error codes.
pub fn all() -> Vec<Code> {
    let rooms = [jsonapi::error::CODES, database::error::CODES, caller::CODES];
    let mut codes: Vec<Code> =
        rooms.into_iter().chain(concierge::CODES).chain(sandbox::CODES).flatten().copied().collect();
    codes.sort_by_key(|code| (code.status, code.name));
    codes
}

/// Describes error documents, and lists all codes.
pub fn components() -> Vec<(String, Value)> {
    let text = |about: &str| json!({ "type": "string", "minLength": 1, "description": about });
    let source = json!({
        "type": "object",
        "description": "The faulty part of the request: exactly one of these.",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {
            "pointer": { "type": "string", "description": "JSON pointer (RFC 6901) to an existing part of the document." },
            "parameter": { "type": "string", "description": "Query parameter, as it was sent." },
            "header": { "type": "string", "description": "Header." },
        },
        "additionalProperties": false,
    });
    let error = json!({
        "status": { "type": "string", "pattern": "^[45][0-9]{2}$", "description": "HTTP status of this error." },
        "code": reference("ErrorCode"),
        "title": text("Summary, the same for every error of the code."),
        "detail": text("The fault of this value, and what would be right."),
        "source": source,
        "meta": { "type": "object", "description": "Further facts, for programs.", "additionalProperties": true },
    });
    let errors = json!({ "errors": { "type": "array", "minItems": 1, "items": reference("Error") } });
    let names: Vec<&str> = all().iter().map(|code| code.name).collect();
    vec![
        ("Error".to_owned(), closed(members(error), &["status", "code", "title", "detail"])),
        ("ErrorDocument".to_owned(), closed(members(errors), &["errors"])),
        (
            "ErrorCode".to_owned(),
            json!({ "type": "string", "enum": names, "description": "Stable code, for programs." }),
        ),
    ]
}

/// Returns every error that an operation may answer. `is_limited` says that the rate limit counts it.
pub fn of(path: &str, operation: &Operation, is_limited: bool) -> Vec<Code> {
    let mut codes = vec![INTERNAL, UNAVAILABLE];
    // requests that change nothing can always be repeated
    let of_database = database::error::CODES.iter().copied();
    codes.extend(of_database.filter(|code| *code != OUTCOME_UNKNOWN || operation.method != "GET"));
    if operation.is_checked {
        codes.extend([HEADER_INVALID, ACCEPT_UNSUPPORTED, BODY_TIMEOUT, BODY_TOO_LARGE, MEDIA_TYPE_UNSUPPORTED]);
        // a body that ends before its declared length
        codes.push(DOCUMENT_INVALID);
        if !matches!(operation.body, Body::None) {
            codes.push(CONTENT_ENCODING_UNSUPPORTED);
        }
    }
    match operation.key {
        Key::None => {}
        Key::Optional | Key::Read => codes.extend([INVALID_API_KEY, ACTING_USER_UNKNOWN]),
        Key::Write | Key::OwnerOrAdmin => {
            codes.extend([INVALID_API_KEY, ACTING_USER_UNKNOWN, NOT_ENOUGH_PERMISSIONS]);
        }
        Key::Admin => codes.push(INVALID_ADMIN_TOKEN),
    }
    // an unknown key may create its account
    if operation.key != Key::None {
        codes.extend([RATE_LIMITED, TOO_MANY_ACCOUNTS]);
    }
    codes.push(HOST_NOT_ALLOWED);
    if path.starts_with("/_sandbox/") {
        codes.push(ORIGIN_NOT_ALLOWED);
    }
    if is_limited {
        codes.push(RATE_LIMITED);
    }
    if path.contains('{') {
        codes.push(RESOURCE_NOT_FOUND);
    }
    match operation.query {
        QueryOf::Resource(Target::Collection, _) => codes.extend([
            PARAMETER_INVALID,
            PARAMETER_UNKNOWN,
            INCLUDE_UNKNOWN,
            FIELD_UNKNOWN,
            SORT_UNKNOWN,
            FILTER_UNKNOWN,
            URL_TOO_LONG,
        ]),
        QueryOf::Resource(Target::Single, _) => {
            codes.extend([PARAMETER_INVALID, PARAMETER_UNKNOWN, INCLUDE_UNKNOWN, FIELD_UNKNOWN]);
        }
        QueryOf::Resource(Target::List, _) => {
            codes.extend([PARAMETER_INVALID, PARAMETER_UNKNOWN, FILTER_UNKNOWN, URL_TOO_LONG]);
        }
        QueryOf::Plain(_) => codes.extend([PARAMETER_INVALID, PARAMETER_UNKNOWN]),
        QueryOf::None | QueryOf::Resource(Target::Nothing, _) if operation.is_checked => {
            codes.extend([PARAMETER_INVALID, PARAMETER_UNKNOWN]);
        }
        QueryOf::None | QueryOf::Resource(Target::Nothing, _) => {}
    }
    if operation.method == "GET"
        && matches!(operation.query, QueryOf::Resource(Target::Collection | Target::List | Target::Single, _))
    {
        codes.push(ANSWER_TOO_LARGE);
    }
    match operation.body {
        Body::None | Body::Action(..) => {}
        Body::Empty => codes.extend([JSON_INVALID, ATTRIBUTE_UNKNOWN]),
        Body::Create(schema) => {
            codes.extend([JSON_INVALID, TYPE_MISMATCH, CLIENT_ID_FORBIDDEN, ATTRIBUTE_MISSING, ATTRIBUTE_INVALID]);
            if !schema.relationships.is_empty() {
                codes.extend([RELATIONSHIP_MISSING, RELATIONSHIP_TYPE_MISMATCH]);
            }
        }
        Body::Update(_) => codes.extend([JSON_INVALID, TYPE_MISMATCH, ID_MISMATCH, ATTRIBUTE_INVALID]),
        Body::Plain(_) | Body::Items(_) => {
            codes.extend([JSON_INVALID, ATTRIBUTE_MISSING, ATTRIBUTE_INVALID, ATTRIBUTE_UNKNOWN]);
        }
        Body::Resources(_) => codes.extend([
            JSON_INVALID,
            TYPE_MISMATCH,
            ATTRIBUTE_MISSING,
            ATTRIBUTE_INVALID,
            ATTRIBUTE_UNKNOWN,
            RELATIONSHIP_MISSING,
            RELATIONSHIP_TYPE_MISMATCH,
        ]),
    }
    codes.extend(operation.codes);
    codes
}

/// Describes the error answers with these codes, by status. `headers` are those of the operation.
pub fn responses(codes: &[Code], headers: &[&str]) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, BTreeMap<&str, &str>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status).or_default().insert(code.name, code.title);
    }
    by_status.iter().map(|(status, codes)| (status.to_string(), response(*status, codes, headers))).collect()
}

/// Moves the error answers of all operations to components, and returns those: the same answer is described once.
pub fn share_responses(paths: &mut Value) -> Map<String, Value> {
    let of = |code: Code| response(code.status, &BTreeMap::from([(code.name, code.title)]), &[]);
    let mut shared = Map::from_iter([
        ("RouteUnknown".to_owned(), of(ROUTE_UNKNOWN)),
        ("MethodNotAllowed".to_owned(), of(METHOD_NOT_ALLOWED)),
    ]);
    let operations = paths.as_object_mut().into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut);
    let responses = operations.flat_map(Map::values_mut).filter_map(|operation| operation["responses"].as_object_mut());
    for (status, response) in responses.flatten() {
        let Some(codes) = response[CODES].as_array() else { continue };
        let codes = codes.iter().filter_map(Value::as_str);
        // every operation has these
        let is_general =
            |name: &str| database::error::CODES.iter().any(|code| code.name == name && *code != OUTCOME_UNKNOWN);
        let codes: Vec<&str> = codes.filter(|name| !is_general(name)).collect();
        // the name tells the codes only, so the headers must follow from the status
        if response["headers"] != headers(status.parse().unwrap_or_default(), &[]) {
            continue;
        }
        let name = format!("{status}-{}", codes.join("-"));
        let described = std::mem::replace(response, json!({ "$ref": format!("#/components/responses/{name}") }));
        shared.insert(name, described);
    }
    shared
}

fn response(status: u16, codes: &BTreeMap<&str, &str>, own: &[&str]) -> Value {
    let described: Vec<String> = codes.iter().map(|(name, title)| format!("`{name}`: {title}.")).collect();
    let names: Vec<&&str> = codes.keys().collect();
    json!({
        "description": described.join("\n"),
        "headers": headers(status, own),
        "content": { MEDIA_TYPE: { "schema": reference("ErrorDocument") } },
        CODES: names,
    })
}

/// Describes the headers of an error answer.
fn headers(status: u16, own: &[&str]) -> Value {
    let mut names = EVERY_HEADER.to_vec();
    names.extend(own);
    match status {
        401 => names.push("WWW-Authenticate"),
        405 => names.push("Allow"),
        415 => names.push("Accept-Encoding"),
        429 | 503 => names.push("Retry-After"),
        _ => {}
    }
    header_references(&names)
}

/// Returns references to the components of headers.
pub fn header_references(names: &[&str]) -> Value {
    let references =
        names.iter().map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })));
    Value::Object(references.collect())
}
