//! Reset of accounts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{OUTPUTS, RESET, add_outputs};
use crate::support::{Account, Receiver, account, documented_output, dump, sandbox};

/// Leaves rows in every part of an account, and changed settings.
async fn use_every_table(account: &Account, receiver: &Receiver) {
    account.listen(&receiver.url()).await;
    let pace = json!({"step_delay": "PT5S", "approval": "manual", "progression": "auto"});
    account.patch("/_sandbox/settings", &pace).await.expect(200);
    let user = account.create("/api/users", &json!({"data": {"type": "users"}})).await;
    let rename = json!({"data": {"type": "users", "id": "20202", "attributes": {"name": "Renamed"}}});
    account.patch("/api/users/20202", &rename).await.expect(200);
    let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {"a": 1}},
        "relationships": {"user": {"data": {"type": "users", "id": user}}}}});
    account.create("/api/withdrawal_instructions", &instruction).await;
    account
        .create(
            "/api/concierge_requests",
            &json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}}),
        )
        .await;
    for _ in 0..3 {
        account.create_output().await;
    }
    let estimate = json!({"data": {"type": "concierge_estimates", "attributes": {"port_code": "cl_clp",
        "outputs": [{"port_code": "us_usd", "budget": 1}]}}});
    account.post("/api/concierge_estimates", &estimate).await.expect(201);
    account.settle().await;
    account.act("1010", "request_quote").await.expect(200);
    account.settle().await;
    account.act("1010", "accept_quote").await.expect(200);
    account.advance_by("P3D").await;
    assert_eq!(account.attribute("/api/concierge_requests/1010", "state").await, "finished");
}

#[tokio::test]
async fn reset_account_equals_a_new_account() {
    sandbox(async |s| {
        let receiver = Receiver::answering("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
        let account = s.account(json!({})).await;
        let shown = account.get("/_sandbox/accounts/me").await.expect(200);
        let settings = account.get("/_sandbox/settings").await.expect(200);
        let fresh = dump(s.database(), account.row(s.database()).await).await;
        let other = s.account(json!({})).await;
        other.create_output().await;
        let others = dump(s.database(), other.row(s.database()).await).await;

        use_every_table(&account, &receiver).await;
        account.post("/_sandbox/clock/freeze", &Value::Null).await.expect(400);
        account.post("/_sandbox/clock/freeze", &json!({})).await.expect(200);
        let answer = account.post(RESET, &json!({})).await;
        assert_eq!((answer.status, &*answer.text), (204, ""));
        assert_eq!(dump(s.database(), account.row(s.database()).await).await, fresh);
        assert_eq!(
            account.get("/_sandbox/accounts/me").await.expect(200),
            shown,
            "the account keeps its name, and its clock runs"
        );
        assert_eq!(account.get("/_sandbox/settings").await.expect(200), settings);
        assert_eq!(account.get("/_sandbox/events").await.expect(200)["data"], json!([]));
        // both keys stay valid, and ids start over
        let read_only = Account::of(&s.url(""), &account.read_only_key);
        assert_eq!(read_only.get("/api/users/me").await.expect(200)["data"]["id"], "50505");
        assert_eq!(account.create_output().await, "32323");
        assert_eq!(account.create("/api/users", &json!({"data": {"type": "users"}})).await, "50506");
        assert_eq!(
            account
                .create(
                    "/api/concierge_requests",
                    &json!({"data": {"type": "concierge_requests", "attributes": {"port_code": "ar_ars"}}})
                )
                .await,
            "1011"
        );
        assert_eq!(account.events().await[0].0, "1");
        assert_eq!(dump(s.database(), other.row(s.database()).await).await, others, "other accounts are unchanged");
        s.advance(Duration::from_secs(1)).await;
        assert_eq!(account.state_of("32323").await, "accepted");
    })
    .await;
}

#[tokio::test]
async fn reset_accepts_an_initial_clock() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        let standing = json!({"clock": {"now": "2001-02-03T04:05:06.789Z"}});
        account.post(RESET, &standing).await.expect(204);
        let clock = account.get("/_sandbox/clock").await.expect(200);
        assert_eq!((&clock["now"], &clock["frozen"]), (&json!("2001-02-03T04:05:06.789Z"), &json!(true)));
        assert_eq!(clock["next_due_at"], "2001-03-05T04:05:06.789Z", "a draft expires after 30 days");
        account.create_output().await;
        assert_eq!(account.events().await[0].3, "2001-02-03T04:05:06.789Z");
        let running = json!({"clock": {"now": "2001-02-03T04:05:06.789Z", "frozen": false}});
        account.post(RESET, &running).await.expect(204);
        s.advance(Duration::from_secs(1)).await;
        assert_eq!(account.now().await, "2001-02-03T04:05:07.789Z");
        // without a clock, the server's time applies
        account.post(RESET, &json!({})).await.expect(204);
        assert_eq!(account.now().await, "2019-11-25T12:53:03.741Z");
    })
    .await;
}

#[tokio::test]
async fn reset_requires_a_write_key_and_a_valid_body() {
    account(async |s| {
        let account = s.account(json!({})).await;
        account.create_output().await;
        let read_only = Account::of(&s.url(""), &account.read_only_key);
        read_only.post(RESET, &json!({})).await.assert_error(401, "not_enough_permissions", "Authorization");
        let stranger = Account::of(&s.url(""), "nobody's");
        stranger.post(RESET, &json!({"x": 1})).await.assert_error(401, "invalid_api_key", "Authorization");
        account.post(&format!("{RESET}?clock=now"), &json!({})).await.assert_error(400, "parameter_unknown", "clock");
        account.post(RESET, &json!({"keep": "users"})).await.assert_error(422, "attribute_unknown", "/keep");
        account.get(RESET).await.assert_error(405, "method_not_allowed", "");
        assert_eq!(account.state_of("32323").await, "accepting", "nothing was reset");
    })
    .await;
}

#[tokio::test]
async fn reset_removes_the_old_rows_in_the_background() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        let mut old = Vec::new();
        for _ in 0..2 {
            let row = account.row(s.database()).await;
            add_outputs(s.database(), row, 6000).await;
            account.create_output().await;
            account.post(RESET, &json!({})).await.expect(204);
            old.push(row);
        }
        assert_eq!(account.post(OUTPUTS, &documented_output()).await.expect(201)["data"]["id"], "32323");
        // deletion clears old rows, too
        account.delete("/_sandbox/accounts/me").await.expect(204);
        for row in old {
            super::wait_until_gone(s.database(), row).await;
        }
    })
    .await;
}

#[tokio::test]
async fn reset_takes_less_than_a_second() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        let mut took = Vec::new();
        for _ in 0..10 {
            add_outputs(s.database(), account.row(s.database()).await, 1000).await;
            let started = Instant::now();
            account.post(RESET, &json!({})).await.expect(204);
            took.push(started.elapsed());
        }
        took.sort_unstable();
        println!("a reset with 1000 outputs took {:?} (median), {:?} (longest)", took[5], took[9]);
        assert!(took[5] < Duration::from_secs(1), "{took:?}");
        let started = Instant::now();
        for _ in 0..10 {
            s.account(json!({})).await;
        }
        println!("an account was made in {:?}", started.elapsed() / 10);
    })
    .await;
}
