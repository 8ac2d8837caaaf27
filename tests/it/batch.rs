//! Concurrent calls that share a round trip to the database: each gets its own answer.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use crate::support::{account, documented_output, sandbox, send};

const OUTPUTS: &str = "/api/concierge_request_outputs";

#[tokio::test]
async fn concurrent_creates_each_get_their_own_answer() {
    account(async |s| {
        let creates = (0..200).map(|n| {
            let mut document = documented_output();
            document["data"]["attributes"]["amount"] = json!(n + 1);
            // every fourth refers to a missing resource, each time a different one
            if n % 4 == 0 {
                let relationship = ["request", "user", "withdrawal_instruction"][n / 4 % 3];
                document["data"]["relationships"][relationship]["data"]["id"] = json!((777_000 + n).to_string());
            }
            async move { (n, s.post(OUTPUTS, &document).await) }
        });
        let mut ids = BTreeSet::new();
        for (n, answer) in futures_util::future::join_all(creates).await {
            if n % 4 == 0 {
                let relationship = ["request", "user", "withdrawal_instruction"][n / 4 % 3];
                let pointer = format!("/data/relationships/{relationship}/data/id");
                answer.assert_error(404, "related_resource_not_found", &pointer);
                assert!(answer.text.contains(&(777_000 + n).to_string()), "{answer:?}");
            } else {
                let shown = answer.expect(201);
                assert_eq!(shown["data"]["attributes"]["amount"], n + 1);
                ids.insert(shown["data"]["id"].as_str().unwrap().parse::<i64>().unwrap());
            }
        }
        assert_eq!(ids.len(), 150);
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 150);
        // shown together, beside missing ones
        let show = |id: i64| async move { (id, s.get(&format!("{OUTPUTS}/{id}")).await) };
        let shows = ids.into_iter().chain([1, 2, 3]).map(show);
        for (id, answer) in futures_util::future::join_all(shows).await {
            if id < 10 {
                answer.assert_error(404, "resource_not_found", "");
            } else {
                assert_eq!(answer.expect(200)["data"]["id"], id.to_string());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn concurrent_callers_keep_their_own_permissions() {
    sandbox(async |s| {
        let id = s.create_output().await;
        let path = format!("{OUTPUTS}/{id}");
        let keys =
            ["your_api_key", "your_read_only_api_key", "nobody's", "your_api_key; user=20202", "your_api_key; user=7"];
        let calls = (0..100).map(|n| {
            let key = keys[n % keys.len()];
            let request = s.client.request(Method::GET, s.url(&path)).header("Authorization", key);
            async move { (key, send(request).await.status) }
        });
        for (key, status) in futures_util::future::join_all(calls).await {
            let refused = key == "nobody's" || key.ends_with("=7");
            assert_eq!(status, if refused { 401 } else { 200 }, "{key}");
        }
    })
    .await;
}

#[tokio::test]
async fn disconnected_client_does_not_fail_other_creates() {
    sandbox(async |s| {
        // locks the draft, so that creates wait
        let mut lock = s.database().begin().await.unwrap();
        sqlx::query("update concierge_requests set external_id = 'x' where id = 1010")
            .execute(&mut *lock)
            .await
            .unwrap();
        let (document, calls) = (documented_output(), 6);
        let mut waiting: Vec<_> = (0..calls).map(|_| Box::pin(s.post(OUTPUTS, &document))).collect();
        let waits = "select count(*) from pg_stat_activity
            where wait_event_type = 'Lock' and query like 'with caller%'
            and datname = current_database()";
        // polls the creates until the first round trip waits for the lock
        crate::support::within(async {
            loop {
                tokio::select! {
                    biased;
                    _ = futures_util::future::select_all(&mut waiting) => panic!("answered before the unlock"),
                    waits = s.count(waits) => if waits > 0 { break },
                }
            }
        })
        .await;
        drop(waiting.drain(..3)); // the first three clients disconnect
        lock.commit().await.unwrap();
        for answer in futures_util::future::join_all(waiting).await {
            answer.expect(201);
        }
        s.create_output().await;
    })
    .await;
}
