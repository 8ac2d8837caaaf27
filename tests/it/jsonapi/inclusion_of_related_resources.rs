//! Inclusion of Related Resources, and the full linkage of Compound Documents.

use std::collections::BTreeSet;

use concierge_sandbox::concierge::SCHEMAS;
use concierge_sandbox::jsonapi::schema::Schema;
use serde_json::{Value, json};

use super::{Key, World, check, creatable, key, linked, resources, text};
use crate::support::account;

/// Lists the relationship paths of at most `depth` steps, each with its target type.
pub fn paths(schema: &'static Schema, depth: usize) -> Vec<(String, &'static Schema)> {
    let mut found = Vec::new();
    for relationship in schema.relationships {
        found.push((relationship.name.to_owned(), relationship.target));
        if depth > 1 {
            let further = paths(relationship.target, depth - 1).into_iter();
            found.extend(further.map(|(path, target)| (format!("{}.{path}", relationship.name), target)));
        }
    }
    found
}

/// Returns the resources that a document must include: all on the paths, without the primary data.
fn expected(world: &World, document: &Value, paths: &[&str]) -> BTreeSet<Key> {
    let primary: Vec<Key> = resources(&document["data"]).map(key).collect();
    let mut found = BTreeSet::new();
    for path in paths {
        let mut reached = primary.clone();
        for step in path.split('.') {
            reached = reached.iter().flat_map(|key| linked(&world.all[key], Some(step))).collect();
            found.extend(reached.iter().cloned());
        }
    }
    found.retain(|key| !primary.contains(key));
    found
}

#[track_caller]
fn assert_included(world: &World, document: &Value, paths: &[&str]) {
    let included = document["included"].as_array().unwrap_or_else(|| panic!("{paths:?}: nothing is included"));
    let found: BTreeSet<Key> = included.iter().map(key).collect();
    assert_eq!(found, expected(world, document, paths), "{paths:?}");
    for resource in included {
        let own = &world.all[&key(resource)];
        for attribute in check::schema(text(&resource["type"])).attributes {
            let shown = own["attributes"].get(attribute.name).filter(|_| attribute.when_included);
            assert_eq!(resource["attributes"].get(attribute.name), shown, "{} of {resource}", attribute.name);
        }
    }
}

#[tokio::test]
async fn path_includes_exactly_the_resources_on_it() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            let paths = paths(schema, 3);
            for target in world.paths_of(schema) {
                for (path, _) in &paths {
                    let document = world.get(&format!("{target}?include={path}")).await;
                    assert_included(&world, &document, &[path]);
                }
                let all: Vec<&str> = paths.iter().map(|(path, _)| path.as_str()).collect();
                if !all.is_empty() {
                    let document = world.get(&format!("{target}?include={}", all.join(","))).await;
                    assert_included(&world, &document, &all);
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn two_paths_include_each_resource_once() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            let paths = paths(schema, 2);
            for (one, _) in &paths {
                for (other, _) in &paths {
                    let document = world.get(&format!("{}?include={one}%2C{other}&page[size]=4", schema.path)).await;
                    assert_included(&world, &document, &[one, other]);
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn missing_include_means_the_default() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            for target in world.paths_of(schema) {
                let document = world.get(&target).await;
                assert_eq!(document.get("included").is_some(), !schema.default_include.is_empty(), "{target}");
                if !schema.default_include.is_empty() {
                    assert_included(&world, &document, schema.default_include);
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn empty_include_gives_an_empty_array() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            for target in world.paths_of(schema).into_iter().chain(["/api/users/me".to_owned()]) {
                for query in ["include=", "include"] {
                    let document = world.get(&format!("{target}?{query}")).await;
                    assert_eq!(document.get("included"), Some(&json!([])), "{target}?{query}");
                }
            }
        }
        for (schema, document) in creatable() {
            let made = world.account.post(&format!("{}?include=", schema.path), &document).await.expect(201);
            assert_eq!(made.get("included"), Some(&json!([])), "{}", schema.path);
        }
        let change = json!({"data": {"type": "users", "id": "20202"}});
        let changed = world.account.patch("/api/users/20202?include=", &change).await.expect(200);
        assert_eq!(changed.get("included"), Some(&json!([])));
    })
    .await;
}

#[tokio::test]
async fn path_to_nothing_gives_an_empty_array() {
    account(async |s| {
        let world = World::of(s).await;
        for target in [
            "/api/concierge_requests/1013?include=outputs",
            "/api/concierge_requests/1013?include=outputs.user",
            "/api/concierge_request_outputs?filter[user_id]=777",
            "/api/concierge_request_outputs?filter[user_id]=777&include=request.outputs",
            "/api/withdrawal_instructions?page[offset]=100&include=user",
        ] {
            assert_eq!(world.get(target).await.get("included"), Some(&json!([])), "{target}");
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_include_path_is_400() {
    account(async |s| {
        for schema in SCHEMAS {
            let mut unknown: Vec<String> = [
                "x",
                "type",
                "id",
                ".",
                ",",
                "user,",
                ",user",
                "user.",
                "user..user",
                "-user",
                " user",
                "*",
                "data",
                "user.user",
            ]
            .map(str::to_owned)
            .to_vec();
            unknown.extend(schema.attributes.iter().map(|attribute| attribute.name.to_owned()));
            unknown.extend(paths(schema, 2).into_iter().map(|(path, _)| format!("{path}.nothing")));
            for path in unknown {
                let answer = s.get(&format!("{}?include={path}", schema.path)).await;
                assert_eq!(answer.status, 400, "{path} of {}", schema.path);
                for (_, code, source) in answer.errors() {
                    assert_eq!((code.as_str(), source.as_str()), ("include_unknown", "include"), "{path}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn cyclic_path_is_limited_in_length() {
    account(async |s| {
        let world = World::of(s).await;
        let outputs = "/api/concierge_request_outputs";
        let longest = "request.outputs.request.outputs.user";
        let document = world.get(&format!("{outputs}/32323?include={longest}")).await;
        assert_included(&world, &document, &[longest]);
        let answer =
            world.account.get(&format!("{outputs}?include=request.outputs.request.outputs.request.user")).await;
        answer.assert_error(400, "include_unknown", "include");
    })
    .await;
}

#[tokio::test]
async fn post_accepts_include() {
    account(async |s| {
        let world = World::of(s).await;
        for (schema, document) in creatable() {
            for (path, _) in paths(schema, 2) {
                let made = world.account.post(&format!("{}?include={path}", schema.path), &document).await.expect(201);
                check::document(&made);
                check::full_linkage(&made);
                let location = format!("{}/{}?include={path}", schema.path, text(&made["data"]["id"]));
                assert_eq!(made, world.get(&location).await, "{path}");
            }
        }
    })
    .await;
}
