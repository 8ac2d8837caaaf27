//! Triggers: made-up events of every type, as samples or about existing resources.

use concierge_sandbox::concierge::event_types::{EVENT_TYPES, EventSubject, EventType};
use serde_json::{Value, json};

use super::{MASTER, OUTPUT, PATH, PAYEE, Silent, ids, payout, post, queued, set_url};
use crate::support::{Account, account, sandbox, send};

async fn trigger(account: &Account, body: &Value) -> Value {
    post(account, "trigger", body).await.expect(201)
}

/// Returns a resource as other documents include it.
async fn as_included(account: &Account, type_name: &str, id: &str) -> Value {
    match type_name {
        // an output includes these
        "users" | "withdrawal_instructions" => {
            let output = account.get("/api/concierge_request_outputs/32323").await.expect(200);
            let included = output["included"].as_array().unwrap();
            included.iter().find(|resource| resource["type"] == type_name).unwrap().clone()
        }
        _ => account.get(&format!("/api/{type_name}/{id}")).await.expect(200)["data"].clone(),
    }
}

#[test]
fn every_change_has_an_event_type() {
    let names: Vec<&str> = EVENT_TYPES.iter().map(|event_type| event_type.name).collect();
    for known in [
        "concierge_request_output_working",
        "concierge_request_output_settling",
        "concierge_request_output_settled",
        "concierge_request_output_failed",
        "concierge_request_output_returned",
        "concierge_request_output_rejected",
        "concierge_request_cancelled",
        "concierge_request_receipt_created",
        "concierge_request_credit_note_created",
        "user_enabled",
        "user_disabled",
        "withdrawal_instruction_created",
        "withdrawal_instruction_updated",
        "withdrawal_instruction_destroyed",
    ] {
        assert!(names.contains(&known), "{known}");
    }
    assert_eq!(names.len(), 9 + 7 + 3 + 5);
    for (place, name) in names.iter().enumerate() {
        assert!(!names[..place].contains(name), "{name} appears twice");
        assert_eq!(EventType::named(name).unwrap().name, *name);
    }
}

#[tokio::test]
async fn every_type_can_be_triggered_without_a_resource() {
    account(async |s| {
        for (place, event_type) in EVENT_TYPES.iter().enumerate() {
            let answer = post(s, "trigger", &json!({"event_type": event_type.name, "resource": null})).await;
            let id = (place + 1).to_string();
            assert_eq!(answer.headers["location"], s.url(&format!("{PATH}/{id}")));
            assert_eq!(s.get(&format!("{PATH}/{id}")).await.expect(200), answer.body);
            let document = answer.expect(201);
            assert_eq!(document["data"]["id"], id);
            let attributes = &document["data"]["attributes"];
            assert_eq!((&attributes["event_type"], &attributes["is_made_up"]), (&json!(event_type.name), &json!(true)));
            assert_eq!((&attributes["delivery_state"], &attributes["attempts"]), (&json!("no_receiver"), &json!([])));
            let included = &document["included"][0];
            assert_eq!(included["type"], event_type.schema().type_name, "{}", event_type.name);
            let relationships = &document["data"]["relationships"];
            assert_eq!(relationships["resource"]["data"], json!({"id": included["id"], "type": included["type"]}));
            check_sample(event_type, &included["attributes"], relationships);
        }
        // no resource changed
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 0);
        assert_eq!(s.attributes_of("1010").await["state"], "draft");
    })
    .await;
}

