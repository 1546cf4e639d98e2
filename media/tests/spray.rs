//! The stranger of `engine/tests/spray.rs` over real sockets, on the ring and on epoll: on loopback, from
//! an address of its own, he sprays every port of a worker before, during and after calls that
//! follow each other on the same ports, in the clear and with keys.

#![forbid(unsafe_code)]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![expect(
    clippy::disallowed_types,
    reason = "the worker is on real sockets, so its peers are"
)]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use media::command::{
    Command, LatchPolicy, LegPlan, MediaKind, PairKey, PayloadMapping, Report, Target,
};
use media::srtp::{MasterKey, ReceiveContext, SendContext, SrtpPlan, Suite};
use media::{Worker, WorkerConfig};
use packet_io::{AnyPacketIo, KernelStep, PacketIoConfig, Wait};

/// The stranger's source, in what he sends and so in what is relayed of it.
const MARK: u8 = 0x66;
const OURS: Ipv4Addr = Ipv4Addr::LOCALHOST;
const A: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const B: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

#[test]
fn a_spray_over_the_ring_gets_nothing_and_brings_nothing() {
    for (latch, ports) in policies([27_410, 27_430, 27_450]) {
        spray(KernelStep::Full, latch, ports);
    }
}

#[test]
fn a_spray_over_epoll_gets_nothing_and_brings_nothing() {
    for (latch, ports) in policies([27_510, 27_530, 27_550]) {
        spray(KernelStep::Epoll, latch, ports);
    }
}

/// Two pairs of ports for each: a call has those of the one before.
fn policies(
    firsts: [u16; 3],
) -> impl Iterator<Item = (fn(Ipv4Addr) -> LatchPolicy, RangeInclusive<u16>)> {
    let policies: [fn(Ipv4Addr) -> LatchPolicy; 3] = [
        |_| LatchPolicy::Sdp,
        |host| LatchPolicy::Signalling(host.into()),
        |host| LatchPolicy::Any(host.into()),
    ];
    let ranges = firsts.map(|first| first..=first + 3);
    policies.into_iter().zip(ranges)
}

/// Calls one after the other on the same ports, in the clear and with keys.
fn spray(step: KernelStep, latch: fn(Ipv4Addr) -> LatchPolicy, ports: RangeInclusive<u16>) {
    let mut scene = Scene::new(step, ports);
    for (number, seed) in [None, Some(10), None, Some(20)].into_iter().enumerate() {
        assert!(
            scene.stock.len() == 2,
            "call {number}: somebody has the ports {:?}",
            scene.ports
        );
        sprayed_call(&mut scene, latch, seed);
    }
}

fn sprayed_call(scene: &mut Scene, latch: fn(Ipv4Addr) -> LatchPolicy, seed: Option<u8>) {
    scene.spray();
    let [(a, a_ours), (b, b_ours)] = [scene.stock.remove(0), scene.stock.remove(0)];
    let mut peers = [(A, 0xa, 0), (B, 0xb, 2)]
        .map(|(host, source, line)| Peer::new(host, source, seed.map(|seed| seed + line)));
    let places = [(a, &peers[0], b), (b, &peers[1], a)];
    for (pair, peer, other) in places {
        let plan = LegPlan {
            srtp: peer.plan().map(Box::new),
            ..plan(peer.socket.local_addr().unwrap(), latch)
        };
        let target = Target::Leg(other);
        let connect = Command::Connect { pair, plan, target };
        scene.worker.handle_command(scene.now(), connect);
    }
    scene.spray();
    // What the stranger held of a leg until its peer spoke was not the peers' yet.
    let (before, _) = (scene.leaked(), heard(&mut peers));
    let mut relayed = 0;
    for sequence in 0..40_u16 {
        peers[0].say(sequence, a_ours);
        peers[1].say(sequence, b_ours);
        scene.settle();
        scene.skipped += Duration::from_millis(20);
        if sequence % 10 < 2 {
            scene.spray();
        }
        relayed += heard(&mut peers).0;
    }
    let leaked = scene.leaked();
    for pair in [a, b] {
        scene.end(pair);
    }
    scene.spray();
    let (late, injected) = heard(&mut peers);
    // Nothing of the stranger's authenticates.
    let is_any = matches!(latch(A), LatchPolicy::Any(_)) && seed.is_none();
    let bound = if is_any { 5 } else { 0 };
    assert!(leaked <= bound, "{leaked} packets leaked");
    assert!(is_any || before == 0, "{before} packets leaked before");
    assert_eq!((late, injected, scene.leaked()), (0, 0, 0));
    assert!((70..=80).contains(&relayed), "{relayed} of 80 were relayed");
    // The ports rest and are opened again; the stranger goes on.
    for _ in 0..14 {
        scene.skipped += Duration::from_secs(5);
        scene.spray();
    }
    assert_eq!(scene.leaked(), 0);
}

/// A phone, with its side of the keys or in the clear.
struct Peer {
    socket: UdpSocket,
    source: u8,
    seed: Option<u8>,
    contexts: Option<(SendContext, ReceiveContext)>,
}

