//! Concurrent queueing: of each resource one event is due, in any order and way of queueing.
//! Every test checks this at its end.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::task::JoinSet;

use super::{MASTER, OUTPUT, PATH, Silent, ids, payout, post, put, queued, redeliver, set_url};
use crate::support::{account, documented_output, sandbox, within};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_queueing_leaves_one_event_due() {
    account(async |s| {
        payout(s).await;
        let events = ids(s, &format!("filter[resource]={OUTPUT}")).await;
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        for round in 0..10 {
            s.sql("delete from deliveries; delete from delivery_attempts").await;
            for event in &events[..3] {
                put(s, *event, "given_up").await;
            }
            let wish = json!({"event_type": "concierge_request_output_settled",
                "resource": {"type": "concierge_request_outputs", "id": "32323"}});
            let sample = json!({"event_type": "concierge_request_output_settled"});
            let redelivered = join_all(events.iter().chain(&events).map(|event| redeliver(s, *event)));
            let triggered = join_all([&wish, &sample, &wish, &sample].map(|wish| post(s, "trigger", wish)));
            let everything = json!({});
            let recovered = join_all((0..2).map(|_| post(s, "recover", &everything)));
            let (redelivered, triggered, recovered) = tokio::join!(redelivered, triggered, recovered);
            assert!(redelivered.iter().all(|answer| answer.status == 202), "{redelivered:?}");
            assert!(triggered.iter().all(|answer| answer.status == 201), "{triggered:?}");
            assert!(recovered.iter().all(|answer| answer.status == 200), "{recovered:?}");
            let due =
                "select count(*) from deliveries where state = 'due' and resource_type = 'concierge_request_outputs'";
            assert_eq!(s.count(due).await, 2, "round {round}: one of the output, one of the sample");
            assert_eq!(
                s.count(
                    "select count(*) from events e where not exists (
                    select from deliveries d where d.event_id = e.id and d.state in ('due', 'waiting')
                )"
                )
                .await,
                0,
                "round {round}"
            );
        }
        drop(silent);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_events_wait_behind_redelivered_ones() {
    sandbox(async |s| {
        const OUTPUTS: usize = 40;
        for _ in 0..OUTPUTS {
            s.create("/api/concierge_request_outputs", &documented_output()).await;
        }
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        let events = ids(s, "").await;
        // each output is accepted while its event is redelivered
        let ((), redelivered, cancelled) = tokio::join!(
            s.advance(Duration::from_secs(1)),
            join_all(events.iter().map(|event| redeliver(s, *event))),
            s.act("1010", "cancel"),
        );
        assert!(redelivered.iter().all(|answer| answer.status == 202), "{redelivered:?}");
        cancelled.expect(200);
        s.advance(Duration::from_secs(1)).await;
        let first = "select count(*) from deliveries where state = 'due'";
        assert_eq!(
            s.count(first).await,
            i64::try_from(OUTPUTS + 1).unwrap(),
            "one of each output, and one of the request"
        );
        drop(silent);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_resource_delays_no_other_during_recovery() {
    sandbox(async |s| {
        payout(s).await;
        let events = ids(s, &format!("filter[resource]={OUTPUT}")).await;
        let all = ids(s, "").await;
        let silent = Silent::start().await;
        set_url(s, MASTER, Some(&silent.url())).await;
        let mut moving = s.database().begin().await.unwrap();
        let lock = "select 1 from concierge_request_outputs where id = 32323 for no key update";
        sqlx::query(lock).execute(&mut *moving).await.unwrap();
        let mut recovering = JoinSet::new();
        let request = s.request(reqwest::Method::POST, &format!("{PATH}/recover"));
        recovering.spawn(crate::support::send(request));
        let waits = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock' and query like '%for share%'";
        within(async { while s.count(waits).await == 0 {} }).await;
        let queued_now = s.count("select count(*) from deliveries").await;
        assert_eq!(queued_now, i64::try_from(all.len() - events.len()).unwrap(), "all except the events of the output");
        assert_eq!(queued(s, events[0]).await, None);
        moving.commit().await.unwrap();
        let recovered = within(recovering.join_next()).await.unwrap().unwrap();
        assert_eq!(recovered.expect(200), json!({"recovered": all.len()}));
        assert_eq!(queued(s, events[0]).await.unwrap().0, "due");
        drop(silent);
    })
    .await;
}
