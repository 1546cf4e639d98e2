//! Recorded and fuzzed datagrams through a worker that carries two calls, when `SLUICE_CORPUS` names a
//! folder with them: each is relayed, or dies of a counted reason, and the other call loses nothing.
//! What is broken by hand goes the same way without a corpus.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use media::command::{
    Command, LatchPolicy, LegPlan, MediaKind, PairKey, PayloadMapping, Report, Target,
};
use media::drop_reason::DropReason;
use media::{Worker, WorkerConfig};
use packet_io::{DATAGRAM_BYTES_MAX, PacketIo, Simulated, SimulatedConfig};

use crate::recorded::{collect, udp_datagrams};

/// Folders of the corpus that hold datagrams.
const FOLDERS: [&str; 4] = [
    "rtp-rtpproxy",
    "rtp-str0m",
    "fuzz-webrtc-media",
    "fuzz-libsrtp",
];

/// Of one file: a recording repeats itself after that.
const CHUNKS_MAX: usize = 16;
const DATAGRAMS_MAX: usize = 400;

#[test]
fn every_datagram_of_the_corpus_has_a_fate_and_the_other_call_none_of_it() {
    let Some(corpus) = std::env::var_os("SLUICE_CORPUS").map(PathBuf::from) else {
        println!("corpus: not run (1 suites)");
        return;
    };
    let mut calls = Calls::new();
    let mut files = 0_u32;
    for folder in FOLDERS {
        let mut found = Vec::new();
        collect(&corpus.join(folder), &mut found);
        assert!(!found.is_empty(), "the corpus has no {folder}");
        for path in found {
            let octets = std::fs::read(&path).unwrap();
            for datagram in octets.chunks(1_400).take(CHUNKS_MAX) {
                calls.offer(datagram);
            }
            if path
                .extension()
                .is_some_and(|extension| extension == "pcap")
            {
                let datagrams = udp_datagrams(&octets).into_iter();
                datagrams
                    .filter(|datagram| !datagram.is_empty())
                    .take(DATAGRAMS_MAX)
                    .for_each(|datagram| calls.offer(datagram));
            }
            files += 1;
        }
    }
    let counters = *calls.worker.counters();
    println!(
        "corpus: {files} files, {} datagrams, {} relayed, {} dropped",
        calls.offered,
        calls.relayed,
        counters.drops.total()
    );
    assert!(calls.relayed > 0 && counters.drops.total() > 0);
    calls.end();
}

#[test]
fn broken_rtp_and_rtcp_have_a_fate_and_the_other_call_none_of_it() {
    let mut calls = Calls::new();
    let rtp = |first: u8, rest: &[u8]| {
        let mut octets = vec![first, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9];
        octets.extend(rest);
        octets
    };
    let expected = [
        (rtp(0x80, &[])[..11].to_vec(), DropReason::RtpTruncated),
        (vec![0x80], DropReason::RtpTruncated),
        (rtp(0x00, &[]), DropReason::Stun),
        (rtp(0x40, &[]), DropReason::UnknownProtocol),
        (rtp(0xc0, &[]), DropReason::UnknownProtocol),
        (rtp(0x8f, &[0; 59]), DropReason::RtpTruncated),
        (rtp(0x90, &[0; 3]), DropReason::RtpTruncated),
        (rtp(0x90, &[0, 0, 0xff, 0xff]), DropReason::RtpTruncated),
        (rtp(0xa0, &[]), DropReason::RtpPadding),
        (rtp(0xa0, &[1, 0]), DropReason::RtpPadding),
        (rtp(0xa0, &[1, 3]), DropReason::RtpPadding),
        (vec![0x80, 200, 0, 0], DropReason::RtcpMalformed),
        (vec![0x80, 201, 0, 1], DropReason::RtcpMalformed),
        (vec![0x40, 201, 0, 0], DropReason::UnknownProtocol),
        (vec![0x9f, 203, 0, 1, 0, 0, 0, 1], DropReason::RtcpMalformed),
        (vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], DropReason::Stun),
        (vec![22, 254, 253, 0, 0], DropReason::Dtls),
        (
            b"\x10\x00\x00\x01ZRTP".to_vec(),
            DropReason::UnknownProtocol,
        ),
    ];
    for (octets, reason) in expected {
        let before = calls.worker.counters().drops.of(reason);
        calls.offer_to(&octets, 0);
        let counted = calls.worker.counters().drops.of(reason) - before;
        assert_eq!(counted, 1, "{} of {octets:02x?}", reason.as_str());
    }
    // Neither empty datagrams nor those that fill no buffer come as far as a parser.
    for octets in [
        vec![],
        vec![0x80; DATAGRAM_BYTES_MAX + 1],
        vec![0x80; 65_000],
    ] {
        let before = *calls.worker.io().counters();
        calls.deliver(&octets, 0);
        let after = *calls.worker.io().counters();
        let counted = after.empty_datagrams + after.truncated_datagrams
            - (before.empty_datagrams + before.truncated_datagrams);
        assert_eq!(counted, 1, "{} octets", octets.len());
    }
    for ssrc in 0..500_u16 {
        let mut flood = rtp(0x80, &[0; 160]);
        flood[8..10].copy_from_slice(&ssrc.to_be_bytes());
        calls.offer_to(&flood, 0);
    }
    calls.end();
}

