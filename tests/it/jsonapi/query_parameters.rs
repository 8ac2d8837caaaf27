//! Query Parameters, and their parsing in the appendix.

use concierge_sandbox::concierge::SCHEMAS;
use reqwest::Method;
use serde_json::{Value, json};

use super::{World, creatable, resource_counts, text};
use crate::support::{Answer, account, send};

/// Names unknown to every endpoint: reserved (lower case), implementation-specific, and of no family.
const UNKNOWN: [&str; 16] = [
    "x",
    "user",
    "Foo",
    "fooBar",
    "foo[bar]",
    "page",
    "include[]",
    "include[user]",
    "sort[]",
    "sort[id]",
    "%00",
    "[",
    "[]",
    "]",
    "limit",
    "api_key",
];

/// Returns the detail of the first error.
fn detail(answer: &Answer) -> &str {
    text(&answer.body["errors"][0]["detail"])
}

#[tokio::test]
async fn unknown_parameter_is_400_on_every_endpoint() {
    account(async |s| {
        let world = World::of(s).await;
        let before = resource_counts(world.account).await;
        for name in UNKNOWN {
            let decoded = name.replace("%00", "\0");
            for schema in SCHEMAS {
                for path in world.paths_of(schema) {
                    for query in [format!("{name}=1"), format!("{name}="), name.to_owned(), format!("&{name}=1&")] {
                        let answer = world.account.get(&format!("{path}?{query}")).await;
                        answer.assert_error(400, "parameter_unknown", &decoded);
                    }
                }
            }
            for (schema, document) in creatable() {
                let answer = world.account.post(&format!("{}?{name}=1", schema.path), &document).await;
                answer.assert_error(400, "parameter_unknown", &decoded);
            }
            let change = json!({"data": {"type": "users", "id": "20202", "attributes": {"name": "x"}}});
            for path in ["/api/users/20202", "/api/users/me"] {
                let answer = world.account.patch(&format!("{path}?{name}=1"), &change).await;
                answer.assert_error(400, "parameter_unknown", &decoded);
            }
            let answer = world.account.delete(&format!("/api/withdrawal_instructions/2122?{name}=1")).await;
            answer.assert_error(400, "parameter_unknown", &decoded);
        }
        assert_eq!(resource_counts(world.account).await, before);
        assert_ne!(world.get("/api/users/20202").await["data"]["attributes"]["name"], "x");
    })
    .await;
}

#[tokio::test]
async fn collection_parameter_is_400_elsewhere() {
    account(async |s| {
        let world = World::of(s).await;
        for parameter in ["sort", "page[size]", "page[number]", "filter[state]"] {
            for schema in SCHEMAS {
                let [_, single] = world.paths_of(schema);
                let answer = world.account.get(&format!("{single}?{parameter}=1")).await;
                answer.assert_error(400, "parameter_unknown", parameter);
            }
            for (schema, document) in creatable() {
                let answer = world.account.post(&format!("{}?{parameter}=1", schema.path), &document).await;
                answer.assert_error(400, "parameter_unknown", parameter);
            }
        }
        for parameter in ["include", "fields[withdrawal_instructions]", "sort"] {
            let path = format!("/api/withdrawal_instructions/2122?{parameter}=");
            world.account.delete(&path).await.assert_error(400, "parameter_unknown", parameter);
        }
    })
    .await;
}

#[tokio::test]
async fn all_invalid_parameters_are_reported_at_once() {
    account(async |s| {
        let query = "include=x,y&sort=x&filter[x]=1&filter[state]=x&page[size]=0&fields[x]=y&fields[users]=z&nonsense";
        let answer = s.get(&format!("/api/concierge_request_outputs?{query}")).await;
        assert_eq!(answer.status, 400);
        let parameters: Vec<String> = answer.errors().into_iter().map(|(_, _, source)| source).collect();
        let named = [
            "include",
            "include",
            "sort",
            "filter[x]",
            "filter[state]",
            "page[size]",
            "fields[x]",
            "fields[users]",
            "nonsense",
        ];
        assert_eq!(parameters, named);
    })
    .await;
}

