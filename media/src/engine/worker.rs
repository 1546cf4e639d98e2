//! `Worker`: the facade, and the tables behind it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use packet_io::{PacketIo, ReceivedBatch, Wait};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::command::{Command, PairKey, Report};
use crate::dtls::KeyExchange;
use crate::engine::batching::{LoadMeter, RateMeter, micros};
use crate::engine::counters::WorkerCounters;
use crate::engine::deadline::DeadlineQueue;
use crate::engine::leg::{Leg, Pair};
use crate::engine::line::{EgressLine, IngressLine, ReceptionLine, SentCounters, State};
use crate::engine::own_ports::OwnPorts;
use crate::engine::report_queue::ReportQueue;
use crate::engine::secure::SecureLeg;
use crate::engine::socket_owners::SocketOwners;
use crate::engine::stock::PortPool;
use crate::engine::transport::Transports;
use crate::limits::{BROWSER_LEGS_MAX, LOOK_AHEAD_PACKETS, PAIRS_MAX};
use crate::tone::ToneTable;

/// What a worker is given when it starts.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Its number, in every [`PairKey`] it reports.
    pub worker: u16,
    /// Addresses it opens ports on.
    pub addresses: Vec<IpAddr>,
    /// Other addresses that peers know its ports by: what comes from there is as our own. Not more
    /// than [`ADVERTISED_MAX`](crate::limits::ADVERTISED_MAX) count.
    pub advertised: Vec<IpAddr>,
    /// Ports it may open, on each address. No other worker may have the same.
    pub ports: RangeInclusive<u16>,
    /// Port pairs at most, stock included; not more than [`PAIRS_MAX`]. Its `PacketIo` needs twice
    /// as many sockets, and one for browsers.
    pub pairs_max: u32,
    /// Open the port of RTCP beside that of RTP. Without it a pair is one socket, and RTCP is heard
    /// and spoken where it is multiplexed (RFC 5761) only.
    pub rtcp_ports: bool,
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
    /// Where browsers are heard. `None`: nowhere.
    pub browsers: Option<BrowserConfig>,
}

/// The one port of a worker for all browsers.
#[derive(Debug, Clone)]
pub struct BrowserConfig {
    /// Where it is opened; port 0: one that the kernel chooses.
    pub address: SocketAddr,
    /// Legs of browsers at most, two for a call with video; pairs beyond
    /// [`pairs_max`](WorkerConfig::pairs_max).
    pub legs_max: u32,
    /// `SO_RCVBUF` in octets; 0: the kernel's default.
    pub receive_buffer_bytes: u32,
    /// What makes keys with them.
    pub endpoint: Arc<dyn KeyExchange>,
}

