//! Content Negotiation: Server Responsibilities.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::{World, creatable};
use crate::support::{Account, account, send};

const JSON_API: &str = "application/vnd.api+json";

/// Media type parameters other than `ext` and `profile`.
const FOREIGN: [&str; 7] =
    ["charset=utf-8", " charset=utf-8", "version=1", "q=1", "Q=0.5", "profile=\"x\"; foo=bar", "nonsense"];
/// Parameters that name extensions.
const EXTENSIONS: [&str; 3] = [
    "ext=\"https://jsonapi.org/ext/atomic\"",
    "EXT=\"https://a.example https://b.example\"",
    "profile=\"x\";ext=\"y\"",
];
/// Unknown profiles, with separators inside the quotation marks.
const PROFILES: [&str; 4] =
    ["profile=\"https://example.com/p\"", "profile=\"a b\"", "Profile=\"a;charset=utf-8,b\"", "profile=\"\\\";x=1\""];

fn posting(account: &Account, content_type: &str) -> RequestBuilder {
    let body = json!({"data": {"type": "users"}}).to_string();
    account.request(Method::POST, "/api/users").header("Content-Type", content_type).body(body)
}

async fn accepting(account: &Account, accepted: &[&str]) -> crate::support::Answer {
    let mut request = account.request(Method::GET, "/api/users/me");
    for accept in accepted {
        request = request.header("Accept", *accept);
    }
    send(request).await
}

#[tokio::test]
async fn answers_have_the_media_type_without_parameters() {
    account(async |s| {
        let world = World::of(s).await;
        let mut answers = Vec::new();
        for schema in concierge_sandbox::concierge::SCHEMAS {
            for path in world.paths_of(schema) {
                answers.push(world.account.get(&path).await);
            }
            answers.push(world.account.get(&format!("{}/0", schema.path)).await);
            answers.push(world.account.get(&format!("{}?x=1", schema.path)).await);
            answers.push(send(world.account.request(Method::PUT, schema.path)).await);
        }
        for (schema, document) in creatable() {
            answers.push(world.account.post(schema.path, &document).await);
            answers.push(world.account.post_text(schema.path, "{").await);
        }
        for path in ["/", "/api", "/api/nothing", "/api/users/me/x"] {
            answers.push(world.account.get(path).await);
        }
        for answer in answers {
            assert_eq!(answer.headers["content-type"], JSON_API, "{answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn content_type_with_foreign_parameter_is_415() {
    account(async |s| {
        for parameter in FOREIGN.into_iter().chain(EXTENSIONS) {
            let content_type = format!("{JSON_API};{parameter}");
            let answer = send(posting(s, &content_type)).await;
            answer.assert_error(415, "media_type_unsupported", "Content-Type");
            for (method, path) in [
                (Method::GET, "/api/users"),
                (Method::PATCH, "/api/users/me"),
                (Method::DELETE, "/api/withdrawal_instructions/2121"),
            ] {
                let request = s.request(method, path).header("Content-Type", &content_type);
                send(request).await.assert_error(415, "media_type_unsupported", "Content-Type");
            }
        }
        assert_eq!(s.get("/api/users").await.expect(200)["meta"]["total"], 2);
        assert_eq!(s.get("/api/withdrawal_instructions/2121").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn body_with_another_media_type_is_415() {
    account(async |s| {
        for content_type in ["text/plain", "application/xml", "application/vnd.api", "*/*", "", "json", "text/json"] {
            send(posting(s, content_type)).await.assert_error(415, "media_type_unsupported", "Content-Type");
            // a request without a body has no media type to reject
            let request = s.request(Method::GET, "/api/users").header("Content-Type", content_type);
            assert_eq!(send(request).await.status, 200);
        }
        let body = json!({"data": {"type": "users"}}).to_string();
        let request = s.request(Method::POST, "/api/users").body(body);
        send(request).await.assert_error(415, "media_type_unsupported", "Content-Type");
        for content_type in
            ["application/json", "application/json; charset=utf-8", "Application/JSON", "APPLICATION/VND.API+JSON"]
        {
            assert_eq!(send(posting(s, content_type)).await.status, 201, "{content_type}");
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_profiles_are_ignored() {
    account(async |s| {
        for profile in PROFILES {
            let media_type = format!("{JSON_API}; {profile}");
            assert_eq!(send(posting(s, &media_type)).await.status, 201, "{profile}");
            let answer = accepting(s, &[&media_type]).await;
            assert_eq!(answer.status, 200, "{profile}");
            assert_eq!(answer.headers["content-type"], JSON_API);
        }
    })
    .await;
}

#[tokio::test]
async fn accept_with_only_modified_media_types_is_406() {
    account(async |s| {
        let foreign = ["charset=utf-8", "version=1", "nonsense", "charset=utf-8;q=0.5"];
        for parameter in foreign.into_iter().chain(EXTENSIONS) {
            let modified = format!("{JSON_API};{parameter}");
            for accept in [modified.clone(), format!("{modified}, {JSON_API}; a=b"), format!("text/html,{modified}")] {
                accepting(s, &[&accept]).await.assert_error(406, "accept_unsupported", "Accept");
            }
            accepting(s, &[&modified, &modified]).await.assert_error(406, "accept_unsupported", "Accept");
            // one instance without parameters is enough, in any position
            for accept in [
                [modified.as_str(), JSON_API].as_slice(),
                &[JSON_API, &modified],
                &["text/html", &modified, "Application/Vnd.Api+Json; q=0.1"],
                &[&format!("{modified},{JSON_API}")],
                &[&format!("{JSON_API};profile=\"x\" , {modified}")],
            ] {
                assert_eq!(accepting(s, accept).await.status, 200, "{accept:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn headers_that_are_not_text_are_400() {
    account(async |s| {
        for name in ["Accept", "Content-Type"] {
            let request = s.request(Method::POST, "/api/users").header(name, b"a\xff".as_slice());
            send(request.body("{}")).await.assert_error(400, "header_invalid", name);
        }
    })
    .await;
}

#[tokio::test]
async fn accept_without_the_media_type_is_answered_anyway() {
    account(async |s| {
        for accept in [
            "*/*",
            "application/*",
            "application/json",
            "text/html, image/png;q=0.2",
            "application/json, text/plain, */*",
            "",
        ] {
            let answer = accepting(s, &[accept]).await;
            assert_eq!((answer.status, &answer.headers["content-type"]), (200, &JSON_API.parse().unwrap()), "{accept}");
        }
    })
    .await;
}
