//! Socket addresses in the kernel's own form (`sockaddr_in`, `sockaddr_in6`), and back. Plain
//! octets: nothing here is unsafe.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// An address as the kernel reads it.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(4))]
pub(crate) struct RawAddress {
    octets: [u8; RAW_ADDRESS_BYTES],
    len: u8,
}

impl RawAddress {
    /// No address.
    pub(crate) const EMPTY: Self = Self {
        octets: [0; RAW_ADDRESS_BYTES],
        len: 0,
    };

    #[inline]
    pub(crate) fn new(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => Self::from_v4(address),
            SocketAddr::V6(address) => Self::from_v6(address),
        }
    }

    /// First octet, to be given to the kernel with [`len`](Self::len).
    pub(crate) const fn as_ptr(&self) -> *const libc::sockaddr {
        self.octets.as_ptr().cast()
    }

    pub(crate) fn len(&self) -> libc::socklen_t {
        libc::socklen_t::from(self.len)
    }

    fn from_v4(address: SocketAddrV4) -> Self {
        let [family_a, family_b] = FAMILY_V4.to_ne_bytes();
        let [port_a, port_b] = address.port().to_be_bytes();
        let [a, b, c, d] = address.ip().octets();
        let mut octets = [0; RAW_ADDRESS_BYTES];
        if let Some(head) = octets.first_chunk_mut() {
            *head = [family_a, family_b, port_a, port_b, a, b, c, d];
        }
        Self {
            octets,
            len: RAW_V4_BYTES,
        }
    }

    fn from_v6(address: SocketAddrV6) -> Self {
        let mut octets = [0; RAW_ADDRESS_BYTES];
        let (family, rest) = octets.split_at_mut(2);
        family.copy_from_slice(&FAMILY_V6.to_ne_bytes());
        let (port, rest) = rest.split_at_mut(2);
        port.copy_from_slice(&address.port().to_be_bytes());
        let (flow, rest) = rest.split_at_mut(4);
        flow.copy_from_slice(&address.flowinfo().to_ne_bytes());
        let (ip, scope) = rest.split_at_mut(16);
        ip.copy_from_slice(&address.ip().octets());
        scope.copy_from_slice(&address.scope_id().to_ne_bytes());
        Self {
            octets,
            len: RAW_V6_BYTES,
        }
    }
}

/// The address the kernel wrote at the start of `octets`; `None`: neither IPv4 nor IPv6.
#[inline]
pub(crate) fn parse(octets: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = octets.split_first_chunk::<2>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    match u16::from_ne_bytes(*family) {
        FAMILY_V4 => {
            let (ip, _) = rest.split_first_chunk::<4>()?;
            Some(SocketAddrV4::new(Ipv4Addr::from(*ip), port).into())
        }
        FAMILY_V6 => {
            let (flow, rest) = rest.split_first_chunk::<4>()?;
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            let (scope, _) = rest.split_first_chunk::<4>()?;
            let (flow, scope) = (u32::from_ne_bytes(*flow), u32::from_ne_bytes(*scope));
            Some(SocketAddrV6::new(Ipv6Addr::from(*ip), port, flow, scope).into())
        }
        _ => None,
    }
}

const RAW_ADDRESS_BYTES: usize = size_of::<libc::sockaddr_in6>();
const RAW_V4_BYTES: u8 = 16;
const RAW_V6_BYTES: u8 = 28;
#[expect(clippy::cast_possible_truncation, reason = "2 and 10")]
const FAMILY_V4: u16 = libc::AF_INET as u16;
#[expect(clippy::cast_possible_truncation, reason = "2 and 10")]
const FAMILY_V6: u16 = libc::AF_INET6 as u16;

const _: () = assert!(size_of::<libc::sockaddr_in>() == RAW_V4_BYTES as usize);
const _: () = assert!(RAW_ADDRESS_BYTES == RAW_V6_BYTES as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "192.0.2.7:5060",
            "[2001:db8::1]:10000",
            "[fe80::1%3]:65535",
            "0.0.0.0:0",
        ] {
            let address: SocketAddr = text.parse().expect("an address");
            let raw = RawAddress::new(address);
            assert_eq!(parse(&raw.octets), Some(address));
            assert_eq!(raw.len(), if address.is_ipv4() { 16 } else { 28 });
        }
    }

    #[test]
    fn agrees_with_socket2() {
        for text in ["192.0.2.7:5060", "[2001:db8::1]:10000"] {
            let address: SocketAddr = text.parse().expect("an address");
            let other = socket2::SockAddr::from(address);
            assert_eq!(RawAddress::new(address).len(), other.len());
            assert_eq!(other.as_socket(), Some(address));
        }
    }

    #[test]
    fn short_or_foreign_octets_are_no_address() {
        let raw = RawAddress::new("[2001:db8::1]:1".parse().expect("an address"));
        for len in 0..RAW_ADDRESS_BYTES {
            assert_eq!(parse(&raw.octets[..len]), None);
        }
        assert_eq!(parse(&[0; 28]), None);
    }
}
