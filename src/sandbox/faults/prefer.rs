//! The header `Prefer` (RFC 7240). The only known preference is `code`: `code=503` asks for an answer with 503.

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use crate::faults::{FAULT_INJECTED, STATUSES};
use crate::jsonapi::error::{Code, Error, Errors, HEADER_INVALID};
use crate::jsonapi::negotiation::split_quoted;
use crate::telemetry::Injected;

/// Reads the status that a request asks for, if any. The first `code` counts. Unknown preferences have no effect.
///
/// # Errors
/// 400 for an invalid status.
pub fn read(headers: &HeaderMap) -> Option<Result<u16, Errors>> {
    for line in headers.get_all("prefer") {
        // a line that is not text holds no known preference
        let Ok(line) = line.to_str() else { continue };
        for preference in split_quoted(line, ',') {
            let preference = split_quoted(preference, ';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            if name.trim().eq_ignore_ascii_case("code") {
                return Some(read_code(value.trim()));
            }
        }
    }
    None
}

fn read_code(text: &str) -> Result<u16, Errors> {
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let digits = bare.len() == 3 && bare.bytes().all(|byte| byte.is_ascii_digit());
    bare.parse().ok().filter(|status| digits && STATUSES.contains(status)).ok_or_else(|| {
        let (first, last) = (STATUSES.start(), STATUSES.end());
        let detail = format!("`Prefer` has the code {text:?}; it must be from {first} to {last}");
        Error::new(HEADER_INVALID, detail).header("Prefer").into()
    })
}

/// Returns the answer with that status.
pub fn answer(status: u16) -> Response {
    let mut response = injected(status, None, "the request's `Prefer` header asked for this answer");
    // three digits
    if let Ok(applied) = format!("code={status}").try_into() {
        response.headers_mut().insert("preference-applied", applied);
    }
    response
}

/// Returns an answer with an injected failure, marked as such for the server log.
pub fn injected(status: u16, retry_after: Option<u64>, cause: &'static str) -> Response {
    let detail = format!("{cause}; the request had no effect");
    let mut errors = Errors::from(Error::new(Code { status, ..FAULT_INJECTED }, detail));
    errors.retry_after = retry_after;
    let mut response = errors.into_response();
    response.extensions_mut().insert(Injected(cause));
    response
}
