//! Nothing is allocated for a relayed packet. Its own binary: the allocator is replaced in it.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use media::command::{
    Command, LatchPolicy, LegPlan, MediaKind, PairKey, PayloadMapping, Report, Target,
};
use media::srtp::{Contexts, MasterKey, SendContext, SrtpPlan, Suite};
use media::{BrowserConfig, Worker, WorkerConfig};
use packet_io::{Simulated, SimulatedConfig};

#[path = "browser/guest.rs"]
mod guest;

const PACKETS: u16 = 10_000;

#[test]
fn ten_thousand_relayed_packets_allocate_nothing() {
    let plain = [None, None];
    relay_allocates_nothing(Relay::new(plain));
}

/// From key to key, reports of both directions among the packets.
#[test]
fn ten_thousand_secure_packets_allocate_nothing() {
    for suites in [
        [Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm],
        [Suite::AeadAes256Gcm, Suite::AesCm128HmacSha1_32],
    ] {
        relay_allocates_nothing(Relay::new(suites.map(Some)));
    }
}

/// From a browser to a telephone, its pictures back to it, its checks among them.
#[test]
fn ten_thousand_packets_of_a_browser_allocate_nothing() {
    let mut call = BrowserCall::new(Target::Echo);
    // Until our reports have had every form.
    for sequence in 0..2_000 {
        call.forward(sequence);
    }
    let checks = call.worker.counters().transport.checks_answered;
    let mut sent = 0;
    let counted = allocation_counter::measure(|| {
        for sequence in 2_000..2_000 + PACKETS / 2 {
            sent += call.forward(sequence);
        }
    });
    let counters = call.worker.counters();
    assert!(sent >= u64::from(PACKETS), "{sent} of {PACKETS} were sent");
    assert!(counters.transport.checks_answered >= checks + 20);
    assert_eq!(counted.count_total, 0, "allocations over {PACKETS} packets");
}

/// Its sound goes to a telephone, and it sees ten pictures a second of ours.
#[test]
fn four_hundred_test_pictures_allocate_nothing() {
    let mut call = BrowserCall::new(Target::Tone);
    // Until keyframes have met everything else that leaves in one turn.
    for sequence in 0..4_000 {
        call.forward(sequence);
    }
    let mut sent = 0;
    let counted = allocation_counter::measure(|| {
        for sequence in 4_000..6_000 {
            sent += call.forward(sequence);
        }
    });
    assert!(sent >= 2_400, "{sent}: sound and pictures");
    assert_eq!(counted.count_total, 0, "allocations over 40 seconds");
}

/// What a guest that goes no further than its hello costs, and one that came to keys.
#[test]
fn a_handshake_takes_less_than_64_kib() {
    let mut call = BrowserCall::stocked(Target::Echo);
    let begun = allocation_counter::measure(|| call.begin());
    println!("a browser's call: {} octets", begun.bytes_current);
    assert!(begun.bytes_current < 2 * 120 * 1_024, "two legs");
    let mut guest = guest::Guest::new(call.now);
    let hello = guest.shake(call.now, None);
    let endpoint = guest::endpoint();
    let mut half = None;
    let counted = allocation_counter::measure(|| {
        let mut handshake =
            media::dtls::Handshake::new(call.now, &endpoint, media::dtls::Role::Server, &[]);
        for datagram in &hello {
            handshake.handle_packet(call.now, datagram);
        }
        half = Some(handshake);
    });
    assert!(half.is_some());
    println!("half a handshake: {} octets", counted.bytes_current);
    assert!(counted.bytes_current < 65_536, "{}", counted.bytes_current);
}

/// Two thirds of it are the states of HMAC-SHA1 that every packet needs expanded.
#[test]
fn the_keys_of_a_leg_take_less_than_6_kib() {
    for suite in Suite::ALL {
        let mut contexts = None;
        let counted = allocation_counter::measure(|| {
            contexts = keys(suite, 1).as_deref().and_then(Contexts::new);
        });
        assert!(contexts.is_some());
        // The cipher's own memory in Galois mode is not counted: four states of 600 octets.
        let size = size_of::<Contexts>() + usize::try_from(counted.bytes_current).unwrap();
        println!("{}: {size} octets", suite.as_str());
        let counted_max = if suite.is_aead() { 1_536 } else { 6_144 };
        assert!(size <= counted_max, "{suite:?}: {size} octets");
    }
}

