//! Errors: processing them, and error objects.

use std::collections::{BTreeMap, BTreeSet};

use concierge_sandbox::concierge::SCHEMAS;
use reqwest::Method;
use serde_json::{Value, json};

use super::{creatable, text};
use crate::support::{Account, Answer, account, documented_output, send};

/// Asserts the rules for every error document.
#[track_caller]
fn assert_errors(answer: &Answer, sent: &Value) {
    let top = answer.body.as_object().unwrap();
    assert_eq!(top.keys().collect::<Vec<_>>(), ["errors"], "data and errors are never together: {answer:?}");
    let errors = top["errors"].as_array().unwrap();
    let mut statuses = BTreeSet::new();
    for error in errors {
        for name in error.as_object().unwrap().keys() {
            assert!(["status", "code", "title", "detail", "source"].contains(&name.as_str()), "{error}");
        }
        statuses.insert(text(&error["status"]).parse::<u16>().unwrap());
        let code = text(&error["code"]);
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
        if let Some(source) = error.get("source").map(|source| source.as_object().unwrap()) {
            let (kind, value) = source.iter().next().unwrap();
            assert_eq!(source.len(), 1, "{error}");
            match kind.as_str() {
                "pointer" => assert!(sent.pointer(text(value)).is_some(), "{value} is not in {sent}"),
                "parameter" | "header" => assert!(!text(value).is_empty()),
                _ => panic!("{error}"),
            }
        }
    }
    // errors of one status keep that status, mixed ones become 400
    let expected = if statuses.len() == 1 { statuses.first().copied() } else { Some(400) };
    assert_eq!(Some(answer.status), expected, "{answer:?}");
}

/// Sends requests that fail, and returns each answer with its document.
async fn failures(account: &Account) -> Vec<(Answer, Value)> {
    let mut found = Vec::new();
    for (schema, document) in creatable() {
        let path = schema.path;
        let mut broken = vec![json!({}), json!([]), json!({"data": 5}), json!({"data": {"type": "x"}})];
        for pointer in ["/data/id", "/data/attributes", "/data/relationships"] {
            for value in [json!("x"), json!(5), json!([])] {
                let mut document = document.clone();
                document["data"][pointer.trim_start_matches("/data/")] = value;
                broken.push(document);
            }
        }
        for attribute in schema.attributes {
            for value in [json!(-1), json!([]), json!("\u{0}"), json!({"payment_method": "x"}), json!("é".repeat(3000))]
            {
                let mut document = document.clone();
                document["data"]["attributes"][attribute.name] = value;
                broken.push(document);
            }
        }
        for relationship in schema.relationships {
            for value in [json!(null), json!({}), json!({"data": {}}), json!({"data": {"type": "x", "id": "1"}})] {
                let mut document = document.clone();
                document["data"]["relationships"][relationship.name] = value;
                broken.push(document);
            }
        }
        for document in broken {
            found.push((account.post(path, &document).await, document));
        }
        found.push((account.post_text(path, "{\"a\":1,\"a\":2}").await, Value::Null));
        found.push((account.post_text(path, "").await, Value::Null));
        found.push((account.post_text(path, vec![b' '; (1 << 20) + 1]).await, Value::Null));
        found.push((account.post(&format!("{path}?x=1"), &document).await, document.clone()));
        let request = account.request(Method::POST, path).header("Content-Type", "text/plain").body("x");
        found.push((send(request).await, Value::Null));
    }
    for schema in SCHEMAS {
        for end in [
            "/0",
            "?include=x",
            "?sort=x",
            "?filter[x]=y",
            "?page[size]=x",
            "?fields[x]=y",
            "?x=y&z",
            "?sort=id&sort=id",
        ] {
            found.push((account.get(&format!("{}{end}", schema.path)).await, Value::Null));
        }
        found.push((send(account.request(Method::PUT, schema.path)).await, Value::Null));
        for (name, value) in [("Accept", "application/vnd.api+json;a=b"), ("Version", "x"), ("Authorization", "x")] {
            let request = account.client.get(account.url(schema.path)).header(name, value);
            found.push((send(request).await, Value::Null));
        }
    }
    found.retain(|(answer, _)| answer.status >= 400);
    found
}

#[tokio::test]
async fn errors_stand_alone_and_point_at_the_sent_member() {
    account(async |s| {
        let failures = failures(s).await;
        for (answer, sent) in &failures {
            assert_errors(answer, sent);
        }
        let statuses: BTreeSet<u16> = failures.iter().map(|(answer, _)| answer.status).collect();
        assert_eq!(statuses, BTreeSet::from([400, 401, 403, 404, 405, 406, 409, 413, 415, 422]));
    })
    .await;
}

#[tokio::test]
async fn each_error_code_has_one_title_and_one_status() {
    account(async |s| {
        let mut titles: BTreeMap<String, (Value, Value)> = BTreeMap::new();
        for (answer, _) in failures(s).await {
            for error in answer.body["errors"].as_array().unwrap() {
                let code = text(&error["code"]).to_owned();
                let now = (error["title"].clone(), error["status"].clone());
                assert_eq!(titles.entry(code).or_insert_with(|| now.clone()), &now);
            }
        }
        assert!(titles.len() > 15, "{titles:?}");
    })
    .await;
}

#[tokio::test]
async fn errors_of_several_statuses_are_400() {
    account(async |s| {
        let mut document = documented_output();
        document["data"]["attributes"] = json!({"port_code": 5, "amount": -1});
        document["data"]["relationships"]["user"] = json!([]);
        let answer = s.post("/api/concierge_request_outputs", &document).await;
        assert_errors(&answer, &document);
        let statuses: Vec<String> = answer.errors().into_iter().map(|(status, _, _)| status).collect();
        assert_eq!((answer.status, statuses), (400, ["422", "422", "400"].map(str::to_owned).to_vec()));
        // errors of one status keep it
        document["data"]["relationships"]["user"] = json!({"data": null});
        assert_eq!(s.post("/api/concierge_request_outputs", &document).await.status, 422);
    })
    .await;
}

#[tokio::test]
async fn errors_name_the_parameter_or_header() {
    account(async |s| {
        let answer = s.get("/api/users?page%5Bsize%5D=0").await;
        assert_eq!(answer.body["errors"][0]["source"], json!({"parameter": "page[size]"}));
        let request = s.request(Method::GET, "/api/users").header("Accept", "application/vnd.api+json;a=b");
        assert_eq!(send(request).await.body["errors"][0]["source"], json!({"header": "Accept"}));
        let request = s.request(Method::POST, "/api/users").header("Content-Type", "text/plain").body("x");
        assert_eq!(send(request).await.body["errors"][0]["source"], json!({"header": "Content-Type"}));
    })
    .await;
}
