//! The README says what is.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use concierge_sandbox::concierge::outputs::scenario::{TEST_VALUES, TestValue};
use concierge_sandbox::concierge::{outputs, requests};
use concierge_sandbox::config::Cli;
use concierge_sandbox::jsonapi::error::Code;
use concierge_sandbox::sandbox::advice::AdviceKind;
use concierge_sandbox::{accounts, concierge, jsonapi, sandbox};

use crate::support::{Program, fresh_database};

const README: &str = include_str!("../../README.md");

#[test]
fn it_lists_every_error_code() {
    let rooms = [jsonapi::error::CODES, accounts::caller::CODES];
    let codes = rooms.into_iter().chain(concierge::CODES).chain(sandbox::CODES).flatten();
    let row = |code: &Code| format!("| {} | `{}` | {} |", code.status, code.name, code.title);
    let expected: BTreeSet<String> = codes.map(row).collect();
    let errors = README.split("## Errors").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: BTreeSet<String> = errors.lines().filter(|line| line.contains("| `")).map(str::to_owned).collect();
    assert_eq!(listed, expected);
}

#[test]
fn it_lists_every_setting() {
    let command = Cli::command();
    let settings = command.get_arguments().filter(|setting| setting.get_env().is_some());
    let row = |setting: &clap::Arg| {
        let env = setting.get_env().unwrap().to_string_lossy().into_owned();
        let default = setting.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        (format!("--{}", setting.get_long().unwrap()), env, default)
    };
    let expected: BTreeSet<_> = settings.map(row).collect();
    let rows = README.split("## Settings").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: BTreeSet<_> = rows
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let default = cells[3].strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).map(str::to_owned);
            (cells[1].trim_matches('`').to_owned(), cells[2].trim_matches('`').to_owned(), default)
        })
        .collect();
    assert_eq!(listed, expected);
}

#[test]
fn it_lists_every_test_value() {
    let row = |value: &TestValue| {
        let TestValue { bank_account_number, email, what, .. } = value;
        let (name, label) = (value.name.replace('|', "\\|"), value.label.replace('|', "\\|"));
        format!("| `{name}` | `{label}` | `{bank_account_number}` | `{email}@` | {what} |")
    };
    let expected: Vec<String> = TEST_VALUES.iter().map(row).collect();
    let table = README.split("### Test values").nth(1).unwrap().split("\n#").next().unwrap();
    let listed: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(listed, expected);
}

#[test]
fn it_lists_every_piece_of_advice() {
    let expected = AdviceKind::ALL.map(|kind| format!("| `{}` | {} |", kind.code(), kind.title()));
    let table = README.split("## Advice").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(listed, expected);
}

#[test]
fn it_draws_the_state_machines_as_they_are() {
    for machine in [requests::state::MACHINE.mermaid(), outputs::state::MACHINE.mermaid()] {
        assert!(README.contains(&format!("```mermaid\n{machine}```\n")), "{machine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_session_takes_a_new_payee_to_money_received() {
    let pace = ["--approval-delay", "10ms", "--check-delay", "10ms", "--step-delay", "10ms"];
    let server = Program::serve(Some(&fresh_database().await), &pace).await;
    let shown = run(&server, "## A payout").await;
    for state in ["quote_requested", "quote_accepted", "settled", "finished"] {
        assert!(shown.contains(&format!("\"state\":\"{state}\"")), "{state} is not in {shown}");
    }
    assert!(shown.contains("/receipts/"), "{shown}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_timeline_can_be_asked_for() {
    let server = Program::serve(Some(&fresh_database().await), &[]).await;
    let shown = run(&server, "## Timeline").await;
    let draft = r#"{"resource":{"type":"concierge_requests","id":"1010"},"state":"draft","since":""#;
    assert!(shown.starts_with(draft) && shown.contains(r#""action":"request_quote""#), "{shown}");
    server.stop().await;
}

#[tokio::test]
async fn its_commands_make_faults_and_look_at_requests_and_advice() {
    let server = Program::serve(Some(&fresh_database().await), &[]).await;
    for (heading, expected) in [
        ("## Faults", &["\"latency\":\"250ms\",\"hits\":1", "\"fault_injected\""][..]),
        ("## Request log", &["\"path\":\"/api/users/me\"", "\"authorization\":\"[redacted]\""]),
        ("## Advice", &["\"advice\":["]),
    ] {
        let shown = run(&server, heading).await;
        for part in expected {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
        let errors = shown.matches("\"errors\"").count();
        assert_eq!(errors, shown.matches("\"fault_injected\"").count(), "{shown}");
    }
    server.stop().await;
}

/// Runs the first session under a heading, and returns what it printed.
pub async fn run(server: &Program, heading: &str) -> String {
    let session = README.split(&format!("\n{heading}\n")).nth(1).unwrap();
    let session = session.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let session = session.replace("http://127.0.0.1:8080", &server.base);
    let session = session.replace("http://127.0.0.1:3000", &format!("http://{free}"));
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &session]).stdin(Stdio::null());
    let said = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().expect("bash runs");
    let shown = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success(), "{shown}{}", String::from_utf8_lossy(&said.stderr));
    shown
}

#[tokio::test]
async fn its_test_that_owns_its_world_runs_twice_alike() {
    let server = Program::serve(Some(&fresh_database().await), &[]).await;
    let first = run(&server, "## A test that owns its world").await;
    let second = run(&server, "## A test that owns its world").await;
    // different resources don't wait for each other
    let sorted = |said: &str| said.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(sorted(&first), sorted(&second));
    for line in [
        "request 1010 is finished",
        "request 1011 was cancelled: payment_not_received",
        "2019-11-25T12:53:06.741Z concierge_request_output_failed",
        "2019-11-25T12:53:09.741Z concierge_request_output_settled",
        "2019-11-26T01:03:09.741Z concierge_request_cancelled",
    ] {
        assert!(first.lines().any(|said| said == line), "{line} is not in {first}");
    }
    assert_eq!(first.lines().count(), 24, "{first}");
    server.stop().await;
}

#[tokio::test]
async fn its_simulations_and_waits_work_in_its_order() {
    let server = Program::serve(Some(&fresh_database().await), &[]).await;
    run(&server, "## The exchange").await;
    let simulated = run(&server, "### What a test can have happen").await;
    for part in [
        r#""compliance_state":"disabled""#,
        r#""compliance_state":"enabled""#,
        r#""cancellation_reason":"cancelled_by_user""#,
    ] {
        assert!(simulated.contains(part), "{part} is not in {simulated}");
    }
    let waited = run(&server, "### Waiting").await;
    let draft = r#"{"resource":{"type":"concierge_requests","id":"1010"},"state":"draft"}"#;
    let accepted = r#""event_type":"concierge_request_output_accepted""#;
    assert!(waited.starts_with(draft) && waited.contains(accepted), "{waited}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_seed_and_its_snapshots_work() {
    let server = Program::serve(Some(&fresh_database().await), &[]).await;
    for (section, shown_first) in
        [("## Seeds", r#"{"seeded":{"users":1,"#), ("## Snapshots", r#"{"name":"before-quote","#)]
    {
        let shown = run(&server, section).await;
        assert!(shown.starts_with(shown_first) && !shown.contains("\"errors\""), "{shown}");
    }
    let drafts = server.get("/api/concierge_requests?filter%5Bstate%5D=draft").await;
    assert_eq!(drafts["meta"]["total"], 2, "what was cancelled is a draft again, as what was seeded: {drafts}");
    server.stop().await;
}
