//! The database goes away and comes back: the server says so meanwhile, and then goes on as if nothing had been.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Account, Answer, Program, Proxy, Sandbox, database, documented_output, sandbox, send, within};

const OUTPUTS: &str = "/api/concierge_request_outputs";
const READY: &str = "/_sandbox/health/ready";

/// Runs a test against a server that reaches its database through a proxy.
async fn through_proxy(test: impl AsyncFnOnce(&Sandbox, Proxy)) {
    database(async |database| {
        let proxy = Proxy::open_to(database);
        let sandbox = database.server_through(proxy.options(database), |_| {}).await;
        test(&sandbox, proxy).await;
    })
    .await;
}

/// Sends as many requests at the same time, reads and writes in turn.
async fn many(account: &Account, count: usize) -> Vec<Answer> {
    let mut sending = JoinSet::new();
    for number in 0..count {
        let request = if number % 2 == 0 {
            account.request(Method::POST, OUTPUTS).json(&documented_output())
        } else {
            account.request(Method::GET, "/api/users/me")
        };
        sending.spawn(send(request));
    }
    within(sending.join_all()).await
}

/// How many of them failed, each of which says that the database is away.
fn failures(answers: &[Answer]) -> usize {
    let failed = answers.iter().filter(|answer| answer.status >= 400);
    failed.inspect(|answer| assert_away(answer)).count()
}

#[track_caller]
fn assert_away(answer: &Answer) {
    answer.assert_error(503, "unavailable", "");
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn while_the_database_is_away_requests_are_told_so_and_then_all_goes_on() {
    through_proxy(async |s, proxy| {
        // as many connections as it may have
        assert_eq!(failures(&many(s, 64).await), 0);
        let stored = "select count(*) from concierge_request_outputs";
        assert_eq!(s.count(stored).await, 32);

        proxy.close().await;
        for _ in 0..2 {
            let begin = Instant::now();
            let (ready, live, answers) = tokio::join!(s.get(READY), s.get("/_sandbox/health/live"), many(s, 24));
            assert_away(&ready);
            assert_eq!(live.expect(200), json!({"status": "live"}));
            assert_eq!(failures(&answers), 24);
            assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        }
        let address = s.server().address.to_string();
        let ended = Program::run(&["healthcheck", "--listen", &address], &[]).ended().await;
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.stderr[0].contains("not ready: it answered 503"), "{ended:?}");
        // everything is due meanwhile
        let due = s.clock.advance(Duration::from_secs(10));

        proxy.open();
        // at once, and with every connection
        assert_eq!(failures(&many(s, 64).await), 0);
        s.get(READY).await.expect(200);
        within(s.server().wait_until(due)).await;
        assert_eq!(
            s.count("select count(*) from events where event_type like '%_accepted'").await,
            32,
            "what was due meanwhile is decided"
        );
        assert_eq!(s.count(stored).await, 64, "nothing was stored by those that failed");
        s.advance(Duration::from_secs(1)).await;
        assert_eq!(s.count("select count(*) from events where event_type like '%_accepted'").await, 64);
    })
    .await;
}

#[tokio::test]
async fn when_every_connection_is_cut_only_requests_under_way_fail() {
    through_proxy(async |s, proxy| {
        for _ in 0..3 {
            assert_eq!(failures(&many(s, 64).await), 0);
            proxy.cut();
            // the first to use a connection that is gone finds out for all
            let mut failed = 0;
            for _ in 0..20 {
                failed += failures(&[s.get("/api/users/me").await]);
            }
            assert!(failed <= 1, "{failed}");
            assert_eq!(failures(&many(s, 64).await), 0);
            s.advance(Duration::from_secs(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn connections_that_fall_silent_are_replaced() {
    through_proxy(async |s, proxy| {
        assert_eq!(failures(&many(s, 64).await), 0);
        proxy.silence();
        let due = s.clock.advance(Duration::from_secs(1));
        // the question finds out, and the connections that nobody uses go
        assert_away(&s.get(READY).await);
        within(async { while s.get(READY).await.status != 200 {} }).await;
        assert_eq!(failures(&many(s, 64).await), 0);
        within(s.server().wait_until(due)).await;
        assert_eq!(s.count("select count(*) from events where event_type like '%_accepted'").await, 32);
        s.advance(Duration::from_secs(1)).await;
    })
    .await;
}

#[tokio::test]
async fn when_backends_are_terminated_only_requests_under_way_fail() {
    sandbox(async |s| {
        const AT_ONCE: usize = 8;
        let terminate = "select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
        assert_eq!(failures(&many(s, 64).await), 0);
        let mut acknowledged = 32;
        let mut failed = 0;
        for _ in 0..5 {
            let (terminated, answers) = tokio::join!(s.count(terminate), many(s, AT_ONCE));
            assert!(terminated > 0);
            failed += failures(&answers);
            acknowledged += answers.iter().filter(|answer| answer.status == 201).count();
            // connections that went while nobody used them: whoever is lent one first finds out
            let asking = (0..64).map(|_| s.get("/api/users/me"));
            failures(&within(futures_util::future::join_all(asking)).await);
            let answers = many(s, AT_ONCE).await;
            assert_eq!(failures(&answers), 0);
            acknowledged += answers.iter().filter(|answer| answer.status == 201).count();
        }
        let stored = usize::try_from(s.count("select count(*) from concierge_request_outputs").await).unwrap();
        // of what failed, some may have been stored before its answer was lost
        assert!((acknowledged..=acknowledged + failed).contains(&stored), "{acknowledged} + {failed}: {stored}");
        s.advance(Duration::from_secs(1)).await;
        assert_eq!(s.count("select count(*) from concierge_request_outputs where state = 'accepting'").await, 0);
    })
    .await;
}
