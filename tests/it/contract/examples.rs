//! Every example of the document works, and every example of an answer is what the server answers.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::operations;
use crate::support::contract::{DOCUMENT, validate};
use crate::support::{Account, Answer, Sandbox, documented_output, sandbox, send};

/// File with the examples of answers.
const FILE: &str = "src/contract/examples.json";

const OUTPUTS: &str = "/api/concierge_request_outputs";
const REQUEST: &str = "/_sandbox/simulations/concierge_requests/1010";
const OUTPUT: &str = "/_sandbox/simulations/concierge_request_outputs/32323";

/// A step before the example of an operation.
enum Step {
    Get(&'static str),
    Post(&'static str, Value),
    Patch(&'static str, Value),
}

/// Returns the steps after which the example of an operation succeeds in a fresh account.
fn setup(operation: &str) -> Vec<Step> {
    use Step::{Get, Patch, Post};
    let output = || Post(OUTPUTS, documented_output());
    let manual = || Patch("/_sandbox/settings", json!({"progression": "manual"}));
    let to = |state: &str| json!({"state": state, "through": true});
    let request_to = |state: &str| Post(concat_transition(REQUEST), to(state));
    let output_to = |state: &str| Post(concat_transition(OUTPUT), to(state));
    let draft = || {
        let document = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        Post("/api/concierge_requests", document)
    };
    let receiver = || {
        let attributes = json!({"webhook_url": "http://127.0.0.1:9/events"});
        Patch("/api/users/me", json!({"data": {"type": "users", "attributes": attributes}}))
    };
    match operation {
        "getOutput"
        | "getTimeline"
        | "requestQuote"
        | "simulateOutputAccept"
        | "simulateOutputReject"
        | "simulateRequestRequestQuote"
        | "simulateRequestTransition" => vec![output()],
        "acceptQuote" | "simulateRequestAcceptQuote" => vec![manual(), output(), request_to("quoted")],
        "simulateRequestQuote" => {
            vec![manual(), output(), Post("/api/concierge_requests/1010/request_quote", json!({}))]
        }
        "simulateRequestFund" => vec![manual(), output(), request_to("quote_accepted")],
        "simulateOutputCancel" | "simulateOutputTransition" => vec![manual(), output(), request_to("working")],
        "simulateOutputWork" => {
            let accept = Post("/_sandbox/simulations/concierge_request_outputs/32323/accept", json!({}));
            vec![manual(), output(), accept, request_to("working")]
        }
        "simulateOutputIssue" => vec![manual(), output(), request_to("working"), output_to("working")],
        "simulateOutputSettle" | "simulateOutputFail" => {
            vec![manual(), output(), request_to("working"), output_to("settling")]
        }
        "simulateOutputRetry" | "simulateOutputReturn" => {
            vec![manual(), output(), request_to("working"), output_to("failed")]
        }
        "simulateUserEnable" => vec![Post("/_sandbox/simulations/users/20202/disable", json!({}))],
        "simulateUserDebit" => {
            vec![Post("/_sandbox/simulations/users/20202/credit", json!({"currency": "ars", "amount": 1500}))]
        }
        "getWebhook" | "getOwnWebhook" => {
            let document =
                json!({"data": {"type": "webhooks", "attributes": {"url": "https://client.example.com/events"}}});
            vec![Post("/api/webhooks", document)]
        }
        "getReceipt" => vec![output(), request_to("finished")],
        "getCreditNote" => {
            vec![manual(), output(), request_to("working"), output_to("returned")]
        }
        "getEvent" | "listEvents" => vec![draft()],
        "redeliverEvent" => vec![draft(), receiver()],
        "listLoggedRequests" | "getLoggedRequest" | "listAdvice" => vec![Get("/api/users/me")],
        "deleteSnapshot" | "restoreSnapshot" | "listSnapshots" => {
            vec![Post("/_sandbox/snapshots", json!({"name": "before-quote"}))]
        }
        _ => vec![],
    }
}

/// Returns the path of a resource's simulation `transition`.
fn concat_transition(resource: &'static str) -> &'static str {
    match resource {
        REQUEST => "/_sandbox/simulations/concierge_requests/1010/transition",
        OUTPUT => "/_sandbox/simulations/concierge_request_outputs/32323/transition",
        other => unreachable!("{other}"),
    }
}

/// Makes a fresh account and takes the steps before an operation's example.
async fn prepared(s: &Sandbox, operation: &str) -> Account {
    let clock = json!({"clock": {"now": "2019-11-25T12:53:02.741Z", "frozen": true}});
    let account = s.account(clock).await;
    for step in setup(operation) {
        let answer = match step {
            Step::Get(path) => account.get(path).await,
            Step::Post(path, body) => account.post(path, &body).await,
            Step::Patch(path, body) => account.patch(path, &body).await,
        };
        assert!((200..300).contains(&answer.status), "before {operation}: {answer:?}");
    }
    account
}

/// An operation of the document with its examples.
struct Examples<'a> {
    method: Method,
    template: &'a str,
    operation: &'a Value,
}

impl Examples<'_> {
    fn id(&self) -> &str {
        self.operation["operationId"].as_str().unwrap()
    }

    /// Returns the parameters in a place, components followed.
    fn parameters(&self, place: &str) -> Vec<&Value> {
        let document = &*DOCUMENT;
        let followed = |parameter: &'static Value| match parameter["$ref"].as_str() {
            Some(reference) => document.pointer(&reference[1..]).unwrap(),
            None => parameter,
        };
        let all = document["paths"][self.template][self.method.as_str().to_ascii_lowercase()]["parameters"].as_array();
        all.into_iter().flatten().map(followed).filter(|parameter| parameter["in"] == place).collect()
    }

    /// Returns the path with the examples of its parameters.
    async fn path(&self, account: &Account) -> String {
        if self.template.ends_with("/{token}") {
            let name = if self.template.starts_with("/receipts") { "receipt_url" } else { "credit_note_url" };
            let url = account.attribute("/api/concierge_requests/1010", name).await;
            return url.as_str().unwrap().replace(&account.url(""), "");
        }
        let mut path = self.template.to_owned();
        for parameter in self.parameters("path") {
            let name = parameter["name"].as_str().unwrap();
            let example =
                parameter["example"].as_str().unwrap_or_else(|| panic!("{} {name} has no example", self.id()));
            path = path.replace(&format!("{{{name}}}"), example);
        }
        path
    }

    /// Sends the example, with these query parameters and headers.
    async fn send(&self, account: &Account, query: &[(String, String)], headers: &[(&str, &str)]) -> Answer {
        let mut path = self.path(account).await;
        if !query.is_empty() {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            path = format!("{path}?{query}");
        }
        let mut request = account.request(self.method.clone(), &path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(content) = self.operation["requestBody"]["content"].as_object() {
            let (media_type, media) = content.iter().next().unwrap();
            if let Some(example) = media.get("example") {
                request = request.header("Content-Type", media_type).body(example.to_string());
            }
        }
        let answer = send(request).await;
        let expected = self.operation["responses"].as_object().unwrap().keys().next().unwrap();
        assert_eq!(answer.status.to_string(), *expected, "{}: {answer:?}", self.id());
        answer
    }

    /// Returns the query of the plain example: mostly none.
    fn query(&self) -> Vec<(String, String)> {
        if self.id() == "wait" { self.query_examples() } else { Vec::new() }
    }

    fn query_examples(&self) -> Vec<(String, String)> {
        let with_example = self.parameters("query").into_iter().filter(|parameter| parameter.get("example").is_some());
        let text = |value: &Value| match value {
            Value::Array(items) => items.iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>().join(","),
            value => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        };
        let pair = |parameter: &Value| (parameter["name"].as_str().unwrap().to_owned(), text(&parameter["example"]));
        with_example.map(pair).collect()
    }
}

/// Returns the operations that may succeed, with their examples.
fn all() -> impl Iterator<Item = Examples<'static>> {
    let may_succeed =
        |operation: &Value| operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2'));
    let successful = operations().into_iter().filter(move |(_, _, operation)| may_succeed(operation));
    successful.map(|(method, template, operation)| Examples {
        method: method.to_ascii_uppercase().parse().unwrap(),
        template,
        operation,
    })
}

/// Runs the example of every operation, and returns the answers by `operationId`.
async fn answers(s: &Sandbox) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    for examples in all() {
        let account = prepared(s, examples.id()).await;
        let answer = examples.send(&account, &examples.query(), &[]).await;
        let is_json = answer.headers.get("content-type").is_some_and(|name| name.to_str().unwrap().ends_with("json"));
        // the document is no example of itself
        if is_json && examples.id() != "getOpenApiJson" {
            answers.insert(examples.id().to_owned(), normalized(&answer.body, &account.url("")));
        }
    }
    answers
}

