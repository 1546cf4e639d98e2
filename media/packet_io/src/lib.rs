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
//! [`Uring`] where the kernel allows it, [`Epoll`] elsewhere, [`Simulated`] in tests.
//! [`AnyPacketIo::choose`] picks between the first two when a worker starts. One turn of a worker,
//! here an echo, on the twin:
//!
//! ```
//! use std::time::Instant;
//! use packet_io::{PacketIo, ReceivedBatch, Simulated, SimulatedConfig, SocketSpec, Wait};
//!
//! fn turn(io: &mut impl PacketIo, batch: &mut ReceivedBatch, now: Instant, wait: Wait) {
//!     io.submit_and_wait(now, wait);
//!     io.receive(batch);
//!     for received in batch.packets.drain(..) {
//!         io.send(received.packet, received.socket, received.source);
//!     }
//! }
//!
//! let mut io = Simulated::new(SimulatedConfig::default());
//! let local = "192.0.2.1:10000".parse()?;
//! io.open(SocketSpec { local, dscp: 46, receive_buffer_bytes: 0 })?;
//! let peer = "198.51.100.7:4000".parse()?;
//! io.deliver(local, peer, b"hello");
//!
//! let (now, mut batch) = (Instant::now(), ReceivedBatch::new());
//! turn(&mut io, &mut batch, now, Wait::none(now));
//! turn(&mut io, &mut batch, now, Wait::none(now));
//! io.take_sent(|from, to, datagram| assert_eq!((from, to, datagram), (local, peer, &b"hello"[..])));
//! assert_eq!(io.counters().packets_sent, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![expect(
    unsafe_code,
    reason = "the one crate beside the codecs that may: the kernel boundary"
)]

mod address;
mod any;
mod arrival;
mod counters;
mod epoll;
mod kernel_socket;
mod packet_buf;
mod packet_io;
mod packet_pool;
mod prefetch;
mod realtime;
mod run;
mod segments;
mod simulated;
mod socket_table;
mod uring;
mod waker;

pub use any::{AnyPacketIo, KernelStep, PacketIoConfig};
pub use counters::IoCounters;
pub use epoll::{Epoll, EpollRefused};
pub use packet_buf::{
    DATAGRAM_BYTES_MAX, HEADROOM_BYTES, NoRoom, PACKET_BUFFER_BYTES, PacketBuf, TAILROOM_BYTES,
};
pub use packet_io::{
    OpenRefused, PacketIo, RECEIVED_MAX, Received, ReceivedBatch, SocketKey, SocketSpec, Wait,
};
pub use packet_pool::{PACKET_BUFFERS_MAX, PacketPool, PoolCounts};
pub use prefetch::prefetch;
pub use realtime::{REALTIME_PRIORITY, ask_for_short_turns, make_realtime, step_back};
pub use simulated::{Delivery, Faults, NoFaults, SendFault, Simulated, SimulatedConfig};
pub use uring::{RingRefused, Uring};
pub use waker::Waker;
