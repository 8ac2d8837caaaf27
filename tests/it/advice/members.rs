//! Members of unknown name in documents that succeed.

use std::collections::BTreeSet;

use concierge_sandbox::api::ROUTES;
use concierge_sandbox::jsonapi::nearest::nearest;
use reqwest::Method;
use serde_json::{Value, json};

use super::{OUTPUTS, advice, counts, expected, pause};
use crate::support::{Account, account, documented_output, sandbox, send};

const ESTIMATES: &str = "/api/concierge_estimates";
const INSTRUCTIONS: &str = "/api/withdrawal_instructions";
const REQUESTS: &str = "/api/concierge_requests";

/// Returns the document of a new resource or a change.
fn document(type_name: &str, attributes: Value) -> Value {
    let mut document = json!({"data": {"type": type_name}});
    document["data"]["attributes"] = attributes;
    document
}

fn with_id(mut document: Value, id: &str) -> Value {
    document["data"]["id"] = json!(id);
    document
}

/// Returns the document with a member more at a pointer.
fn with(mut document: Value, object: &str, name: &str) -> Value {
    document.pointer_mut(object).unwrap()[name] = json!(1);
    document
}

/// Returns a valid call to each route that reads a document: method, the route's path, the path and the document.
fn writing_calls() -> Vec<(Method, &'static str, &'static str, Value)> {
    let change = || document("users", json!({"do_not_email": true}));
    let estimate = json!({"port_code": "cl_clp", "outputs": [{"port_code": "us_usd", "budget": 1}]});
    vec![
        (Method::POST, "/api/users", "/api/users", document("users", json!({"email": "ana@example.com"}))),
        (Method::PATCH, "/api/users/me", "/api/users/me", change()),
        (Method::PATCH, "/api/users/{id}", "/api/users/20202", with_id(change(), "20202")),
        (
            Method::POST,
            INSTRUCTIONS,
            INSTRUCTIONS,
            document("withdrawal_instructions", json!({"body": {"anything": {"at": "all"}}})),
        ),
        (Method::POST, "/api/webhooks", "/api/webhooks", document("webhooks", json!({"url": "http://127.0.0.1:9/"}))),
        (Method::POST, ESTIMATES, ESTIMATES, document("concierge_estimates", estimate)),
        (Method::POST, REQUESTS, REQUESTS, document("concierge_requests", json!({"port_code": "ar_ars"}))),
        (
            Method::PATCH,
            "/api/concierge_requests/{id}",
            "/api/concierge_requests/1010",
            with_id(document("concierge_requests", json!({"external_id": "7"})), "1010"),
        ),
        (Method::POST, OUTPUTS, OUTPUTS, documented_output()),
    ]
}

async fn succeed(account: &Account, method: &Method, path: &str, document: &Value) {
    let answer = account.send(method.clone(), path, document).await;
    assert!((200..300).contains(&answer.status), "{method} {path} {document}: {answer:?}");
}