#[tokio::test]
async fn repeated_parameter_is_400() {
    account(async |s| {
        for (one, other) in [
            ("sort=id", "sort=-id"),
            ("include=user", "include=user"),
            ("page[size]=5", "page%5Bsize%5D=5"),
            ("fields[users]=name", "f%69elds[users]=email"),
        ] {
            let answer = s.get(&format!("/api/concierge_request_outputs?{one}&{other}")).await;
            answer.assert_error(400, "parameter_invalid", one.split('=').next().unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn parameter_that_is_not_utf8_is_400() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            for path in world.paths_of(schema) {
                for (query, parameter) in [
                    ("include=n%F3mina", "include"),
                    ("sort=%ff", "sort"),
                    ("fields[users]=%C3", "fields[users]"),
                    ("fields%5Busers%5D=%ed%a0%80", "fields[users]"),
                    ("filter[external_id]=n%F3mina", "filter[external_id]"),
                    ("page[size]=%80", "page[size]"),
                    ("n%F3mina=1", "n%F3mina"),
                    ("%ff", "%ff"),
                ] {
                    let answer = s.get(&format!("{path}?{query}")).await;
                    answer.assert_error(400, "parameter_invalid", parameter);
                    assert!(detail(&answer).starts_with(&format!("`{parameter}` ")), "{answer:?}");
                }
            }
        }
        for path in [
            "/_sandbox/events",
            "/_sandbox/events/1",
            "/_sandbox/requests",
            "/_sandbox/requests/1",
            "/_sandbox/wait",
            "/_sandbox/state_machines/outputs",
            "/_sandbox/advice",
            "/_sandbox/clock",
            "/_sandbox/settings",
        ] {
            for (query, parameter) in [("n%F3mina=1", "n%F3mina"), ("format=%ff", "format")] {
                let answer = s.get(&format!("{path}?{query}")).await;
                let sources: Vec<String> = answer.errors().into_iter().map(|error| error.2).collect();
                assert!(answer.status == 400 && sources.contains(&parameter.to_owned()), "{path}: {answer:?}");
                assert!(answer.text.contains("not UTF-8"), "{path}: {answer:?}");
            }
        }
        // nothing is stored
        let answer = s.post("/api/users?x=%ff", &json!({"data": {"type": "users"}})).await;
        answer.assert_error(400, "parameter_invalid", "x");
    })
    .await;
}

#[tokio::test]
async fn percent_sign_that_begins_no_escape_stands_for_itself() {
    account(async |s| {
        let request = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars", "external_id": "100% %zz %2"}}});
        s.create("/api/concierge_requests", &request).await;
        for query in ["100%+%zz+%2", "100%25%20%25zz%20%252"] {
            let found = s.get(&format!("/api/concierge_requests?filter[external_id]={query}")).await.expect(200);
            assert_eq!(found["meta"]["total"], 1, "{query}");
            assert_eq!(s.get(text(&found["links"]["self"])).await.expect(200), found);
        }
    })
    .await;
}

#[tokio::test]
async fn repeated_parameter_of_the_control_plane_is_400() {
    account(async |s| {
        for (path, parameter) in [
            ("/_sandbox/wait?event=user_enabled&event=user_enabled", "event"),
            ("/_sandbox/requests?page[size]=1&page[size]=2", "page[size]"),
            ("/_sandbox/state_machines/outputs?format=json&format=mermaid", "format"),
        ] {
            s.get(path).await.assert_error(400, "parameter_invalid", parameter);
        }
    })
    .await;
}

#[tokio::test]
async fn square_brackets_and_commas_may_be_encoded() {
    account(async |s| {
        let world = World::of(s).await;
        let outputs = "/api/concierge_request_outputs";
        for query in [
            "page[size]=3&page[number]=2",
            "fields[users]=name,email&include=user,request",
            "filter[state]=accepted,rejected&sort=-state,port_code",
            "filter[request_id]=1010&fields[concierge_request_outputs]=state",
        ] {
            // links keep the query as it was sent
            let without_links = |mut document: Value| {
                document["links"].take();
                document
            };
            let plain = without_links(world.get(&format!("{outputs}?{query}")).await);
            let upper = query.replace('[', "%5B").replace(']', "%5D");
            let lower = upper.to_lowercase().replace(',', "%2c");
            let some = query.replace('[', "%5B").replace(',', "%2C");
            let all: String = query
                .chars()
                .map(|character| match character {
                    '&' | '=' => character.to_string(),
                    other => format!("%{:02X}", u32::from(other)),
                })
                .collect();
            for other in [upper, lower, some, all] {
                let document = world.account.get(&format!("{outputs}?{other}")).await.expect(200);
                assert_eq!(s.get(text(&document["links"]["self"])).await.expect(200), document, "{other}");
                assert_eq!(without_links(document), plain, "{other}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn plus_means_a_space() {
    account(async |s| {
        let request = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars", "external_id": "a b+c&d=é"}}});
        s.create("/api/concierge_requests", &request).await;
        for query in ["a+b%2Bc%26d=%C3%A9", "a%20b%2Bc%26d%3D%c3%a9"] {
            let path = format!("/api/concierge_requests?filter[external_id]={query}");
            let found = s.get(&path).await.expect(200);
            assert_eq!(found["meta"]["total"], 1, "{query}");
            let again = s.get(found["links"]["self"].as_str().unwrap()).await.expect(200);
            assert_eq!(again, found);
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_key_gets_401_for_invalid_parameters() {
    account(async |s| {
        for (schema, _) in creatable() {
            let request = s.client.request(Method::GET, s.url(&format!("{}?x=1", schema.path)));
            send(request.header("Authorization", "nobody")).await.assert_error(401, "invalid_api_key", "Authorization");
        }
    })
    .await;
}
