//! The document as a whole.

use std::collections::BTreeSet;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operations::{Described, of_table, paths, update_name};
use super::routes::ROUTES;
use super::settings::ServerSetting;
use super::{errors, events, parameters, resources};
use crate::api;
use crate::concierge::outputs::scenario::TEST_VALUES;
use crate::concierge::{SCHEMAS, estimates};
use crate::jsonapi::schema::Schema;
use crate::receipts;
use crate::sandbox;
use crate::web::route::Body;

/// Recorded answers, by `operationId`.
const EXAMPLES: &str = include_str!("examples.json");
/// The dialect of the schemas: that of OpenAPI 3.1.
const DIALECT: &str = "https://spec.openapis.org/oas/3.1/dialect/base";

/// Returns the OpenAPI document of a server at `origin` with these settings.
pub fn document(origin: &str, settings: &[ServerSetting]) -> Value {
    let operations = all_operations();
    let mut generator = generator();
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
    let mut paths = paths(&operations, &mut generator, &examples);
    let responses = errors::share_responses(&mut paths);
    let mut schemas = described_resources(&operations);
    let mut derived = generator.take_definitions(true);
    derived.values_mut().for_each(close);
    schemas.extend(derived);
    let mut shared_parameters = parameters::shared();
    for schema in all_schemas() {
        let ((name, parameter), (field, names)) = parameters::fieldset(schema);
        shared_parameters[name] = parameter;
        schemas.insert(field, names);
    }
    let webhooks = events::webhooks(&examples);
    remove_unused(&mut schemas, &[&paths, &webhooks, &json!(responses), &shared_parameters]);
    json!({
        "openapi": "3.1.1",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "Concierge sandbox",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A sandbox for payout integrations",
            "description": DESCRIPTION,
        },
        "servers": [{ "url": origin }],
        "tags": TAGS.map(|(name, about)| json!({ "name": name, "description": about })),
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "parameters": shared_parameters,
            "headers": headers(),
            "securitySchemes": security_schemes(),
        },
        "x-error-codes": errors::all().iter().map(|code| {
            json!({ "code": code.name, "status": code.status, "title": code.title })
        }).collect::<Vec<_>>(),
        "x-test-values": TEST_VALUES.map(|value| json!({
            "name": value.name,
            "label": value.label,
            "bank_account_number": value.bank_account_number,
            "email_local_part": value.email,
            "what": value.what,
        })),
        "x-settings": settings.iter().map(|setting| json!({
            "flag": setting.flag,
            "variable": setting.variable,
            "default": setting.default,
            "what": setting.about,
        })).collect::<Vec<_>>(),
    })
}

const DESCRIPTION: &str = "\
The emulated API is under `/api`, as JSON:API. The control plane is under `/_sandbox`: outcomes, time, faults, webhooks.\n\n\
* Keys: `Authorization` has the bare key, `KEY`, or `KEY; user=ID` to act as a managed user.\n\
* Every answer has `X-Request-Id`; a valid one of the request is kept.\n\
* Bodies of `/api` are open: unknown members and read-only attributes have no effect, null stands for an absent \
member, and ids may be numbers.\n\
* With `fields[TYPE]`, a resource shows only the named fields. Without it, all members in `x-present` are there, and \
in an included resource those in `x-present-included`.\n\
* `Prefer: code=503` asks for an error with that status; faults of an account inject errors, too. Both have the code \
`fault_injected` and any status from 400 to 599.";

/// Groups of operations, in order.
const TAGS: [(&str, &str); 19] = [
    ("Outputs", "Payments to one payee each."),
    ("Requests", "Payments with one payer and many outputs."),
    ("Estimates", "Prices before a request."),
    ("Users", "Payers and payees."),
    ("Withdrawal instructions", "Where a payee's money goes."),
    ("Cash wallets", "The acting user's money."),
    ("Ports", "Countries and currencies."),
    ("Webhooks", "The older API for the receiver of events."),
    ("Receipts", "Public pages of finished requests."),
    ("Simulations", "Actions of operators, banks and payers."),
    ("Clock", "The account's time."),
    ("Events", "Events, their deliveries, and what is sent to receivers."),
    ("Faults", "Failures to inject."),
    ("Request log", "Past requests and advice."),
    ("Timeline", "What happened to a resource, and what comes next."),
    ("Accounts", "Accounts, settings, snapshots and seeds."),
    ("Wait", "Wait for a state or an event."),
    ("Reference", "Tables that drive the sandbox, and this document."),
    ("Health", "For operators."),
];

