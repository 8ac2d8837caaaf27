//! Filtering.

use std::collections::BTreeSet;

use concierge_sandbox::concierge::SCHEMAS;
use concierge_sandbox::jsonapi::schema::{Schema, Values};
use serde_json::Value;

use super::{World, ids, text};
use crate::support::account;

/// Returns the value that a filter compares: an attribute, or the id of a linked resource.
fn filtered(resource: &Value, filter: &str) -> Option<String> {
    match filter.strip_suffix("_id").map(|name| &resource["relationships"][name]["data"]["id"]) {
        Some(id) if !id.is_null() => Some(text(id).to_owned()),
        _ => resource["attributes"][filter].as_str().map(str::to_owned),
    }
}

fn expected(world: &World, schema: &Schema, filter: &str, values: &[String]) -> Vec<String> {
    let all = world.all_of(schema);
    let found = all.iter().filter(|resource| filtered(resource, filter).is_some_and(|value| values.contains(&value)));
    found.map(|resource| text(&resource["id"]).to_owned()).collect()
}

#[tokio::test]
async fn filter_finds_resources_with_one_of_its_values() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            for filter in schema.filters {
                let all = world.all_of(schema);
                let values: BTreeSet<String> =
                    all.iter().filter_map(|resource| filtered(resource, filter.name)).collect();
                assert!(values.len() > 1, "{} of {} is tried with one value only", filter.name, schema.type_name);
                let values: Vec<String> = values.into_iter().collect();
                let singles = values.iter().map(|value| vec![value.clone()]);
                for asked in singles.chain(values.windows(2).map(<[_]>::to_vec)).chain([values.clone()]) {
                    for comma in [",", "%2C"] {
                        let path = format!("{}?filter[{}]={}", schema.path, filter.name, asked.join(comma));
                        let document = world.get(&path).await;
                        let found = expected(&world, schema, filter.name, &asked);
                        assert_eq!(ids(&document), found, "{path}");
                        assert_eq!(document["meta"]["total"], found.len(), "{path}");
                    }
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn several_filters_apply_together() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            for one in schema.filters {
                for other in schema.filters.iter().filter(|other| other.name != one.name) {
                    for resource in world.all_of(schema) {
                        let (Some(a), Some(b)) = (filtered(resource, one.name), filtered(resource, other.name)) else {
                            continue;
                        };
                        let path = format!("{}?filter[{}]={a}&filter[{}]={b}", schema.path, one.name, other.name);
                        let mut found = expected(&world, schema, one.name, &[a]);
                        let others = expected(&world, schema, other.name, &[b]);
                        found.retain(|id| others.contains(id));
                        assert_eq!(ids(&world.get(&path).await), found, "{path}");
                    }
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn filter_by_unused_value_finds_nothing() {
    account(async |s| {
        for schema in SCHEMAS {
            for filter in schema.filters {
                let values: &[&str] = match filter.values {
                    Values::Ids => &["777", "0", "99999999999999999999999", "020202", "777,778"],
                    Values::OneOf(_)
                    | Values::Boolean
                    | Values::Resource(_)
                    | Values::Since
                    | Values::Checked { .. } => &[],
                    Values::Text => &["nothing", "", "%25", "'", "a b", "%F0%9F%98%80"],
                };
                for value in values {
                    let document = s.get(&format!("{}?filter[{}]={value}", schema.path, filter.name)).await.expect(200);
                    assert_eq!(
                        (&document["data"], &document["meta"]["total"]),
                        (&serde_json::json!([]), &0.into()),
                        "{value}"
                    );
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn filter_rejects_invalid_values() {
    account(async |s| {
        for schema in SCHEMAS {
            for filter in schema.filters {
                let values: &[&str] = match filter.values {
                    Values::Ids => &["", "abc", "-1", "1.5", "20202,", ",", "1,x", "%00", "%2B1", "٣"],
                    Values::OneOf(_) => &["", "x", "Draft", " draft", "%00", "draft,x", "accepting,x", "draft,"],
                    Values::Text => &["%00", "a%00b"],
                    Values::Boolean => &["", "yes", "True", "1", "true,", "%00"],
                    Values::Resource(_) => {
                        &["", "/", "users/", "users/a", "users/1,users/2", "users,x", "ports", "%00"]
                    }
                    // of plain lists only
                    Values::Checked { .. } => &[],
                    Values::Since => &["", "abc", "-1", "1,2", "2019-11-25", "2019-11-25T12:53:02", "%00"],
                };
                let parameter = format!("filter[{}]", filter.name);
                for value in values {
                    let answer = s.get(&format!("{}?{parameter}={value}", schema.path)).await;
                    assert_eq!(answer.status, 400, "{parameter}={value}");
                    for (_, code, source) in answer.errors() {
                        assert_eq!((code.as_str(), &source), ("parameter_invalid", &parameter));
                    }
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn undeclared_filter_is_400() {
    account(async |s| {
        for schema in SCHEMAS {
            let undeclared = schema.fields().filter(|field| !schema.filters.iter().any(|filter| filter.name == *field));
            for key in undeclared.chain(["id", "", "x", "users.name", "state][x", "account_id"]) {
                let parameter = format!("filter[{key}]");
                let answer = s.get(&format!("{}?{parameter}=1", schema.path)).await;
                answer.assert_error(400, "filter_unknown", &parameter);
            }
            let answer = s.get(&format!("{}?filter=1", schema.path)).await;
            answer.assert_error(400, "parameter_unknown", "filter");
        }
    })
    .await;
}
