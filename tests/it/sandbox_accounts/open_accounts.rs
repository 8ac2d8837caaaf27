//! Access to accounts: `--accounts open` and `--admin-token`.

use std::num::NonZeroU32;

use concierge_sandbox::config::{AccountPolicy, Config};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{ACCOUNTS, OUTPUTS};
use crate::support::{Account, documented_output, sandbox_with, send};

const COUNT: &str = "select count(*) from accounts where ended_at is null";

fn allow_open(config: &mut Config) {
    config.accounts = AccountPolicy::Open;
}

#[tokio::test]
async fn open_policy_creates_an_account_for_every_unknown_key() {
    sandbox_with(allow_open, async |s| {
        let posted = Account::of(&s.url(""), "ci-job-1");
        assert_eq!(posted.create_output().await, "32323", "the account works at once");
        let read = Account::of(&s.url(""), "ci-job-2");
        assert_eq!(read.get("/api/users/me").await.expect(200)["data"]["id"], "50505");
        assert_eq!(read.get(OUTPUTS).await.expect(200)["data"], json!([]), "a second key has a second account");
        let acting = Account::of(&s.url(""), "ci-job-3; user=20202");
        assert_eq!(acting.get("/api/users/me").await.expect(200)["data"]["id"], "20202");
        let same = Account::of(&s.url(""), "ci-job-3");
        let names = [acting.get("/_sandbox/accounts/me").await, same.get("/_sandbox/accounts/me").await];
        assert_eq!(names[0].body["id"], names[1].body["id"]);
        // existing accounts keep their keys and levels
        assert_eq!(s.get("/_sandbox/accounts/me").await.expect(200)["id"], "default");
        let read_only = Account::of(&s.url(""), "your_read_only_api_key");
        read_only.post(OUTPUTS, &documented_output()).await.assert_error(
            401,
            "not_enough_permissions",
            "Authorization",
        );
        // a scheme or an empty value is no key
        let before = s.count(COUNT).await;
        for key in ["Bearer x", "Basic eDp5", "", " ", "; user=1"] {
            let request = s.client.get(s.url("/api/users")).header("Authorization", key);
            send(request).await.assert_error(401, "invalid_api_key", "Authorization");
        }
        assert_eq!(send(s.client.get(s.url("/api/users"))).await.status, 401);
        assert_eq!(s.count(COUNT).await, before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_first_calls_with_one_key_create_one_account() {
    sandbox_with(allow_open, async |s| {
        let before = s.count(COUNT).await;
        for key in ["one", "two", "three"] {
            let calls = join_all((0..30).map(|number| {
                let account = Account::of(&s.url(""), key);
                async move {
                    if number % 3 == 0 {
                        account.get("/api/users/me").await.expect(200);
                        return None;
                    }
                    let made = account.post(OUTPUTS, &documented_output()).await.expect(201);
                    made["data"]["id"].as_str().unwrap().parse::<i64>().ok()
                }
            }));
            let mut ids: Vec<i64> = calls.await.into_iter().flatten().collect();
            ids.sort_unstable();
            assert_eq!(ids, (32323..32323 + 20).collect::<Vec<_>>());
        }
        assert_eq!(s.count(COUNT).await, before + 3);
    })
    .await;
}

#[tokio::test]
async fn deleted_open_account_is_created_again_on_the_next_call() {
    sandbox_with(allow_open, async |s| {
        let account = Account::of(&s.url(""), "ci-job-1");
        for _ in 0..3 {
            assert_eq!(account.create_output().await, "32323");
            account.delete("/_sandbox/accounts/me").await.expect(204);
        }
        account.create_output().await;
        account.post(super::RESET, &json!({})).await.expect(204);
        assert_eq!(account.create_output().await, "32323");
    })
    .await;
}

#[tokio::test]
async fn admin_token_is_required_to_manage_accounts() {
    sandbox_with(
        |config| {
            config.admin_token = Some("let me in".into());
            config.accounts = AccountPolicy::Open;
        },
        async |s| {
            let before = s.count(COUNT).await;
            let call = |method: Method, path: &str, token: Option<&str>| {
                let mut request = s.client.request(method, s.url(path));
                if let Some(token) = token {
                    request = request.header("Authorization", token);
                }
                send(request.header("Content-Type", "application/json").body("{}"))
            };
            for token in [None, Some("let me"), Some("your_api_key"), Some("Bearer let me in"), Some("")] {
                call(Method::POST, ACCOUNTS, token).await.assert_error(401, "invalid_admin_token", "Authorization");
                for (method, path) in [
                    (Method::GET, ACCOUNTS),
                    (Method::GET, "/_sandbox/accounts/default"),
                    (Method::DELETE, "/_sandbox/accounts/default"),
                    (Method::DELETE, "/_sandbox/accounts/nobody"),
                ] {
                    if token != Some("your_api_key") {
                        call(method, path, token).await.assert_error(401, "invalid_api_key", "Authorization");
                    }
                }
            }
            let made = call(Method::POST, ACCOUNTS, Some("let me in")).await.expect(201);
            let path = format!("{ACCOUNTS}/{}", made["id"].as_str().unwrap());
            assert_eq!(
                call(Method::GET, ACCOUNTS, Some("let me in")).await.expect(200)["data"].as_array().unwrap().len(),
                2
            );
            call(Method::GET, &path, Some("let me in")).await.expect(200);
            // an account's own key suffices for calls on this account
            let account = Account::of(&s.url(""), made["key"].as_str().unwrap());
            assert_eq!(account.get("/_sandbox/accounts/me").await.expect(200)["id"], made["id"]);
            account.post(super::RESET, &json!({})).await.expect(204);
            assert_eq!(account.get(&path).await.expect(200)["id"], made["id"]);
            account.get("/_sandbox/accounts/default").await.assert_error(404, "resource_not_found", "");
            call(Method::DELETE, &path, Some("let me in")).await.expect(204);
            call(Method::GET, &path, Some("let me in")).await.assert_error(404, "resource_not_found", "");
            // the token isn't a key
            call(Method::GET, "/_sandbox/accounts/me", Some("let me in")).await.assert_error(
                401,
                "invalid_api_key",
                "Authorization",
            );
            assert_eq!(s.count(COUNT).await, before);
        },
    )
    .await;
}

#[tokio::test]
async fn account_management_calls_create_no_account_for_their_key() {
    for (admin_token, refused) in [(Some("admin"), true), (None, false)] {
        let admin_token = admin_token.map(str::to_owned);
        sandbox_with(
            |config| (config.accounts, config.admin_token) = (AccountPolicy::Open, admin_token),
            async |s| {
                let before = s.count(COUNT).await;
                let guess = Account::of(&s.url(""), "guess");
                let status = |status: u16| if refused { 401 } else { status };
                guess.get(ACCOUNTS).await.expect(401);
                guess.get(&format!("{ACCOUNTS}/?page=1")).await.expect(401);
                guess.get(&format!("{ACCOUNTS}/nobody")).await.expect(401);
                guess.delete(&format!("{ACCOUNTS}/nobody")).await.expect(401);
                assert_eq!(s.count(COUNT).await, before);
                // an account can be created for the caller's own key
                guess.post(ACCOUNTS, &json!({"key": "guess"})).await.expect(status(201));
                guess.get(&format!("{ACCOUNTS}/me")).await.expect(200);
                assert_eq!(s.count(COUNT).await, before + 1);
            },
        )
        .await;
    }
}

#[tokio::test]
async fn accounts_are_limited_in_number_and_rate() {
    sandbox_with(
        |config| (config.accounts, config.max_accounts) = (AccountPolicy::Open, 3),
        async |s| {
            let made = s.account(json!({})).await;
            Account::of(&s.url(""), "open").get("/api/users/me").await.expect(200);
            let before = s.count(COUNT).await;
            let refused = s.post(ACCOUNTS, &json!({})).await;
            refused.assert_error(409, "too_many_accounts", "");
            assert!(refused.text.contains("3 accounts, as many as --max-accounts allows"), "{refused:?}");
            for path in ["/api/users/me", "/_sandbox/clock"] {
                let stranger = Account::of(&s.url(""), "another");
                stranger.get(path).await.assert_error(409, "too_many_accounts", "");
            }
            assert_eq!(s.count(COUNT).await, before);
            // existing ones are as before, and a place becomes free
            made.post(super::RESET, &json!({})).await.expect(204);
            made.delete("/_sandbox/accounts/me").await.expect(204);
            Account::of(&s.url(""), "another").get("/api/users/me").await.expect(200);
        },
    )
    .await;
    sandbox_with(
        |config| (config.accounts, config.account_rate) = (AccountPolicy::Open, NonZeroU32::MIN),
        async |s| {
            s.post(ACCOUNTS, &json!({})).await.expect(201);
            let refused = s.post(ACCOUNTS, &json!({})).await;
            refused.assert_error(429, "rate_limited", "");
            assert_eq!(refused.headers["retry-after"], "1");
            assert!(refused.text.contains("--account-rate"), "{refused:?}");
            let stranger = Account::of(&s.url(""), "another");
            stranger.get("/api/users/me").await.assert_error(429, "rate_limited", "");
            s.get("/api/users/me").await.expect(200);
        },
    )
    .await;
}

#[tokio::test]
async fn admin_token_is_never_a_key() {
    sandbox_with(
        |config| {
            config.admin_token = Some("admin".into());
            config.accounts = AccountPolicy::Open;
        },
        async |s| {
            let before = s.count(COUNT).await;
            let admin = Account::of(&s.url(""), "admin");
            admin.get(ACCOUNTS).await.expect(200);
            admin.get("/api/users/me").await.assert_error(401, "invalid_api_key", "Authorization");
            admin.post(ACCOUNTS, &json!({"key": "admin"})).await.assert_error(409, "key_taken", "");
            assert_eq!(s.count(COUNT).await, before);
        },
    )
    .await;
}
