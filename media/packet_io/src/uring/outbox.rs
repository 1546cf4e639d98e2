//! `Outbox`: what was queued to be sent, until it is known how it ended. With `MSG_DONTWAIT` a send
//! is over when the submit returns, and only a failure has a completion; so after the completions
//! of a submit are reaped, its buffers go back (`[until-submitted]`).
//!
//! Packets of one length that follow each other to one connected peer are a *run* and leave by one
//! request (`UDP_SEGMENT`): a keyframe of video costs a fraction of its packets sent one by one.

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
use crate::run::{Run, Runs, is_refused_as_run};
use crate::segments::Segments;

/// The sends of the last submit, and those queued for the next.
#[derive(Debug)]
pub(super) struct Outbox {
    entries: Vec<Outgoing>,
    /// How many of `entries`, from the first, the kernel has done with.
    submitted: usize,
    /// The last of `entries` that no request names yet.
    run: Option<Run>,
    /// What the request of the run will name.
    run_target: i32,
    /// Of `entries`, how many at the end have no request: those of the run.
    unrequested: usize,
    /// Number of the first of `entries`; they count up from it.
    first_number: u32,
    /// One for each that is queued: the kernel reads it during the submit.
    addresses: Box<[RawAddress]>,
    segments: Segments,
    retries: VecDeque<(PacketBuf, SocketKey)>,
    /// What a run that was refused is sent as: one by one.
    singles: VecDeque<(PacketBuf, SocketKey)>,
}

#[derive(Debug)]
struct Outgoing {
    /// Lent to the kernel. `None`: it failed and goes once more.
    packet: Option<PacketBuf>,
    socket: SocketKey,
    may_retry: bool,
    /// Packets of the request that begins here.
    run: u16,
}

impl Outbox {
    pub(super) fn new(queued_max: u32) -> Self {
        let queued_max = queued_max as usize;
        Self {
            entries: Vec::with_capacity(2 * queued_max),
            submitted: 0,
            run: None,
            run_target: 0,
            unrequested: 0,
            first_number: 0,
            addresses: vec![RawAddress::EMPTY; queued_max].into_boxed_slice(),
            segments: Segments::new(queued_max),
            retries: VecDeque::new(),
            singles: VecDeque::new(),
        }
    }

