//! The envelope and headers of a delivered event.

use std::time::Duration;

use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::{OK, about, body, start_receiver, types};
use crate::payouts::{draft, pay, set_to_work, thousand};
use crate::support::{account, sandbox, sandbox_with};

/// `printf %s your_api_key | sha256sum`
const HEX: &str = "059911af0740ac63fd06688b02d86086add4bfcf48c346a1bd4ed5d6e8fea683";
/// `printf %s your_api_key | openssl dgst -sha256 -binary | base64`
const SECRET: &str = "whsec_BZkRrwdArGP9BmiLAthghq3Uv89Iw0ahvU7V1uj+poM=";

#[tokio::test]
async fn event_has_the_documented_envelope_and_headers() {
    sandbox(async |s| {
        let mut receiver = start_receiver(s, OK).await;
        s.create_output().await;
        s.tell(Duration::ZERO).await;
        let calls = receiver.calls();
        assert_eq!(types(&calls), ["concierge_request_output_accepting"]);
        let call = &calls[0];
        assert_eq!(call.line, "POST /hook HTTP/1.1");
        assert_eq!(call.header("content-type"), Some("application/json"));
        assert!(call.header("user-agent").unwrap().starts_with("concierge-sandbox/"));
        assert_eq!(call.header("webhook-auth"), Some(HEX));
        let expected = json!({
            "data": {
                "type": "events",
                "id": "1",
                "attributes": {
                    "event_type": "concierge_request_output_accepting",
                    "created_at": "2019-11-25T12:53:02.741Z",
                    "sent_at": "2019-11-25T12:53:02.741Z",
                },
                "relationships": {
                    "resource": {"data": {"type": "concierge_request_outputs", "id": "32323"}},
                    "failures": {"data": []},
                },
            },
            "included": [{
                "id": "32323",
                "type": "concierge_request_outputs",
                "attributes": {"amount": 1000, "port_code": "cl_clp", "state": "accepting"},
                "relationships": {
                    "request": {"data": {"id": "1010", "type": "concierge_requests"}},
                    "user": {"data": {"id": "20202", "type": "users"}},
                    "withdrawal_instruction": {"data": {"id": "2121", "type": "withdrawal_instructions"}},
                },
            }],
        });
        assert_eq!(body(call).to_string(), expected.to_string(), "members in this order");
    })
    .await;
}

#[tokio::test]
async fn standard_webhooks_library_verifies_the_signature() {
    sandbox(async |s| {
        let mut receiver = start_receiver(s, OK).await;
        s.create_output().await;
        s.tell(Duration::from_hours(48)).await;
        for call in receiver.calls() {
            assert_eq!(call.header("webhook-id"), body(&call)["data"]["id"].as_str());
            let mut headers = reqwest::header::HeaderMap::new();
            for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
                headers.insert(name, call.header(name).unwrap().parse().unwrap());
            }
            // the library compares the timestamp with this machine's clock, not with the account's
            let webhook = Webhook::new(SECRET).unwrap();
            webhook.verify(&call.body, &headers).unwrap();
            assert!(webhook.verify(&[&call.body[..], b" "].concat(), &headers).is_err());
        }
    })
    .await;
}

#[tokio::test]
async fn signature_uses_the_oldest_write_key() {
    sandbox(async |s| {
        let mut receiver = start_receiver(s, OK).await;
        s.sql(
            "insert into api_keys (key_sha256, account_id, user_id, level, created_at)
                select decode(repeat('00', 32), 'hex'), account_id, user_id, 'read', created_at - interval '1 day'
                from api_keys where level = 'write'
                union all
                select decode(repeat('11', 32), 'hex'), account_id, user_id, 'write', created_at + interval '1 day'
                from api_keys where level = 'write'",
        )
        .await;
        s.create_output().await;
        s.tell(Duration::ZERO).await;
        assert_eq!(receiver.calls()[0].header("webhook-auth"), Some(HEX));
        s.sql("delete from api_keys").await;
        s.tell(Duration::from_secs(1)).await;
        let calls = receiver.calls();
        assert_eq!(types(&calls), ["concierge_request_output_accepted"]);
        for name in ["webhook-auth", "webhook-signature"] {
            assert_eq!(calls[0].header(name), None, "no key is left to sign with");
        }
    })
    .await;
}

