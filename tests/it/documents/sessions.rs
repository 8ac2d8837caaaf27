//! The commands of the documents, run as they stand: each page on a fresh server, from the top.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use clap::Parser;
use concierge_sandbox::config::Cli;

use super::{page, pages};
use crate::support::{Program, fresh_database};

/// A page, a heading above `sh` blocks, and parts of their output.
type Session = (&'static str, &'static str, &'static [&'static str]);

/// Every session, in the order of the documents.
const SESSIONS: &[Session] = &[
    (
        "README.md",
        "First request",
        &[r#"{"data":{"id":"32323","#, r#""state":"accepting""#, r#"{"data":[{"id":"32323","#],
    ),
    (
        "README.md",
        "A payout in six commands",
        &[
            r#""state":"quote_requested""#,
            r#""state":"quote_accepted""#,
            r#""state":"settled""#,
            r#""state":"finished""#,
            "/receipts/",
        ],
    ),
    ("docs/contract.md", "Get it", &[r#"{"openapi":"3.1.1""#, "openapi: \"3.1.1\""]),
    ("docs/data.md", "Reset", &[]),
    ("docs/data.md", "Snapshots", &[r#"{"name":"before-quote","#, r#""cancellation_reason":"cancelled_by_user""#]),
    ("docs/data.md", "Seeds", &[r#"{"seeded":{"users":1,"#]),
    ("docs/faults.md", "Inject faults", &[r#""latency":"250ms","hits":1"#, r#""fault_injected""#]),
    ("docs/faults.md", "Request log", &[r#""path":"/api/users/me""#, r#""authorization":"[redacted]""#]),
    ("docs/faults.md", "Advice", &[r#""data":["#]),
    (
        "docs/lists.md",
        "Filters",
        &[r#""id":"1010""#, "?filter%5Bstate%5D=draft,quoted&sort=-state,id&page%5Bnumber%5D=1", r#"{"data":[],"#],
    ),
    (
        "docs/payouts.md",
        "Walk-through",
        &[
            r#""state":"accepting""#,
            r#"{"type":"concierge_request_outputs","id":"32323"},"state":"accepted"}"#,
            r#""state":"quote_requested""#,
            r#"{"type":"concierge_requests","id":"1010"},"state":"finished"}"#,
            r#""currency":"ars""#,
            r#""total_to_spend""#,
        ],
    ),
    ("docs/payouts.md", "Estimates", &[r#""total_to_spend":119132.65420936"#]),
    ("docs/testing.md", "Isolated tests", &["request 1010 is finished", "concierge_request_output_failed"]),
    (
        "docs/testing.md",
        "Isolated accounts",
        &[r#""key":"job-17""#, r#""clock":{"now":"2019-11-25T12:53:02.741Z","frozen":true"#],
    ),
    ("docs/testing.md", "Clock", &[r#""frozen":true"#, r#""happened":["#, r#""frozen":false,"ahead_seconds":172"#]),
    ("docs/testing.md", "Settle", &[r#""happened":["#]),
    (
        "docs/testing.md",
        "Per-account settings",
        &[
            r#""approval":"manual","check_delay":"PT0S""#,
            r#""step_delay":"PT0.25S""#,
            r#""progression":"manual""#,
            r#"{"progression":"auto","approval":"auto","check_delay":"PT0.01S","approval_delay":"PT0.01S","#,
        ],
    ),
    (
        "docs/testing.md",
        "Simulations",
        &[
            r#""compliance_state":"disabled""#,
            r#""compliance_state":"enabled""#,
            r#""cancellation_reason":"cancelled_by_user""#,
        ],
    ),
    (
        "docs/testing.md",
        "Waiting",
        &[
            r#"{"resource":{"type":"concierge_requests","id":"1010"},"state":"draft"}"#,
            r#""event_type":"user_enabled""#,
        ],
    ),
    (
        "docs/testing.md",
        "Lost answers",
        &[
            r#"{"data":[{"id":"32323","#,
            r#""code":"create_repeated","title":"A create is repeated although the first may have been done""#,
            r#""detail":"Seen once: a create sent again, unchanged, within a minute of an answer that may be lost, or"#,
            "`POST /api/concierge_request_outputs` was repeated. `Idempotency-Key` has no effect here or, as far as is",
        ],
    ),
    (
        "docs/testing.md",
        "Timeline",
        &[
            r#"{"resource":{"type":"concierge_requests","id":"1010"},"state":"draft","since":""#,
            r#""action":"request_quote""#,
        ],
    ),
    ("docs/webhooks.md", "Receive events", &["/hook", r#""state":"draft""#]),
    (
        "docs/webhooks.md",
        "Verify the sender",
        &[
            "059911af0740ac63fd06688b02d86086add4bfcf48c346a1bd4ed5d6e8fea683",
            "BZkRrwdArGP9BmiLAthghq3Uv89Iw0ahvU7V1uj+poM=",
        ],
    ),
    (
        "docs/webhooks.md",
        "Inspect and redeliver",
        &[r#""event_type":"concierge_request_draft""#, r#""attempts":["#, r#""is_made_up":true"#],
    ),
];

/// Sections with commands for Docker. A script runs them: the tests have no Docker.
const DOCKER: &[(&str, &str)] = &[("README.md", "With Docker"), ("docs/configuration.md", "Docker")];
/// Sections with commands for cargo, which would build the program anew.
const CARGO: &[(&str, &str)] = &[("README.md", "With cargo")];

/// Delays that a reader has no time to notice.
const FAST: [&str; 6] = ["--approval-delay", "10ms", "--check-delay", "10ms", "--step-delay", "10ms"];

/// Declares a test for each page with sessions.
macro_rules! pages_with_sessions {
    ($($test:ident: $page:literal;)*) => {
        const PAGES: &[&str] = &[$($page),*];

        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            run_page($page).await;
        })*
    };
}

pages_with_sessions! {
    readme_sessions_work: "README.md";
    contract_sessions_work: "docs/contract.md";
    data_sessions_work: "docs/data.md";
    faults_sessions_work: "docs/faults.md";
    lists_sessions_work: "docs/lists.md";
    payouts_sessions_work: "docs/payouts.md";
    testing_sessions_work: "docs/testing.md";
    webhooks_sessions_work: "docs/webhooks.md";
}

/// Runs the sessions of a page in their order, on one server.
async fn run_page(page: &str) {
    let server = Program::serve(Some(&fresh_database().await), &FAST).await;
    for (_, heading, parts) in SESSIONS.iter().filter(|session| session.0 == page) {
        let shown = run(&server, page, heading).await;
        for part in *parts {
            assert!(shown.contains(part), "{page}, {heading}: {part} is not in {shown}");
        }
        let errors = shown.matches("\"errors\"").count();
        assert_eq!(errors, shown.matches("\"fault_injected\"").count(), "{page}, {heading}: {shown}");
    }
    server.stop().await;
}

/// Runs the `sh` blocks under a heading as one script, and returns their output.
async fn run(server: &Program, path: &str, heading: &str) -> String {
    let session = blocks(path, "sh").into_iter().filter(|(found, _)| found == heading).map(|(_, code)| code);
    let session: String = session.collect();
    assert!(!session.is_empty(), "{path} has no session under {heading:?}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let session = session.replace("http://127.0.0.1:8080", &server.base);
    let session = session.replace("http://127.0.0.1:3000", &format!("http://{free}"));
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &session]).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().expect("bash runs");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{path}, {heading}: {shown}{}", String::from_utf8_lossy(&output.stderr));
    shown
}

/// The blocks of a page with that info string: heading and code.
fn blocks(path: &str, info: &str) -> Vec<(String, String)> {
    let page = page(path);
    let blocks = page.blocks().into_iter().filter(|block| block.info == info);
    blocks.map(|block| (block.heading.to_owned(), block.code)).collect()
}

/// The sections of all pages with such blocks, each once.
fn sections(info: &str) -> Vec<(String, String)> {
    let of_page = |path: String| {
        let mut headings: Vec<String> = blocks(&path, info).into_iter().map(|(heading, _)| heading).collect();
        headings.dedup();
        headings.into_iter().map(move |heading| (path.clone(), heading))
    };
    pages().into_iter().flat_map(|page| of_page(page.path)).collect()
}

#[test]
fn every_block_of_commands_is_run() {
    let owned = |(page, heading): (&str, &str)| (page.to_owned(), heading.to_owned());
    let run: Vec<_> = SESSIONS.iter().map(|(page, heading, _)| owned((page, heading))).collect();
    assert_eq!(sections("sh"), run);
    let with_sessions: BTreeSet<&str> = SESSIONS.iter().map(|session| session.0).collect();
    assert_eq!(with_sessions, PAGES.iter().copied().collect());
    assert_eq!(sections("sh docker"), DOCKER.iter().copied().map(owned).collect::<Vec<_>>());
    assert_eq!(sections("sh cargo"), CARGO.iter().copied().map(owned).collect::<Vec<_>>());
}

#[test]
fn blocks_have_known_marks_and_docker_stands_apart() {
    for page in pages() {
        for block in page.blocks() {
            let is_known = ["sh", "sh docker", "sh cargo", "json", "mermaid", "text"].contains(&block.info);
            assert!(is_known, "{}, {}: {:?}", page.path, block.heading, block.info);
            let is_docker = DOCKER.contains(&(&page.path, block.heading));
            assert_eq!(block.info == "sh docker", is_docker, "{}, {}", page.path, block.heading);
        }
    }
}

#[test]
fn cargo_commands_have_flags_of_ours() {
    for (path, _) in CARGO {
        for (heading, code) in blocks(path, "sh cargo") {
            for line in code.lines() {
                let mut words = line.split('#').next().unwrap().split_whitespace();
                assert_eq!([words.next(), words.next()], [Some("cargo"), Some("run")], "{path}, {heading}: {line}");
                assert!(matches!(words.next(), None | Some("--")), "{path}, {heading}: {line}");
                let read = Cli::try_parse_from(std::iter::once("concierge-sandbox").chain(words));
                assert!(read.is_ok(), "{path}, {heading}: {line}: {read:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_isolated_test_receives_the_same_events_in_every_run() {
    let server = Program::serve(Some(&fresh_database().await), &[]).await;
    let first = run(&server, "docs/testing.md", "Isolated tests").await;
    let second = run(&server, "docs/testing.md", "Isolated tests").await;
    // different resources don't wait for each other
    let sorted = |shown: &str| shown.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(sorted(&first), sorted(&second));
    for line in [
        "request 1010 is finished",
        "request 1011 was cancelled: payment_not_received",
        "2019-11-25T12:53:06.741Z concierge_request_output_failed",
        "2019-11-25T12:53:09.741Z concierge_request_output_settled",
        "2019-11-26T01:03:09.741Z concierge_request_cancelled",
    ] {
        assert!(first.lines().any(|shown| shown == line), "{line} is not in {first}");
    }
    assert_eq!(first.lines().count(), 24, "{first}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_and_seeded_requests_are_drafts() {
    let server = Program::serve(Some(&fresh_database().await), &[]).await;
    run(&server, "docs/data.md", "Seeds").await;
    run(&server, "docs/data.md", "Snapshots").await;
    let drafts = server.get("/api/concierge_requests?filter%5Bstate%5D=draft").await;
    assert_eq!(drafts["meta"]["total"], 2, "the cancelled one is a draft again, beside the seeded one: {drafts}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_start_over_after_the_reset() {
    let server = Program::serve(Some(&fresh_database().await), &[]).await;
    for _ in 0..2 {
        assert_eq!(server.create_output().await, "32323");
        run(&server, "docs/data.md", "Reset").await;
    }
    server.stop().await;
}