#[tokio::test]
async fn unknown_attribute_gives_advice_on_every_route() {
    let is_action = |path: &str| path.contains("{id}/");
    let methods = ROUTES.iter().filter(|route| !is_action(route.path)).flat_map(|route| {
        let writing = route.methods().into_iter().filter(|method| matches!(*method, "POST" | "PATCH" | "PUT"));
        writing.map(|method| format!("{method} {}", route.path))
    });
    let tested = writing_calls().into_iter().map(|(method, route, ..)| format!("{method} {route}"));
    assert_eq!(tested.collect::<BTreeSet<_>>(), methods.collect::<BTreeSet<_>>());
    sandbox(async |s| {
        for (nth, (method, _, path, document)) in writing_calls().into_iter().enumerate() {
            succeed(s, &method, path, &document).await;
            assert_eq!(advice(s).await.get("member_unknown").map(|piece| &piece["count"]), None, "{method} {path}");
            succeed(s, &method, path, &with(document.clone(), "/data/attributes", "zzz")).await;
            let found = advice(s).await;
            let detail = found["member_unknown"]["detail"].as_str().unwrap();
            let type_name = document["data"]["type"].as_str().unwrap();
            let finding = format!("`zzz` is not among the attributes of {type_name}.");
            assert!(detail.ends_with(&finding), "{nth} {method} {path}: {detail}");
            send(s.request(Method::DELETE, "/_sandbox/requests")).await.expect(204);
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_member_is_told_with_the_nearest_name() {
    let request = || document("concierge_requests", json!({"port_code": "ar_ars"}));
    let estimate = || {
        let outputs = json!([{"port_code": "us_usd", "budget": 1}, {"port_code": "us_usd", "budget": 1}]);
        document("concierge_estimates", json!({"port_code": "cl_clp", "outputs": outputs}))
    };
    let mut related = documented_output();
    related["data"]["relationships"]["user"]["self"] = json!("/api/users/20202");
    let mut twice = with(request(), "/data/attributes", "externalId");
    twice["metadata"] = json!({});
    let relationships = "/data/relationships";
    account(async |s| {
        for (path, document, findings) in [
            (
                OUTPUTS,
                with(documented_output(), "/data/attributes", "ammount"),
                "`ammount` is not among the attributes of concierge_request_outputs; the nearest is `amount`",
            ),
            (
                OUTPUTS,
                with(documented_output(), relationships, "concierge_request"),
                "`concierge_request` is not among the relationships of concierge_request_outputs; the nearest is `request`",
            ),
            (
                OUTPUTS,
                with(documented_output(), relationships, "destination"),
                "`destination` is not among the relationships of concierge_request_outputs",
            ),
            (
                OUTPUTS,
                with(documented_output(), "/data/attributes", "user_id"),
                "`user_id` is not among the attributes of concierge_request_outputs; the nearest is `user` in `relationships`",
            ),
            (
                OUTPUTS,
                related,
                "`self` is not among the members of the relationship `user`",
            ),
            (
                REQUESTS,
                twice,
                "`metadata` is not among the members of the document. `externalId` is not among the attributes of \
                 concierge_requests; the nearest is `external_id`",
            ),
            (
                REQUESTS,
                with(request(), "/data", "external_id"),
                "`external_id` is not among the members of `data`; the nearest is `external_id` in `attributes`",
            ),
            (
                REQUESTS,
                with(request(), "/data", "attribute"),
                "`attribute` is not among the members of `data`; the nearest is `attributes`",
            ),
            (
                ESTIMATES,
                with(estimate(), "/data/attributes/outputs/1", "Amuont"),
                "`Amuont` is not among the members of `outputs`; the nearest is `amount`",
            ),
            (
                "/api/users",
                document("users", json!({"name of the payee": "ana", "e-mail": "ana@example.com"})),
                "`name of the payee` is not among the attributes of users; the nearest is `name`. `e-mail` is not among the \
                 attributes of users; the nearest is `email`",
            ),
        ] {
            let answer = s.post(path, &document).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            let found = advice(s).await;
            let piece = &found["member_unknown"];
            let end = format!("leave the member out. {findings}.");
            assert!(piece["detail"].as_str().unwrap().ends_with(&end), "{piece}");
            assert_eq!(piece["request_id"], super::id(&answer), "{piece}");
            assert_eq!(piece["count"], findings.matches(" is not among ").count(), "{piece}");
            send(s.request(Method::DELETE, "/_sandbox/requests")).await.expect(204);
        }
    })
    .await;
}

/// Each kind of document that published clients send without fault.
#[tokio::test]
async fn documents_of_real_clients_give_no_advice() {
    let everything = async |s: &Account, path: &str| s.get(path).await.expect(200);
    sandbox(async |s| {
        let mut model = documented_output();
        model["data"]["attributes"] = json!({"type": "concierge_request_outputs", "id": null, "port_code": "cl_clp",
            "amount": 1000, "budget": null, "state": null, "rejection_reason": null, "failure_reason": null,
            "request": null, "user": null, "withdrawal_instruction": []});
        // a whole resource as linkage
        let user = everything(s, "/api/users/20202").await["data"].clone();
        model["data"]["relationships"]["user"] = json!({"data": user, "links": {"self": "/x"}, "meta": {"read": true}});
        model["meta"] = json!({"client": "x"});
        model["jsonapi"] = json!({"version": "1.0"});
        model["links"] = json!({"self": OUTPUTS});
        model["@context"] = json!("x");
        let request = everything(s, "/api/concierge_requests/1010").await;
        let mut new_request = document("concierge_requests", request["data"]["attributes"].clone());
        new_request["data"]["relationships"] = json!({});
        new_request["data"]["attributes"]["outputs"] = json!([]);
        new_request["data"]["attributes"]["user"] = json!(null);
        let estimate = json!({"hint_token": null, "total_to_spend": null, "port_code": "cl_clp", "from_code": null,
            "to_code": null, "amount": null, "result": null, "origin_taken": null, "destination_taken": null,
            "outputs": [{"port_code": "us_usd", "budget": 100, "amount": null, "rate": null, "all_in_rate": null,
                "fee_and_cost": null}]});
        let instruction = json!({"label": null, "schema": "bitex", "payment_method_type": null, "user": null,
            "body": {"bank": "x", "ammount": 1, "labell": {"type": "x"}}});
        for (path, document) in [
            (OUTPUTS, model),
            (REQUESTS, new_request),
            (ESTIMATES, document("concierge_estimates", estimate)),
            (INSTRUCTIONS, document("withdrawal_instructions", instruction)),
            ("/api/users", json!({"data": {"type": "users"}})),
            ("/api/users", document("users", json!({"email": "ana@example.com", "password": "secret", "name": null}))),
        ] {
            s.post(path, &document).await.expect(201);
            pause(s).await;
        }
        // everything that the client ever read
        for path in ["/api/concierge_requests/1010", "/api/users/20202", "/api/users/me"] {
            let read = everything(s, path).await;
            s.patch(path, &read).await.expect(200);
            pause(s).await;
        }
        let mut other = document("users", json!({"do_not_email": true}));
        other["data"]["id"] = json!("7");
        s.patch("/api/users/me", &other).await.expect(200);
        // an action takes any body
        let body = json!({"data": {"type": "concierge_requests", "attributes": {"reason": null}}});
        s.post("/api/concierge_requests/1010/cancel", &body).await.expect(200);
        assert_eq!(counts(s).await, []);
    })
    .await;
}

#[tokio::test]
async fn failing_document_gives_no_advice_of_its_members() {
    account(async |s| {
        let mut document = with(documented_output(), "/data/attributes", "zzz");
        document["data"]["attributes"]["amount"] = json!(0);
        s.post(OUTPUTS, &document).await.assert_error(422, "amount_not_positive", "/data/attributes/amount");
        document["data"]["attributes"]["amount"] = json!(1);
        document["data"]["relationships"]["request"]["data"]["id"] = json!("7");
        s.post(OUTPUTS, &document).await.assert_error(
            404,
            "related_resource_not_found",
            "/data/relationships/request/data/id",
        );
        assert_eq!(counts(s).await, []);
    })
    .await;
}

#[tokio::test]
async fn findings_are_bounded_and_the_newest_stay() {
    sandbox(async |s| {
        for nth in 0..10 {
            let change = document("users", json!({format!("zzz{nth}"): 1, "\u{e9}".repeat(100_000): 1}));
            s.patch("/api/users/me", &change).await.expect(200);
            pause(s).await;
        }
        let many: Value =
            (0..1000).map(|nth| (format!("yyy{nth}"), json!(1))).collect::<serde_json::Map<_, _>>().into();
        s.patch("/api/users/me", &document("users", many)).await.expect(200);
        assert_eq!(counts(s).await, expected(&[("member_unknown", 28)]));
        let piece = advice(s).await["member_unknown"]["detail"].as_str().unwrap().to_owned();
        let names: Vec<&str> = piece.split('`').filter(|name| name.starts_with("yyy")).collect();
        assert_eq!(names, ["yyy0", "yyy1", "yyy2", "yyy3", "yyy4", "yyy5", "yyy6", "yyy7"]);
        assert!(piece.len() < 1000, "{piece}");
    })
    .await;
}

#[test]
fn nearest_name_has_the_same_letters_or_a_few_errors_or_the_same_words() {
    let known = ["user", "amount", "port_code", "total_to_spend", "withdrawal_instruction"];
    for (name, expected) in [
        ("amount", Some("amount")),
        ("AMOUNT", Some("amount")),
        ("portCode", Some("port_code")),
        ("port-code", Some("port_code")),
        ("ammuont", Some("amount")),
        ("total_to_spent", Some("total_to_spend")),
        ("users", Some("user")),
        ("userId", Some("user")),
        ("instruction", Some("withdrawal_instruction")),
        ("net_amount", Some("amount")),
        ("to", None),
        ("currency", None),
        ("", None),
        ("_", None),
        ("\u{e9}", None),
        (&"amount_".repeat(10), None),
    ] {
        assert_eq!(nearest(name, known), expected, "{name}");
    }
}

#[tokio::test]
async fn lost_answer_keeps_the_advice_of_its_document() {
    account(async |s| {
        let faults = json!({"data": [{"path": "/api/users/me", "close": "after", "times": 1}]});
        s.send(Method::PUT, "/_sandbox/faults", &faults).await.expect(200);
        let change = document("users", json!({"emial": "ana@example.com"}));
        let lost = s.request(Method::PATCH, "/api/users/me").header("Content-Type", "application/json");
        lost.body(change.to_string()).send().await.unwrap_err();
        let piece = advice(s).await["member_unknown"].clone();
        assert!(piece["detail"].as_str().unwrap().ends_with("the nearest is `email`."), "{piece}");
    })
    .await;
}