/// Replaces what differs between two runs: the address, generated ids and keys, and durations.
fn normalized(value: &Value, base: &str) -> Value {
    match value {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let value = match name.as_str() {
                    "duration_ms" => json!(1),
                    "key" | "read_only_key" => json!("0123456789abcdef0123456789abcdef"),
                    _ => normalized(value, base),
                };
                (name.clone(), value)
            };
            Value::Object(members.iter().map(member).collect())
        }
        Value::Array(items) => items.iter().map(|item| normalized(item, base)).collect(),
        Value::String(text) => {
            let text = text
                .replace(base, "http://localhost:8080")
                .replace(base.trim_start_matches("http://"), "localhost:8080");
            if let Some((kind, _)) =
                text.rsplit_once('/').filter(|(kind, _)| kind.ends_with("receipts") || kind.ends_with("notes"))
            {
                return json!(format!("{kind}/K3zTq8mWv5LxRb2Nd7YcHg"));
            }
            // the ids of calls are counted, those of accounts are not
            let is_random = uuid::Uuid::try_parse(&text).is_ok_and(|id| id.get_version_num() == 4);
            if is_random { json!("9e1c6e3a-6c1e-4a86-8a53-0e4f2a1f8a11") } else { json!(text) }
        }
        other => other.clone(),
    }
}

