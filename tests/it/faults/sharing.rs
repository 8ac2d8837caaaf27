//! Faults on several servers over one database: counted together, and visible once a change is answered.

use serde_json::json;

use super::{PATH, hits, put, shown};
use crate::support::{Account, database};

/// Runs a test against two servers over one database.
async fn with_two_servers(test: impl AsyncFnOnce(&Account, &Account)) {
    database(async |database| {
        let (one, other) = (database.server().await, database.server().await);
        test(&one, &other).await;
    })
    .await;
}

#[tokio::test]
async fn answered_change_is_visible_on_every_server() {
    with_two_servers(async |one, other| {
        for _ in 0..10 {
            // the other server's copy is as fresh as possible
            other.get("/api/users").await.expect(200);
            put(one, &json!([{"path": "/api/**", "status": 500}])).await.expect(200);
            other.get("/api/users").await.assert_error(500, "fault_injected", "");
            put(one, &json!([{"path": "/api/**", "status": 502}])).await.expect(200);
            other.get("/api/users").await.assert_error(502, "fault_injected", "");
            one.delete(PATH).await.expect(204);
            other.get("/api/users").await.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn hits_are_counted_across_servers() {
    with_two_servers(async |one, other| {
        put(one, &json!([{"path": "/api/users", "status": 500, "after": 3, "times": 5}])).await.expect(200);
        let asking =
            (0..30).map(|number| if number % 2 == 0 { one.get("/api/users") } else { other.get("/api/users") });
        let answers = futures_util::future::join_all(asking.map(Box::pin)).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 500).count(), 5);
        for server in [one, other] {
            assert_eq!(hits(server).await, [5]);
            assert_eq!(shown(server).await[0]["remaining"], 0);
            server.get("/api/users").await.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn concurrent_lists_do_not_mix() {
    with_two_servers(async |one, other| {
        let lists = [1, 2, 3, 0].map(|length| {
            let fault = json!({"path": "/api/users", "status": 500 + length, "times": 1_000_000});
            json!(vec![fault; length])
        });
        for _ in 0..5 {
            let putting = (0..16).map(|number| {
                let server = if number % 2 == 0 { one } else { other };
                put(server, &lists[number % 4])
            });
            let asking = (0..16).map(|_| other.get("/api/users"));
            let (answers, _) =
                tokio::join!(futures_util::future::join_all(putting), futures_util::future::join_all(asking));
            for answer in answers {
                answer.expect(200);
            }
            let left = shown(one).await;
            assert!(left.iter().all(|fault| fault["status"] == 500 + left.len()), "{left:?}");
            let status = if left.is_empty() { 200 } else { 500 + left.len() };
            assert_eq!(usize::from(other.get("/api/users").await.status), status);
        }
    })
    .await;
}
