//! Creation of accounts.

use serde_json::{Value, json};

use super::{ACCOUNTS, OUTPUTS};
use crate::support::{Account, account, documented_output, sandbox, send};

#[tokio::test]
async fn new_account_shares_nothing_with_other_accounts() {
    account(async |s| {
        s.create_output().await;
        let accounts = [s.account(json!({})).await, s.account(json!({})).await];
        for account in &accounts {
            assert_eq!(account.get("/api/users/me").await.expect(200)["data"]["id"], "50505");
            for path in ["/api/users/20202", "/api/withdrawal_instructions/2121", "/api/concierge_requests/1010"] {
                account.get(path).await.expect(200);
            }
            assert_eq!(account.get(OUTPUTS).await.expect(200)["data"], json!([]));
            assert_eq!(account.create_output().await, "32323");
            assert_eq!(account.events().await.len(), 1, "event ids of each account start at 1");
            assert_eq!(account.attribute("/api/cash_wallets/ars", "balance").await, 1_000_000);
        }
        // no account sees rows of another one
        let user = accounts[0].create("/api/users", &json!({"data": {"type": "users"}})).await;
        assert_eq!(user, "50506");
        assert_eq!(accounts[1].get("/api/users/50506").await.status, 404);
        assert_eq!(s.get("/api/users/50506").await.status, 404);
        assert_eq!(accounts[1].get(OUTPUTS).await.expect(200)["data"].as_array().unwrap().len(), 1);
        // one key writes, one reads
        let read_only = Account::of(&s.url(""), &accounts[0].read_only_key);
        assert_eq!(read_only.get("/api/users/50506").await.status, 200);
        read_only.post(OUTPUTS, &documented_output()).await.assert_error(
            401,
            "not_enough_permissions",
            "Authorization",
        );
    })
    .await;
}

#[tokio::test]
async fn accounts_are_shown_and_listed_without_keys() {
    sandbox(async |s| {
        let made = s.post(ACCOUNTS, &json!({"clock": {"now": "2030-01-01T00:00:00Z"}})).await;
        let location = made.headers["location"].to_str().unwrap().to_owned();
        let mut made = made.expect(201);
        assert_eq!(location, s.url(&format!("{ACCOUNTS}/{}", made["id"].as_str().unwrap())));
        let (key, read_only_key) = (made["key"].clone(), made["read_only_key"].clone());
        assert_ne!(key, read_only_key);
        assert!(key.as_str().unwrap().len() >= 32, "long enough against guesses: {key}");
        assert_eq!(made["clock"], json!({"now": "2030-01-01T00:00:00.000Z", "frozen": true}));
        assert_eq!(made["progression"], "auto");
        for name in ["key", "read_only_key"] {
            made.as_object_mut().unwrap().remove(name);
        }
        // by name, as `me` and in the list, with each of its keys
        for key in [key, read_only_key] {
            let account = Account::of(&s.url(""), key.as_str().unwrap());
            assert_eq!(account.get("/_sandbox/accounts/me").await.expect(200), made);
            assert_eq!(account.get(&location).await.expect(200), made);
            let listed = account.get(ACCOUNTS).await.expect(200);
            assert_eq!((&listed["data"], &listed["meta"]["total"]), (&json!([made]), &json!(1)));
            let beyond = account.get(&format!("{ACCOUNTS}?page[number]=2")).await.expect(200);
            assert_eq!((&beyond["data"], &beyond["links"]["next"]), (&json!([]), &Value::Null));
        }
        assert_eq!(s.get("/_sandbox/accounts/me").await.expect(200)["id"], "default");
        // that of somebody else is as one that nobody has
        s.get(&location).await.assert_error(404, "resource_not_found", "");
        s.get("/_sandbox/accounts/nobody").await.assert_error(404, "resource_not_found", "");
        s.get("/_sandbox/accounts?x=1").await.assert_error(400, "parameter_unknown", "x");
        for path in [ACCOUNTS, "/_sandbox/accounts/me", "/_sandbox/accounts/default", &location] {
            let stranger = s.client.get(s.url(path)).header("Authorization", "nobody's");
            send(stranger).await.assert_error(401, "invalid_api_key", "Authorization");
            send(s.client.get(s.url(path))).await.assert_error(401, "invalid_api_key", "Authorization");
        }
    })
    .await;
}

