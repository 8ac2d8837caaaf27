//! Events as the API shows them: form, filters, pages, fields, and permissions.

use std::collections::BTreeSet;
use std::time::Duration;

use concierge_sandbox::concierge::event_types::{self, EVENT_TYPES};
use serde_json::{Value, json};

use super::{FAR, MASTER, OUTPUT, PATH, ids, payout, put, set_url, with_key};
use crate::support::{Account, account, documented_output, sandbox, send};
use reqwest::Method;

#[tokio::test]
async fn new_event_has_the_documented_form() {
    account(async |s| {
        s.create_output().await;
        let all = s.get(PATH).await;
        let expected = concat!(
            r#"{"data":[{"id":"1","type":"events","attributes":{"event_type":"concierge_request_output_accepting","#,
            r#""created_at":"2019-11-25T12:53:02.741Z","sent_at":null,"delivery_state":"no_receiver","delivered":false,"#,
            r#""ended_at":null,"next_attempt_at":null,"attempts_count":0,"is_made_up":false},"#,
            r#""relationships":{"resource":{"data":{"id":"32323","type":"concierge_request_outputs"}},"#,
            r#""failures":{"data":[]}}}],"links":{"self":"BASE/_sandbox/events?page%5Bnumber%5D=1&page%5Bsize%5D=100","#,
            r#""first":"BASE/_sandbox/events?page%5Bsize%5D=100","prev":null,"next":null,"#,
            r#""last":"BASE/_sandbox/events?page%5Bnumber%5D=1&page%5Bsize%5D=100"},"meta":{"total":1}}"#,
        );
        assert_eq!((all.status, all.text), (200, expected.replace("BASE", &s.url(""))));
        assert_eq!(all.headers["content-type"], "application/vnd.api+json");
        let one = s.get("/_sandbox/events/1/").await;
        let snapshot: String =
            sqlx::query_scalar("select resource from events").fetch_one(s.database()).await.unwrap();
        assert!(one.text.ends_with(&format!(r#","included":[{snapshot}]}}"#)), "{}", one.text);
        let mut event = all.body["data"][0].clone();
        event["attributes"]["attempts"] = json!([]);
        assert_eq!(one.body["data"], event);
    })
    .await;
}

#[tokio::test]
async fn event_shows_its_attempts_and_its_resource() {
    account(async |s| {
        payout(s).await;
        let failed = ids(s, "filter[type]=concierge_request_output_failed").await[0];
        put(s, failed, "given_up").await;
        // the output has moved on, the event stays as it was
        let document = s.get(&format!("{PATH}/{failed}")).await.expect(200);
        let attributes = &document["data"]["attributes"];
        let at = "2019-11-25T12:53:02.741Z";
        assert_eq!(attributes["delivery_state"], "given_up");
        assert_eq!((&attributes["sent_at"], &attributes["ended_at"]), (&json!(at), &json!(at)));
        assert_eq!((&attributes["delivered"], &attributes["attempts_count"]), (&json!(false), &json!(2)));
        let attempts = json!([
            {"number": 1, "at": at, "url": null, "headers": null, "status": null, "error": "connection refused", "duration_ms": 10, "response": "",
                "next_attempt_at": at},
            {"number": 2, "at": at, "url": null, "headers": null, "status": 503, "error": "answered 503", "duration_ms": 20, "response": "busy",
                "next_attempt_at": null},
        ]);
        assert_eq!(attributes["attempts"], attempts);
        assert_eq!(document["data"]["relationships"]["failures"]["data"], json!([{"type": "failures", "id": "1"}]));
        let included = document["included"].as_array().unwrap();
        assert_eq!((included.len(), &included[0]["attributes"]["state"]), (1, &json!("failed")));
        assert_eq!(included[0]["id"], "32323");
        assert_eq!(s.state_of("32323").await, "settled");
        // an empty `include` includes nothing
        let bare = s.get(&format!("{PATH}/{failed}?include=")).await.expect(200);
        assert_eq!((&bare["included"], &bare["data"]), (&json!([]), &document["data"]));
    })
    .await;
}

#[tokio::test]
async fn only_output_events_have_failures() {
    account(async |s| {
        payout(s).await;
        for event in s.get(&format!("{PATH}?page[size]=1000")).await.expect(200)["data"].as_array().unwrap() {
            let of = event["relationships"]["resource"]["data"]["type"].as_str().unwrap();
            let has_failures = event["relationships"].get("failures").is_some();
            assert_eq!(has_failures, of == "concierge_request_outputs", "{event}");
        }
    })
    .await;
}

/// Makes the events of [`payout`], and puts some into each delivery state.
async fn every_state(account: &Account) -> Vec<Value> {
    payout(account).await;
    let events = ids(account, &format!("filter[resource]={OUTPUT}")).await;
    for (event, state) in events.iter().zip(["delivered", "given_up", "due", "waiting", "waiting"]) {
        put(account, *event, state).await;
    }
    account.get(&format!("{PATH}?page[size]=1000")).await.expect(200)["data"].as_array().unwrap().clone()
}

fn ids_of<'a>(events: impl Iterator<Item = &'a Value>) -> Vec<i64> {
    events.map(|event| event["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn filters_find_exactly_the_matching_events() {
    account(async |s| {
        let all = every_state(s).await;
        let of = |event: &Value| {
            let linked = &event["relationships"]["resource"]["data"];
            (linked["type"].as_str().unwrap().to_owned(), linked["id"].as_str().unwrap().to_owned())
        };
        let types: BTreeSet<&str> =
            all.iter().map(|event| event["attributes"]["event_type"].as_str().unwrap()).collect();
        assert!(types.len() > 10, "{types:?}");
        for name in event_types::NAMES {
            let expected = ids_of(all.iter().filter(|event| event["attributes"]["event_type"] == name));
            assert_eq!(ids(s, &format!("filter[type]={name}")).await, expected, "{name}");
        }
        let both = "filter[type]=concierge_request_output_working,concierge_request_output_settling";
        assert_eq!(ids(s, both).await.len(), 4, "each was tried twice");
        for (type_name, id) in all.iter().map(of).collect::<BTreeSet<_>>() {
            let expected = ids_of(all.iter().filter(|event| of(event) == (type_name.clone(), id.clone())));
            assert_eq!(ids(s, &format!("filter[resource]={type_name}/{id}")).await, expected);
            let expected = ids_of(all.iter().filter(|event| of(event).0 == type_name));
            assert_eq!(ids(s, &format!("filter[resource]={type_name}")).await, expected);
        }
        for state in ["no_receiver", "waiting", "due", "delivered", "given_up"] {
            let expected = ids_of(all.iter().filter(|event| event["attributes"]["delivery_state"] == state));
            assert!(!expected.is_empty(), "{state}");
            assert_eq!(ids(s, &format!("filter[delivery_state]={state}")).await, expected, "{state}");
        }
        assert_eq!(ids(s, "filter[delivery_state]=due,waiting").await.len(), 3);
        for delivered in [true, false] {
            let expected = ids_of(all.iter().filter(|event| event["attributes"]["delivered"] == delivered));
            assert_eq!(ids(s, &format!("filter[delivered]={delivered}")).await, expected, "{delivered}");
        }
        assert_eq!(ids(s, "filter[delivered]=true,false").await, ids_of(all.iter()));
        let together =
            format!("filter[resource]={OUTPUT}&filter[delivered]=false&filter[delivery_state]=given_up&sort=-id");
        assert_eq!(ids(s, &together).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn since_finds_exactly_the_later_events() {
    account(async |s| {
        let all = every_state(s).await;
        let everything = ids_of(all.iter());
        assert_eq!(ids(s, "filter[since]=0").await, everything);
        assert_eq!(ids(s, "filter[since]=3").await, everything[3..]);
        assert_eq!(ids(s, "filter[since]=99999999999999999999999").await, [] as [i64; 0]);
        let last = everything.last().unwrap();
        assert_eq!(ids(s, &format!("filter[since]={last}")).await, [] as [i64; 0]);
        for at in all.iter().map(|event| event["attributes"]["created_at"].as_str().unwrap()) {
            // as text, times of one form are in the order of time
            let expected = ids_of(all.iter().filter(|event| event["attributes"]["created_at"].as_str().unwrap() >= at));
            assert_eq!(ids(s, &format!("filter[since]={at}")).await, expected, "{at}");
        }
        let shifted = "filter[since]=2019-11-25T14:53:02.741%2B02:00";
        assert_eq!(ids(s, shifted).await, everything);
        assert_eq!(ids(s, &format!("filter[since]={FAR}")).await, [] as [i64; 0]);
        for extreme in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"] {
            let found = ids(s, &format!("filter[since]={extreme}")).await;
            assert_eq!(found.is_empty(), extreme.starts_with('9'), "{extreme}");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_list_all_events_both_ways() {
    account(async |s| {
        let all = every_state(s).await;
        for filter in ["", "filter[delivered]=false&", "filter[resource]=concierge_request_outputs&"] {
            let mut expected = ids(s, filter).await;
            assert!(expected.len() < all.len() || filter.is_empty());
            for sort in ["id", "-id"] {
                let mut found = Vec::new();
                let mut next = Some(format!("{PATH}?{filter}sort={sort}&page[size]=3"));
                while let Some(path) = next {
                    let page = s.get(&path).await.expect(200);
                    found.extend(ids_of(page["data"].as_array().unwrap().iter()));
                    next = page["links"]["next"].as_str().map(str::to_owned);
                    if let Some(prev) = page["links"]["prev"].as_str() {
                        let before = s.get(prev).await.expect(200);
                        let count = before["data"].as_array().unwrap().len();
                        let end = found.len() - page["data"].as_array().unwrap().len();
                        assert_eq!(ids_of(before["data"].as_array().unwrap().iter()), found[end - count..end]);
                    }
                }
                assert_eq!(found, expected, "{filter}{sort}");
                expected.reverse();
            }
        }
        let page = s.get(&format!("{PATH}?page[number]=2&page[size]=4")).await.expect(200);
        assert_eq!(ids_of(page["data"].as_array().unwrap().iter()), [5, 6, 7, 8]);
    })
    .await;
}

#[tokio::test]
async fn fieldsets_apply_and_includes_are_rejected() {
    account(async |s| {
        s.create_output().await;
        for path in [PATH, "/_sandbox/events/1"] {
            let picked = s.get(&format!("{path}?fields[events]=resource,event_type")).await.expect(200);
            let event = if picked["data"].is_array() { &picked["data"][0] } else { &picked["data"] };
            assert_eq!(event["attributes"], json!({"event_type": "concierge_request_output_accepting"}));
            assert_eq!(event["relationships"].as_object().unwrap().keys().collect::<Vec<_>>(), ["resource"]);
            let none = s.get(&format!("{path}?fields[events]=")).await.expect(200);
            let event = if none["data"].is_array() { &none["data"][0] } else { &none["data"] };
            assert_eq!((&event["attributes"], event.get("relationships")), (&json!({}), None));
            for include in ["resource", "failures", "user"] {
                let answer = s.get(&format!("{path}?include={include}")).await;
                let is_shown = answer.text.contains("can't be included");
                assert_eq!(is_shown, include != "user", "{answer:?}");
                answer.assert_error(400, "include_unknown", "include");
            }
            s.get(&format!("{path}?fields[events]=x")).await.assert_error(400, "field_unknown", "fields[events]");
        }
    })
    .await;
}

#[tokio::test]
async fn invalid_queries_are_rejected() {
    account(async |s| {
        let refused = [
            ("type", &["", "x", "user_new", "user_enabled,", "User_enabled", "%00"][..]),
            ("resource", &["", "/", "ports", "users/", "users/a", "users/-1", "users/1/2", "users/1,users/2", "%00"]),
            ("delivered", &["", "yes", "True", "1", "true,", "%00"]),
            ("delivery_state", &["", "sent", "due,", "DUE", "%00"]),
            (
                "since",
                &[
                    "",
                    "x",
                    "-1",
                    "1,2",
                    "1.5",
                    "2019-11-25",
                    "2019-11-25T12:53:02",
                    "2019-13-01T00:00:00Z",
                    "%00",
                    "2019-11-25T12:53:02+00:00",
                    "9999-12-31T23:59:59-23:59",
                    "٣",
                ],
            ),
        ];
        for (name, values) in refused {
            let parameter = format!("filter[{name}]");
            for value in values {
                let answer = s.get(&format!("{PATH}?{parameter}={value}")).await;
                assert_eq!(answer.status, 400, "{parameter}={value}");
                for (_, code, source) in answer.errors() {
                    assert_eq!((code.as_str(), &source), ("parameter_invalid", &parameter), "{value}");
                }
            }
        }
        let detail = s.get(&format!("{PATH}?filter[type]=x")).await.body["errors"][0]["detail"].clone();
        for event_type in &EVENT_TYPES {
            assert!(detail.as_str().unwrap().contains(event_type.name), "{detail}");
        }
        for (query, code, parameter) in [
            ("sort=created_at", "sort_unknown", "sort"),
            ("filter[id]=1", "filter_unknown", "filter[id]"),
            ("filter[event_type]=user_enabled", "filter_unknown", "filter[event_type]"),
            ("page[size]=0", "parameter_invalid", "page[size]"),
            ("since=1", "parameter_unknown", "since"),
        ] {
            s.get(&format!("{PATH}?{query}")).await.assert_error(400, code, parameter);
        }
        s.get("/_sandbox/events/1?filter[since]=1").await.assert_error(400, "parameter_unknown", "filter[since]");
        for id in ["1", "0", "x", "01", "99999999999999999999999", "%ff"] {
            s.get(&format!("{PATH}/{id}")).await.assert_error(404, "resource_not_found", "");
            let redelivered = send(s.request(Method::POST, &format!("{PATH}/{id}/redeliver"))).await;
            redelivered.assert_error(404, "resource_not_found", "");
        }
        for path in ["recover", "trigger"] {
            assert_eq!(s.get(&format!("{PATH}/{path}")).await.status, 405);
        }
    })
    .await;
}

#[tokio::test]
async fn account_sees_only_its_own_events() {
    sandbox(async |s| {
        s.second_account("another_key").await;
        s.create_output().await;
        s.advance(Duration::from_secs(1)).await;
        set_url(s, MASTER, Some("http://127.0.0.1:9/")).await;
        let theirs = with_key(s, "another_key", Method::GET, PATH).await.expect(200);
        assert_eq!((&theirs["data"], &theirs["meta"]["total"]), (&json!([]), &json!(0)));
        for (method, path) in [(Method::GET, "/1"), (Method::POST, "/1/redeliver")] {
            let answer = with_key(s, "another_key", method, &format!("{PATH}{path}")).await;
            answer.assert_error(404, "resource_not_found", "");
        }
        let none = with_key(s, "another_key", Method::POST, &format!("{PATH}/recover")).await.expect(200);
        assert_eq!(none, json!({"recovered": 0}));
        assert_eq!(s.count("select count(*) from deliveries").await, 0);
        // the first event of the second account is its own
        let body = documented_output().to_string();
        let request = s.client.post(s.url("/api/concierge_request_outputs")).header("Authorization", "another_key");
        send(request.header("Content-Type", "application/json").body(body)).await.expect(201);
        let first = with_key(s, "another_key", Method::GET, &format!("{PATH}/1")).await.expect(200);
        assert_eq!(first["included"][0]["attributes"]["state"], "accepting");
    })
    .await;
}

#[tokio::test]
async fn read_only_key_may_only_read() {
    account(async |s| {
        s.create_output().await;
        let key = &s.read_only_key;
        for path in ["", "/1"] {
            with_key(s, key, Method::GET, &format!("{PATH}{path}")).await.expect(200);
        }
        for path in ["/1/redeliver", "/777/redeliver", "/recover", "/trigger"] {
            let answer = with_key(s, key, Method::POST, &format!("{PATH}{path}")).await;
            answer.assert_error(401, "not_enough_permissions", "Authorization");
            let stranger = send(s.client.post(s.url(&format!("{PATH}{path}")))).await;
            stranger.assert_error(401, "invalid_api_key", "Authorization");
        }
        for path in ["", "/1", "?filter[since]=x"] {
            let stranger = send(s.client.get(s.url(&format!("{PATH}{path}")))).await;
            stranger.assert_error(401, "invalid_api_key", "Authorization");
        }
        assert_eq!(s.count("select count(*) from deliveries").await, 0);
        assert_eq!(s.count("select count(*) from events").await, 1);
    })
    .await;
}
