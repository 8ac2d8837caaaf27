//! The limits of connections, in number and time.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

use crate::support::{Sandbox, Wire, program, sandbox_with, within};

const LIVE: &str = "/_sandbox/health/live";
const GET: &str = "GET /_sandbox/health/live HTTP/1.1\r\nHost: x\r\n\r\n";
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_hours(1);

async fn wire(s: &Sandbox) -> Wire {
    Wire::open(s.server().address).await
}

#[tokio::test]
async fn late_head_is_answered_with_408() {
    sandbox_with(
        |config| (config.header_timeout, config.idle_timeout) = (SHORT, LONG),
        async |s| {
            for sent in ["GET / HTTP/1.1\r\nHost: x\r\n", "G"] {
                let mut wire = wire(s).await;
                wire.send(sent).await;
                let answer = wire.answer().await;
                answer.assert_error(408, "head_timeout", "");
                assert!(answer.text.contains("after 200ms"), "{answer:?}");
                assert_eq!(wire.rest().await, "");
            }
            // also behind an answer, and together with the request before it
            for (first, later) in [(GET.to_owned(), "GET "), (format!("{GET}GET /"), "x")] {
                let mut wire = wire(s).await;
                wire.send(first).await;
                wire.answer().await.expect(200);
                wire.send(later).await;
                wire.answer().await.assert_error(408, "head_timeout", "");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn silent_connection_is_closed_without_an_answer() {
    sandbox_with(
        |config| (config.header_timeout, config.idle_timeout) = (SHORT, LONG),
        async |s| assert_eq!(wire(s).await.rest().await, ""),
    )
    .await;
}

#[tokio::test]
async fn idle_connection_is_closed() {
    sandbox_with(
        |config| (config.header_timeout, config.idle_timeout) = (LONG, SHORT),
        async |s| {
            let mut wire = wire(s).await;
            wire.send(GET).await;
            wire.answer().await.expect(200);
            assert_eq!(wire.rest().await, "");
        },
    )
    .await;
}

#[tokio::test]
async fn connection_of_a_client_that_reads_nothing_is_closed() {
    sandbox_with(
        |config| (config.write_timeout, config.max_connections) = (SHORT, Some(1)),
        async |s| {
            let mut deaf = wire(s).await;
            // more than the buffers of both systems hold
            deaf.send("GET /_sandbox/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(40)).await;
            within(async { while first_status(s).await != 200 {} }).await;
            let (text, _) = deaf.end().await;
            assert!(text.starts_with("HTTP/1.1 200 ") && text.matches("HTTP/1.1 200 ").count() < 40);
        },
    )
    .await;
}

/// Returns the status of a request on a new connection.
async fn first_status(s: &Sandbox) -> u16 {
    let mut wire = wire(s).await;
    wire.send(GET).await;
    let answer = wire.answer().await;
    if answer.status == 503 {
        answer.assert_error(503, "unavailable", "");
        assert!(answer.text.contains("--max-connections"), "{answer:?}");
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(answer.headers["connection"], "close");
        assert_eq!(wire.rest().await, "");
    }
    answer.status
}

#[tokio::test]
async fn connections_are_limited() {
    sandbox_with(
        |config| config.max_connections = Some(2),
        async |s| {
            let (mut first, mut second) = (wire(s).await, wire(s).await);
            for wire in [&mut first, &mut second] {
                wire.send(GET).await;
                wire.answer().await.expect(200);
            }
            assert_eq!(first_status(s).await, 503);
            // the others are unharmed
            second.send(GET).await;
            second.answer().await.expect(200);
            drop(first);
            within(async { while first_status(s).await != 200 {} }).await;
        },
    )
    .await;
}

#[tokio::test]
async fn place_of_a_client_that_has_gone_is_free_at_once() {
    sandbox_with(
        |config| config.max_connections = Some(4),
        async |s| {
            let began = Instant::now();
            for ending in ["", "Connection: close\r\n"] {
                for _ in 0..20 {
                    let mut wire = wire(s).await;
                    wire.send(format!("GET {LIVE} HTTP/1.1\r\nHost: x\r\n{ending}\r\n")).await;
                    // a place is free as soon as the server saw the end of another connection
                    if wire.answer().await.status != 200 {
                        assert!(began.elapsed() < Duration::from_secs(5));
                    }
                }
            }
            // with a second for each, it would take ten
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        },
    )
    .await;
}

#[tokio::test]
async fn requests_in_progress_are_limited() {
    sandbox_with(
        |config| config.max_requests = 1,
        async |s| {
            let mut holding = s.database().begin().await.unwrap();
            sqlx::query("lock table concierge_request_outputs in share mode").execute(&mut *holding).await.unwrap();
            let held = s.create_output();
            let refused = async {
                within(async { while s.get("/_sandbox/clock").await.status != 503 {} }).await;
                let answer = s.get("/_sandbox/clock").await;
                answer.assert_error(503, "unavailable", "");
                assert!(answer.text.contains("--max-requests"), "{answer:?}");
                assert_eq!(answer.headers["retry-after"], "1");
                s.get(LIVE).await.expect(200);
                s.get("/_sandbox/wait?resource=concierge_requests/1010&state=draft&timeout=1s").await.expect(200);
                holding.commit().await.unwrap();
            };
            let (output, ()) = tokio::join!(held, refused);
            assert_eq!(output, "32323");
            s.patch("/_sandbox/settings", &json!({})).await.expect(200);
        },
    )
    .await;
}

#[tokio::test]
async fn without_descriptors_the_server_warns_once_and_accepts_again_later() {
    program(&[], async |mut program| {
        let pid = Pid::from_raw(program.id().cast_signed());
        let open = std::fs::read_dir(format!("/proc/{}/fd", program.id())).unwrap().count() as u64;
        let limit = Rlimit { current: Some(open + 4), ..getrlimit(Resource::Nofile) };
        let former = prlimit(pid, Resource::Nofile, limit).unwrap();
        let mut wires = Vec::new();
        for _ in 0..20 {
            wires.push(Wire::open(program.address()).await);
        }
        let mut log = program.stderr.take();
        let warning = within(log.next()).await.unwrap();
        assert!(warning.contains("WARN") && warning.contains("no connection can be accepted"), "{warning}");
        // descriptors that become free are used, and a line follows when none has been missing for a while
        wires.truncate(2);
        let get = async || {
            let mut wire = Wire::open(program.address()).await;
            wire.send(GET).await;
            wire.answer().await.expect(200);
        };
        let line = loop {
            tokio::select! {
                line = within(log.next()) => break line.unwrap(),
                () = get() => {}
            }
        };
        assert!(line.contains("connections are accepted again"), "{line}");
        get().await;
        prlimit(pid, Resource::Nofile, former).unwrap();
    })
    .await;
}
