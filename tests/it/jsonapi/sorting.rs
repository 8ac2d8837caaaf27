//! Sorting.

use std::cmp::Ordering;

use concierge_sandbox::concierge::SCHEMAS;
use concierge_sandbox::jsonapi::schema::Schema;
use serde_json::Value;

use super::{World, id_order, ids, text};
use crate::support::account;

/// Lists the sort orders of a collection by at most `most` keys, in every direction.
pub fn orders(schema: &Schema, most: usize) -> Vec<String> {
    let keys = || std::iter::once("id").chain(schema.sort.iter().copied());
    let mut found: Vec<String> = Vec::new();
    let mut longest = vec![String::new()];
    for _ in 0..most {
        let mut longer = Vec::new();
        for order in &longest {
            for key in keys().filter(|key| !order.split(',').any(|known| known.trim_start_matches('-') == *key)) {
                for direction in ["", "-"] {
                    let separator = if order.is_empty() { "" } else { "," };
                    longer.push(format!("{order}{separator}{direction}{key}"));
                }
            }
        }
        found.extend(longer.iter().cloned());
        longest = longer;
    }
    found
}

/// Returns the ids of a type in an order.
/// Ties are sorted by id, in the direction of the last key.
pub fn sorted(world: &World, schema: &Schema, order: &str) -> Vec<String> {
    let compare = |one: &Value, other: &Value, key: &str| match key.trim_start_matches('-') {
        "id" => id_order(text(&one["id"])).cmp(&id_order(text(&other["id"]))),
        name => text(&one["attributes"][name]).cmp(text(&other["attributes"][name])),
    };
    let directed = |ordering: Ordering, key: &str| if key.starts_with('-') { ordering.reverse() } else { ordering };
    let mut all = world.all_of(schema);
    all.sort_by(|one, other| {
        let by_keys = order.split(',').map(|key| directed(compare(one, other, key), key));
        let last = order.split(',').next_back().unwrap_or_default();
        by_keys.fold(Ordering::Equal, Ordering::then).then(directed(compare(one, other, "id"), last))
    });
    all.iter().map(|resource| text(&resource["id"]).to_owned()).collect()
}

#[tokio::test]
async fn declared_keys_sort_both_ways_alone_and_combined() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            for order in orders(schema, 3) {
                let document = world.get(&format!("{}?sort={order}", schema.path)).await;
                assert_eq!(ids(&document), sorted(&world, schema, &order), "{order} of {}", schema.type_name);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn order_defaults_to_id() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            let document = world.get(schema.path).await;
            assert_eq!(ids(&document), sorted(&world, schema, "id"));
        }
    })
    .await;
}

#[tokio::test]
async fn unsupported_sort_key_is_400() {
    account(async |s| {
        for schema in SCHEMAS {
            let undeclared = schema.fields().filter(|field| !schema.sort.contains(field));
            let nonsense = ["", "-", "--id", "+id", "id,", ",id", "ID", "-x", "user.name", "id desc", "id;state", "1"];
            for key in undeclared.chain(nonsense) {
                let encoded = key.replace('+', "%2B").replace(' ', "%20");
                let answer = s.get(&format!("{}?sort={encoded}", schema.path)).await;
                answer.assert_error(400, "sort_unknown", "sort");
            }
            // every unknown key is named, not only the first
            let answer = s.get(&format!("{}?sort=x,id,-y", schema.path)).await;
            assert_eq!((answer.status, answer.errors().len()), (400, 2));
        }
    })
    .await;
}

#[tokio::test]
async fn repeated_sort_key_is_400() {
    account(async |s| {
        for schema in SCHEMAS {
            for key in std::iter::once("id").chain(schema.sort.iter().copied()) {
                for list in [format!("{key},{key}"), format!("{key},-{key}"), format!("-{key},id,{key}")] {
                    let answer = s.get(&format!("{}?sort={list}", schema.path)).await;
                    assert_eq!(answer.status, 400, "{list}");
                    for (_, code, source) in answer.errors() {
                        assert_eq!((code.as_str(), source.as_str()), ("parameter_invalid", "sort"));
                    }
                    assert!(answer.text.contains(&format!("names the key \\\"{key}\\\" twice")), "{answer:?}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn single_resource_rejects_sort() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            let [_, single] = world.paths_of(schema);
            let answer = world.account.get(&format!("{single}?sort=id")).await;
            answer.assert_error(400, "parameter_unknown", "sort");
        }
    })
    .await;
}
