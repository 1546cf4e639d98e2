//! What completions mean: datagrams, ends of receptions, failed sends. Trusts neither lengths nor
//! flags: a buffer is returned whatever came with it.

use std::rc::Rc;

use io_uring::cqueue;

use super::State;
use super::tag::Tag;
use crate::address;
use crate::arrival::Arrival;
use crate::packet_buf::{DATAGRAM_BYTES_MAX, HEADROOM_BYTES, PacketBuf, SOURCE_BYTES};
use crate::packet_io::{Received, SocketKey};

impl State {
    /// Takes note of one completion; a datagram comes back.
    #[inline]
    pub(super) fn complete(&mut self, completion: &cqueue::Entry) -> Option<Arrival> {
        let (result, flags) = (completion.result(), completion.flags());
        match Tag::decode(completion.user_data()) {
            Some(Tag::ReceiveFrom(key)) => self.received_from(key, result, flags),
            Some(Tag::Receive(key)) => self.received(key, result, flags),
            Some(Tag::Send(number)) => self.send_failed(number, result),
            Some(Tag::Wake) => {
                self.is_wake_armed = cqueue::more(flags);
                None
            }
            Some(Tag::Cancel) => None,
            None => {
                self.counters.unknown_completions += 1;
                None
            }
        }
    }

    /// The last look before the worker's.
    #[inline]
    pub(super) fn hand_on(&mut self, arrival: Arrival) -> Option<Received> {
        let peer = self.sockets.get(arrival.socket).map(|socket| socket.peer);
        arrival.hand_on(peer, &mut self.counters)
    }

    /// Of a connected socket: the datagram begins where the buffer was offered.
    fn received(&mut self, key: SocketKey, result: i32, flags: u32) -> Option<Arrival> {
        let mut packet = self.taken(key, result, flags)?;
        // With MSG_TRUNC the result is the true length, which may be more than the buffer has.
        let len = usize::try_from(result).unwrap_or(0);
        if !self.is_whole(len) || packet.set_received_len(len).is_err() {
            return None;
        }
        let Some(source) = self.sockets.get(key).and_then(|socket| socket.peer) else {
            self.counters.stale_datagrams += 1;
            return None;
        };
        Some(Arrival {
            socket: key,
            source,
            packet,
        })
    }

    /// Of an unconnected socket: lengths, flags and the source come before the datagram.
    fn received_from(&mut self, key: SocketKey, result: i32, flags: u32) -> Option<Arrival> {
        let mut packet = self.taken(key, result, flags)?;
        let len = usize::try_from(result).unwrap_or(0);
        packet.set_received_len(len).ok()?;
        let (header, datagram) = packet.bytes().split_first_chunk::<SOURCE_BYTES>()?;
        let datagram_len = datagram.len();
        let (lengths, name) = header.split_first_chunk::<LENGTHS_BYTES>()?;
        // `io_uring_recvmsg_out`: name length, control length, payload length, flags.
        let message_flags = lengths
            .last_chunk::<4>()
            .map_or(0, |flags| i32::from_ne_bytes(*flags));
        let source = address::parse(name);
        if message_flags & libc::MSG_TRUNC != 0 {
            self.counters.truncated_datagrams += 1;
            return None;
        }
        if !self.is_whole(datagram_len) {
            return None;
        }
        packet.remove_front(SOURCE_BYTES);
        let Some(source) = source else {
            self.counters.receive_errors += 1;
            return None;
        };
        Some(Arrival {
            socket: key,
            source,
            packet,
        })
    }

    /// The buffer of a completion, if it has one; the end of the reception, if it is that.
    fn taken(&mut self, key: SocketKey, result: i32, flags: u32) -> Option<PacketBuf> {
        let packet = cqueue::buffer_select(flags).map(|index| {
            let core = self.pool.core();
            self.buffers.take_back(core, index);
            PacketBuf::new(Rc::clone(core), index, START, 0)
        });
        if !cqueue::more(flags) {
            self.reception_ended(key, result);
        }
        if result >= 0 && packet.is_none() {
            self.counters.empty_datagrams += 1;
        }
        packet.filter(|_| result >= 0)
    }

    /// No MORE flag: re-arm, whatever the reason was.
    fn reception_ended(&mut self, key: SocketKey, result: i32) {
        match result.saturating_neg() {
            libc::ENOBUFS => self.counters.receive_buffers_empty += 1,
            libc::ECONNREFUSED => self.counters.icmp_errors += 1,
            libc::ECANCELED => {}
            errno if errno > 0 => self.counters.receive_errors += 1,
            _ => {}
        }
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.is_armed = false;
            socket.had_empty = result >= 0;
            if !socket.is_switching {
                self.ended.push_back(key);
            }
        }
    }

    fn is_whole(&mut self, len: usize) -> bool {
        self.counters.empty_datagrams += u64::from(len == 0);
        self.counters.truncated_datagrams += u64::from(len > DATAGRAM_BYTES_MAX);
        (1..=DATAGRAM_BYTES_MAX).contains(&len)
    }
}

/// Where the kernel was told to write.
const START: u16 = 64;
const _: () = assert!(START as usize == HEADROOM_BYTES);

/// `struct io_uring_recvmsg_out`.
const LENGTHS_BYTES: usize = 16;
