//! One attempt at calling a receiver. [`retries`](super::retries) decides on the next one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::dns::Resolve;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use rustls::ClientConfig;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::failure;
use super::resolve::{CheckedResolver, SystemResolver};
use super::trust::Trust;
use crate::clock::Clock;
use crate::events::address::{AddressRules, is_private};
use crate::events::receiver;

/// Maximum number of bytes read of an answer's body; then the connection is dropped.
pub const MOST_READ: usize = 64 * 1024;
/// Maximum number of bytes kept of an answer's body.
pub const MOST_KEPT: usize = 1024;
/// Maximum number of characters kept of a header's value: more than the longest name of a host.
const MOST_KEPT_OF_HEADER: usize = 512;
/// `User-Agent` of every call.
const USER_AGENT: &str = concat!("concierge-sandbox/", env!("CARGO_PKG_VERSION"));
/// Longest delay that a receiver can ask for before the next attempt.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);

/// A call to a receiver.
#[derive(Clone)]
pub struct WebhookRequest {
    /// URL of the receiver, as the user wrote it.
    pub url: String,
    /// Headers besides `Host`, `User-Agent`, `Accept` and `Content-Length`, which every call has.
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Leaves out possible secrets: path, query, headers and body.
impl fmt::Debug for WebhookRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = Url::parse(&self.url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        f.debug_struct("WebhookRequest")
            .field("origin", &origin)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptOutcome {
    /// Status of the answer; `None` without an answer.
    pub status: Option<u16>,
    /// Reason of the failure, readable and in stable words; `None`: the event was received.
    pub error: Option<String>,
    /// Time from the start of the attempt to its result.
    pub duration: Duration,
    /// Start of the answer's body, at most [`MOST_KEPT`] bytes. Invalid UTF-8 is replaced.
    /// NUL is replaced too, because the database can't store it.
    pub body: String,
    /// Delay requested by the receiver (`Retry-After`), at most [`LONGEST_RETRY_AFTER`].
    pub retry_after: Option<Duration>,
    /// The call; `None` if there was none to make.
    pub call: Option<Call>,
}

/// A call as its account sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// The URL, without user name and password.
    pub url: String,
    /// JSON object of all headers by lower-case name; `None` if the URL may not be called.
    pub headers: Option<String>,
}

/// Leaves out possible secrets: the URL and the headers.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("was_made", &self.headers.is_some()).finish_non_exhaustive()
    }
}

impl AttemptOutcome {
    /// Returns a failure without a call, for this reason.
    pub fn failed(error: &str) -> Self {
        let (duration, body) = (Duration::ZERO, String::new());
        Self { status: None, error: Some(error.to_owned()), duration, body, retry_after: None, call: None }
    }

    /// Returns the result of an event dropped by a fault: there is no call, and it counts as received.
    pub fn dropped() -> Self {
        let body = "not sent: a fault dropped it".to_owned();
        Self { status: None, error: None, duration: Duration::ZERO, body, retry_after: None, call: None }
    }

    /// Returns true if the event was received. Only a 200 counts (known).
    pub fn is_received(&self) -> bool {
        self.error.is_none()
    }
}

/// Client of all receivers. Every attempt opens a connection, resolves the name and checks its addresses.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct WebhookClient {
    client: Client,
    /// For receivers without a valid certificate; `None`: every receiver needs one.
    private: Option<PrivateClient>,
    rules: Arc<AddressRules>,
    timeout: Duration,
}

/// A client that checks no certificate, and connects to this machine and its private networks only.
#[derive(Clone)]
struct PrivateClient {
    client: Client,
    /// Finds all allowed addresses of a name.
    resolver: CheckedResolver,
}

impl fmt::Debug for PrivateClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateClient")
    }
}

impl PrivateClient {
    /// Returns whether a URL leads to this machine or its private networks, whichever of its addresses is used.
    async fn is_for(&self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => is_private(address.into()),
            Some(Host::Ipv6(address)) => is_private(address.into()),
            Some(Host::Domain(name)) => self.resolver.is_private(name).await,
            None => false,
        }
    }
}

impl WebhookClient {
    /// Returns a client with the resolver and the trusted certificates of this machine, read from its files, besides those
    /// of `trust`. `timeout` limits an attempt, from its start to the end of the answer.
    ///
    /// # Errors
    /// Errors of the TLS library and of the HTTP client.
    pub fn new(rules: AddressRules, timeout: Duration, trust: Trust) -> Result<Self, WebhookClientError> {
        Self::with(rules, timeout, Arc::new(SystemResolver), trust.with_machine())
    }

    /// Returns a client with this resolver and these trusted certificates.
    ///
    /// # Errors
    /// Errors of the TLS library and of the HTTP client.
    pub fn with(
        rules: AddressRules,
        timeout: Duration,
        resolver: Arc<dyn Resolve>,
        trust: Trust,
    ) -> Result<Self, WebhookClientError> {
        let rules = Arc::new(rules);
        let resolver = CheckedResolver { resolver, rules: Arc::clone(&rules), is_private: false };
        let private = if trust.is_insecure {
            let client = client(Trust::not_checking()?, CheckedResolver { is_private: true, ..resolver.clone() })?;
            Some(PrivateClient { client, resolver: resolver.clone() })
        } else {
            None
        };
        Ok(Self { client: client(trust.checking()?, resolver)?, private, rules, timeout })
    }