impl WorkerConfig {
    /// Worker `worker` on one address: 64 pairs in stock, 0.6 ms budget, EF.
    #[must_use]
    pub fn new(worker: u16, address: IpAddr, ports: RangeInclusive<u16>, seed: [u8; 32]) -> Self {
        Self {
            worker,
            addresses: vec![address],
            advertised: Vec::new(),
            ports,
            pairs_max: 4_096,
            rtcp_ports: true,
            stock: 64,
            batch_budget: Duration::from_micros(600),
            dscp: 46,
            receive_buffer_bytes: 0,
            seed,
            browsers: None,
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
    /// Of legs with keys. Apart from the cold side of their pairs, which no packet looks at.
    pub(super) secure: Vec<Option<Box<SecureLeg>>>,
    pub(super) secure_legs: u32,
    pub(super) pairs: Vec<Pair>,
    pub(super) slots_free: Vec<u32>,
    pub(super) stocked: u32,
    pub(super) ports: PortPool,
    pub(super) own_ports: OwnPorts,
    pub(super) ports_all: usize,
    pub(super) stock_retry_us: u64,
    pub(super) stock_at_us: Option<u64>,
    /// Pairs whose leg is over and was heard, and since when; oldest first.
    pub(super) draining: VecDeque<(u64, u32)>,
    pub(super) transports: Transports,
    pub(super) deadlines: DeadlineQueue,
    pub(super) reports: ReportQueue,
    pub(super) counters: WorkerCounters,
    pub(super) tone: ToneTable,
    pub(super) random: ChaCha8Rng,
    /// The slot that is being worked for, so that a fault is laid at the right door.
    pub(super) in_hand: Option<u32>,
    batch: ReceivedBatch,
    meter: RateMeter,
    load: LoadMeter,
    /// The load that is to be reported.
    loaded: Option<u32>,
    start: Option<Instant>,
    pub(super) latest_us: u64,
}

impl<Io: PacketIo> Worker<Io> {
    /// A worker without any pair; its first turn begins to fill the stock.
    pub fn new(io: Io, config: WorkerConfig) -> Self {
        let config = WorkerConfig {
            pairs_max: config.pairs_max.min(PAIRS_MAX),
            ..config
        };
        let legs_max = config.browsers.as_ref().map_or(0, |it| it.legs_max);
        let legs_max = legs_max.min(BROWSER_LEGS_MAX);
        let slots_max = config.pairs_max + legs_max;
        let slots = slots_max as usize;
        let mut random = ChaCha8Rng::from_seed(config.seed);
        let ports = PortPool::new(config.addresses.clone(), config.ports.clone(), &mut random);
        let key = if legs_max == 0 { 0 } else { random.next_u64() };
        Self {
            io,
            sockets: SocketOwners::new(config.pairs_max as usize * 2 + 1),
            ingress: vec![IngressLine::FREE; slots],
            reception: vec![ReceptionLine::default(); slots],
            egress: vec![EgressLine::FREE; slots],
            sent: vec![SentCounters::default(); slots],
            secure: (0..slots).map(|_| None).collect(),
            secure_legs: 0,
            pairs: (0..slots).map(|_| Pair::default()).collect(),
            slots_free: (0..config.pairs_max).rev().collect(),
            stocked: 0,
            ports_all: ports.len(),
            ports,
            own_ports: OwnPorts::new(&config.addresses, &config.advertised),
            stock_retry_us: 0,
            stock_at_us: Some(0),
            draining: VecDeque::new(),
            transports: Transports::new(config.pairs_max, legs_max, key),
            deadlines: DeadlineQueue::new(slots_max),
            reports: ReportQueue::new(slots_max),
            counters: WorkerCounters::default(),
            tone: ToneTable::new(),
            random,
            in_hand: None,
            batch: ReceivedBatch::new(),
            meter: RateMeter::new(config.batch_budget),
            load: LoadMeter::default(),
            loaded: None,
            start: None,
            latest_us: EPOCH_US,
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
            Command::Transport { pair, video, plan } => self
                .slot(pair, State::Connected)
                .and_then(|slot| self.transport(now, now_us, slot, video, plan)),
            Command::Disconnect { pair } => self
                .slot(pair, State::Connected)
                .map(|slot| self.disconnect(slot)),
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
        self.loaded = self.load.count(now_us, packets.len()).or(self.loaded);
        self.counters.packets_received += packets.len() as u64;
        self.counters.turns_busy += u64::from(!packets.is_empty());
        self.counters.batches.count(packets.len());
        let mut rest = packets.drain(..);
        while !rest.as_slice().is_empty() {
            let group = rest.as_slice();
            self.look_ahead(group.get(..LOOK_AHEAD_PACKETS).unwrap_or(group));
            for received in rest.by_ref().take(LOOK_AHEAD_PACKETS) {
                self.handle_received(now_us, received);
            }
        }
        drop(rest);
        debug_assert!(packets.is_empty(), "each packet was taken somewhere");
        self.batch.packets = packets;
        self.tick(now_us);
        self.step_handshakes(now_us);
        self.in_hand = None;
        debug_assert!(
            self.deadlines.next().is_none_or(|at_us| at_us > now_us),
            "what was due is done"
        );
        debug_assert!(
            self.drained_at().is_none_or(|at_us| at_us > now_us),
            "what has rested is closed"
        );
        self.wait_for(now, now_us)
    }

    /// Hands what was sent to the kernel and waits as told.
    pub fn wait(&mut self, now: Instant, wait: Wait) {
        self.io.submit_and_wait(now, wait);
    }

    /// After a panic that was caught around [`turn`](Self::turn): the packets in hand have returned
    /// to the pool while it unwound; the leg that was worked for passes nothing any more and is
    /// reported, so that control ends its call. All others go on.
    pub fn handle_panic(&mut self) {
        self.batch = ReceivedBatch::new();
        self.counters.panics += 1;
        if let Some(slot) = self.in_hand.take() {
            self.isolate(slot);
        }
    }

    /// Takes the oldest report. What is not taken waits; a leg has at most one of each kind.
    pub fn poll_report(&mut self) -> Option<Report> {
        if let Some(packets_per_second) = self.loaded.take() {
            let worker = self.config.worker;
            return Some(Report::Loaded {
                worker,
                packets_per_second,
            });
        }
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

    /// Packets that it waits for together at the present rate.
    pub const fn want(&self) -> u32 {
        self.meter.want()
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
        if self.transports.has_steps() {
            return Wait::none(now);
        }
        let until_us = self.deadline_us();
        let want = self.meter.want();
        let rest_us = until_us.map_or(u64::MAX, |until_us| until_us.saturating_sub(now_us));
        let min_wait_us = if want <= 1 {
            0
        } else {
            micros(self.config.batch_budget).min(rest_us)
        };
        debug_assert!(want > 0, "somebody waits for a packet");
        Wait {
            want,
            min_wait: Duration::from_micros(min_wait_us),
            until: until_us.map(|until_us| self.instant(until_us).unwrap_or(now)),
        }
    }

    fn deadline_us(&self) -> Option<u64> {
        let dues = [
            self.deadlines.next(),
            self.stock_at_us,
            self.drained_at(),
            self.load.next(),
            self.transports.open_at(),
            self.transports.has_steps().then_some(self.latest_us),
        ];
        dues.into_iter().flatten().min()
    }

    /// Microseconds since a second before the first call, so that no moment is zero. Never goes
    /// back, whatever the caller's clock does.
    fn clock_us(&mut self, now: Instant) -> u64 {
        let start = *self.start.get_or_insert(now);
        let now_us = micros(now.saturating_duration_since(start)).saturating_add(EPOCH_US);
        self.latest_us = self.latest_us.max(now_us);
        debug_assert!(self.latest_us >= EPOCH_US, "no moment is zero");
        self.latest_us
    }

    pub(super) fn instant(&self, at_us: u64) -> Option<Instant> {
        let passed = Duration::from_micros(at_us.saturating_sub(EPOCH_US));
        self.start.and_then(|start| start.checked_add(passed))
    }

    /// The slot of a pair in that state; `None`: the key is stale.
    pub(super) fn slot(&self, pair: PairKey, state: State) -> Option<u32> {
        let is_ours = pair.worker == self.config.worker;
        let known = self.pairs.get(pair.slot as usize)?;
        let line = self.ingress.get(pair.slot as usize)?;
        (is_ours && known.generation == pair.generation && line.state == state).then_some(pair.slot)
    }

    /// All slots, those of browsers' legs among them.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.pairs.len()).unwrap_or(u32::MAX)
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
}

/// What the worker's clock shows at the first call.
const EPOCH_US: u64 = 1_000_000;
