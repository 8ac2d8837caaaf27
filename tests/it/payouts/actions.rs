//! The payer's actions and their refusals.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{pay, set_to_work, thousand};
use crate::support::{Account, account, sandbox, sandbox_with, send};

const ACTIONS: [&str; 3] = ["request_quote", "accept_quote", "cancel"];

/// Asserts that actions are refused in the present state and name the states they need.
/// Also asserts that they change nothing.
async fn assert_refused(account: &Account, state: &str, refused: &[(&str, &str)]) {
    let before = account.attributes_of("1010").await;
    assert_eq!(before["state"], state);
    for (action, needed) in refused {
        let answer = account.act("1010", action).await;
        answer.assert_error(409, "action_not_possible", "");
        let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
        assert!(
            detail.contains(&format!("the request is {state}; {action} is possible while it is {needed}")),
            "{detail}"
        );
    }
    assert_eq!(account.attributes_of("1010").await, before);
}

#[tokio::test]
async fn action_in_a_wrong_state_names_the_allowed_states() {
    account(async |s| {
        const REQUEST: (&str, &str) = ("request_quote", "draft");
        const ACCEPT: (&str, &str) = ("accept_quote", "quoted");
        const CANCEL: (&str, &str) = ("cancel", "draft, quote_requested, quoted");
        sandbox_with(
            |config| config.step_delay = Duration::from_mins(1),
            async |s| {
                assert_refused(s, "draft", &[ACCEPT]).await;
                pay(s, "1010", "", json!({"port_code": "us_usd", "amount": 1})).await;
                s.advance(Duration::from_secs(1)).await;
                s.act("1010", "request_quote").await.expect(200);
                assert_refused(s, "quote_requested", &[REQUEST, ACCEPT]).await;
                s.advance(Duration::from_secs(1)).await;
                assert_refused(s, "quoted", &[REQUEST]).await;
                // empties the wallets, so that the request waits for money
                s.sql("update cash_wallets set balance = 0").await;
                s.act("1010", "accept_quote").await.expect(200);
                s.tick().await;
                assert_refused(s, "quote_accepted", &[REQUEST, ACCEPT, CANCEL]).await;
                s.sql("update cash_wallets set balance = 1000000, due_at = '2019-11-25T13:02:30Z'").await;
                s.advance(Duration::from_mins(10)).await;
                assert_refused(s, "working", &[REQUEST, ACCEPT, CANCEL]).await;
                s.advance(Duration::from_mins(10)).await;
                assert_refused(s, "finished", &[REQUEST, ACCEPT, CANCEL]).await;
            },
        )
        .await;

        s.act("1010", "cancel").await.expect(200);
        assert_refused(s, "cancelled", &[REQUEST, ACCEPT, CANCEL]).await;
    })
    .await;
}

