//! One attempt at calling a receiver. When to try again is for others to decide.

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

use super::resolve::{Checked, Machine};
use super::{failure, trust};
use crate::clock::Clock;
use crate::events::address::AddressRules;
use crate::events::receiver;

/// The most that is read of an answer's body, in bytes; then the connection is dropped.
pub const MOST_READ: usize = 64 * 1024;
/// The most that is kept of it.
pub const MOST_KEPT: usize = 1024;
/// The longest that a receiver can put the next attempt off.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);

/// What is sent.
#[derive(Clone)]
pub struct Request {
    /// Where to, as the user gave it.
    pub url: String,
    /// Besides those every call has (`Host`, `User-Agent`, `Accept`, `Content-Length`).
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Without what may be a secret: path, query, headers, body.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = Url::parse(&self.url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        f.debug_struct("Request").field("origin", &origin).field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The answer's status, if there was one.
    pub status: Option<u16>,
    /// Why the event does not count as received, for people, in words that stay the same; `None`: it was received.
    pub error: Option<String>,
    /// From the beginning to the outcome.
    pub duration: Duration,
    /// How the answer's body begins: at most [`MOST_KEPT`] bytes, what is no text replaced. Never a NUL, which the
    /// database can't keep.
    pub body: String,
    /// How long the receiver asks to be left alone (`Retry-After`), at most [`LONGEST_RETRY_AFTER`].
    pub retry_after: Option<Duration>,
}

impl Outcome {
    /// That nothing was called, and why.
    pub fn failed(error: &str) -> Self {
        let (duration, body) = (Duration::ZERO, String::new());
        Self { status: None, error: Some(error.to_owned()), duration, body, retry_after: None }
    }

    /// That nothing was called, and counts as if it had been received.
    pub fn dropped() -> Self {
        let body = "not sent: a fault dropped it".to_owned();
        Self { status: None, error: None, duration: Duration::ZERO, body, retry_after: None }
    }

    /// Whether the event was received: 200, and nothing else (known).
    pub fn is_received(&self) -> bool {
        self.error.is_none()
    }
}

/// Calls receivers, each time over a connection of its own: what a name resolves to is looked up, and checked, for every
/// attempt. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    rules: Arc<AddressRules>,
    timeout: Duration,
}

impl Sender {
    /// One that resolves names, and trusts certificates, as this machine does. `timeout` is for an attempt from its
    /// beginning to the end of the answer. Reads the machine's certificates.
    ///
    /// # Errors
    /// The TLS library's.
    pub fn new(rules: AddressRules, timeout: Duration) -> Result<Self, SenderError> {
        Self::with(rules, timeout, Arc::new(Machine), trust::machine_roots())
    }

    /// The same with another resolver and other issuers.
    ///
    /// # Errors
    /// The TLS library's.
    pub fn with(
        rules: AddressRules,
        timeout: Duration,
        resolver: Arc<dyn Resolve>,
        roots: RootCertStore,
    ) -> Result<Self, SenderError> {
        let rules = Arc::new(rules);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(Checked { resolver, rules: Arc::clone(&rules) }))
            // a proxy would connect to addresses that nobody checked; so would a redirect
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .user_agent(concat!("concierge-sandbox/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, rules, timeout })
    }

    /// Tries once to send something. Never fails but in the outcome, and takes no longer than the time-out. Logs nothing.
    ///
    /// The status decides: a body that breaks off, or goes on for ever, after a 200 is none of our business.
    pub async fn attempt(&self, request: &Request) -> Outcome {
        let started = Instant::now();
        let deadline = started + self.timeout;
        let mut outcome =
            Outcome { status: None, error: None, duration: Duration::ZERO, body: String::new(), retry_after: None };
        match timeout_at(deadline, self.call(request)).await {
            Err(_) => outcome.error = Some(format!("timed out after {}", humantime::format_duration(self.timeout))),
            Ok(Err(error)) => outcome.error = Some(error),
            Ok(Ok(response)) => {
                let status = response.status().as_u16();
                outcome.status = Some(status);
                outcome.error = refuse(status);
                let retry_after = response.headers().get(header::RETRY_AFTER).map(HeaderValue::to_str);
                if let (Some(Ok(value)), Some(_)) = (retry_after, &outcome.error) {
                    outcome.retry_after = read_retry_after(value, Clock::machine().now().into());
                }
                outcome.body = begin(response, deadline).await;
            }
        }
        outcome.duration = started.elapsed();
        outcome
    }

    /// The head of the answer, or why there is none.
    async fn call(&self, request: &Request) -> Result<Response, String> {
        let url = receiver::read(&request.url, &self.rules).map_err(|fault| match fault {
            receiver::Fault::Refused(refusal) => refusal.to_string(),
            fault => format!("the URL must be {fault}"),
        })?;
        let post = self.client.post(url).headers(request.headers.clone()).body(request.body.clone());
        post.send().await.map_err(|error| failure::describe(&error))
    }
}

/// Why a [`Sender`] can't be made.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    #[error("the TLS library can't be used: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the HTTP client can't be used: {0}")]
    Http(#[from] reqwest::Error),
}

/// Why an answer does not mean that the event was received; `None` where it does.
fn refuse(status: u16) -> Option<String> {
    match status {
        200 => None,
        300..=399 => Some(format!("answered {status}; redirects are not followed")),
        201..=299 => Some(format!("answered {status}; only 200 means received")),
        _ => Some(format!("answered {status}")),
    }
}

/// How a body begins. Reads [`MOST_READ`] bytes at most; dropping the response ends the connection.
async fn begin(mut response: Response, deadline: Instant) -> String {
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

/// Bytes as text that the database can keep, without the half of a character at the end.
fn text(bytes: &[u8]) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    String::from_utf8_lossy(whole).replace('\0', "\u{fffd}")
}

/// The time that a `Retry-After` names (RFC 9110, 10.2.3): seconds, or a date, which is compared with `now`. `None` for
/// what is neither; zero for what is past; [`LONGEST_RETRY_AFTER`] for more.
pub fn read_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let asked = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(LONGEST_RETRY_AFTER, Duration::from_secs)
    } else {
        httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(asked.min(LONGEST_RETRY_AFTER))
}
