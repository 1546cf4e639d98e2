//! `Worker`: the facade, its tables, and what the commands of control do to them.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use packet_io::{PacketIo, ReceivedBatch, SocketKey, Wait};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::command::{Command, LegPlan, PairKey, Report, Target};
use crate::engine::batching::{RateMeter, micros};
use crate::engine::counters::WorkerCounters;
use crate::engine::deadline::DeadlineQueue;
use crate::engine::leg::{Control, Leg, Pair};
use crate::engine::line::{
    EgressLine, Gate, IngressLine, PAYLOAD_NONE, ReceptionLine, Route, SentCounters, State,
};
use crate::engine::report_queue::{ReportQueue, Waiting};
use crate::engine::stock::PortPool;
use crate::ingress::{Latch, PeerAddress, RateGuard};
use crate::limits::PAIRS_MAX;
use crate::relay::Continuity;
use crate::rtcp::{Cname, interval};
use crate::rtp::{RtpTimestamp, SequenceNumber, Ssrc};
use crate::tone::{TonePhase, ToneTable};

/// What a worker is given when it starts.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Its number, in every [`PairKey`] it reports.
    pub worker: u16,
    /// Addresses it opens ports on.
    pub addresses: Vec<IpAddr>,
    /// Ports it may open, on each address. No other worker may have the same.
    pub ports: RangeInclusive<u16>,
    /// Port pairs at most, stock included; not more than [`PAIRS_MAX`]. Its `PacketIo` needs twice
    /// as many sockets.
    pub pairs_max: u32,
    /// Pairs to keep open for calls to come.
    pub stock: u32,
    /// How long a packet may wait for others.
    pub batch_budget: Duration,
    /// Differentiated services code point of what is sent (46: EF).
    pub dscp: u8,
    /// `SO_RCVBUF` of each socket in octets; 0: the kernel's default.
    pub receive_buffer_bytes: u32,
    /// Whence SSRCs, first sequence numbers and port order come. Unpredictable in production.
    pub seed: [u8; 32],
}

impl WorkerConfig {
    /// Worker `worker` on one address: 64 pairs in stock, 0.5 ms budget, EF.
    #[must_use]
    pub fn new(worker: u16, address: IpAddr, ports: RangeInclusive<u16>, seed: [u8; 32]) -> Self {
        Self {
            worker,
            addresses: vec![address],
            ports,
            pairs_max: 4_096,
            stock: 64,
            batch_budget: Duration::from_micros(500),
            dscp: 46,
            receive_buffer_bytes: 0,
            seed,
        }
    }
}

/// A media worker. See the crate's contract: drain [`poll_report`](Self::poll_report) after every
/// [`handle_command`](Self::handle_command) and [`turn`](Self::turn).
#[derive(Debug)]
pub struct Worker<Io> {
    pub(super) io: Io,
    pub(super) config: WorkerConfig,
    pub(super) sockets: SocketOwners,
    pub(super) ingress: Vec<IngressLine>,
    pub(super) reception: Vec<ReceptionLine>,
    pub(super) egress: Vec<EgressLine>,
    pub(super) sent: Vec<SentCounters>,
    pub(super) pairs: Vec<Pair>,
    pub(super) slots_free: Vec<u32>,
    pub(super) stocked: u32,
    pub(super) ports: PortPool,
    pub(super) ports_all: usize,
    pub(super) stock_retry_us: u64,
    pub(super) stock_at_us: Option<u64>,
    pub(super) deadlines: DeadlineQueue,
    pub(super) reports: ReportQueue,
    pub(super) counters: WorkerCounters,
    pub(super) tone: ToneTable,
    pub(super) random: ChaCha8Rng,
    batch: ReceivedBatch,
    meter: RateMeter,
    start: Option<Instant>,
}