/// Two calls; what is offered goes to the first.
struct Calls {
    worker: Worker<Simulated>,
    now: Instant,
    /// Our addresses: two of the call that is attacked, two of the other.
    ours: Vec<SocketAddr>,
    sequence: u16,
    offered: u64,
    relayed: u64,
}

impl Calls {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one moment the test counts from"
    )]
    fn new() -> Self {
        let config = WorkerConfig::new(0, [192, 0, 2, 1].into(), 10_000..=10_063, [1; 32]);
        let worker = Worker::new(Simulated::new(SimulatedConfig::default()), config);
        let mut calls = Self {
            worker,
            now: Instant::now(),
            ours: Vec::new(),
            sequence: 0,
            offered: 0,
            relayed: 0,
        };
        calls.turn();
        let mut stock = Vec::new();
        while let Some(report) = calls.worker.poll_report() {
            if let Report::Stocked { pair, rtp } = report {
                stock.push((pair, rtp));
            }
        }
        for at in 0..4 {
            let (pair, rtp) = stock[at];
            calls.ours.push(rtp);
            calls.connect(pair, peer(at), Target::Leg(stock[at ^ 1].0));
        }
        calls.talk();
        calls
    }

    fn connect(&mut self, pair: PairKey, remote: SocketAddr, target: Target) {
        let mapping = |received, clock_rate_hz| PayloadMapping {
            received,
            sent: received,
            clock_rate_hz,
            is_telephone_event: received == 101,
            sent_clock_hz: None,
        };
        let plan = LegPlan {
            kind: MediaKind::Audio,
            remote_rtp: Some(remote),
            remote_rtcp: Some(SocketAddr::new(remote.ip(), remote.port() + 1)),
            sends: true,
            receives: true,
            payloads: [0, 8, 9, 18, 96, 100, 101, 111]
                .map(|payload_type| mapping(payload_type, 8_000))
                .into_iter()
                .collect(),
            latch: LatchPolicy::Sdp,
            media_timeout: None,
            version: 1,
            srtp: None,
        };
        self.worker
            .handle_command(self.now, Command::Connect { pair, plan, target });
    }

    /// A datagram to both ports of the first call, from its peer.
    fn offer(&mut self, datagram: &[u8]) {
        for port in [0, 1] {
            self.offer_to(datagram, port);
        }
    }

    fn offer_to(&mut self, datagram: &[u8], port: u16) {
        let before = self.fates();
        let left = self.deliver(datagram, port);
        let dropped = self.fates() - before;
        assert!(
            dropped == 1 || (dropped == 0 && left == 1),
            "{dropped} dropped and {left} left of {datagram:02x?}"
        );
        self.offered += 1;
        self.relayed += u64::from(left == 1);
        self.talk();
    }

    /// Datagrams that died so far.
    fn fates(&self) -> u64 {
        self.worker.counters().drops.total()
    }

    /// Gives how many datagrams went to the other peer of the first call.
    fn deliver(&mut self, datagram: &[u8], port: u16) -> usize {
        // RTCP may come 25 times a second.
        self.now += Duration::from_millis(60);
        self.turn();
        let (mut to, mut from) = (self.ours[0], peer(0));
        to.set_port(to.port() + port);
        from.set_port(from.port() + port);
        self.worker.io_mut().deliver(to, from, datagram);
        let sent = self.turn();
        sent.iter()
            .filter(|(to, bytes)| {
                let is_report = bytes.get(1) == Some(&201) && bytes.len() <= 64;
                to.ip() == peer(1).ip() && !is_report
            })
            .count()
    }

    /// A packet each way of the other call, which has to come out.
    fn talk(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
        for (from, to) in [(2, 3), (3, 2)] {
            let mut packet = [0; 172];
            packet[0] = 0x80;
            packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
            packet[11] = 7;
            packet[20] = 0x55;
            self.worker
                .io_mut()
                .deliver(self.ours[from], peer(from), &packet);
            let sent = self.turn();
            let heard = sent
                .iter()
                .filter(|(address, bytes)| *address == peer(to) && bytes.get(20) == Some(&0x55));
            assert_eq!(heard.count(), 1, "the other call lost a packet");
        }
    }

    fn turn(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let wait = self.worker.turn(self.now);
        self.worker.wait(self.now, wait);
        self.worker.check_invariants();
        let mut sent = Vec::new();
        self.worker
            .io_mut()
            .take_sent(|_, to, bytes| sent.push((to, bytes.to_vec())));
        sent
    }

    fn end(mut self) {
        self.turn();
        let counts = self.worker.io().pool_counts();
        assert_eq!((counts.held, counts.in_kernel), (0, 0), "no buffer is lost");
        assert_eq!(self.worker.counters().panics, 0);
    }
}

/// The peers have an address each.
fn peer(at: usize) -> SocketAddr {
    let host = 10 + u8::try_from(at).unwrap();
    ([198, 51, 100, host], 4_000).into()
}
