//! Fetching Resources, and the URLs and methods of every resource.

use concierge_sandbox::concierge::SCHEMAS;
use reqwest::Method;
use serde_json::{Value, json};

use super::{World, creatable, text};
use crate::support::{Answer, account, send, within};

/// Every route with its methods.
const ROUTES: [(&str, &[&str]); 15] = [
    ("/api/users", &["GET", "HEAD", "POST"]),
    ("/api/users/me", &["GET", "HEAD", "PATCH"]),
    ("/api/users/20202", &["GET", "HEAD", "PATCH"]),
    ("/api/withdrawal_instructions", &["GET", "HEAD", "POST"]),
    ("/api/withdrawal_instructions/2121", &["GET", "HEAD", "DELETE"]),
    ("/api/cash_wallets", &["GET", "HEAD"]),
    ("/api/cash_wallets/usd", &["GET", "HEAD"]),
    ("/api/webhooks", &["GET", "HEAD", "POST"]),
    ("/api/webhooks/50505", &["GET", "HEAD"]),
    ("/api/concierge_ports", &["GET", "HEAD"]),
    ("/api/concierge_ports/cl_clp", &["GET", "HEAD"]),
    ("/api/concierge_requests", &["GET", "HEAD", "POST"]),
    ("/api/concierge_requests/1010", &["GET", "HEAD", "PATCH"]),
    ("/api/concierge_request_outputs", &["GET", "HEAD", "POST"]),
    ("/api/concierge_request_outputs/32323", &["GET", "HEAD"]),
];