impl<Io: PacketIo> Worker<Io> {
    /// A worker without any pair; its first turn begins to fill the stock.
    pub fn new(io: Io, config: WorkerConfig) -> Self {
        let config = WorkerConfig {
            pairs_max: config.pairs_max.min(PAIRS_MAX),
            ..config
        };
        let slots = config.pairs_max as usize;
        let mut random = ChaCha8Rng::from_seed(config.seed);
        let ports = PortPool::new(config.addresses.clone(), config.ports.clone(), &mut random);
        Self {
            io,
            sockets: SocketOwners::new(slots * 2),
            ingress: vec![IngressLine::FREE; slots],
            reception: vec![ReceptionLine::default(); slots],
            egress: vec![EgressLine::FREE; slots],
            sent: vec![SentCounters::default(); slots],
            pairs: (0..slots).map(|_| Pair::default()).collect(),
            slots_free: (0..config.pairs_max).rev().collect(),
            stocked: 0,
            ports_all: ports.len(),
            ports,
            stock_retry_us: 0,
            stock_at_us: Some(0),
            deadlines: DeadlineQueue::new(config.pairs_max),
            reports: ReportQueue::new(config.pairs_max),
            counters: WorkerCounters::default(),
            tone: ToneTable::new(),
            random,
            batch: ReceivedBatch::new(),
            meter: RateMeter::new(config.batch_budget),
            start: None,
            config,
        }
    }

