//! The host and the scheme by which a client reaches this server, and the hosts that it answers to.

use std::fmt;
use std::net::Ipv6Addr;

use url::Url;

/// A scheme that clients reach this server by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// What it must be; continues the words "must be".
    pub const EXPECTED: &str = "http or https";

    /// Reads the name of a scheme in any case.
    pub fn read(text: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme.name()))
    }

    /// Returns its name in a URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A host name or address with its port, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

impl Host {
    /// What it must be; continues the words "must be".
    pub const EXPECTED: &str = "a host name or address, with or without a port, such as localhost:8080";

    /// Reads a name or an address with or without a port; `None` for other text.
    pub fn read(text: &str) -> Option<Self> {
        let colon = text.rfind(':').filter(|colon| !text[*colon..].contains(']'));
        let (name, port) = colon.map_or((text, ""), |colon| (&text[..colon], &text[colon + 1..]));
        let is_name = (1..=253).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if !is_name && address.is_none_or(|address| address.parse::<Ipv6Addr>().is_err()) {
            return None;
        }
        let port = match port {
            "" => None,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|port| *port > 0)?)
            }
            _ => return None,
        };
        Some(Self { name: name.to_ascii_lowercase(), port })
    }

    /// Returns the name or address, without the port.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shows the host in a URL, without the default port of the scheme.
    pub fn behind(&self, scheme: Scheme) -> impl fmt::Display {
        fmt::from_fn(move |formatter| match self.port.filter(|port| *port != scheme.default_port()) {
            Some(port) => write!(formatter, "{}:{port}", self.name),
            None => formatter.write_str(&self.name),
        })
    }
}

/// Domains whose names no stranger can register, besides names of a single label.
const LOCAL_DOMAINS: [&str; 7] = ["localhost", "local", "internal", "test", "home.arpa", "svc", "cluster.local"];

impl Host {
    /// Returns whether no stranger can own the name: an address, a single label, or a name of a local domain. A web page
    /// under such a name is of this machine or its network, so it is no attack by DNS rebinding.
    pub fn is_local(&self) -> bool {
        let name = self.name.strip_suffix('.').unwrap_or(&self.name);
        let Some((_, top)) = name.rsplit_once('.') else { return true };
        // the last label of a name is never a number, so this is an address
        let is_address = name.starts_with('[') || top.bytes().all(|byte| byte.is_ascii_digit());
        is_address || LOCAL_DOMAINS.iter().any(|domain| is_under(name, domain))
    }
}

/// Returns whether a name is one of a domain, or the domain itself.
fn is_under(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The hosts that requests may name besides the local ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHosts {
    Any,
    Listed(Vec<String>),
}

impl AllowedHosts {
    /// Reads `*`, or a list of names with commas. `*.example.com` stands for every name under a domain.
    ///
    /// # Errors
    /// Names the first value that is no name.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let name = |item: &str| {
            let plain = item.strip_prefix("*.").unwrap_or(item);
            let is_name = Host::read(plain).is_some_and(|host| host.port.is_none() && !host.name.starts_with('.'));
            if is_name {
                return Ok(item.to_ascii_lowercase());
            }
            Err(match item {
                "*" => "\"*\" allows every host, so it must stand alone, without other hosts".to_owned(),
                item => {
                    format!("{item:?} is no host; it must be like sandbox.example.com or *.example.com, without a port")
                }
            })
        };
        text.split(',').map(|item| name(item.trim())).collect::<Result<_, _>>().map(Self::Listed)
    }

    /// Adds the host of a public URL.
    #[must_use]
    pub fn with(self, public_url: Option<&str>) -> Self {
        let host = public_url.and_then(|url| Url::parse(url).ok()?.host_str().map(str::to_ascii_lowercase));
        match self {
            Self::Any => Self::Any,
            Self::Listed(names) => Self::Listed(names.into_iter().chain(host).collect()),
        }
    }

    /// Returns whether a request may name this host.
    pub fn allow(&self, host: &Host) -> bool {
        let Self::Listed(names) = self else { return true };
        let found = host.name.strip_suffix('.').unwrap_or(&host.name);
        host.is_local()
            || names.iter().any(|name| match name.strip_prefix('*') {
                Some(domain) => found.ends_with(domain),
                None => found == name,
            })
    }
}
