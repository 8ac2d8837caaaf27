//! Loss of the database: the server reports it meanwhile, and recovers without a trace afterwards.

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

/// Sends `count` requests at the same time, reads and writes in turn.
async fn send_many(account: &Account, count: usize) -> Vec<Answer> {
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

/// Counts the failed answers, and asserts that each reports a loss of the database.
fn failures(answers: &[Answer]) -> usize {
    let failed = answers.iter().filter(|answer| answer.status >= 400);
    failed.inspect(|answer| assert_lost(answer)).count()
}

/// Asserts that an answer reports a loss, and invites a repetition unless the outcome is unknown.
#[track_caller]
fn assert_lost(answer: &Answer) {
    let [(status, code, source)] = &answer.errors()[..] else { panic!("{answer:?}") };
    assert_eq!((status.as_str(), source.as_str()), ("503", ""), "{answer:?}");
    assert!(["unavailable", "database_stopping", "outcome_unknown"].contains(&code.as_str()), "{answer:?}");
    assert_eq!(answer.headers.contains_key("retry-after"), code != "outcome_unknown", "{answer:?}");
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    answer.assert_error(503, "unavailable", "");
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn outage_answers_503_and_recovers_completely() {
    through_proxy(async |s, proxy| {
        // the server opens its maximum of connections
        assert_eq!(failures(&send_many(s, 64).await), 0);
        let stored = "select count(*) from concierge_request_outputs";
        assert_eq!(s.count(stored).await, 32);

        proxy.close().await;
        for _ in 0..2 {
            let begin = Instant::now();
            let (ready, live, answers) = tokio::join!(s.get(READY), s.get("/_sandbox/health/live"), send_many(s, 24));
            assert_unavailable(&ready);
            assert_eq!(live.expect(200), json!({"status": "live"}));
            assert_eq!(failures(&answers), 24);
            assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        }
        let address = s.server().address.to_string();
        let ended = Program::run(&["healthcheck", "--listen", &address], &[]).ended().await;
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.stderr[0].contains("not ready: it answered 503"), "{ended:?}");
        // all outputs come due meanwhile
        let due = s.clock.advance(Duration::from_secs(10));

        proxy.open();
        // immediately, and with every connection
        assert_eq!(failures(&send_many(s, 64).await), 0);
        s.get(READY).await.expect(200);
        within(s.server().wait_until(due)).await;
        assert_eq!(
            s.count("select count(*) from events where event_type like '%_accepted'").await,
            32,
            "outputs due meanwhile are decided"
        );
        assert_eq!(s.count(stored).await, 64, "failed requests stored nothing");
        s.advance(Duration::from_secs(1)).await;
        assert_eq!(s.count("select count(*) from events where event_type like '%_accepted'").await, 64);
    })
    .await;
}

#[tokio::test]
async fn cut_connections_fail_only_requests_in_progress() {
    through_proxy(async |s, proxy| {
        for _ in 0..3 {
            assert_eq!(failures(&send_many(s, 64).await), 0);
            proxy.cut();
            // the first request on a dead connection detects the loss for all
            let mut failed = 0;
            for _ in 0..20 {
                failed += failures(&[s.get("/api/users/me").await]);
            }
            assert!(failed <= 1, "{failed}");
            assert_eq!(failures(&send_many(s, 64).await), 0);
            s.advance(Duration::from_secs(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn silent_connections_are_replaced() {
    through_proxy(async |s, proxy| {
        assert_eq!(failures(&send_many(s, 64).await), 0);
        proxy.silence();
        let due = s.clock.advance(Duration::from_secs(1));
        // the readiness check detects the loss, and idle connections are discarded
        assert_unavailable(&s.get(READY).await);
        within(async { while s.get(READY).await.status != 200 {} }).await;
        assert_eq!(failures(&send_many(s, 64).await), 0);
        within(s.server().wait_until(due)).await;
        assert_eq!(s.count("select count(*) from events where event_type like '%_accepted'").await, 32);
        s.advance(Duration::from_secs(1)).await;
    })
    .await;
}

#[tokio::test]
async fn terminated_backends_fail_only_requests_in_progress() {
    sandbox(async |s| {
        const AT_ONCE: usize = 8;
        let terminate = "select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
        assert_eq!(failures(&send_many(s, 64).await), 0);
        let mut acknowledged = 32;
        let mut failed = 0;
        for _ in 0..5 {
            let (terminated, answers) = tokio::join!(s.count(terminate), send_many(s, AT_ONCE));
            assert!(terminated > 0);
            failed += failures(&answers);
            acknowledged += answers.iter().filter(|answer| answer.status == 201).count();
            // connections may have died while idle: the first request on one detects it
            let asking = (0..64).map(|_| s.get("/api/users/me"));
            failures(&within(futures_util::future::join_all(asking)).await);
            let answers = send_many(s, AT_ONCE).await;
            assert_eq!(failures(&answers), 0);
            acknowledged += answers.iter().filter(|answer| answer.status == 201).count();
        }
        let stored = usize::try_from(s.count("select count(*) from concierge_request_outputs").await).unwrap();
        // a failed request may have been stored before its answer was lost
        assert!((acknowledged..=acknowledged + failed).contains(&stored), "{acknowledged} + {failed}: {stored}");
        s.advance(Duration::from_secs(1)).await;
        assert_eq!(s.count("select count(*) from concierge_request_outputs where state = 'accepting'").await, 0);
    })
    .await;
}
