//! Filtering.

use std::collections::BTreeSet;

use concierge_sandbox::concierge::SCHEMAS;
use concierge_sandbox::jsonapi::schema::{Schema, Values};
use serde_json::{Value, json};

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
                    Values::Text => &["%00", "a%00b", "%5C", "a%5Cb", "a,%5C", "%5C%5C%5C", "a%5C%C3%B3"],
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
async fn backslash_escapes_commas_in_free_text() {
    account(async |s| {
        let texts = ["payroll, March #7", r"a\b", r"a\,b", ",", r"\", "", "payroll", r"\,", "a,b,"];
        for text in texts {
            let new = super::document("concierge_requests", json!({"port_code": "ar_ars", "external_id": text}));
            s.create("/api/concierge_requests", &new).await;
        }
        let escape = |text: &str| text.replace('\\', r"\\").replace(',', r"\,");
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        for text in texts {
            let query = format!("filter[external_id]={}", encode(&escape(text)));
            let found = s.get(&format!("/api/concierge_requests?{query}")).await.expect(200);
            assert_eq!(found["meta"]["total"], 1, "{text}: {found}");
            assert_eq!(found["data"][0]["attributes"]["external_id"], text);
            assert_eq!(s.get(super::text(&found["links"]["self"])).await.expect(200), found);
        }
        // an unescaped comma stands between values
        let list = encode(&texts.map(escape).join(","));
        let found = s.get(&format!("/api/concierge_requests?filter[external_id]={list}")).await.expect(200);
        assert_eq!(found["meta"]["total"], texts.len());
        for (value, fault) in [
            ("%5C", "ends in the middle of an escape"),
            ("a,%5C", "ends in the middle of an escape"),
            ("a%5Cn", r#"has the escape "\n""#),
        ] {
            let answer = s.get(&format!("/api/concierge_requests?filter[external_id]={value}")).await;
            answer.assert_error(400, "parameter_invalid", "filter[external_id]");
            let rule = r"write `\,` for a comma in a value and `\\` for a backslash";
            assert_eq!(answer.body["errors"][0]["detail"], format!("`filter[external_id]` {fault}; {rule}"));
        }
    })
    .await;
}

#[tokio::test]
async fn repeated_filter_finds_any_of_its_values() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            for filter in schema.filters {
                let all = world.all_of(schema);
                let values: BTreeSet<String> =
                    all.iter().filter_map(|resource| filtered(resource, filter.name)).collect();
                let values: Vec<String> = values.into_iter().take(2).collect();
                let (name, [one, other]) = (filter.name, &values[..]) else { panic!("{} has one value", filter.name) };
                let found = expected(&world, schema, name, &values);
                for query in [
                    format!("filter[{name}]={one}&filter[{name}]={other}"),
                    format!("filter[{name}][]={one}&filter[{name}][]={other}"),
                    format!("filter[{name}][0]={one}&filter[{name}][1]={other}"),
                    format!("filter[{name}][7]={one}&sort=id&filter%5B{name}%5D%5B3%5D={other}"),
                    format!("filter[{name}]={one}&filter[{name}][]={other},{one}"),
                ] {
                    let document = world.get(&format!("{}?{query}", schema.path)).await;
                    assert_eq!(ids(&document), found, "{query}");
                    // links keep every value
                    for link in ["self", "first", "last"] {
                        assert_eq!(
                            world.get(text(&document["links"][link])).await["data"],
                            document["data"],
                            "{query}"
                        );
                    }
                }
                let twice = format!("filter[{name}][0]");
                let answer = s.get(&format!("{}?{twice}={one}&{twice}={other}", schema.path)).await;
                answer.assert_error(400, "parameter_invalid", &twice);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn filter_of_one_value_is_400_if_repeated() {
    account(async |s| {
        for (one, other) in [
            ("filter[since]=1", "filter[since]=2"),
            ("filter[since][]=1", "filter[since][]=2"),
            ("filter[since]=1", "filter[since][0]=2"),
            ("filter[resource]=users/1", "filter[resource]=users/2"),
        ] {
            s.get(&format!("/_sandbox/events?{one}")).await.expect(200);
            let answer = s.get(&format!("/_sandbox/events?{one}&{other}")).await;
            answer.assert_error(400, "parameter_invalid", other.split('=').next().unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn filter_with_an_operator_is_one_error() {
    account(async |s| {
        let states = "filter[state]=draft,quoted";
        for (parameter, value, hint) in [
            ("filter[state][in]", "draft,quoted", states),
            ("filter[state][eq]", "draft,quoted", states),
            ("filter[state][0][x]", "draft,quoted", states),
            ("filter[state][-1]", "draft,quoted", states),
            ("filter[state][in][]", "draft,quoted", states),
            ("filter[state][ne]", "nonsense", "filter[state]=draft,quote_requested"),
            ("filter[external_id][like]", "a%25", "filter[external_id]=a%"),
            ("filter[user_id][gt]", "x", "filter[user_id]=1,2"),
        ] {
            for query in [format!("{parameter}={value}"), format!("{parameter}={value}&{parameter}={value}")] {
                let answer = s.get(&format!("/api/concierge_requests?{query}")).await;
                answer.assert_error(400, "filter_unknown", parameter);
                let detail = text(&answer.body["errors"][0]["detail"]);
                assert!(detail.starts_with(&format!("`{parameter}` ")) && detail.ends_with(hint), "{detail}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn time_with_a_plus_sign_is_400_with_its_escape() {
    account(async |s| {
        for path in ["/_sandbox/events", "/_sandbox/requests"] {
            let answer = s.get(&format!("{path}?filter[since]=2019-11-25T13:53:02+01:00")).await;
            answer.assert_error(400, "parameter_invalid", "filter[since]");
            let detail = text(&answer.body["errors"][0]["detail"]);
            assert!(detail.contains("write it as %2B: 2019-11-25T13:53:02%2B01:00"), "{detail}");
            for other in ["2019-11-25T13:53:02%2B01:00", "2019-11-25T13:53:02-01:00", "2019-11-25T13:53:02Z"] {
                s.get(&format!("{path}?filter[since]={other}")).await.expect(200);
            }
            let answer = s.get(&format!("{path}?filter[since]=last+week")).await;
            assert!(!text(&answer.body["errors"][0]["detail"]).contains("%2B"), "{answer:?}");
        }
        let answer = s.get("/_sandbox/wait?event=user_enabled&since=2019-11-25T13:53:02+01:00").await;
        answer.assert_error(400, "parameter_invalid", "since");
        let detail = text(&answer.body["errors"][0]["detail"]);
        assert!(detail.contains("must be the id of an event; times are for filter[since]"), "{detail}");
    })
    .await;
}

#[tokio::test]
async fn undeclared_filter_is_400() {
    account(async |s| {
        for schema in SCHEMAS {
            let undeclared = schema.fields().filter(|field| !schema.filters.iter().any(|filter| filter.name == *field));
            for key in undeclared.chain(["id", "", "x", "x][", "x][0", "users.name", "state][x", "account_id"]) {
                let parameter = format!("filter[{key}]");
                for query in [format!("{parameter}=1"), format!("{parameter}=1&{parameter}=2")] {
                    let answer = s.get(&format!("{}?{query}", schema.path)).await;
                    answer.assert_error(400, "filter_unknown", &parameter);
                }
            }
            let answer = s.get(&format!("{}?filter=1", schema.path)).await;
            answer.assert_error(400, "parameter_unknown", "filter");
        }
    })
    .await;
}
