//! Any octets as what happens to a worker: commands of control, packets of peers and strangers, and
//! time. Between any two of them its invariants hold, and nothing was sent to anybody who is nobody's
//! peer, nor is he believed, unless the leg takes media from anywhere.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use packet_io::{PacketIo, Simulated, SimulatedConfig};

use crate::command::{
    Command, LatchPolicy, LegPlan, MediaKind, PairKey, PayloadMapping, Report, Target,
};
use crate::engine::{Worker, WorkerConfig};
use crate::fuzzing::script::Script;
use crate::fuzzing::secure::SecurePeers;
use crate::ingress::{Protocol, classify};

/// What came about in a play.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Played {
    /// Datagrams that left.
    pub left: u64,
    /// How often the stranger came to hold a leg that takes media from anywhere.
    pub strangers: u64,
}

/// Plays `octets` on a worker that begins at `now`.
///
/// # Panics
/// When an invariant of the worker does not hold.
pub fn engine(now: Instant, octets: &[u8]) -> Played {
    let mut play = Play::new(now);
    let mut script = Script::new(octets);
    for _ in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        play.step(&mut script);
        play.check();
    }
    play.end();
    play.played
}

struct Play {
    worker: Worker<Simulated>,
    now: Instant,
    pairs: Vec<(PairKey, SocketAddr)>,
    ended: Vec<PairKey>,
    /// Who was last said to be the peer of a slot.
    peers: Vec<(u32, SocketAddr)>,
    /// Slots whose leg was ever told to take media from anywhere: a stranger may hold it.
    open: BTreeSet<u32>,
    secure: SecurePeers,
    last_sent: Vec<u8>,
    sequence: u16,
    played: Played,
}

impl Play {
    fn new(now: Instant) -> Self {
        let mut config = WorkerConfig::new(0, OURS, PORT_FIRST..=PORT_LAST, [5; 32]);
        config.pairs_max = 6;
        config.stock = 3;
        let io = Simulated::new(SimulatedConfig {
            buffers: 64,
            sockets_max: 12,
            socket_queue_max: 16,
        });
        let mut play = Self {
            worker: Worker::new(io, config),
            now,
            pairs: Vec::new(),
            ended: Vec::new(),
            peers: Vec::new(),
            open: BTreeSet::new(),
            secure: SecurePeers::default(),
            last_sent: Vec::new(),
            sequence: 0,
            played: Played::default(),
        };
        play.turn();
        play.check();
        let pairs: Vec<PairKey> = play.pairs.iter().map(|(pair, _)| *pair).collect();
        for ((pair, other), remote) in pairs
            .iter()
            .zip(pairs.iter().skip(1).chain(&pairs))
            .zip(PEERS.into_iter().step_by(2))
        {
            let plan = LegPlan {
                remote_rtp: Some(remote),
                latch: LatchPolicy::Sdp,
                ..plan(&mut Script::new(&[]))
            };
            play.peers.push((pair.slot, remote));
            let target = Target::Leg(*other);
            play.worker.handle_command(
                play.now,
                Command::Connect {
                    pair: *pair,
                    plan,
                    target,
                },
            );
        }
        play
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.octet() % 24 {
            0 | 9 => self.command(script, true, |pair, plan, target| Command::Connect {
                pair,
                plan,
                target,
            }),
            1 => self.command(script, false, |pair, plan, target| Command::Update {
                pair,
                plan,
                target,
            }),
            2 => {
                if let Some((pair, _)) = script.one_of(&self.pairs) {
                    let command = Command::Disconnect { pair };
                    self.worker.handle_command(self.now, command);
                }
            }
            3 => {
                if let Some(pair) = script.one_of(&self.ended) {
                    self.worker
                        .handle_command(self.now, Command::Acknowledge { pair });
                }
            }
            4 => self.now += Duration::from_millis(u64::from(script.word())),
            5 => self.worker.handle_panic(),
            6..=8 => self.turn(),
            _ => {
                self.deliver(script);
                if script.octet().is_multiple_of(2) {
                    self.turn();
                }
            }
        }
    }

