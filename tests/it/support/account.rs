//! An account of a test's own, beside the default one.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use super::{Answer, client, documented_output, send};

/// A client with the key of one account. It counts its calls in their `X-Request-Id`, so that two that do the same are known
/// by the same ids.
pub struct Account {
    /// `id`, as the control plane shows it.
    pub name: String,
    pub key: String,
    pub read_only_key: String,
    base: String,
    client: Client,
    calls: AtomicU64,
}

impl Account {
    /// Makes an account, as a body for `POST /_sandbox/accounts` says.
    pub async fn make(base: &str, body: &Value) -> Self {
        let client = client();
        let post = client.post(format!("{base}/_sandbox/accounts")).header("Content-Type", "application/json");
        let made = send(post.body(body.to_string())).await.expect(201);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Self { name: text("id"), read_only_key: text("read_only_key"), ..Self::of(base, &text("key")) }
    }

    /// The account of a key.
    pub fn of(base: &str, key: &str) -> Self {
        let (name, read_only_key) = (String::new(), String::new());
        Self { name, key: key.into(), read_only_key, base: base.into(), client: client(), calls: AtomicU64::new(0) }
    }

    /// The same account, called by way of another server.
    pub fn at(&self, base: &str) -> Self {
        let (name, read_only_key) = (self.name.clone(), self.read_only_key.clone());
        Self { name, read_only_key, ..Self::of(base, &self.key) }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let id = Uuid::from_u128(self.calls.fetch_add(1, Ordering::Relaxed).into());
        let request = self.client.request(method, format!("{}{path}", self.base)).header("Authorization", &self.key);
        request.header("X-Request-Id", id.to_string())
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.request(method, path).header("Content-Type", "application/json");
        send(request.body(body.to_string())).await
    }

    /// Makes a resource and returns its id.
    pub async fn create(&self, path: &str, document: &Value) -> String {
        self.post(path, document).await.expect(201)["data"]["id"].as_str().unwrap().to_owned()
    }

    /// Makes the documented output and returns its id.
    pub async fn create_output(&self) -> String {
        self.create("/api/concierge_request_outputs", &documented_output()).await
    }

    /// Does an action on a request.
    pub async fn act(&self, request: &str, action: &str) -> Answer {
        send(self.request(Method::POST, &format!("/api/concierge_requests/{request}/{action}"))).await
    }

    /// An attribute of a resource.
    pub async fn attribute(&self, path: &str, name: &str) -> Value {
        self.get(path).await.expect(200)["data"]["attributes"][name].clone()
    }

    /// An output's state.
    pub async fn state_of(&self, output: &str) -> Value {
        self.attribute(&format!("/api/concierge_request_outputs/{output}"), "state").await
    }

    /// Sets the `webhook_url` of the master user.
    pub async fn listen(&self, url: &str) {
        let document = json!({"data": {"type": "users", "attributes": {"webhook_url": url}}});
        self.patch("/api/users/me", &document).await.expect(200);
    }

    /// Moves its clock on by that much.
    pub async fn advance(&self, by: &str) -> Value {
        self.post("/_sandbox/clock/advance", &json!({ "by": by })).await.expect(200)
    }

    /// Goes on until nothing is due soon.
    pub async fn settle(&self) -> Value {
        self.post("/_sandbox/settle", &json!({})).await.expect(200)
    }

    /// Where its clock stands.
    pub async fn now(&self) -> String {
        self.get("/_sandbox/clock").await.expect(200)["now"].as_str().unwrap().to_owned()
    }

    /// All its events: id, type, the resource's id, and when.
    pub async fn events(&self) -> Vec<(String, String, String, String)> {
        let page = self.get("/_sandbox/events?page[size]=1000").await.expect(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let event = |event: &Value| {
            let (attributes, resource) = (&event["attributes"], &event["relationships"]["resource"]["data"]["id"]);
            (text(&event["id"]), text(&attributes["event_type"]), text(resource), text(&attributes["created_at"]))
        };
        page["data"].as_array().unwrap().iter().map(event).collect()
    }

    /// By what the database knows it now.
    pub async fn row(&self, database: &PgPool) -> i64 {
        let sql = "select account_id from api_keys where key_sha256 = sha256(convert_to($1, 'UTF8'))";
        sqlx::query_scalar(sql).bind(&self.key).fetch_one(database).await.unwrap()
    }
}

/// The tables in which accounts have rows.
pub async fn tables(database: &PgPool) -> Vec<String> {
    let sql = "select table_name::text from information_schema.columns
        where table_schema = 'public' and column_name = 'account_id' order by table_name";
    let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(database).await.unwrap();
    assert!(tables.len() >= 12, "{tables:?}");
    tables
}

/// Every row of an account, table by table, but for its id, what keeps servers apart, how long answers took in the real
/// world, and where its handlers listen.
pub async fn dump(database: &PgPool, account: i64) -> Vec<String> {
    let mut dump = Vec::new();
    for table in tables(database).await {
        let left_out = "array['account_id', 'leased_by', 'leased_until', 'duration', 'webhook_url']";
        let sql = format!(
            "select '{table} ' || (to_jsonb(t) - {left_out})::text from {table} t where account_id = $1 order by 1"
        );
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(account).fetch_all(database).await.unwrap();
        dump.extend(rows);
    }
    dump
}

/// How many rows there are of an account, in every table.
pub async fn rows(database: &PgPool, account: i64) -> i64 {
    let mut rows = 0;
    for table in tables(database).await {
        let sql = format!("select count(*) from {table} where account_id = $1");
        let found: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).bind(account).fetch_one(database).await.unwrap();
        rows += found;
    }
    let sql = "select count(*) from accounts where id = $1";
    let found: i64 = sqlx::query_scalar(sql).bind(account).fetch_one(database).await.unwrap();
    rows + found
}
