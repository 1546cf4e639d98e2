//! `Outbox` of epoll: the run that may still grow, and sending it. A packet leaves when the next one goes
//! elsewhere, and at the next submit at the latest; one that goes to an address of its own leaves at once.

use std::net::SocketAddr;

use arrayvec::ArrayVec;
use nix::errno::Errno;

use super::{Epoll, Socket};
use crate::counters::IoCounters;
use crate::kernel_socket::KernelSocket;
use crate::packet_buf::PacketBuf;
use crate::packet_io::SocketKey;
use crate::run::{Run, Runs, SEGMENTS_MAX, is_refused_as_run};
use crate::segments::Segments;

/// Packets that have not left yet, all of one run.
#[derive(Debug)]
pub(super) struct Outbox {
    run: Option<Run>,
    packets: ArrayVec<PacketBuf, SEGMENTS_MAX>,
    segments: Segments,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            run: None,
            packets: ArrayVec::new(),
            segments: Segments::new(SEGMENTS_MAX),
        }
    }
}

impl Epoll {
    /// Sends to `to` at once; what goes to the peer joins the run, or begins the next.
    pub(super) fn push_send(
        &mut self,
        packet: PacketBuf,
        key: SocketKey,
        socket_runs: Runs,
        to: Option<SocketAddr>,
    ) {
        let len = packet.len();
        let joins = |run: &Run| to.is_none() && run.takes(key, len, true);
        if !self.outbox.run.as_ref().is_some_and(joins) {
            self.push_run();
        }
        if to.is_some() {
            if let Some(socket) = self.sockets.get(key) {
                transmit(&socket.kernel, &packet, to, &mut self.counters);
            }
            return;
        }
        let outbox = &mut self.outbox;
        let run = outbox
            .run
            .get_or_insert_with(|| Run::begin(key, len, true, socket_runs));
        run.add(len);
        // Never more than a run takes.
        outbox.packets.push(packet);
    }

    /// Sends what waits.
    #[inline]
    pub(super) fn push_run(&mut self) {
        let Some(run) = self.outbox.run.take() else {
            return;
        };
        let Outbox {
            packets, segments, ..
        } = &mut self.outbox;
        debug_assert_eq!(packets.len(), usize::from(run.count), "all of one run");
        // Who closes a socket sends what waits before.
        if let Some(socket) = self.sockets.get_mut(run.socket) {
            match &mut packets[..] {
                [alone] => transmit(&socket.kernel, alone, None, &mut self.counters),
                several => {
                    transmit_run(
                        socket,
                        several,
                        segments,
                        run.segment_len,
                        &mut self.counters,
                    );
                }
            }
        }
        packets.clear();
    }
}

/// All by one request; one by one where the path does not carry them together.
fn transmit_run(
    socket: &mut Socket,
    packets: &mut [PacketBuf],
    segments: &mut Segments,
    segment_len: u16,
    counters: &mut IoCounters,
) {
    let count = packets.len() as u64;
    let kernel = &socket.kernel;
    let result = attempt(count, counters, || {
        kernel.send_run(packets, segments, segment_len)
    });
    match result {
        Err(errno) if is_refused_as_run(errno as i32) => {
            counters.segments_refused += 1;
            socket.runs = Runs::Apart;
            for packet in packets {
                transmit(&socket.kernel, packet, None, counters);
            }
        }
        Ok(()) => {
            counters.packets_sent += count;
            counters.segments_sent += count;
        }
        Err(errno) => {
            counters.packets_sent += count;
            count_failed(errno, count, counters);
        }
    }
}

/// One by itself.
#[inline]
fn transmit(
    kernel: &KernelSocket,
    packet: &PacketBuf,
    to: Option<SocketAddr>,
    counters: &mut IoCounters,
) {
    counters.packets_sent += 1;
    if let Err(errno) = attempt(1, counters, || kernel.send(packet.bytes(), to)) {
        count_failed(errno, 1, counters);
    }
}

/// One request of so many packets, once more if an older packet's ICMP error failed it.
#[inline]
fn attempt(
    count: u64,
    counters: &mut IoCounters,
    mut send: impl FnMut() -> Result<(), Errno>,
) -> Result<(), Errno> {
    counters.kernel_entries += 1;
    let result = send();
    if result != Err(Errno::ECONNREFUSED) {
        return result;
    }
    counters.icmp_errors += 1;
    counters.sends_retried += count;
    counters.kernel_entries += 1;
    send()
}

#[cold]
fn count_failed(errno: Errno, count: u64, counters: &mut IoCounters) {
    let counter = if matches!(errno, Errno::EAGAIN | Errno::ENOBUFS) {
        &mut counters.sends_would_block
    } else if errno == Errno::ECONNREFUSED {
        &mut counters.sends_refused
    } else {
        &mut counters.sends_failed
    };
    *counter += count;
}
