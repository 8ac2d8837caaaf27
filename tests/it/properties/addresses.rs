//! Rules for the addresses a webhook may call.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::Uri;
use concierge_sandbox::events::address::{AddressRules, RefusalReason, read_network};
use concierge_sandbox::events::receiver;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::cases;

fn networks(text: &str) -> Vec<IpNet> {
    text.split(',').filter(|part| !part.is_empty()).map(|part| read_network(part).unwrap()).collect()
}

/// Returns the reason for refusing an address under two lists, or "" if it is allowed.
fn refusal(allow: &str, deny: &str, address: &str) -> String {
    let rules = AddressRules::new(&networks(allow), &networks(deny));
    rules.check(address.parse().unwrap()).err().map(|refusal| refusal.reason.to_string()).unwrap_or_default()
}

#[test]
fn default_rules_refuse_only_special_addresses() {
    for (address, reason) in [
        ("127.0.0.1", ""),
        ("127.255.255.255", ""),
        ("::1", ""),
        ("10.0.0.1", ""),
        ("172.16.0.1", ""),
        ("192.168.255.255", ""),
        ("100.64.0.1", ""),
        ("fd12::1", ""),
        ("1.0.0.0", ""),
        ("8.8.8.8", ""),
        ("169.253.255.255", ""),
        ("169.255.0.0", ""),
        ("223.255.255.255", ""),
        ("255.255.255.254", ""),
        ("2001:db8::1", ""),
        ("fe7f:ffff::1", ""),
        ("fec0::", ""),
        ("::ffff:127.0.0.1", ""),
        ("64:ff9b::7f00:1", ""),
        ("64:ff9b:1::7f00:1", ""),
        ("2002:7f00:1::", ""),
        ("2001:0:7f00:1::80ff:fffe", ""),
        ("::1", ""),
        ("::127.0.0.1", ""),
        ("2001:1::a9fe:a9fe", ""),
        ("64:ff9b:2::a9fe:a9fe", ""),
        ("0.0.0.0", "it is unspecified"),
        ("0.255.255.255", "it is unspecified"),
        ("::", "it is unspecified"),
        ("::ffff:0.0.0.0", "it is unspecified"),
        ("169.254.0.0", "it is link-local"),
        ("169.254.169.254", "it is link-local"),
        ("169.254.255.255", "it is link-local"),
        ("::ffff:169.254.169.254", "it is link-local"),
        ("64:ff9b::169.254.169.254", "it is link-local"),
        ("::169.254.169.254", "it is link-local"),
        ("2002:a9fe:a9fe::", "it is link-local"),
        ("2002:a9fe:a9fe:1::7", "it is link-local"),
        ("2001:0:a9fe:a9fe::", "it is link-local"),
        ("2001:0:808:808::5601:5601", "it is link-local"),
        ("64:ff9b:1::a9fe:a9fe", "it is link-local"),
        ("64:ff9b:1:7:8:9:a9fe:a9fe", "it is link-local"),
        ("64:ff9b:1:a9fe:a9:fe00::", "it is link-local"),
        ("64:ff9b:1:a9:fe:a9fe::", "it is link-local"),
        ("64:ff9b:1:0:a9:fea9:fe00::", "it is link-local"),
        ("fe80::", "it is link-local"),
        ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "it is link-local"),
        ("224.0.0.0", "it is multicast"),
        ("239.255.255.255", "it is multicast"),
        ("ff00::", "it is multicast"),
        ("ff02::1", "it is multicast"),
        ("255.255.255.255", "it is broadcast"),
        ("100.100.100.200", "it is a cloud's metadata"),
        ("168.63.129.16", "it is a cloud's metadata"),
        ("192.0.0.192", "it is a cloud's metadata"),
        ("fd00:ec2::254", "it is a cloud's metadata"),
        ("fd20:ce::254", "it is a cloud's metadata"),
        ("fd00:42::42", "it is a cloud's metadata"),
        ("fd00:c1::a9fe:a9fe", "it is a cloud's metadata"),
    ] {
        assert_eq!(refusal("", "", address), reason, "{address}");
        assert_eq!(refusal("0.0.0.0/0,::/0", "", address), reason, "{address}");
    }
}