fn relay_allocates_nothing(mut relay: Relay) {
    // The first packets lock sources and fill the vectors that grow once; three seconds connect
    // the sockets, so that both ways of sending are measured.
    for sequence in 0..500 {
        relay.forward(sequence);
    }
    let mut sent = 0;
    let counted = allocation_counter::measure(|| {
        for sequence in 500..500 + PACKETS {
            sent += relay.forward(sequence);
        }
    });
    assert!(sent >= u64::from(PACKETS), "{sent} of {PACKETS} were sent");
    assert!(relay.worker.counters().sockets_connected > 0);
    assert_eq!(counted.count_total, 0, "allocations over {PACKETS} packets");
    let rtcp = relay.worker.counters().rtcp;
    assert!(rtcp.receiver_reports_received >= 40, "{rtcp:?}");
    assert!(rtcp.receiver_reports_sent >= 20, "{rtcp:?}");
}

/// What has arrived is relayed. Gives how many left.
fn turn(worker: &mut Worker<Simulated>, now: Instant) -> u64 {
    let wait = worker.turn(now);
    worker.wait(now, wait);
    while worker.poll_report().is_some() {}
    let mut sent = 0;
    worker.io_mut().take_sent(|_, _, _| sent += 1);
    sent
}

fn keys(suite: Suite, seed: u8) -> Option<Box<SrtpPlan>> {
    let key = |seed| MasterKey::new(suite, &vec![seed; suite.key_size() + suite.salt_size()]);
    Some(Box::new(SrtpPlan {
        send: key(seed)?,
        receive: key(seed + 1)?,
    }))
}

struct Relay {
    /// The keys of the peer that sends.
    sender: Option<SendContext>,
    worker: Worker<Simulated>,
    now: Instant,
    ours: SocketAddr,
    peer: SocketAddr,
    packet: [u8; 188],
}

impl Relay {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one moment the test counts from"
    )]
    fn new([a_suite, b_suite]: [Option<Suite>; 2]) -> Self {
        let config = WorkerConfig::new(0, [192, 0, 2, 1].into(), 10_000..=10_063, [1; 32]);
        let worker = Worker::new(Simulated::new(SimulatedConfig::default()), config);
        let (ours, peer) = (
            ([192, 0, 2, 1], 0).into(),
            ([198, 51, 100, 1], 4_000).into(),
        );
        let a_keys = a_suite.and_then(|suite| keys(suite, 1));
        let b_keys = b_suite.and_then(|suite| keys(suite, 3));
        let sender = a_keys.as_deref().map(|keys| &keys.receive);
        let mut relay = Self {
            sender: sender.and_then(SendContext::new),
            worker,
            now: Instant::now(),
            ours,
            peer,
            packet: [0; 188],
        };
        let mut stock = Vec::new();
        relay.worker.turn(relay.now);
        while let Some(report) = relay.worker.poll_report() {
            if let Report::Stocked { pair, rtp } = report {
                stock.push((pair, rtp));
            }
        }
        let [a, b, ..] = stock[..] else {
            panic!("two pairs are in stock");
        };
        relay.ours = a.1;
        relay.connect(a.0, relay.peer, Target::Leg(b.0), a_keys);
        relay.connect(
            b.0,
            ([203, 0, 113, 2], 6_000).into(),
            Target::Leg(a.0),
            b_keys,
        );
        relay
    }

    fn connect(
        &mut self,
        pair: PairKey,
        remote: SocketAddr,
        target: Target,
        srtp: Option<Box<SrtpPlan>>,
    ) {
        let pcmu = PayloadMapping {
            received: 0,
            sent: 0,
            clock_rate_hz: 8_000,
            is_telephone_event: false,
            sent_clock_hz: None,
        };
        let plan = LegPlan {
            kind: MediaKind::Audio,
            remote_rtp: Some(remote),
            remote_rtcp: None,
            sends: true,
            receives: true,
            payloads: ArrayVec::from_iter([pcmu]),
            latch: LatchPolicy::Sdp,
            media_timeout: Some(Duration::from_secs(60)),
            version: 1,
            srtp,
        };
        self.worker
            .handle_command(self.now, Command::Connect { pair, plan, target });
    }

    /// One packet through the worker, 20 ms after the last. Gives how many left.
    fn forward(&mut self, sequence: u16) -> u64 {
        self.now += Duration::from_millis(20);
        self.packet[0] = 0x80;
        self.packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        self.packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
        self.packet[11] = 9;
        self.packet[12..].fill(0x5a);
        let size = 172 + self.sender.as_ref().map_or(0, SendContext::rtp_overhead);
        let (octets, _room) = self.packet.split_at_mut(size);
        if let Some(sender) = &mut self.sender {
            assert_eq!(sender.protect_rtp(octets), Ok(()));
        }
        self.worker.io_mut().deliver(self.ours, self.peer, octets);
        if sequence.is_multiple_of(250) {
            self.report();
        }
        turn(&mut self.worker, self.now)
    }

    /// A receiver report of the peer that sends.
    fn report(&mut self) {
        let mut octets = [0; 40];
        octets[..8].copy_from_slice(&[0x80, 201, 0, 1, 0, 0, 0, 9]);
        octets[8..20].copy_from_slice(&[0x81, 202, 0, 2, 0, 0, 0, 9, 1, 1, b'x', 0]);
        let size = 20 + self.sender.as_ref().map_or(0, SendContext::rtcp_overhead);
        let (octets, _room) = octets.split_at_mut(size);
        if let Some(sender) = &mut self.sender {
            assert_eq!(sender.protect_rtcp(octets), Ok(()));
        }
        let next = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
        let (to, from) = (next(self.ours), next(self.peer));
        self.worker.io_mut().deliver(to, from, octets);
    }
}

