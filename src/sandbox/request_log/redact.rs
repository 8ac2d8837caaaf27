//! Redacts secrets in recorded exchanges: keys in headers, passwords in queries and bodies.
//!
//! Bodies are recorded as they came, so a client that sends another format than JSON by mistake has its passwords
//! redacted, too: quoted by apostrophes, as a form, or as a multipart document.

mod multipart;

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, header};
use memchr::{memchr, memchr_iter, memchr2_iter};
use percent_encoding::percent_decode;

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
    // only whole ASCII parts are replaced
    String::from_utf8_lossy(&form(query.as_bytes())).into()
}

/// Returns a form with [`REDACTED`] for each password.
fn form(form: &[u8]) -> Vec<u8> {
    let shown = |parameter: &[u8]| {
        let name = parameter.iter().position(|byte| *byte == b'=').map(|end| &parameter[..=end]);
        match name {
            Some(name) if names_password(&name[..name.len() - 1]) => [name, REDACTED.as_bytes()].concat(),
            _ => parameter.to_vec(),
        }
    };
    form.split(|byte| *byte == b'&').map(shown).collect::<Vec<_>>().join(&b'&')
}

/// Returns whether an encoded parameter's name is that of a password, as a whole or within brackets.
fn names_password(name: &[u8]) -> bool {
    let name = percent_decode(name).decode_utf8_lossy();
    name.trim().split(['[', ']']).any(|part| part.eq_ignore_ascii_case(PASSWORD))
}

/// Returns a body with [`REDACTED`] for each password. The body may be cut anywhere.
pub fn body(body: Vec<u8>) -> Box<[u8]> {
    if !may_name_password(&body) {
        return body.into();
    }
    let kept = json(&body);
    let start = blanks_end(&kept, 0);
    match kept.get(start..).unwrap_or_default() {
        [b'{' | b'[' | b'"', ..] => kept,
        [b'-', b'-', ..] => multipart::redact(&kept, names_password, REDACTED.as_bytes()),
        _ => form(&kept),
    }
    .into()
}

/// Redacts members of JSON, also of what passes for it with names in apostrophes.
fn json(body: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(body.len());
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        // elsewhere, an apostrophe is one of plain text
        let is_name = *byte == b'"' || *byte == b'\'' && is_password_in_apostrophes(&body[at..]);
        if !is_name {
            kept.push(*byte);
            at += 1;
            continue;
        }
        let end = string_end(body, at);
        kept.extend_from_slice(&body[at..end]);
        let colon = blanks_end(body, end);
        if body.get(colon) == Some(&b':') && (*byte == b'\'' || is_password(&body[at..end])) {
            let value = blanks_end(body, colon + 1);
            kept.extend_from_slice(&body[end..value]);
            if value < body.len() {
                kept.extend_from_slice(format!("{REDACTED:?}").as_bytes());
            }
            at = value_end(body, value);
        } else {
            at = end;
        }
    }
    kept
}

/// Returns whether a body begins with the name of a password in apostrophes.
fn is_password_in_apostrophes(body: &[u8]) -> bool {
    let name = body.get(1..=PASSWORD.len());
    name.is_some_and(|name| name.eq_ignore_ascii_case(PASSWORD.as_bytes()))
        && body.get(PASSWORD.len() + 1) == Some(&b'\'')
}

/// Returns false if the body can't name a password: it contains neither the name, nor an escape of JSON or a form.
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
        || memchr(b'%', body).is_some()
}

/// Returns whether a JSON string is the name of a password.
fn is_password(string: &[u8]) -> bool {
    /// Length with each character escaped.
    const LONGEST: usize = 6 * PASSWORD.len() + 2;
    let read = (string.len() <= LONGEST).then(|| serde_json::from_slice::<String>(string).ok()).flatten();
    read.is_some_and(|name| name.eq_ignore_ascii_case(PASSWORD))
}

/// Returns the end of the string that begins at `at`. It ends with the quote that it begins with.
fn string_end(body: &[u8], at: usize) -> usize {
    let mut place = at + 1;
    while let Some(byte) = body.get(place) {
        match byte {
            quote if *quote == body[at] => return place + 1,
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
            b'"' | b'\'' => {
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
