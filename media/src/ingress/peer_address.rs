//! `PeerAddress`: a socket address in 24 octets without padding between them, so that a hot line
//! holds one and comparing two is quick. Flow labels are not part of who somebody is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Where a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress {
    octets: [u8; 16],
    scope: u32,
    port: u16,
    is_v4: bool,
}

impl PeerAddress {
    /// No address at all; equal to no source.
    pub const NOWHERE: Self = Self { octets: [0; 16], scope: 0, port: 0, is_v4: false };

    /// True for the same host, whatever the port.
    #[must_use]
    pub fn is_same_host(&self, other: &Self) -> bool {
        self.octets == other.octets && self.is_v4 == other.is_v4
    }

    /// True for the same host and port; an address from SDP has no scope.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.port == other.port && self.is_same_host(other)
    }

    /// The host.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        if self.is_v4 {
            let [a, b, c, d, ..] = self.octets;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            IpAddr::V6(Ipv6Addr::from(self.octets))
        }
    }

    /// As the kernel's interface has it.
    #[inline]
    #[must_use]
    pub fn socket_address(&self) -> SocketAddr {
        match self.ip() {
            IpAddr::V4(ip) => SocketAddr::V4(SocketAddrV4::new(ip, self.port)),
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, self.port, 0, self.scope)),
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    #[inline]
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => {
                let [a, b, c, d] = address.ip().octets();
                let octets = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                Self { octets, scope: 0, port: address.port(), is_v4: true }
            }
            SocketAddr::V6(address) => match address.ip().to_ipv4_mapped() {
                Some(ip) => SocketAddr::new(IpAddr::V4(ip), address.port()).into(),
                None => Self {
                    octets: address.ip().octets(),
                    scope: address.scope_id(),
                    port: address.port(),
                    is_v4: false,
                },
            },
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
