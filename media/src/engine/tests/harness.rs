//! A worker, a clock that tests move, and peers that write RTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use packet_io::{Delivery, Faults, NoFaults, PacketIo, Simulated, SimulatedConfig, Wait};

use crate::command::{
    Command, LatchPolicy, LegCounters, LegPlan, MediaKind, PAYLOAD_MAPPINGS_MAX, PairKey,
    PayloadMapping, Report, Target,
};
use crate::drop_reason::DropReason;
use crate::engine::{Worker, WorkerConfig};
use crate::rtp::{PayloadType, RtpTimestamp, RtpView, RtpViewMut, SequenceNumber, Ssrc};

/// A datagram that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

impl Sent {
    pub(super) fn rtp(&self) -> RtpView<'_> {
        RtpView::parse(&self.bytes).unwrap()
    }
}

pub(super) struct Harness<F: Faults = NoFaults> {
    pub(super) worker: Worker<Simulated<F>>,
    pub(super) now: Instant,
    pub(super) stock: Vec<(PairKey, SocketAddr)>,
    pub(super) browser_stock: Vec<(PairKey, SocketAddr)>,
    pub(super) reports: Vec<Report>,
    pub(super) wait: Wait,
}

/// A leg as a test sees it: its pair, our address, its peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct TestLeg {
    pub(super) pair: PairKey,
    pub(super) ours: SocketAddr,
    pub(super) peer: SocketAddr,
}

