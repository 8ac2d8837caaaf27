//! The header `Prefer` (RFC 7240), of which one preference is known here: `code=503` asks for that answer.

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use crate::faults::FAULT_INJECTED;
use crate::faults::STATUSES;
use crate::jsonapi::error::{Code, Error, Errors, HEADER_INVALID};
use crate::jsonapi::negotiation::split_quoted;
use crate::telemetry::Injected;

/// The status that a request asks for, if it does, or why it can't have that. Of several, the first one counts; other
/// preferences have no effect.
pub fn read(headers: &HeaderMap) -> Option<Result<u16, Errors>> {
    for line in headers.get_all("prefer") {
        // what isn't text is none of the preferences known here
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
        let detail = format!("asks for the code {text:?}; it must be from {} to {}", STATUSES.start(), STATUSES.end());
        Error::new(HEADER_INVALID, detail).header("Prefer").into()
    })
}

/// The answer with that status.
pub fn answer(status: u16) -> Response {
    let mut response = injected(status, None, "the request asked for this answer with Prefer");
    // three digits
    if let Ok(applied) = format!("code={status}").try_into() {
        response.headers_mut().insert("preference-applied", applied);
    }
    response
}

/// The answer with an error that nothing but the client's own wish has caused.
pub fn injected(status: u16, retry_after: Option<u64>, cause: &'static str) -> Response {
    let detail = format!("{cause}; the request had no effect");
    let mut errors = Errors::from(Error::new(Code { status, ..FAULT_INJECTED }, detail));
    errors.retry_after = retry_after;
    let mut response = errors.into_response();
    response.extensions_mut().insert(Injected(cause));
    response
}
