//! `Uring`: `PacketIo` over `io_uring`. One buffer from receive to send: the kernel picks it, the
//! worker rewrites it in place, the send leaves from it, and it returns with the next turn.
//!
//! Life of a turn: return what was sent, offer and publish buffers, re-arm what ended (in that
//! order: a reception armed before there are buffers ends again at once), enter, reap.

mod buffer_ring;
mod completion;
mod outbox;
mod probe;
mod socket;
mod tag;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, opcode, squeue};
use nix::sys::eventfd::{EfdFlags, EventFd};

pub use probe::RingRefused;

use crate::any::{KernelStep, PacketIoConfig};
use crate::arrival::Arrival;
use crate::counters::IoCounters;
use crate::packet_buf::PacketBuf;
use crate::packet_io::{OpenRefused, PacketIo, ReceivedBatch, SocketKey, SocketSpec, Wait};
use crate::packet_pool::{Owner, PacketPool, PoolCounts, allocation_reserve};
use crate::socket_table::SocketTable;
use crate::waker::{Bed, Waker};
use buffer_ring::BufferRing;
use outbox::Outbox;
use socket::Socket;
use tag::{SLOTS_MAX, Tag};

/// `PacketIo` over one ring. Made, used and dropped by one thread (`[one-thread]`).
pub struct Uring {
    /// First field: the ring goes before the memory it was told of (`[pinned-pool]`).
    ring: IoUring,
    state: State,
    step: KernelStep,
    bed: Arc<Bed>,
    /// Flags of every request: `FIXED_FILE` where the sockets are in the ring's file table.
    file_flags: squeue::Flags,
    /// How many completions the last entry asked for.
    last_want: u32,
}

/// All but the ring: what completions change.
struct State {
    buffers: BufferRing,
    outbox: Outbox,
    /// What a multishot `RECVMSG` takes of its source: read by the kernel at each arming.
    header: Box<libc::msghdr>,
    sockets: SocketTable<Socket>,
    /// Receptions that ended by themselves, oldest first.
    ended: VecDeque<SocketKey>,
    /// Received while we waited for something else.
    backlog: VecDeque<Arrival>,
    counters: IoCounters,
    reserve: u32,
    is_wake_armed: bool,
    /// After `buffers` and `outbox`: they hold buffers of it.
    pool: PacketPool,
}

impl Uring {
    /// Makes the ring, its pool and its wake-up.
    ///
    /// # Errors
    /// This host gives no ring that we can use: take [`Epoll`](crate::Epoll).
    pub fn new(config: PacketIoConfig) -> Result<Self, RingRefused> {
        // A completion of a reception holds a buffer or ends it, a send has one if it fails: this
        // many can never overflow.
        let sockets_max = config.sockets_max.min(SLOTS_MAX);
        let completions = u32::from(config.buffers) + sockets_max + 2 * probe::SUBMISSIONS;
        Self::with_completions(config, completions)
    }

