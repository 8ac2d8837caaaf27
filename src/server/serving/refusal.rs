//! Answers without a request: to bytes that are no request, to a head that took too long, to one connection too many.

use axum::http::StatusCode;
use uuid::Uuid;

use super::phase::PhaseLimits;
use crate::clock::Clock;
use crate::jsonapi::MEDIA_TYPE;
use crate::jsonapi::error::{Error, Errors, HEAD_TIMEOUT, HEADERS_TOO_LARGE, HTTP_INVALID, UNAVAILABLE, URL_TOO_LONG};

/// Maximum size of the head of a request, in bytes.
pub const LARGEST_HEAD: usize = 128 << 10;
/// Maximum number of headers of a request.
pub const MOST_HEADERS: usize = 100;
/// Maximum length of a URL, which the HTTP layer sets.
const LONGEST_URL: usize = (u16::MAX - 1) as usize;

/// Returns the errors in place of the HTTP layer's own answer with this status.
pub fn unreadable(status: u16) -> Errors {
    match status {
        414 => {
            let detail = format!("the URL is longer than {LONGEST_URL} bytes; send a shorter one");
            Error::new(URL_TOO_LONG, detail).into()
        }
        431 => {
            let detail = format!(
                "the head of the request has more than {LARGEST_HEAD} bytes or {MOST_HEADERS} headers; send fewer"
            );
            Error::new(HEADERS_TOO_LARGE, detail).into()
        }
        _ => {
            let detail = "the request is not valid HTTP/1.1: its first line or a header is malformed, has a character that \
                must be encoded, or names a wrong length";
            Error::new(HTTP_INVALID, detail).into()
        }
    }
}

/// Returns the error of a head that did not arrive in time.
pub fn late_head(limits: PhaseLimits) -> Errors {
    let time = humantime::format_duration(limits.head);
    Error::new(HEAD_TIMEOUT, format!("the head of the request was not complete after {time}")).into()
}

/// Returns the errors of one connection too many.
pub fn too_many(connections: usize) -> Errors {
    let detail = format!(
        "{connections} connections are open, as many as --max-connections allows; close some, or repeat the request in a \
         moment"
    );
    Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1)
}

/// Renders a whole answer, which ends its connection.
pub fn render(errors: &Errors, clock: &Clock) -> Vec<u8> {
    let body = errors.render();
    let status = StatusCode::from_u16(errors.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let retry = errors.retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {MEDIA_TYPE}\r\n{retry}x-request-id: {}\r\nconnection: close\r\n\
         content-length: {}\r\ndate: {}\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        Uuid::new_v4(),
        body.len(),
        httpdate::fmt_http_date(clock.now().into()),
    );
    [head.as_bytes(), &body].concat()
}
