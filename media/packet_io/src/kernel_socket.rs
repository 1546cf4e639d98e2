//! `KernelSocket`: one UDP socket of the kernel, for both implementations that have one. Owns the
//! descriptor and its options; receives and sends one datagram at a time, never blocking.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::address::{RawAddress, parse};
use crate::counters::IoCounters;
use crate::packet_buf::{DATAGRAM_BYTES_MAX, PacketBuf};
use crate::packet_io::{OpenRefused, SocketSpec};
use crate::packet_pool::PacketPool;
use crate::segments::Segments;

/// A bound UDP socket; closed on drop.
#[derive(Debug)]
pub(crate) struct KernelSocket {
    socket: Socket,
}

/// A datagram taken by [`KernelSocket::receive`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// Its true length, also where that is more than the buffer took.
    pub(crate) len: usize,
    /// `None` where the caller did not ask.
    pub(crate) source: Option<SocketAddr>,
}

/// How much [`KernelSocket::drain`] takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drain {
    /// All; what finds no buffer is lost, and counted.
    All,
    /// A turn's share, until there is no buffer left; the rest goes on waiting.
    WhatFindsBuffers,
}

impl KernelSocket {
    pub(crate) fn open(spec: SocketSpec) -> Result<Self, OpenRefused> {
        if spec.local.port() != 0 {
            return Self::bind(spec).map_err(|error| refusal(&error));
        }
        // A port the kernel chose is lost again when the socket is un-connected, so it is asked for
        // by number.
        let mut refused = OpenRefused::AddressInUse;
        for _ in 0..CHOSEN_PORT_TRIES {
            let probe = Self::bind(spec).map_err(|error| refusal(&error))?;
            let local = probe.local().ok_or(OpenRefused::AddressNotAvailable)?;
            drop(probe);
            match Self::bind(SocketSpec { local, ..spec }) {
                Ok(socket) => return Ok(socket),
                Err(error) => refused = refusal(&error),
            }
        }
        Err(refused)
    }