#[tokio::test]
async fn action_needs_an_existing_request_and_a_permitted_key() {
    sandbox(async |s| {
        s.create_output().await;
        s.second_account("their_key").await;
        for action in ACTIONS {
            for id in ["1011", "0", "nothing", "99999999999999999999"] {
                s.act(id, action).await.assert_error(404, "resource_not_found", "");
            }
            let path = format!("/api/concierge_requests/1010/{action}");
            let with_key = |key: &str| send(s.client.post(s.url(&path)).header("Authorization", key));
            with_key(&s.read_only_key).await.assert_error(401, "not_enough_permissions", "Authorization");
            with_key("nope").await.assert_error(401, "invalid_api_key", "Authorization");
            with_key(&format!("{}; user=7", s.key)).await.assert_error(401, "acting_user_unknown", "Authorization");
            send(s.request(Method::GET, &path)).await.assert_error(405, "method_not_allowed", "");
            s.act("1010", &format!("{action}?include=nothing")).await.assert_error(400, "include_unknown", "include");
        }
        // each account has its own request 1010
        let path = s.url("/api/concierge_requests/1010/cancel");
        send(s.client.post(&path).header("Authorization", "their_key")).await.expect(200);
        assert_eq!(s.attributes_of("1010").await["state"], "draft");
        // a request of one account is unknown to the other
        let foreign = send(
            s.client
                .post(s.url("/api/concierge_requests"))
                .header("Authorization", "their_key")
                .header("Content-Type", "application/json")
                .body(
                    json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}}).to_string(),
                ),
        )
        .await
        .expect(201);
        let id = foreign["data"]["id"].as_str().unwrap();
        for action in ACTIONS {
            s.act(id, action).await.assert_error(404, "resource_not_found", "");
        }
        s.act("1010", "request_quote/").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn request_quote_needs_an_output() {
    account(async |s| {
        s.act("1010", "request_quote").await.assert_error(422, "outputs_missing", "");
        assert_eq!(s.attributes_of("1010").await["state"], "draft");
        s.create_output().await;
        s.act("1010", "request_quote").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn action_ignores_its_body_except_the_hint_token() {
    let whole = json!({"data": {"type": "concierge_requests", "id": "7", "attributes": {"state": "working",
        "hint_token": null, "port_code": null}, "relationships": {"outputs": {"data": []}}}});
    let bodies = ["", "{}", "{\"data\":{}}", "null", "[]", "no JSON at all", "\u{0}", "{\"data\":{\"attributes\":7}}"];
    for body in bodies.map(str::to_owned).into_iter().chain([whole.to_string(), "[".repeat(10_000)]) {
        account(async |s| {
            s.create_output().await;
            let mut states = Vec::new();
            for action in ["request_quote", "accept_quote"] {
                let path = format!("/api/concierge_requests/1010/{action}/");
                let request = s.request(Method::POST, &path);
                let answer =
                    send(request.header("Content-Type", "application/json").body(body.clone())).await.expect(200);
                states.push(answer["data"]["attributes"]["state"].clone());
                s.tick().await;
            }
            assert_eq!(states, ["quote_requested", "quote_accepted"], "{body:.60}");
        })
        .await;
    }
}

#[tokio::test]
async fn concurrent_actions_succeed_once() {
    account(async |s| {
        s.create_output().await;
        for action in ["request_quote", "accept_quote"] {
            let (a, b, c, d) = tokio::join!(
                s.act("1010", action),
                s.act("1010", action),
                s.act("1010", action),
                s.act("1010", action)
            );
            let mut statuses = [a.status, b.status, c.status, d.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409, 409, 409], "{action}");
            s.tick().await;
        }
        assert_eq!(s.count("select count(*) from events where event_type like '%quote_accepted'").await, 1);
        s.advance(Duration::from_mins(1)).await;
        let shown = s.attributes_of("1010").await;
        assert_eq!(shown["state"], "finished");
        let left = shown["funds_available"].as_f64().unwrap() + shown["total_to_spend"].as_f64().unwrap();
        assert!((left - 1_000_000.0).abs() < 0.001, "the money must be taken once");
    })
    .await;
}

#[tokio::test]
async fn request_patch_changes_payer_attributes_in_every_state() {
    account(async |s| {
        let path = "/api/concierge_requests/1010";
        let changing =
            |attributes: Value| json!({"data": {"type": "concierge_requests", "id": "1010", "attributes": attributes}});
        s.create_output().await;
        set_to_work(s, "1010").await;
        // the whole document as read, with one change
        let mut all = s.get(path).await.expect(200);
        all["data"]["attributes"]["payment_authorization_code"] = json!("abc");
        all["data"]["attributes"]["state"] = json!("draft");
        all["data"]["attributes"]["total_to_spend"] = json!(0);
        let patched = s.patch(path, &all).await.expect(200);
        assert_eq!(patched["data"]["attributes"]["payment_authorization_code"], "abc");
        assert_eq!(patched["data"]["attributes"]["state"], "working");
        let patched = s.patch(path, &changing(json!({"external_id": "payroll"}))).await.expect(200);
        assert_eq!(patched["data"]["attributes"]["external_id"], "payroll");
        assert_eq!(patched["data"]["attributes"]["payment_authorization_code"], "abc");
        let patched = s.patch(path, &changing(json!({"payment_authorization_code": "def"}))).await.expect(200);
        assert_eq!(patched["data"]["attributes"]["external_id"], "payroll");
        let patched = s.patch(path, &changing(json!({"external_id": null}))).await.expect(200);
        assert_eq!(patched["data"]["attributes"]["external_id"], Value::Null);
        let answer =
            s.patch(path, &changing(json!({"external_id": 5, "payment_authorization_code": "x".repeat(256)}))).await;
        assert_eq!((answer.status, answer.errors().len()), (422, 2), "{answer:?}");
        let other = json!({"data": {"type": "concierge_requests", "id": "1011"}});
        s.patch(path, &other).await.assert_error(409, "id_mismatch", "/data/id");
        s.patch("/api/concierge_requests/1011", &other).await.assert_error(404, "resource_not_found", "");
        s.advance(Duration::from_mins(1)).await;
        assert_eq!(s.attributes_of("1010").await["state"], "finished");
        let patched = s.patch(path, &changing(json!({"external_id": "late"}))).await.expect(200);
        assert_eq!(patched["data"]["attributes"]["external_id"], "late");
    })
    .await;
}

#[tokio::test]
async fn accept_quote_is_refused_after_the_deadline() {
    account(async |s| {
        pay(s, "1010", "", thousand()).await;
        s.act("1010", "request_quote").await.expect(200);
        s.tick().await;
        // makes the lifecycle late
        s.sql("update concierge_requests set due_at = due_at + interval '1 day' where id = 1010").await;
        s.advance(Duration::from_mins(10)).await;
        assert_eq!(s.attributes_of("1010").await["state"], "quoted");
        let answer = s.act("1010", "accept_quote").await;
        answer.assert_error(409, "action_not_possible", "");
        let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("was to be accepted before 2019-11-25T13:03:02.741Z"), "{detail}");
    })
    .await;
}
