//! Isolation of accounts: every operation of the API document, called by a stranger with the ids of another account.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::contract::DOCUMENT;
use crate::support::{Account, Answer, Receiver, dump, sandbox, send};

/// Text in every field of the account that takes one.
const MARKER: &str = "marker-of-another-account";
/// Ids of its resources. No other account has them.
const USER: &str = "777001";
const INSTRUCTION: &str = "777002";
const REQUEST: &str = "777003";
const OUTPUT: &str = "777004";
const SNAPSHOT: &str = "snapshot-of-another-account";
/// Operations without an account, and those whose address is the secret.
const PUBLIC: [&str; 2] = ["getReceipt", "getCreditNote"];

/// Fills an account with one of each resource, and returns the names that lead to something in it.
async fn fill(s: &Account, receiver: &Receiver) -> Vec<String> {
    let to_one = |type_name: &str, id: &str| json!({"data": {"type": type_name, "id": id}});
    let seed = json!({"data": [
        {"type": "users", "id": USER, "attributes":
            {"email": format!("{MARKER}@example.com"), "name": MARKER, "compliance_state": "enabled"}},
        {"type": "withdrawal_instructions", "id": INSTRUCTION,
            "attributes": {"label": MARKER, "body": {"note": MARKER}},
            "relationships": {"user": to_one("users", USER)}},
        {"type": "concierge_requests", "id": REQUEST, "attributes": {"port_code": "ar_ars", "external_id": MARKER}},
        {"type": "concierge_request_outputs", "id": OUTPUT, "attributes": {"port_code": "cl_clp", "amount": 1000},
            "relationships": {"request": to_one("concierge_requests", REQUEST), "user": to_one("users", USER),
                "withdrawal_instruction": to_one("withdrawal_instructions", INSTRUCTION)}},
    ]});
    s.post("/_sandbox/seed", &seed).await.expect(201);
    s.listen(&receiver.url()).await;
    // its own events, delivered
    s.settle().await;
    let logged = s.get(&format!("/api/concierge_requests/{REQUEST}")).await;
    let logged = logged.headers["x-request-id"].to_str().unwrap().to_owned();
    s.post("/_sandbox/snapshots", &json!({"name": SNAPSHOT})).await.expect(201);
    let fault = json!({"data": [{"path": format!("/api/concierge_requests/{REQUEST}"), "status": 503}]});
    s.send(Method::PUT, "/_sandbox/faults", &fault).await.expect(200);
    let names = [USER, INSTRUCTION, REQUEST, OUTPUT, SNAPSHOT, &s.name, &logged].map(str::to_owned);
    let last_event = s.events().await.pop().unwrap().0;
    names.into_iter().chain([last_event]).collect()
}

