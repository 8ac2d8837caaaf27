//! The older endpoint for the webhook URL: `/api/webhooks`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, Answer, account, send};

const PATH: &str = "/api/webhooks";

fn webhook(attributes: &Value) -> Value {
    json!({"data": {"type": "webhooks", "attributes": attributes}})
}

async fn with_key(account: &Account, key: &str, method: Method, path: &str, document: Option<Value>) -> Answer {
    let mut request = account.client.request(method, account.url(path)).header("Authorization", key);
    if let Some(document) = document {
        request = request.header("Content-Type", "application/json").body(document.to_string());
    }
    send(request).await
}

#[tokio::test]
async fn post_sets_the_user_s_webhook_url() {
    account(async |s| {
        assert_eq!(s.get(PATH).await.expect(200)["data"], json!([]));
        s.get("/api/webhooks/50505").await.assert_error(404, "resource_not_found", "");
        let made = s.post("/api/webhooks/", &webhook(&json!({"url": "https://example.com/hook?a=b"}))).await;
        assert_eq!(made.headers["location"], s.url("/api/webhooks/50505"));
        let expected =
            r#"{"data":{"id":"50505","type":"webhooks","attributes":{"url":"https://example.com/hook?a=b"}}}"#;
        assert_eq!((made.status, made.text.as_str()), (201, expected));
        assert_eq!(s.get("/api/webhooks/50505").await.expect(200), made.body);
        let all = s.get(PATH).await.expect(200);
        assert_eq!((&all["data"], &all["meta"]["total"]), (&json!([made.body["data"]]), &json!(1)));
        assert_eq!(s.get("/api/webhooks?page[number]=2").await.expect(200)["data"], json!([]));
        let me = s.get("/api/users/me").await.expect(200);
        assert_eq!(me["data"]["attributes"]["webhook_url"], "https://example.com/hook?a=b");
        // a second POST replaces the URL
        s.post(PATH, &webhook(&json!({"url": "http://127.0.0.1/b"}))).await.expect(201);
        let shown = s.get("/api/webhooks/50505/").await.expect(200);
        assert_eq!(shown["data"]["attributes"], json!({"url": "http://127.0.0.1/b"}));
        // clearing the user's attribute removes the webhook
        let clear = json!({"data": {"type": "users", "id": "50505", "attributes": {"webhook_url": null}}});
        s.patch("/api/users/me", &clear).await.expect(200);
        assert_eq!(s.get(PATH).await.expect(200)["data"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn each_user_has_its_own_webhook() {
    account(async |s| {
        s.post(PATH, &webhook(&json!({"url": "https://example.com/master"}))).await.expect(201);
        let payee = &format!("{}; user=20202", s.key);
        let none = with_key(s, payee, Method::GET, PATH, None).await.expect(200);
        assert_eq!(none["data"], json!([]));
        let document = webhook(&json!({"url": "https://example.com/payee"}));
        let made = with_key(s, payee, Method::POST, PATH, Some(document)).await;
        assert_eq!(made.headers["location"], s.url("/api/webhooks/20202"));
        assert_eq!(made.expect(201)["data"]["id"], "20202");
        let shown = with_key(s, payee, Method::GET, "/api/webhooks/20202", None).await.expect(200);
        assert_eq!(shown["data"]["attributes"]["url"], "https://example.com/payee");
        // another user's webhook is not shown, though the account may see the user
        let other = with_key(s, payee, Method::GET, "/api/webhooks/50505", None).await;
        other.assert_error(404, "resource_not_found", "");
        for id in ["20202", "777", "0", "050505", "me", "%ff"] {
            s.get(&format!("/api/webhooks/{id}")).await.assert_error(404, "resource_not_found", "");
        }
        let master = s.get(PATH).await.expect(200);
        assert_eq!(master["data"][0]["attributes"]["url"], "https://example.com/master");
    })
    .await;
}

#[tokio::test]
async fn read_only_key_may_only_read() {
    account(async |s| {
        s.post(PATH, &webhook(&json!({"url": "https://example.com/a"}))).await.expect(201);
        let key = &s.read_only_key;
        with_key(s, key, Method::GET, "/api/webhooks/50505", None).await.expect(200);
        for document in [webhook(&json!({"url": "https://example.com/b"})), webhook(&json!({}))] {
            let answer = with_key(s, key, Method::POST, PATH, Some(document)).await;
            answer.assert_error(401, "not_enough_permissions", "Authorization");
        }
        let shown = s.get("/api/webhooks/50505").await.expect(200);
        assert_eq!(shown["data"]["attributes"]["url"], "https://example.com/a");
        for path in [PATH, "/api/webhooks/50505"] {
            let stranger = send(s.client.get(s.url(path))).await;
            stranger.assert_error(401, "invalid_api_key", "Authorization");
        }
    })
    .await;
}

#[tokio::test]
async fn invalid_webhook_is_rejected_without_change() {
    account(async |s| {
        let longest = format!("https://example.com/{}", "é".repeat(2048 - 20));
        s.post(PATH, &webhook(&json!({ "url": longest }))).await.expect(201);
        for (attributes, code, pointer) in [
            (json!({}), "attribute_missing", "/data/attributes"),
            (json!({"url": null}), "attribute_missing", "/data/attributes/url"),
            (json!({"url": 5}), "attribute_invalid", "/data/attributes/url"),
            (json!({"url": ["https://example.com"]}), "attribute_invalid", "/data/attributes/url"),
            (json!({"url": format!("{longest}x")}), "webhook_url_invalid", "/data/attributes/url"),
        ] {
            s.post(PATH, &webhook(&attributes)).await.assert_error(422, code, pointer);
        }
        let bare = json!({"data": {"type": "webhooks"}});
        s.post(PATH, &bare).await.assert_error(422, "attribute_missing", "/data");
        let other = json!({"data": {"type": "users", "attributes": {"url": "https://example.com"}}});
        s.post(PATH, &other).await.assert_error(409, "type_mismatch", "/data/type");
        let mut with_id = webhook(&json!({"url": "https://example.com"}));
        with_id["data"]["id"] = json!("50505");
        s.post(PATH, &with_id).await.assert_error(403, "client_id_forbidden", "/data/id");
        let good = webhook(&json!({"url": "https://example.com"}));
        let answer = s.post("/api/webhooks?page[size]=1", &good).await;
        answer.assert_error(400, "parameter_unknown", "page[size]");
        let shown = s.get("/api/webhooks/50505").await.expect(200);
        assert_eq!(shown["data"]["attributes"]["url"], longest);
        // of a client's whole model only the URL counts
        let model = webhook(&json!({"url": "https://example.com/model", "id": null, "type": "webhooks", "state": "x"}));
        let made = s.post(PATH, &model).await.expect(201);
        assert_eq!(made["data"]["attributes"], json!({"url": "https://example.com/model"}));
    })
    .await;
}