    fn command(
        &mut self,
        script: &mut Script<'_>,
        is_new: bool,
        command: impl FnOnce(PairKey, LegPlan, Target) -> Command,
    ) {
        let Some((mut pair, _)) = script.one_of(&self.pairs) else {
            return;
        };
        if script.octet() == 255 {
            pair.generation = pair.generation.wrapping_add(1);
        }
        let (mut plan, target) = (plan(script), self.target(script));
        plan.srtp = self.secure.draw(pair.slot, script);
        let keys = plan.srtp.clone();
        let place = plan.remote_rtp;
        let is_open = matches!(plan.latch, LatchPolicy::Any(_));
        // The goodbye of the leg before leaves before another begins: it is under that leg's keys.
        if is_new {
            self.turn();
        }
        if let Some(remote) = plan.remote_rtp {
            self.peers.retain(|(slot, _)| *slot != pair.slot);
            self.peers.push((pair.slot, remote));
        }
        let stale = self.worker.counters().commands_stale;
        self.worker
            .handle_command(self.now, command(pair, plan, target));
        if self.worker.counters().commands_stale == stale {
            self.secure
                .agree(pair.slot, (keys.as_deref(), place), is_new);
            if is_new {
                self.open.remove(&pair.slot);
            }
            if is_open {
                self.open.insert(pair.slot);
            }
        }
    }

    fn target(&self, script: &mut Script<'_>) -> Target {
        match script.octet() % 8 {
            0 => Target::Nowhere,
            1 => Target::Echo,
            2 => Target::Tone,
            3 => Target::Ringback,
            _ => script
                .one_of(&self.pairs)
                .map_or(Target::Nowhere, |(pair, _)| Target::Leg(pair)),
        }
    }

    fn deliver(&mut self, script: &mut Script<'_>) {
        let Some((pair, ours)) = script.one_of(&self.pairs) else {
            return;
        };
        let is_control = u16::from(script.octet().is_multiple_of(4));
        let port = ours.port() + is_control;
        let peer = self.peers.iter().find(|(slot, _)| *slot == pair.slot);
        let peer = peer.map(|(_, peer)| SocketAddr::new(peer.ip(), peer.port() + is_control));
        let source = match script.octet() {
            250.. => script.one_of(&self.pairs).map_or(STRANGER, |(_, own)| own),
            200.. => STRANGER,
            150.. => script.one_of(&PEERS).unwrap_or(STRANGER),
            _ => peer.unwrap_or(STRANGER),
        };
        // A stranger is believed after some packets in a row, if ever.
        let in_a_row = if script.octet() < 32 { 5 } else { 1 };
        for _ in 0..in_a_row {
            let mut bytes = match script.octet() % 6 {
                0 => {
                    let count = script.below(80);
                    script.take(count).to_vec()
                }
                1 => self.last_sent.clone(),
                2 => control(script),
                _ => media(script, &mut self.sequence),
            };
            if script.octet() < 200 {
                let is_control = classify(&bytes) == Protocol::Rtcp;
                self.secure.protect(pair.slot, is_control, &mut bytes);
            }
            let to = SocketAddr::new(ours.ip(), port);
            self.worker.io_mut().deliver(to, source, &bytes);
        }
    }

    fn turn(&mut self) {
        let wait = self.worker.turn(self.now);
        self.worker.wait(self.now, wait);
        let (last, left) = (&mut self.last_sent, &mut self.played.left);
        let (pairs, secure, open) = (&self.pairs, &mut self.secure, &self.open);
        self.worker.io_mut().take_sent(|from, to, bytes| {
            let slot = pairs
                .iter()
                .find(|(_, ours)| ours.port() | 1 == from.port() | 1);
            let is_open = slot.is_some_and(|(pair, _)| open.contains(&pair.slot));
            // A port of ours that is closed is anybody's; one that is open is nobody's peer.
            let is_loop = pairs.iter().any(|(_, ours)| *ours == to);
            let is_foreign = !PEER_HOSTS.contains(&to.ip());
            assert!(!is_loop && (is_open || !is_foreign), "nothing goes to {to}");
            if let Some((pair, _)) = slot {
                secure.hear(pair.slot, classify(bytes) == Protocol::Rtcp, bytes);
            }
            bytes.clone_into(last);
            *left += 1;
        });
    }

    fn check(&mut self) {
        while let Some(report) = self.worker.poll_report() {
            match report {
                Report::Stocked { pair, rtp } => {
                    self.pairs.retain(|(other, _)| other.slot != pair.slot);
                    self.pairs.push((pair, rtp));
                }
                Report::Disconnected { pair, counters } => {
                    let score = counters.score_hundredths.unwrap_or(100);
                    assert!((100..=450).contains(&score), "a score on its scale");
                    self.ended.retain(|other| other.slot != pair.slot);
                    self.ended.push(pair);
                }
                Report::Latched { pair, source } => {
                    assert!(
                        PEER_HOSTS.contains(&source.ip()) || self.open.contains(&pair.slot),
                        "{source} is not believed"
                    );
                    self.played.strangers += u64::from(source == STRANGER);
                }
                Report::Silent { .. }
                | Report::Struck { .. }
                | Report::Loaded { .. }
                | Report::BrowserStocked { .. }
                | Report::TransportUp { .. }
                | Report::TransportFailed { .. }
                | Report::TransportSilent { .. }
                | Report::TransportBack { .. } => {}
            }
        }
        self.worker.check_invariants();
    }