    /// The kernel has taken every request that was queued.
    #[inline]
    pub(super) fn all_submitted(&mut self) {
        self.submitted = self.entries.len() - self.unrequested;
        self.segments.clear();
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

    /// A send failed. Refused because of an older packet: it goes again, once. A run that the path
    /// does not carry goes one by one; true for the socket that it was of.
    #[cold]
    pub(super) fn failed(
        &mut self,
        number: u32,
        result: i32,
        counters: &mut IoCounters,
    ) -> Option<SocketKey> {
        let place = number.wrapping_sub(self.first_number) as usize;
        let count = self
            .entries
            .get(place)
            .filter(|_| place < self.submitted)
            .map_or(1, |outgoing| u64::from(outgoing.run));
        if count > 1 {
            // They did not leave together.
            counters.segments_sent -= count.min(counters.segments_sent);
        }
        match result.saturating_neg() {
            libc::ECONNREFUSED => {
                counters.icmp_errors += 1;
                let retried = self.take_failed(place, count, true);
                counters.sends_retried += retried;
                counters.sends_refused += count - retried;
                // They leave again, and are counted then.
                counters.packets_sent -= retried.min(counters.packets_sent);
            }
            errno if count > 1 && is_refused_as_run(errno) => {
                counters.segments_refused += 1;
                // They leave again, and are counted then.
                counters.packets_sent -= count.min(counters.packets_sent);
                let socket = self.entries.get(place).map(|outgoing| outgoing.socket);
                self.take_failed(place, count, false);
                return socket;
            }
            libc::EAGAIN | libc::ENOBUFS => counters.sends_would_block += count,
            _ => counters.sends_failed += count,
        }
        None
    }

    pub(super) fn take_retry(&mut self) -> Option<(PacketBuf, SocketKey)> {
        self.retries.pop_front()
    }

    pub(super) fn take_single(&mut self) -> Option<(PacketBuf, SocketKey)> {
        self.singles.pop_front()
    }

    /// Takes the packets of a failed request out; how many go again.
    fn take_failed(&mut self, place: usize, count: u64, as_retry: bool) -> u64 {
        let last = place.saturating_add(usize::try_from(count).unwrap_or(1));
        if last > self.submitted {
            return 0;
        }
        let mut taken = 0;
        for outgoing in self.entries.get_mut(place..last).unwrap_or_default() {
            if as_retry && !outgoing.may_retry {
                continue;
            }
            if let Some(packet) = outgoing.packet.take() {
                packet.reclaim();
                let again = (packet, outgoing.socket);
                if as_retry {
                    self.retries.push_back(again);
                } else {
                    self.singles.push_back(again);
                }
                taken += 1;
            }
        }
        taken
    }

    /// Notes one more, which has a request of its own or is the next of the run.
    #[inline]
    fn push(&mut self, packet: PacketBuf, socket: SocketKey, may_retry: bool) {
        self.entries.push(Outgoing {
            packet: Some(packet),
            socket,
            may_retry,
            run: 1,
        });
        self.unrequested += 1;
    }

    /// The last `count` have their request now.
    #[inline]
    fn requested(&mut self, count: usize) {
        debug_assert!(count <= self.unrequested, "each packet is asked for once");
        self.unrequested -= count.min(self.unrequested);
    }

    /// The last `count` will not leave; their buffers are free.
    #[cold]
    fn withdraw(&mut self, count: usize) {
        self.requested(count);
        let first = self.entries.len().saturating_sub(count);
        for outgoing in self.entries.drain(first..) {
            if let Some(packet) = outgoing.packet {
                packet.reclaim();
            }
        }
    }

    /// The number that the entry `count` before the end has.
    #[inline]
    fn number_before_end(&self, count: usize) -> u32 {
        let place = u32::try_from(self.entries.len().saturating_sub(count)).unwrap_or(u32::MAX);
        self.first_number.wrapping_add(place)
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
        let (target, runs) = (entry.target, entry.runs);
        if self.state.outbox.is_full() {
            self.enter(0, std::time::Duration::ZERO, None);
        }
        let Some(to) = to else {
            return self.push_to_peer(packet, socket, (target, runs), may_retry);
        };
        self.push_run();
        if self.ring.submission().is_full() {
            self.enter(0, std::time::Duration::ZERO, None);
        }
        let (pointer, len) = (packet.bytes_mut().as_ptr(), packet.len());
        let outbox = &mut self.state.outbox;
        let Some(address) = outbox.place_address(to) else {
            self.state.counters.sends_queue_full += 1;
            return;
        };
        let send = opcode::Send::new(Fd(target), pointer, u32::try_from(len).unwrap_or(0))
            .dest_addr(address.as_ptr())
            .dest_addr_len(address.len());
        packet.lend();
        outbox.push(packet, socket, false);
        self.request(send.flags(SEND_FLAGS).build(), 1);
    }

    /// To the connected peer: joins the run, or begins the next.
    #[inline]
    fn push_to_peer(
        &mut self,
        packet: PacketBuf,
        socket: SocketKey,
        (target, runs): (i32, Runs),
        may_retry: bool,
    ) {
        let len = packet.len();
        let run = self.state.outbox.run;
        if run.is_none_or(|run| !run.takes(socket, len, may_retry)) {
            self.push_run();
        }
        packet.lend();
        let outbox = &mut self.state.outbox;
        outbox.push(packet, socket, may_retry);
        outbox.run_target = target;
        let run = outbox
            .run
            .get_or_insert_with(|| Run::begin(socket, len, may_retry, runs));
        run.add(len);
    }

    /// Makes the request of the run, if one is open.
    #[inline]
    pub(super) fn push_run(&mut self) {
        let Some(run) = self.state.outbox.run.take() else {
            return;
        };
        if self.ring.submission().is_full() {
            self.enter(0, std::time::Duration::ZERO, None);
        }
        let count = usize::from(run.count);
        let outbox = &mut self.state.outbox;
        let first = outbox.entries.len().saturating_sub(count);
        let target = Fd(outbox.run_target);
        let Some(packets) = outbox.entries.get_mut(first..) else {
            return;
        };
        let request = match packets {
            [alone] => alone.packet.as_mut().map(|packet| {
                let len = u32::try_from(packet.len()).unwrap_or(0);
                let send = opcode::Send::new(target, packet.bytes_mut().as_ptr(), len);
                send.flags(SEND_FLAGS).build()
            }),
            several => {
                if let Some(first) = several.first_mut() {
                    first.run = run.count;
                }
                let packets = several
                    .iter_mut()
                    .filter_map(|outgoing| outgoing.packet.as_mut());
                let header = outbox.segments.place(packets, run.segment_len);
                header.map(|header| {
                    let send = opcode::SendMsg::new(target, header);
                    send.flags(SEND_FLAGS.cast_unsigned()).build()
                })
            }
        };
        match request {
            Some(request) => self.request(request, count),
            None => self.refuse_unsent(count),
        }
    }

    /// Queues the request that sends the last `count` of the outbox.
    #[inline]
    fn request(&mut self, request: squeue::Entry, count: usize) {
        let number = self.state.outbox.number_before_end(count);
        let flags = squeue::Flags::SKIP_SUCCESS | self.file_flags;
        let request = request.flags(flags).user_data(Tag::Send(number).encode());
        if self.push(&request) {
            self.state.outbox.requested(count);
            self.state.counters.packets_sent += count as u64;
            self.state.counters.segments_sent += if count > 1 { count as u64 } else { 0 };
        } else {
            self.refuse_unsent(count);
        }
    }

    #[cold]
    fn refuse_unsent(&mut self, count: usize) {
        self.state.outbox.withdraw(count);
        self.state.counters.sends_queue_full += count as u64;
    }

    /// What was refused as a run leaves packet by packet.
    pub(super) fn resend_singly(&mut self) {
        while let Some((packet, socket)) = self.state.outbox.take_single() {
            self.push_send(packet, socket, None, true);
        }
    }
}

impl super::State {
    /// A send failed.
    #[cold]
    pub(super) fn send_failed(&mut self, number: u32, result: i32) -> Option<Arrival> {
        if let Some(key) = self.outbox.failed(number, result, &mut self.counters)
            && let Some(socket) = self.sockets.get_mut(key)
        {
            socket.runs = Runs::Apart;
        }
        None
    }
}
