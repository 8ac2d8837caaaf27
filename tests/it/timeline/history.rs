//! Past transitions, their causes, and their deliveries.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{OUTPUTS, REQUESTS, SECOND, path_of, timeline};
use crate::payouts::{draft, pay, set_to_work, thousand};
use crate::support::{Receiver, account, documented_output, sandbox, send};

#[tokio::test]
async fn timeline_shows_transitions_causes_and_deliveries() {
    account(async |s| {
        let receiver = Receiver::deciding(|call| {
            let body = String::from_utf8_lossy(&call.body);
            let status = if body.contains("output_failed") { "500 Internal Server Error" } else { "200 OK" };
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
        })
        .await;
        let document = json!({"data": {"type": "users", "attributes": {"webhook_url": receiver.url()}}});
        s.patch("/api/users/me", &document).await.expect(200);
        let id = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
        let request = s.request(Method::POST, "/api/concierge_request_outputs").header("X-Request-Id", id);
        let request = request.header("Sandbox-Outcome", "returned").header("Content-Type", "application/json");
        send(request.body(documented_output().to_string())).await.expect(201);
        s.tell(SECOND).await;
        for action in ["request_quote", "accept_quote"] {
            s.act("1010", action).await.expect(200);
            s.tell(Duration::from_millis(1)).await;
        }
        for _ in 0..5 {
            s.tell(SECOND).await;
        }
        let timeline = timeline(s, OUTPUTS, "32323").await;
        let members: Vec<&String> = timeline.as_object().unwrap().keys().collect();
        assert_eq!(members, ["resource", "state", "since", "transitions", "left_off", "scenario", "next"]);
        assert_eq!((&timeline["state"], &timeline["since"]), (&json!("returned"), &json!("2019-11-25T12:53:07.742Z")));
        assert_eq!(timeline["scenario"], json!({"name": "returned", "source": "header", "value": "returned"}));
        assert_eq!(timeline["next"], json!({"kind": "final"}));
        let event = |number: usize, state: &str| {
            let id = timeline["transitions"][number]["event"]["id"].clone();
            json!({"id": id, "type": format!("concierge_request_output_{state}")})
        };
        let sent = |at: &str| json!([{"state": "delivered", "next_attempt_at": null, "attempts": [{"at": at, "status": 200, "error": null}]}]);
        let timer = json!({"kind": "timer", "by": null});
        let asked = json!({"kind": "timer", "by": "header returned"});
        let [created, checked] = ["2019-11-25T12:53:02.741Z", "2019-11-25T12:53:03.741Z"];
        let [works, issued, failed, returned] = [4, 5, 6, 7].map(|second| format!("2019-11-25T12:53:0{second}.742Z"));
        let refused = json!([{"state": "due", "next_attempt_at": timeline["transitions"][4]["deliveries"][0]["next_attempt_at"],
            "attempts": [{"at": failed, "status": 500, "error": "answered 500"}]}]);
        let waits = json!([{"state": "waiting", "next_attempt_at": null, "attempts": []}]);
        assert!(refused[0]["next_attempt_at"].is_string());
        let expected = json!([
            {"at": created, "from": null, "to": "accepting", "trigger": "create", "cause": {"kind": "request", "by": id},
                "event": event(0, "accepting"), "deliveries": sent(created)},
            {"at": checked, "from": "accepting", "to": "accepted", "trigger": "accept", "cause": timer,
                "event": event(1, "accepted"), "deliveries": sent(checked)},
            {"at": works, "from": "accepted", "to": "working", "trigger": "work", "cause": timer,
                "event": event(2, "working"), "deliveries": sent(&works)},
            {"at": issued, "from": "working", "to": "settling", "trigger": "issue", "cause": timer,
                "event": event(3, "settling"), "deliveries": sent(&issued)},
            {"at": failed, "from": "settling", "to": "failed", "trigger": "fail", "cause": asked,
                "event": event(4, "failed"), "deliveries": refused},
            {"at": returned, "from": "failed", "to": "returned", "trigger": "return", "cause": asked,
                "event": event(5, "returned"), "deliveries": waits},
        ]);
        assert_eq!(timeline["transitions"], expected);
        // events match their own documents
        for step in timeline["transitions"].as_array().unwrap() {
            let path = format!("/_sandbox/events/{}", step["event"]["id"].as_str().unwrap());
            let shown = s.get(&path).await.expect(200)["data"]["attributes"].clone();
            assert_eq!((&shown["event_type"], &shown["created_at"]), (&step["event"]["type"], &step["at"]));
            assert_eq!(shown["delivery_state"], step["deliveries"][0]["state"]);
        }
    })
    .await;
}

