//! `AnyPacketIo`: the best implementation this host allows, chosen once when a worker starts. One
//! branch a call, no dynamic dispatch.

use std::net::SocketAddr;
use std::time::Instant;

use crate::counters::IoCounters;
use crate::epoll::{Epoll, EpollRefused};
use crate::packet_buf::PacketBuf;
use crate::packet_io::{OpenRefused, PacketIo, ReceivedBatch, SocketKey, SocketSpec, Wait};
use crate::packet_pool::PoolCounts;
use crate::uring::{RingRefused, Uring};
use crate::waker::Waker;

/// Sizes and the switch of one worker's kernel boundary.
#[derive(Debug, Clone, Copy)]
pub struct PacketIoConfig {
    /// Buffers of the pool: what can arrive in the worst stall, not the mean.
    pub buffers: u16,
    /// Most sockets open at a time.
    pub sockets_max: u32,
    /// The highest rung to use: `Full` in production, lower ones to test them.
    pub ladder_limit: KernelStep,
}

impl Default for PacketIoConfig {
    fn default() -> Self {
        Self {
            buffers: 4096,
            sockets_max: 4096,
            ladder_limit: KernelStep::Full,
        }
    }
}

/// The rungs of the kernel ladder, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelStep {
    /// `io_uring` as designed (6.12 and later): the kernel gathers packets by itself.
    Full,
    /// `io_uring` of 6.1 to 6.11: gathers with a second system call.
    NoMinWait,
    /// No usable `io_uring`: epoll with a tick.
    Epoll,
}

impl KernelStep {
    /// Stable label for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "uring",
            Self::NoMinWait => "uring_no_min_wait",
            Self::Epoll => "epoll",
        }
    }
}

/// The implementation that was chosen.
#[derive(Debug)]
pub enum AnyPacketIo {
    /// The ring.
    Uring(Box<Uring>),
    /// The fallback, and why it had to be.
    Epoll(Box<Epoll>, RingRefused),
}

impl AnyPacketIo {
    /// Tries the ring, then epoll. In the thread that will use it.
    ///
    /// # Errors
    /// Not even epoll: the process has no descriptor or no memory left.
    pub fn choose(config: PacketIoConfig) -> Result<Self, EpollRefused> {
        match Uring::new(config) {
            Ok(uring) => Ok(Self::Uring(Box::new(uring))),
            Err(refused) => Ok(Self::Epoll(Box::new(Epoll::new(config)?), refused)),
        }
    }

    /// The rung it stands on.
    #[must_use]
    pub fn step(&self) -> KernelStep {
        match self {
            Self::Uring(uring) => uring.step(),
            Self::Epoll(..) => KernelStep::Epoll,
        }
    }

    /// Why there is no ring; `None`: there is.
    #[must_use]
    pub fn ring_refused(&self) -> Option<RingRefused> {
        match self {
            Self::Uring(_) => None,
            Self::Epoll(_, refused) => Some(*refused),
        }
    }
}

macro_rules! either {
    ($any:expr, $chosen:ident => $call:expr) => {
        match $any {
            AnyPacketIo::Uring($chosen) => $call,
            AnyPacketIo::Epoll($chosen, _) => $call,
        }
    };
}

impl PacketIo for AnyPacketIo {
    fn open(&mut self, spec: SocketSpec) -> Result<SocketKey, OpenRefused> {
        either!(self, chosen => chosen.open(spec))
    }

    fn connect(&mut self, socket: SocketKey, peer: Option<SocketAddr>) {
        either!(self, chosen => chosen.connect(socket, peer));
    }

    fn close(&mut self, socket: SocketKey) {
        either!(self, chosen => chosen.close(socket));
    }

    fn local(&self, socket: SocketKey) -> Option<SocketAddr> {
        either!(self, chosen => chosen.local(socket))
    }

    #[inline]
    fn receive(&mut self, received: &mut ReceivedBatch) {
        either!(self, chosen => chosen.receive(received));
    }

    #[inline]
    fn send(&mut self, packet: PacketBuf, socket: SocketKey, to: Option<SocketAddr>) {
        either!(self, chosen => chosen.send(packet, socket, to));
    }

    #[inline]
    fn submit_and_wait(&mut self, now: Instant, wait: Wait) {
        either!(self, chosen => chosen.submit_and_wait(now, wait));
    }

    fn allocate(&mut self) -> Option<PacketBuf> {
        either!(self, chosen => chosen.allocate())
    }

    fn waker(&self) -> Waker {
        either!(self, chosen => chosen.waker())
    }

    fn pool_counts(&self) -> PoolCounts {
        either!(self, chosen => chosen.pool_counts())
    }

    fn counters(&self) -> &IoCounters {
        either!(self, chosen => chosen.counters())
    }
}
