//! Deliveries by several servers over one database, and after a server was killed.

use std::collections::BTreeMap;

use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};
use rustix::process::Signal;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::task::JoinSet;

use super::{OK, body, id};
use crate::support::{Call, Program, Receiver, client, count, database, send, within};

const UNDELIVERED: &str = "select count(*) from deliveries where state <> 'delivered'";
/// Counts events neither sent nor queued.
const LOST: &str = "select count(*) from events e where not exists (
        select from deliveries d where d.account_id = e.account_id and d.event_id = e.id
    )";

async fn listen(server: &Program, url: &str) {
    let document = json!({"data": {"type": "users", "attributes": {"webhook_url": url}}});
    let patch = server.request(&client(), reqwest::Method::PATCH, "/api/users/me").json(&document);
    send(patch).await.expect(200);
}

/// Ends every lease, as time would.
async fn end_leases(database: &PgConnectOptions) {
    let pool = PgPool::connect_lazy_with(database.clone());
    let (longest,): (Option<f64>,) =
        sqlx::query_as("select extract(epoch from max(leased_until) - clock_timestamp())::float8 from deliveries")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert!(longest.is_none_or(|left| left <= 20.0), "a lease ends within 30 s: {longest:?}");
    sqlx::query("update deliveries set leased_until = clock_timestamp() where leased_until is not null")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
}

/// Waits until a query counts nothing.
async fn until_none(database: &PgConnectOptions, query: &str) {
    within(async { while count(database, query).await > 0 {} }).await;
}

/// Returns the ids of events by resource, in the order of their first arrival.
/// Asserts that each event always has the same bytes.
fn arrived(calls: &[Call]) -> BTreeMap<String, Vec<i64>> {
    let mut bytes: BTreeMap<String, &[u8]> = BTreeMap::new();
    let mut arrived: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for call in calls {
        let event = id(call);
        if let Some(before) = bytes.insert(event.clone(), &call.body) {
            assert_eq!(before, call.body, "event {event} has other bytes");
            continue;
        }
        let resource = body(call)["data"]["relationships"]["resource"]["data"].to_string();
        arrived.entry(resource).or_default().push(event.parse().unwrap());
    }
    arrived
}

#[tokio::test]
async fn servers_over_one_database_share_the_deliveries() {
    const OUTPUTS: usize = 300;
    database(async |database| {
        let mut receiver = Receiver::answering(OK).await;
        let mut servers = Vec::new();
        for _ in 0..3 {
            servers.push(database.program(&["--check-delay", "0s"]).await);
        }
        listen(&servers[0], &receiver.url()).await;
        let client = client();
        let mut posting = JoinSet::new();
        for number in 0..OUTPUTS {
            posting.spawn(send(servers[number % 3].post(&client)));
        }
        for answer in within(posting.join_all()).await {
            answer.expect(201);
        }
        servers[0].all_decided().await;
        until_none(database, UNDELIVERED).await;
        let calls = receiver.calls();
        assert_eq!(calls.len(), 2 * OUTPUTS, "each once");
        let arrived = arrived(&calls);
        assert_eq!(arrived.len(), OUTPUTS);
        assert!(arrived.values().all(|events| events.len() == 2 && events.is_sorted()), "{arrived:?}");
        // a server counts a delivery a moment after recording it
        let counted = async {
            loop {
                let mut delivered = 0;
                for server in &servers {
                    let metrics = client.get(format!("{}/_sandbox/metrics", server.base));
                    let text = metrics.send().await.unwrap().text().await.unwrap();
                    let name = "concierge_sandbox_webhooks_delivered_total ";
                    delivered +=
                        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse::<usize>().unwrap();
                }
                if delivered == 2 * OUTPUTS {
                    break;
                }
            }
        };
        within(counted).await;
    })
    .await;
}

#[tokio::test]
async fn deliveries_of_a_killed_server_move_to_another() {
    database(async |database| {
        let mut receiver = Receiver::hanging().await;
        let server = database.program(&[]).await;
        listen(&server, &receiver.url()).await;
        server.create_output().await;
        let first = receiver.call().await;
        let _other = database.program(&["--webhook-timeout", "1s"]).await;
        server.signal(Signal::KILL);
        server.ended().await;
        end_leases(database).await;
        let again = receiver.call().await;
        assert_eq!(again.body, first.body);
        until_none(database, "select 1 - count(*) from delivery_attempts").await;
    })
    .await;
}

#[tokio::test]
async fn repeatedly_killed_server_loses_no_event() {
    const OUTPUTS: usize = 1000;
    database(async |database| {
        let mut receiver = Receiver::answering(OK).await;
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let (mut made, mut calls) = (0, Vec::new());
        let client = client();
        while made < OUTPUTS {
            let server = database.program(&["--check-delay", "0s"]).await;
            if made == 0 {
                listen(&server, &receiver.url()).await;
            }
            // the server is killed so many calls later, amid further posts
            let kill_at = calls.len() + 50 + random.random_range(0..350_usize);
            while calls.len() < kill_at && made < OUTPUTS {
                let mut posting = JoinSet::new();
                for _ in 0..8 {
                    posting.spawn(send(server.post(&client)));
                }
                for answer in within(posting.join_all()).await {
                    answer.expect(201);
                    made += 1;
                }
                calls.extend(receiver.calls());
            }
            server.signal(Signal::KILL);
            server.ended().await;
            end_leases(database).await;
        }
        let server = database.program(&["--check-delay", "0s"]).await;
        server.all_decided().await;
        until_none(database, UNDELIVERED).await;
        calls.extend(receiver.calls());
        assert_eq!(count(database, LOST).await, 0);
        assert_eq!(count(database, "select count(*) from events").await, 2 * i64::try_from(OUTPUTS).unwrap());
        let arrived = arrived(&calls);
        assert_eq!(arrived.len(), OUTPUTS);
        assert!(arrived.values().all(|events| events.len() == 2 && events.is_sorted()), "{arrived:?}");
    })
    .await;
}
