//! The origin of links: the scheme, host and path prefix by which a client reaches this server.
//!
//! The first of these leads a link: the account's `public_url`, the server's, the origin of the request.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use url::Url;

use super::host::{AllowedHosts, Host, Scheme};
use crate::accounts::caller::Caller;
use crate::jsonapi::error::{Error, HEADER_INVALID};
use crate::jsonapi::negotiation::split_quoted;

/// Longest public URL, in characters.
pub const LONGEST_URL: usize = 2048;
/// Headers of a trusted proxy that lead to other links. Shared caches must know them.
pub const PROXY_HEADERS: &str = "Forwarded, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Prefix";

/// The server's part in the origin of links.
#[derive(Debug)]
pub struct OriginRules {
    /// Origin of every link without a better one of the account.
    pub public_url: Option<Arc<str>>,
    /// Origin of a request without a host.
    pub listening: Arc<str>,
    /// True if the headers of a proxy count.
    pub trusts_proxy: bool,
    /// Hosts that requests may name besides the local ones.
    pub allowed_hosts: AllowedHosts,
}

/// The origins that a request may get links with, before its account is known.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The server's public URL.
    pub public_url: Option<Arc<str>>,
    /// The origin to which the client sent the request.
    pub request: Arc<str>,
}

impl Origin {
    /// Returns the origin of the links in an answer to a caller.
    pub fn for_caller<'a>(&'a self, caller: &'a Caller) -> &'a str {
        caller.public_url.as_deref().unwrap_or_else(|| self.without_account())
    }

    /// Returns the origin of the links in an answer that belongs to no account.
    pub fn without_account(&self) -> &str {
        self.public_url.as_deref().unwrap_or(&self.request)
    }

    /// Returns the path under which a proxy serves this server, mostly none.
    pub fn path_prefix(&self) -> &str {
        let host = self.without_account().split_once("://").map_or("", |(_, host)| host);
        host.find('/').map_or("", |place| &host[place..])
    }
}

impl OriginRules {
    /// Reads the origin of a request.
    ///
    /// # Errors
    /// 400 for a host that is none, and for unusable headers of a trusted proxy.
    pub fn read(&self, parts: &Parts) -> Result<Origin, Error> {
        let own = read_own_host(parts)?;
        let request = if self.trusts_proxy {
            let Forwarded { scheme, host, prefix } = Forwarded::read(&parts.headers)?;
            let host = host.or(own);
            self.render(scheme.unwrap_or_else(|| self.scheme()), host.as_ref(), &prefix)
        } else {
            self.render(self.scheme(), own.as_ref(), "")
        };
        Ok(Origin { public_url: self.public_url.clone(), request: request.into() })
    }

    /// Returns the scheme that the server itself speaks.
    fn scheme(&self) -> Scheme {
        if self.listening.starts_with("https:") { Scheme::Https } else { Scheme::Http }
    }

