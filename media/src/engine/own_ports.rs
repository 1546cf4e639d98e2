//! Which ports are ours, to know a loop by its source: a bit a port, on each address.

use std::net::{IpAddr, SocketAddr};

use crate::limits::ADVERTISED_MAX;

/// The open ports of one worker. Ports of other workers are refused where SDP is read.
#[derive(Debug)]
pub(super) struct OwnPorts {
    addresses: Vec<(IpAddr, Box<[u64]>)>,
    /// By what other address peers know each of them.
    advertised: Vec<IpAddr>,
}

impl OwnPorts {
    pub(super) fn new(addresses: &[IpAddr], advertised: &[IpAddr]) -> Self {
        let none = || vec![0; WORDS].into_boxed_slice();
        Self {
            addresses: addresses.iter().map(|ip| (*ip, none())).collect(),
            advertised: advertised.iter().take(ADVERTISED_MAX).copied().collect(),
        }
    }

    /// A pair of ports, RTP's given, is open from now on, or closed.
    pub(super) fn set(&mut self, rtp: SocketAddr, is_open: bool) {
        let Some((_, ports)) = self.addresses.iter_mut().find(|(ip, _)| *ip == rtp.ip()) else {
            return;
        };
        for port in [rtp.port(), rtp.port().wrapping_add(1)] {
            if let Some(word) = ports.get_mut(usize::from(port / 64)) {
                let bit = 1_u64 << (port % 64);
                *word = if is_open { *word | bit } else { *word & !bit };
            }
        }
    }

    /// True for a port that is open here, at its address or as peers know it: a NAT that leads back to
    /// us puts that on what we send there (RFC 4787 §6).
    pub(super) fn has(&self, source: SocketAddr) -> bool {
        let ip = source.ip().to_canonical();
        let is_advertised = self.advertised.contains(&ip);
        self.addresses.iter().any(|(own, ports)| {
            let is_known_so = is_advertised && own.is_ipv4() == ip.is_ipv4() && !own.is_loopback();
            (*own == ip || is_known_so) && is_open(ports, source.port())
        })
    }
}

fn is_open(ports: &[u64], port: u16) -> bool {
    let word = ports.get(usize::from(port / 64));
    word.is_some_and(|word| word >> (port % 64) & 1 == 1)
}

/// A bit for every port there is.
const WORDS: usize = 65_536 / 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_ours_while_it_is_open_and_on_its_address_only() {
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let mut own = OwnPorts::new(&[ip], &[]);
        let at = |port| SocketAddr::new(ip, port);
        own.set(at(65_534), true);
        assert!(own.has(at(65_534)) && own.has(at(65_535)));
        assert!(!own.has(at(65_533)) && !own.has(at(0)));
        assert!(own.has("[::ffff:192.0.2.1]:65534".parse().unwrap()));
        assert!(!own.has("192.0.2.2:65534".parse().unwrap()));
        own.set(at(65_534), false);
        assert!(!own.has(at(65_534)) && !own.has(at(65_535)));
    }

    #[test]
    fn a_port_is_ours_by_the_address_that_peers_know_too() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let hosts = ["127.0.0.1", "10.0.0.1"].map(|ip| ip.parse().unwrap());
        let mut own = OwnPorts::new(&hosts, &["192.0.2.7".parse().unwrap()]);
        own.set(at("10.0.0.1:4000"), true);
        own.set(at("127.0.0.1:5000"), true);
        assert!(own.has(at("192.0.2.7:4000")) && own.has(at("192.0.2.7:4001")));
        assert!(own.has(at("10.0.0.1:4000")));
        assert!(
            !own.has(at("192.0.2.7:4002")),
            "somebody behind the same NAT"
        );
        assert!(!own.has(at("192.0.2.7:5000")), "loopback has no other name");
        own.set(at("10.0.0.1:4000"), false);
        assert!(!own.has(at("192.0.2.7:4000")));
    }
}
