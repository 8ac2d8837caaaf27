//! One attempt at calling a receiver. [`retries`](super::retries) decides on the next one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use reqwest::dns::Resolve;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::resolve::{CheckedResolver, SystemResolver};
use super::{failure, trust};
use crate::clock::Clock;
use crate::events::address::AddressRules;
use crate::events::receiver;

/// Maximum number of bytes read of an answer's body; then the connection is dropped.
pub const MOST_READ: usize = 64 * 1024;
/// Maximum number of bytes kept of an answer's body.
pub const MOST_KEPT: usize = 1024;
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
}

impl AttemptOutcome {
    /// Returns a failure without a call, for this reason.
    pub fn failed(error: &str) -> Self {
        let (duration, body) = (Duration::ZERO, String::new());
        Self { status: None, error: Some(error.to_owned()), duration, body, retry_after: None }
    }

    /// Returns the result of an event dropped by a fault: there is no call, and it counts as received.
    pub fn dropped() -> Self {
        let body = "not sent: a fault dropped it".to_owned();
        Self { status: None, error: None, duration: Duration::ZERO, body, retry_after: None }
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
    rules: Arc<AddressRules>,
    timeout: Duration,
}

impl WebhookClient {
    /// Returns a client with the resolver and the trusted certificates of this machine, read from its files.
    /// `timeout` limits an attempt, from its start to the end of the answer.
    ///
    /// # Errors
    /// Errors of the TLS library and of the HTTP client.
    pub fn new(rules: AddressRules, timeout: Duration) -> Result<Self, WebhookClientError> {
        Self::with(rules, timeout, Arc::new(SystemResolver), trust::machine_roots())
    }

    /// Returns a client with this resolver and these trusted issuers.
    ///
    /// # Errors
    /// Errors of the TLS library and of the HTTP client.
    pub fn with(
        rules: AddressRules,
        timeout: Duration,
        resolver: Arc<dyn Resolve>,
        roots: RootCertStore,
    ) -> Result<Self, WebhookClientError> {
        let rules = Arc::new(rules);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(CheckedResolver { resolver, rules: Arc::clone(&rules) }))
            // a proxy or a redirect would reach unchecked addresses
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .user_agent(concat!("concierge-sandbox/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, rules, timeout })
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
        };
        match timeout_at(deadline, self.call(request)).await {
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
    async fn call(&self, request: &WebhookRequest) -> Result<Response, String> {
        let url = receiver::read(&request.url, &self.rules).map_err(|fault| match fault {
            receiver::UrlFault::Refused(refusal) => refusal.to_string(),
            fault => format!("the URL must be {fault}"),
        })?;
        let post = self.client.post(url).headers(request.headers.clone()).body(request.body.clone());
        post.send().await.map_err(|error| failure::describe(&error))
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
