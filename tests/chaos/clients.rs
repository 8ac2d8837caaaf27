//! Clients under load: each drafts requests, adds outputs, and accepts or cancels quotes, until it is stopped.
//!
//! A client follows the answers. It repeats a write only if the answer says that nothing was done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use reqwest::{Client as Http, Method};
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::journal::{Attempt, Journal, Span, Told, What};
use crate::random::Random;
use crate::support::contract::{self, Exchange};

/// Time limit of a call.
const LIMIT: Duration = Duration::from_mins(1);
/// Pause of a client before it repeats a call.
const PAUSE: Duration = Duration::from_millis(20);

/// Test values of the outputs. Each payment ends: none is stuck.
const OUTCOMES: [&str; 8] =
    ["settled", "settled", "settled", "rejected", "failed", "failed|settled", "returned", "cancelled"];
/// Destinations: two are quoted at once, one is quoted later.
const PORTS: [&str; 3] = ["cl_clp", "py_pyg", "co_cop"];

/// Base URLs of the servers.
#[derive(Debug, Clone, Default)]
pub struct Addresses(Arc<RwLock<Vec<String>>>);

impl Addresses {
    /// Sets the base URL of a server.
    pub fn set(&self, place: usize, base: &str) {
        let mut bases = self.0.write();
        if bases.len() <= place {
            bases.resize(place + 1, String::new());
        }
        base.clone_into(&mut bases[place]);
    }

    /// Returns the base URL of one server; the numbers go round.
    pub fn choose(&self, number: usize) -> String {
        let bases = self.0.read();
        bases[number % bases.len()].clone()
    }
}

/// A client of one account.
pub struct Client {
    pub http: Http,
    pub addresses: Addresses,
    pub journal: Arc<Journal>,
    /// Its number among the clients of the scenario.
    pub number: usize,
    pub random: Random,
    /// Statuses that it expects besides 2xx, 409 and 503.
    pub also_expected: &'static [u16],
    pub stop: watch::Receiver<bool>,
    pub calls: u64,
}

/// A call: its id, its time, and the answer if one came.
pub struct Called {
    pub id: String,
    pub during: Span,
    pub answer: Result<(u16, Value), Broken>,
}

/// A call without an answer. It was certainly not done if no connection came about.
pub struct Broken {
    is_sent: bool,
}

impl Called {
    fn told(&self) -> Told {
        match &self.answer {
            Ok((200..=299, body)) => Told::Done(id_of(body).unwrap_or_default()),
            Ok((503, body)) if body["errors"][0]["code"] == "outcome_unknown" => Told::Unknown,
            Ok(_) | Err(Broken { is_sent: false }) => Told::NotDone,
            Err(Broken { is_sent: true }) => Told::Unknown,
        }
    }

    /// Returns whether the client should repeat it: nothing was done, and nothing was wrong with the call.
    fn is_repeatable(&self) -> bool {
        self.told() == Told::NotDone && self.answer.as_ref().map_or(true, |(status, _)| *status == 503)
    }
}

fn id_of(body: &Value) -> Option<i64> {
    body["data"]["id"].as_str()?.parse().ok()
}

