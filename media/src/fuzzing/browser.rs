//! A worker with browsers under any sequence of commands, datagrams and moments: its tables agree, and
//! nothing leaves for an address that no authenticated check came from.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use packet_io::{PacketIo as _, Simulated, SimulatedConfig};

use crate::command::{
    Command, LatchPolicy, LegPlan, MediaKind, PairKey, PayloadMapping, Report, Target,
    TransportPlan,
};
use crate::dtls::{Fingerprint, KeyExchange, Role};
use crate::engine::{BrowserConfig, Worker, WorkerConfig};
use crate::fuzzing::script::Script;
use crate::ice::Credentials;
use crate::ice::stun::{Attribute, write_request};
use crate::rtp::Ssrc;

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PORT: SocketAddr = SocketAddr::new(OURS, 9_000);
const PASSWORD: &[u8] = &[b'p'; 24];
const NAMES: [&[u8]; 4] = [b"our0", b"our1", b"our2", b"our3"];
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// What a play of browsers came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct BrowsersPlayed {
    /// Transports that were reported as up.
    pub up: u64,
    /// Datagrams that left the port of browsers.
    pub left: u64,
}

/// Plays octets as commands, datagrams and moments against a worker with four legs of browsers.
///
/// # Panics
/// When its tables disagree, or something leaves for nobody.
pub fn browsers(now: Instant, endpoint: Arc<dyn KeyExchange>, octets: &[u8]) -> BrowsersPlayed {
    let mut script = Script::new(octets);
    let mut play = Play::new(now, endpoint);
    for _ in 0..400 {
        if script.is_over() {
            break;
        }
        play.step(&mut script);
        play.check();
    }
    play.played
}

struct Play {
    worker: Worker<Simulated>,
    now: Instant,
    stock: Vec<PairKey>,
    legs: Vec<PairKey>,
    ended: Vec<PairKey>,
    checked: BTreeSet<SocketAddr>,
    transaction: u32,
    played: BrowsersPlayed,
}

impl Play {
    fn new(now: Instant, endpoint: Arc<dyn KeyExchange>) -> Self {
        let mut config = WorkerConfig::new(0, OURS, 10_000..=10_003, [5; 32]);
        config.pairs_max = 2;
        config.stock = 1;
        config.browsers = Some(BrowserConfig {
            address: PORT,
            legs_max: 4,
            receive_buffer_bytes: 0,
            endpoint,
        });
        let io = Simulated::new(SimulatedConfig {
            buffers: 64,
            sockets_max: 5,
            socket_queue_max: 16,
        });
        let mut play = Self {
            worker: Worker::new(io, config),
            now,
            stock: Vec::new(),
            legs: Vec::new(),
            ended: Vec::new(),
            checked: BTreeSet::new(),
            transaction: 0,
            played: BrowsersPlayed::default(),
        };
        play.turn();
        play.check();
        play
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.octet() % 16 {
            0 => {
                if let Some(pair) = script.one_of(&self.stock) {
                    let plan = plan(script);
                    let target = self.target(script);
                    self.legs.push(pair);
                    self.command(Command::Connect { pair, plan, target });
                }
            }
            1 | 2 => self.transport(script),
            3 => {
                if let Some(pair) = script.one_of(&self.legs) {
                    let plan = plan(script);
                    let target = self.target(script);
                    self.command(Command::Update { pair, plan, target });
                }
            }
            4 if script.octet().is_multiple_of(4) => {
                if let Some(pair) = script.one_of(&self.legs) {
                    self.command(Command::Disconnect { pair });
                }
            }
            5 => {
                if let Some(pair) = script.one_of(&self.ended) {
                    self.command(Command::Acknowledge { pair });
                }
            }
            6 => self.now += Duration::from_millis(u64::from(script.octet()) * 64),
            7 if script.octet().is_multiple_of(8) => self.worker.handle_panic(),
            8 => self.turn(),
            _ => {
                self.deliver(script);
                self.turn();
            }
        }
    }

    fn command(&mut self, command: Command) {
        self.worker.handle_command(self.now, command);
    }

    fn target(&self, script: &mut Script<'_>) -> Target {
        match script.octet() % 3 {
            0 => Target::Nowhere,
            1 => Target::Echo,
            _ => script
                .one_of(&self.legs)
                .map_or(Target::Nowhere, Target::Leg),
        }
    }