/// Checks that a sample has exactly the attributes that belong to the state of its event.
fn check_sample(event_type: &EventType, attributes: &Value, relationships: &Value) {
    let name = event_type.name;
    let has = |attribute: &str| attributes.get(attribute).is_some_and(|value| !value.is_null());
    match event_type.subject {
        EventSubject::Output(state) => {
            assert_eq!((&attributes["state"], &attributes["amount"]), (&json!(state.name()), &json!(1000)), "{name}");
            let has_failed = ["failed", "returned"].contains(&state.name());
            assert_eq!(has("failure_reason"), has_failed, "{name}");
            assert_eq!(has("rejection_reason"), state.name() == "rejected", "{name}");
            let failures = relationships["failures"]["data"].as_array().unwrap().len();
            assert_eq!(failures, usize::from(has_failed), "{name}");
        }
        EventSubject::Request(state) => {
            let state = state.name();
            assert_eq!(attributes["state"], state, "{name}");
            assert_eq!(has("receipt_url"), state == "finished", "{name}");
            assert_eq!(has("credit_note_url"), name == "concierge_request_credit_note_created", "{name}");
            assert_eq!(has("cancellation_reason"), state == "cancelled", "{name}");
            assert_eq!(has("eta"), state != "draft", "{name}");
            let priced = ["quoted", "quote_accepted", "working", "finished", "cancelled"].contains(&state);
            assert_eq!(has("total_to_spend"), priced, "{name}");
            assert_eq!(has("quote_accepted_at"), ["quote_accepted", "working", "finished"].contains(&state), "{name}");
            assert_eq!(attributes["outputs_count"], 1, "{name}");
            assert!(relationships.get("failures").is_none(), "{name}");
            for url in ["receipt_url", "credit_note_url"].into_iter().filter(|url| has(url)) {
                assert!(attributes[url].as_str().unwrap().starts_with("http://"), "{attributes}");
            }
        }
        EventSubject::User(state) => {
            assert_eq!(attributes.as_object().unwrap().len(), 6, "{name}: the six known attributes");
            assert_eq!(attributes["kyc_accepted"], state.name() != "rejected", "{name}");
        }
        EventSubject::WithdrawalInstruction => {
            assert_eq!((&attributes["schema"], &attributes["label"]), (&json!("bitex"), &json!(null)), "{name}");
            assert_eq!(attributes["body"]["bank"], "standard chartered", "{name}");
        }
    }
}