    /// The same with room for so many completions only. More may wait than that: receptions then end,
    /// and start again. Nobody wants that but a test of it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_completions(config: PacketIoConfig, completions: u32) -> Result<Self, RingRefused> {
        let sockets_max = config.sockets_max.min(SLOTS_MAX);
        let pool = PacketPool::new(config.buffers);
        let (ring, step) = probe::build(config.ladder_limit, completions)?;
        let refused = |error: &std::io::Error| RingRefused::from_error(error);
        let buffers = BufferRing::register(&ring.submitter(), config.buffers)
            .map_err(|error| refused(&error))?;
        // Before 6.12 a file leaves the table only some time after its removal, and with it the
        // port: descriptors then, and where the table may not be that large.
        let is_fixed =
            step == KernelStep::Full && ring.submitter().register_files_sparse(sockets_max).is_ok();
        let file_flags = if is_fixed {
            squeue::Flags::FIXED_FILE
        } else {
            squeue::Flags::empty()
        };
        let eventfd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| refused(&errno.into()))?;
        let reserve = allocation_reserve(pool.size());
        let state = State {
            buffers,
            outbox: Outbox::new(probe::SUBMISSIONS.min(completions)),
            header: socket::receive_header(),
            sockets: SocketTable::new(sockets_max),
            ended: VecDeque::new(),
            backlog: VecDeque::with_capacity(pool.size() as usize),
            counters: IoCounters::default(),
            reserve,
            is_wake_armed: false,
            pool,
        };
        let bed = Bed::new(Some(eventfd));
        let mut uring = Self {
            ring,
            state,
            step,
            bed,
            file_flags,
            last_want: 0,
        };
        // A reception that finds no buffer ends at once, even with nothing to receive.
        uring.offer_buffers();
        Ok(uring)
    }

    /// The rung of the kernel ladder it stands on.
    #[must_use]
    pub const fn step(&self) -> KernelStep {
        self.step
    }

    /// Queues a request; submits first where the queue is full. False: it did not move.
    fn push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: what an entry points to is a `header`, an address of the outbox, or a lent
        // buffer: each stays in place and unwritten as `[until-submitted]` and `[one-owner]` say.
        if unsafe { self.ring.submission().push(entry) }.is_ok() {
            return true;
        }
        self.enter(0, Duration::ZERO, None);
        // SAFETY: the same entry as before, still queued nowhere; the same memory stays in place.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    /// Submits what is queued, runs what the kernel deferred, and waits for `want` completions.
    fn enter(&mut self, want: u32, min_wait: Duration, timeout: Option<Duration>) {
        self.push_run();
        self.last_want = want;
        let queued = u32::try_from(self.ring.submission().len()).unwrap_or(u32::MAX);
        let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        let timespec = Timespec::from(timeout.unwrap_or(WAIT_MAX).min(WAIT_MAX));
        let mut arguments = SubmitArgs::new().timespec(&timespec);
        if !min_wait.is_zero() {
            let microseconds = u32::try_from(min_wait.as_micros()).unwrap_or(u32::MAX);
            arguments = arguments.min_wait_usec(microseconds);
        }
        // SAFETY: the argument is the extended one that EXT_ARG announces and outlives the call;
        // the ring is entered by the thread that made it (`[one-thread]`).
        let result = unsafe {
            self.ring
                .submitter()
                .enter(queued, want, flags.bits(), Some(&arguments))
        };
        self.state.counters.kernel_entries += 1;
        if let Err(error) = result
            && !matches!(
                error.raw_os_error(),
                Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY)
            )
        {
            self.state.counters.kernel_entries_failed += 1;
        }
        if self.ring.submission().is_empty() {
            self.state.outbox.all_submitted();
        }
    }

    /// Waits as told, on a kernel with `min_wait` and without.
    fn wait(&mut self, now: Instant, wait: Wait) {
        let timeout = wait.until.map(|until| until.saturating_duration_since(now));
        let gather = timeout.map_or(wait.min_wait, |timeout| wait.min_wait.min(timeout));
        let want = if gather.is_zero() {
            1
        } else {
            wait.want.clamp(1, WANT_MAX)
        };
        if self.step == KernelStep::Full {
            return self.enter(
                want,
                if want > 1 { gather } else { Duration::ZERO },
                timeout,
            );
        }
        self.enter(1, Duration::ZERO, timeout);
        let have = self.ring.completion().len();
        if have == 0 || have >= want as usize {
            return;
        }
        let left = wait.until.map_or(gather, |until| {
            until.saturating_duration_since(Instant::now()).min(gather)
        });
        if !left.is_zero() {
            self.enter(want, Duration::ZERO, Some(left));
        }
    }

    /// Offers the kernel what is free beyond the reserve.
    fn offer_buffers(&mut self) {
        let State {
            pool,
            buffers,
            reserve,
            ..
        } = &mut self.state;
        let core = pool.core();
        while u32::from(core.free_count()) > *reserve {
            let Some(index) = core.take(Owner::Kernel) else {
                break;
            };
            buffers.offer(core, index);
        }
        buffers.publish();
    }

    /// Arms again what ended: at most one reception a buffer, so that an empty pool makes no storm.
    fn rearm_ended(&mut self) {
        let most = self
            .state
            .ended
            .len()
            .min(usize::from(self.state.buffers.offered()));
        for _ in 0..most {
            let Some(key) = self.state.ended.pop_front() else {
                return;
            };
            self.state.drain_after_empty(key);
            if self.arm(key) {
                self.state.counters.receives_rearmed += 1;
            }
        }
    }

    fn arm_wake(&mut self) {
        let Some(eventfd) = self.bed.eventfd() else {
            return;
        };
        let target = Fd(eventfd.as_fd().as_raw_fd());
        // Edge-triggered while it is multishot: one completion a write, and nobody need read it.
        let entry = opcode::PollAdd::new(target, POLL_IN).multi(true).build();
        self.state.is_wake_armed = self.push(&entry.user_data(Tag::Wake.encode()));
    }

    /// Sends that failed by an older packet's ICMP error go once more; runs that a path does not carry
    /// go one by one.
    fn push_retries(&mut self) {
        self.resend_singly();
        while let Some((packet, socket)) = self.state.outbox.take_retry() {
            self.push_send(packet, socket, None, false);
        }
    }

    /// Takes all completions there are; what was received waits in the backlog.
    fn reap_to_backlog(&mut self) {
        for completion in self.ring.completion() {
            if let Some(arrival) = self.state.complete(&completion) {
                self.state.backlog.push_back(arrival);
            }
        }
    }

    /// Cancels all the kernel holds of us and waits for the ends. False: not all came.
    fn cancel_all(&mut self) -> bool {
        let entry = opcode::AsyncCancel2::new(CancelBuilder::any().all()).build();
        self.push(&entry.user_data(Tag::Cancel.encode()));
        for round in 0..CANCEL_ROUNDS_MAX {
            self.enter(u32::from(round > 0), Duration::ZERO, Some(CANCEL_ROUND));
            self.reap_to_backlog();
            let is_armed = self.state.sockets.iter().any(|(_, socket)| socket.is_armed);
            if !is_armed && !self.state.is_wake_armed {
                return true;
            }
        }
        false
    }
}

