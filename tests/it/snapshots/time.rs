//! Clocks and timers of snapshots.

use std::pin::pin;
use std::time::Duration;

use serde_json::json;

use super::{account_rows, assert_same, clock, listen_closed, restore, take};
use crate::support::{Receiver, sandbox};

#[tokio::test]
async fn restore_sets_the_clock_back() {
    sandbox(async |s| {
        s.create_output().await;
        take(s, "running").await;
        clock(s, "set", &json!({"to": "2019-11-25T12:53:03Z", "frozen": true})).await;
        assert_eq!(take(s, "frozen").await["frozen"], true);
        clock(s, "advance", &json!({"by": "PT48H"})).await;
        s.advance(Duration::from_hours(1)).await;
        assert_eq!(s.state_of("32323").await, "accepted");

        restore(s, "frozen").await;
        s.advance(Duration::from_hours(1)).await;
        let shown = s.get("/_sandbox/clock").await.expect(200);
        assert_eq!((&shown["now"], &shown["frozen"]), (&json!("2019-11-25T12:53:03.000Z"), &json!(true)));
        assert_eq!(shown["next_due_at"], "2019-11-25T12:53:03.741Z");
        assert_eq!(s.state_of("32323").await, "accepting");

        restore(s, "running").await;
        let shown = s.get("/_sandbox/clock").await.expect(200);
        assert_eq!((&shown["now"], &shown["frozen"]), (&json!("2019-11-25T12:53:02.741Z"), &json!(false)));
        assert_eq!(shown["ahead_seconds"], -7200.0);
        assert_eq!(s.state_of("32323").await, "accepting");
        s.advance(Duration::from_secs(1)).await;
        assert_eq!(s.state_of("32323").await, "accepted");
        let event = s.get("/_sandbox/events/2").await.expect(200);
        assert_eq!(event["data"]["attributes"]["created_at"], "2019-11-25T12:53:03.741Z");
        assert_eq!(s.get("/_sandbox/clock").await.expect(200)["now"], "2019-11-25T12:53:03.741Z");
    })
    .await;
}

#[tokio::test]
async fn snapshot_runs_no_timer_and_sends_nothing() {
    sandbox(async |s| {
        const DUE: &str = "
            update concierge_request_outputs o set due_at = '2019-01-01' from accounts a
            where a.id = o.account_id and snapshot_of is not null;
            update deliveries d set due_at = '2019-01-01' from accounts a
            where a.id = d.account_id and snapshot_of is not null and state = 'due'";
        let receiver = Receiver::answering("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n").await;
        let url = json!({"data": {"type": "users", "id": "1", "attributes": {"webhook_url": receiver.url()}}});
        s.patch("/api/users/me", &url).await.expect(200);
        let user = json!({"data": {"type": "users", "attributes": {}}});
        s.create("/api/users", &user).await;
        s.create_output().await;
        s.tell(Duration::ZERO).await;
        take(s, "all").await;
        // not even overdue timers run
        s.sql(DUE).await;
        let kept = account_rows(s, "snapshot_name = 'all'").await;
        s.post("/_sandbox/reset", &json!({})).await.expect(204);
        let attempts = "select count(*) from delivery_attempts";
        let attempted = s.count(attempts).await;
        s.tell(Duration::from_hours(40 * 24)).await;
        s.tell(Duration::from_hours(40 * 24)).await;
        assert_same(&account_rows(s, "snapshot_name = 'all'").await, &kept);
        assert!(s.count(attempts).await <= attempted, "a snapshot sends no event");
        let metrics = s.client.get(s.url("/_sandbox/metrics")).send().await.unwrap().text().await.unwrap();
        let age = metrics.lines().find(|line| line.contains("oldest") && !line.starts_with('#')).unwrap();
        assert!(age.ends_with(" 0.0"), "{age}");
        assert_eq!(s.get("/_sandbox/accounts").await.expect(200)["data"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn snapshot_waits_for_a_running_advance() {
    sandbox(async |s| {
        let (mut receiver, open) = listen_closed(s).await;
        s.create_output().await;
        let seconds = json!({"by": "PT5S"});
        let advance = clock(s, "advance", &seconds);
        let taken = async {
            // the advance waits for its delivery; the clock stands still meanwhile
            receiver.call().await;
            let mut taken = pin!(take(s, "one"));
            let time_enough = async {
                for _ in 0..50 {
                    assert_eq!(s.get("/_sandbox/clock").await.expect(200)["frozen"], false);
                }
            };
            tokio::select! {
                taken = &mut taken => panic!("the snapshot doesn't wait for the advance: {taken}"),
                () = time_enough => {}
            }
            open.send_replace(true);
            taken.await
        };
        let (advanced, taken) = tokio::join!(advance, taken);
        assert_eq!((&taken["frozen"], &taken["taken_at"]), (&json!(false), &advanced["to"]));
        drop(receiver);
    })
    .await;
}