#[tokio::test]
async fn output_event_lists_each_failed_try() {
    account(async |s| {
        let mut receiver = start_receiver(s, OK).await;
        let request = draft(s, "ar_ars").await;
        let output = pay(s, &request, "sandbox:failed|settled", thousand()).await;
        s.advance(Duration::from_secs(1)).await;
        set_to_work(s, &request).await;
        s.tell(Duration::from_mins(1)).await;
        let calls = receiver.calls();
        let delivered: Vec<(String, Value)> = about(&calls, "concierge_request_outputs", &output)
            .iter()
            .map(|call| {
                let (event, included) = (body(call)["data"].clone(), body(call)["included"][0].clone());
                let event_type = event["attributes"]["event_type"].as_str().unwrap().to_owned();
                let state = event_type.strip_prefix("concierge_request_output_").unwrap().to_owned();
                assert_eq!(included["attributes"]["state"], state, "as it was then");
                let failed = included["attributes"].get("failure_reason").is_some();
                assert_eq!(failed, state == "failed");
                (state, event["relationships"]["failures"]["data"].clone())
            })
            .collect();
        let failure = json!([{"type": "failures", "id": "1"}]);
        let expected = [
            ("accepting", json!([])),
            ("accepted", json!([])),
            ("working", json!([])),
            ("settling", json!([])),
            ("failed", failure.clone()),
            ("working", failure.clone()),
            ("settling", failure.clone()),
            ("settled", failure),
        ];
        assert_eq!(delivered, expected.map(|(state, failures)| (state.to_owned(), failures)));
    })
    .await;
}

#[tokio::test]
async fn events_show_their_resource_at_their_time() {
    sandbox_with(|config| config.public_url = Some("https://sandbox.example.com/a".into()), async |s| {
        let mut receiver = crate::support::Receiver::answering(OK).await;
        super::listen(s, &receiver.url()).await;
        let user = s.create("/api/users", &json!({"data": {"type": "users"}})).await;
        let request = draft(s, "ar_ars").await;
        let output = pay(s, &request, "sandbox:returned", thousand()).await;
        s.advance(Duration::from_secs(1)).await;
        set_to_work(s, &request).await;
        s.tell(Duration::from_mins(1)).await;
        let instruction = s.count("select max(id) from withdrawal_instructions").await.to_string();
        s.delete(&format!("/api/withdrawal_instructions/{instruction}")).await.expect(204);
        s.tell(Duration::ZERO).await;

        let calls = receiver.calls();
        let delivered = about(&calls, "users", &user);
        assert_eq!(types(&delivered), ["user_enabled"]);
        // the included user has its usual attributes
        let six = json!({"name": null, "email": null, "kyc_accepted": true, "otp_enabled": false, "do_not_email": false,
            "trezor_login_enabled": false});
        assert_eq!(body(&delivered[0])["included"], json!([{"id": user, "type": "users", "attributes": six}]));
        assert_eq!(body(&delivered[0])["data"]["relationships"].get("failures"), None, "only outputs fail");

        let delivered = about(&calls, "withdrawal_instructions", &instruction);
        assert_eq!(types(&delivered), ["withdrawal_instruction_created", "withdrawal_instruction_destroyed"]);
        for call in &delivered {
            assert_eq!(body(call)["included"][0]["attributes"]["body"], json!({"bank": "x"}));
        }

        let delivered = about(&calls, "concierge_requests", &request);
        let states = ["draft", "quote_requested", "quoted", "quote_accepted", "working", "finished"];
        let expected: Vec<String> = states
            .iter()
            .chain(&["receipt_created", "credit_note_created"])
            .map(|name| format!("concierge_request_{name}"))
            .collect();
        assert_eq!(types(&delivered), expected);
        for (call, state) in delivered.iter().zip(states.iter().chain(&["finished", "finished"])) {
            let included = body(call)["included"][0].clone();
            assert_eq!(included["attributes"]["state"], *state);
            let outputs =
                if *state == "draft" { json!([]) } else { json!([{"type": "concierge_request_outputs", "id": output}]) };
            let ids = included["relationships"]["outputs"]["data"].as_array().unwrap();
            assert_eq!(ids.len(), outputs.as_array().unwrap().len());
            let receipt = included["attributes"]["receipt_url"].as_str();
            assert_eq!(receipt.is_some(), *state == "finished");
            assert!(receipt.is_none_or(|url| url.starts_with("https://sandbox.example.com/a/receipts/")), "{receipt:?}");
        }
        let settled = body(&delivered[7])["included"][0].clone();
        let shown = s.get(&format!("/api/concierge_requests/{request}")).await.expect(200)["data"].clone();
        for name in ["total_to_spend", "funds_available", "outputs_returned", "eta", "quote_accepted_at"] {
            assert_eq!(settled["attributes"][name], shown["attributes"][name], "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn late_event_shows_the_state_at_its_time() {
    account(async |s| {
        let mut receiver = start_receiver(s, super::DOWN).await;
        s.create_output().await;
        s.tell(Duration::from_secs(1)).await;
        assert_eq!(s.state_of("32323").await, "accepted");
        s.tell(Duration::from_secs(9)).await;
        let calls = receiver.calls();
        let delivered = about(&calls, "concierge_request_outputs", "32323");
        assert_eq!(types(&delivered), ["concierge_request_output_accepting"; 2]);
        assert_eq!(body(&delivered[1])["included"][0]["attributes"]["state"], "accepting");
        assert_eq!(delivered[0].body, delivered[1].body, "the same bytes");
    })
    .await;
}