impl Peer {
    fn new(host: Ipv4Addr, source: u8, seed: Option<u8>) -> Self {
        let socket = UdpSocket::bind((host, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut peer = Self {
            socket,
            source,
            seed,
            contexts: None,
        };
        peer.contexts = peer.plan().map(|keys| {
            let send = SendContext::new(&keys.receive).unwrap();
            (send, ReceiveContext::new(&keys.send).unwrap())
        });
        peer
    }

    /// The keys of its leg.
    fn plan(&self) -> Option<SrtpPlan> {
        let suite = Suite::AesCm128HmacSha1_80;
        let key = |seed| {
            let octets = vec![seed; suite.key_size() + suite.salt_size()];
            MasterKey::new(suite, &octets).unwrap()
        };
        self.seed.map(|seed| SrtpPlan {
            send: key(seed),
            receive: key(seed + 1),
        })
    }

    fn say(&mut self, sequence: u16, to: SocketAddr) {
        let mut octets = packet(sequence, self.source).to_vec();
        if let Some((send, _)) = &mut self.contexts {
            octets.resize(octets.len() + send.rtp_overhead(), 0);
            send.protect_rtp(&mut octets).unwrap();
        }
        self.socket.send_to(&octets, to).unwrap();
    }

    /// The next packet that it can read.
    fn hear(&mut self) -> Option<Vec<u8>> {
        let mut octets = vec![0; 2_048];
        let size = self.socket.recv(&mut octets).ok()?;
        octets.truncate(size);
        if let Some((_, receive)) = &mut self.contexts
            && octets.get(1).is_some_and(|kind| kind & 0x7f == 0)
        {
            let unprotected = receive.unprotect_rtp(&mut octets).unwrap();
            receive.accept(unprotected);
            octets.truncate(unprotected.size);
        }
        Some(octets)
    }
}

/// Packets of the other peer, and packets of the stranger, since the last look.
fn heard(peers: &mut [Peer; 2]) -> (usize, usize) {
    let mut counts = (0, 0);
    for peer in peers {
        while let Some(octets) = peer.hear() {
            let is_media = octets.len() == 172;
            counts.0 += usize::from(is_media && octets[20] != MARK);
            counts.1 += usize::from(is_media && octets[20] == MARK);
        }
    }
    counts
}

fn packet(sequence: u16, source: u8) -> [u8; 172] {
    let mut packet = [source; 172];
    packet[..2].copy_from_slice(&[0x80, 0]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet
}

fn plan(remote: SocketAddr, latch: fn(Ipv4Addr) -> LatchPolicy) -> LegPlan {
    let pcmu = PayloadMapping {
        received: 0,
        sent: 0,
        clock_rate_hz: 8_000,
        is_telephone_event: false,
        sent_clock_hz: None,
    };
    let SocketAddr::V4(place) = remote else {
        panic!("loopback of version four");
    };
    LegPlan {
        kind: MediaKind::Audio,
        remote_rtp: Some(remote),
        remote_rtcp: Some(remote),
        sends: true,
        receives: true,
        payloads: std::iter::once(pcmu).collect(),
        latch: latch(*place.ip()),
        media_timeout: None,
        version: 1,
        srtp: None,
    }
}

struct Scene {
    worker: Worker<AnyPacketIo>,
    stock: Vec<(PairKey, SocketAddr)>,
    stranger: UdpSocket,
    ports: RangeInclusive<u16>,
    sequence: u16,
    /// By how much the worker's clock is ahead.
    skipped: Duration,
}

impl Scene {
    fn new(ladder_limit: KernelStep, ports: RangeInclusive<u16>) -> Self {
        let config = PacketIoConfig {
            buffers: 512,
            sockets_max: 32,
            ladder_limit,
        };
        let mut worker_config = WorkerConfig::new(0, OURS.into(), ports.clone(), [3; 32]);
        worker_config.pairs_max = 2;
        worker_config.stock = 2;
        let stranger = UdpSocket::bind((STRANGER, 0)).unwrap();
        stranger.set_nonblocking(true).unwrap();
        let mut scene = Self {
            worker: Worker::new(AnyPacketIo::choose(config).unwrap(), worker_config),
            stock: Vec::new(),
            stranger,
            ports,
            sequence: 0,
            skipped: Duration::ZERO,
        };
        scene.settle();
        scene
    }

    #[expect(clippy::disallowed_methods, reason = "real sockets, real time")]
    fn now(&self) -> Instant {
        Instant::now() + self.skipped
    }

    /// Ends a leg; its slot is free again.
    fn end(&mut self, pair: PairKey) {
        for command in [Command::Disconnect { pair }, Command::Acknowledge { pair }] {
            self.worker.handle_command(self.now(), command);
            self.settle();
        }
    }

    /// Four packets of one source to each port: enough to be believed where anybody is.
    fn spray(&mut self) {
        for port in self.ports.clone() {
            for step in 0..4 {
                let packet = packet(self.sequence + step, MARK);
                self.stranger.send_to(&packet, (OURS, port)).ok();
            }
            self.settle();
        }
        self.sequence += 4;
    }

    /// Turns until nothing more comes: loopback has delivered when a send returns.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 3 {
            let before = self.worker.counters().packets_received;
            let now = self.now();
            self.worker.turn(now);
            while let Some(report) = self.worker.poll_report() {
                if let Report::Stocked { pair, rtp } = report {
                    self.stock.push((pair, rtp));
                }
            }
            let wait = Wait {
                until: Some(now + Duration::from_micros(200)),
                ..Wait::none(now)
            };
            self.worker.wait(now, wait);
            let is_quiet = self.worker.counters().packets_received == before;
            quiet = if is_quiet { quiet + 1 } else { 0 };
        }
    }

    /// What the stranger got since the last look.
    fn leaked(&self) -> usize {
        let mut octets = [0; 2_048];
        std::iter::from_fn(|| self.stranger.recv(&mut octets).ok()).count()
    }
}
