//! The network's side of the twin: what a simulated network calls. Filters as the kernel does.

use std::net::SocketAddr;

use super::{Faults, SendFault, Simulated, wildcard_of};
use crate::packet_io::SocketKey;

/// What became of a delivered datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It waits in the socket.
    Queued,
    /// Nobody has that port: a real host would answer with ICMP (see
    /// [`Simulated::deliver_unreachable`]).
    NoSocket,
    /// The socket is connected to somebody else.
    Stranger,
    /// The socket's queue is full.
    QueueFull,
}

/// A datagram on one of the two sides of the sockets.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) socket: SocketKey,
    pub(super) source: SocketAddr,
    pub(super) target: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

impl<F: Faults> Simulated<F> {
    /// A datagram from `source` arrives for the socket bound to `target`.
    pub fn deliver(&mut self, target: SocketAddr, source: SocketAddr, bytes: &[u8]) -> Delivery {
        let key = self
            .by_address
            .get(&target)
            .or_else(|| self.by_address.get(&wildcard_of(target)));
        let Some(&key) = key else {
            return Delivery::NoSocket;
        };
        let Some(socket) = self.sockets.get_mut(key) else {
            return Delivery::NoSocket;
        };
        if socket.peer.is_some_and(|peer| peer != source) {
            return Delivery::Stranger;
        }
        if socket.waiting >= self.socket_queue_max {
            return Delivery::QueueFull;
        }
        socket.waiting += 1;
        let bytes = self.copy(bytes);
        self.arrived.push_back(Datagram {
            socket: key,
            source,
            target,
            bytes,
        });
        Delivery::Queued
    }

    /// An ICMP error about a datagram from `local` to `peer` arrives: a socket connected to that
    /// peer fails its next send once; any other does not hear of it.
    pub fn deliver_unreachable(&mut self, local: SocketAddr, peer: SocketAddr) {
        let socket = self
            .by_address
            .get(&local)
            .and_then(|&key| self.sockets.get_mut(key));
        if let Some(socket) = socket.filter(|socket| socket.peer == Some(peer)) {
            socket.has_error = true;
            self.counters.icmp_errors += 1;
        }
    }

    /// Takes what has left since the last call, in order: from, to, datagram.
    pub fn take_sent(&mut self, mut each: impl FnMut(SocketAddr, SocketAddr, &[u8])) {
        while let Some(datagram) = self.sent.pop_front() {
            each(datagram.source, datagram.target, &datagram.bytes);
            self.spare.push(datagram.bytes);
        }
    }

    /// Datagrams that have arrived and were not received yet.
    #[must_use]
    pub fn arrived_count(&self) -> usize {
        self.arrived.len()
    }

    /// The queue leaves; the buffers return to the pool.
    pub(super) fn submit(&mut self) {
        let mut queued = std::mem::take(&mut self.queued);
        for entry in queued.drain(..) {
            entry.packet.reclaim();
            if let Some(socket) = self.sockets.get_mut(entry.socket) {
                self.counters.sends_retried += u64::from(socket.has_error);
                socket.has_error = false;
            }
            match self.faults.fail_send(entry.from, entry.to) {
                Some(SendFault::WouldBlock) => self.counters.sends_would_block += 1,
                Some(SendFault::Failed) => self.counters.sends_failed += 1,
                None => {
                    let bytes = self.copy(entry.packet.bytes());
                    let (socket, source, target) = (entry.socket, entry.from, entry.to);
                    self.sent.push_back(Datagram {
                        socket,
                        source,
                        target,
                        bytes,
                    });
                }
            }
        }
        self.queued = queued;
    }

    fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(bytes);
        copy
    }
}
