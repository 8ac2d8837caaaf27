//! Sparse Fieldsets.

use std::collections::BTreeSet;

use concierge_sandbox::concierge::SCHEMAS;
use serde_json::{Value, json};

use super::inclusion_of_related_resources::paths;
use super::{World, check, creatable, key, resources, text};
use crate::support::account;

/// Lists fieldsets of a type: each field, each pair, all, all backwards, none.
fn fieldsets(schema: &concierge_sandbox::jsonapi::schema::Schema) -> Vec<Vec<&'static str>> {
    let all: Vec<&str> = schema.fields().collect();
    let mut sets: Vec<Vec<&str>> = all.iter().map(|field| vec![*field]).collect();
    sets.extend(all.windows(2).map(<[_]>::to_vec));
    sets.extend([all.clone(), all.iter().rev().copied().collect(), Vec::new()]);
    sets
}

/// Asserts that a resource shows exactly these fields, each as in its own document.
#[track_caller]
fn assert_fields(resource: &Value, own: &Value, fields: &[&str]) {
    let members = |resource: &Value, part: &str| -> Vec<(String, Value)> {
        let members = resource[part].as_object().cloned().unwrap_or_default();
        members.into_iter().filter(|(name, _)| fields.contains(&name.as_str())).collect()
    };
    for part in ["attributes", "relationships"] {
        let shown = resource[part].as_object().cloned().unwrap_or_default();
        assert_eq!(shown.into_iter().collect::<Vec<_>>(), members(own, part), "{fields:?}: {resource}");
    }
    assert!(resource["attributes"].is_object(), "{resource}");
}

#[tokio::test]
async fn primary_data_shows_exactly_the_requested_fields() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            for target in world.paths_of(schema) {
                for fields in fieldsets(schema) {
                    let list = fields.join(",");
                    let document = world.get(&format!("{target}?fields[{}]={list}", schema.type_name)).await;
                    for resource in resources(&document["data"]) {
                        assert_fields(resource, &world.all[&key(resource)], &fields);
                    }
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn included_resources_show_exactly_the_requested_fields() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            for (path, target) in paths(schema, 2) {
                for fields in fieldsets(target) {
                    let list = fields.join(",");
                    let query = format!("include={path}&fields[{}]={list}", target.type_name);
                    let document = world.get(&format!("{}?{query}", schema.path)).await;
                    let mut found = 0;
                    for resource in resources(&document["included"]).filter(|found| found["type"] == target.type_name) {
                        assert_fields(resource, &world.all[&key(resource)], &fields);
                        found += 1;
                    }
                    // a path back to the primary data includes nothing new
                    assert!(found > 0 || target.type_name == schema.type_name, "{query}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn fieldset_of_one_type_leaves_other_types_unchanged() {
    account(async |s| {
        let world = World::of(s).await;
        let outputs = "/api/concierge_request_outputs";
        let plain = world.get(outputs).await;
        let sparse = world.get(&format!("{outputs}?fields[users]=email")).await;
        assert_eq!(plain["data"], sparse["data"]);
        let set = |document: &Value| resources(&document["included"]).map(key).collect::<BTreeSet<_>>();
        assert_eq!(set(&plain), set(&sparse));
        for (one, other) in resources(&plain["included"]).zip(resources(&sparse["included"])) {
            assert!(one["type"] == "users" || one == other, "{other}");
        }
        // linkage outside the fieldset may be missing, yet its resources are included
        let unlinked = world.get(&format!("{outputs}?fields[concierge_request_outputs]=state")).await;
        assert_eq!(plain["included"], unlinked["included"]);
    })
    .await;
}

#[tokio::test]
async fn fieldsets_of_several_types_apply_together() {
    account(async |s| {
        let world = World::of(s).await;
        let fields = [
            ("concierge_request_outputs", vec!["user", "state"]),
            ("users", vec!["webhook_url", "compliance_state"]),
            ("withdrawal_instructions", vec!["payment_method_type", "user"]),
            ("concierge_requests", vec![]),
        ];
        let query: Vec<String> =
            fields.iter().map(|(name, fields)| format!("fields[{name}]={}", fields.join(","))).collect();
        let query = format!("include=user,request,withdrawal_instruction&{}", query.join("&"));
        let document = world.get(&format!("/api/concierge_request_outputs?{query}")).await;
        for resource in resources(&document["data"]).chain(resources(&document["included"])) {
            let (_, fields) = fields.iter().find(|(name, _)| resource["type"] == *name).unwrap();
            assert_fields(resource, &world.all[&key(resource)], fields);
        }
    })
    .await;
}

#[tokio::test]
async fn post_and_patch_accept_fieldsets() {
    account(async |s| {
        for (schema, document) in creatable() {
            for fields in fieldsets(schema) {
                let query = format!("fields[{}]={}", schema.type_name, fields.join(","));
                let made = s.post(&format!("{}?{query}", schema.path), &document).await.expect(201);
                check::document(&made);
                let own = s.get(&format!("{}/{}", schema.path, text(&made["data"]["id"]))).await.expect(200);
                assert_fields(&made["data"], &own["data"], &fields);
            }
        }
        let change = json!({"data": {"type": "users", "id": "20202"}});
        let changed = s.patch("/api/users/20202?fields[users]=email", &change).await.expect(200);
        assert_eq!(changed["data"]["attributes"], json!({"email": "person3@example.com"}));
    })
    .await;
}

#[tokio::test]
async fn unknown_field_or_type_is_400() {
    account(async |s| {
        for schema in SCHEMAS {
            let name = schema.type_name;
            for field in ["x", "id", "type", "attributes", ",", "user.name", "State", " state"] {
                let answer = s.get(&format!("{}?fields[{name}]={field}", schema.path)).await;
                assert_eq!(answer.status, 400, "{field} of {name}");
                for (_, code, source) in answer.errors() {
                    assert_eq!((code, source), ("field_unknown".to_owned(), format!("fields[{name}]")));
                }
            }
            for other in SCHEMAS {
                let reachable = schema.reachable().iter().any(|found| found.type_name == other.type_name);
                let parameter = format!("fields[{}]", other.type_name);
                let answer = s.get(&format!("{}?{parameter}=", schema.path)).await;
                if reachable {
                    answer.expect(200);
                } else {
                    answer.assert_error(400, "field_unknown", &parameter);
                }
            }
            for parameter in
                ["fields[people]", "fields[]", "fields[users][name]", "fields[users", "fieldsusers]", "fields"]
            {
                let answer = s.get(&format!("{}?{parameter}=name", schema.path)).await;
                assert_eq!((answer.status, answer.errors()[0].2.as_str()), (400, parameter));
            }
        }
    })
    .await;
}
