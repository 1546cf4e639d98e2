//! Sockets of the ring: open, arm, switch between unconnected and connected, close. Each switch
//! first ends the armed reception and waits for its last completion: no datagram is ever
//! attributed under the wrong rule, and a closed port is free at once.

use std::net::SocketAddr;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd};
use io_uring::{opcode, squeue};

use super::buffer_ring::GROUP;
use super::tag::Tag;
use super::{CANCEL_ROUND, CANCEL_ROUNDS_MAX, State, Uring};
use crate::arrival::Arrival;
use crate::kernel_socket::{Drain, KernelSocket};
use crate::packet_buf::SOURCE_BYTES;
use crate::packet_io::{OpenRefused, SocketKey, SocketSpec};
use crate::run::Runs;
use crate::segments::empty_header;

/// One socket of the ring.
#[derive(Debug)]
pub(super) struct Socket {
    /// What requests name: the slot of the file table, or the descriptor.
    pub(super) target: i32,
    pub(super) is_armed: bool,
    /// Its reception is being ended on purpose: do not re-arm.
    pub(super) is_switching: bool,
    pub(super) runs: Runs,
    /// An empty datagram ended its reception: more of them may wait.
    pub(super) had_empty: bool,
    pub(super) peer: Option<SocketAddr>,
    kernel: KernelSocket,
}

impl Socket {
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.kernel.local()
    }

    /// The reception that fits its state: the one that is armed, if one is.
    const fn reception(&self, key: SocketKey) -> Tag {
        if self.peer.is_some() {
            Tag::Receive(key)
        } else {
            Tag::ReceiveFrom(key)
        }
    }
}

impl State {
    pub(super) fn set_switching(&mut self, key: SocketKey, is_switching: bool) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.is_switching = is_switching;
        }
    }

    fn is_armed(&self, key: SocketKey) -> bool {
        self.sockets.get(key).is_some_and(|socket| socket.is_armed)
    }
}

impl State {
    /// After an empty datagram: each ends a reception, so a stranger who sends many would let only
    /// one real datagram through a turn. What waits is taken one by one, then it is armed again.
    pub(super) fn drain_after_empty(&mut self, key: SocketKey) {
        let Self {
            sockets,
            pool,
            counters,
            backlog,
            ..
        } = self;
        let Some(socket) = sockets.get_mut(key).filter(|socket| socket.had_empty) else {
            return;
        };
        socket.had_empty = false;
        socket.kernel.drain(
            socket.peer,
            Drain::WhatFindsBuffers,
            pool,
            counters,
            |packet, source| {
                backlog.push_back(Arrival {
                    socket: key,
                    source,
                    packet,
                });
            },
        );
    }
}

impl Uring {
    pub(super) fn open_socket(&mut self, spec: SocketSpec) -> Result<SocketKey, OpenRefused> {
        let next = self
            .state
            .sockets
            .next_key()
            .ok_or(OpenRefused::SocketLimit)?;
        let kernel = KernelSocket::open(spec)?;
        let descriptor = kernel.descriptor();
        let target = if self.is_fixed() {
            self.ring
                .submitter()
                .register_files_update(next.slot, &[descriptor])
                .map_err(|error| OpenRefused::Kernel(error.raw_os_error().unwrap_or(0)))?;
            i32::try_from(next.slot).map_err(|_slots_max| OpenRefused::SocketLimit)?
        } else {
            descriptor
        };
        let socket = Socket {
            target,
            is_armed: false,
            is_switching: false,
            had_empty: false,
            runs: Runs::Together,
            peer: None,
            kernel,
        };
        let key = self
            .state
            .sockets
            .insert(socket)
            .ok_or(OpenRefused::SocketLimit)?;
        self.arm(key);
        Ok(key)
    }

