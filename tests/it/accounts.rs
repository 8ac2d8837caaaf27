//! Keys: authentication, read-only access, acting users, rate limits.

use reqwest::Method;
use serde_json::json;

use crate::support::{documented_output, sandbox, sandbox_with, send};

const OUTPUTS: &str = "/api/concierge_request_outputs";

#[tokio::test]
async fn missing_or_unknown_key_gets_401() {
    sandbox(async |s| {
        for path in
            ["/api/users", "/api/users/me", "/api/withdrawal_instructions/2121", "/api/concierge_requests", OUTPUTS]
        {
            let request = s.client.get(s.url(path));
            send(request).await.assert_error(401, "invalid_api_key", "Authorization");
            for key in ["nope", "Bearer your_api_key", "", "your_api_key; admin=1", "your_api_key; user"] {
                let request = s.client.get(s.url(path)).header("Authorization", key);
                let answer = send(request).await;
                answer.assert_error(401, "invalid_api_key", "Authorization");
                assert_eq!(answer.body["errors"][0]["title"], "Invalid Api Key");
            }
        }
        // without a valid key, no other fault is reported
        for (path, body) in [(OUTPUTS, "{"), ("/api/users?include=x", "{}"), (OUTPUTS, "{\"data\":{}}")] {
            let request = s.client.post(s.url(path)).header("Authorization", "nope");
            let answer = send(request.header("Content-Type", "application/json").body(body)).await;
            answer.assert_error(401, "invalid_api_key", "Authorization");
        }
    })
    .await;
}

#[tokio::test]
async fn read_only_key_can_read_but_not_write() {
    sandbox(async |s| {
        let with_key = |method: Method, path: &str| {
            let request = s.client.request(method, s.url(path)).header("Authorization", "your_read_only_api_key");
            request.header("Content-Type", "application/json")
        };
        for path in
            ["/api/users", "/api/users/me", "/api/withdrawal_instructions/2121", "/api/concierge_requests", OUTPUTS]
        {
            assert_eq!(send(with_key(Method::GET, path)).await.status, 200);
        }
        let user = json!({"data": {"type": "users", "id": "20202"}});
        for (method, path, body) in [
            (Method::POST, OUTPUTS, documented_output()),
            (Method::POST, OUTPUTS, json!({})),
            (Method::POST, "/api/users", json!({"data": {"type": "users"}})),
            (Method::PATCH, "/api/users/20202", user.clone()),
            (Method::PATCH, "/api/users/me", user),
            (Method::POST, "/api/concierge_requests", json!({"data": {"type": "concierge_requests"}})),
            (Method::DELETE, "/api/withdrawal_instructions/2121", json!({})),
        ] {
            let answer = send(with_key(method, path).body(body.to_string())).await;
            answer.assert_error(401, "not_enough_permissions", "Authorization");
            assert_eq!(answer.body["errors"][0]["title"], "Not enough permissions");
        }
        assert_eq!(s.count("select count(*) from concierge_request_outputs").await, 0);
    })
    .await;
}

#[tokio::test]
async fn key_can_act_as_a_managed_user() {
    sandbox(async |s| {
        let acting = |user: &str, path: &str| {
            let request = s.client.get(s.url(path));
            request.header("Authorization", format!("your_api_key; user={user}"))
        };
        assert_eq!(s.get("/api/users/me").await.expect(200)["data"]["id"], "50505");
        assert_eq!(send(acting("20202", "/api/users/me")).await.expect(200)["data"]["id"], "20202");
        for user in ["777", "abc", "", "-1"] {
            send(acting(user, "/api/users/me")).await.assert_error(401, "acting_user_unknown", "Authorization");
        }
        // a resource without a named user belongs to the acting user
        let instruction = json!({"data": {"type": "withdrawal_instructions", "attributes": {"body": {}}}});
        let request = s.client.post(s.url("/api/withdrawal_instructions"));
        let request =
            request.header("Authorization", "your_api_key;user=20202").header("Content-Type", "application/json");
        let made = send(request.body(instruction.to_string())).await.expect(201);
        assert_eq!(made["data"]["relationships"]["user"]["data"]["id"], "20202");
    })
    .await;
}

#[tokio::test]
async fn database_stores_only_hashes_of_keys() {
    sandbox(async |s| {
        s.create_output().await;
        let keys =
            "select count(*) from api_keys where key_sha256 = sha256('your_api_key') and length(key_sha256) = 32";
        assert_eq!(s.count(keys).await, 1);
        // what events show, and what receipts derive from, are two things
        let secrets = "select count(*) from api_keys where length(receipt_secret) = 32
            and receipt_secret not in (key_sha256, sha256(key_sha256), convert_to('your_api_key', 'UTF8'))";
        assert_eq!(s.count(secrets).await, 2);
        let columns = "select count(*) from information_schema.columns where table_name = 'api_keys'";
        assert_eq!(s.count(columns).await, 6, "a new column of api_keys must not reveal the key");
    })
    .await;
}

#[tokio::test]
async fn rate_limit_answers_429_with_retry_after() {
    sandbox_with(
        |config| config.rate_limit = Some(5),
        async |s| {
            let mut refused = 0;
            for _ in 0..50 {
                let answer = s.get("/api/users/me").await;
                if answer.status == 429 {
                    answer.assert_error(429, "rate_limited", "");
                    assert_eq!(answer.headers["retry-after"], "1");
                    refused += 1;
                }
            }
            assert!(refused > 0);
            // each key has its own limit
            let other = s.client.get(s.url("/api/users/me")).header("Authorization", "your_read_only_api_key");
            assert_eq!(send(other).await.status, 200);
        },
    )
    .await;
}