    /// Control speaks. A command for a pair that is not what the command takes it for is counted
    /// and does nothing.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        let now_us = self.clock_us(now);
        let is_current = match command {
            Command::Connect { pair, plan, target } => self
                .slot(pair, State::Stocked)
                .map(|slot| self.connect(now_us, slot, plan, target)),
            Command::Update { pair, plan, target } => self
                .slot(pair, State::Connected)
                .map(|slot| self.update(now_us, slot, plan, target)),
            Command::Disconnect { pair } => self
                .slot(pair, State::Connected)
                .map(|slot| self.disconnect(now_us, slot)),
            Command::Acknowledge { pair } => self
                .slot(pair, State::Ended)
                .map(|slot| self.acknowledge(now_us, slot)),
        };
        if is_current.is_none() {
            self.counters.commands_stale += 1;
        }
        debug_assert!(self.is_balanced(), "slots, stock and ports add up");
    }

    /// Takes what has come, sends it on, does what is due. Says how long to wait for the next.
    pub fn turn(&mut self, now: Instant) -> Wait {
        let now_us = self.clock_us(now);
        self.io.receive(&mut self.batch);
        let mut packets = std::mem::take(&mut self.batch.packets);
        self.meter.count(now_us, packets.len());
        self.counters.packets_received += packets.len() as u64;
        self.counters.turns_busy += u64::from(!packets.is_empty());
        for received in packets.drain(..) {
            self.handle_received(now_us, received);
        }
        self.batch.packets = packets;
        self.tick(now_us);
        self.wait_for(now, now_us)
    }

    /// Hands what was sent to the kernel and waits as told.
    pub fn wait(&mut self, now: Instant, wait: Wait) {
        self.io.submit_and_wait(now, wait);
    }

    /// Takes the oldest report. What is not taken waits; a leg has at most one of each kind.
    pub fn poll_report(&mut self) -> Option<Report> {
        loop {
            let (slot, waiting) = self.reports.pop()?;
            if let Some(report) = self.report(slot, waiting) {
                return Some(report);
            }
        }
    }

    /// When [`turn`](Self::turn) has something to do even if no packet comes.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.deadline_us().and_then(|at_us| self.instant(at_us))
    }

    /// What was counted since the start.
    pub const fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    /// Pairs open for calls to come.
    pub const fn stocked(&self) -> u32 {
        self.stocked
    }

    /// Its kernel boundary.
    pub const fn io(&self) -> &Io {
        &self.io
    }

    /// Its kernel boundary.
    pub const fn io_mut(&mut self) -> &mut Io {
        &mut self.io
    }

    fn wait_for(&self, now: Instant, now_us: u64) -> Wait {
        let until_us = self.deadline_us();
        let want = self.meter.want();
        let rest_us = until_us.map_or(u64::MAX, |until_us| until_us.saturating_sub(now_us));
        let min_wait_us = if want <= 1 {
            0
        } else {
            micros(self.config.batch_budget).min(rest_us)
        };
        Wait {
            want,
            min_wait: Duration::from_micros(min_wait_us),
            until: until_us.map(|until_us| self.instant(until_us).unwrap_or(now)),
        }
    }

    fn deadline_us(&self) -> Option<u64> {
        [self.deadlines.next(), self.stock_at_us]
            .into_iter()
            .flatten()
            .min()
    }

    /// Microseconds since a second before the first call, so that no moment is zero.
    fn clock_us(&mut self, now: Instant) -> u64 {
        let start = *self.start.get_or_insert(now);
        micros(now.saturating_duration_since(start)).saturating_add(EPOCH_US)
    }

    fn instant(&self, at_us: u64) -> Option<Instant> {
        let passed = Duration::from_micros(at_us.saturating_sub(EPOCH_US));
        self.start.and_then(|start| start.checked_add(passed))
    }

    /// The slot of a pair in that state; `None`: the key is stale.
    fn slot(&self, pair: PairKey, state: State) -> Option<u32> {
        let is_ours = pair.worker == self.config.worker;
        let known = self.pairs.get(pair.slot as usize)?;
        let line = self.ingress.get(pair.slot as usize)?;
        (is_ours && known.generation == pair.generation && line.state == state).then_some(pair.slot)
    }

    pub(super) fn key(&self, slot: u32) -> Option<PairKey> {
        let generation = self.pairs.get(slot as usize)?.generation;
        Some(PairKey {
            worker: self.config.worker,
            slot,
            generation,
        })
    }

    pub(super) fn leg(&self, slot: u32) -> Option<&Leg> {
        self.pairs.get(slot as usize)?.leg.as_ref()
    }

    pub(super) fn leg_mut(&mut self, slot: u32) -> Option<&mut Leg> {
        self.pairs.get_mut(slot as usize)?.leg.as_mut()
    }

    fn connect(&mut self, now_us: u64, slot: u32, plan: LegPlan, target: Target) {
        let numbers = (
            self.random.next_u32(),
            self.random.next_u32(),
            self.random.next_u32(),
        );
        let cname = Cname::from_random(self.random.next_u64());
        let first_report = micros(interval(self.random.next_u32(), true));
        let Some(pair) = self.pairs.get_mut(slot as usize) else {
            return;
        };
        let Some(open) = pair.open else { return };
        if let Some(line) = self.egress.get_mut(slot as usize) {
            let [high, low, ..] = numbers.1.to_be_bytes();
            let sequence = SequenceNumber(u16::from_be_bytes([high, low]));
            *line = EgressLine {
                socket: open.rtp,
                generation: pair.generation,
                ssrc: Ssrc(numbers.0),
                continuity: Continuity::new(sequence, RtpTimestamp(numbers.2)),
                ..EgressLine::FREE
            };
        }
        if let Some(line) = self.ingress.get_mut(slot as usize) {
            *line = IngressLine {
                state: State::Connected,
                ..IngressLine::FREE
            };
        }
        if let Some(received) = self.reception.get_mut(slot as usize) {
            *received = ReceptionLine::default();
        }
        if let Some(sent) = self.sent.get_mut(slot as usize) {
            *sent = SentCounters::default();
        }
        let control = Control {
            cname,
            source: None,
            guard: RateGuard::NEW,
            due_us: now_us + first_report,
            received: 0,
            heard: None,
            sent: [None; 2],
            round_trip_us: None,
        };
        pair.leg = Some(Leg {
            latch: Latch::new(plan.latch, expected(&plan)),
            plan,
            target,
            control,
            tone: TonePhase::default(),
            discarded: 0,
            jitter_us: 0,
            silence_from_us: now_us,
            is_silent: false,
            stable_since_us: now_us,
            is_socket_connected: false,
            socket_check_us: None,
        });
        self.stocked -= 1;
        self.stock_at_us = Some(now_us);
        self.counters.legs_connected += 1;
        self.apply(slot);
        self.schedule(now_us, slot);
    }

    fn update(&mut self, now_us: u64, slot: u32, plan: LegPlan, target: Target) {
        self.open_socket(now_us, slot);
        if let Some(leg) = self.leg_mut(slot) {
            if leg.latch.renegotiate(now_us, plan.latch, expected(&plan)) {
                leg.control.source = None;
            }
            leg.plan = plan;
            leg.target = target;
            leg.silence_from_us = now_us;
            leg.is_silent = false;
        }
        self.apply(slot);
        self.watch_socket(now_us, slot);
    }

    /// Brings the hot lines of a leg up to its plan and target.
    fn apply(&mut self, slot: u32) {
        let worker = self.config.worker;
        let Some(leg) = self
            .pairs
            .get(slot as usize)
            .and_then(|pair| pair.leg.as_ref())
        else {
            return;
        };
        let Some(line) = self.ingress.get_mut(slot as usize) else {
            return;
        };
        let own = self
            .egress
            .get(slot as usize)
            .map_or(0, |line| line.generation);
        (line.route, line.opposite, line.opposite_generation) = match leg.target {
            Target::Nowhere => (Route::Nowhere, u32::MAX, 0),
            Target::Leg(pair) if pair.worker != worker => {
                self.counters.commands_stale += 1;
                (Route::Nowhere, u32::MAX, 0)
            }
            Target::Leg(pair) => (Route::Leg, pair.slot, pair.generation),
            Target::Echo => (Route::Echo, slot, own),
            Target::Tone => (Route::Tone, slot, own),
        };
        line.receives = leg.plan.receives;
        line.payload_received = PAYLOAD_NONE;
        self.refresh_lock(slot);
    }

    /// Brings the hot lines of a leg up to its latch.
    pub(super) fn refresh_lock(&mut self, slot: u32) {
        let Some(leg) = self
            .pairs
            .get(slot as usize)
            .and_then(|pair| pair.leg.as_ref())
        else {
            return;
        };
        if let Some(line) = self.ingress.get_mut(slot as usize) {
            line.is_locked = leg.latch.locked().is_some();
            line.source = leg.latch.locked().unwrap_or(PeerAddress::NOWHERE);
        }
        if let Some(line) = self.egress.get_mut(slot as usize) {
            let destination = leg.latch.destination();
            line.destination = destination.unwrap_or(PeerAddress::NOWHERE);
            line.gate = match destination {
                _ if !leg.plan.sends => Gate::Held,
                None => Gate::Unknown,
                Some(_) if leg.is_socket_connected => Gate::Connected,
                Some(_) => Gate::Address,
            };
        }
    }

    fn disconnect(&mut self, now_us: u64, slot: u32) {
        if let Some(line) = self.ingress.get_mut(slot as usize) {
            line.state = State::Ended;
            if let Some(pair) = self.pairs.get_mut(slot as usize) {
                pair.was_heard |= line.heard_us > 0;
            }
        }
        if let Some(line) = self.egress.get_mut(slot as usize) {
            line.gate = Gate::Closed;
        }
        self.deadlines.set(slot, None);
        self.reports.keep_only(slot, None);
        self.reports.push(slot, Waiting::Disconnected);
        if self
            .pairs
            .get(slot as usize)
            .is_some_and(|pair| pair.was_heard)
        {
            self.close_pair(now_us, slot);
        }
    }

    fn acknowledge(&mut self, now_us: u64, slot: u32) {
        self.reports.keep_only(slot, None);
        if self
            .pairs
            .get(slot as usize)
            .is_some_and(|pair| pair.was_heard)
        {
            self.close_pair(now_us, slot);
        }
        if let Some(pair) = self.pairs.get_mut(slot as usize) {
            pair.leg = None;
            pair.was_heard = false;
        }
        // A port that nobody ever sent to needs no rest: its open sockets serve the next call.
        let is_open = self
            .pairs
            .get(slot as usize)
            .is_some_and(|pair| pair.open.is_some());
        if is_open && self.stocked < self.config.stock {
            self.stock(slot);
        } else {
            self.close_pair(now_us, slot);
            if let Some(line) = self.ingress.get_mut(slot as usize) {
                *line = IngressLine::FREE;
            }
            self.slots_free.push(slot);
            self.stock_at_us = Some(now_us);
        }
    }

    /// An open pair without a leg goes into stock, under a new generation.
    pub(super) fn stock(&mut self, slot: u32) {
        if let Some(pair) = self.pairs.get_mut(slot as usize) {
            pair.generation = pair.generation.wrapping_add(1);
        }
        if let Some(line) = self.ingress.get_mut(slot as usize) {
            *line = IngressLine {
                state: State::Stocked,
                ..IngressLine::FREE
            };
        }
        if let Some(line) = self.egress.get_mut(slot as usize) {
            *line = EgressLine::FREE;
        }
        self.stocked += 1;
        self.reports.push(slot, Waiting::Stocked);
    }

    fn report(&self, slot: u32, waiting: Waiting) -> Option<Report> {
        let pair = self.key(slot)?;
        let known = self.pairs.get(slot as usize)?;
        match waiting {
            Waiting::Stocked => {
                let rtp = self.ports.rtp(known.open?.ports)?;
                Some(Report::Stocked { pair, rtp })
            }
            Waiting::Latched => {
                let source = known.leg.as_ref()?.latch.locked()?.socket_address();
                Some(Report::Latched { pair, source })
            }
            Waiting::Silent => Some(Report::Silent { pair }),
            Waiting::Disconnected => {
                let ingress = self.ingress.get(slot as usize)?;
                let received = self.reception.get(slot as usize)?;
                let sent = self.sent.get(slot as usize)?;
                let counters = known.leg.as_ref()?.counters(ingress, received, sent);
                Some(Report::Disconnected { pair, counters })
            }
        }
    }

    /// True if every slot and every port is in one place.
    pub(super) fn is_balanced(&self) -> bool {
        let open = self.pairs.iter().filter(|pair| pair.open.is_some()).count();
        let free = self
            .ingress
            .iter()
            .filter(|line| line.state == State::Free)
            .count();
        let stocked = self
            .ingress
            .iter()
            .filter(|line| line.state == State::Stocked)
            .count();
        free == self.slots_free.len()
            && stocked == self.stocked as usize
            && open + self.ports.len() == self.ports_all
    }

    /// Checks every table against every other.
    ///
    /// # Panics
    /// When two tables disagree: a fault of this crate, never of the network.
    pub fn check_invariants(&self) {
        assert!(self.is_balanced(), "slots, stock and ports add up");
        assert!(self.deadlines.is_consistent(), "deadlines are in order");
        assert!(self.reports.is_consistent(), "reports are in line");
        for (slot, pair) in (0_u32..).zip(&self.pairs) {
            let Some(line) = self.ingress.get(slot as usize) else {
                continue;
            };
            let Some(egress) = self.egress.get(slot as usize) else {
                continue;
            };
            let has_leg = matches!(line.state, State::Connected | State::Ended);
            assert_eq!(
                pair.leg.is_some(),
                has_leg,
                "a leg stands in a slot that says so"
            );
            let is_gate_open = egress.gate != Gate::Closed;
            assert_eq!(
                is_gate_open,
                line.state == State::Connected,
                "only a leg is sent to"
            );
            for (key, kind) in pair
                .open
                .iter()
                .flat_map(|open| [(open.rtp, PortKind::Rtp), (open.rtcp, PortKind::Rtcp)])
            {
                assert_eq!(
                    self.sockets.owner(key),
                    Some((slot, kind)),
                    "a socket has one owner"
                );
            }
            if let Some(leg) = pair.leg.as_ref().filter(|_| is_gate_open) {
                assert_eq!(
                    egress.generation, pair.generation,
                    "a line is of its own leg"
                );
                assert_eq!(
                    line.is_locked,
                    leg.latch.locked().is_some(),
                    "the lock is the latch's"
                );
                let destination = leg.latch.destination().unwrap_or(PeerAddress::NOWHERE);
                assert_eq!(
                    egress.destination, destination,
                    "packets go where the latch says"
                );
                let is_proven = leg.latch.locked() == leg.latch.destination();
                assert!(
                    !leg.is_socket_connected || is_proven,
                    "connected to the locked source"
                );
            }
        }
    }
}

