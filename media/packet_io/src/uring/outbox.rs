//! `Outbox`: what was queued to be sent, until it is known how it ended. With `MSG_DONTWAIT` a send
//! is over when the submit returns, and only a failure has a completion; so after the completions
//! of a submit are reaped, its buffers go back (`[until-submitted]`).

use std::collections::VecDeque;
use std::net::SocketAddr;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};

use super::Uring;
use super::tag::Tag;
use crate::address::RawAddress;
use crate::arrival::Arrival;
use crate::counters::IoCounters;
use crate::kernel_socket::SEND_FLAGS;
use crate::packet_buf::PacketBuf;
use crate::packet_io::SocketKey;

/// The sends of the last submit, and those queued for the next.
#[derive(Debug)]
pub(super) struct Outbox {
    entries: Vec<Outgoing>,
    /// How many of `entries`, from the first, the kernel has done with.
    submitted: usize,
    /// Number of the first of `entries`; they count up from it.
    first_number: u32,
    /// One for each that is queued: the kernel reads it during the submit.
    addresses: Box<[RawAddress]>,
    retries: VecDeque<(PacketBuf, SocketKey)>,
}

#[derive(Debug)]
struct Outgoing {
    /// Lent to the kernel. `None`: it failed and goes once more.
    packet: Option<PacketBuf>,
    socket: SocketKey,
    may_retry: bool,
}

impl Outbox {
    pub(super) fn new(queued_max: u32) -> Self {
        let queued_max = queued_max as usize;
        Self {
            entries: Vec::with_capacity(2 * queued_max),
            submitted: 0,
            first_number: 0,
            addresses: vec![RawAddress::EMPTY; queued_max].into_boxed_slice(),
            retries: VecDeque::new(),
        }
    }

    /// The kernel has taken everything that was queued.
    #[inline]
    pub(super) const fn all_submitted(&mut self) {
        self.submitted = self.entries.len();
    }

    /// The buffers of what was submitted return to the pool.
    #[inline]
    pub(super) fn recycle(&mut self) {
        for outgoing in self.entries.drain(..self.submitted) {
            self.first_number = self.first_number.wrapping_add(1);
            if let Some(packet) = outgoing.packet {
                packet.reclaim();
            }
        }
        self.submitted = 0;
    }

    /// A send failed. Refused because of an older packet: it goes again, once.
    #[cold]
    pub(super) fn failed(
        &mut self,
        number: u32,
        result: i32,
        counters: &mut IoCounters,
    ) -> Option<Arrival> {
        match result.saturating_neg() {
            libc::ECONNREFUSED => {
                counters.icmp_errors += 1;
                match self.take_failed(number) {
                    Some(again) => {
                        counters.sends_retried += 1;
                        self.retries.push_back(again);
                    }
                    None => counters.sends_refused += 1,
                }
            }
            libc::EAGAIN | libc::ENOBUFS => counters.sends_would_block += 1,
            _ => counters.sends_failed += 1,
        }
        None
    }

    pub(super) fn take_retry(&mut self) -> Option<(PacketBuf, SocketKey)> {
        self.retries.pop_front()
    }

    fn take_failed(&mut self, number: u32) -> Option<(PacketBuf, SocketKey)> {
        let place = number.wrapping_sub(self.first_number) as usize;
        if place >= self.submitted {
            return None;
        }
        let outgoing = self
            .entries
            .get_mut(place)
            .filter(|outgoing| outgoing.may_retry)?;
        let packet = outgoing.packet.take()?;
        packet.reclaim();
        Some((packet, outgoing.socket))
    }

    /// Notes one more; the number it has. The caller has pushed its request.
    #[inline]
    fn push(&mut self, packet: PacketBuf, socket: SocketKey, may_retry: bool) {
        self.entries.push(Outgoing {
            packet: Some(packet),
            socket,
            may_retry,
        });
    }

    #[inline]
    fn next_number(&self) -> u32 {
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.first_number.wrapping_add(count)
    }

    /// Where the next address stays until the submit; `None`: too many are queued.
    #[inline]
    fn place_address(&mut self, to: SocketAddr) -> Option<&RawAddress> {
        let queued = self.entries.len() - self.submitted;
        let place = self.addresses.get_mut(queued)?;
        *place = RawAddress::new(to);
        Some(place)
    }

    const fn is_full(&self) -> bool {
        self.entries.len() - self.submitted >= self.addresses.len()
    }
}

impl Uring {
    /// Queues a send from the packet's own buffer.
    #[inline]
    pub(super) fn push_send(
        &mut self,
        mut packet: PacketBuf,
        socket: SocketKey,
        to: Option<SocketAddr>,
        may_retry: bool,
    ) {
        let counters = &mut self.state.counters;
        let Some(entry) = self.state.sockets.get(socket) else {
            counters.sends_to_closed_socket += 1;
            return;
        };
        if to.is_none() && entry.peer.is_none() {
            counters.sends_without_peer += 1;
            return;
        }
        if packet.is_empty() {
            counters.sends_empty += 1;
            return;
        }
        let target = Fd(entry.target);
        if self.state.outbox.is_full() {
            self.enter(0, std::time::Duration::ZERO, None);
        }
        let outbox = &mut self.state.outbox;
        let number = outbox.next_number();
        let (pointer, len) = (packet.bytes_mut().as_ptr(), packet.len());
        let send = opcode::Send::new(target, pointer, u32::try_from(len).unwrap_or(0));
        let mut send = send.flags(SEND_FLAGS);
        if let Some(to) = to {
            let Some(address) = outbox.place_address(to) else {
                self.state.counters.sends_queue_full += 1;
                return;
            };
            send = send
                .dest_addr(address.as_ptr())
                .dest_addr_len(address.len());
        }
        let flags = squeue::Flags::SKIP_SUCCESS | self.file_flags;
        let request = send
            .build()
            .flags(flags)
            .user_data(Tag::Send(number).encode());
        packet.lend();
        if self.push(&request) {
            self.state.counters.packets_sent += 1;
            self.state
                .outbox
                .push(packet, socket, may_retry && to.is_none());
        } else {
            packet.reclaim();
            self.state.counters.sends_queue_full += 1;
        }
    }
}
