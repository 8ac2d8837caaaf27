//! The API document: it is valid, every answer is held against it, and every example of it works.

mod examples;
mod page;
mod planted;

use std::collections::BTreeSet;

use concierge_sandbox::config::Config;
use concierge_sandbox::contract;
use serde_json::{Value, json};

use crate::support::contract::DOCUMENT;
use crate::support::{Program, account, sandbox_with};

/// The committed document: each change of the contract shows in it.
const GOLDEN: &str = include_str!("openapi.yaml");

/// Returns every operation as (method, path, operation).
fn operations() -> Vec<(&'static str, &'static str, &'static Value)> {
    let document: &'static Value = &DOCUMENT;
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            all.push((method.as_str(), path.as_str(), operation));
        }
    }
    all
}

#[test]
fn committed_document_is_up_to_date() {
    let text = contract::yaml(&contract::document("http://127.0.0.1:8080", &Config::described())).unwrap();
    let differs = text.lines().zip(GOLDEN.lines()).position(|(now, then)| now != then);
    let line = differs.unwrap_or_else(|| text.lines().count().min(GOLDEN.lines().count())) + 1;
    let update = "`cargo run -- openapi --format yaml > tests/it/contract/openapi.yaml`, and read the difference";
    assert!(
        text == GOLDEN,
        "tests/it/contract/openapi.yaml differs from line {line} on; bring it up to date: {update}"
    );
}

#[tokio::test]
async fn program_prints_the_document_without_a_database() {
    let nowhere = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")];
    let printed = Program::run(&["openapi", "--format", "yaml"], &nowhere).ended().await;
    assert!(printed.status.success() && printed.stderr.is_empty(), "{:?}", printed.stderr);
    assert_eq!(printed.stdout.len(), GOLDEN.lines().count());
    assert!(printed.stdout.iter().eq(GOLDEN.lines()), "the program prints another document");
    let json = Program::run(&["--public-url", "https://pay.example.com", "openapi"], &nowhere).ended().await;
    let json: Value = serde_json::from_str(&json.stdout.join("\n")).unwrap();
    assert_eq!(json["servers"], json!([{ "url": "https://pay.example.com" }]));
    assert_eq!(json["paths"], DOCUMENT["paths"]);
}

#[tokio::test]
async fn server_shows_the_same_document_with_its_own_origin() {
    account(async |s| {
        let shown = s.get("/_sandbox/openapi.json").await.expect(200);
        assert_eq!(shown["servers"], json!([{ "url": s.url("") }]));
        assert_eq!(shown["paths"], DOCUMENT["paths"]);
        assert_eq!(shown["x-settings"].as_array().unwrap().len(), Config::described().len());
        s.get("/_sandbox/openapi.json?x=1").await.assert_error(400, "parameter_unknown", "x");
    })
    .await;
}

#[tokio::test]
async fn document_uses_the_public_url() {
    let public = |config: &mut Config| config.public_url = Some("https://pay.example.com/sandbox".to_owned());
    sandbox_with(public, async |s| {
        let shown = s.get("/_sandbox/openapi.json").await.expect(200);
        assert_eq!(shown["servers"], json!([{ "url": "https://pay.example.com/sandbox" }]));
    })
    .await;
}

#[test]
fn operations_have_unique_ids_and_a_declared_tag() {
    let ids: BTreeSet<&str> = operations().iter().map(|(_, _, it)| it["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations().len());
    let declared = DOCUMENT["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap());
    let declared: BTreeSet<&str> = declared.collect();
    let used: BTreeSet<&str> = operations().iter().map(|(_, _, it)| it["tags"][0].as_str().unwrap()).collect();
    assert_eq!(used, declared);
}

#[test]
fn every_reference_leads_to_a_part_of_the_document() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    references(&DOCUMENT, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(DOCUMENT.pointer(pointer).is_some(), "{reference}");
    }
    // a component without a reference is dead
    for (kind, components) in DOCUMENT["components"].as_object().unwrap() {
        if kind != "securitySchemes" {
            for name in components.as_object().unwrap().keys() {
                // any path without an operation answers so
                let is_general = ["RouteUnknown", "MethodNotAllowed"].contains(&name.as_str());
                let reference = format!("#/components/{kind}/{name}");
                assert!(is_general || found.contains(reference.as_str()), "{reference} is not used");
            }
        }
    }
}

/// Answers may be open only where the content is the client's own.
#[test]
fn answers_are_closed_objects() {
    fn open(at: &str, schema: &Value, found: &mut Vec<String>) {
        let types = schema["type"].as_array();
        let is_object = schema["type"] == "object" || types.is_some_and(|types| types.contains(&json!("object")));
        if is_object && schema["additionalProperties"] != json!(false) {
            found.push(at.to_owned());
        }
        match schema {
            Value::Object(members) => {
                for (name, member) in members {
                    open(&format!("{at}/{name}"), member, found);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    open(&format!("{at}/{index}"), item, found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap();
    let is_body = |name: &str| name.ends_with("Creation") || name.contains("Update");
    for (name, schema) in schemas.iter().filter(|(name, _)| !is_body(name)) {
        open(name, schema, &mut found);
    }
    for (_, _, operation) in operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            for (media_type, media) in response["content"].as_object().into_iter().flatten() {
                let at = format!("{} {status} {media_type}", operation["operationId"].as_str().unwrap());
                open(&at, &media["schema"], &mut found);
            }
        }
    }
    let free = [
        "WithdrawalInstructions/properties/attributes/properties/body",
        "Events/properties/attributes/properties/attempts/items/properties/headers",
        "Error/properties/meta",
        "LoggedMessage/properties/headers",
        "getOpenApiJson 200 application/json",
        "getOpenApiYaml 200 application/yaml",
    ];
    assert_eq!(found, free);
}