    /// Every buffer is back, whatever happened.
    fn end(&mut self) {
        self.turn();
        self.check();
        let counts = self.worker.io().pool_counts();
        assert_eq!(counts.held, 0, "no buffer is kept");
    }
}

/// A plan of a peer, never of the stranger.
fn plan(script: &mut Script<'_>) -> LegPlan {
    let remote = script.one_of(&PEERS);
    let flags = script.octet();
    let is_multiplexed = flags & 1 != 0;
    let rtcp = remote.map(|mut remote| {
        remote.set_port(remote.port() + u16::from(!is_multiplexed));
        remote
    });
    let mapping = |received, sent, clock_rate_hz, is_telephone_event| PayloadMapping {
        received,
        sent,
        clock_rate_hz,
        is_telephone_event,
        sent_clock_hz: None,
    };
    let payloads = [
        mapping(0, 0, 8_000, false),
        mapping(8, 8, 8_000, false),
        mapping(111, 96, 48_000, false),
        mapping(101, 97, 8_000, true),
    ];
    LegPlan {
        kind: if flags & 2 == 0 {
            MediaKind::Audio
        } else {
            MediaKind::Video
        },
        remote_rtp: remote.filter(|_| flags & 0x0c != 0x0c),
        remote_rtcp: rtcp,
        sends: flags & 0x70 != 0x70,
        receives: flags & 0xe0 != 0xe0,
        payloads: payloads.into_iter().collect(),
        latch: match (script.octet() % 4, remote) {
            (1, Some(remote)) => LatchPolicy::Signalling(remote.ip()),
            (2, _) => LatchPolicy::Any(script.one_of(&PEERS).map_or(OURS, |peer| peer.ip())),
            _ => LatchPolicy::Sdp,
        },
        media_timeout: (flags & 0x80 != 0).then_some(Duration::from_secs(5)),
        version: u32::from(script.octet()),
        srtp: None,
    }
}

/// Nearly valid RTP: most of its fields are drawn from few values, so that streams come about.
fn media(script: &mut Script<'_>, sequence: &mut u16) -> Vec<u8> {
    let first = if script.octet() < 240 {
        0x80
    } else {
        script.octet()
    };
    let payload_type = script.one_of(&[0, 0, 0, 0, 8, 111, 101, 33]);
    let mut octets = vec![first, payload_type.unwrap_or_default()];
    *sequence = match script.octet() {
        240.. => script.word(),
        220.. => *sequence,
        // As much as a source may lose: some twenty of these are a round of the numbers.
        100.. => sequence.wrapping_add(2_900),
        _ => sequence.wrapping_add(1),
    };
    octets.extend(sequence.to_be_bytes());
    octets.extend((u32::from(*sequence) * 160).to_be_bytes());
    let source = script.octet().saturating_sub(220);
    octets.extend([0, 0, 0, source]);
    let count = script.below(8);
    octets.extend(script.take(count));
    octets
}

/// Nearly valid RTCP: reports, a goodbye, feedback of all kinds.
fn control(script: &mut Script<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    for _ in 0..=script.below(3) {
        let kind = 200 + script.octet() % 8;
        let words = script.octet() % 8;
        let format = script.octet() & 0x3f;
        octets.extend([0x80 | format, kind, 0, words]);
        let mut body = script.take(4 * usize::from(words)).to_vec();
        body.resize(4 * usize::from(words), 0);
        octets.extend(body);
    }
    octets
}

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PORT_FIRST: u16 = 10_000;
const PORT_LAST: u16 = 10_031;
const STRANGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66)), 66);
const PEER_HOSTS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2)),
];
const PEERS: [SocketAddr; 4] = [
    SocketAddr::new(PEER_HOSTS[0], 4_000),
    SocketAddr::new(PEER_HOSTS[0], 4_002),
    SocketAddr::new(PEER_HOSTS[1], 5_000),
    SocketAddr::new(PEER_HOSTS[1], 5_001),
];

/// A longer script finds nothing that two shorter ones do not.
const STEPS_MAX: usize = 400;
