//! Rules for the URLs of receivers. Pure: names are not resolved here.
//!
//! Each attempt resolves the name and checks its addresses.

use axum::http::Uri;
use url::{Host, Url};

use super::address::{AddressRules, Refusal};

/// Longest URL, in characters.
pub const LONGEST: usize = 2048;

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
        Some(Host::Domain(_)) => {}
        None => return Err(UrlFault::Malformed(url::ParseError::EmptyHost)),
    }
    // the parser accepts names such as `{`
    if Uri::try_from(url.as_str()).is_err() {
        return Err(UrlFault::NotForHttp);
    }
    Ok(url)
}

/// A fault of a URL. Each message continues the words "must be".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    #[error("an http or https URL, such as https://example.com/hook")]
    NotHttp,
    #[error("a valid URL; this one has an {0}")]
    Malformed(url::ParseError),
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
