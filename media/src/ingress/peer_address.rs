//! `PeerAddress`: a socket address in 22 octets, so that a hot line holds one and comparing two is
//! quick. Flow labels are not part of who somebody is.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Where a peer is. An IPv4 address is kept in its IPv6-mapped form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddress {
    octets: [u8; 16],
    scope: [u16; 2],
    port: u16,
}

const _: () = assert!(
    size_of::<PeerAddress>() == 22,
    "shares a cache line with what is sent there"
);

impl PeerAddress {
    /// No address at all; equal to no source.
    pub const NOWHERE: Self = Self {
        octets: [0; 16],
        scope: [0; 2],
        port: 0,
    };

    /// True for the same host, whatever the port.
    #[must_use]
    pub fn is_same_host(&self, other: &Self) -> bool {
        self.octets == other.octets
    }

    /// True for the same host and port; an address from SDP has no scope.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.port == other.port && self.is_same_host(other)
    }

    /// All of it, for a table of addresses.
    #[inline]
    pub(crate) fn words(&self) -> [u64; 3] {
        let word = |octets: &[u8]| octets.first_chunk().map_or(0, |it| u64::from_le_bytes(*it));
        let (low, high) = self.octets.split_at(8);
        let [a, b] = self.scope;
        let rest = u64::from(self.port) | u64::from(a) << 16 | u64::from(b) << 32;
        [word(low), word(high), rest]
    }

    /// The host.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        Ipv6Addr::from(self.octets).to_canonical()
    }

    /// As the kernel's interface has it.
    #[inline]
    #[must_use]
    pub fn socket_address(&self) -> SocketAddr {
        match self.ip() {
            IpAddr::V4(ip) => SocketAddr::V4(SocketAddrV4::new(ip, self.port)),
            IpAddr::V6(ip) => {
                let scope = u32::from(self.scope[0]) << 16 | u32::from(self.scope[1]);
                SocketAddr::V6(SocketAddrV6::new(ip, self.port, 0, scope))
            }
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    #[inline]
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => {
                let octets = address.ip().to_ipv6_mapped().octets();
                Self {
                    octets,
                    scope: [0; 2],
                    port: address.port(),
                }
            }
            SocketAddr::V6(address) => {
                let [a, b, c, d] = address.scope_id().to_be_bytes();
                let scope = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
                Self {
                    octets: address.ip().octets(),
                    scope,
                    port: address.port(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_short_form() {
        for text in ["192.0.2.7:4000", "[2001:db8::7]:4002"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(PeerAddress::from(address).socket_address(), address);
        }
        let scoped = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 9, 0, 3));
        assert_eq!(PeerAddress::from(scoped).socket_address(), scoped);
    }

    #[test]
    fn a_mapped_address_is_the_address_it_maps() {
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:4000".parse().unwrap();
        let plain: SocketAddr = "192.0.2.7:4000".parse().unwrap();
        assert_eq!(PeerAddress::from(mapped), PeerAddress::from(plain));
    }

    #[test]
    fn families_with_the_same_octets_are_different_hosts() {
        let six: SocketAddr = "[c000:207::]:1".parse().unwrap();
        let four: SocketAddr = "192.0.2.7:1".parse().unwrap();
        assert!(!PeerAddress::from(six).is_same_host(&PeerAddress::from(four)));
    }
}
