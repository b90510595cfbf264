//! Where a client is: the address of its connection or, behind proxies that are trusted, what they say.

use http::{HeaderMap, HeaderName};
use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The other end of a TCP connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) tls: bool,
}

/// The client's address, in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// A text that is no range of addresses.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address or address/prefix")]
pub struct NetworkError(String);

impl Network {
    /// An IPv4 address that is written as IPv6 counts as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same_start(u128::from(own.to_bits()) << 96, u128::from(other.to_bits()) << 96, self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same_start(own.to_bits(), other.to_bits(), self.prefix),
            _ => false,
        }
    }
}

fn same_start(one: u128, other: u128, bits: u32) -> bool {
    // A shift by all bits is none of u128's: both are the same then.
    (one ^ other).checked_shr(128 - bits).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let parse = || {
            let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
            let address: IpAddr = address.parse().ok()?;
            let longest = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.map_or(Ok(longest), str::parse).ok().filter(|prefix| *prefix <= longest)?;
            Some(Self { address, prefix })
        };
        parse().ok_or_else(|| NetworkError(text.to_owned()))
    }
}

/// The client's address: of what the proxies appended, the rightmost that is no trusted proxy.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut nearest = peer.to_canonical();
    let lines = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>();
    let hops = lines.into_iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        if !is_trusted(nearest) {
            break;
        }
        // What cannot be read was written by nobody who is trusted.
        let Some(address) = std::str::from_utf8(hop).ok().and_then(|hop| one_address(hop.trim())) else {
            break;
        };
        nearest = address;
    }
    nearest
}

/// An address; some proxies add a port.
fn one_address(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// `https` or `http`, as the client sees it.
pub(crate) fn scheme(peer: Peer, headers: &HeaderMap, trusted: &[Network]) -> &'static str {
    let own = if peer.tls { "https" } else { "http" };
    if !trusted.iter().any(|network| network.contains(peer.address)) {
        return own;
    }
    let said = headers.get_all(FORWARDED_PROTO).iter().next_back().and_then(|value| value.to_str().ok());
    // The nearest proxy's word is the last.
    match said.and_then(|said| said.rsplit(',').next()).map(str::trim) {
        Some(said) if said.eq_ignore_ascii_case("https") => "https",
        Some(said) if said.eq_ignore_ascii_case("http") => "http",
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_hold_their_addresses() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.1/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("::/0", "2001:db8::1", "203.0.113.9"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(ip(inside)), "{network} {inside}");
            assert!(!parsed.contains(ip(outside)), "{network} {outside}");
        }
        for text in
            ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/-1", "proxy", "10.0.0.0/8/8"]
        {
            assert_eq!(text.parse::<Network>(), Err(NetworkError(text.into())), "{text}");
        }
    }

    #[test]
    fn the_client_is_the_rightmost_that_is_not_trusted() {
        let trusted = networks(&["10.0.0.0/8", "fd00::/8"]);
        for (peer, lines, expected) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.1,"], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            assert_eq!(client(ip(peer), &headers, &trusted), ip(expected), "{peer} {lines:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_the_scheme() {
        let trusted = networks(&["10.0.0.0/8"]);
        for (peer, tls, said, expected) in [
            ("203.0.113.9", false, "https", "http"),
            ("203.0.113.9", true, "http", "https"),
            ("10.0.0.1", false, "https", "https"),
            ("10.0.0.1", false, "https, http", "http"),
            ("10.0.0.1", true, "HTTP", "http"),
            ("10.0.0.1", true, "gopher", "https"),
        ] {
            let headers = HeaderMap::from_iter([(FORWARDED_PROTO, said.parse().unwrap())]);
            let peer = Peer { address: ip(peer), tls };
            assert_eq!(scheme(peer, &headers, &trusted), expected, "{peer:?} {said}");
        }
        let peer = Peer { address: ip("10.0.0.1"), tls: true };
        assert_eq!(scheme(peer, &HeaderMap::new(), &trusted), "https");
    }
}
