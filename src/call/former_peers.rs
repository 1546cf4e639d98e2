//! Addresses that no trunk and no source names any more while calls with them are up: a trunk that
//! was switched off or deleted must still be heard when it ends its calls.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sip::event::CallKey;

/// Peers of live calls that a new snapshot no longer knows. As many as calls have sides, at most.
#[derive(Debug, Default)]
pub(super) struct FormerPeers {
    of_calls: BTreeMap<CallKey, Vec<SocketAddr>>,
    /// How many entries of `of_calls` name an address.
    counts: BTreeMap<SocketAddr, u32>,
}

impl FormerPeers {
    /// Packets of this peer belong to a call that is up.
    pub(super) fn knows(&self, remote: SocketAddr) -> bool {
        self.counts.contains_key(&by_host(remote))
    }

    /// The peer stays known until the call is gone.
    pub(super) fn keep(&mut self, call: CallKey, remote: SocketAddr) {
        let peers = self.of_calls.entry(call).or_default();
        let remote = by_host(remote);
        if !peers.contains(&remote) {
            peers.push(remote);
            *self.counts.entry(remote).or_default() += 1;
        }
    }

    /// The call is gone.
    pub(super) fn forget(&mut self, call: CallKey) {
        for remote in self.of_calls.remove(&call).unwrap_or_default() {
            let count = self.counts.get_mut(&remote);
            debug_assert!(count.is_some(), "every kept peer is counted");
            let left = count.map_or(0, |count| {
                *count -= 1;
                *count
            });
            if left == 0 {
                self.counts.remove(&remote);
            }
        }
        debug_assert!(
            !self.of_calls.is_empty() || self.counts.is_empty(),
            "without calls nobody is known"
        );
    }

    /// Forgets everybody: a new snapshot is held against the calls.
    pub(super) fn clear(&mut self) {
        self.of_calls.clear();
        self.counts.clear();
    }

    /// The calls whose peers are kept.
    pub(super) fn calls(&self) -> impl Iterator<Item = &CallKey> {
        self.of_calls.keys()
    }
}

/// On this machine the port tells who is who; elsewhere the address does.
fn by_host(remote: SocketAddr) -> SocketAddr {
    let address = remote.ip().to_canonical();
    let port = if address.is_loopback() {
        remote.port()
    } else {
        0
    };
    SocketAddr::new(address, port)
}

#[cfg(test)]
mod tests {
    use sip::table::Key;

    use super::*;

    fn call(index: u32) -> CallKey {
        CallKey(Key {
            index,
            generation: 0,
        })
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn peer_is_known_until_its_last_call_is_gone() {
        let mut peers = FormerPeers::default();
        let peer = address("192.0.2.1:5060");
        peers.keep(call(1), peer);
        peers.keep(call(1), peer);
        peers.keep(call(2), peer);
        assert!(peers.knows(address("192.0.2.1:9")));
        assert!(!peers.knows(address("192.0.2.2:5060")));
        peers.forget(call(1));
        assert!(peers.knows(peer));
        peers.forget(call(2));
        peers.forget(call(2));
        assert!(!peers.knows(peer));
    }

    #[test]
    fn on_this_machine_the_port_counts() {
        let mut peers = FormerPeers::default();
        peers.keep(call(1), address("127.0.0.1:5070"));
        assert!(peers.knows(address("127.0.0.1:5070")));
        assert!(!peers.knows(address("127.0.0.1:5071")));
        peers.clear();
        assert!(!peers.knows(address("127.0.0.1:5070")));
    }
}
