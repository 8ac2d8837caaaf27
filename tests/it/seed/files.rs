//! Servers started with a seed file: `--seed`.

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::payroll;
use crate::support::{count, empty_database};

/// Writes a document to a temporary file.
fn file(document: &Value) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), document.to_string()).unwrap();
    file
}

#[tokio::test]
async fn seed_file_fills_a_new_default_account_only() {
    empty_database(async |database| {
        let seed = file(&payroll());
        let arguments = ["--seed", seed.path().to_str().unwrap()];
        let server = database.program(&arguments).await;
        assert_eq!(server.get("/api/users/100").await["data"]["attributes"]["name"], "Ana");
        assert_eq!(server.create_output().await, "40005");
        server.stop().await;
        // an existing account ignores the file
        let other = file(&json!({"data": [{"type": "nothing"}]}));
        let arguments = ["--seed", other.path().to_str().unwrap()];
        let server = database.program(&arguments).await;
        assert_eq!(server.get("/api/users/100").await["data"]["attributes"]["name"], "Ana");
        server.stop().await;
        assert_eq!(count(database, "select count(*) from accounts where id > 0").await, 1);
    })
    .await;
}

#[tokio::test]
async fn faulty_seed_file_stops_the_start_until_corrected() {
    empty_database(async |database| {
        let mut document = payroll();
        document["data"][4]["relationships"]["user"]["data"]["id"] = json!(999);
        document["data"][6]["attributes"]["port_code"] = json!("xx");
        let seed = file(&document);
        let path = seed.path().to_str().unwrap();
        let ended = database.starting(&["--seed", path]).ended().await;
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let message = ended.stderr.last().unwrap();
        for part in [
            path,
            "/data/4/relationships/user/data/id: `user` has the id \"999\"; none of the users",
            "/data/6/attributes/port_code: `port_code` is \"xx\"",
        ] {
            assert!(message.contains(part), "{part} isn't in {message}");
        }
        assert_eq!(count(database, "select count(*) from accounts where id > 0").await, 0);
        for (text, part) in [("{", "line 1, column"), ("[]", "must be an object with a member `data`")] {
            std::fs::write(seed.path(), text).unwrap();
            let ended = database.starting(&["--seed", path]).ended().await;
            assert!(ended.stderr.last().unwrap().contains(part), "{ended:?}");
        }
        std::fs::write(seed.path(), payroll().to_string()).unwrap();
        let servers = [0; 3].map(|_| database.starting(&["--seed", path]));
        for mut server in servers {
            server.ready().await;
            assert_eq!(server.get("/api/users/100").await["data"]["attributes"]["name"], "Ana");
            server.stop().await;
        }
        let ended = database.starting(&["--seed", "/nowhere.json"]).ended().await;
        assert!(ended.stderr.last().unwrap().contains("--seed"), "{ended:?}");
    })
    .await;
}
