//! `Epoll`: `PacketIo` over epoll (mio), for hosts that forbid `io_uring`. The same turn with a
//! tick: wait for the first packet, gather to the next tick boundary, drain. One system call each way for
//! a packet, or for a run of them to one peer.
//!
//! Measured and left alone: `recvmmsg` (0.1 us dearer a packet where each socket has one), `sendmmsg` for
//! packets of different lengths (no cheaper), level-triggered polling in place of the reception that
//! ends with `EAGAIN` (a system call less a packet, the same time).

mod outbox;
mod receive;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use thiserror::Error;

use crate::any::PacketIoConfig;
use crate::arrival::Arrival;
use crate::counters::IoCounters;
use crate::kernel_socket::{Drain, KernelSocket};
use crate::packet_buf::PacketBuf;
use crate::packet_io::{OpenRefused, PacketIo, ReceivedBatch, SocketKey, SocketSpec, Wait};
use crate::packet_pool::{PacketPool, PoolCounts, allocation_reserve};
use crate::run::Runs;
use crate::socket_table::SocketTable;
use crate::waker::{Bed, Waker};
use outbox::Outbox;

/// Why not even epoll works, by `errno`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("epoll refused: errno {0}")]
pub struct EpollRefused(pub i32);

/// `PacketIo` over epoll. Made, used and dropped by one thread.
pub struct Epoll {
    poll: Poll,
    events: Events,
    sockets: SocketTable<Socket>,
    /// Sockets that may have datagrams: edge-triggered, so each is drained to `EAGAIN`.
    ready: VecDeque<SocketKey>,
    /// Taken while a socket was being connected.
    backlog: VecDeque<Arrival>,
    outbox: Outbox,
    pool: PacketPool,
    bed: Arc<Bed>,
    counters: IoCounters,
    reserve: u32,
    /// When the last gathering ended.
    ticked: Option<Instant>,
}

#[derive(Debug)]
struct Socket {
    kernel: KernelSocket,
    peer: Option<SocketAddr>,
    is_ready: bool,
    runs: Runs,
}

impl Epoll {
    /// Makes the poll, its pool and its wake-up. `ladder_limit` has no meaning here.
    ///
    /// # Errors
    /// The process has no descriptor or no memory left.
    pub fn new(config: PacketIoConfig) -> Result<Self, EpollRefused> {
        Self::build(config).map_err(|error| EpollRefused(error.raw_os_error().unwrap_or(0)))
    }

    fn build(config: PacketIoConfig) -> io::Result<Self> {
        let poll = Poll::new()?;
        let eventfd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        // Edge-triggered: one event a write, and nobody need read it.
        let descriptor = eventfd.as_fd().as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&descriptor), WAKE, Interest::READABLE)?;
        let pool = PacketPool::new(config.buffers);
        let reserve = allocation_reserve(pool.size());
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            sockets: SocketTable::new(config.sockets_max),
            ready: VecDeque::with_capacity(config.sockets_max as usize),
            backlog: VecDeque::new(),
            outbox: Outbox::new(),
            pool,
            bed: Bed::new(Some(eventfd)),
            counters: IoCounters::default(),
            reserve,
            ticked: None,
        })
    }

    /// Looks at the sockets, for at most `timeout`; how many have something.
    fn look(&mut self, timeout: Option<Duration>) -> usize {
        if timeout.is_none_or(|timeout| !timeout.is_zero()) {
            self.sleep_until_ready(timeout);
        }
        self.counters.kernel_entries += 1;
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return 0,
            Err(_) => {
                self.counters.kernel_entries_failed += 1;
                return 0;
            }
        }
        for event in &self.events {
            let Ok(slot) = u32::try_from(event.token().0) else {
                continue;
            };
            let Some(key) = self.sockets.key_of_slot(slot) else {
                continue;
            };
            if let Some(socket) = self.sockets.get_mut(key).filter(|socket| !socket.is_ready) {
                socket.is_ready = true;
                self.ready.push_back(key);
            }
        }
        self.ready.len()
    }

    /// epoll counts milliseconds; a deadline of the mixer does not.
    fn sleep_until_ready(&mut self, timeout: Option<Duration>) {
        self.counters.kernel_entries += 1;
        let descriptor: RawFd = self.poll.as_raw_fd();
        // SAFETY: the poll owns the descriptor and outlives this call; it is only waited on.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let mut descriptors = [PollFd::new(borrowed, PollFlags::POLLIN)];
        // An interrupted wait is an early return, which the caller allows.
        ppoll(&mut descriptors, timeout.map(TimeSpec::from), None).ok();
    }

    /// Waits for the next tick boundary, if one lies ahead, or a wake-up: while turns follow each
    /// other, each begins `gather` after the last; after a silence the first packet does not wait.
    fn gather(&mut self, gather: Duration) {
        let now = Instant::now();
        let boundary = self
            .ticked
            .map(|ticked| ticked + gather)
            .filter(|&next| next > now);
        if let Some(boundary) = boundary {
            self.sleep_until_woken(boundary - now);
            self.look(Some(Duration::ZERO));
        }
        self.ticked = Some(boundary.unwrap_or(now));
    }

    fn sleep_until_woken(&mut self, timeout: Duration) {
        let Some(eventfd) = self.bed.eventfd() else {
            return;
        };
        self.counters.kernel_entries += 1;
        let mut descriptors = [PollFd::new(eventfd.as_fd(), PollFlags::POLLIN)];
        if ppoll(&mut descriptors, Some(TimeSpec::from(timeout)), None).is_ok_and(|woken| woken > 0)
        {
            // Level-triggered here: what was written must not end the next gathering as well.
            eventfd.read().ok();
        }
    }
}

