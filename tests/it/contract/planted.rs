//! The check of answers finds what the document doesn't describe.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::support::account;
use crate::support::contract::{Exchange, fault};

/// Checks an answer to a GET of a user, with changes.
fn check(status: u16, header: Option<(&'static str, &str)>, body: &Value) -> Result<(), String> {
    check_at("/api/users/20202", "", status, header, body)
}

fn check_at(
    path: &str,
    query: &str,
    status: u16,
    header: Option<(&'static str, &str)>,
    body: &Value,
) -> Result<(), String> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/vnd.api+json"));
    headers.insert("x-request-id", HeaderValue::from_static("9e1c6e3a-6c1e-4a86-8a53-0e4f2a1f8a11"));
    if let Some((name, value)) = header {
        headers.insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    fault(&Exchange { method: "GET", path, query, status, headers: &headers, text: &body.to_string() })
}

fn user() -> Value {
    json!({"data": {"id": "20202", "type": "users", "attributes": {
        "name": "a", "email": "a@b", "kyc_accepted": true, "otp_enabled": true, "do_not_email": false,
        "trezor_login_enabled": true, "compliance_state": "enabled", "webhook_url": null,
    }}})
}

fn error(status: &str, code: &str) -> Value {
    json!({"errors": [{"status": status, "code": code, "title": "a", "detail": "b"}]})
}

#[test]
fn a_documented_answer_passes() {
    assert_eq!(check(200, None, &user()), Ok(()));
    assert_eq!(check(404, None, &error("404", "resource_not_found")), Ok(()));
    // errors of several statuses share the general one
    let mut both = error("422", "attribute_invalid");
    both["errors"].as_array_mut().unwrap().push(error("404", "resource_not_found")["errors"][0].clone());
    assert!(check(400, None, &both).is_err(), "a GET has no 422");
}

#[test]
fn each_undocumented_part_is_found() {
    let refused = |status, header, body: &Value, part: &str| {
        let found = check(status, header, body).expect_err(part);
        assert!(found.contains(part), "{found}");
    };
    refused(202, None, &user(), "no response 202");
    refused(200, Some(("x-planted", "1")), &user(), "no header x-planted");
    refused(200, Some(("content-type", "application/json")), &user(), "no content of \"application/json\"");
    refused(404, None, &error("404", "route_unknown"), "names the code \"route_unknown\"");
    refused(404, None, &error("404", "planted"), "planted");
    let change = |pointer: &str, name: &str, value: Value| {
        let mut body = user();
        body.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
        body
    };
    refused(200, None, &change("", "planted", json!(1)), "planted");
    refused(200, None, &change("/data", "planted", json!(1)), "planted");
    refused(200, None, &change("/data/attributes", "planted", json!(1)), "planted");
    refused(200, None, &change("/data/attributes", "compliance_state", json!("planted")), "planted");
    refused(200, None, &change("/data", "id", json!(20202)), "20202");
    let mut without = user();
    without["data"]["attributes"].as_object_mut().unwrap().remove("email");
    refused(200, None, &without, "without the attribute \"email\"");
    assert_eq!(check_at("/api/users/20202", "fields[users]=name", 200, None, &without), Ok(()));
    let unknown = check_at("/api/planted", "", 200, None, &user()).expect_err("an unknown path");
    assert!(unknown.contains("no response 200"), "{unknown}");
}

#[test]
fn missing_header_is_found() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/vnd.api+json"));
    let text = user().to_string();
    let exchange =
        Exchange { method: "GET", path: "/api/users/me", query: "", status: 200, headers: &headers, text: &text };
    assert_eq!(fault(&exchange), Err("the header X-Request-Id is missing".to_owned()));
}

#[test]
fn included_resource_without_a_member_is_found() {
    let mut body = user();
    body["included"] = json!([{"id": "20202", "type": "users", "attributes": {"name": null}}]);
    let found = check(200, None, &body).expect_err("an incomplete resource");
    assert!(found.contains("users without the attribute \"email\""), "{found}");
}

#[tokio::test]
async fn answers_by_fault_and_preference_are_exempt_and_counted() {
    account(async |s| {
        let before = crate::support::contract::injected();
        let preferred = s.request(reqwest::Method::GET, "/api/users").header("Prefer", "code=418");
        crate::support::send(preferred).await.assert_error(418, "fault_injected", "");
        assert!(crate::support::contract::injected() > before);
    })
    .await;
}