    /// Calls a receiver once, within the timeout. Reports errors in the outcome only. Logs nothing.
    ///
    /// The status decides: after a 200, a broken or endless body is no failure.
    pub async fn attempt(&self, request: &WebhookRequest) -> AttemptOutcome {
        let started = Instant::now();
        let deadline = started + self.timeout;
        let mut outcome = AttemptOutcome {
            status: None,
            error: None,
            duration: Duration::ZERO,
            body: String::new(),
            retry_after: None,
            call: Some(Call { url: without_secrets(&request.url), headers: None }),
        };
        let url = receiver::read(&request.url, &self.rules).map_err(|fault| match fault {
            receiver::UrlFault::Refused(refusal) => refusal.to_string(),
            fault => format!("the URL must be {fault}"),
        });
        if let (Ok(url), Some(call)) = (&url, &mut outcome.call) {
            call.headers = Some(shown_headers(url, request));
        }
        let answered = async { self.call(url?, request).await };
        match timeout_at(deadline, answered).await {
            Err(_) => outcome.error = Some(format!("timed out after {}", humantime::format_duration(self.timeout))),
            Ok(Err(error)) => outcome.error = Some(error),
            Ok(Ok(response)) => {
                let status = response.status().as_u16();
                outcome.status = Some(status);
                outcome.error = status_error(status);
                let retry_after = response.headers().get(header::RETRY_AFTER).map(HeaderValue::to_str);
                if let (Some(Ok(value)), Some(_)) = (retry_after, &outcome.error) {
                    outcome.retry_after = read_retry_after(value, Clock::machine().now().into());
                }
                outcome.body = read_start(response, deadline).await;
            }
        }
        outcome.duration = started.elapsed();
        outcome
    }

    /// Returns the head of the answer, or the reason for its absence.
    async fn call(&self, url: Url, request: &WebhookRequest) -> Result<Response, String> {
        let client = match &self.private {
            Some(private) if url.scheme() == "https" && private.is_for(&url).await => &private.client,
            _ => &self.client,
        };
        let post = client.post(url).headers(request.headers.clone()).body(request.body.clone());
        post.send().await.map_err(|error| failure::describe(&error))
    }
}

/// Returns an HTTP client for single calls.
fn client(tls: ClientConfig, resolver: CheckedResolver) -> Result<Client, reqwest::Error> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(resolver))
        // a proxy or a redirect would reach unchecked addresses
        .no_proxy()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(0)
        .user_agent(USER_AGENT)
        .build()
}

/// Returns all headers of a call, as a JSON object.
fn shown_headers(url: &Url, request: &WebhookRequest) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = format!("{}{port}", url.host_str().unwrap_or_default());
    let own = request.headers.iter().map(|(name, value)| (name, value.to_str().unwrap_or_default()));
    let length = request.body.len().to_string();
    let of_every_call: [(HeaderName, &str); 4] = [
        (header::HOST, &host),
        (header::USER_AGENT, USER_AGENT),
        (header::ACCEPT, "*/*"),
        (header::CONTENT_LENGTH, &length),
    ];
    let all = of_every_call.iter().map(|(name, value)| (name, *value)).chain(own);
    let shown = all.map(|(name, value)| {
        let kept: String = value.chars().take(MOST_KEPT_OF_HEADER).collect();
        (name.to_string(), Value::String(kept))
    });
    Value::Object(shown.collect::<Map<_, _>>()).to_string()
}

/// Removes user name and password from a URL. New ones have neither; it may be an old one, or no URL at all.
fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

/// Failure to create a [`WebhookClient`].
#[derive(Debug, thiserror::Error)]
pub enum WebhookClientError {
    #[error("the TLS library can't be used: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the HTTP client can't be used: {0}")]
    Http(#[from] reqwest::Error),
}

/// Returns the failure that a status means; `None` for 200.
fn status_error(status: u16) -> Option<String> {
    match status {
        200 => None,
        300..=399 => Some(format!("answered {status}; redirects are not followed")),
        201..=299 => Some(format!("answered {status}; only 200 counts as received")),
        _ => Some(format!("answered {status}")),
    }
}

/// Reads the start of a body, [`MOST_READ`] bytes at most. Dropping the response closes the connection.
async fn read_start(mut response: Response, deadline: Instant) -> String {
    let (mut kept, mut read) = (Vec::new(), 0);
    while read < MOST_READ
        && let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await
    {
        read += chunk.len();
        let room = MOST_KEPT - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    text(&kept)
}

/// Converts bytes to text for the database. Cuts an incomplete character at the end.
fn text(bytes: &[u8]) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    String::from_utf8_lossy(whole).replace('\0', "\u{fffd}")
}

/// Returns the delay of a `Retry-After` (RFC 9110, 10.2.3): seconds, or a date compared with `now`.
///
/// Returns `None` for other text, zero for a past date, and [`LONGEST_RETRY_AFTER`] for longer delays.
pub fn read_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let asked = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(LONGEST_RETRY_AFTER, Duration::from_secs)
    } else {
        httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(asked.min(LONGEST_RETRY_AFTER))
}
