//! The kernel boundary of the media core: sockets, the ring, the packet pool. Knows no RTP.
//!
//! Four invariants; every `SAFETY` line cites the ones it stands on.
//! - `[one-owner]` a buffer is in the pool, in a [`PacketBuf`], or in the kernel, and in one of
//!   them only.
//! - `[until-submitted]` what the kernel holds is not touched before it has given it back (a send
//!   with `MSG_DONTWAIT`: when the submit returns; all else: its last completion).
//! - `[pinned-pool]` pool memory never moves and outlives the ring (field order, tested).
//! - `[one-thread]` a ring and its pool never leave their thread (`!Send`).
//!
//! A worker is written once, against [`PacketIo`], and runs on three implementations of it:
//! `io_uring` where the kernel allows it, epoll elsewhere, [`Simulated`] in tests.
#![expect(
    unsafe_code,
    reason = "the one crate beside the codecs that may: the kernel boundary"
)]

mod counters;
mod packet_buf;
mod packet_io;
mod packet_pool;
mod simulated;
mod socket_table;
mod waker;

pub use counters::IoCounters;
pub use packet_buf::{
    DATAGRAM_BYTES_MAX, HEADROOM_BYTES, NoRoom, PACKET_BUFFER_BYTES, PacketBuf, TAILROOM_BYTES,
};
pub use packet_io::{
    OpenRefused, PacketIo, RECEIVED_MAX, Received, ReceivedBatch, SocketKey, SocketSpec, Wait,
};
pub use packet_pool::{PACKET_BUFFERS_MAX, PacketPool, PoolCounts};
pub use simulated::{Delivery, Faults, NoFaults, SendFault, Simulated, SimulatedConfig};
pub use waker::Waker;
