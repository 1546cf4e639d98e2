//! What must hold between any two calls into a worker.

use packet_io::PacketIo;

use crate::engine::line::{Gate, State};
use crate::engine::socket_owners::PortKind;
use crate::engine::worker::Worker;
use crate::ingress::PeerAddress;

impl<Io: PacketIo> Worker<Io> {
    /// True if every slot and every port is in one place.
    pub(super) fn is_balanced(&self) -> bool {
        let open = self.pairs.iter().filter(|pair| pair.open.is_some()).count();
        // Those of browsers' legs have no ports.
        let of_ports = self.ingress.iter().take(self.config.pairs_max as usize);
        let free = of_ports
            .clone()
            .filter(|line| line.state == State::Free)
            .count();
        let stocked = of_ports.filter(|line| line.state == State::Stocked).count();
        free == self.slots_free.len()
            && stocked == self.stocked as usize
            && open + self.ports.len() == self.ports_all
    }

    /// Checks every table against every other.
    ///
    /// # Panics
    /// When two tables disagree: a fault of this crate, never of the network.
    pub fn check_invariants(&self) {
        assert!(self.is_balanced(), "slots, stock and ports add up");
        assert!(self.deadlines.is_consistent(), "deadlines are in order");
        assert!(self.reports.is_consistent(), "reports are in line");
        self.transports.check();
        let secure = self.secure.iter().flatten().count();
        assert_eq!(secure, self.secure_legs as usize, "keys are counted");
        for (secure, pair) in self.secure.iter().zip(&self.pairs) {
            assert!(
                secure.is_none() || pair.leg.is_some(),
                "keys end with their leg"
            );
        }
        for (slot, pair) in (0_u32..).zip(&self.pairs) {
            let Some(line) = self.ingress.get(slot as usize) else {
                continue;
            };
            let Some(egress) = self.egress.get(slot as usize) else {
                continue;
            };
            let has_leg = matches!(line.state, State::Connected | State::Ended);
            assert_eq!(
                pair.leg.is_some(),
                has_leg,
                "a leg stands in a slot that says so"
            );
            let is_gate_open = egress.gate != Gate::Closed;
            assert_eq!(
                is_gate_open,
                line.state == State::Connected,
                "only a leg is sent to"
            );
            for (key, kind) in pair.open.iter().flat_map(|open| {
                let rtcp = open.rtcp.map(|rtcp| (rtcp, PortKind::Rtcp));
                [(open.rtp, PortKind::Rtp)].into_iter().chain(rtcp)
            }) {
                assert_eq!(
                    self.sockets.owner(key),
                    Some((slot, kind)),
                    "a socket has one owner"
                );
            }
            let is_bundled = self.transports.is_bundled(slot);
            assert!(
                !is_bundled || pair.open.is_none(),
                "a browser's leg has no ports"
            );
            if let Some(leg) = pair.leg.as_ref().filter(|_| is_gate_open) {
                assert_eq!(
                    leg.has_keys_only, is_bundled,
                    "a browser's leg has keys, or waits for them"
                );
                assert_eq!(
                    egress.is_secure,
                    leg.is_secure(),
                    "nothing leaves plain where keys are"
                );
                assert_eq!(
                    line.is_secure,
                    leg.is_secure(),
                    "nothing plain is heard where keys are"
                );
                assert_eq!(
                    egress.generation, pair.generation,
                    "a line is of its own leg"
                );
                assert_eq!(
                    line.is_locked,
                    leg.latch.locked().is_some(),
                    "the lock is the latch's"
                );
                let destination = leg.latch.destination().unwrap_or(PeerAddress::NOWHERE);
                assert_eq!(
                    egress.destination, destination,
                    "packets go where the latch says"
                );
                let is_proven = leg.latch.locked() == leg.latch.destination();
                assert!(
                    !leg.is_socket_connected || is_proven,
                    "connected to the locked source"
                );
            }
        }
    }
}
