//! Plain JSON of the control plane: the text of single things, the envelope of lists, and the pages of lists.

use concierge_sandbox::concierge::machine::StateMachine;
use concierge_sandbox::config::Config;
use concierge_sandbox::sandbox::accounts::document::CreatedAccount;
use concierge_sandbox::sandbox::accounts::routes::AccountList;
use concierge_sandbox::sandbox::advice::routes::AdviceList;
use concierge_sandbox::sandbox::clock::document::ClockDocument;
use concierge_sandbox::sandbox::clock::report::MovedClock;
use concierge_sandbox::sandbox::events::document::RecoveredEvents;
use concierge_sandbox::sandbox::faults::routes::FaultList;
use concierge_sandbox::sandbox::health::Health;
use concierge_sandbox::sandbox::request_log::routes::RequestList;
use concierge_sandbox::sandbox::seed::document::SeedResult;
use concierge_sandbox::sandbox::settings::Settings;
use concierge_sandbox::sandbox::snapshots::routes::SnapshotList;
use concierge_sandbox::sandbox::test_values::TestValueList;
use concierge_sandbox::sandbox::timeline::document::TimelineDocument;
use concierge_sandbox::sandbox::wait::document::{WaitFacts, WaitResult};
use reqwest::Method;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::support::{Account, account, sandbox, sandbox_with, send};

const LISTS: [&str; 6] = [
    "/_sandbox/accounts",
    "/_sandbox/advice",
    "/_sandbox/faults",
    "/_sandbox/requests",
    "/_sandbox/snapshots",
    "/_sandbox/test_values",
];

const ADMIN: &str = "let me in";

fn with_admin(config: &mut Config) {
    config.admin_token = Some(ADMIN.to_owned());
}

/// Returns path and query of a link.
fn path_of(link: &Value) -> &str {
    let link = link.as_str().unwrap();
    &link[link.find("/_sandbox").unwrap()..]
}

fn members(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Reads all pages of a list by the links `next`, with a member of each entry.
async fn walk(account: &Account, first: &str, member: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut next = json!(first);
    while !next.is_null() {
        let page = account.get(path_of(&next)).await.expect(200);
        pages.push(page["data"].as_array().unwrap().iter().map(|entry| entry[member].clone()).collect());
        next = page["links"]["next"].clone();
    }
    pages
}

/// Returns the schemas of all answers, by name.
fn schemas() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    macro_rules! add {
        ($($answer:ty)*) => { $(generator.subschema_for::<$answer>();)* };
    }
    add! {
        AccountList AdviceList ClockDocument CreatedAccount FaultList Health MovedClock RecoveredEvents RequestList
        SeedResult Settings SnapshotList StateMachine TestValueList TimelineDocument WaitFacts WaitResult
    }
    generator.take_definitions(true)
}

/// Lists the faults of the members of a schema and of its alternatives.
fn member_faults(name: &str, schema: &Value, found: &mut Vec<String>) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
        // a constant says itself
        if schema["description"].as_str().is_none_or(str::is_empty) && schema["const"].is_null() {
            found.push(format!("{name}.{member} has no description"));
        }
        let is_nullable = schema["type"]
            .as_array()
            .or(schema["anyOf"].as_array())
            .is_some_and(|types| types.iter().any(|kind| *kind == "null" || kind["type"] == "null"));
        if is_nullable && !required.contains(&member.as_str()) {
            found.push(format!("{name}.{member} may be absent, and null"));
        }
    }
    for alternative in ["oneOf", "anyOf"].into_iter().filter_map(|member| schema[member].as_array()).flatten() {
        member_faults(name, alternative, found);
    }
}