#[tokio::test]
async fn timeline_of_a_request_lists_its_transitions() {
    account(async |s| {
        s.create_output().await;
        pay(s, "1010", "sandbox:rejected", thousand()).await;
        s.advance(SECOND).await;
        set_to_work(s, "1010").await;
        s.advance(Duration::from_mins(1)).await;
        let shown = timeline(s, REQUESTS, "1010").await;
        assert_eq!(shown.get("scenario"), None, "only outputs have a scenario");
        let finished = ("finished", "finished", "");
        let expected = [
            ("draft", "quote_requested", "request_quote"),
            ("quote_requested", "quoted", "quote"),
            ("quoted", "quote_accepted", "accept_quote"),
            ("quote_accepted", "working", "fund"),
            ("working", "finished", "finish"),
            // the receipt and the credit note
            finished,
            finished,
        ];
        assert_eq!(path_of(&shown), expected);
        assert_eq!(shown["transitions"][3]["cause"], json!({"kind": "money", "by": null}));
        assert_eq!(shown["transitions"][3]["deliveries"], json!([]), "no webhook_url is set");
        assert_eq!((&shown["state"], &shown["since"]), (&json!("finished"), &shown["transitions"][4]["at"]));
        // two transitions lead from draft to cancelled; the trigger shows the taken one
        let (cancelled, left) = (draft(s, "ar_ars").await, draft(s, "ar_ars").await);
        s.act(&cancelled, "cancel").await.expect(200);
        s.advance(Duration::from_hours(30 * 24)).await;
        for (request, trigger) in [(cancelled, "cancel"), (left, "expire")] {
            let shown = timeline(s, REQUESTS, &request).await;
            assert_eq!(path_of(&shown), [("", "draft", "create"), ("draft", "cancelled", trigger)]);
            assert_eq!(shown["next"], json!({"kind": "final"}));
        }
    })
    .await;
}

#[tokio::test]
async fn timeline_exists_for_users_and_instructions() {
    account(async |s| {
        let user = s.create("/api/users", &json!({"data": {"type": "users"}})).await;
        let at = |second: u8| format!("2019-11-25T12:53:0{second}.741Z");
        let approval = json!({"kind": "due", "trigger": "enable", "to": "enabled", "due_at": at(3)});
        let shown = timeline(s, "users", &user).await;
        assert_eq!((&shown["state"], &shown["since"], &shown["next"]), (&json!("new"), &json!(at(2)), &approval));
        s.advance(Duration::from_secs(5)).await;
        let shown = timeline(s, "users", &user).await;
        assert_eq!((&shown["state"], &shown["since"]), (&json!("enabled"), &json!(at(3))));
        assert_eq!(path_of(&shown), [("new", "enabled", "enable")]);
        assert_eq!(shown["next"], json!({"kind": "by_hand"}));
        // a triggered event is no transition
        let triggered = json!({"event_type": "user_rejected", "resource": {"type": "users", "id": user}});
        s.post("/_sandbox/events/trigger", &triggered).await.expect(201);
        assert_eq!(path_of(&timeline(s, "users", &user).await).len(), 1);

        let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}}}});
        let instruction = s.create("/api/withdrawal_instructions", &instruction).await;
        for (id, earlier) in [(instruction.as_str(), &[("", "created", "create")][..]), ("2121", &[])] {
            let shown = timeline(s, "withdrawal_instructions", id).await;
            assert_eq!((&shown["state"], &shown["next"]), (&json!("created"), &json!({"kind": "by_hand"})));
            assert_eq!(path_of(&shown), earlier);
            s.advance(SECOND).await;
            assert_eq!(s.delete(&format!("/api/withdrawal_instructions/{id}")).await.status, 204);
            let shown = timeline(s, "withdrawal_instructions", id).await;
            assert_eq!((&shown["state"], &shown["next"]), (&json!("destroyed"), &json!({"kind": "final"})));
            assert_eq!(path_of(&shown), [earlier, &[("created", "destroyed", "destroy")]].concat());
            assert_eq!(shown["since"], shown["transitions"].as_array().unwrap().last().unwrap()["at"]);
        }
    })
    .await;
}

