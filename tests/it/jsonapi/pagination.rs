//! Pagination.

use concierge_sandbox::concierge::SCHEMAS;
use concierge_sandbox::jsonapi::query::LONGEST;
use concierge_sandbox::jsonapi::schema::Schema;
use serde_json::Value;

use super::sorting::{orders, sorted};
use super::{World, ids, text};
use crate::support::account;

/// Follows a link from page to page, and returns the pages.
async fn follow(world: &World<'_>, first: Value, link: &str) -> Vec<Value> {
    let mut pages = vec![first];
    while let Some(next) = pages.last().unwrap()["links"][link].as_str() {
        assert!(pages.len() < 50, "{link} does not end: {next}");
        let page = world.get(next).await;
        pages.push(page);
    }
    pages
}

fn page_ids(pages: &[Value]) -> Vec<Vec<String>> {
    pages.iter().map(ids).collect()
}

/// Follows a collection from its first page to its last and back.
async fn assert_pages(world: &World<'_>, schema: &Schema, query: &str, size: usize, expected: &[String]) {
    let expected: Vec<Vec<String>> = expected.chunks(size).map(<[String]>::to_vec).collect();
    let first = world.get(&format!("{}?{query}&page[size]={size}", schema.path)).await;
    assert_eq!(first["links"]["prev"], Value::Null);
    let forward = follow(world, first.clone(), "next").await;
    assert_eq!(page_ids(&forward), expected, "{query}, {size} a page");
    let last = forward.last().unwrap();
    assert_eq!(last["links"]["next"], Value::Null);
    let mut back = page_ids(&follow(world, last.clone(), "prev").await);
    back.reverse();
    assert_eq!(back, expected, "{query}, {size} a page, backwards");
    for page in [&first, &forward[forward.len() / 2], last] {
        assert_eq!(ids(&world.get(text(&page["links"]["first"])).await), expected[0]);
        assert_eq!(&ids(&world.get(text(&page["links"]["last"])).await), expected.last().unwrap());
        assert_eq!(&world.get(text(&page["links"]["self"])).await, page);
        assert_eq!(page["meta"]["total"], expected.iter().map(Vec::len).sum::<usize>());
    }
}