/// Returns the group of a path.
fn tag(path: &'static str) -> &'static str {
    let mut segments = path.split('/').skip(1);
    match (segments.next(), segments.next()) {
        (Some("api"), Some("concierge_request_outputs")) => "Outputs",
        (Some("api"), Some("concierge_requests")) => "Requests",
        (Some("api"), Some("concierge_estimates")) => "Estimates",
        (Some("api"), Some("users")) => "Users",
        (Some("api"), Some("withdrawal_instructions")) => "Withdrawal instructions",
        (Some("api"), Some("cash_wallets")) => "Cash wallets",
        (Some("api"), Some("concierge_ports")) => "Ports",
        (Some("api"), _) => "Webhooks",
        (Some("receipts" | "credit_notes"), _) => "Receipts",
        (_, Some("simulations")) => "Simulations",
        (_, Some("clock" | "settle")) => "Clock",
        (_, Some("events")) => "Events",
        (_, Some("faults")) => "Faults",
        (_, Some("requests" | "advice")) => "Request log",
        (_, Some("timeline")) => "Timeline",
        (_, Some("wait")) => "Wait",
        (_, Some("health" | "metrics")) => "Health",
        (_, Some("state_machines" | "test_values" | "openapi.json" | "openapi.yaml" | "docs")) => "Reference",
        _ => "Accounts",
    }
}

/// Returns every operation of every door.
fn all_operations() -> Vec<Described> {
    let mut all = of_table(api::ROUTES, tag, true);
    for table in sandbox::TABLES.into_iter().chain([receipts::routes::ROUTES, ROUTES]) {
        all.extend(of_table(table, tag, false));
    }
    all.extend(sandbox::simulations::contract::operations().into_iter().map(|simulation| Described {
        path: simulation.path,
        id: simulation.id,
        summary: simulation.summary,
        operation: simulation.operation,
        tag: "Simulations",
        is_limited: false,
    }));
    all
}

/// Returns a generator of schemas in the answers' form, with references to the document's components.
fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.for_serialize().into_generator()
}

/// Returns the schemas of all resources.
fn all_schemas() -> impl Iterator<Item = &'static Schema> {
    let views = [&estimates::document::SCHEMA, &api::webhooks::SCHEMA, &sandbox::events::document::SCHEMA];
    SCHEMAS.into_iter().chain(views)
}

/// Describes every resource, and the bodies that the operations take.
fn described_resources(operations: &[Described]) -> Map<String, Value> {
    let mut described = Map::new();
    for schema in all_schemas() {
        described.extend(resources::components(schema));
    }
    for Described { path, operation, .. } in operations {
        match operation.body {
            Body::Create(schema) => {
                described.insert(format!("{}Creation", resources::component(schema)), resources::creation(schema));
            }
            Body::Update(schema) => {
                let body = resources::update(schema, path.contains('{'));
                described.insert(update_name(schema, path), body);
            }
            _ => {}
        }
    }
    described.extend(resources::shared());
    described.extend(errors::components());
    described.extend(events::components());
    described
}

/// Removes the schemas that nothing refers to, directly or through others.
fn remove_unused(schemas: &mut Map<String, Value>, users: &[&Value]) {
    let mut used = BTreeSet::new();
    let mut open = Vec::new();
    for user in users {
        find_references(user, &mut open);
    }
    while let Some(name) = open.pop() {
        if used.insert(name.clone())
            && let Some(schema) = schemas.get(&name)
        {
            find_references(schema, &mut open);
        }
    }
    schemas.retain(|name, _| used.contains(name));
}

/// Finds the names of the schemas that a part of the document refers to.
fn find_references(part: &Value, found: &mut Vec<String>) {
    match part {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            found.extend(reference.and_then(|text| text.strip_prefix("#/components/schemas/")).map(str::to_owned));
            members.values().for_each(|member| find_references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find_references(item, found)),
        _ => {}
    }
}

/// Closes every object in the schema of an answer that says nothing of other members: there are none.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            let is_object =
                members.get("type").is_some_and(|name| *name == "object" || *name == json!(["object", "null"]));
            if is_object && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn headers() -> Value {
    let header = |about: &str, schema: Value| json!({ "description": about, "schema": schema });
    let always = |about: &str, schema: Value| json!({ "description": about, "required": true, "schema": schema });
    json!({
        "X-Request-Id": always("Id of the request, a UUID; also in every log line.", json!({ "type": "string", "minLength": 32, "maxLength": 45 })),
        "Location": always("URL of the new resource.", json!({ "type": "string", "format": "uri" })),
        "Retry-After": header("Seconds to wait before a repetition.", json!({ "type": "integer", "minimum": 0 })),
        "Vary": header("Headers of the request that the answer depends on.", json!({ "type": "string" })),
        "Cache-Control": header("Who may store the answer.", json!({ "type": "string" })),
        "Content-Security-Policy": header("What the page may load.", json!({ "type": "string" })),
        "Referrer-Policy": header("Keeps the address secret.", json!({ "type": "string" })),
        "X-Content-Type-Options": header("Forbids guesses at the media type.", json!({ "type": "string" })),
        "X-Robots-Tag": header("Keeps the page out of search engines.", json!({ "type": "string" })),
        "Allow": always("Methods of the path.", json!({ "type": "string" })),
        "WWW-Authenticate": always("Scheme of the key.", json!({ "type": "string" })),
        "Accept-Encoding": header("Accepted encodings of bodies.", json!({ "type": "string" })),
    })
}

fn security_schemes() -> Value {
    json!({
        "apiKey": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "The bare key without a scheme, `KEY`, or `KEY; user=ID` to act as a managed user. A fresh \
                            server has `your_api_key` and `your_read_only_api_key`.",
        },
        "adminToken": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "The server's `--admin-token`; needed only where it has one.",
        },
    })
}
