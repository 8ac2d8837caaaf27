//! Redacts secrets in recorded exchanges: keys in headers, passwords in queries and bodies.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, header};
use memchr::{memchr_iter, memchr2_iter};
use percent_encoding::percent_decode_str;

use crate::telemetry::REQUEST_ID;

/// Text in the place of a secret.
pub const REDACTED: &str = "[redacted]";
/// Name of the member or parameter with a secret value.
const PASSWORD: &str = "password";

/// Formats the headers, one in each line, with [`REDACTED`] for secrets.
pub fn headers(headers: &HeaderMap) -> Box<str> {
    let length = headers.iter().map(|(name, value)| name.as_str().len() + ": \n".len() + value.len()).sum();
    let mut lines = String::with_capacity(length);
    // the exchange shows the request's id already, and clients seldom send one
    for (name, value) in headers.iter().filter(|(name, _)| **name != REQUEST_ID) {
        let value = String::from_utf8_lossy(value.as_bytes());
        let shown = if *name == header::AUTHORIZATION {
            authorization(&value)
        } else if is_secret(name) {
            REDACTED.into()
        } else {
            value
        };
        lines.extend([name.as_str(), ": ", &shown, "\n"]);
    }
    lines.into_boxed_str()
}

fn is_secret(name: &HeaderName) -> bool {
    *name == header::COOKIE || *name == header::PROXY_AUTHORIZATION || name.as_str() == "one-time-password"
}

/// Redacts the key in `KEY; user=ID` and keeps the user.
fn authorization(value: &str) -> Cow<'static, str> {
    let acting_as = value.split_once(';').map(|(_, parameter)| parameter.trim());
    match acting_as.filter(|parameter| parameter.starts_with("user=")) {
        Some(acting_as) => format!("{REDACTED}; {acting_as}").into(),
        None => REDACTED.into(),
    }
}

/// Returns a query with [`REDACTED`] for each password.
pub fn query(query: &str) -> Box<str> {
    let shown = |parameter| match str::split_once(parameter, '=') {
        Some((name, _)) if names_password(name) => format!("{name}={REDACTED}").into(),
        _ => Cow::from(parameter),
    };
    query.split('&').map(shown).collect::<Vec<_>>().join("&").into_boxed_str()
}

/// Returns whether an encoded parameter's name is that of a password, as a whole or within brackets.
fn names_password(name: &str) -> bool {
    let name = percent_decode_str(name).decode_utf8_lossy();
    name.split(['[', ']']).any(|part| part.eq_ignore_ascii_case(PASSWORD))
}

/// Returns a body with [`REDACTED`] for each password. The body may be cut anywhere.
pub fn body(body: Vec<u8>) -> Box<[u8]> {
    if !may_name_password(&body) {
        return body.into();
    }
    let mut kept = Vec::with_capacity(body.len());
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        if *byte != b'"' {
            kept.push(*byte);
            at += 1;
            continue;
        }
        let end = string_end(&body, at);
        kept.extend_from_slice(&body[at..end]);
        let colon = blanks_end(&body, end);
        if body.get(colon) == Some(&b':') && is_password(&body[at..end]) {
            let value = blanks_end(&body, colon + 1);
            kept.extend_from_slice(&body[end..value]);
            if value < body.len() {
                kept.extend_from_slice(format!("{REDACTED:?}").as_bytes());
            }
            at = value_end(&body, value);
        } else {
            at = end;
        }
    }
    kept.into()
}

/// Returns false if the body can't name a password: it contains neither the name nor a `\u` escape.
fn may_name_password(body: &[u8]) -> bool {
    // a search for its rarest letter is faster than a comparison at each byte
    const RAREST: usize = 4;
    let is_name = |place: usize| {
        let begin = place.checked_sub(RAREST);
        let name = begin.and_then(|begin| body.get(begin..begin + PASSWORD.len()));
        name.is_some_and(|name| name.eq_ignore_ascii_case(PASSWORD.as_bytes()))
    };
    memchr2_iter(b'w', b'W', body).any(is_name)
        || memchr_iter(b'\\', body).any(|place| body.get(place + 1) == Some(&b'u'))
}

/// Returns whether a JSON string is the name of a password.
fn is_password(string: &[u8]) -> bool {
    /// Length with each character escaped.
    const LONGEST: usize = 6 * PASSWORD.len() + 2;
    let read = (string.len() <= LONGEST).then(|| serde_json::from_slice::<String>(string).ok()).flatten();
    read.is_some_and(|name| name.eq_ignore_ascii_case(PASSWORD))
}

/// Returns the end of the string that begins at `at`.
fn string_end(body: &[u8], at: usize) -> usize {
    let mut place = at + 1;
    while let Some(byte) = body.get(place) {
        match byte {
            b'"' => return place + 1,
            b'\\' => place += 2,
            _ => place += 1,
        }
    }
    body.len()
}

fn blanks_end(body: &[u8], at: usize) -> usize {
    body[at..].iter().position(|byte| !byte.is_ascii_whitespace()).map_or(body.len(), |blanks| at + blanks)
}

/// Returns the end of the value that begins at `at`.
fn value_end(body: &[u8], at: usize) -> usize {
    let (mut place, mut depth) = (at, 0);
    while let Some(byte) = body.get(place) {
        match byte {
            b'"' => {
                place = string_end(body, place);
                if depth == 0 {
                    return place;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return place + depth,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return place,
            _ => {}
        }
        place += 1;
    }
    body.len()
}
