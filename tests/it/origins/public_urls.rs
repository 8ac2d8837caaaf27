//! `public_url` among an account's settings.

use serde_json::{Value, json};

use super::{SETTINGS, get, origin, origin_of};
use crate::support::{Account, account, sandbox, sandbox_with, send};

async fn set(account: &Account, url: Value) -> Value {
    account.patch(SETTINGS, &json!({ "public_url": url })).await.expect(200)["public_url"].clone()
}

#[tokio::test]
async fn public_url_of_an_account_leads_its_links() {
    account(async |s| {
        let (account, other) = (s.account(json!({})).await, s.account(json!({})).await);
        assert_eq!(account.get(SETTINGS).await.expect(200)["public_url"], Value::Null);
        for (url, kept) in [
            ("https://sandbox.example.com", "https://sandbox.example.com"),
            ("http://127.0.0.1:49153/", "http://127.0.0.1:49153"),
            ("HTTPS://Sandbox.Example.COM:443/a/b/", "https://sandbox.example.com/a/b"),
            ("http://[::1]:8080/a%20b", "http://[::1]:8080/a%20b"),
            ("http://exämple.test/é", "http://xn--exmple-cua.test/%C3%A9"),
        ] {
            assert_eq!(set(&account, json!(url)).await, kept);
            assert_eq!(account.get(SETTINGS).await.expect(200)["public_url"], kept);
            assert_eq!(origin(&account, &[("Host", "called.test")]).await, kept);
            // the other settings leave it
            account.patch(SETTINGS, &json!({"check_delay": "1s"})).await.expect(200);
            let ports = account.get("/api/concierge_ports").await.expect(200);
            assert_eq!(origin_of(&ports["links"]["self"], "/api/"), kept);
        }
        assert_eq!(origin(&other, &[("Host", "called.test")]).await, "http://called.test");
        let open =
            send(s.client.get(s.url("/api/concierge_ports")).header("Authorization", "unknown")).await.expect(200);
        assert_eq!(origin_of(&open["links"]["self"], "/api/"), s.url(""));
        assert_eq!(set(&account, Value::Null).await, Value::Null);
        assert_eq!(origin(&account, &[("Host", "called.test")]).await, "http://called.test");
    })
    .await;
}

#[tokio::test]
async fn public_url_that_is_no_origin_is_422() {
    account(async |s| {
        let account = s.account(json!({})).await;
        set(&account, json!("https://kept.test")).await;
        for url in [
            json!(""),
            json!("sandbox.example.com"),
            json!("localhost:8080"),
            json!("/a"),
            json!("//a.test"),
            json!("http:/a.test"),
            json!("http:a.test"),
            json!("http://"),
            json!("http:///a"),
            json!("ftp://a.test"),
            json!("javascript:alert(1)"),
            json!("https://a.test?b=c"),
            json!("https://a.test/?"),
            json!("https://a.test/#b"),
            json!("https://user@a.test"),
            json!("https://user:secret@a.test"),
            json!("https://a b.test"),
            json!(" https://a.test"),
            json!("https://a.test\n"),
            json!("https://a.test\\b"),
            json!("https://a.test:0"),
            json!("https://a.test:65536"),
            json!("https://a.test, https://b.test"),
            json!("*"),
            json!(5),
            json!(["https://a.test"]),
            json!(format!("https://a.test/{}", "a".repeat(2040))),
        ] {
            let answer = account.patch(SETTINGS, &json!({"public_url": url, "check_delay": "9s"})).await;
            let detail = answer.body["errors"][0]["detail"].as_str().unwrap().to_owned();
            assert!(detail.starts_with("`public_url` "), "{detail}");
            answer.assert_error(422, "attribute_invalid", "/public_url");
        }
        let settings = account.get(SETTINGS).await.expect(200);
        assert_eq!((&settings["public_url"], &settings["check_delay"]), (&json!("https://kept.test"), &json!("PT1S")));
    })
    .await;
}

#[tokio::test]
async fn account_wins_over_the_server() {
    sandbox_with(
        |config| config.public_url = Some("https://server.test".into()),
        async |s| {
            let account = s.account(json!({})).await;
            assert_eq!(account.get(SETTINGS).await.expect(200)["public_url"], "https://server.test");
            assert_eq!(origin(&account, &[("Host", "called.test")]).await, "https://server.test");
            assert_eq!(set(&account, json!("https://own.test")).await, "https://own.test");
            assert_eq!(origin(&account, &[]).await, "https://own.test");
            assert_eq!(set(&account, Value::Null).await, "https://server.test");
            assert_eq!(origin(&account, &[]).await, "https://server.test");
        },
    )
    .await;
}

#[tokio::test]
async fn reset_clears_and_snapshot_keeps_the_public_url() {
    sandbox(async |s| {
        let account = s.account(json!({})).await;
        set(&account, json!("https://own.test")).await;
        account.post("/_sandbox/snapshots", &json!({"name": "a"})).await.expect(201);
        account.post("/_sandbox/reset", &json!({})).await.expect(204);
        assert_eq!(account.get(SETTINGS).await.expect(200)["public_url"], Value::Null);
        account.post("/_sandbox/snapshots/a/restore", &json!({})).await.expect(204);
        assert_eq!(account.get(SETTINGS).await.expect(200)["public_url"], "https://own.test");
        let page = get(&account, "/api/users", &[]).await.expect(200);
        assert_eq!(origin_of(&page["links"]["self"], "/api/"), "https://own.test");
    })
    .await;
}
