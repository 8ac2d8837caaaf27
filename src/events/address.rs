//! Which addresses events may be sent to. Pure.
//!
//! Receivers under test live on this machine or in its private network, so both may be called, and so may the rest of
//! the world. What may never be called is what answers with secrets because it trusts the network (a cloud's metadata),
//! and what is no single host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What is never called, and what it is.
const NEVER: [(IpNet, &str); 14] = [
    (v4([0, 0, 0, 0], 8), "unspecified"), // RFC 1122, 3.2.1.3; on Linux it is this machine
    (v4([169, 254, 0, 0], 16), "link-local"), // RFC 3927; the metadata of most clouds is at 169.254.169.254
    (v4([224, 0, 0, 0], 4), "multicast"), // RFC 5771
    (v4([255, 255, 255, 255], 32), "broadcast"), // RFC 919
    (v4([100, 100, 100, 200], 32), METADATA), // Alibaba Cloud
    (v4([168, 63, 129, 16], 32), METADATA), // Azure's agent, beside its 169.254.169.254
    (v4([192, 0, 0, 192], 32), METADATA), // Oracle Cloud's older one
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"), // RFC 4291
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"), // RFC 4291
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"), // RFC 4291
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), METADATA), // AWS: ::254, and its other services of the link
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), METADATA), // Google Cloud
    (v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128), METADATA), // Scaleway
    (v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), METADATA), // Oracle Cloud
];
const METADATA: &str = "a cloud's metadata";

/// Addresses that a gateway turns into the IPv4 address in their last 32 bits (RFC 6052).
const TRANSLATED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

const fn v4(address: [u8; 4], bits: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_octets(address), bits))
}

const fn v6(address: [u16; 8], bits: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_segments(address), bits))
}

/// Which addresses may be called: never the ones above, none that is denied, and where some are allowed, only those.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRules {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

impl AddressRules {
    /// The rules of two lists. An empty `allow` allows everything; `deny` wins.
    pub fn new(allow: &[IpNet], deny: &[IpNet]) -> Self {
        let read = |networks: &[IpNet]| networks.iter().copied().map(as_ipv4).collect();
        Self { allow: read(allow), deny: read(deny) }
    }

    /// Whether an address may be called. An IPv6 address that maps an IPv4 address counts as that; one that is
    /// translated into an IPv4 address must itself be allowed, and neither of the two refused.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let refuse = |reason| Err(Refusal { address, reason });
        let reached = [Some(address), translated(address)];
        let lies_in = |network: &IpNet| reached.iter().flatten().any(|address| network.contains(address));
        if let Some((_, what)) = NEVER.iter().find(|(network, _)| lies_in(network)) {
            return refuse(Reason::Never(what));
        }
        if self.deny.iter().any(lies_in) {
            return refuse(Reason::Denied);
        }
        if !self.allow.is_empty() && !self.allow.iter().any(|network| network.contains(&address)) {
            return refuse(Reason::NotAllowed);
        }
        Ok(())
    }
}

/// That an address may not be called, in its canonical spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address {address} may not be called: {reason}")]
pub struct Refusal {
    pub address: IpAddr,
    pub reason: Reason,
}

/// Why an address may not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Whatever the settings say; what it is.
    #[error("it is {0}")]
    Never(&'static str),
    #[error("--webhook-deny lists it")]
    Denied,
    #[error("--webhook-allow does not list it")]
    NotAllowed,
}

/// Reads a network of a setting: `10.0.0.0/8`, `fd00::/8`, or a single address.
///
/// # Errors
/// What it should look like.
pub fn read_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| "a list names networks or addresses, such as 10.0.0.0/8,192.168.1.7,fd00::/8".into())
}

/// The IPv4 network that an IPv6 network maps, else the network itself.
fn as_ipv4(network: IpNet) -> IpNet {
    let bits = network.prefix_len().checked_sub(96);
    match (network.addr().to_canonical(), bits) {
        (IpAddr::V4(address), Some(bits)) if network.addr().is_ipv6() => {
            Ipv4Net::new(address, bits).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

/// The IPv4 address that a gateway makes of an IPv6 address.
fn translated(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    let [.., a, b, c, d] = address.octets();
    TRANSLATED.contains(&address).then(|| Ipv4Addr::new(a, b, c, d).into())
}
