//! What a payer does, and what is refused.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{pay, set_to_work, thousand};
use crate::support::{Sandbox, send};

const ACTIONS: [&str; 3] = ["request_quote", "accept_quote", "cancel"];

/// Asserts which actions are refused in the present state, with what each would need, and that they change nothing.
async fn assert_refused(sandbox: &Sandbox, state: &str, refused: &[(&str, &str)]) {
    let before = sandbox.attributes_of("1010").await;
    assert_eq!(before["state"], state);
    for (action, needed) in refused {
        let answer = sandbox.act("1010", action).await;
        answer.assert_error(409, "action_not_possible", "");
        let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
        assert!(
            detail.contains(&format!("the request is {state}; {action} is possible while it is {needed}")),
            "{detail}"
        );
    }
    assert_eq!(sandbox.attributes_of("1010").await, before);
}

#[tokio::test]
async fn an_action_in_the_wrong_state_names_this_state_and_the_possible_ones() {
    const REQUEST: (&str, &str) = ("request_quote", "draft");
    const ACCEPT: (&str, &str) = ("accept_quote", "quoted");
    const CANCEL: (&str, &str) = ("cancel", "draft, quote_requested, quoted");
    let sandbox = Sandbox::start_with(|config| config.step_delay = Duration::from_mins(1)).await;
    assert_refused(&sandbox, "draft", &[ACCEPT]).await;
    pay(&sandbox, "1010", "", json!({"port_code": "us_usd", "amount": 1})).await;
    sandbox.advance(Duration::from_secs(1)).await;
    sandbox.act("1010", "request_quote").await.expect(200);
    assert_refused(&sandbox, "quote_requested", &[REQUEST, ACCEPT]).await;
    sandbox.advance(Duration::from_secs(1)).await;
    assert_refused(&sandbox, "quoted", &[REQUEST]).await;
    // the money is needed elsewhere
    sandbox.sql("update cash_wallets set balance = 0").await;
    sandbox.act("1010", "accept_quote").await.expect(200);
    sandbox.tick().await;
    assert_refused(&sandbox, "quote_accepted", &[REQUEST, ACCEPT, CANCEL]).await;
    sandbox.sql("update cash_wallets set balance = 1000000, due_at = '2019-11-25T13:02:30Z'").await;
    sandbox.advance(Duration::from_mins(10)).await;
    assert_refused(&sandbox, "working", &[REQUEST, ACCEPT, CANCEL]).await;
    sandbox.advance(Duration::from_mins(10)).await;
    assert_refused(&sandbox, "finished", &[REQUEST, ACCEPT, CANCEL]).await;
    sandbox.stop().await;

    let sandbox = Sandbox::start().await;
    sandbox.act("1010", "cancel").await.expect(200);
    assert_refused(&sandbox, "cancelled", &[REQUEST, ACCEPT, CANCEL]).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn an_action_needs_a_request_that_is_there_and_a_key_that_may() {
    let sandbox = Sandbox::start().await;
    sandbox.create_output().await;
    sandbox.second_account("their_key").await;
    for action in ACTIONS {
        for id in ["1011", "0", "nothing", "99999999999999999999"] {
            sandbox.act(id, action).await.assert_error(404, "resource_not_found", "");
        }
        let path = format!("/api/concierge_requests/1010/{action}");
        let with_key = |key: &str| send(sandbox.client.post(sandbox.url(&path)).header("Authorization", key));
        with_key("your_read_only_api_key").await.assert_error(401, "not_enough_permissions", "Authorization");
        with_key("nope").await.assert_error(401, "invalid_api_key", "Authorization");
        with_key("your_api_key; user=7").await.assert_error(401, "acting_user_unknown", "Authorization");
        send(sandbox.request(Method::GET, &path)).await.assert_error(405, "method_not_allowed", "");
        sandbox.act("1010", &format!("{action}?include=nothing")).await.assert_error(400, "include_unknown", "include");
    }
    // of the other account's request 1010 nothing is seen here, and the other way round
    let path = sandbox.url("/api/concierge_requests/1010/cancel");
    send(sandbox.client.post(&path).header("Authorization", "their_key")).await.expect(200);
    assert_eq!(sandbox.attributes_of("1010").await["state"], "draft");
    // whose request it is only one account knows
    let theirs = send(
        sandbox
            .client
            .post(sandbox.url("/api/concierge_requests"))
            .header("Authorization", "their_key")
            .header("Content-Type", "application/json")
            .body(json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}}).to_string()),
    )
    .await
    .expect(201);
    let id = theirs["data"]["id"].as_str().unwrap();
    for action in ACTIONS {
        sandbox.act(id, action).await.assert_error(404, "resource_not_found", "");
    }
    sandbox.act("1010", "request_quote/").await.expect(200);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_quote_needs_an_output() {
    let sandbox = Sandbox::start().await;
    sandbox.act("1010", "request_quote").await.assert_error(422, "outputs_missing", "");
    assert_eq!(sandbox.attributes_of("1010").await["state"], "draft");
    sandbox.create_output().await;
    sandbox.act("1010", "request_quote").await.expect(200);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_body_of_an_action_is_read_for_nothing_but_the_hint_token() {
    let whole = json!({"data": {"type": "concierge_requests", "id": "7", "attributes": {"state": "working",
        "hint_token": null, "port_code": null}, "relationships": {"outputs": {"data": []}}}});
    let bodies = ["", "{}", "{\"data\":{}}", "null", "[]", "no JSON at all", "\u{0}", "{\"data\":{\"attributes\":7}}"];
    for body in bodies.map(str::to_owned).into_iter().chain([whole.to_string(), "[".repeat(10_000)]) {
        let sandbox = Sandbox::start().await;
        sandbox.create_output().await;
        let mut states = Vec::new();
        for action in ["request_quote", "accept_quote"] {
            let path = format!("/api/concierge_requests/1010/{action}/");
            let request = sandbox.request(Method::POST, &path);
            let answer = send(request.header("Content-Type", "application/json").body(body.clone())).await.expect(200);
            states.push(answer["data"]["attributes"]["state"].clone());
            sandbox.tick().await;
        }
        assert_eq!(states, ["quote_requested", "quote_accepted"], "{body:.60}");
        sandbox.stop().await;
    }
}

#[tokio::test]
async fn of_two_at_the_same_moment_one_wins() {
    let sandbox = Sandbox::start().await;
    sandbox.create_output().await;
    for action in ["request_quote", "accept_quote"] {
        let (a, b, c, d) = tokio::join!(
            sandbox.act("1010", action),
            sandbox.act("1010", action),
            sandbox.act("1010", action),
            sandbox.act("1010", action)
        );
        let mut statuses = [a.status, b.status, c.status, d.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409, 409], "{action}");
        sandbox.tick().await;
    }
    assert_eq!(sandbox.count("select count(*) from events where event_type like '%quote_accepted'").await, 1);
    sandbox.advance(Duration::from_mins(1)).await;
    let shown = sandbox.attributes_of("1010").await;
    assert_eq!(shown["state"], "finished");
    let left = shown["funds_available"].as_f64().unwrap() + shown["total_to_spend"].as_f64().unwrap();
    assert!((left - 1_000_000.0).abs() < 0.001, "the money is taken once");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_patch_changes_what_is_the_payer_s_in_every_state() {
    let sandbox = Sandbox::start().await;
    let path = "/api/concierge_requests/1010";
    let changing =
        |attributes: Value| json!({"data": {"type": "concierge_requests", "id": "1010", "attributes": attributes}});
    sandbox.create_output().await;
    set_to_work(&sandbox, "1010").await;
    // all a client ever read, with one change
    let mut all = sandbox.get(path).await.expect(200);
    all["data"]["attributes"]["payment_authorization_code"] = json!("abc");
    all["data"]["attributes"]["state"] = json!("draft");
    all["data"]["attributes"]["total_to_spend"] = json!(0);
    let patched = sandbox.patch(path, &all).await.expect(200);
    assert_eq!(patched["data"]["attributes"]["payment_authorization_code"], "abc");
    assert_eq!(patched["data"]["attributes"]["state"], "working");
    let patched = sandbox.patch(path, &changing(json!({"external_id": "payroll"}))).await.expect(200);
    assert_eq!(patched["data"]["attributes"]["external_id"], "payroll");
    assert_eq!(patched["data"]["attributes"]["payment_authorization_code"], "abc");
    let patched = sandbox.patch(path, &changing(json!({"payment_authorization_code": "def"}))).await.expect(200);
    assert_eq!(patched["data"]["attributes"]["external_id"], "payroll");
    let patched = sandbox.patch(path, &changing(json!({"external_id": null}))).await.expect(200);
    assert_eq!(patched["data"]["attributes"]["external_id"], Value::Null);
    let answer =
        sandbox.patch(path, &changing(json!({"external_id": 5, "payment_authorization_code": "x".repeat(256)}))).await;
    assert_eq!((answer.status, answer.errors().len()), (422, 2), "{answer:?}");
    let other = json!({"data": {"type": "concierge_requests", "id": "1011"}});
    sandbox.patch(path, &other).await.assert_error(409, "id_mismatch", "/data/id");
    sandbox.patch("/api/concierge_requests/1011", &other).await.assert_error(404, "resource_not_found", "");
    sandbox.advance(Duration::from_mins(1)).await;
    assert_eq!(sandbox.attributes_of("1010").await["state"], "finished");
    let patched = sandbox.patch(path, &changing(json!({"external_id": "late"}))).await.expect(200);
    assert_eq!(patched["data"]["attributes"]["external_id"], "late");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_late_acceptance_is_refused_even_before_the_cancellation() {
    let sandbox = Sandbox::start().await;
    pay(&sandbox, "1010", "", thousand()).await;
    sandbox.act("1010", "request_quote").await.expect(200);
    sandbox.tick().await;
    // a lifecycle that is late
    sandbox.sql("update concierge_requests set due_at = due_at + interval '1 day' where id = 1010").await;
    sandbox.advance(Duration::from_mins(10)).await;
    assert_eq!(sandbox.attributes_of("1010").await["state"], "quoted");
    let answer = sandbox.act("1010", "accept_quote").await;
    answer.assert_error(409, "action_not_possible", "");
    let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("was to be accepted before 2019-11-25T13:03:02.741Z"), "{detail}");
    sandbox.stop().await;
}