    fn transport(&mut self, script: &mut Script<'_>) {
        let Some(pair) = script.one_of(&self.legs) else {
            return;
        };
        let has_video = script.octet().is_multiple_of(2);
        let video = script.one_of(&self.legs).filter(|_| has_video);
        let name = script.one_of(&NAMES).unwrap_or(b"our0");
        let ours = Credentials::new(name, PASSWORD);
        let Some((ours, peer)) = ours.zip(Credentials::new(b"peer", PASSWORD)) else {
            return;
        };
        let role = if script.octet().is_multiple_of(4) {
            Role::Client
        } else {
            Role::Server
        };
        let fingerprint = Fingerprint::new([script.octet() % 2; 32]);
        let second = if script.octet() == 7 { 1 } else { 2 };
        let plan = Box::new(TransportPlan {
            ours,
            peer,
            fingerprints: ArrayVec::from_iter([fingerprint]),
            role,
            ssrcs: [Ssrc(1), Ssrc(second)],
            bitrate_max_bps: Some(1_000_000),
        });
        self.command(Command::Transport { pair, video, plan });
    }

    fn deliver(&mut self, script: &mut Script<'_>) {
        let source = SocketAddr::new(HOST, 4_000 + u16::from(script.octet() % 4));
        let kind = script.octet() % 6;
        let mut datagram = match kind {
            0 | 1 => {
                self.checked.insert(source);
                self.check_of(script)
            }
            2 => vec![22, script.octet(), script.octet()],
            3 | 4 => {
                let payload_type = if script.octet().is_multiple_of(2) {
                    111
                } else {
                    96
                };
                let number = script.octet();
                vec![
                    0x80,
                    payload_type,
                    0,
                    number,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    script.octet() % 4,
                ]
            }
            _ => vec![0x80, 201, 0, 1, 0, 0, 0, 9],
        };
        let size = usize::from(script.octet() % 64);
        if kind > 1 {
            datagram.extend(script.take(size));
        }
        self.worker.io_mut().deliver(PORT, source, &datagram);
    }

    fn check_of(&mut self, script: &mut Script<'_>) -> Vec<u8> {
        self.transaction += 1;
        let mut transaction = [7; 12];
        let [a, b, c, d] = self.transaction.to_be_bytes();
        if let Some(first) = transaction.first_chunk_mut() {
            *first = [a, b, c, d];
        }
        let name = script.one_of(&NAMES).unwrap_or(b"our0");
        let name = [name, b":peer"].concat();
        let mut attributes: ArrayVec<(u16, &[u8]), 4> = ArrayVec::new();
        attributes.push((Attribute::Username.number(), &name));
        attributes.push((Attribute::Priority.number(), &[0x6e, 0, 1, 0xff]));
        if script.octet().is_multiple_of(2) {
            attributes.push((Attribute::UseCandidate.number(), &[]));
        }
        let written: Option<ArrayVec<u8, 200>> = write_request(&transaction, &attributes, PASSWORD);
        written.map(|octets| octets.to_vec()).unwrap_or_default()
    }

    fn turn(&mut self) {
        let wait = self.worker.turn(self.now);
        self.worker.wait(self.now, wait);
        let (checked, left) = (&self.checked, &mut self.played.left);
        self.worker.io_mut().take_sent(|from, to, _| {
            assert!(
                from == PORT && checked.contains(&to),
                "nothing goes to {to}"
            );
            *left += 1;
        });
    }

    fn check(&mut self) {
        while let Some(report) = self.worker.poll_report() {
            match report {
                Report::BrowserStocked { pair, .. } => {
                    self.legs.retain(|other| other.slot != pair.slot);
                    self.ended.retain(|other| other.slot != pair.slot);
                    self.stock.retain(|other| other.slot != pair.slot);
                    self.stock.push(pair);
                }
                Report::Disconnected { pair, .. } => self.ended.push(pair),
                Report::TransportUp { .. } => self.played.up += 1,
                Report::Stocked { .. }
                | Report::Latched { .. }
                | Report::Silent { .. }
                | Report::Struck { .. }
                | Report::Loaded { .. }
                | Report::TransportFailed { .. }
                | Report::TransportSilent { .. }
                | Report::TransportBack { .. } => {}
            }
        }
        self.worker.check_invariants();
        let counts = self.worker.io().pool_counts();
        assert!(counts.held <= 64, "buffers are bounded");
    }
}

fn plan(script: &mut Script<'_>) -> LegPlan {
    let is_video = script.octet().is_multiple_of(2);
    let mapping = PayloadMapping {
        received: if is_video { 96 } else { 111 },
        sent: 0,
        clock_rate_hz: 8_000,
        is_telephone_event: false,
        sent_clock_hz: None,
    };
    LegPlan {
        kind: if is_video {
            MediaKind::Video
        } else {
            MediaKind::Audio
        },
        remote_rtp: None,
        remote_rtcp: None,
        sends: !script.octet().is_multiple_of(8),
        receives: !script.octet().is_multiple_of(8),
        payloads: ArrayVec::from_iter([mapping]),
        latch: LatchPolicy::Nominated,
        media_timeout: Some(Duration::from_secs(5)),
        version: 1,
        srtp: None,
    }
}