impl PacketIo for Uring {
    fn open(&mut self, spec: SocketSpec) -> Result<SocketKey, OpenRefused> {
        self.open_socket(spec)
    }

    fn connect(&mut self, socket: SocketKey, peer: Option<SocketAddr>) {
        self.connect_socket(socket, peer);
    }

    fn close(&mut self, socket: SocketKey) {
        self.close_socket(socket);
    }

    fn local(&self, socket: SocketKey) -> Option<SocketAddr> {
        self.state.sockets.get(socket).and_then(Socket::local)
    }

    fn receive(&mut self, received: &mut ReceivedBatch) {
        while !received.is_full()
            && let Some(arrival) = self.state.backlog.pop_front()
        {
            received.packets.extend(self.state.hand_on(arrival));
        }
        loop {
            let mut completions = self.ring.completion();
            let had = completions.len();
            while !received.is_full()
                && let Some(completion) = completions.next()
            {
                if let Some(arrival) = self.state.complete(&completion) {
                    received.packets.extend(self.state.hand_on(arrival));
                }
            }
            drop(completions);
            if received.is_full() {
                return;
            }
            // All failures of the last submit are known: its buffers are ours again.
            self.state.outbox.recycle();
            // An enter runs as many deferred items as it wants completions, but at least 20. Who
            // wants more than that leaves a few to the next turn; who wants less could leave
            // hundreds, so look again while the flag says that there are.
            let is_cut = had >= DEFERRED_RUN && self.last_want as usize <= DEFERRED_RUN;
            if !is_cut || !self.ring.submission().taskrun() {
                return;
            }
            self.enter(0, Duration::ZERO, None);
        }
    }

    fn send(&mut self, packet: PacketBuf, socket: SocketKey, to: Option<SocketAddr>) {
        self.push_send(packet, socket, to, true);
    }

    fn submit_and_wait(&mut self, now: Instant, wait: Wait) {
        // A batch that was full has left completions, and a send that failed may be among them.
        self.reap_to_backlog();
        self.state.outbox.recycle();
        self.push_retries();
        self.offer_buffers();
        self.rearm_ended();
        if !self.state.is_wake_armed {
            self.arm_wake();
        }
        let is_due = wait.until.is_some_and(|until| until <= now);
        let has_work = !self.state.backlog.is_empty() || !self.ring.completion().is_empty();
        if is_due || has_work || !self.bed.lie_down() {
            self.enter(0, Duration::ZERO, None);
        } else {
            self.wait(now, wait);
        }
        if self.bed.get_up() {
            self.state.counters.wakes += 1;
        }
    }

    fn allocate(&mut self) -> Option<PacketBuf> {
        let packet = self.state.pool.take();
        if packet.is_none() {
            self.state.counters.allocations_refused += 1;
        }
        packet
    }

    fn waker(&self) -> Waker {
        Waker::new(Arc::clone(&self.bed))
    }

    fn pool_counts(&self) -> PoolCounts {
        self.state.pool.counts()
    }

    fn counters(&self) -> &IoCounters {
        &self.state.counters
    }
}

impl Drop for Uring {
    /// Orderly, so that the ports are free when it returns: a ring that is only dropped keeps them
    /// for 30 to 40 ms.
    fn drop(&mut self) {
        for socket in self.state.sockets.values_mut() {
            socket.is_switching = true;
        }
        if !self.cancel_all() {
            // The kernel may still write: the memory stays for good (`[pinned-pool]`).
            let _leaked = Rc::into_raw(Rc::clone(self.state.pool.core()));
        }
        self.state.outbox.recycle();
        // Fails only where there is no table.
        self.ring.submitter().unregister_files().ok();
    }
}

impl fmt::Debug for Uring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Uring")
            .field("step", &self.step)
            .field("pool", &self.state.pool)
            .field("counters", &self.state.counters)
            .finish_non_exhaustive()
    }
}

const POLL_IN: u32 = 1;
const _: () = assert!(libc::POLLIN == 1);

/// Longest stay in the kernel; a wait without an end goes on in the next turn.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Deferred items that the kernel runs in one entry at least (`IO_LOCAL_TW_DEFAULT_MAX`).
const DEFERRED_RUN: usize = 20;

/// More packets than this are never gathered.
const WANT_MAX: u32 = 4096;

/// A cancelled request ends within the first round or two; this long is only for a stalled host.
const CANCEL_ROUNDS_MAX: u32 = 200;
const CANCEL_ROUND: Duration = Duration::from_millis(10);
