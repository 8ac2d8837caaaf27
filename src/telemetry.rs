//! Logs, and a span for each request that carries its id into every line.

use std::io::IsTerminal;

use axum::extract::MatchedPath;
use axum::http::{HeaderName, HeaderValue, Request, Response};
use tower_http::request_id::{MakeRequestId, RequestId};
use tracing::Span;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};
use uuid::Uuid;

/// The header with a request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Starts to log the lines selected by `filter` to standard error.
pub fn start(filter: &Targets, format: LogFormat) {
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // one filter for all layers: a filter of one layer costs every request
    let filtered = registry().with(filter.clone());
    match format {
        LogFormat::Text => filtered.with(lines).init(),
        LogFormat::Json => filtered.with(lines.json().flatten_event(true)).init(),
    }
}

/// Assigns a UUID to each request.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        HeaderValue::try_from(Uuid::new_v4().to_string()).ok().map(RequestId::new)
    }
}

/// Removes an incoming request id that is not a UUID, so that the request gets a new one.
pub fn keep_valid_request_id<B>(mut request: Request<B>) -> Request<B> {
    let valid = |value: &HeaderValue| value.to_str().is_ok_and(|id| Uuid::try_parse(id).is_ok());
    if request.headers().get(&REQUEST_ID).is_some_and(|value| !valid(value)) {
        request.headers_mut().remove(&REQUEST_ID);
    }
    request
}

/// Creates the span of a request, with its id, method, route and version.
pub fn request_span<B>(request: &Request<B>) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    tracing::info_span!(
        "request",
        id = %text("x-request-id"),
        method = %request.method(),
        route = %route,
        version = %text("version"),
    )
}

/// Response extension that marks an injected failure and names its cause.
#[derive(Debug, Clone, Copy)]
pub struct Injected(pub &'static str);

/// Logs a line for each answer: our own failures as errors, all other answers at debug level.
pub fn log_response<B>(response: &Response<B>, took: std::time::Duration, _: &Span) {
    let (status, milliseconds) = (response.status().as_u16(), took.as_secs_f64() * 1000.0);
    if let Some(Injected(cause)) = response.extensions().get() {
        tracing::debug!(status, milliseconds, cause, "answered with an injected failure");
    } else if status >= 500 && status != 503 {
        tracing::error!(status, milliseconds, "answered with a failure");
    } else {
        tracing::debug!(status, milliseconds, "answered");
    }
}
