//! Which ports are ours, to know a loop by its source: a bit a port, on each address.

use std::net::{IpAddr, SocketAddr};

/// The open ports of one worker. Ports of other workers are refused where SDP is read.
#[derive(Debug)]
pub(super) struct OwnPorts {
    addresses: Vec<(IpAddr, Box<[u64]>)>,
}

impl OwnPorts {
    pub(super) fn new(addresses: &[IpAddr]) -> Self {
        let none = || vec![0; WORDS].into_boxed_slice();
        Self {
            addresses: addresses.iter().map(|ip| (*ip, none())).collect(),
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

    /// True for a port that is open here.
    pub(super) fn has(&self, source: SocketAddr) -> bool {
        let ip = source.ip().to_canonical();
        let ports = self.addresses.iter().find(|(own, _)| *own == ip);
        let word = ports.and_then(|(_, ports)| ports.get(usize::from(source.port() / 64)));
        word.is_some_and(|word| word >> (source.port() % 64) & 1 == 1)
    }
}

/// A bit for every port there is.
const WORDS: usize = 65_536 / 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_ours_while_it_is_open_and_on_its_address_only() {
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let mut own = OwnPorts::new(&[ip]);
        let at = |port| SocketAddr::new(ip, port);
        own.set(at(65_534), true);
        assert!(own.has(at(65_534)) && own.has(at(65_535)));
        assert!(!own.has(at(65_533)) && !own.has(at(0)));
        assert!(own.has("[::ffff:192.0.2.1]:65534".parse().unwrap()));
        assert!(!own.has("192.0.2.2:65534".parse().unwrap()));
        own.set(at(65_534), false);
        assert!(!own.has(at(65_534)) && !own.has(at(65_535)));
    }
}
