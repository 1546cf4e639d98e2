//! Draining the sockets that have something: in turns, so that a flood on one does not keep the
//! others waiting.

use nix::errno::Errno;

use super::Epoll;
use crate::packet_buf::{DATAGRAM_BYTES_MAX, PacketBuf};
use crate::packet_io::{Received, ReceivedBatch, SocketKey};

/// How the drain of one socket ended.
enum Drained {
    /// Nothing more is there.
    Dry,
    /// It may have more; others first.
    Wet,
    /// No buffer, or no room in the batch: stop altogether.
    Full,
}

impl Epoll {
    pub(super) fn receive_ready(&mut self, received: &mut ReceivedBatch) {
        while !received.is_full()
            && let Some(arrival) = self.backlog.pop_front()
        {
            let peer = self.sockets.get(arrival.socket).map(|socket| socket.peer);
            received
                .packets
                .extend(arrival.hand_on(peer, &mut self.counters));
        }
        // One buffer ahead, kept through what brings no datagram; it returns with the drop.
        let mut buffer = None;
        while let Some(key) = self.ready.pop_front() {
            match self.drain_socket(key, received, &mut buffer) {
                Drained::Dry => {
                    if let Some(socket) = self.sockets.get_mut(key) {
                        socket.is_ready = false;
                    }
                }
                Drained::Wet => self.ready.push_back(key),
                Drained::Full => {
                    self.ready.push_front(key);
                    return;
                }
            }
        }
    }

    fn drain_socket(
        &mut self,
        key: SocketKey,
        received: &mut ReceivedBatch,
        buffer: &mut Option<PacketBuf>,
    ) -> Drained {
        let Some(socket) = self.sockets.get(key) else {
            return Drained::Dry;
        };
        let is_unconnected = socket.peer.is_none();
        for _ in 0..TURN_DATAGRAMS {
            if received.is_full() {
                return Drained::Full;
            }
            if buffer.is_none() {
                if self.pool.counts().free <= self.reserve {
                    self.counters.receive_buffers_empty += 1;
                    return Drained::Full;
                }
                *buffer = self.pool.take();
            }
            let Some(packet) = buffer else {
                return Drained::Full;
            };
            // Always fits: the pool's buffers are longer.
            packet.set_received_len(DATAGRAM_BYTES_MAX).ok();
            self.counters.kernel_entries += 1;
            match socket.kernel.receive(packet.bytes_mut(), is_unconnected) {
                Ok(taken) if taken.len == 0 => self.counters.empty_datagrams += 1,
                Ok(taken) if taken.len > DATAGRAM_BYTES_MAX => {
                    self.counters.truncated_datagrams += 1;
                }
                Ok(taken) if is_unconnected && taken.source.is_none() => {
                    self.counters.receive_errors += 1;
                }
                Ok(taken) => {
                    packet.truncate(taken.len);
                    if let Some(packet) = buffer.take() {
                        let source = taken.source;
                        received.packets.push(Received {
                            socket: key,
                            source,
                            packet,
                        });
                        self.counters.packets_received += 1;
                    }
                }
                Err(Errno::EAGAIN) => return Drained::Dry,
                Err(Errno::EINTR) => {}
                Err(Errno::ECONNREFUSED) => self.counters.icmp_errors += 1,
                Err(_) => {
                    self.counters.receive_errors += 1;
                    return Drained::Dry;
                }
            }
        }
        Drained::Wet
    }
}

/// Datagrams of one socket before the next has its turn.
const TURN_DATAGRAMS: u32 = 32;
