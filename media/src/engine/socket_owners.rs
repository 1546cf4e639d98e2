//! From a socket to the pair it belongs to: a table with one row a socket slot.

use packet_io::SocketKey;

/// Which pair a socket belongs to, by the slot of the socket.
#[derive(Debug)]
pub(super) struct SocketOwners(Vec<Option<SocketOwner>>);

#[derive(Debug, Clone, Copy)]
struct SocketOwner {
    generation: u32,
    slot: u32,
    kind: PortKind,
}

/// One of the two sockets of a pair, or the one of all browsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortKind {
    Rtp,
    Rtcp,
    /// Of no pair.
    Browsers,
}

impl SocketOwners {
    pub(super) fn new(sockets: usize) -> Self {
        Self(vec![None; sockets])
    }

    #[inline]
    pub(super) fn owner(&self, socket: SocketKey) -> Option<(u32, PortKind)> {
        let owner = (*self.0.get(socket.slot as usize)?)?;
        (owner.generation == socket.generation).then_some((owner.slot, owner.kind))
    }

    /// False: the `PacketIo` numbers its sockets beyond what the worker was made for.
    pub(super) fn set(&mut self, socket: SocketKey, slot: u32, kind: PortKind) -> bool {
        let owner = SocketOwner {
            generation: socket.generation,
            slot,
            kind,
        };
        self.0
            .get_mut(socket.slot as usize)
            .map(|place| *place = Some(owner))
            .is_some()
    }

    pub(super) fn clear(&mut self, socket: SocketKey) {
        if let Some(place) = self.0.get_mut(socket.slot as usize) {
            *place = place.filter(|owner| owner.generation != socket.generation);
        }
    }
}
