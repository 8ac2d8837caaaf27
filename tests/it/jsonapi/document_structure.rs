//! Document Structure: the documents of the server, and unusual members in documents of clients.

use std::collections::HashSet;

use concierge_sandbox::concierge::SCHEMAS;
use serde_json::json;

use super::{World, check, creatable, resources};
use crate::support::{account, documented_output};

#[tokio::test]
async fn answers_are_valid_documents() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            let [collection, single] = world.paths_of(schema);
            assert!(world.get(&collection).await["data"].is_array());
            assert!(world.get(&single).await["data"].is_object());
        }
        let me = world.get("/api/users/me").await;
        assert!(me["data"].is_object());
        for (schema, document) in creatable() {
            let made = world.account.post(schema.path, &document).await.expect(201);
            check::document(&made);
            check::full_linkage(&made);
            assert!(made["data"].is_object());
        }
    })
    .await;
}

#[tokio::test]
async fn collection_is_an_array_even_with_one_resource_or_none() {
    account(async |s| {
        for (path, length) in [
            ("/api/concierge_requests", 1),
            ("/api/concierge_request_outputs", 0),
            ("/api/concierge_requests?filter[user_id]=777", 0),
            ("/api/users?page[number]=4000000000", 0),
            ("/api/concierge_ports?filter[country]=CL", 1),
            ("/api/concierge_ports?page[offset]=13", 0),
        ] {
            let document = s.get(path).await.expect(200);
            check::document(&document);
            assert_eq!(document["data"].as_array().map(Vec::len), Some(length), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn each_type_and_id_names_one_resource() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            let all = world.all_of(schema);
            assert!(all.len() > 3, "{}", schema.type_name);
            for resource in all {
                let id = super::text(&resource["id"]);
                let own = world.get(&format!("{}/{id}", schema.path)).await;
                assert_eq!(&own["data"], resource);
            }
        }
    })
    .await;
}

#[test]
fn attributes_and_relationships_share_one_namespace() {
    for schema in SCHEMAS {
        let mut names = HashSet::from(["id", "type"]);
        for field in schema.fields() {
            assert!(names.insert(field), "{field} of {}", schema.type_name);
        }
    }
}

#[tokio::test]
async fn resource_shows_every_declared_relationship() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            for resource in world.all_of(schema) {
                for relationship in schema.relationships {
                    assert!(resource["relationships"][relationship.name].get("data").is_some(), "{resource}");
                }
                assert_eq!(resource.get("relationships").is_some(), !schema.relationships.is_empty(), "{resource}");
            }
        }
    })
    .await;
}

#[test]
fn member_names_have_only_allowed_characters() {
    let allowed = |name: &str| {
        let globally = |byte: u8| byte.is_ascii_alphanumeric();
        let inside = |byte: u8| globally(byte) || byte == b'-' || byte == b'_';
        let bytes = name.as_bytes();
        bytes.iter().all(|byte| inside(*byte)) && globally(bytes[0]) && globally(bytes[bytes.len() - 1])
    };
    for schema in SCHEMAS {
        let filters = schema.filters.iter().map(|filter| filter.name);
        for name in schema.fields().chain(filters).chain(schema.sort.iter().copied()).chain([schema.type_name]) {
            assert!(allowed(name), "{name}");
        }
    }
}

#[tokio::test]
async fn member_names_are_case_sensitive() {
    account(async |s| {
        let text = documented_output().to_string();
        // the error names the member as sent
        for (name, code, parent) in [
            ("data", "document_invalid", ""),
            ("type", "document_invalid", "/data"),
            ("amount", "amount_or_budget_missing", "/data/attributes"),
            ("port_code", "attribute_missing", "/data/attributes"),
            ("request", "relationship_missing", "/data/relationships"),
        ] {
            let upper = name.to_uppercase();
            let changed = text.replacen(&format!("\"{name}\":"), &format!("\"{upper}\":"), 1);
            let answer = s.post_text("/api/concierge_request_outputs", changed).await;
            let status = answer.status;
            answer.assert_error(status, code, &format!("{parent}/{upper}"));
        }
        for query in
            ["Sort=id", "sort=ID", "include=User", "fields[Users]=name", "Page[size]=5", "filter[State]=accepting"]
        {
            let answer = s.get(&format!("/api/concierge_request_outputs?{query}")).await;
            assert_eq!(answer.status, 400, "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn create_ignores_noncompliant_and_at_members() {
    account(async |s| {
        let strange =
            json!({"@context": {"a": 1}, "odd member!": [], "links": 5, "meta": {"a": null}, "lid": "x", "": 0});
        let strange = strange.as_object().unwrap();
        for (schema, document) in creatable() {
            let plain = s.post(schema.path, &document).await.expect(201);
            let mut decorated = document.clone();
            decorated.as_object_mut().unwrap().extend(strange.clone());
            decorated["included"] = json!({"not": "an array"});
            let data = decorated["data"].as_object_mut().unwrap();
            data.extend(strange.clone());
            data.entry("attributes").or_insert(json!({})).as_object_mut().unwrap().extend(strange.clone());
            let relationships = data.entry("relationships").or_insert(json!({})).as_object_mut().unwrap();
            for relationship in relationships.values_mut() {
                relationship.as_object_mut().unwrap().extend(strange.clone());
                relationship["data"].as_object_mut().unwrap().extend(strange.clone());
            }
            relationships.extend(strange.clone());
            let made = s.post(schema.path, &decorated).await.expect(201);
            assert_eq!(made["data"]["attributes"], plain["data"]["attributes"]);
            assert_eq!(made["data"]["relationships"], plain["data"]["relationships"]);
            assert_eq!(resources(&made["included"]).count(), resources(&plain["included"]).count());
        }
    })
    .await;
}

#[tokio::test]
async fn get_repeats_the_document_of_the_post() {
    account(async |s| {
        // the answer to a POST and each later GET have the same bytes
        for (schema, document) in creatable() {
            let made = s.post(schema.path, &document).await;
            let location = made.headers["location"].to_str().unwrap().to_owned();
            let shown = s.get(&location).await;
            assert_eq!((made.status, shown.status), (201, 200));
            assert_eq!(made.text, shown.text);
        }
    })
    .await;
}