#[tokio::test]
async fn account_create_accepts_chosen_keys_unless_taken() {
    sandbox(async |s| {
        let account = s.account(json!({"key": "job-17", "read_only_key": "job-17/r", "clock": null})).await;
        assert_eq!((&*account.key, &*account.read_only_key), ("job-17", "job-17/r"));
        assert_eq!(account.create_output().await, "32323");
        let accounts = "select count(*) from accounts";
        let before = s.count(accounts).await;
        for taken in [
            json!({"key": "job-17"}),
            json!({"key": "job-17/r"}),
            json!({"read_only_key": "job-17"}),
            json!({"key": "new", "read_only_key": "job-17/r"}),
            json!({"key": "your_api_key"}),
        ] {
            s.post(ACCOUNTS, &taken).await.assert_error(409, "key_taken", "");
        }
        // a refused creation stores nothing, not even its free key
        assert_eq!(s.count(accounts).await, before);
        account.delete("/_sandbox/accounts/me").await.expect(204);
        let again = s.account(json!({"key": "job-17", "read_only_key": "new"})).await;
        assert_eq!(again.create_output().await, "32323");
    })
    .await;
}

#[tokio::test]
async fn account_create_rejects_bad_keys_and_clocks() {
    sandbox(async |s| {
        let accounts = "select count(*) from accounts";
        let before = s.count(accounts).await;
        let long = "k".repeat(201);
        for key in
            [json!(""), json!("a b"), json!("a;b"), json!("ключ"), json!(long), json!(17), json!(["a"]), json!("a\tb")]
        {
            for name in ["key", "read_only_key"] {
                let answer = s.post(ACCOUNTS, &json!({name: key})).await;
                answer.assert_error(422, "attribute_invalid", &format!("/{name}"));
            }
        }
        let twins = json!({"key": "same", "read_only_key": "same"});
        s.post(ACCOUNTS, &twins).await.assert_error(422, "attribute_invalid", "/read_only_key");
        for (body, code, pointer) in [
            (json!({"name": "x"}), "attribute_unknown", "/name"),
            (json!({"clock": {}}), "attribute_missing", "/clock"),
            (json!({"clock": {"frozen": true}}), "attribute_missing", "/clock"),
            (json!({"clock": "2030-01-01T00:00:00Z"}), "attribute_invalid", "/clock"),
            (json!({"clock": {"now": "2030-01-01"}}), "attribute_invalid", "/clock/now"),
            (json!({"clock": {"now": "2030-01-01T00:00:00"}}), "attribute_invalid", "/clock/now"),
            (json!({"clock": {"now": "1899-12-31T23:59:59Z"}}), "attribute_invalid", "/clock/now"),
            (json!({"clock": {"now": "9000-01-01T00:00:00Z"}}), "attribute_invalid", "/clock/now"),
            (json!({"clock": {"now": 5}}), "attribute_invalid", "/clock/now"),
            (json!({"clock": {"now": "2030-01-01T00:00:00Z", "frozen": "yes"}}), "attribute_invalid", "/clock/frozen"),
            (json!({"clock": {"now": "2030-01-01T00:00:00Z", "zone": "CET"}}), "attribute_unknown", "/clock/zone"),
        ] {
            for path in [ACCOUNTS, super::RESET] {
                if path == ACCOUNTS || body.get("name").is_none() {
                    s.post(path, &body).await.assert_error(422, code, pointer);
                }
            }
        }
        s.post(ACCOUNTS, &json!([])).await.assert_error(400, "document_invalid", "");
        s.post_text(ACCOUNTS, "{").await.assert_error(400, "json_invalid", "");
        let answer = s.post(ACCOUNTS, &json!({"key": "", "clock": {"now": ""}, "x": 1})).await;
        assert_eq!(answer.errors().len(), 3, "all faults in one answer: {answer:?}");
        assert_eq!(s.count(accounts).await, before);
    })
    .await;
}

#[tokio::test]
async fn account_create_accepts_an_initial_clock() {
    sandbox(async |s| {
        let first_output = |account: Account| async move {
            let id = account.create_output().await;
            (account.events().await[0].3.clone(), account.state_of(&id).await, account)
        };
        // frozen, far in the past and far in the future
        for now in ["1900-01-01T00:00:00.000Z", "8999-12-31T23:59:59.999Z"] {
            let account = s.account(json!({"clock": {"now": now}})).await;
            let (created_at, state, account) = first_output(account).await;
            assert_eq!((&*created_at, &*state), (now, "accepting"));
            assert_eq!(account.get("/api/concierge_requests/1010").await.status, 200);
        }
        // in another time zone, running, an hour behind the server
        let running = json!({"clock": {"now": "2019-11-25T12:53:02.741+01:00", "frozen": false}});
        let account = s.account(running).await;
        let (created_at, _, account) = first_output(account).await;
        assert_eq!(created_at, "2019-11-25T11:53:02.741Z");
        let clock = account.get("/_sandbox/clock").await.expect(200);
        assert_eq!((&clock["frozen"], &clock["ahead_seconds"]), (&json!(false), &json!(-3600.0)));
        s.advance(std::time::Duration::from_secs(1)).await;
        assert_eq!(account.state_of("32323").await, "accepted");
        assert_eq!(account.events().await[1].3, "2019-11-25T11:53:03.741Z");
    })
    .await;
}