/// A browser whose sound goes to a telephone and whose pictures go to a party of ours.
struct BrowserCall {
    guest: guest::Guest,
    pictures: Target,
    worker: Worker<Simulated>,
    now: Instant,
}

const PORT: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    9_000,
);
const AT: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)),
    4_000,
);

impl BrowserCall {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one moment the test counts from"
    )]
    fn stocked(pictures: Target) -> Self {
        let config = WorkerConfig {
            browsers: Some(BrowserConfig {
                address: PORT,
                legs_max: 2,
                receive_buffer_bytes: 0,
                endpoint: guest::endpoint(),
            }),
            ..WorkerConfig::new(0, [192, 0, 2, 1].into(), 10_000..=10_063, [1; 32])
        };
        let worker = Worker::new(Simulated::new(SimulatedConfig::default()), config);
        let now = Instant::now();
        let mut call = Self {
            guest: guest::Guest::new(now),
            pictures,
            worker,
            now,
        };
        call.worker.turn(now);
        call
    }

    fn new(pictures: Target) -> Self {
        let mut call = Self::stocked(pictures);
        call.begin();
        call
    }

    fn begin(&mut self) {
        let (mut phones, mut legs) = (Vec::new(), Vec::new());
        self.worker.turn(self.now);
        while let Some(report) = self.worker.poll_report() {
            if let Report::Stocked { pair, .. } = report {
                phones.push(pair);
            }
            if let Report::BrowserStocked { pair, .. } = report {
                legs.push(pair);
            }
        }
        let ([phone_pair, ..], [audio, video]) = (&phones[..], &legs[..]) else {
            panic!("a telephone and two legs of browsers");
        };
        let [phone_pair, audio, video] = [*phone_pair, *audio, *video];
        let phone = LegPlan {
            remote_rtp: Some(([203, 0, 113, 2], 6_000).into()),
            latch: LatchPolicy::Sdp,
            ..guest::leg(MediaKind::Audio, 0)
        };
        let connects = [
            (phone_pair, phone, Target::Nowhere),
            (
                audio,
                guest::leg(MediaKind::Audio, 111),
                Target::Leg(phone_pair),
            ),
            (video, guest::leg(MediaKind::Video, 96), self.pictures),
        ];
        for (pair, plan, target) in connects {
            let connect = Command::Connect { pair, plan, target };
            self.worker.handle_command(self.now, connect);
        }
        let plan = Box::new(self.guest.plan());
        let (pair, video) = (audio, Some(video));
        let begin = Command::Transport { pair, video, plan };
        self.worker.handle_command(self.now, begin);
        self.exchange(&guest::Guest::check(0));
        let mut wanted = self.guest.shake(self.now, None);
        while !wanted.is_empty() {
            let sent = std::mem::take(&mut wanted);
            for datagram in &sent {
                for heard in self.exchange(datagram) {
                    wanted.extend(self.guest.shake(self.now, Some(&heard)));
                }
            }
        }
        assert!(self.guest.contexts.is_some());
    }

    fn exchange(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.worker.io_mut().deliver(PORT, AT, datagram);
        let wait = self.worker.turn(self.now);
        self.worker.wait(self.now, wait);
        while self.worker.poll_report().is_some() {}
        let mut sent = Vec::new();
        self.worker
            .io_mut()
            .take_sent(|_, _, octets| sent.push(octets.to_vec()));
        sent
    }

    /// One packet of sound and one of pictures, 20 ms after the last. Gives how many left.
    fn forward(&mut self, sequence: u16) -> u64 {
        self.now += Duration::from_millis(20);
        if sequence.is_multiple_of(125) {
            let check = guest::Guest::check(u32::from(sequence) + 1);
            self.worker.io_mut().deliver(PORT, AT, &check);
        }
        let mut octets = [0; 220];
        for stream in [(9, 111), (10, 96)] {
            let size = self.guest.packet(stream, sequence, &mut octets);
            self.worker
                .io_mut()
                .deliver(PORT, AT, octets.split_at(size).0);
        }
        turn(&mut self.worker, self.now)
    }
}
