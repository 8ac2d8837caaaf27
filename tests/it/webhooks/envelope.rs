//! What an event looks like when it arrives.

use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};
use standardwebhooks::Webhook;

use super::{OK, body, told, types};
use crate::support::documented_output;

#[tokio::test]
async fn an_event_has_the_known_envelope_and_headers() {
    let (sandbox, mut receiver) = told(OK).await;
    sandbox.create_output().await;
    sandbox.tell(Duration::ZERO).await;
    let calls = receiver.calls();
    assert_eq!(types(&calls), ["concierge_request_output_accepting"]);
    let call = &calls[0];
    assert_eq!(call.line, "POST /hook HTTP/1.1");
    assert_eq!(call.header("content-type"), Some("application/json"));
    assert!(call.header("user-agent").unwrap().starts_with("concierge-sandbox/"));
    // printf %s your_api_key | sha256sum
    let auth = "8c4b5e8a";
    let digest = Sha256::digest(b"your_api_key");
    let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(call.header("webhook-auth"), Some(hex.as_str()), "{auth}");
    assert_eq!(call.header("webhook-id"), Some("1"));
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
    let _ = (documented_output(), Webhook::from_bytes(digest.to_vec()));
    sandbox.stop().await;
}
