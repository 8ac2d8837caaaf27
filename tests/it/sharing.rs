//! One database with several servers, in sequence or at once: nothing is lost or done twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::{Program, client, count, database, empty_database, send, within};

/// Counts undecided outputs, and outputs with other events than one creation and one decision.
const UNDECIDED_OR_WRONG_EVENTS: &str = "select count(*) from concierge_request_outputs o
    where state <> 'accepted' or array['concierge_request_output_accepting', 'concierge_request_output_accepted']
        is distinct from (select array_agg(e.event_type order by e.id) from events e where e.resource_id = o.id)";

#[tokio::test]
async fn several_servers_start_at_once_on_an_empty_database() {
    empty_database(async |database| {
        let mut servers: Vec<Program> = (0..5).map(|_| database.starting(&[])).collect();
        for server in &mut servers {
            server.ready().await;
        }
        assert_eq!(count(database, "select count(*) from accounts where id > 0").await, 1);
        for server in servers {
            server.create_output().await;
            server.stop().await;
        }
        assert_eq!(count(database, "select count(*) from concierge_request_outputs").await, 5);
    })
    .await;
}

#[tokio::test]
async fn servers_with_one_database_decide_each_output_once() {
    database(async |database| {
        let mut servers = Vec::new();
        for delay in ["0s", "50ms", "0s"] {
            servers.push(database.program(&["--check-delay", delay]).await);
        }
        let client = client();
        let mut posting = JoinSet::new();
        for number in 0..600 {
            posting.spawn(send(servers[number % 3].post(&client)));
        }
        let answers = within(posting.join_all()).await;
        let ids: BTreeSet<String> =
            answers.into_iter().map(|answer| answer.expect(201)["data"]["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 600, "each id is given once");
        servers[1].all_decided().await;
        assert_eq!(count(database, UNDECIDED_OR_WRONG_EVENTS).await, 0);
        assert_eq!(count(database, "select count(*) from events").await, 1200);
        assert_eq!(count(database, "select max(id) from events").await, 1200, "event ids have no gap");
    })
    .await;
}

#[tokio::test]
async fn acknowledged_outputs_survive_a_kill_and_are_decided_once() {
    const POSTS: usize = 1000;
    database(async |database| {
        let server = database.program(&["--check-delay", "20ms"]).await;
        let (client, started) = (client(), Arc::new(AtomicUsize::new(0)));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let mut posting = JoinSet::new();
        for _ in 0..16 {
            let (started, acknowledged, client) = (Arc::clone(&started), Arc::clone(&acknowledged), client.clone());
            let post = server.post(&client);
            posting.spawn(async move {
                let mut ids = Vec::new();
                while started.fetch_add(1, Ordering::Relaxed) < POSTS {
                    let Ok(response) = post.try_clone().unwrap().send().await else { continue };
                    let Ok(document) = response.json::<Value>().await else { continue };
                    ids.push(document["data"]["id"].as_str().unwrap().to_owned());
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                ids
            });
        }
        within(async {
            while acknowledged.load(Ordering::Relaxed) < POSTS / 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        server.signal(Signal::KILL);
        assert_eq!(server.ended().await.status.code(), None);
        let ids = within(posting.join_all()).await.concat();
        assert!((POSTS / 2..POSTS).contains(&ids.len()), "killed in the middle, after {}", ids.len());
        let stored = format!("select count(*) from concierge_request_outputs where id in ({})", ids.join(","));
        assert_eq!(count(database, &stored).await, i64::try_from(ids.len()).unwrap());

        let server = database.program(&["--check-delay", "20ms"]).await;
        server.all_decided().await;
        assert_eq!(count(database, UNDECIDED_OR_WRONG_EVENTS).await, 0);
        server.create_output().await;
    })
    .await;
}

#[tokio::test]
async fn ids_continue_without_a_gap_after_a_restart() {
    database(async |database| {
        let mut next = 32323;
        for count in [3, 40, 1] {
            let server = database.program(&[]).await;
            let client = client();
            let mut posting = JoinSet::new();
            for _ in 0..count {
                posting.spawn(send(server.post(&client)));
            }
            let mut ids: Vec<i32> = within(posting.join_all())
                .await
                .into_iter()
                .map(|answer| answer.expect(201)["data"]["id"].as_str().unwrap().parse().unwrap())
                .collect();
            ids.sort_unstable();
            assert_eq!(ids, (next..next + count).collect::<Vec<_>>());
            next += count;
            server.stop().await;
        }
    })
    .await;
}
