//! Seeded resources: presence, owner, and progress from their state.

use std::time::Duration;

use serde_json::{Value, json};

use super::{OUTPUTS, PATH, instruction, output, payroll, request, seed, user, wallet};
use crate::support::{Receiver, account, send};

#[tokio::test]
async fn seeded_resources_exist_and_progress() {
    account(async |s| {
        let seeded = seed(s, &payroll()).await;
        let counts = json!({"users": 2, "withdrawal_instructions": 2, "concierge_requests": 1,
            "concierge_request_outputs": 4, "cash_wallets": 2});
        assert_eq!(seeded, json!({ "seeded": counts }));
        let ana = s.get("/api/users/100").await.expect(200);
        let attributes = json!({"name": "Ana", "email": "ana@example.com", "kyc_accepted": true, "otp_enabled": true,
            "do_not_email": false, "trezor_login_enabled": false, "compliance_state": "enabled", "webhook_url": null});
        assert_eq!(ana["data"]["attributes"], attributes);
        let shown = s.get("/api/withdrawal_instructions/9001").await;
        assert!(shown.text.contains("\"body\":{\"a\":1.5"), "{shown:?}");
        let shown = s.get(&format!("{OUTPUTS}/40002")).await.expect(200);
        assert_eq!(shown["data"]["attributes"]["rejection_reason"], "the preliminary checks failed");
        assert_eq!(shown["data"]["attributes"]["state"], "rejected");
        let shown = s.attributes_of("7001").await;
        let counted = ["state", "outputs_count", "outputs_accepted", "funds_available"].map(|name| shown[name].clone());
        assert_eq!(counted, [json!("draft"), json!(4 - 1), json!(1), json!(200.5)]);
        // a seed records no event
        assert_eq!(s.get("/_sandbox/events").await.expect(200)["meta"]["total"], 0);
        // new ids continue behind the seeded ones
        let new_user = json!({"data": {"type": "users", "attributes": {}}});
        assert_eq!(s.create("/api/users", &new_user).await, "50506");
        assert_eq!(s.create_output().await, "40005");
        let new = json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}});
        assert_eq!(s.create("/api/concierge_requests", &new).await, "7002");
        // timers start at the seed
        s.advance(Duration::from_secs(1)).await;
        assert_eq!(s.get("/api/users/101").await.expect(200)["data"]["attributes"]["compliance_state"], "enabled");
        s.advance(Duration::from_secs(1)).await;
        for (id, state) in [("40001", "accepted"), ("40002", "rejected"), ("40003", "accepted"), ("40004", "accepted")]
        {
            assert_eq!(s.state_of(id).await, state, "{id}");
        }
        s.act("7001", "request_quote").await.expect(200);
        s.tick().await;
        s.act("7001", "accept_quote").await.expect(200);
        for _ in 0..4 {
            s.advance(Duration::from_secs(1)).await;
        }
        assert_eq!(s.attributes_of("7001").await["state"], "quote_accepted", "a balance of 200.5 is too small");
        seed(s, &json!({"data": [wallet("ars", 50505, 1000)]})).await;
        for _ in 0..5 {
            s.advance(Duration::from_secs(1)).await;
        }
        assert_eq!(s.attributes_of("7001").await["state"], "finished");
        // the timeline starts from the seeded state
        let timeline = s.get("/_sandbox/timeline/concierge_request_outputs/40001").await.expect(200);
        let first = &timeline["transitions"][0];
        assert_eq!(
            (&first["from"], &first["to"], &first["trigger"]),
            (&json!("accepted"), &json!("working"), &json!("work"))
        );
        let timeline = s.get("/_sandbox/timeline/users/101").await.expect(200);
        let first = &timeline["transitions"][0];
        assert_eq!(
            (&first["from"], &first["to"], &first["trigger"]),
            (&json!("new"), &json!("enabled"), &json!("enable"))
        );
    })
    .await;
}

#[tokio::test]
async fn seed_in_a_frozen_account_runs_due_timers_at_once() {
    account(async |s| {
        s.post("/_sandbox/clock/freeze", &json!({})).await.expect(200);
        s.patch("/_sandbox/settings", &json!({"check_delay": "0s", "approval": "manual"})).await.expect(200);
        let data = json!({"data": [output(40001, 1010, 20202, 2121, "accepting"), user(1, json!({}))]});
        seed(s, &data).await;
        assert_eq!(s.state_of("40001").await, "accepted");
        assert_eq!(s.count("select count(*) from users where id = 1 and due_at is null").await, 1);
        s.patch("/_sandbox/settings", &json!({"progression": "manual"})).await.expect(200);
        let data =
            json!({"data": [output(40002, 7001, 20202, 2121, "accepting"), request(7001), wallet("usd", 20202, 5)]});
        seed(s, &data).await;
        let timers = "select count(due_at) from (
                select due_at from concierge_request_outputs where id = 40002
                union all select due_at from concierge_requests where id = 7001
                union all select due_at from cash_wallets where user_id = 20202
            ) timers";
        assert_eq!(s.count(timers).await, 0);
    })
    .await;
}

#[tokio::test]
async fn seeded_resource_without_user_belongs_to_the_acting_user() {
    account(async |s| {
        let mut own_instruction = instruction(9001, 1);
        own_instruction.as_object_mut().unwrap().remove("relationships");
        let own_resources = json!({"data": [own_instruction, request(7001)]}).to_string();
        let post = s.client.post(s.url(PATH)).header("Authorization", format!("{}; user=20202", s.key));
        send(post.header("Content-Type", "application/json").body(own_resources)).await.expect(201);
        for path in ["withdrawal_instructions/9001", "concierge_requests/7001"] {
            let shown = s.get(&format!("/api/{path}")).await.expect(200);
            assert_eq!(shown["data"]["relationships"]["user"]["data"]["id"], "20202", "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn events_of_seeded_resources_go_to_the_master_user() {
    account(async |s| {
        let mut receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let data = json!({"data": [user(7, json!({"compliance_state": "enabled", "webhook_url": "http://127.0.0.1:1/"})),
            output(40001, 1010, 20202, 2121, "accepting")]});
        seed(s, &data).await;
        let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
        s.patch("/api/users/me", &url).await.expect(200);
        s.tell(Duration::from_secs(1)).await;
        let event: Value = serde_json::from_slice(&receiver.call().await.body).unwrap();
        assert_eq!(event["data"]["attributes"]["event_type"], "concierge_request_output_accepted");
        drop(receiver);
    })
    .await;
}

#[tokio::test]
async fn snapshot_includes_seeded_resources() {
    account(async |s| {
        seed(s, &payroll()).await;
        s.post("/_sandbox/snapshots", &json!({"name": "seeded"})).await.expect(201);
        s.post("/_sandbox/reset", &json!({})).await.expect(204);
        s.get("/api/users/100").await.assert_error(404, "resource_not_found", "");
        s.post("/_sandbox/snapshots/seeded/restore", &json!({})).await.expect(204);
        s.get("/api/users/100").await.expect(200);
        assert_eq!(s.create_output().await, "40005");
    })
    .await;
}