    /// Asked of the kernel each time: it would fill half of a socket's cache line.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()?.as_socket()
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    pub(crate) fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(&peer.into())
    }

    /// Un-connects: `connect` with `AF_UNSPEC`. The port stays ours.
    pub(crate) fn disconnect(&self) {
        let unspecified = RawAddress::EMPTY;
        // SAFETY: the address is plain readable memory of the length given, read before the call
        // returns; the kernel keeps nothing of it, so no invariant of ours is involved.
        let result =
            unsafe { libc::connect(self.descriptor(), unspecified.as_ptr(), UNSPECIFIED_BYTES) };
        debug_assert_eq!(result, 0, "un-connecting a UDP socket cannot fail");
    }

    /// Takes one datagram into `buffer`, with its source if `with_source`.
    pub(crate) fn receive(&self, buffer: &mut [u8], with_source: bool) -> Result<Taken, Errno> {
        let mut name = [0_u8; NAME_BYTES];
        let mut name_len = libc::socklen_t::try_from(NAME_BYTES).unwrap_or(0);
        let (name_pointer, len_pointer) = if with_source {
            (name.as_mut_ptr(), &raw mut name_len)
        } else {
            (std::ptr::null_mut(), std::ptr::null_mut())
        };
        // SAFETY: buffer, name and length are exclusive borrows that outlive the call, of the
        // sizes given: `[until-submitted]` is trivial for a call that ends before it returns.
        let result = unsafe {
            libc::recvfrom(
                self.descriptor(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT | libc::MSG_TRUNC,
                name_pointer.cast(),
                len_pointer,
            )
        };
        let len = Errno::result(result)?;
        let source = if with_source { parse(&name) } else { None };
        Ok(Taken {
            len: usize::try_from(len).unwrap_or(0),
            source,
        })
    }

    /// Sends one datagram to `to`, or to the peer.
    pub(crate) fn send(&self, datagram: &[u8], to: Option<SocketAddr>) -> Result<(), Errno> {
        let address = to.map_or(RawAddress::EMPTY, RawAddress::new);
        let pointer = if to.is_some() {
            address.as_ptr()
        } else {
            std::ptr::null()
        };
        // SAFETY: datagram and address are borrowed for the whole call and only read; the kernel
        // has copied both when it returns.
        let result = unsafe {
            libc::sendto(
                self.descriptor(),
                datagram.as_ptr().cast(),
                datagram.len(),
                SEND_FLAGS,
                pointer,
                address.len(),
            )
        };
        Errno::result(result).map(|_sent| ())
    }

    /// Sends a run to the peer by one request: all but the last are `segment_len` long.
    pub(crate) fn send_run(
        &self,
        packets: &mut [PacketBuf],
        segments: &mut Segments,
        segment_len: u16,
    ) -> Result<(), Errno> {
        segments.clear();
        let header = segments.place(packets.iter_mut(), segment_len);
        let header = header.ok_or(Errno::EINVAL)?;
        // SAFETY: the header points to its list and its control message, which `segments` owns, and
        // these to packets: all are borrowed for the whole call and only read (`[one-owner]`).
        let result = unsafe { libc::sendmsg(self.descriptor(), header, SEND_FLAGS) };
        Errno::result(result).map(|_sent| ())
    }

    /// Takes what waits and hands it on with its source. With a `peer` only what came from it:
    /// other sources' datagrams stay queued through a `connect`.
    pub(crate) fn drain(
        &self,
        peer: Option<SocketAddr>,
        extent: Drain,
        pool: &PacketPool,
        counters: &mut IoCounters,
        mut each: impl FnMut(PacketBuf, SocketAddr),
    ) {
        let mut datagram = [0_u8; DATAGRAM_BYTES_MAX];
        let most = match extent {
            Drain::All => DRAINED_MAX,
            Drain::WhatFindsBuffers => DRAINED_IN_A_TURN_MAX,
        };
        for _ in 0..most {
            if extent == Drain::WhatFindsBuffers && pool.counts().free == 0 {
                return;
            }
            let taken = match self.receive(&mut datagram, true) {
                Ok(taken) => taken,
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => continue,
                Err(Errno::ECONNREFUSED) => {
                    counters.icmp_errors += 1;
                    continue;
                }
                Err(_) => {
                    counters.receive_errors += 1;
                    return;
                }
            };
            match (taken.source, datagram.get(..taken.len)) {
                (None, _) => counters.receive_errors += 1,
                (source, _) if peer.is_some() && source != peer => counters.stranger_datagrams += 1,
                (_, None) => counters.truncated_datagrams += 1,
                (_, Some([])) => counters.empty_datagrams += 1,
                (Some(source), Some(bytes)) => {
                    let mut packet = pool.take();
                    if packet
                        .as_mut()
                        .is_none_or(|packet| packet.copy_from(bytes).is_err())
                    {
                        counters.datagrams_without_buffer += 1;
                        continue;
                    }
                    packet.into_iter().for_each(|packet| each(packet, source));
                }
            }
        }
    }

    fn bind(spec: SocketSpec) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(spec.local),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        // RFC 2474: the code point is the upper six bits of the octet.
        let traffic_class = u32::from(spec.dscp & 0x3f) << 2;
        if spec.local.is_ipv4() {
            socket.set_tos_v4(traffic_class)?;
        } else {
            socket.set_only_v6(true)?;
            socket.set_tclass_v6(traffic_class)?;
        }
        if spec.receive_buffer_bytes > 0 {
            socket.set_recv_buffer_size(spec.receive_buffer_bytes as usize)?;
        }
        socket.bind(&spec.local.into())?;
        Ok(Self { socket })
    }
}

fn refusal(error: &io::Error) -> OpenRefused {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => OpenRefused::AddressInUse,
        Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT) => OpenRefused::AddressNotAvailable,
        Some(libc::EACCES | libc::EPERM) => OpenRefused::NotPermitted,
        Some(libc::EMFILE | libc::ENFILE) => OpenRefused::DescriptorLimit,
        Some(libc::ENOBUFS | libc::ENOMEM) => OpenRefused::MemoryLimit,
        Some(errno) => OpenRefused::Kernel(errno),
        None => OpenRefused::Kernel(0),
    }
}

/// What every send of a media packet carries: never block, never signal.
pub(crate) const SEND_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// Somebody else may take the port in between; not again and again.
const CHOSEN_PORT_TRIES: u32 = 16;

/// More than any sensible `SO_RCVBUF` holds.
const DRAINED_MAX: u32 = 16_384;

/// A flood must not keep a turn from its other sockets.
const DRAINED_IN_A_TURN_MAX: u32 = 256;

const NAME_BYTES: usize = size_of::<libc::sockaddr_in6>();

/// The least that `connect` takes: a family.
const UNSPECIFIED_BYTES: libc::socklen_t = 16;
