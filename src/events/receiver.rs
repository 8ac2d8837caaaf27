//! Which URLs events may be sent to. Pure: a name is resolved when it is called, and what it resolves to is checked
//! then, every time.

use axum::http::Uri;
use url::{Host, Url};

use super::address::{AddressRules, Refusal};

/// Longest URL, in characters.
pub const LONGEST: usize = 2048;

/// Reads the URL of a receiver.
///
/// # Errors
/// The first of its faults.
pub fn read(text: &str, rules: &AddressRules) -> Result<Url, Fault> {
    let length = text.chars().count();
    if length > LONGEST {
        return Err(Fault::TooLong(length));
    }
    // the parser would leave it out, and what is stored would not be what is called
    if text.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(Fault::Spaced);
    }
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(Fault::NotHttp);
    }
    let url = Url::parse(text).map_err(Fault::Malformed)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(Fault::Fragment);
    }
    match url.host() {
        Some(Host::Ipv4(address)) => rules.check(address.into())?,
        Some(Host::Ipv6(address)) => rules.check(address.into())?,
        Some(Host::Domain(_)) => {}
        None => return Err(Fault::Malformed(url::ParseError::EmptyHost)),
    }
    // names such as `{`, which the parser lets through
    if Uri::try_from(url.as_str()).is_err() {
        return Err(Fault::NotForHttp);
    }
    Ok(url)
}

/// Why events can't be sent to a URL; each message says what a URL must be, and follows "must be".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("an http or https URL, such as https://example.com/hook")]
    NotHttp,
    #[error("a URL that can be read; this one has an {0}")]
    Malformed(url::ParseError),
    #[error("a URL that HTTP can carry; this one has a character that doesn't belong there")]
    NotForHttp,
    #[error("at most {LONGEST} characters long, and has {0}")]
    TooLong(usize),
    #[error("a URL without white space and control characters; write a space as %20")]
    Spaced,
    #[error("a URL without user name and password; what the receiver is to know can stand in the path or the query")]
    UserInfo,
    #[error("a URL without a fragment, which would never be sent; leave out the # and what follows it")]
    Fragment,
    #[error("a URL that may be called; {0}")]
    Refused(#[from] Refusal),
}
