//! Peers that take no connection from us: what is too long for a datagram goes to them in one all the
//! same, without the wait for a connection (RFC 3261 §18.1.1).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use crate::limits::{NO_TCP_FOR, NO_TCP_MAX};

/// The peers, each with the end of its time.
#[derive(Debug, Default)]
pub(crate) struct NoTcp {
    until: BTreeMap<SocketAddr, Instant>,
}

impl NoTcp {
    /// A connection to it was not made, or broke before anything was heard. Where as many are
    /// remembered, this one will be asked again.
    pub(crate) fn remember(&mut self, now: Instant, peer: SocketAddr) {
        if self.until.len() >= NO_TCP_MAX {
            self.until.retain(|_, until| now < *until);
        }
        if self.until.len() < NO_TCP_MAX || self.until.contains_key(&peer) {
            self.until.insert(peer, now + NO_TCP_FOR);
        }
        debug_assert!(self.until.len() <= NO_TCP_MAX, "bounded");
    }

    /// True where it was not long ago.
    pub(crate) fn is_of(&self, now: Instant, peer: SocketAddr) -> bool {
        self.until.get(&peer).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_peers_without_tcp_are_bounded_and_forgotten() {
        #[expect(clippy::disallowed_methods, reason = "a test needs one base instant")]
        let start = Instant::now();
        let mut peers = NoTcp::default();
        let peer = |last: u32| SocketAddr::from((std::net::Ipv4Addr::from_bits(last), 5060));
        for last in 0..10_000 {
            peers.remember(start, peer(last));
        }
        assert_eq!(peers.until.len(), NO_TCP_MAX);
        assert!(peers.is_of(start, peer(0)) && !peers.is_of(start, peer(9_999)));
        let later = start + NO_TCP_FOR;
        assert!(!peers.is_of(later, peer(0)));
        peers.remember(later, peer(9_999));
        assert!(peers.is_of(later, peer(9_999)));
        assert_eq!(peers.until.len(), 1);
    }
}
