//! Rules for the URLs of receivers. Pure: names are not resolved here.
//!
//! Each attempt resolves the name and checks its addresses.

use axum::http::Uri;
use url::{Host, Url};

use super::address::{AddressRules, Refusal};

/// Longest URL, in characters.
pub const LONGEST: usize = 2048;

/// Longest host name and longest label, in characters (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Reads the URL of a receiver.
///
/// # Errors
/// The first fault of the URL.
pub fn read(text: &str, rules: &AddressRules) -> Result<Url, UrlFault> {
    let length = text.chars().count();
    if length > LONGEST {
        return Err(UrlFault::TooLong(length));
    }
    // the parser would drop them, and the stored URL would differ from the called one
    if text.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(UrlFault::Spaced);
    }
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(UrlFault::NotHttp);
    }
    let url = Url::parse(text).map_err(UrlFault::Malformed)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlFault::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(UrlFault::Fragment);
    }
    match url.host() {
        Some(Host::Ipv4(address)) => rules.check(address.into())?,
        Some(Host::Ipv6(address)) => rules.check(address.into())?,
        Some(Host::Domain(name)) => check_name(name)?,
        None => return Err(UrlFault::Malformed(url::ParseError::EmptyHost)),
    }
    if url.port() == Some(0) {
        return Err(UrlFault::Port);
    }
    // the parser accepts more in a path than HTTP
    if Uri::try_from(url.as_str()).is_err() {
        return Err(UrlFault::NotForHttp);
    }
    Ok(url)
}

/// Checks that a name may have an address. Resolvers accept an underscore; a dot at the end makes a name absolute.
fn check_name(name: &str) -> Result<(), UrlFault> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let fault = |label: &str| {
        if label.is_empty() {
            Some("an empty label, before or after a dot")
        } else if label.len() > LONGEST_LABEL {
            Some("a label of more than 63 characters")
        } else if label.starts_with('-') || label.ends_with('-') {
            Some("a label with a hyphen at its begin or end")
        } else if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            Some("a character besides letters, digits, hyphen, underscore and dot")
        } else {
            None
        }
    };
    match name.split('.').find_map(fault) {
        Some(fault) => Err(UrlFault::Name(fault)),
        None if name.len() > LONGEST_NAME => Err(UrlFault::Name("more than 253 characters")),
        None => Ok(()),
    }
}

/// A fault of a URL. Each message continues the words "must be".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    #[error("an http or https URL, such as https://example.com/hook")]
    NotHttp,
    #[error("a valid URL; this one has an {0}")]
    Malformed(url::ParseError),
    #[error("a URL with a host name such as app.example.com; this one has {0}")]
    Name(&'static str),
    #[error("a URL with a port from 1 to 65535; no receiver listens on port 0")]
    Port,
    #[error("a URL allowed in HTTP; this one has an invalid character")]
    NotForHttp,
    #[error("at most {LONGEST} characters long; it has {0}")]
    TooLong(usize),
    #[error("a URL without white space or control characters; write a space as %20")]
    Spaced,
    #[error("a URL without user name and password; put credentials in the path or the query")]
    UserInfo,
    #[error("a URL without a fragment, because HTTP never sends it; remove the # and the text after it")]
    Fragment,
    #[error("an allowed URL; {0}")]
    Refused(#[from] Refusal),
}