impl PacketIo for Epoll {
    fn open(&mut self, spec: SocketSpec) -> Result<SocketKey, OpenRefused> {
        let next = self.sockets.next_key().ok_or(OpenRefused::SocketLimit)?;
        let kernel = KernelSocket::open(spec)?;
        let token = Token(next.slot as usize);
        self.poll
            .registry()
            .register(
                &mut SourceFd(&kernel.descriptor()),
                token,
                Interest::READABLE,
            )
            .map_err(|error| OpenRefused::Kernel(error.raw_os_error().unwrap_or(0)))?;
        let socket = Socket {
            kernel,
            peer: None,
            is_ready: false,
            runs: Runs::Together,
        };
        self.sockets.insert(socket).ok_or(OpenRefused::SocketLimit)
    }

    fn connect(&mut self, socket: SocketKey, peer: Option<SocketAddr>) {
        self.push_run();
        let Some(entry) = self.sockets.get_mut(socket) else {
            self.counters.connects_failed += 1;
            return;
        };
        if entry.peer == peer {
            return;
        }
        let (pool, counters, backlog) = (&self.pool, &mut self.counters, &mut self.backlog);
        let mut each = |packet, source| {
            backlog.push_back(Arrival {
                socket,
                source,
                packet,
            })
        };
        if let Some(before) = entry.peer.take() {
            // What the last peer sent is still told apart from what the next one will.
            entry
                .kernel
                .drain(Some(before), Drain::All, pool, counters, &mut each);
            entry.kernel.disconnect();
        }
        let Some(peer) = peer else {
            return;
        };
        if entry.kernel.connect(peer).is_err() {
            entry.kernel.disconnect();
            counters.connects_failed += 1;
            return;
        }
        entry.peer = Some(peer);
        entry.runs = Runs::Together;
        entry
            .kernel
            .drain(Some(peer), Drain::All, pool, counters, &mut each);
    }

    fn close(&mut self, socket: SocketKey) {
        self.push_run();
        // Closing the descriptor ends its registration.
        self.sockets.remove(socket);
        self.backlog.retain(|arrival| arrival.socket != socket);
    }

    fn local(&self, socket: SocketKey) -> Option<SocketAddr> {
        self.sockets
            .get(socket)
            .and_then(|entry| entry.kernel.local())
    }

    fn receive(&mut self, received: &mut ReceivedBatch) {
        self.receive_ready(received);
    }

    fn send(&mut self, packet: PacketBuf, socket: SocketKey, to: Option<SocketAddr>) {
        let Some(entry) = self.sockets.get(socket) else {
            self.counters.sends_to_closed_socket += 1;
            return;
        };
        if to.is_none() && entry.peer.is_none() {
            self.counters.sends_without_peer += 1;
            return;
        }
        if packet.is_empty() {
            self.counters.sends_empty += 1;
            return;
        }
        let runs = entry.runs;
        self.push_send(packet, socket, runs, to);
    }

    fn submit_and_wait(&mut self, now: Instant, wait: Wait) {
        self.push_run();
        let timeout = wait.until.map(|until| until.saturating_duration_since(now));
        let is_due = timeout.is_some_and(|timeout| timeout.is_zero());
        let can_take = self.pool.counts().free > self.reserve;
        let has_work = !self.backlog.is_empty() || (!self.ready.is_empty() && can_take);
        if is_due || has_work || !self.bed.lie_down() {
            self.look(Some(Duration::ZERO));
        } else {
            let ready = self.look(timeout);
            let left = wait.until.map_or(wait.min_wait, |until| {
                wait.min_wait
                    .min(until.saturating_duration_since(Instant::now()))
            });
            if ready > 0 && ready < wait.want as usize && !left.is_zero() {
                self.gather(left);
            }
        }
        if self.bed.get_up() {
            self.counters.wakes += 1;
        }
    }

    fn allocate(&mut self) -> Option<PacketBuf> {
        let packet = self.pool.take();
        if packet.is_none() {
            self.counters.allocations_refused += 1;
        }
        packet
    }

    fn waker(&self) -> Waker {
        Waker::new(Arc::clone(&self.bed))
    }

    fn pool_counts(&self) -> PoolCounts {
        self.pool.counts()
    }

    fn counters(&self) -> &IoCounters {
        &self.counters
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        self.push_run();
    }
}

impl fmt::Debug for Epoll {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Epoll")
            .field("pool", &self.pool)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

const WAKE: Token = Token(usize::MAX);

/// Sockets that one look reports; the others come with the next.
const EVENTS_MAX: usize = 1024;
