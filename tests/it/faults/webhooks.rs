//! Webhook faults, matched and counted as the dispatcher claims them.

use std::time::Duration;

use concierge_sandbox::faults::WebhookEffect;
use concierge_sandbox::faults::store::claim_webhook_fault;
use serde_json::json;

use super::{hits, put};
use crate::support::{Account, account};

async fn claim(sandbox: &Account, event_type: &str) -> Option<WebhookEffect> {
    let account = sandbox.count("select account_id from api_keys order by account_id limit 1").await;
    let mut connection = sandbox.database().acquire().await.unwrap();
    claim_webhook_fault(&mut connection, account, event_type).await.unwrap()
}

#[tokio::test]
async fn first_matching_fault_is_counted() {
    account(async |s| {
        let settled = "concierge_request_output_settled";
        assert_eq!(claim(s, settled).await, None);
        let faults = json!([
            {"path": "/api/**", "status": 500},
            {"webhook": "user_*", "drop": true},
            {"webhook": "concierge_request_output_*", "delay": "5s", "times": 2, "after": 1},
            {"webhook": "*_settled", "duplicate": true, "times": 1},
            {"webhook": "*", "reorder": true, "after": 1, "times": 1},
            {"webhook": "*", "bad_auth": true},
        ]);
        put(s, &faults).await.expect(200);
        let mut claimed = Vec::new();
        for _ in 0..6 {
            claimed.push(claim(s, settled).await.unwrap());
        }
        let delay = WebhookEffect::Delay(Duration::from_secs(5));
        let (bad_auth, reorder) = (WebhookEffect::BadAuth, WebhookEffect::Reorder);
        assert_eq!(claimed, [WebhookEffect::Duplicate, delay, delay, bad_auth, reorder, bad_auth]);
        assert_eq!(claim(s, "user_enabled").await, Some(WebhookEffect::Drop));
        assert_eq!(hits(s).await, [0, 1, 2, 1, 1, 2]);
        // webhook faults do not affect requests
        s.get("/api/users").await.assert_error(500, "fault_injected", "");
    })
    .await;
}

#[tokio::test]
async fn concurrent_claims_are_counted_exactly() {
    account(async |s| {
        put(s, &json!([{"webhook": "user_enabled", "drop": true, "after": 4, "times": 6}])).await.expect(200);
        let claiming = (0..20).map(|_| claim(s, "user_enabled"));
        let claimed = futures_util::future::join_all(claiming).await;
        assert_eq!(claimed.iter().filter(|claimed| claimed.is_some()).count(), 6);
        assert_eq!(claim(s, "user_disabled").await, None);
        assert_eq!(hits(s).await, [6]);
    })
    .await;
}