/// Returns a body with the ids of the account in the place of its own.
fn with_foreign_ids(body: &Value) -> Value {
    match body {
        Value::Array(items) => items.iter().map(with_foreign_ids).collect(),
        Value::Object(members) => {
            let foreign = match members.get("type").and_then(Value::as_str) {
                Some("users") => Some(USER),
                Some("withdrawal_instructions") => Some(INSTRUCTION),
                Some("concierge_requests") => Some(REQUEST),
                Some("concierge_request_outputs") => Some(OUTPUT),
                _ => None,
            };
            let linked = |name: &str, value: &Value| match foreign {
                // a resource of the document itself keeps its id: only linkage has no other members
                Some(foreign) if name == "id" && members.len() == 2 => json!(foreign),
                _ => with_foreign_ids(value),
            };
            members
                .iter()
                .map(|(name, value)| (name.clone(), linked(name, value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        other => other.clone(),
    }
}

/// Returns the paths of a template with each name in each place.
fn filled(template: &str, names: &[String]) -> Vec<String> {
    if !template.contains('{') {
        return vec![template.to_owned()];
    }
    let fill = |name: &String| {
        let segments = template.split('/').map(|segment| if segment.starts_with('{') { name } else { segment });
        segments.collect::<Vec<_>>().join("/")
    };
    let mut paths: Vec<String> = names.iter().map(fill).collect();
    for type_name in ["users", "concierge_requests", "concierge_request_outputs", "withdrawal_instructions"] {
        if template.contains("{type}") {
            paths.extend(names.iter().map(|name| template.replace("{type}", type_name).replace("{id}", name)));
        }
    }
    paths
}

/// Returns the queries that could lead to the account: filters and places by each name.
fn queries(operation: &Value, names: &[String]) -> Vec<String> {
    let mut queries = vec![String::new()];
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let parameter = parameter["$ref"].as_str().map_or(parameter, |path| DOCUMENT.pointer(&path[1..]).unwrap());
        let name = parameter["name"].as_str().unwrap();
        if parameter["in"] == "query" && (name.starts_with("filter[") || name == "page[after]") {
            queries.extend(names.iter().take(4).map(|value| format!("?{name}={value}")));
            queries.push(format!("?{name}={MARKER}"));
        }
        if name == "include" {
            queries.push("?include=user,outputs,request,withdrawal_instruction".to_owned());
        }
        if name == "resource" {
            for (type_name, id) in [("concierge_requests", REQUEST), ("concierge_request_outputs", OUTPUT)] {
                queries.push(format!("?resource={type_name}/{id}&state=finished&timeout=0s"));
            }
        }
    }
    queries
}

/// Sends a request with a key, and checks that the answer has nothing of the account.
async fn call(caller: &Account, key: &str, method: &Method, path: &str, body: Option<&Value>) -> Answer {
    let request = caller.client.request(method.clone(), caller.url(path)).header("Authorization", key);
    let answer = match body {
        Some(body) => send(request.header("Content-Type", "application/json").body(body.to_string())).await,
        None => send(request).await,
    };
    // what was sent may be repeated
    assert!(!answer.text.contains(MARKER) || path.contains(MARKER), "{method} {path}: {answer:?}");
    assert!(answer.status < 500, "{method} {path}: {answer:?}");
    answer
}

/// Returns every operation of the API document: its method, its path, and the rest.
fn operations() -> Vec<(Method, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |entry| (path, entry)));
    let known = all.filter_map(|(path, (name, operation))| {
        let method = name.to_uppercase().parse::<Method>().ok()?;
        operation.get("operationId").map(|_| (method, path.as_str(), operation))
    });
    known.filter(|(.., operation)| !PUBLIC.contains(&operation["operationId"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn no_operation_shows_or_changes_anything_of_another_account() {
    sandbox(async |s| {
        let clock = json!({"clock": {"now": "2030-01-01T00:00:00Z"}});
        let (owner, stranger) = (s.account(clock.clone()).await, s.account(clock).await);
        let receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let names = fill(&owner, &receiver).await;
        let row = owner.row(s.database()).await;
        let shown = async || {
            let mut shown = dump(s.database(), row).await;
            for path in ["/_sandbox/settings", "/_sandbox/clock", "/_sandbox/faults", "/_sandbox/snapshots"] {
                shown.push(owner.get(path).await.text);
            }
            shown
        };
        let before = shown().await;
        assert!(before.iter().filter(|row| row.contains(MARKER)).count() >= 3, "{before:#?}");

        let mut calls = 0;
        let operations = operations();
        for (method, template, operation) in &operations {
            let content = operation["requestBody"]["content"].as_object();
            let example = content.and_then(|content| content.values().find_map(|media| media.get("example")));
            let body = example.map(with_foreign_ids);
            for (place, path) in filled(template, &names).into_iter().enumerate() {
                for query in queries(operation, &names) {
                    call(&stranger, &stranger.key, method, &format!("{path}{query}"), body.as_ref()).await;
                    calls += 1;
                }
                if place >= 4 {
                    continue;
                }
                call(&stranger, &stranger.read_only_key, method, &path, body.as_ref()).await;
                let acting = format!("{}; user={USER}", stranger.key);
                let answer = call(&stranger, &acting, method, &path, body.as_ref()).await;
                if operation["security"] == json!([{ "apiKey": [] }]) && answer.status != 404 {
                    assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
                }
                calls += 2;
            }
            // later calls must reach the API, and the log has what was sent
            stranger.delete("/_sandbox/faults").await.expect(204);
            stranger.delete("/_sandbox/requests").await.expect(204);
        }
        assert!(operations.len() > 80 && calls > 1000, "{} operations, {calls} calls", operations.len());
        assert_eq!(shown().await, before);
        let log = owner.get("/_sandbox/requests?page[size]=1000").await.expect(200);
        assert_eq!(log["meta"]["total"], 2, "its own calls to the API: {log}");
    })
    .await;
}