#[tokio::test]
async fn every_type_can_be_triggered_for_a_resource() {
    account(async |s| {
        payout(s).await;
        let instruction = s.get("/api/concierge_request_outputs/32323").await.expect(200);
        let instruction = instruction["data"]["relationships"]["withdrawal_instruction"]["data"]["id"].clone();
        let last_id = s.count("select max(id) from events").await;
        for (place, event_type) in (1..).zip(&EVENT_TYPES) {
            let type_name = event_type.schema().type_name;
            let id = match event_type.subject {
                EventSubject::Output(_) => json!("32323"),
                EventSubject::Request(_) => json!(1010), // ids may be numbers
                EventSubject::User(_) => json!("20202"),
                EventSubject::WithdrawalInstruction => instruction.clone(),
            };
            let trigger_body = json!({"event_type": event_type.name, "resource": {"type": type_name, "id": id}});
            let document = trigger(s, &trigger_body).await;
            assert_eq!(document["data"]["id"], (last_id + place).to_string());
            let id = document["data"]["relationships"]["resource"]["data"]["id"].as_str().unwrap();
            let expected = as_included(s, type_name, id).await;
            assert_eq!(document["included"], json!([expected]), "{}", event_type.name);
            if let EventSubject::Output(_) = event_type.subject {
                let failures = &document["data"]["relationships"]["failures"]["data"];
                assert_eq!(failures, &json!([{"id": "1", "type": "failures"}]), "the output failed once");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn triggered_event_joins_its_queue_and_goes_to_its_maker() {
    account(async |s| {
        payout(s).await;
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        let trigger_body = json!({"event_type": "concierge_request_output_settled",
            "resource": {"type": "concierge_request_outputs", "id": "32323"}});
        assert_eq!(trigger(s, &trigger_body).await["data"]["attributes"]["delivery_state"], "due");
        assert_eq!(trigger(s, &trigger_body).await["data"]["attributes"]["delivery_state"], "waiting");
        let sample = json!({"event_type": "concierge_request_output_settled"});
        assert_eq!(trigger(s, &sample).await["data"]["attributes"]["delivery_state"], "due");
        let last = *ids(s, "").await.last().unwrap();
        assert_eq!(queued(s, last).await.unwrap().3, 50505);
        assert_eq!(
            ids(s, &format!("filter[resource]={OUTPUT}&filter[since]={}", last - 3)).await,
            [last - 2, last - 1]
        );
        set_url(s, PAYEE, Some(&silent.url())).await;
        for event_type in ["user_enabled", "withdrawal_instruction_updated"] {
            let body = json!({ "event_type": event_type }).to_string();
            let request =
                s.client.post(s.url(&format!("{PATH}/trigger"))).header("Authorization", format!("{}{PAYEE}", s.key));
            send(request.header("Content-Type", "application/json").body(body)).await.expect(201);
            let last = *ids(s, "").await.last().unwrap();
            assert_eq!(queued(s, last).await.unwrap().3, 20202, "{event_type}");
        }
        drop(silent);
    })
    .await;
}

#[tokio::test]
async fn invalid_triggers_are_rejected() {
    sandbox(async |s| {
        s.second_account("another_key").await;
        s.create_output().await;
        let output = |id: Value| json!({"type": "concierge_request_outputs", "id": id});
        let settled = "concierge_request_output_settled";
        for (body, status, code, pointer) in [
            (json!({}), 422, "attribute_missing", ""),
            (json!({"event_type": null}), 422, "attribute_missing", "/event_type"),
            (json!({"event_type": settled, "x": 1}), 422, "attribute_unknown", "/x"),
            (json!({"event_type": "x"}), 422, "attribute_invalid", "/event_type"),
            (json!({"event_type": "user_new"}), 422, "attribute_invalid", "/event_type"),
            (json!({"event_type": [settled]}), 422, "attribute_invalid", "/event_type"),
            (json!({"event_type": settled, "resource": "32323"}), 422, "attribute_invalid", "/resource"),
            (json!({"event_type": settled, "resource": {"id": "32323"}}), 422, "attribute_missing", "/resource"),
            (
                json!({"event_type": settled, "resource": {"type": "concierge_request_outputs"}}),
                422,
                "attribute_missing",
                "/resource",
            ),
            (
                json!({"event_type": settled, "resource": {"type": 5, "id": "1"}}),
                422,
                "attribute_invalid",
                "/resource/type",
            ),
            (json!({"event_type": settled, "resource": output(json!([]))}), 422, "attribute_invalid", "/resource/id"),
            (
                json!({"event_type": settled, "resource": {"type": "users", "id": "20202"}}),
                422,
                "relationship_type_mismatch",
                "/resource/type",
            ),
            (
                json!({"event_type": "user_enabled", "resource": output(json!("32323"))}),
                422,
                "relationship_type_mismatch",
                "/resource/type",
            ),
            (
                json!({"event_type": settled, "resource": output(json!("777"))}),
                404,
                "related_resource_not_found",
                "/resource/id",
            ),
            (
                json!({"event_type": settled, "resource": output(json!("032323"))}),
                404,
                "related_resource_not_found",
                "/resource/id",
            ),
            (
                json!({"event_type": settled, "resource": output(json!(-1.5))}),
                404,
                "related_resource_not_found",
                "/resource/id",
            ),
            (json!([]), 400, "document_invalid", ""),
            (json!("x"), 400, "document_invalid", ""),
        ] {
            post(s, "trigger", &body).await.assert_error(status, code, pointer);
        }
        // an empty body stands for an empty object
        s.post_text(&format!("{PATH}/trigger"), "").await.assert_error(422, "attribute_missing", "");
        for text in ["{", "{}x"] {
            s.post_text(&format!("{PATH}/trigger"), text).await.assert_error(400, "json_invalid", "");
        }
        let several = json!({"event_type": "x", "resource": {"type": 5, "id": true}});
        assert_eq!(post(s, "trigger", &several).await.errors().len(), 3);
        let detail = post(s, "trigger", &json!({"event_type": "x"})).await.body["errors"][0]["detail"].clone();
        for event_type in &EVENT_TYPES {
            assert!(detail.as_str().unwrap().contains(event_type.name), "{detail}");
        }
        // another account's output is not found
        let theirs = json!({"event_type": settled, "resource": output(json!("32323"))}).to_string();
        let request = s.client.post(s.url(&format!("{PATH}/trigger"))).header("Authorization", "another_key");
        let answer = send(request.header("Content-Type", "application/json").body(theirs)).await;
        answer.assert_error(404, "related_resource_not_found", "/resource/id");
        assert_eq!(s.count("select count(*) from events where is_made_up").await, 0);
    })
    .await;
}