    pub(super) fn connect_socket(&mut self, key: SocketKey, peer: Option<SocketAddr>) {
        let Some(socket) = self.state.sockets.get(key) else {
            self.state.counters.connects_failed += 1;
            return;
        };
        if socket.peer == peer {
            return;
        }
        self.end_reception(key);
        let State {
            sockets,
            pool,
            counters,
            backlog,
            ..
        } = &mut self.state;
        let Some(socket) = sockets.get_mut(key) else {
            return;
        };
        if socket.peer.take().is_some() {
            socket.kernel.disconnect();
        }
        if let Some(peer) = peer {
            if socket.kernel.connect(peer).is_ok() {
                socket.peer = Some(peer);
                socket.runs = Runs::Together;
                socket
                    .kernel
                    .drain(Some(peer), Drain::All, pool, counters, |packet, source| {
                        backlog.push_back(Arrival {
                            socket: key,
                            source,
                            packet,
                        });
                    });
            } else {
                socket.kernel.disconnect();
                counters.connects_failed += 1;
            }
        }
        self.arm(key);
    }

    pub(super) fn close_socket(&mut self, key: SocketKey) {
        if self.state.sockets.get(key).is_none() {
            return;
        }
        // Also submits what was sent by it.
        self.end_reception(key);
        if self.is_fixed() {
            // Fails only for a slot beyond the table, and this one was set in `open`.
            self.ring
                .submitter()
                .register_files_update(key.slot, &[-1])
                .ok();
        }
        self.state.sockets.remove(key);
        self.state.backlog.retain(|arrival| arrival.socket != key);
    }

    /// Starts the reception that fits the socket's state. False: it runs, or the key is stale.
    pub(super) fn arm(&mut self, key: SocketKey) -> bool {
        let Some(socket) = self
            .state
            .sockets
            .get(key)
            .filter(|socket| !socket.is_armed)
        else {
            return false;
        };
        let (target, tag) = (Fd(socket.target), socket.reception(key));
        let request = if socket.peer.is_some() {
            // MSG_TRUNC: without it a datagram that is too long is cut in silence.
            opcode::RecvMulti::new(target, GROUP)
                .flags(libc::MSG_TRUNC)
                .build()
        } else {
            let header: *const libc::msghdr = &raw const *self.state.header;
            opcode::RecvMsgMulti::new(target, header, GROUP).build()
        };
        let flags = squeue::Flags::BUFFER_SELECT | self.file_flags;
        let is_armed = self.push(&request.flags(flags).user_data(tag.encode()));
        if let Some(socket) = self.state.sockets.get_mut(key) {
            socket.is_armed = is_armed;
        }
        if !is_armed {
            self.state.ended.push_back(key);
        }
        is_armed
    }

    /// Ends the reception of a socket and waits for its last completion. What comes by the way
    /// waits in the backlog.
    fn end_reception(&mut self, key: SocketKey) {
        self.state.set_switching(key, true);
        self.state.ended.retain(|ended| *ended != key);
        if let Some(socket) = self.state.sockets.get(key).filter(|socket| socket.is_armed) {
            let cancel = CancelBuilder::user_data(socket.reception(key).encode());
            let request = opcode::AsyncCancel2::new(cancel).build();
            self.push(&request.user_data(Tag::Cancel.encode()));
        }
        for round in 0..CANCEL_ROUNDS_MAX {
            self.enter(u32::from(round > 0), Duration::ZERO, Some(CANCEL_ROUND));
            self.reap_to_backlog();
            if !self.state.is_armed(key) {
                break;
            }
        }
        self.state.set_switching(key, false);
    }

    const fn is_fixed(&self) -> bool {
        self.file_flags.contains(squeue::Flags::FIXED_FILE)
    }
}

/// With its generation, one line of the table.
const _: () = assert!(size_of::<Socket>() <= 56);

/// Asks for the source, and for nothing else before the datagram.
pub(super) fn receive_header() -> Box<libc::msghdr> {
    let mut header = Box::new(empty_header());
    header.msg_namelen = NAME_BYTES;
    header
}

/// Room for the source, a little more than `sockaddr_in6` needs: the datagram begins aligned.
const NAME_BYTES: libc::socklen_t = 32;
const _: () = assert!(NAME_BYTES as usize + 16 == SOURCE_BYTES);
