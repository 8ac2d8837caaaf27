//! A sandbox to test against: an in-process server with a clock that the test moves, and a client.

mod account;
mod cluster;
mod program;
mod proxy;
mod receiver;
mod wire;
pub mod world;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use concierge_sandbox::clock::Clock;
use concierge_sandbox::concierge::fixtures::create_account;
use concierge_sandbox::config::Config;
use concierge_sandbox::server::Server;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPool};
use time::OffsetDateTime;

pub use account::{Account, dump, rows, tables};
pub use cluster::{empty_database, fresh_database};
pub use program::{Ended, Program, count, url_of};
pub use proxy::Proxy;
pub use receiver::{Call, Receiver};
pub use wire::Wire;

/// Where the clocks of all tests start: 2019-11-25T12:53:02.741Z.
pub const START: i128 = 1_574_686_382_741_000_000;

/// The documented request for an output.
pub fn documented_output() -> Value {
    json!({"data": {
        "type": "concierge_request_outputs",
        "attributes": {"port_code": "cl_clp", "amount": 1000},
        "relationships": {
            "request": {"data": {"id": 1010, "type": "concierge_requests"}},
            "withdrawal_instruction": {"data": {"id": 2121, "type": "withdrawal_instructions"}},
            "user": {"data": {"id": 20202, "type": "users"}},
        },
    }})
}

/// A server of the test's own, with the default account.
pub struct Sandbox {
    server: Option<Server>,
    pub clock: Clock,
    pub database: PgPool,
    pub client: reqwest::Client,
}

/// An answer, with the invariants of every answer checked.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    /// An answer as it came, after checking what holds for every one.
    #[track_caller]
    pub fn read(status: u16, headers: HeaderMap, text: String) -> Self {
        let request_id = headers.get("x-request-id").expect("every answer has a request id").to_str().unwrap();
        assert!(uuid::Uuid::try_parse(request_id).is_ok(), "{request_id:?}");
        let mut body = Value::Null;
        if status == 204 {
            assert_eq!(text, "");
        } else {
            body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} without JSON: {text:?}"));
        }
        if status >= 400 {
            assert_eq!(headers["content-type"], "application/vnd.api+json");
            for error in body["errors"].as_array().expect("an error document has errors") {
                for member in ["status", "code", "title", "detail"] {
                    assert!(error[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {error}");
                }
            }
        }
        Self { status, headers, body, text }
    }

    /// The error objects, as (status, code, source member).
    pub fn errors(&self) -> Vec<(String, String, String)> {
        let errors = self.body["errors"].as_array().unwrap_or_else(|| panic!("no errors in {self:?}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let source = |error: &Value| {
            let source = error["source"].as_object().and_then(|source| source.values().next());
            source.map(text).unwrap_or_default()
        };
        errors.iter().map(|error| (text(&error["status"]), text(&error["code"]), source(error))).collect()
    }

    /// Asserts that there is exactly one error, and its status, code and source.
    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str, source: &str) {
        assert_eq!(self.errors(), [(status.to_string(), code.to_owned(), source.to_owned())], "{self:?}");
        assert_eq!(self.status, status, "{self:?}");
    }

    /// Asserts a status and returns the document.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }
}

impl Sandbox {
    /// A fresh world with default settings.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A fresh world with other settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let options = fresh_database().await;
        Self::start_through(options.clone(), options, change).await
    }

    /// A fresh world in a database that the server reaches in another way than the test.
    pub async fn start_through(
        server: PgConnectOptions,
        test: PgConnectOptions,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = settings();
        change(&mut config);
        let clock = Clock::manual(OffsetDateTime::from_unix_timestamp_nanos(START).unwrap());
        let server = Server::start_on(&config, clock.clone(), server).await.unwrap();
        let database = PgPool::connect_lazy_with(test);
        Self { server: Some(server), clock, database, client: client() }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server().address)
    }

    /// Makes another account by way of the control plane, as its body says.
    pub async fn account(&self, body: Value) -> Account {
        Account::make(&self.url(""), &body).await
    }

    /// A request with the write key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path)).header("Authorization", "your_api_key")
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, document: &Value) -> Answer {
        self.post_text(path, document.to_string()).await
    }

    pub async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        send(self.request(Method::POST, path).header("Content-Type", "application/vnd.api+json").body(body)).await
    }

    pub async fn patch(&self, path: &str, document: &Value) -> Answer {
        let body = document.to_string();
        send(self.request(Method::PATCH, path).header("Content-Type", "application/vnd.api+json").body(body)).await
    }

    /// A POST of plain JSON, which is what the control plane takes.
    pub async fn post_plain(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// A PATCH of plain JSON.
    pub async fn patch_plain(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PATCH, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// Makes the documented output and returns its id.
    pub async fn create_output(&self) -> String {
        self.create("/api/concierge_request_outputs", &documented_output()).await
    }

    /// Makes a resource and returns its id.
    #[track_caller]
    pub fn create(&self, path: &str, document: &Value) -> impl Future<Output = String> {
        let answer = self.post(path, document);
        async { answer.await.expect(201)["data"]["id"].as_str().unwrap().to_owned() }
    }

    /// Does an action on a request.
    pub async fn act(&self, request: &str, action: &str) -> Answer {
        send(self.request(Method::POST, &format!("/api/concierge_requests/{request}/{action}"))).await
    }

    /// A request's attributes.
    pub async fn attributes_of(&self, request: &str) -> Value {
        self.get(&format!("/api/concierge_requests/{request}")).await.expect(200)["data"]["attributes"].clone()
    }

    /// Moves the clock on by a millisecond, and returns when everything that was due has happened.
    pub async fn tick(&self) {
        self.advance(Duration::from_millis(1)).await;
    }

    /// An output's state.
    pub async fn state_of(&self, id: &str) -> String {
        let shown = self.get(&format!("/api/concierge_request_outputs/{id}")).await.expect(200);
        shown["data"]["attributes"]["state"].as_str().unwrap().to_owned()
    }

    /// Moves the clock on and returns when everything due by then has happened.
    pub async fn advance(&self, by: Duration) {
        let now = self.clock.advance(by);
        within(self.server().wait_until(now)).await;
    }

    /// Moves the clock on and returns when everything due by then has happened, and was told of.
    pub async fn tell(&self, by: Duration) {
        self.clock.advance(by);
        within(self.server().wait_until_delivered()).await;
    }

    /// Makes another account, with that key.
    pub async fn second_account(&self, key: &str) {
        let mut connection = self.database.acquire().await.unwrap();
        create_account(&mut connection, key, &[(key, "write")], self.clock.now()).await.unwrap();
    }

    /// Runs SQL against the world's database.
    pub async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&self.database).await.unwrap();
    }

    /// One number from the world's database.
    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.database).await.unwrap()
    }

    /// Ends the server, after checking that it left the world in order.
    pub async fn stop(mut self) {
        self.server.take().unwrap().stop().await;
        world::check(&self.database).await;
    }
}

/// The settings of the tests: the defaults, on a free port.
pub fn settings() -> Config {
    static DEFAULTS: OnceLock<Config> = OnceLock::new();
    let mut config = DEFAULTS.get_or_init(Config::defaults).clone();
    config.listen = "127.0.0.1:0".parse().unwrap();
    config
}

/// A client of the API. Its TLS, which no test needs, is named here because reqwest has none of its own.
pub fn client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
}

/// Sends a request and checks what holds for every answer.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = within(request.send()).await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = within(response.text()).await.unwrap();
    Answer::read(status, headers, text)
}

/// Awaits something that should come soon, and panics if it doesn't.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it should have happened by now")
}
