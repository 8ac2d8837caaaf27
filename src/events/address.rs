//! Rules for the addresses of receivers. Pure.
//!
//! Receivers under test run on this machine or in its private network, so both are allowed, like the internet.
//! Two kinds of address are always refused.
//! A cloud's metadata service answers with secrets, because it trusts the network.
//! Multicast, broadcast and unspecified addresses are not a single host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks never called, each with its description.
const NEVER: [(IpNet, &str); 14] = [
    (v4([0, 0, 0, 0], 8), "unspecified"), // RFC 1122, 3.2.1.3; Linux calls this machine
    (v4([169, 254, 0, 0], 16), "link-local"), // RFC 3927; 169.254.169.254 is the metadata of most clouds
    (v4([224, 0, 0, 0], 4), "multicast"), // RFC 5771
    (v4([255, 255, 255, 255], 32), "broadcast"), // RFC 919
    (v4([100, 100, 100, 200], 32), METADATA), // Alibaba Cloud
    (v4([168, 63, 129, 16], 32), METADATA), // Azure's agent, besides its 169.254.169.254
    (v4([192, 0, 0, 192], 32), METADATA), // Oracle Cloud, older address
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"), // RFC 4291
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"), // RFC 4291
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"), // RFC 4291
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), METADATA), // AWS: ::254, and its other link services
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), METADATA), // Google Cloud
    (v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128), METADATA), // Scaleway
    (v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), METADATA), // Oracle Cloud
];
const METADATA: &str = "a cloud's metadata";

/// IPv6 networks whose addresses lead to an IPv4 address in them, with the places of its four octets.
const LEADING_TO_IPV4: [(Ipv6Net, [usize; 4]); 8] = [
    (net6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), [12, 13, 14, 15]), // translated, RFC 6052
    // translated in a local network (RFC 8215), with each length of prefix (RFC 6052, 2.2)
    (net6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), [12, 13, 14, 15]),
    (net6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), [9, 10, 11, 12]),
    (net6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), [7, 9, 10, 11]),
    (net6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), [6, 7, 9, 10]),
    (net6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), [2, 3, 4, 5]), // 6to4, RFC 3056
    (net6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), [4, 5, 6, 7]), // Teredo's server, RFC 4380
    (net6([0, 0, 0, 0, 0, 0, 0, 0], 96), [12, 13, 14, 15]),  // compatible, RFC 4291, 2.5.5.1
];
/// Teredo addresses end with the client's IPv4 address, each bit inverted.
const TEREDO: Ipv6Net = net6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32);

const fn net6(address: [u16; 8], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(address), bits)
}

const fn v4(address: [u8; 4], bits: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_octets(address), bits))
}

const fn v6(address: [u16; 8], bits: u8) -> IpNet {
    IpNet::V6(net6(address, bits))
}

/// Allowed and denied networks, besides the networks that are always refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRules {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

impl AddressRules {
    /// Returns the rules of two lists. An empty `allow` allows every address; `deny` wins.
    pub fn new(allow: &[IpNet], deny: &[IpNet]) -> Self {
        let read = |networks: &[IpNet]| networks.iter().copied().map(as_ipv4).collect();
        Self { allow: read(allow), deny: read(deny) }
    }

    /// Checks an address. An IPv4-mapped IPv6 address counts as its IPv4 address.
    /// An address that leads to an IPv4 address must be allowed, and neither of the two may be refused.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let refuse = |reason| Err(Refusal { address, reason });
        let mut reached = vec![address];
        reached.extend(contained(address));
        let lies_in = |network: &IpNet| reached.iter().any(|address| network.contains(address));
        if let Some((_, description)) = NEVER.iter().find(|(network, _)| lies_in(network)) {
            return refuse(RefusalReason::Never(description));
        }
        if self.deny.iter().any(lies_in) {
            return refuse(RefusalReason::Denied);
        }
        if !self.allow.is_empty() && !self.allow.iter().any(|network| network.contains(&address)) {
            return refuse(RefusalReason::NotAllowed);
        }
        Ok(())
    }
}

/// A refused address, in its canonical spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address {address} may not be called: {reason}")]
pub struct Refusal {
    pub address: IpAddr,
    pub reason: RefusalReason,
}

/// Reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusalReason {
    /// Refused under any settings; holds the description of the network.
    #[error("it is {0}")]
    Never(&'static str),
    #[error("--webhook-deny lists it")]
    Denied,
    #[error("--webhook-allow does not list it")]
    NotAllowed,
}

/// Returns whether an address is on this machine or in a private network. A gateway to IPv4 is neither.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// Reads one network of a setting: `10.0.0.0/8`, `fd00::/8`, or a single address.
///
/// # Errors
/// The expected format.
pub fn read_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| "expected networks or addresses, such as 10.0.0.0/8,192.168.1.7,fd00::/8".into())
}

/// Converts an IPv4-mapped network to its IPv4 network; returns any other unchanged.
fn as_ipv4(network: IpNet) -> IpNet {
    let bits = network.prefix_len().checked_sub(96);
    match (network.addr().to_canonical(), bits) {
        (IpAddr::V4(address), Some(bits)) if network.addr().is_ipv6() => {
            Ipv4Net::new(address, bits).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

/// Returns the IPv4 addresses to which an IPv6 address may lead: through a gateway or a tunnel.
fn contained(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    // both are addresses of their own
    let address = match address {
        IpAddr::V6(address) if !address.is_loopback() && !address.is_unspecified() => Some(address),
        _ => None,
    };
    address.into_iter().flat_map(|address| {
        let octets = address.octets();
        let leading = LEADING_TO_IPV4.iter().filter(move |(network, _)| network.contains(&address));
        let found = leading.map(move |(_, places)| Ipv4Addr::from_octets(places.map(|place| octets[place])));
        let [.., a, b, c, d] = octets;
        let client = TEREDO.contains(&address).then(|| Ipv4Addr::new(!a, !b, !c, !d));
        // 0.0.0.0/8 is this machine only as an address of its own; here it is a place without an address
        found.chain(client).filter(|address| address.octets()[0] != 0).map(IpAddr::V4)
    })
}
