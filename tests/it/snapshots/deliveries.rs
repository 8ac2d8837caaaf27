//! Deliveries and calls in flight during a restore.

use std::collections::BTreeSet;
use std::time::Duration;

use concierge_sandbox::accounts::caller::Credentials;
use concierge_sandbox::concierge::outputs::Output;
use concierge_sandbox::concierge::outputs::state::State;
use concierge_sandbox::concierge::outputs::store::{self, Creation};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{OUTPUTS, listen_closed, restore, take};
use crate::support::{Receiver, documented_output, sandbox, sandbox_with};

#[tokio::test]
async fn restore_delivers_pending_events_again() {
    sandbox(async |s| {
        let mut receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
        s.patch("/api/users/me", &url).await.expect(200);
        s.create_output().await;
        s.tell(Duration::ZERO).await;
        receiver.call().await;
        take(s, "told-of-one").await;
        let mut bodies = Vec::new();
        for _ in 0..2 {
            s.tell(Duration::from_secs(1)).await;
            let call = receiver.call().await;
            let body: Value = serde_json::from_slice(&call.body).unwrap();
            assert_eq!(body["data"]["id"], "2");
            assert_eq!(body["data"]["attributes"]["event_type"], "concierge_request_output_accepted");
            bodies.push(body);
            restore(s, "told-of-one").await;
        }
        assert_eq!(bodies[0], bodies[1]);
        let events = "select count(*) from events e join accounts a on a.id = e.account_id and a.ended_at is null";
        assert_eq!(s.count(events).await, 2, "one in the snapshot and one in the account");
    })
    .await;
}

#[tokio::test]
async fn restore_during_creates_leaves_no_earlier_output() {
    sandbox_with(
        |config| {
            (config.check_delay, config.step_delay) = (Duration::ZERO, Duration::ZERO);
        },
        async |s| {
            take(s, "empty").await;
            let document = documented_output();
            for _ in 0..3 {
                let posts = join_all((0..60).map(|_| s.post(OUTPUTS, &document)));
                let ((), answers) = tokio::join!(restore(s, "empty"), posts);
                for answer in answers {
                    answer.expect(201);
                }
                s.tick().await;
                // outputs from before the restore are gone; later ids start at the first
                let found = s.get(&format!("{OUTPUTS}?page[size]=1000")).await.expect(200);
                let ids: BTreeSet<i64> = (found["data"].as_array().unwrap().iter())
                    .map(|output| output["id"].as_str().unwrap().parse().unwrap())
                    .collect();
                for (id, expected) in ids.iter().zip(32323..) {
                    assert_eq!(*id, expected, "{ids:?}");
                }
                restore(s, "empty").await;
                assert_eq!(s.create_output().await, "32323");
                restore(s, "empty").await;
            }
        },
    )
    .await;
}

/// After a restore, a round trip may hold a call with an id of the account before, and one with the same id of the new.
#[tokio::test]
async fn equal_ids_of_two_accounts_create_one_output_and_one_event() {
    sandbox(async |s| {
        let account_id = s.count("select account_id from api_keys limit 1").await;
        let creation = |account_id| Creation {
            shows_body: true,
            output: Output {
                id: 32323,
                request_id: 1010,
                user_id: 20202,
                withdrawal_instruction_id: 2121,
                port_code: "cl_clp".to_owned(),
                amount: Some(1000.into()),
                budget: None,
                state: State::Accepting,
                rejection_reason: None,
                failure_reason: None,
            },
            account_id,
            now: s.clock.now(),
            check_delay: Duration::from_secs(1),
            outcome: None,
            snapshot: r#"{"type": "concierge_request_outputs", "id": "32323"}"#.to_owned(),
            caused_by: "test".into(),
        };
        let mut connection = s.database().acquire().await.unwrap();
        let calls = vec![creation(account_id - 1), creation(account_id)];
        let credentials = Credentials::read(Some(b"your_api_key")).unwrap();
        let results = store::create(&mut connection, credentials, calls).await.unwrap();
        assert_eq!(results.iter().map(|result| result.created).collect::<Vec<_>>(), [false, true]);
        assert_eq!(s.count("select count(*) from events").await, 1);
    })
    .await;
}

#[tokio::test]
async fn restore_drops_events_queued_after_the_snapshot() {
    sandbox_with(
        |config| config.webhook_deliveries_per_receiver = 1,
        async |s| {
            let (mut receiver, open) = listen_closed(s).await;
            take(s, "quiet").await;
            for _ in 0..10 {
                s.create_output().await;
            }
            receiver.call().await;
            // nine more events are queued for the receiver
            restore(s, "quiet").await;
            open.send_replace(true);
            s.tell(Duration::from_secs(1)).await;
            assert_eq!(receiver.calls(), []);
            s.create_output().await;
            let delivered: Value = serde_json::from_slice(&receiver.call().await.body).unwrap();
            assert_eq!(delivered["data"]["id"], "1");
            drop(receiver);
        },
    )
    .await;
}