#[tokio::test]
async fn timeline_shows_the_last_thousand_transitions() {
    account(async |s| {
        s
            .sql(
                "insert into events (account_id, id, event_type, resource_type, resource_id, created_at)
                select account_id, n, case n % 2 when 0 then 'user_enabled' else 'user_disabled' end, 'users', id, created_at
                from users, generate_series(1, 1001) n where id = 20202;
                update id_counters set next_id = 1002 where type = 'events'",
            )
            .await;
        let path = "/_sandbox/timeline/users/20202";
        let shown = s.get(path).await.expect(200);
        assert_eq!((shown["transitions"].as_array().unwrap().len(), &shown["left_off"]), (1000, &json!(true)));
        assert_eq!(path_of(&shown)[0], ("disabled", "enabled", "enable"));
        assert_eq!(shown["transitions"][0]["event"]["id"], "2");
        assert_eq!(shown["transitions"][0]["cause"], Value::Null, "the row has no cause, like rows of old versions");
        s.sql("delete from events where id = 1001").await;
        let shown = s.get(path).await.expect(200);
        assert_eq!((shown["transitions"].as_array().unwrap().len(), &shown["left_off"]), (1000, &json!(false)));
        // a fixture starts approved
        assert_eq!(path_of(&shown)[0], ("enabled", "disabled", "disable"));
    })
    .await;
}

#[tokio::test]
async fn timeline_answers_404_for_unknown_resources_and_types() {
    sandbox(async |s| {
        s.second_account("another_key").await;
        s.create_output().await;
        for id in ["777", "0", "-1", "x", "032323", "99999999999999999999999", "%20", "%ff"] {
            for type_name in [OUTPUTS, REQUESTS, "users", "withdrawal_instructions"] {
                let answer = s.get(&format!("/_sandbox/timeline/{type_name}/{id}")).await;
                answer.assert_error(404, "resource_not_found", "");
            }
        }
        for type_name in ["outputs", "concierge_ports", "Users", "events", "%22", "%ff"] {
            let answer = s.get(&format!("/_sandbox/timeline/{type_name}/32323")).await;
            answer.assert_error(404, "resource_not_found", "");
            let detail = answer.body["errors"][0]["detail"].as_str().unwrap().to_owned();
            for known in [OUTPUTS, REQUESTS, "users", "withdrawal_instructions"] {
                assert!(detail.contains(known), "{detail}");
            }
        }
        let path = format!("/_sandbox/timeline/{OUTPUTS}/32323");
        s.get(&format!("{path}?page[size]=1")).await.assert_error(400, "parameter_unknown", "page[size]");
        let with_key = |key: &str, path: &str| send(s.client.get(s.url(path)).header("Authorization", key));
        with_key("another_key", &path).await.assert_error(404, "resource_not_found", "");
        with_key(&s.read_only_key, &path).await.expect(200);
        with_key(&format!("{}; user=20202", s.key), &path).await.expect(200);
        for path in [path.as_str(), "/_sandbox/timeline/x/1", "/_sandbox/timeline/users/1?x=1"] {
            with_key("nobody_s", path).await.assert_error(401, "invalid_api_key", "Authorization");
            send(s.client.get(s.url(path))).await.assert_error(401, "invalid_api_key", "Authorization");
        }
        assert_eq!(s.post(&path, &json!({})).await.status, 405);
    })
    .await;
}