#[tokio::test]
async fn every_link_can_be_fetched() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            let page = world.get(&format!("{}?page[size]=2", schema.path)).await;
            for (name, link) in page["links"].as_object().unwrap() {
                if let Some(link) = link.as_str() {
                    let again = world.get(link).await;
                    assert!(name != "self" || again == page, "{link}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn missing_resource_is_404() {
    account(async |s| {
        for schema in SCHEMAS {
            for id in [
                "1",
                "0",
                "-1",
                "777777",
                "abc",
                "9223372036854775808",
                "%00",
                "%ff",
                "1.0",
                "+1",
                "%F0%9F%98%80",
                "CL_CLP",
            ] {
                let answer = s.get(&format!("{}/{id}", schema.path)).await;
                answer.assert_error(404, "resource_not_found", "");
            }
        }
        for path in ["/api/users/020202", "/api/users/20202.0", "/api/users/Me"] {
            s.get(path).await.assert_error(404, "resource_not_found", "");
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_path_is_404() {
    account(async |s| {
        for path in [
            "/",
            "/api",
            "/api/",
            "/api/people",
            "/api/users/20202/x",
            "/users",
            "/api/Users",
            "/api//users",
            "/api/users/me/relationships/x",
        ] {
            for method in [Method::GET, Method::POST, Method::DELETE] {
                send(s.request(method, path)).await.assert_error(404, "route_unknown", "");
            }
        }
    })
    .await;
}

/// Asserts that the detail of a 405 names the methods in `Allow`.
#[track_caller]
fn assert_names_methods(answer: &Answer, path: &str, method: &str) {
    let path = path.trim_end_matches('/');
    let methods = answer.headers["allow"].to_str().unwrap().replace(',', ", ");
    let detail = text(&answer.body["errors"][0]["detail"]);
    assert_eq!(detail, format!("`{path}` does not support {method}; its methods are {methods}"));
}

#[tokio::test]
async fn control_plane_names_the_allowed_methods() {
    account(async |s| {
        for (path, allowed) in [
            ("/_sandbox/faults", "GET,HEAD,PUT,DELETE"),
            ("/_sandbox/settings", "GET,HEAD,PATCH"),
            ("/_sandbox/wait", "GET,HEAD"),
            ("/_sandbox/reset", "POST"),
            ("/_sandbox/accounts/1", "GET,HEAD,DELETE"),
            ("/_sandbox/health/live", "GET,HEAD"),
            ("/receipts/x", "GET,HEAD"),
        ] {
            let answer = send(s.request(Method::OPTIONS, path)).await;
            answer.assert_error(405, "method_not_allowed", "");
            assert_eq!(answer.headers["allow"], allowed, "{path}");
            assert_names_methods(&answer, path, "OPTIONS");
        }
        // the request log shows the answer as sent
        send(s.request(Method::PUT, "/api/users")).await.assert_error(405, "method_not_allowed", "");
        let log = s.get("/_sandbox/requests").await.expect(200);
        assert_eq!(log["data"][0]["response"]["headers"]["allow"], "GET,HEAD,POST", "{log}");
    })
    .await;
}

#[tokio::test]
async fn method_not_allowed_names_the_allowed_methods() {
    account(async |s| {
        for (path, allowed) in ROUTES {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
                if allowed.contains(&method) {
                    continue;
                }
                for path in [path.to_owned(), format!("{path}/")] {
                    let request = s.request(method.parse().unwrap(), &path);
                    let answer = send(request).await;
                    answer.assert_error(405, "method_not_allowed", "");
                    let mut named: Vec<&str> =
                        answer.headers["allow"].to_str().unwrap().split(',').map(str::trim).collect();
                    named.sort_unstable();
                    let mut allowed = allowed.to_vec();
                    allowed.sort_unstable();
                    assert_eq!(named, allowed, "{method} {path}");
                    assert_names_methods(&answer, &path, method);
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn head_answers_like_get_without_body() {
    account(async |s| {
        s.create_output().await;
        let paths = ROUTES.map(|(path, _)| path);
        for path in paths.into_iter().chain(["/api/users?x=1", "/api/users/777", "/api/nothing", "/api/users?sort=-id"])
        {
            let got = s.get(path).await;
            let head = within(s.request(Method::HEAD, path).send()).await.unwrap();
            assert_eq!(head.status().as_u16(), got.status, "{path}");
            for name in ["content-type", "content-length"] {
                assert_eq!(head.headers().get(name), got.headers.get(name), "{name} of {path}");
            }
            assert_eq!(within(head.text()).await.unwrap(), "");
        }
    })
    .await;
}

#[tokio::test]
async fn trailing_slash_and_bare_question_mark_are_ignored() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            let [collection, single] = world.paths_of(schema);
            for path in [collection.clone(), single, "/api/users/me".to_owned()] {
                let plain = world.account.get(&path).await;
                for other in [
                    format!("{path}/"),
                    format!("{path}?"),
                    format!("{path}/?"),
                    format!("{path}?&"),
                    format!("{path}//"),
                ] {
                    let answer = world.account.get(&other).await;
                    assert_eq!((answer.status, &answer.text), (200, &plain.text), "{other}");
                }
            }
            let query = "page[size]=2&sort=-id";
            let plain = world.account.get(&format!("{collection}?{query}")).await;
            let other = world.account.get(&format!("{collection}/?{query}")).await;
            assert_eq!((other.status, other.text), (200, plain.text));
        }
        for (schema, document) in creatable() {
            for path in [format!("{}/", schema.path), format!("{}?", schema.path), format!("{}/?", schema.path)] {
                let made = world.account.post(&path, &document).await;
                let id = text(&made.body["data"]["id"]).to_owned();
                assert_eq!(made.headers["location"], world.account.url(&format!("{}/{id}", schema.path)));
                made.expect(201);
            }
        }
        let change = json!({"data": {"type": "users", "id": "20202", "attributes": {}}});
        for path in ["/api/users/20202/", "/api/users/20202?", "/api/users/me/?"] {
            world.account.patch(path, &change).await.expect(200);
        }
        for path in ["/api/withdrawal_instructions/2122/", "/api/withdrawal_instructions/2124/?"] {
            assert_eq!(world.account.delete(path).await.status, 204);
        }
    })
    .await;
}

#[tokio::test]
async fn empty_relationship_is_an_empty_array() {
    account(async |s| {
        let world = World::of(s).await;
        let empty = world.get("/api/concierge_requests/1013").await;
        assert_eq!(empty["data"]["relationships"]["outputs"], json!({"data": []}));
        for resource in world.all.values() {
            for relationship in resource["relationships"].as_object().into_iter().flat_map(|all| all.values()) {
                assert_ne!(relationship["data"], Value::Null, "{resource}");
            }
        }
    })
    .await;
}