/// Which pair a socket belongs to, by the slot of the socket.
#[derive(Debug)]
pub(super) struct SocketOwners(Vec<Option<SocketOwner>>);

#[derive(Debug, Clone, Copy)]
struct SocketOwner {
    generation: u32,
    slot: u32,
    kind: PortKind,
}

/// One of the two sockets of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortKind {
    Rtp,
    Rtcp,
}

impl SocketOwners {
    fn new(sockets: usize) -> Self {
        Self(vec![None; sockets])
    }

    #[inline]
    pub(super) fn owner(&self, socket: SocketKey) -> Option<(u32, PortKind)> {
        let owner = (*self.0.get(socket.slot as usize)?)?;
        (owner.generation == socket.generation).then_some((owner.slot, owner.kind))
    }

    /// False: the `PacketIo` numbers its sockets beyond what the worker was made for.
    pub(super) fn set(&mut self, socket: SocketKey, slot: u32, kind: PortKind) -> bool {
        let owner = SocketOwner {
            generation: socket.generation,
            slot,
            kind,
        };
        self.0
            .get_mut(socket.slot as usize)
            .map(|place| *place = Some(owner))
            .is_some()
    }

    pub(super) fn clear(&mut self, socket: SocketKey) {
        if let Some(place) = self.0.get_mut(socket.slot as usize) {
            *place = place.filter(|owner| owner.generation != socket.generation);
        }
    }
}

/// Where the SDP says the peer is; the unspecified address is a hold of RFC 2543 times.
fn expected(plan: &LegPlan) -> Option<PeerAddress> {
    plan.remote_rtp
        .filter(|remote: &SocketAddr| !remote.ip().is_unspecified() && remote.port() != 0)
        .map(PeerAddress::from)
}

/// What the worker's clock shows at the first call.
const EPOCH_US: u64 = 1_000_000;
