//! `PacketIo`: the seam between a media worker and the kernel. Implemented by `uring`, `epoll` and
//! `simulated`; one contract suite runs against all three.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::counters::IoCounters;
use crate::packet_buf::PacketBuf;
use crate::packet_pool::PoolCounts;
use crate::waker::Waker;

/// Our name of an open socket: slot (fixed-file slot, low bits of `user_data`) and generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketKey {
    /// 0 to `sockets_max - 1`. A worker indexes its own tables by it.
    pub slot: u32,
    /// Differs for two sockets that had the same slot one after the other.
    pub generation: u32,
}

/// What to open.
#[derive(Debug, Clone, Copy)]
pub struct SocketSpec {
    /// Address and port to bind. Port 0: the kernel chooses, see [`PacketIo::local`].
    pub local: SocketAddr,
    /// Differentiated services code point of what is sent (RFC 2474; 46: EF, RFC 3246).
    pub dscp: u8,
    /// `SO_RCVBUF` in octets; 0: the kernel's default.
    pub receive_buffer_bytes: u32,
}

/// Why a socket was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenRefused {
    /// Another socket of this host has the port.
    #[error("the port is in use")]
    AddressInUse,
    /// The address is not one of this host's, or its family is switched off.
    #[error("the address is not one of this host's")]
    AddressNotAvailable,
    /// The port is privileged, or a security module forbids it.
    #[error("not permitted")]
    NotPermitted,
    /// The process has as many descriptors as it may (`RLIMIT_NOFILE`), or the host.
    #[error("no descriptor is left")]
    DescriptorLimit,
    /// All `sockets_max` slots of this worker are taken.
    #[error("no socket slot is left")]
    SocketLimit,
    /// The kernel has no memory for it.
    #[error("no memory for a socket")]
    MemoryLimit,
    /// Anything else, by its `errno`.
    #[error("the kernel refused: errno {0}")]
    Kernel(i32),
}

impl OpenRefused {
    /// Stable label for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddressInUse => "address_in_use",
            Self::AddressNotAvailable => "address_not_available",
            Self::NotPermitted => "not_permitted",
            Self::DescriptorLimit => "descriptor_limit",
            Self::SocketLimit => "socket_limit",
            Self::MemoryLimit => "memory_limit",
            Self::Kernel(_) => "kernel",
        }
    }
}

/// One received datagram.
#[derive(Debug)]
pub struct Received {
    /// The socket it came by.
    pub socket: SocketKey,
    /// Where it came from; `None` on a connected socket: it came from that peer.
    pub source: Option<SocketAddr>,
    /// The datagram. Never empty.
    pub packet: PacketBuf,
}

/// What `receive` fills.
#[derive(Debug)]
pub struct ReceivedBatch {
    /// In the order of arrival on each socket. Never more than [`RECEIVED_MAX`]; take them out
    /// (`drain(..)`) before the next `receive`, which appends.
    pub packets: Vec<Received>,
}

impl ReceivedBatch {
    /// An empty batch with room for [`RECEIVED_MAX`]: filling it never allocates.
    #[must_use]
    pub fn new() -> Self {
        Self {
            packets: Vec::with_capacity(RECEIVED_MAX),
        }
    }

    /// True once `receive` may not add to it.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.packets.len() >= RECEIVED_MAX
    }
}

impl Default for ReceivedBatch {
    fn default() -> Self {
        Self::new()
    }
}

/// How long `submit_and_wait` may stay in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Return once this many packets are there (0 counts as 1).
    pub want: u32,
    /// With fewer than `want`: gather for this long, then return with what is there; with nothing,
    /// wait for one packet. Never gathers past `until`. Zero: return with the first packet.
    pub min_wait: Duration,
    /// Return then at the latest, with or without packets; `None`: only a packet or a wake-up ends
    /// the wait.
    pub until: Option<Instant>,
}

impl Wait {
    /// Submit, look, and come back at once.
    #[must_use]
    pub const fn none(now: Instant) -> Self {
        Self {
            want: 1,
            min_wait: Duration::ZERO,
            until: Some(now),
        }
    }
}

/// The seam. One value belongs to one thread, from the call that makes it to the drop.
///
/// A turn of a worker is: [`submit_and_wait`](Self::submit_and_wait), [`receive`](Self::receive),
/// then rewrite and [`send`](Self::send) each packet (or drop it), and again. Nothing is promised
/// to leave before the next `submit_and_wait`, and `receive` needs to know only what the last
/// `submit_and_wait` brought. When more came than one batch holds, the next `submit_and_wait`
/// does not sleep.
///
/// No method fails because of what the network sent: a datagram or a send that dies is counted
/// under its reason in [`counters`](Self::counters). A [`SocketKey`] whose socket was closed is
/// harmless everywhere (counted); it never reaches the slot's next owner.
///
/// A packet received on a slow path still holds its buffer. Datagrams that find no buffer wait in
/// their socket, and the kernel drops what does not fit there; reception goes on by itself as soon
/// as buffers come back.
pub trait PacketIo {
    /// Opens a UDP socket bound to exactly that address, and receives on it at once.
    ///
    /// # Errors
    /// The socket could not be made or bound; nothing is left behind.
    fn open(&mut self, spec: SocketSpec) -> Result<SocketKey, OpenRefused>;

    /// `Some`: datagrams of other sources no longer come (also those that wait already), and
    /// `send` needs no address. `None`: unconnected again. A connect that the kernel refuses (no
    /// route) is counted, and the socket stays unconnected.
    fn connect(&mut self, socket: SocketKey, peer: Option<SocketAddr>);

    /// Ends reception and frees the port before it returns. What was sent before leaves; what was
    /// received and not yet taken is dropped.
    fn close(&mut self, socket: SocketKey);

    /// The bound address of an open socket.
    fn local(&self, socket: SocketKey) -> Option<SocketAddr>;

    /// Appends what has come. Datagrams that are empty, or longer than
    /// [`DATAGRAM_BYTES_MAX`](crate::DATAGRAM_BYTES_MAX), are counted and not handed on.
    fn receive(&mut self, received: &mut ReceivedBatch);

    /// Queues a datagram. `to` is `None` for the connected peer; on a connected socket `to` still
    /// overrides it for this one packet. Packets of one socket leave in the order of the calls.
    fn send(&mut self, packet: PacketBuf, socket: SocketKey, to: Option<SocketAddr>);

    /// Hands queued packets to the kernel, then waits as told. `now` is the caller's clock at the
    /// call; implementations other than the twin may read the kernel's own. It may return early
    /// for no visible reason, and a wake-up during the gathering of `min_wait` may be answered
    /// only at its end.
    fn submit_and_wait(&mut self, now: Instant, wait: Wait);

    /// An empty packet from the pool for what we originate (tones, RTCP); `None` and counted when
    /// the pool is empty. The receivers cannot take the last buffers: a share is kept for this.
    fn allocate(&mut self) -> Option<PacketBuf>;

    /// Ends the current wait, or the next one, from any thread. It costs a system call only while
    /// the worker sleeps. Whoever is woken looks at its queues after each `submit_and_wait`, not
    /// only after one that was long.
    fn waker(&self) -> Waker;

    /// Where the buffers are. The sum is the size of the pool at all times.
    fn pool_counts(&self) -> PoolCounts;

    /// What was counted since the start.
    fn counters(&self) -> &IoCounters;
}

/// Most packets that one `receive` leaves in a batch.
pub const RECEIVED_MAX: usize = 512;