    /// Returns whether the `Origin` of a request is the one to which it was sent, or that of the public URL.
    ///
    /// # Errors
    /// As in [`OriginRules::read`].
    pub fn is_own(&self, origin: &str, parts: &Parts) -> Result<bool, Error> {
        let Some(origin) = read_browser_origin(origin) else { return Ok(false) };
        let Origin { public_url, request } = self.read(parts)?;
        let is_of = |url: &str| {
            // a path may follow: the prefix of a proxy
            url.to_ascii_lowercase().strip_prefix(&origin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        Ok(is_of(&request) || public_url.as_deref().is_some_and(is_of))
    }

    fn render(&self, scheme: Scheme, host: Option<&Host>, prefix: &str) -> String {
        match host {
            Some(host) => format!("{}://{}{prefix}", scheme.name(), host.behind(scheme)),
            None => format!("{}{prefix}", self.listening),
        }
    }
}

/// Reads the host of the request's target, or else of its `Host` header.
///
/// # Errors
/// 400 for a host that is none.
pub fn read_own_host(parts: &Parts) -> Result<Option<Host>, Error> {
    let named = match parts.uri.authority() {
        Some(authority) => Some(authority.as_str().into()),
        None => text(&parts.headers, "Host")?,
    };
    named.map(|named| Host::read(&named).ok_or_else(|| invalid("Host", &named, Host::EXPECTED))).transpose()
}

/// What a proxy says about the request that it received.
struct Forwarded {
    scheme: Option<Scheme>,
    host: Option<Host>,
    prefix: String,
}

impl Forwarded {
    /// Reads the headers of a proxy. `Forwarded` wins over `X-Forwarded-Proto` and `X-Forwarded-Host`.
    fn read(headers: &HeaderMap) -> Result<Self, Error> {
        let (mut scheme, mut host) = read_forwarded(headers)?;
        if let Some(named) = first(headers, "X-Forwarded-Proto")? {
            let read = Scheme::read(&named).ok_or_else(|| invalid("X-Forwarded-Proto", &named, Scheme::EXPECTED))?;
            scheme = scheme.or(Some(read));
        }
        if let Some(named) = first(headers, "X-Forwarded-Host")? {
            let read = Host::read(&named).ok_or_else(|| invalid("X-Forwarded-Host", &named, Host::EXPECTED))?;
            host = host.or(Some(read));
        }
        let prefix = text(headers, "X-Forwarded-Prefix")?.unwrap_or_default();
        let prefix = read_prefix(&prefix).ok_or_else(|| invalid("X-Forwarded-Prefix", &prefix, EXPECTED_PREFIX))?;
        Ok(Self { scheme, host, prefix })
    }
}

/// Returns the first value of a list, which is that of the proxy nearest to the client.
fn first(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Error> {
    let list = text(headers, name)?.unwrap_or_default();
    Ok(list.split(',').map(str::trim).find(|value| !value.is_empty()).map(str::to_owned))
}

/// Reads `proto` and `host` of the first element of `Forwarded` (RFC 7239).
fn read_forwarded(headers: &HeaderMap) -> Result<(Option<Scheme>, Option<Host>), Error> {
    const EXPECTED: &str = "a list of pairs, such as proto=https;host=sandbox.example.com";
    let list = text(headers, "Forwarded")?.unwrap_or_default();
    let element = split_quoted(&list, ',').map(str::trim).find(|element| !element.is_empty()).unwrap_or_default();
    let (mut scheme, mut host) = (None, None);
    let mut seen: Vec<String> = Vec::new();
    for pair in split_quoted(element, ';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let malformed = || invalid("Forwarded", &list, EXPECTED);
        let (name, value) = pair.split_once('=').ok_or_else(malformed)?;
        let (name, value) = (name.to_ascii_lowercase(), unquote(value).ok_or_else(malformed)?);
        if name.is_empty() || !name.bytes().all(is_token) || seen.contains(&name) {
            return Err(malformed());
        }
        match name.as_str() {
            "proto" => {
                let read = Scheme::read(&value).ok_or_else(|| {
                    let detail = format!("`Forwarded` has the proto {value:?}; it must be {}", Scheme::EXPECTED);
                    Error::new(HEADER_INVALID, detail).header("Forwarded")
                })?;
                scheme = Some(read);
            }
            "host" => {
                let read = Host::read(&value).ok_or_else(|| {
                    let detail = format!("`Forwarded` has the host {value:?}; it must be {}", Host::EXPECTED);
                    Error::new(HEADER_INVALID, detail).header("Forwarded")
                })?;
                host = Some(read);
            }
            _ => {}
        }
        seen.push(name);
    }
    Ok((scheme, host))
}

/// Returns the text of a token or a quoted string.
fn unquote(value: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = value.strip_prefix('"') else {
        return (!value.is_empty() && value.bytes().all(is_token)).then_some(value.into());
    };
    let mut text = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text.into()),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

const EXPECTED_PREFIX: &str = "a path, such as /sandbox";

/// Reads the path prefix of a proxy. Each proxy of a list removes its own, so together they lead a link.
fn read_prefix(list: &str) -> Option<String> {
    let paths = list.split(',').map(str::trim).filter(|path| !path.is_empty());
    paths.map(|path| read_path(path.trim_end_matches('/'))).collect()
}

/// Returns a path if links may begin with it: a list of segments, each with a leading slash.
fn read_path(path: &str) -> Option<&str> {
    let mut segments = path.split('/');
    let is_absolute = segments.next() == Some("");
    (is_absolute && segments.all(is_segment)).then_some(path)
}

fn is_segment(segment: &str) -> bool {
    let is_usable = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=:@%".contains(&byte);
    let mut escapes = segment.split('%').skip(1).map(|rest| rest.as_bytes().get(..2));
    let are_escapes = escapes.all(|digits| digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)));
    !matches!(segment, "" | "." | "..") && segment.bytes().all(is_usable) && are_escapes
}

/// What a public URL must be; continues the words "must be".
pub const EXPECTED_URL: &str =
    "an http or https URL, such as https://sandbox.example.com, without user, query and fragment";

/// Reads a public URL: scheme, host and port, and a path prefix. Links continue it, so it loses its trailing slash.
pub fn read_public_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = Scheme::read(scheme)?;
    // the parser would drop white space and further slashes, and take a backslash for a slash
    let has_odd = rest.starts_with('/')
        || text.contains(|character: char| {
            character.is_whitespace() || character.is_control() || matches!(character, '\\' | '?' | '#')
        });
    let url = Url::parse(text).ok().filter(|url| !has_odd && url.scheme() == scheme.name() && url.port() != Some(0))?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    (!has_user).then(|| url.as_str().trim_end_matches('/').to_owned())
}

/// Reads an origin in the form of the header `Origin`, such as `http://localhost:3000`. Returns it as browsers send it.
pub fn read_browser_origin(text: &str) -> Option<String> {
    let (scheme, host) = text.split_once("://")?;
    let scheme = Scheme::read(scheme)?;
    Host::read(host).map(|host| format!("{}://{}", scheme.name(), host.behind(scheme)))
}

/// Returns the text of a header; repeated headers are joined with commas.
pub fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<Cow<'a, str>>, Error> {
    let mut list: Option<Cow<'a, str>> = None;
    for line in headers.get_all(name) {
        let line = HeaderValue::to_str(line)
            .map_err(|_| Error::new(HEADER_INVALID, format!("`{name}` must be plain ASCII")).header(name))?;
        list = Some(list.map_or(line.into(), |list| format!("{list}, {line}").into()));
    }
    Ok(list)
}

fn invalid(name: &'static str, found: &str, expected: &str) -> Error {
    Error::new(HEADER_INVALID, format!("`{name}` is {found:?}; it must be {expected}")).header(name)
}
