//! Splits a query string into its parameters, as forms are decoded: `+` is a space, and a percent sign that begins no
//! escape stands for itself.

use std::borrow::Cow;
use std::collections::HashSet;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::jsonapi::document::MOST_FAULTS;
use crate::jsonapi::error::{Error, PARAMETER_INVALID};

/// Characters that a client may send in a query, but that no URL may have.
const FOREIGN: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A parameter.
#[derive(Debug)]
pub struct Parameter<'a> {
    pub name: Cow<'a, str>,
    pub value: Cow<'a, str>,
    /// Name and value as sent.
    sent: &'a str,
}

/// Splits a query string. Empty parts have no meaning.
///
/// # Errors
/// 400 in the place of each parameter that is not UTF-8.
pub fn split(query: &str) -> impl Iterator<Item = Result<Parameter<'_>, Error>> {
    query.split('&').filter(|sent| !sent.is_empty()).map(|sent| {
        let (name, value) = sent.split_once('=').unwrap_or((sent, ""));
        let invalid = |named: &str, fault: &str| {
            let detail = format!("`{named}` {fault} is not UTF-8; encode text in UTF-8, such as %C3%B3 for ó");
            Error::new(PARAMETER_INVALID, detail).parameter(named)
        };
        let name = decode(name).ok_or_else(|| invalid(name, "as a parameter's name"))?;
        let value = decode(value).ok_or_else(|| invalid(&name, "has a value that"))?;
        Ok(Parameter { name, value, sent })
    })
}

/// Reads parameters that may each be given once, with `take`, and returns all faults.
pub fn read_each(query: Option<&str>, mut take: impl FnMut(&str, &str) -> Result<(), Error>) -> Vec<Error> {
    let mut seen = HashSet::new();
    let read = split(query.unwrap_or_default()).map(|parameter| {
        let Parameter { name, value, .. } = parameter?;
        if !seen.insert(name.clone()) {
            return Err(given_twice(&name, "give it once"));
        }
        take(&name, &value)
    });
    read.filter_map(Result::err).take(MOST_FAULTS).collect()
}

/// Returns the error of a parameter that is given twice. `remedy` completes its detail.
pub fn given_twice(name: &str, remedy: &str) -> Error {
    Error::new(PARAMETER_INVALID, format!("`{name}` is given twice; {remedy}")).parameter(name)
}

impl Parameter<'_> {
    /// Appends the parameter to a query string as sent. Only characters that no URL may have are escaped, so that a link
    /// is hardly longer than the query of its client.
    pub fn append_to(&self, query: &mut String) {
        if !query.is_empty() {
            query.push('&');
        }
        let mut parts = self.sent.split('%');
        query.extend(parts.next().into_iter().flat_map(|part| utf8_percent_encode(part, FOREIGN)));
        for part in parts {
            let is_escape = part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
            query.push_str(if is_escape { "%" } else { "%25" });
            query.extend(utf8_percent_encode(part, FOREIGN));
        }
    }

    /// Returns the length as sent, in bytes.
    pub fn length(&self) -> usize {
        self.sent.len()
    }
}

/// Decodes a name or value; `None` if it is not UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        let text = text.replace('+', " ");
        return percent_decode_str(&text).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()));
    }
    percent_decode_str(text).decode_utf8().ok()
}
