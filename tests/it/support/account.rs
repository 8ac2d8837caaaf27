//! One account as its client sees it: the verbs of every test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use concierge_sandbox::clock::Clock;
use concierge_sandbox::server::Server;
use parking_lot::Mutex;
use reqwest::{Body, Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::postgres::PgPool;
use uuid::Uuid;

use super::{Answer, client, documented_output, send, within};

/// A client with the key of one account.
pub struct Account {
    /// `id`, as the control plane shows it.
    pub name: String,
    pub key: String,
    pub read_only_key: String,
    pub client: Client,
    base: String,
    time: Time,
    /// The pool of its rows, or `None` for an account beside the test's own.
    database: Option<PgPool>,
    /// The keys of further accounts of the test.
    beside: Mutex<Vec<String>>,
    /// Counts the calls, if their number is their `X-Request-Id`.
    /// Two sessions with the same calls then have the same ids.
    calls: Option<AtomicU64>,
}

/// How an account's time moves.
enum Time {
    /// By the control plane, for this account alone.
    Own,
    /// By the clock of its server, for all accounts.
    Server(Arc<Server>, Clock),
}

impl Account {
    /// Makes an account from a body for `POST /_sandbox/accounts`.
    /// Its calls are counted.
    pub async fn make(base: &str, body: &Value) -> Self {
        let post = client().post(format!("{base}/_sandbox/accounts")).header("Content-Type", "application/json");
        let made = send(post.body(body.to_string())).await.expect(201);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Self { name: text("id"), read_only_key: text("read_only_key"), ..Self::of(base, &text("key")) }
    }

    /// Returns the account of a key.
    /// Its calls are counted.
    pub fn of(base: &str, key: &str) -> Self {
        Self {
            name: String::new(),
            key: key.to_owned(),
            read_only_key: String::new(),
            client: client(),
            base: base.to_owned(),
            time: Time::Own,
            database: None,
            beside: Mutex::default(),
            calls: Some(AtomicU64::new(0)),
        }
    }

    /// Returns the same account, called through another server.
    pub fn at(&self, base: &str) -> Self {
        let (name, read_only_key) = (self.name.clone(), self.read_only_key.clone());
        Self { name, read_only_key, ..Self::of(base, &self.key) }
    }

    /// Returns the default account of a server, moved by the server's clock.
    pub(super) fn default_of(server: Arc<Server>, clock: Clock, database: PgPool) -> Self {
        let default = Self::of(&format!("http://{}", server.address), "your_api_key");
        let (name, read_only_key) = ("default".to_owned(), "your_read_only_api_key".to_owned());
        Self { name, read_only_key, time: Time::Server(server, clock), ..default.owning(database) }
    }

    /// Marks the account as the test's own: the server gives its calls their ids.
    pub(super) fn owning(self, database: PgPool) -> Self {
        Self { database: Some(database), calls: None, ..self }
    }

    /// Returns the URL of a path. A link is one already.
    pub fn url(&self, path: &str) -> String {
        if path.starts_with("http://") { path.to_owned() } else { format!("{}{path}", self.base) }
    }

    /// Builds a request with the write key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(path)).header("Authorization", &self.key);
        let Some(calls) = &self.calls else { return request };
        let id = Uuid::from_u128(calls.fetch_add(1, Ordering::Relaxed).into());
        request.header("X-Request-Id", id.to_string())
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    pub async fn post_text(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send_text(Method::POST, path, body).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.send_text(method, path, body.to_string()).await
    }

    /// Sends a body: JSON:API to the API, plain JSON to the control plane.
    pub async fn send_text(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let is_plain = path.starts_with("/_sandbox");
        let content_type = if is_plain { "application/json" } else { "application/vnd.api+json" };
        send(self.request(method, path).header("Content-Type", content_type).body(body)).await
    }

    /// Makes a resource and returns its id.
    #[track_caller]
    pub fn create(&self, path: &str, document: &Value) -> impl Future<Output = String> {
        let answer = self.post(path, document);
        async { answer.await.expect(201)["data"]["id"].as_str().unwrap().to_owned() }
    }

    /// Makes the documented output and returns its id.
    pub async fn create_output(&self) -> String {
        self.create("/api/concierge_request_outputs", &documented_output()).await
    }

    /// Performs an action on a request.
    pub async fn act(&self, request: &str, action: &str) -> Answer {
        send(self.request(Method::POST, &format!("/api/concierge_requests/{request}/{action}"))).await
    }

    /// Returns an attribute of a resource.
    pub async fn attribute(&self, path: &str, name: &str) -> Value {
        self.get(path).await.expect(200)["data"]["attributes"][name].clone()
    }

    /// Returns a request's attributes.
    pub async fn attributes_of(&self, request: &str) -> Value {
        self.get(&format!("/api/concierge_requests/{request}")).await.expect(200)["data"]["attributes"].clone()
    }

    /// Returns an output's state.
    pub async fn state_of(&self, output: &str) -> String {
        let state = self.attribute(&format!("/api/concierge_request_outputs/{output}"), "state").await;
        state.as_str().unwrap().to_owned()
    }

    /// Sets the `webhook_url` of the master user.
    pub async fn listen(&self, url: &str) {
        let document = json!({"data": {"type": "users", "attributes": {"webhook_url": url}}});
        self.patch("/api/users/me", &document).await.expect(200);
    }

    /// Advances time, and returns once everything due has happened.
    pub async fn advance(&self, by: Duration) {
        match &self.time {
            Time::Own => drop(self.advance_by(&format!("{}ms", by.as_millis())).await),
            Time::Server(server, clock) => within(server.wait_until(clock.advance(by))).await,
        }
    }

    /// Advances time by a millisecond, and returns once everything due has happened.
    pub async fn tick(&self) {
        self.advance(Duration::from_millis(1)).await;
    }

    /// Advances time, and returns once everything due has happened and was delivered.
    pub async fn tell(&self, by: Duration) {
        match &self.time {
            Time::Own => self.advance(by).await,
            Time::Server(server, clock) => {
                clock.advance(by);
                within(server.wait_until_delivered()).await;
            }
        }
    }

    /// Advances its own clock by a duration in the control plane's format, and returns the answer.
    pub async fn advance_by(&self, by: &str) -> Value {
        self.post("/_sandbox/clock/advance", &json!({ "by": by })).await.expect(200)
    }

    /// Advances time until nothing is due soon.
    pub async fn settle(&self) -> Value {
        self.post("/_sandbox/settle", &json!({})).await.expect(200)
    }

    /// Returns the time of its clock.
    pub async fn now(&self) -> String {
        self.get("/_sandbox/clock").await.expect(200)["now"].as_str().unwrap().to_owned()
    }

    /// Returns all its events: id, type, the resource's id, and creation time.
    pub async fn events(&self) -> Vec<(String, String, String, String)> {
        let page = self.get("/_sandbox/events?page[size]=1000").await.expect(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let event = |event: &Value| {
            let (attributes, resource) = (&event["attributes"], &event["relationships"]["resource"]["data"]["id"]);
            (text(&event["id"]), text(&attributes["event_type"]), text(resource), text(&attributes["created_at"]))
        };
        page["data"].as_array().unwrap().iter().map(event).collect()
    }

    /// Makes another account through the control plane, from a body.
    pub async fn account(&self, body: Value) -> Self {
        let made = Self::make(&self.base, &body).await;
        self.beside.lock().push(made.key.clone());
        made
    }

    /// Returns its key, and the keys of further accounts of the test.
    pub(super) fn keys(&self) -> Vec<String> {
        let beside = self.beside.lock().clone();
        std::iter::once(self.key.clone()).chain(beside).collect()
    }

    /// Returns the database.
    /// On a shared server it shows only this account's rows.
    pub fn database(&self) -> &PgPool {
        self.database.as_ref().expect("only the test's own account has a database")
    }

    /// Runs SQL against the database.
    pub async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(self.database()).await.unwrap();
    }

    /// Returns one number from the database.
    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.database()).await.unwrap()
    }

    /// Returns its current row id in the database.
    pub async fn row(&self, database: &PgPool) -> i64 {
        let sql = "select account_id from api_keys where key_sha256 = sha256(convert_to($1, 'UTF8'))";
        sqlx::query_scalar(sql).bind(&self.key).fetch_one(database).await.unwrap()
    }
}