#[test]
fn every_answer_and_each_of_its_members_is_described() {
    let mut found = Vec::new();
    let schemas = schemas();
    for (name, schema) in &schemas {
        if schema["description"].as_str().is_none_or(str::is_empty) {
            found.push(format!("{name} has no description"));
        }
        member_faults(name, schema, &mut found);
    }
    assert_eq!(found, [""; 0]);
    let names: Vec<&str> =
        schemas["DeliveryState"]["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(names, ["no_receiver", "waiting", "due", "delivered", "given_up"]);
}

#[tokio::test]
async fn single_things_keep_the_order_of_their_members() {
    account(async |s| {
        let frozen = s.account(json!({"clock": {"now": "2019-11-25T12:53:02.741Z"}})).await;
        let outlook = r#"{"kind":"waiting","trigger":"work","to":"working","waits_for":{"what":"request","resource":{"type":"concierge_requests","id":"1010"},"state":"draft","next":{"kind":"waiting","trigger":"request_quote","to":"quote_requested","waits_for":{"what":"call","action":"request_quote","before":"2019-12-25T12:53:02.741Z"},"otherwise":{"trigger":"expire","to":"cancelled","due_at":"2019-12-25T12:53:02.741Z"}}},"otherwise":null}"#;
        let at_start = r#""2019-11-25T12:53:02.741Z""#;
        let settings = r#"{"progression":"auto","approval":"manual","check_delay":"PT1M30S","approval_delay":"PT1S","quote_delay":"PT1S","step_delay":"PT1S","public_url":null}"#;
        let transitions = r#"[{"at":"2019-11-25T12:53:02.741Z","from":null,"to":"accepting","trigger":"create","cause":{"kind":"request","by":"00000000-0000-0000-0000-000000000005"},"event":{"id":"1","type":"concierge_request_output_accepting"},"deliveries":[]},{"at":"2019-11-25T12:54:32.741Z","from":"accepting","to":"accepted","trigger":"accept","cause":{"kind":"timer","by":null},"event":{"id":"2","type":"concierge_request_output_accepted"},"deliveries":[]}]"#;
        for (method, path, body, expected) in [
            (Method::GET, "health/live", "", r#"{"status":"live"}"#.to_owned()),
            (Method::GET, "health/ready", "", r#"{"status":"ready"}"#.to_owned()),
            (Method::PATCH, "settings", r#"{"check_delay":"90s","approval":"manual"}"#, settings.to_owned()),
            (Method::GET, "settings", "", settings.to_owned()),
            (
                Method::GET,
                "clock",
                "",
                format!(r#"{{"now":{at_start},"frozen":true,"ahead_seconds":null,"next_due_at":"2019-12-25T12:53:02.741Z"}}"#),
            ),
            (Method::POST, "output", "", String::new()),
            (
                Method::POST,
                "clock/advance",
                r#"{"by":"90s"}"#,
                format!(
                    r#"{{"now":"2019-11-25T12:54:32.741Z","frozen":true,"ahead_seconds":null,"next_due_at":"2019-12-25T12:53:02.741Z","from":{at_start},"to":"2019-11-25T12:54:32.741Z","happened":[{{"at":"2019-11-25T12:54:32.741Z","event":{{"id":"2","event_type":"concierge_request_output_accepted"}},"resource":{{"type":"concierge_request_outputs","id":"32323"}}}}],"more_happened":false}}"#
                ),
            ),
            (
                Method::GET,
                "wait?resource=concierge_request_outputs/32323&state=accepted",
                "",
                r#"{"resource":{"type":"concierge_request_outputs","id":"32323"},"state":"accepted"}"#.to_owned(),
            ),
            (
                Method::GET,
                "wait?event=concierge_request_output_accepted",
                "",
                r#"{"event":{"id":"2","event_type":"concierge_request_output_accepted","delivery_state":"no_receiver","attempts_count":0}}"#.to_owned(),
            ),
            (
                Method::GET,
                "timeline/concierge_request_outputs/32323",
                "",
                format!(
                    r#"{{"resource":{{"type":"concierge_request_outputs","id":"32323"}},"state":"accepted","since":"2019-11-25T12:54:32.741Z","transitions":{transitions},"left_off":false,"scenario":{{"name":"settled","source":"default","value":null}},"next":{outlook}}}"#
                ),
            ),
            (
                Method::POST,
                "snapshots",
                r#"{"name":"a"}"#,
                r#"{"name":"a","taken_at":"2019-11-25T12:54:32.741Z","frozen":true,"counts":{"users":2,"withdrawal_instructions":1,"concierge_requests":1,"concierge_request_outputs":1,"events":2}}"#.to_owned(),
            ),
            (
                Method::POST,
                "seed",
                r#"{"data":[{"type":"users","id":7}]}"#,
                r#"{"seeded":{"users":1,"withdrawal_instructions":0,"concierge_requests":0,"concierge_request_outputs":0,"cash_wallets":0}}"#.to_owned(),
            ),
            (Method::POST, "events/recover", r#"{"since":2}"#, r#"{"recovered":0}"#.to_owned()),
        ] {
            if path == "output" {
                frozen.create_output().await;
                continue;
            }
            let answer = frozen.send_text(method, &format!("/_sandbox/{path}"), body).await;
            assert_eq!(answer.headers["content-type"], "application/json", "{path}");
            assert_eq!(answer.text, expected, "{path}");
        }
        let waiting = frozen.get("/_sandbox/wait?resource=concierge_request_outputs/32323&state=settled&timeout=0s").await;
        let facts = format!(
            r#""meta":{{"state":"accepted","since":"2019-11-25T12:54:32.741Z","next":{outlook},"clock":{{"frozen_at":"2019-11-25T12:54:32.741Z"}}}}"#
        );
        assert!(waiting.text.contains(&facts), "{}", waiting.text);
    })
    .await;
}

#[tokio::test]
async fn new_account_is_shown_with_its_keys() {
    sandbox(async |s| {
        let made = s.post("/_sandbox/accounts", &json!({"key": "k", "clock": {"now": "2030-01-01T00:00:00Z"}})).await;
        let (id, read_only) = (made.body["id"].clone(), made.body["read_only_key"].clone());
        let account = format!(
            r#"{{"id":{id},"created_at":"2030-01-01T00:00:00.000Z","clock":{{"now":"2030-01-01T00:00:00.000Z","frozen":true}},"progression":"auto"#
        );
        assert_eq!(made.text, format!(r#"{account}","key":"k","read_only_key":{read_only}}}"#));
        let shown = Account::of(&s.url(""), "k").get(&format!("/_sandbox/accounts/{}", id.as_str().unwrap())).await;
        assert_eq!(shown.text, format!(r#"{account}"}}"#));
    })
    .await;
}

#[tokio::test]
async fn every_list_has_one_envelope_and_the_same_pages() {
    sandbox_with(with_admin, async |s| {
        let admin = Account::of(&s.url(""), ADMIN);
        let fault = json!({"path": "/api/users/7", "status": 500});
        let put = s.send(Method::PUT, "/_sandbox/faults", &json!({"data": [fault, fault, fault]})).await.expect(200);
        for name in ["a", "b", "c"] {
            s.post("/_sandbox/snapshots", &json!({ "name": name })).await.expect(201);
            admin.post("/_sandbox/accounts", &json!({})).await.expect(201);
            // three requests, and three pieces of advice
            s.post_text("/api/users", "{").await.expect(400);
        }
        for (scheme, media_type) in [("Bearer ", "text/plain"), ("", "")] {
            let post = s.client.post(s.url("/api/users")).body("{}");
            let post = post.header("Authorization", format!("{scheme}your_api_key"));
            let post = if media_type.is_empty() { post } else { post.header("Content-Type", media_type) };
            send(post).await;
        }
        assert_eq!(put, s.get("/_sandbox/faults").await.expect(200));
        for path in LISTS {
            // a key lists its own account
            let s = if path == "/_sandbox/accounts" { &admin } else { &**s };
            let all = s.get(path).await.expect(200);
            assert_eq!(members(&all), ["data", "meta", "links"], "{path}");
            assert_eq!(members(&all["links"]), ["self", "first", "prev", "next", "last"], "{path}");
            let entries = all["data"].as_array().unwrap();
            assert_eq!(all["meta"]["total"], entries.len(), "{path}");
            assert!(entries.len() >= 3, "{path} has {all}");
            for link in ["self", "first", "last"] {
                assert_eq!(s.get(path_of(&all["links"][link])).await.expect(200)["data"], all["data"], "{path} {link}");
            }
            // pages of one entry, by each way to ask for them
            let pages = walk(s, &format!("{path}?page[size]=1"), "nothing").await;
            assert_eq!(pages.len(), entries.len(), "{path}");
            for query in
                ["page[size]=1&page[number]=2", "page[per_page]=1&page[page]=2", "page[limit]=1&page[offset]=1"]
            {
                let page = s.get(&format!("{path}?{query}")).await.expect(200);
                assert_eq!(page["data"], json!([entries[1]]), "{path}?{query}");
                assert_eq!(page["meta"], all["meta"], "{path}?{query}");
                let back = s.get(path_of(&page["links"]["prev"])).await.expect(200);
                assert_eq!(back["data"], json!([entries[0]]), "{path}?{query}");
            }
            let beyond = s.get(&format!("{path}?page[number]=9")).await.expect(200);
            assert_eq!((&beyond["data"], &beyond["links"]["next"]), (&json!([]), &Value::Null), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn bad_pages_are_refused_alike_by_every_list() {
    account(async |s| {
        for path in LISTS {
            for (query, code, parameter) in [
                ("page[size]=0", "parameter_invalid", "page[size]"),
                ("page[size]=1001", "parameter_invalid", "page[size]"),
                ("page[size]=ten", "parameter_invalid", "page[size]"),
                ("page[size]=2&page[size]=2", "parameter_invalid", "page[size]"),
                ("page[size]=2&page[limit]=2", "parameter_invalid", "page[limit]"),
                ("page[number]=0", "parameter_invalid", "page[number]"),
                ("page[number]=1&page[offset]=0", "parameter_invalid", "page[offset]"),
                ("page[offset]=-1", "parameter_invalid", "page[offset]"),
                ("page[after]=x", "parameter_invalid", "page[after]"),
                ("page[cursor]=1", "parameter_unknown", "page[cursor]"),
                ("page=1", "parameter_unknown", "page"),
                ("sort=id", "parameter_unknown", "sort"),
                ("include=user", "parameter_unknown", "include"),
                ("fields[users]=name", "parameter_unknown", "fields[users]"),
                ("filter[id]=1", "filter_unknown", "filter[id]"),
                ("x=1", "parameter_unknown", "x"),
            ] {
                s.get(&format!("{path}?{query}")).await.assert_error(400, code, parameter);
            }
            if path != "/_sandbox/requests" {
                let after = s.get(&format!("{path}?page[after]=1")).await;
                after.assert_error(400, "parameter_invalid", "page[after]");
            }
        }
        let fault = json!({"data": [{"path": "/api/users", "status": 500}]});
        let put = s.send(Method::PUT, "/_sandbox/faults?page[size]=1", &fault).await;
        put.assert_error(400, "parameter_unknown", "page[size]");
        assert_eq!(s.get("/_sandbox/faults").await.expect(200)["data"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn every_account_can_be_reached() {
    sandbox_with(with_admin, async |s| {
        let admin = Account::of(&s.url(""), ADMIN);
        let mut made = vec![json!("default")];
        for _ in 0..6 {
            made.push(admin.post("/_sandbox/accounts", &json!({})).await.expect(201)["id"].clone());
        }
        let pages = walk(&admin, "/_sandbox/accounts?page[size]=3", "id").await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(pages.concat(), made, "the oldest first");
        s.post("/_sandbox/reset", &json!({})).await.expect(204);
        made.rotate_left(1);
        assert_eq!(
            walk(&admin, "/_sandbox/accounts?page[size]=3", "id").await.concat(),
            made,
            "a reset moves to the end"
        );
    })
    .await;
}

#[tokio::test]
async fn next_page_of_the_request_log_stays_while_requests_arrive() {
    account(async |s| {
        let call = async |number: usize| drop(s.get(&format!("/api/users/{number}")).await.expect(404));
        for number in 1..=5 {
            call(number).await;
        }
        let paths = |page: &Value| -> Vec<String> {
            let entries = page["data"].as_array().unwrap().iter();
            entries.map(|entry| entry["path"].as_str().unwrap().replace("/api/users/", "")).collect()
        };
        let log = "/_sandbox/requests?filter[method]=GET&page[size]=2";
        let first = s.get(log).await.expect(200);
        assert_eq!((paths(&first), &first["meta"]["total"]), (vec!["5".to_owned(), "4".to_owned()], &json!(5)));
        for number in 6..=8 {
            call(number).await;
        }
        let second = s.get(path_of(&first["links"]["next"])).await.expect(200);
        assert_eq!((paths(&second), &second["meta"]["total"]), (vec!["3".to_owned(), "2".to_owned()], &json!(8)));
        let third = s.get(path_of(&second["links"]["next"])).await.expect(200);
        assert_eq!((paths(&third), &third["links"]["next"]), (vec!["1".to_owned()], &Value::Null));
        let back = s.get(path_of(&third["links"]["prev"])).await.expect(200);
        assert_eq!(back["data"], second["data"]);
        // backwards, the new requests come before the old first page
        let newer = s.get(path_of(&s.get(path_of(&back["links"]["prev"])).await.expect(200)["links"]["prev"])).await;
        let newer = newer.expect(200);
        assert_eq!((paths(&newer), newer["links"]["prev"].is_null()), (vec!["7".to_owned(), "6".to_owned()], false));
        // numbered pages count from the newest
        let numbered = s.get(&format!("{log}&page[number]=2")).await.expect(200);
        assert_eq!(paths(&numbered), ["6", "5"]);
    })
    .await;
}

#[tokio::test]
async fn shown_list_of_faults_can_be_sent_again() {
    account(async |s| {
        let fault = json!({"data": [{"path": "/api/users/7", "status": 500, "times": 2}]});
        let shown = s.send(Method::PUT, "/_sandbox/faults", &fault).await.expect(200);
        assert_eq!(s.send(Method::PUT, "/_sandbox/faults", &shown).await.expect(200), shown);
        let older = s.send(Method::PUT, "/_sandbox/faults", &json!({"faults": []})).await;
        older.assert_error(400, "document_invalid", "");
        assert!(older.text.contains("`data` is missing"), "{}", older.text);
        assert_eq!(s.get("/_sandbox/faults").await.expect(200), shown);
    })
    .await;
}

#[tokio::test]
async fn names_that_cannot_be_read_are_unknown() {
    sandbox_with(with_admin, async |s| {
        let admin = Account::of(&s.url(""), ADMIN);
        for name in ["%00", "a%00b", "%ff"] {
            for (method, path) in [
                (Method::GET, format!("/_sandbox/accounts/{name}")),
                (Method::DELETE, format!("/_sandbox/accounts/{name}")),
            ] {
                for caller in [&**s, &admin] {
                    let answer = send(caller.request(method.clone(), &path)).await;
                    answer.assert_error(404, "resource_not_found", "");
                }
            }
            for (method, path) in [
                (Method::DELETE, format!("/_sandbox/snapshots/{name}")),
                (Method::POST, format!("/_sandbox/snapshots/{name}/restore")),
                (Method::GET, format!("/_sandbox/state_machines/{name}")),
                (Method::GET, format!("/_sandbox/timeline/users/{name}")),
                (Method::GET, format!("/_sandbox/timeline/{name}/1")),
                (Method::POST, format!("/_sandbox/simulations/users/{name}/enable")),
                (Method::GET, format!("/_sandbox/docs/{name}")),
                (Method::GET, format!("/_sandbox/requests/{name}")),
                (Method::GET, format!("/_sandbox/events/{name}")),
                (Method::GET, format!("/receipts/{name}")),
                (Method::GET, format!("/api/cash_wallets/{name}")),
            ] {
                let answer = send(s.request(method, &path)).await;
                answer.assert_error(404, "resource_not_found", "");
            }
        }
    })
    .await;
}