/// Any source, of a peer whose signalling is at none of them.
pub(super) const ANY: LatchPolicy = LatchPolicy::Any(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// PCMU, PCMA and a telephone-event that is 101 here and 96 on the other side.
pub(super) fn plan(remote: &str) -> LegPlan {
    let mapping = |received, sent, is_telephone_event| PayloadMapping {
        received,
        sent,
        clock_rate_hz: 8_000,
        is_telephone_event,
        sent_clock_hz: None,
    };
    let remote = address(remote);
    let payloads = [
        mapping(0, 0, false),
        mapping(8, 8, false),
        mapping(101, 96, true),
    ];
    LegPlan {
        kind: MediaKind::Audio,
        remote_rtp: Some(remote),
        remote_rtcp: Some(SocketAddr::new(remote.ip(), remote.port() + 1)),
        sends: true,
        receives: true,
        payloads: ArrayVec::from_iter(payloads),
        latch: LatchPolicy::Sdp,
        media_timeout: None,
        version: 1,
        srtp: None,
    }
}

/// Pictures: the number of each form here, and on the other side.
pub(super) fn pictures<const N: usize>(
    numbers: [(u8, u8); N],
) -> ArrayVec<PayloadMapping, PAYLOAD_MAPPINGS_MAX> {
    let mapping = |(received, sent)| PayloadMapping {
        received,
        sent,
        clock_rate_hz: 90_000,
        is_telephone_event: false,
        sent_clock_hz: None,
    };
    numbers.into_iter().map(mapping).collect()
}

/// A leg that has them.
pub(super) fn video<const N: usize>(remote: &str, numbers: [(u8, u8); N]) -> LegPlan {
    LegPlan {
        kind: MediaKind::Video,
        payloads: pictures(numbers),
        ..plan(remote)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one moment a test counts from"
)]
fn beginning() -> Instant {
    Instant::now()
}

impl Harness<NoFaults> {
    pub(super) fn new() -> Self {
        Self::with(NoFaults, |_| {})
    }
}

impl<F: Faults> Harness<F> {
    pub(super) fn with(faults: F, change: impl FnOnce(&mut WorkerConfig)) -> Self {
        let mut config =
            WorkerConfig::new(3, address("192.0.2.100:0").ip(), 10_000..=10_199, [7; 32]);
        config.pairs_max = 32;
        config.stock = 8;
        change(&mut config);
        let sockets_max = config.pairs_max * 2 + 1;
        let io = SimulatedConfig {
            buffers: 1024,
            sockets_max,
            socket_queue_max: 512,
        };
        let worker = Worker::new(Simulated::with_faults(io, faults), config);
        let now = beginning();
        let wait = Wait::none(now);
        let mut harness = Self {
            worker,
            now,
            stock: Vec::new(),
            browser_stock: Vec::new(),
            reports: Vec::new(),
            wait,
        };
        harness.turn();
        harness
    }

    pub(super) fn turn(&mut self) {
        self.wait = self.worker.turn(self.now);
        self.worker.wait(self.now, self.wait);
        self.drain();
    }

    pub(super) fn command(&mut self, command: Command) {
        self.worker.handle_command(self.now, command);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(report) = self.worker.poll_report() {
            match report {
                Report::Stocked { pair, rtp } => self.stock.push((pair, rtp)),
                Report::Loaded { .. } => {}
                Report::BrowserStocked { pair, at } => self.browser_stock.push((pair, at)),
                Report::Latched { .. }
                | Report::TransportUp { .. }
                | Report::TransportFailed { .. }
                | Report::TransportSilent { .. }
                | Report::TransportBack { .. }
                | Report::Silent { .. }
                | Report::Struck { .. }
                | Report::Disconnected { .. } => {
                    self.reports.push(report);
                }
            }
        }
        self.worker.check_invariants();
    }

    /// Lets time pass as the worker asked: a turn at each of its deadlines.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.worker.poll_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.turn();
        }
        self.now = end;
        self.turn();
    }

    pub(super) fn pass_ms(&mut self, milliseconds: u64) {
        self.pass(Duration::from_millis(milliseconds));
    }

    pub(super) fn connect(&mut self, plan: LegPlan, target: Target) -> TestLeg {
        if self.stock.is_empty() {
            self.turn();
        }
        let (pair, ours) = self.stock.remove(0);
        let peer = plan.remote_rtp.unwrap();
        self.command(Command::Connect { pair, plan, target });
        TestLeg { pair, ours, peer }
    }

    /// Two legs, each the other's target, both as their SDP says.
    pub(super) fn call(&mut self) -> (TestLeg, TestLeg) {
        self.call_with(plan("198.51.100.1:4000"), plan("203.0.113.2:6000"))
    }

    pub(super) fn call_with(&mut self, a: LegPlan, b: LegPlan) -> (TestLeg, TestLeg) {
        let a_leg = self.connect(a.clone(), Target::Nowhere);
        let b_leg = self.connect(b, Target::Leg(a_leg.pair));
        self.update(a_leg, a, Target::Leg(b_leg.pair));
        (a_leg, b_leg)
    }

    pub(super) fn update(&mut self, leg: TestLeg, plan: LegPlan, target: Target) {
        self.command(Command::Update {
            pair: leg.pair,
            plan,
            target,
        });
    }

    /// Ends a leg and takes its counters.
    pub(super) fn disconnect(&mut self, leg: TestLeg) -> LegCounters {
        self.command(Command::Disconnect { pair: leg.pair });
        let report = self.reports.pop();
        let Some(Report::Disconnected { pair, counters }) = report else {
            panic!("no final report: {report:?}");
        };
        assert_eq!(pair, leg.pair);
        // What the leg said at its end leaves.
        self.worker.wait(self.now, Wait::none(self.now));
        self.command(Command::Acknowledge { pair });
        counters
    }

    pub(super) fn deliver(&mut self, to: SocketAddr, from: SocketAddr, bytes: &[u8]) -> Delivery {
        self.worker.io_mut().deliver(to, from, bytes)
    }

    /// Takes what has left since the last call.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        self.worker.io_mut().take_sent(|from, to, bytes| {
            sent.push(Sent {
                from,
                to,
                bytes: bytes.to_vec(),
            });
        });
        sent
    }

    /// Delivers one packet, runs a turn and takes what left.
    pub(super) fn exchange(&mut self, to: SocketAddr, from: SocketAddr, bytes: &[u8]) -> Vec<Sent> {
        self.deliver(to, from, bytes);
        self.turn();
        self.sent()
    }

    pub(super) fn dropped(&self, reason: DropReason) -> u64 {
        self.worker.counters().drops.of(reason)
    }

    pub(super) fn latched(&self) -> Vec<SocketAddr> {
        let sources = self.reports.iter().map(|report| match report {
            Report::Latched { source, .. } => Some(*source),
            Report::Stocked { .. }
            | Report::Loaded { .. }
            | Report::Silent { .. }
            | Report::BrowserStocked { .. }
            | Report::TransportUp { .. }
            | Report::TransportFailed { .. }
            | Report::TransportSilent { .. }
            | Report::TransportBack { .. }
            | Report::Struck { .. }
            | Report::Disconnected { .. } => None,
        });
        sources.flatten().collect()
    }

    pub(super) fn pool_is_whole(&self) -> bool {
        let counts = self.worker.io().pool_counts();
        counts.held == 0 && counts.in_kernel == 0
    }
}

/// A stream that a peer sends.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) payload_type: u8,
}

impl Stream {
    pub(super) const fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            sequence: 65_500,
            timestamp: 4_294_960_000,
            payload_type: 0,
        }
    }

    /// The next packet: 20 ms of payload that tells packets apart.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 172];
        bytes[0] = 0x80;
        bytes[12..14].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[14..18].copy_from_slice(&self.ssrc.to_be_bytes());
        let mut view = RtpViewMut::parse(&mut bytes).unwrap();
        view.set(
            false,
            PayloadType::from_bits(self.payload_type),
            SequenceNumber(self.sequence),
            RtpTimestamp(self.timestamp),
            Ssrc(self.ssrc),
        );
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        bytes
    }
}
