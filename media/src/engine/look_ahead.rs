//! Asks for the lines that the next few packets need, before the first of them is looked at: they are in
//! no cache when a thousand calls stand, and one after the other each would be waited for.

use arrayvec::ArrayVec;
use packet_io::{PacketIo, Received, prefetch};

use crate::engine::secure::SecureLeg;
use crate::engine::socket_owners::PortKind;
use crate::engine::worker::Worker;
use crate::ingress::PeerAddress;
use crate::limits::LOOK_AHEAD_PACKETS;

impl<Io: PacketIo> Worker<Io> {
    /// Each step asks for what the lines of the step before lead to. It changes nothing. Plain legs have
    /// too few lines for it to pay.
    pub(super) fn look_ahead(&self, group: &[Received]) {
        debug_assert!(group.len() <= LOOK_AHEAD_PACKETS, "a group has room");
        if self.secure_legs == 0 {
            return;
        }
        let mut slots: ArrayVec<u32, LOOK_AHEAD_PACKETS> = ArrayVec::new();
        for received in group {
            let slot = match self.sockets.owner(received.socket) {
                Some((slot, PortKind::Rtp)) => slot,
                // Most of what browsers send is sound.
                Some((_, PortKind::Browsers)) => {
                    let source = received.source.map(PeerAddress::from);
                    let Some(audio) = source.and_then(|it| self.transports.slot_at(&it)) else {
                        continue;
                    };
                    audio
                }
                Some((_, PortKind::Rtcp)) | None => continue,
            };
            if let Some(line) = self.ingress.get(slot as usize) {
                prefetch(line);
            }
            if let Some(line) = self.reception.get(slot as usize) {
                prefetch(line);
            }
            slots.push(slot);
        }
        let mut opposites: ArrayVec<u32, LOOK_AHEAD_PACKETS> = ArrayVec::new();
        let mut receivers: ArrayVec<&SecureLeg, LOOK_AHEAD_PACKETS> = ArrayVec::new();
        for slot in slots {
            let Some(line) = self.ingress.get(slot as usize) else {
                continue;
            };
            if let Some(opposite) = self.egress.get(line.opposite as usize) {
                prefetch(opposite);
                opposites.push(line.opposite);
            }
            if line.is_secure
                && let Some(secure) = self.secure_leg(slot)
            {
                secure.prefetch_receive();
                receivers.push(secure);
            }
        }
        let mut senders: ArrayVec<&SecureLeg, LOOK_AHEAD_PACKETS> = ArrayVec::new();
        for opposite in opposites {
            let line = self.egress.get(opposite as usize);
            if line.is_some_and(|line| line.is_secure)
                && let Some(secure) = self.secure_leg(opposite)
            {
                secure.prefetch_send();
                senders.push(secure);
            }
        }
        receivers.iter().for_each(|leg| leg.prefetch_receive_keys());
        senders.iter().for_each(|leg| leg.prefetch_send_keys());
    }
}