#[test]
fn allow_and_deny_lists_decide() {
    const DENIED: &str = "--webhook-deny lists it";
    const NOT_ALLOWED: &str = "--webhook-allow does not list it";
    for (allow, deny, address, reason) in [
        ("10.0.0.0/8", "", "10.255.255.255", ""),
        ("10.0.0.0/8", "", "11.0.0.0", NOT_ALLOWED),
        ("10.0.0.0/8", "", "::1", NOT_ALLOWED),
        ("10.0.0.0/8,::1", "", "::1", ""),
        ("10.9.9.9/8", "", "10.1.1.1", ""),
        ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", DENIED),
        ("10.1.0.0/16", "10.0.0.0/8", "10.1.2.3", DENIED),
        ("", "10.0.0.0/8", "10.1.2.3", DENIED),
        ("", "10.0.0.0/8", "11.1.2.3", ""),
        ("", "10.0.0.0/8", "::ffff:10.1.2.3", DENIED),
        ("", "::ffff:10.0.0.0/104", "10.1.2.3", DENIED),
        ("", "::ffff:10.0.0.0/104", "11.1.2.3", ""),
        ("::ffff:10.0.0.0/104", "", "10.1.2.3", ""),
        ("10.0.0.0/8", "", "::ffff:10.1.2.3", ""),
        ("", "10.0.0.0/8", "64:ff9b::10.1.2.3", DENIED),
        ("10.0.0.0/8", "", "64:ff9b::10.1.2.3", NOT_ALLOWED),
        ("64:ff9b::/96", "", "64:ff9b::10.1.2.3", ""),
        ("64:ff9b::/96", "", "10.1.2.3", NOT_ALLOWED),
        ("", "64:ff9b::/96", "10.1.2.3", ""),
        ("", "::/0", "10.1.2.3", ""),
        ("169.254.169.254", "", "169.254.169.254", "it is link-local"),
    ] {
        assert_eq!(refusal(allow, deny, address), reason, "allow {allow:?}, deny {deny:?}: {address}");
    }
}

#[test]
fn refusal_names_the_canonical_address() {
    let refusal = AddressRules::default().check("::ffff:a9fe:a9fe".parse().unwrap()).unwrap_err();
    assert_eq!(refusal.to_string(), "the address 169.254.169.254 may not be called: it is link-local");
}

/// Generates addresses from few bytes, so that lists and addresses often match.
fn address() -> impl Strategy<Value = IpAddr> {
    let byte = prop_oneof![Just(0), Just(1), Just(10), Just(127), Just(169), Just(254), any::<u8>()];
    let near = proptest::array::uniform4(byte).prop_map(Ipv4Addr::from);
    prop_oneof![
        near.clone().prop_map(IpAddr::V4),
        near.prop_map(|address| address.to_ipv6_mapped().into()),
        any::<[u16; 8]>().prop_map(|segments| Ipv6Addr::from(segments).into()),
    ]
}

fn network() -> impl Strategy<Value = IpNet> {
    (address(), 0..=128_u8).prop_map(|(address, bits)| match address {
        IpAddr::V4(address) => Ipv4Net::new_assert(address, bits / 4).into(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, bits).into(),
    })
}

fn list() -> impl Strategy<Value = Vec<IpNet>> {
    proptest::collection::vec(network(), 0..4)
}

proptest! {
    #![proptest_config(cases(2000))]

    /// Deny wins, allow restricts, and no list opens an address that is always refused.
    #[test]
    fn deny_wins_and_allow_restricts(allow in list(), deny in list(), address in address()) {
        let rules = |allow: &[IpNet], deny: &[IpNet]| AddressRules::new(allow, deny).check(address);
        let both = rules(&allow, &deny);
        prop_assert_eq!(both.is_ok(), rules(&allow, &[]).is_ok() && rules(&[], &deny).is_ok());
        let denied = deny.iter().any(|network| network.contains(&address.to_canonical()));
        prop_assert!(!(denied && both.is_ok()), "{:?} is denied", address);
        if rules(&[], &[]).is_err() {
            prop_assert!(matches!(both.unwrap_err().reason, RefusalReason::Never(_)));
        }
        let single = IpNet::from(address);
        prop_assert!(rules(&[], &[single]).is_err());
        prop_assert_eq!(rules(&[single], &[]), rules(&[], &[]));
        // removing an allowed network never opens an address
        if let [first, rest @ ..] = &allow[..] && !rest.is_empty() && both.is_err() {
            prop_assert!(rules(rest, &deny).is_err(), "{first:?}");
        }
    }

    /// The HTTP client can call every URL that is accepted as a setting.
    #[test]
    fn accepted_url_suits_the_http_client(host in "[a-z.-]{1,9}|\\PC{1,9}", rest in "[/?:]?\\PC{0,60}") {
        if let Ok(url) = receiver::read(&format!("http://{host}{rest}"), &AddressRules::default()) {
            prop_assert!(Uri::try_from(url.as_str()).is_ok_and(|uri| uri.host().is_some()), "{url}");
        }
    }

    /// An IPv4 address and its mapped form are equal, as address and in the lists.
    #[test]
    fn mapped_address_counts_as_ipv4(
        allow in list(), deny in list(), address in any::<u32>().prop_map(Ipv4Addr::from), bits in 0..=32_u8,
    ) {
        let rules = AddressRules::new(&allow, &deny);
        prop_assert_eq!(rules.check(address.to_ipv6_mapped().into()), rules.check(address.into()));
        let plain = IpNet::from(Ipv4Net::new_assert(address, bits));
        let mapped = IpNet::from(Ipv6Net::new_assert(address.to_ipv6_mapped(), bits + 96));
        prop_assert_eq!(AddressRules::new(&[mapped], &[]), AddressRules::new(&[plain], &[]));
        prop_assert_eq!(AddressRules::new(&[], &[mapped]), AddressRules::new(&[], &[plain]));
    }
}