/// Of the accounts of this test, the list shows one.
fn first_account(answers: &mut BTreeMap<String, Value>) {
    let list = answers.get_mut("listAccounts").unwrap();
    list["data"].as_array_mut().unwrap().truncate(1);
    list["meta"]["total"] = json!(1);
}

#[tokio::test]
async fn every_answer_is_as_in_its_example() {
    sandbox(async |s| {
        let mut answers = answers(s).await;
        first_account(&mut answers);
        for examples in all() {
            let content =
                examples.operation["responses"].as_object().unwrap().values().next().unwrap()["content"].as_object();
            let documented = content.and_then(|content| content.values().next()?.get("example"));
            let update = "`cargo test --test it contract::examples::record -- --ignored`, then build again";
            assert_eq!(answers.get(examples.id()), documented, "{}: bring {FILE} up to date: {update}", examples.id());
        }
    })
    .await;
}

#[tokio::test]
async fn every_example_of_a_parameter_works() {
    sandbox(async |s| {
        for examples in all().filter(|examples| examples.id() != "wait") {
            for parameter in examples.query_examples() {
                let account = prepared(s, examples.id()).await;
                examples.send(&account, &[parameter], &[]).await;
            }
            for header in examples.parameters("header") {
                let account = prepared(s, examples.id()).await;
                let (name, example) = (header["name"].as_str().unwrap(), header["example"].as_str().unwrap());
                examples.send(&account, &[], &[(name, example)]).await;
            }
        }
    })
    .await;
}

#[test]
fn every_example_of_an_event_is_as_described() {
    for (name, webhook) in DOCUMENT["webhooks"].as_object().unwrap() {
        let media = &webhook["post"]["requestBody"]["content"]["application/json"];
        assert_eq!(validate(&format!("webhook {name}"), &media["schema"], &media["example"]), Ok(()));
        let resource = &media["example"]["data"]["relationships"]["resource"]["data"];
        let included = &media["example"]["included"][0];
        assert_eq!((&included["type"], &included["id"]), (&resource["type"], &resource["id"]), "{name}");
    }
}

/// Writes the examples of answers to their file.
#[tokio::test]
#[ignore = "it changes a source file"]
async fn record() {
    sandbox(async |s| {
        let mut answers = answers(s).await;
        first_account(&mut answers);
        std::fs::write(FILE, format!("{:#}\n", json!(answers))).unwrap();
    })
    .await;
}
