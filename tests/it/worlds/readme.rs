//! What the README says of accounts works word for word on a fresh server.

use crate::readme::run;
use crate::support::{Program, fresh_database};

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
        let shown = run(&server, heading).await;
        for part in parts {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }
    server.create_output().await;
    run(&server, "### Reset").await;
    assert_eq!(server.create_output().await, "32323");
    server.stop().await;
}
