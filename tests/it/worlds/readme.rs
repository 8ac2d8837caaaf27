//! What the README says of accounts works word for word on a fresh server.

use std::process::{Command, Stdio};

use crate::support::{Program, fresh_database};

const README: &str = include_str!("../../../README.md");

/// What the session under a heading prints.
async fn session(server: &Program, heading: &str) -> String {
    let session = README.split(&format!("\n{heading}\n")).nth(1).unwrap();
    let session = session.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let mut shell = Command::new("bash");
    let session = session.replace("http://127.0.0.1:8080", &server.base);
    shell.args(["-euo", "pipefail", "-c", &session]).stdin(Stdio::null());
    let said = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().expect("bash runs");
    let shown = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success(), "{shown}{}", String::from_utf8_lossy(&said.stderr));
    shown
}

#[tokio::test]
async fn its_sessions_do_what_it_says() {
    let server = Program::serve(Some(&fresh_database().await), &[]).await;
    for (heading, parts) in [
        ("## Accounts", &[r#""key":"job-17""#, r#""clock":{"now":"2019-11-25T12:53:02.741Z","frozen":true}"#][..]),
        ("### Clock", &[r#""frozen":true"#, r#""happened":["#, r#""frozen":false,"ahead_seconds":172"#]),
        (
            "### Pace",
            &[
                r#""approval":"manual","check_delay":"PT0S""#,
                r#""step_delay":"PT0.25S""#,
                r#""progression":"manual""#,
                r#"{"progression":"auto","approval":"auto","check_delay":"PT1S","approval_delay":"PT1S","#,
            ],
        ),
        ("### Reset", &[]),
    ] {
        let shown = session(&server, heading).await;
        for part in parts {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }
    server.create_output().await;
    session(&server, "### Reset").await;
    assert_eq!(server.create_output().await, "32323");
    server.stop().await;
}
