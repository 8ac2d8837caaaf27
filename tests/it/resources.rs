//! Users, withdrawal instructions, requests and ports.

use serde_json::{Value, json};

use crate::support::{account, send};

#[tokio::test]
async fn user_create_needs_only_a_type() {
    account(async |s| {
        let made = s.post("/api/users", &json!({"data": {"type": "users"}})).await.expect(201);
        assert_eq!(made["data"]["id"], "50506");
        assert_eq!(
            made["data"]["attributes"],
            json!({"name": null, "email": null, "kyc_accepted": false, "otp_enabled": false, "do_not_email": false,
                "trezor_login_enabled": false, "compliance_state": "new", "webhook_url": null})
        );
        let with_email =
            json!({"data": {"type": "users", "attributes": {"email": "a@example.com", "password": "secret"}}});
        let made = s.post("/api/users", &with_email).await.expect(201);
        assert_eq!(made["data"]["attributes"]["name"], "a@example.com");
        assert!(!made.to_string().contains("secret"));
        let all = s.get("/api/users").await.expect(200);
        let ids: Vec<&Value> = all["data"].as_array().unwrap().iter().map(|user| &user["id"]).collect();
        assert_eq!(ids, ["20202", "50505", "50506", "50507"]);
    })
    .await;
}

#[tokio::test]
async fn user_patch_changes_only_named_attributes() {
    account(async |s| {
        let change =
            |id: &str, attributes: Value| json!({"data": {"type": "users", "id": id, "attributes": attributes}});
        let path = "/api/users/20202";
        let patched =
            s.patch(path, &change("20202", json!({"webhook_url": "http://127.0.0.1/hook"}))).await.expect(200);
        assert_eq!(patched["data"]["attributes"]["webhook_url"], "http://127.0.0.1/hook");
        assert_eq!(patched["data"]["attributes"]["name"], "person3@example.com");
        // the whole document as read, read-only attributes included
        let mut all = patched.clone();
        all["data"]["attributes"]["name"] = json!("Bob");
        all["data"]["attributes"]["compliance_state"] = json!("rejected");
        all["data"]["attributes"]["kyc_accepted"] = json!(false);
        let patched = s.patch(path, &all).await.expect(200);
        assert_eq!(patched["data"]["attributes"]["name"], "Bob");
        assert_eq!(patched["data"]["attributes"]["compliance_state"], "enabled");
        assert_eq!(patched["data"]["attributes"]["kyc_accepted"], true);
        let cleared = s.patch(path, &change("20202", json!({"webhook_url": null}))).await.expect(200);
        assert_eq!(cleared["data"]["attributes"]["webhook_url"], Value::Null);
        // `me` accepts any id in the document
        let me = s.patch("/api/users/me", &change("20202", json!({"do_not_email": true}))).await.expect(200);
        assert_eq!((&me["data"]["id"], &me["data"]["attributes"]["do_not_email"]), (&json!("50505"), &json!(true)));
        s.patch(path, &change("50505", json!({}))).await.assert_error(409, "id_mismatch", "/data/id");
        s.patch("/api/users/777", &change("777", json!({}))).await.assert_error(404, "resource_not_found", "");
        let answer =
            s.patch(path, &change("20202", json!({"email": "nobody", "do_not_email": "yes", "name": 5}))).await;
        assert_eq!((answer.status, answer.errors().len()), (422, 3), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn instruction_keeps_its_body_as_sent() {
    account(async |s| {
        let body = r#"{"z":1.0,"a":{"deep":[1,2.50,1e2,"ñ\ud83d\ude00"]},"payment_method":"third_party","A":null,"é":""}"#;
        let document = format!(
            r#"{{"data":{{"type":"withdrawal_instructions","attributes":{{"label":"rent","payment_method_type":"wire","body":{body}}}}}}}"#
        );
        let made = s.post_text("/api/withdrawal_instructions", document).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.body["data"]["id"].as_str().unwrap();
        assert_eq!(id, "2122");
        let shown = s.get("/api/withdrawal_instructions/2122").await;
        assert_eq!(shown.text, made.text);
        let sent: Value = serde_json::from_str(body).unwrap();
        assert_eq!(shown.body["data"]["attributes"]["body"].to_string(), sent.to_string());
        assert!(shown.text.contains(r#"{"z":1.0,"a":{"deep":[1,2.50,"#), "{}", shown.text);
        assert_eq!(shown.body["data"]["attributes"]["payment_method_type"], "wire");
        assert_eq!(shown.body["data"]["relationships"]["user"]["data"], json!({"id": "50505", "type": "users"}));
    })
    .await;
}

#[tokio::test]
async fn instruction_create_rejects_invalid_documents() {
    account(async |s| {
        let path = "/api/withdrawal_instructions";
        let instruction =
            |attributes: Value| json!({"data": {"type": "withdrawal_instructions", "attributes": attributes}});
        for (attributes, code, pointer) in [
            (json!({}), "attribute_missing", "/data/attributes"),
            (json!({"body": null}), "attribute_missing", "/data/attributes/body"),
            (json!({"body": []}), "attribute_invalid", "/data/attributes/body"),
            (json!({"body": {}, "label": 5}), "attribute_invalid", "/data/attributes/label"),
            (json!({"body": {}, "schema": "other"}), "attribute_invalid", "/data/attributes/schema"),
            (json!({"body": {"payment_method": "cash"}}), "attribute_invalid", "/data/attributes/body/payment_method"),
        ] {
            s.post(path, &instruction(attributes)).await.assert_error(422, code, pointer);
        }
        let mut stranger = instruction(json!({"body": {}}));
        stranger["data"]["relationships"] = json!({"user": {"data": {"type": "users", "id": "777"}}});
        let answer = s.post(path, &stranger).await;
        answer.assert_error(404, "related_resource_not_found", "/data/relationships/user/data/id");
    })
    .await;
}

#[tokio::test]
async fn used_instruction_stays_and_a_deleted_one_is_still_included() {
    account(async |s| {
        let id = s.create_output().await;
        let path = "/api/withdrawal_instructions/2121";
        s.delete(path).await.assert_error(409, "withdrawal_instruction_in_use", "");
        s.sql("update users set compliance_state = 'rejected' where id = 20202").await;
        s.advance(std::time::Duration::from_secs(1)).await;
        assert_eq!(s.state_of(&id).await, "rejected");
        assert_eq!(s.delete(path).await.status, 204);
        s.delete(path).await.assert_error(404, "resource_not_found", "");
        s.get(path).await.assert_error(404, "resource_not_found", "");
        assert_eq!(s.get("/api/withdrawal_instructions").await.expect(200)["data"], json!([]));
        let answer = s.post("/api/concierge_request_outputs", &crate::support::documented_output()).await;
        let pointer = "/data/relationships/withdrawal_instruction/data/id";
        answer.assert_error(404, "related_resource_not_found", pointer);
        let shown = s.get(&format!("/api/concierge_request_outputs/{id}")).await.expect(200);
        assert_eq!(shown["included"][1]["id"], "2121");
    })
    .await;
}

#[tokio::test]
async fn new_request_is_a_draft_and_links_all_its_outputs() {
    account(async |s| {
        let document = json!({"data": {"type": "concierge_requests", "attributes": {
            "port_code": "us_usd", "external_id": "payroll-11", "payment_authorization_code": "abc", "state": "working"}}});
        let made = s.post("/api/concierge_requests", &document).await.expect(201);
        assert_eq!(made["data"]["id"], "1011");
        let attributes = json!({"state": "draft", "port_code": "us_usd", "amount": null, "total_to_spend": null,
            "funds_available": 1_000_000, "eta": null, "quote_requested_at": null, "accept_quote_before": null,
            "quote_accepted_at": null, "provision_funds_before": null, "cancellable_until": null,
            "cancellation_reason": null, "receipt_url": null, "credit_note_url": null, "external_id": "payroll-11",
            "payment_authorization_code": "abc", "outputs_count": 0, "outputs_total": 0, "outputs_accepting": 0,
            "outputs_accepted": 0, "outputs_rejected": 0, "outputs_working": 0, "outputs_settling": 0,
            "outputs_settled": 0, "outputs_failed": 0, "outputs_returned": 0, "outputs_cancelled": 0});
        assert_eq!(made["data"]["attributes"].to_string(), attributes.to_string(), "attributes must be in this order");
        assert_eq!(made["data"]["relationships"]["user"]["data"]["id"], "50505");
        assert_eq!(made["data"]["relationships"]["outputs"]["data"], json!([]));
        let found = s.get("/api/concierge_requests?filter[external_id]=payroll-11").await.expect(200);
        assert_eq!(found["data"][0]["id"], "1011");
        let first = s.create_output().await;
        let second = s.create_output().await;
        let shown = s.get("/api/concierge_requests/1010?include=outputs").await.expect(200);
        let linked: Vec<&Value> =
            shown["data"]["relationships"]["outputs"]["data"].as_array().unwrap().iter().map(|link| &link["id"]).collect();
        assert_eq!(linked, [first.as_str(), second.as_str()]);
        assert_eq!(shown["included"].as_array().unwrap().len(), 2);
        let faulty = json!({"data": {"type": "concierge_requests", "attributes": {"external_id": {}}}});
        let answer = s.post("/api/concierge_requests", &faulty).await;
        assert_eq!((answer.status, answer.errors().len()), (422, 2), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn ports_are_shown_without_a_key() {
    account(async |s| {
        let open = async |path: &str| send(s.client.get(s.url(path))).await;
        let all = open("/api/concierge_ports/").await.expect(200);
        assert_eq!(all["meta"]["total"], 13);
        let shown = open("/api/concierge_ports/cl_clp").await.expect(200);
        assert_eq!(
            shown["data"]["attributes"],
            json!({"code": "cl_clp", "country": "CL", "currency": "CLP", "name": "Chile, Chilean peso"})
        );
        open("/api/concierge_ports/xx_xxx").await.assert_error(404, "resource_not_found", "");
        let mut path = "/api/concierge_ports?page[size]=5&sort=-id".to_owned();
        let mut ids = Vec::new();
        loop {
            let page = open(&path).await.expect(200);
            ids.extend(page["data"].as_array().unwrap().iter().map(|port| port["id"].as_str().unwrap().to_owned()));
            let Some(next) = page["links"]["next"].as_str() else { break };
            path = next.to_owned();
        }
        assert_eq!(ids.len(), 13);
        assert!(ids.is_sorted_by(|a, b| a > b));
        let dollars = open("/api/concierge_ports?filter[currency]=usd").await.expect(200);
        assert_eq!(dollars["data"].as_array().unwrap().len(), 4);
    })
    .await;
}
