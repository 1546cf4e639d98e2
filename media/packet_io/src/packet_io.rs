//! `PacketIo`: the seam between a media worker and the kernel. Implemented by `uring`, `epoll` and
//! `simulated`; one contract suite runs against all three.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

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
    /// Address and port to bind.
    pub local: SocketAddr,
    /// Differentiated services code point of what is sent (46: EF).
    pub dscp: u8,
    /// SO_RCVBUF in octets; 0: the kernel's default.
    pub receive_buffer_bytes: u32,
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

/// What `receive` fills: packets, and what happened to sockets.
#[derive(Debug, Default)]
pub struct ReceivedBatch {
    /// In the order of arrival.
    pub packets: Vec<Received>,
}

/// How long `submit_and_wait` may stay in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Return once this many packets are there.
    pub want: u32,
    /// With fewer than `want`: gather for this long after the first look. Zero: do not gather.
    pub min_wait: Duration,
    /// Return then at the latest, with or without packets; `None`: only a packet or a wake-up ends
    /// the wait.
    pub until: Option<Instant>,
}

pub trait PacketIo {
    fn open(&mut self, spec: SocketSpec) -> Result<SocketKey, OpenRefused>;
    fn connect(&mut self, socket: SocketKey, peer: Option<SocketAddr>);
    fn close(&mut self, socket: SocketKey);
    fn receive(&mut self, received: &mut ReceivedBatch);
    fn send(&mut self, packet: PacketBuf, socket: SocketKey, to: Option<SocketAddr>);
    /// `now` is the caller's clock at the call; implementations other than the twin may read the
    /// kernel's own.
    fn submit_and_wait(&mut self, now: Instant, wait: Wait);
}