#[tokio::test]
async fn pages_list_everything_once_in_order_both_ways() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            for order in orders(schema, 2) {
                let expected = sorted(&world, schema, &order);
                assert_pages(&world, schema, &format!("sort={order}"), 4, &expected).await;
            }
            let expected = sorted(&world, schema, "id");
            for size in [1, 2, expected.len() - 1, expected.len(), expected.len() + 1, 1000] {
                assert_pages(&world, schema, "", size, &expected).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn page_links_keep_other_parameters() {
    account(async |s| {
        let world = World::of(s).await;
        let schema = super::check::schema("concierge_request_outputs");
        let query = "filter[state]=accepted,rejected&sort=-port_code,state&include=request&fields[concierge_requests]=state\
            &fields[concierge_request_outputs]=state,port_code";
        let whole = world.get(&format!("{}?{query}", schema.path)).await;
        let expected = ids(&whole);
        assert_eq!(expected.len(), 9);
        assert_pages(&world, schema, query, 2, &expected).await;
        let mut next = format!("{}?{query}&page[size]=2", schema.path);
        loop {
            let page = world.get(&next).await;
            assert!(page["data"].as_array().unwrap().iter().all(|output| output["attributes"]["amount"].is_null()));
            assert!(page["included"].as_array().unwrap().iter().all(|found| found["type"] == "concierge_requests"));
            let Some(link) = page["links"]["next"].as_str() else { break };
            next = link.to_owned();
        }
    })
    .await;
}

#[tokio::test]
async fn links_of_the_longest_query_can_be_followed() {
    account(async |s| {
        for comma in [",", "%2C"] {
            let mut query = "filter%5Buser_id%5D=50505".to_owned();
            for id in 20202.. {
                let longer = format!("{query}{comma}{id}");
                if longer.len() > LONGEST {
                    break;
                }
                query = longer;
            }
            // the last id gets the missing digits
            query += &"0".repeat(LONGEST - query.len());
            let path = format!("/api/withdrawal_instructions?{query}&page[size]=1&page[number]=4294967295");
            let page = s.get(&path).await.expect(200);
            for name in ["self", "first", "prev", "last"] {
                let link = text(&page["links"][name]);
                assert!(link.contains(&query), "{name} has other parameters");
                s.get(link).await.expect(200);
            }
            let longer = s.get(&format!("/api/withdrawal_instructions?{query}1")).await;
            longer.assert_error(414, "url_too_long", "filter[user_id]");
        }
        // a character that no URL may have counts as its escape, as in the links
        let query = format!("sort=id&filter[external_id]={}", "|".repeat(21_500));
        let answer = s.get(&format!("/api/concierge_requests?{query}")).await;
        answer.assert_error(414, "url_too_long", "filter[external_id]");
    })
    .await;
}

#[tokio::test]
async fn three_parameter_styles_select_the_same_page() {
    account(async |s| {
        let world = World::of(s).await;
        for schema in SCHEMAS {
            let all = sorted(&world, schema, "id");
            for (number, page) in all.chunks(2).enumerate() {
                let (number, offset) = (number + 1, number * 2);
                for query in [
                    format!("page[number]={number}&page[size]=2"),
                    format!("page[page]={number}&page[per_page]=2"),
                    format!("page[offset]={offset}&page[limit]=2"),
                    format!("page[limit]=2&page[number]={number}"),
                ] {
                    assert_eq!(ids(&world.get(&format!("{}?{query}", schema.path)).await), page, "{query}");
                }
            }
            // an offset need not be a multiple of the size
            let page = world.get(&format!("{}?page[offset]=1&page[limit]=2", schema.path)).await;
            assert_eq!(ids(&page), all[1..3]);
            let rest: Vec<String> = page_ids(&follow(&world, page, "next").await).concat();
            assert_eq!(rest, all[1..]);
        }
    })
    .await;
}

#[tokio::test]
async fn page_rejects_invalid_values() {
    account(async |s| {
        for schema in SCHEMAS {
            for name in ["size", "per_page", "limit", "number", "page", "offset", "after", "before"] {
                for value in ["", "-1", "abc", "1.5", "1e2", "%2B1", "99999999999999999999", "%201", "0x10", "1,2", "٣"]
                {
                    let parameter = format!("page[{name}]");
                    let answer = s.get(&format!("{}?{parameter}={value}", schema.path)).await;
                    answer.assert_error(400, "parameter_invalid", &parameter);
                }
            }
            for query in [
                "page[size]=0",
                "page[size]=1001",
                "page[per_page]=1001",
                "page[limit]=0",
                "page[number]=0",
                "page[after]=0",
            ] {
                let parameter = query.split('=').next().unwrap();
                s.get(&format!("{}?{query}", schema.path)).await.assert_error(400, "parameter_invalid", parameter);
            }
            for size in ["1", "1000"] {
                s.get(&format!("{}?page[size]={size}", schema.path)).await.expect(200);
            }
            for parameter in ["page[x]", "page[]", "page[size][x]", "page[cursor]"] {
                let answer = s.get(&format!("{}?{parameter}=1", schema.path)).await;
                answer.assert_error(400, "parameter_unknown", parameter);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn equivalent_page_parameters_exclude_each_other() {
    account(async |s| {
        for schema in SCHEMAS {
            for (one, other) in [
                ("page[number]=1", "page[page]=2"),
                ("page[number]=1", "page[offset]=0"),
                ("page[offset]=1", "page[page]=1"),
                ("page[size]=1", "page[limit]=2"),
                ("page[per_page]=1", "page[size]=1"),
                ("page[limit]=5", "page[per_page]=6"),
            ] {
                for (one, other) in [(one, other), (other, one)] {
                    let answer = s.get(&format!("{}?{one}&{other}", schema.path)).await;
                    answer.assert_error(400, "parameter_invalid", other.split('=').next().unwrap());
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn collections_without_table_reject_cursors() {
    account(async |s| {
        for path in ["/api/concierge_ports", "/api/cash_wallets"] {
            for parameter in ["page[after]", "page[before]"] {
                let answer = s.get(&format!("{path}?{parameter}=5")).await;
                answer.assert_error(400, "parameter_invalid", parameter);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn page_defaults_to_100_and_totals_stop_at_10_000() {
    account(async |s| {
        let more = "insert into users (account_id, id, compliance_state, created_at)
            select account_id, 60000 + n, 'enabled', created_at from users, generate_series(1, 9998) n where id = 50505";
        s.sql(more).await;
        let page = s.get("/api/users").await.expect(200);
        assert_eq!(ids(&page).len(), 100);
        assert_eq!(page["meta"]["total"], 10_000);
        let last = s.get(text(&page["links"]["last"])).await.expect(200);
        assert_eq!((ids(&last).len(), ids(&last).last().unwrap().as_str()), (100, "69998"));
        s.create("/api/users", &super::document("users", serde_json::json!({}))).await;
        let page = s.get("/api/users?page[size]=1000").await.expect(200);
        assert_eq!(ids(&page).len(), 1000);
        assert!(page.get("meta").is_none() && page["links"].get("last").is_none(), "{}", page["links"]);
        assert!(page["links"]["next"].is_string());
    })
    .await;
}

#[tokio::test]
async fn changes_between_pages_shift_no_other_resource() {
    account(async |s| {
        let world = World::of(s).await;
        let schema = super::check::schema("withdrawal_instructions");
        let first = world.get(&format!("{}?page[size]=2", schema.path)).await;
        assert_eq!(ids(&first), ["2121", "2122"]);
        // delete the resource before the next page, and add a new one at the end
        assert_eq!(world.account.delete("/api/withdrawal_instructions/2122").await.status, 204);
        let added = super::document(schema.type_name, serde_json::json!({"body": {}}));
        world.account.create(schema.path, &added).await;
        let rest: Vec<String> = page_ids(&follow(&world, first, "next").await[1..]).concat();
        assert_eq!(rest, ["2123", "2124", "2125"]);
    })
    .await;
}