impl Client {
    /// Makes payouts until it is stopped.
    pub async fn run(mut self) {
        while !self.is_stopped() {
            let Some(request) = self.draft().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let mut has_outputs = false;
            for _ in 0..=self.random.below(3) {
                has_outputs |= self.add_output(request).await;
            }
            if has_outputs && self.random.below(8) > 0 {
                self.pay(request).await;
            } else {
                self.act(request, "cancel", "concierge_request_cancelled").await;
            }
            if self.random.below(4) == 0 {
                self.get("/api/concierge_request_outputs?sort=-id&page[size]=5").await;
            }
        }
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    async fn draft(&mut self) -> Option<i64> {
        let external_id = format!("{}-{}", self.journal.key, self.journal.mark());
        let attributes = json!({"port_code": "ar_ars", "external_id": external_id});
        let body = json!({"data": {"type": "concierge_requests", "attributes": attributes}});
        let what = What::Request(external_id);
        id_of(&self.wish(what, "/api/concierge_requests", &body.to_string(), None).await?)
    }

    /// Adds an output, and returns whether it was acknowledged.
    async fn add_output(&mut self, request: i64) -> bool {
        let amount = 10 * 100_000_000 + self.journal.mark();
        let (port, outcome) = (self.random.one_of(&PORTS), self.random.one_of(&OUTCOMES));
        let linkage = |type_name: &str, id: i64| json!({"data": {"type": type_name, "id": id.to_string()}});
        let body = json!({"data": {
            "type": "concierge_request_outputs",
            "attributes": {"port_code": port, "amount": decimal(amount)},
            "relationships": {
                "request": linkage("concierge_requests", request),
                "withdrawal_instruction": linkage("withdrawal_instructions", 2121),
                "user": linkage("users", 20202),
            },
        }});
        let what = What::Output(amount);
        self.wish(what, "/api/concierge_request_outputs", &body.to_string(), Some(outcome)).await.is_some()
    }

    /// Asks for a quote, waits for it, and accepts it.
    async fn pay(&mut self, request: i64) {
        if !self.act(request, "request_quote", "concierge_request_quote_requested").await {
            return;
        }
        let quoted = format!("/_sandbox/wait?resource=concierge_requests/{request}&state=quoted&timeout=2s");
        self.get(&quoted).await;
        self.act(request, "accept_quote", "concierge_request_quote_accepted").await;
    }

    /// Performs an action, and returns whether it was acknowledged.
    async fn act(&mut self, request: i64, action: &str, event_type: &'static str) -> bool {
        let path = format!("/api/concierge_requests/{request}/{action}");
        self.wish(What::Action(event_type), &path, "", None).await.is_some()
    }

    async fn get(&mut self, path: &str) {
        self.call(Method::GET, path, "", None).await;
    }

    /// Calls until the wish is acknowledged, refused or in doubt. Returns the answer that acknowledges it.
    async fn wish(&mut self, what: What, path: &str, body: &str, outcome: Option<&str>) -> Option<Value> {
        let journal = Arc::clone(&self.journal);
        let wish = journal.wish(what);
        loop {
            let called = self.call(Method::POST, path, body, outcome).await;
            let told = called.told();
            let (call, during, is_repeatable) = (called.id.clone(), called.during, called.is_repeatable());
            journal.attempt(wish, Attempt { call, during, told });
            if let (Told::Done(_), Ok((_, document))) = (told, called.answer) {
                return Some(document);
            }
            if !is_repeatable || self.is_stopped() {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Calls a server, and notes the answer.
    pub async fn call(&mut self, method: Method, path: &str, body: &str, outcome: Option<&str>) -> Called {
        self.calls += 1;
        let id = Uuid::from_u64_pair(self.number as u64, self.calls).to_string();
        // after a lost connection, the next call goes to another server
        let base = self.addresses.choose(self.number + usize::try_from(self.calls).unwrap());
        let mut request = self.http.request(method.clone(), format!("{base}{path}")).timeout(LIMIT);
        request = request.header("Authorization", &self.journal.key).header("X-Request-Id", &id);
        if let Some(outcome) = outcome {
            request = request.header("Sandbox-Outcome", outcome);
        }
        if !body.is_empty() {
            request = request.header("Content-Type", "application/json").body(body.to_owned());
        }
        let begun = Instant::now();
        let answer = self.answer(request, &method).await;
        Called { id, during: Span { begun, ended: Instant::now() }, answer }
    }

    async fn answer(&self, request: reqwest::RequestBuilder, method: &Method) -> Result<(u16, Value), Broken> {
        let broken = |error: reqwest::Error| {
            self.journal.broke();
            if error.is_timeout() {
                self.journal.object(format!("no answer within {LIMIT:?}: {method} {:?}", error.url()));
            }
            Broken { is_sent: !error.is_connect() }
        };
        let response = request.send().await.map_err(broken)?;
        let (status, headers, url) = (response.status().as_u16(), response.headers().clone(), response.url().clone());
        let text = response.text().await.map_err(broken)?;
        let (path, query) = (url.path(), url.query().unwrap_or_default());
        let exchange = Exchange { method: method.as_str(), path, query, status, headers: &headers, text: &text };
        // the integration tests check the other answers
        if status >= 400
            && let Err(fault) = contract::fault(&exchange)
        {
            self.journal.object(format!("{method} {url}: {fault}"));
        }
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let code = body["errors"][0]["code"].as_str().unwrap_or_default();
        self.journal.answered(status, code);
        if !self.expects(status, path) {
            self.journal.object(format!("{method} {url} was answered {status} {text}"));
        }
        if code == "outcome_unknown" && headers.contains_key("retry-after") {
            self.journal.object(format!("{method} {url}: Retry-After invites to repeat {text}"));
        }
        Ok((status, body))
    }

    fn expects(&self, status: u16, path: &str) -> bool {
        match status {
            200..=299 | 409 | 503 => true,
            408 => path == "/_sandbox/wait",
            other => self.also_expected.contains(&other),
        }
    }
}

/// Returns a decimal as a JSON number with every digit.
fn decimal(amount: i64) -> Value {
    serde_json::from_str(&format!("{}.{:08}", amount / 100_000_000, amount % 100_000_000)).unwrap()
}
