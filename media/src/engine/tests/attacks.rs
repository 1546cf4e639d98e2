//! RTP bleed and injection: a stranger sprays every port of ours with RTP and RTCP, before the first
//! packet of the peer, while it is being learnt, in the call, around a re-INVITE and a hold, after the
//! end and on ports that are used again. What the stranger gets, and what of his the peers get.

use std::net::SocketAddr;

use super::harness::{ANY, Harness, Sent, Stream, TestLeg, address, plan};
use super::secure::{Peer, SHA, secure_plan};
use crate::command::{LatchPolicy, LegPlan, Target};
use crate::drop_reason::DropReason;

/// The stranger's source, in what he sends and so in what is relayed of it.
const MARK: u32 = 0x6666_6666;
const STRANGER: &str = "192.0.2.66";

/// What came of a spray.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ledger {
    leaked: usize,
    injected: usize,
    /// Packets of the peers that reached each other.
    heard: usize,
}

struct Attack {
    harness: Harness,
    stream: Stream,
    ledger: Ledger,
}

impl Attack {
    fn new() -> Self {
        Self {
            harness: Harness::new(),
            stream: Stream::new(MARK),
            ledger: Ledger::default(),
        }
    }

    /// Five packets of one source to every port there is, and RTCP of every kind.
    fn spray(&mut self) {
        let own = address("192.0.2.100:0").ip();
        let source = |port: u16| SocketAddr::new(STRANGER.parse().unwrap(), port);
        for port in 10_000..10_200 {
            let to = SocketAddr::new(own, port);
            let mut sequence = self.stream.clone();
            for _ in 0..5 {
                self.harness.deliver(to, source(port), &sequence.next());
            }
            for report in forged() {
                self.harness.deliver(to, source(port), &report);
            }
            // A queue has its end.
            self.turn();
        }
        self.stream.sequence = self.stream.sequence.wrapping_add(5);
    }

    fn turn(&mut self) {
        self.harness.turn();
        let sent = self.harness.sent();
        self.account(&sent);
    }

    fn account(&mut self, sent: &[Sent]) {
        for sent in sent {
            let mark = sent.bytes.get(14..18) == Some(&MARK.to_be_bytes()[..]);
            let is_media = sent.bytes.len() == 172;
            let is_leak = sent.to.ip() == address(&format!("{STRANGER}:1")).ip();
            self.ledger.leaked += usize::from(is_leak);
            self.ledger.injected += usize::from(mark && is_media && !is_leak);
            self.ledger.heard += usize::from(!mark && is_media && !is_leak);
        }
    }

    /// One packet each way.
    fn talk(&mut self, ends: [(TestLeg, SocketAddr); 2], streams: &mut [Stream; 2]) {
        for ((leg, from), stream) in ends.into_iter().zip(streams) {
            self.harness.deliver(leg.ours, from, &stream.next());
            self.turn();
        }
        self.harness.pass_ms(20);
        let sent = self.harness.sent();
        self.account(&sent);
    }

    fn take(&mut self) -> Ledger {
        std::mem::take(&mut self.ledger)
    }
}

/// Reports, a goodbye and a keyframe request of nobody.
fn forged() -> Vec<Vec<u8>> {
    let mut report = vec![0x80, 200, 0, 6, 0, 0, 0xaa, 0xaa];
    report.extend([1; 20]);
    let mut goodbye = vec![0x80, 201, 0, 1, 0, 0, 0xaa, 0xaa];
    goodbye.extend([0x81, 203, 0, 1, 0, 0, 0xaa, 0xaa]);
    let keyframe = vec![0x81, 206, 0, 2, 0, 0, 0xaa, 0xaa, 0, 0, 0xbb, 0xbb];
    vec![report, goodbye, keyframe]
}

/// The plan of a leg whose peer speaks from `from`.
fn plan_for(latch: &str, sdp: &str, from: SocketAddr) -> LegPlan {
    let latch = match latch {
        "sdp" => LatchPolicy::Sdp,
        "signalling" => LatchPolicy::Signalling(from.ip()),
        _ => LatchPolicy::Any(from.ip()),
    };
    LegPlan { latch, ..plan(sdp) }
}

/// What is between a peer and us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nat {
    No,
    /// Its SDP names the right host, and another port.
    Port,
    /// Its SDP names an address that nobody can reach; it signals from that of its NAT.
    Host,
}

impl Nat {
    /// What the SDP of a peer names that speaks from there.
    fn sdp(self, from: SocketAddr) -> String {
        match self {
            Self::No => from.to_string(),
            Self::Port => format!("{}:{}", from.ip(), from.port() - 1_000),
            Self::Host => format!("10.0.0.5:{}", from.port()),
        }
    }
}

/// Every stage of a call under spray. Gives what the stranger got and brought from the first packet of
/// both peers on, and before.
fn whole_call(latch: &str, nat: Nat) -> [Ledger; 2] {
    let mut attack = Attack::new();
    let [from_a, from_b, moved_b] =
        ["198.51.100.1:5000", "203.0.113.2:7000", "203.0.113.2:7800"].map(address);
    attack.spray();
    let (plan_a, plan_b) = (
        plan_for(latch, &nat.sdp(from_a), from_a),
        plan_for(latch, &nat.sdp(from_b), from_b),
    );
    let (a, b) = attack.harness.call_with(plan_a, plan_b);
    attack.spray();
    let before = attack.take();
    let mut streams = [Stream::new(0xaaaa), Stream::new(0xbbbb)];
    let ends = [(a, from_a), (b, from_b)];
    // The window in which the peers are learnt, with a spray between any two packets.
    for _ in 0..5 {
        attack.talk(ends, &mut streams);
        attack.spray();
    }
    for _ in 0..60 {
        attack.talk(ends, &mut streams);
    }
    attack.spray();
    // A re-INVITE moves one peer; the stranger sprays before it speaks and while it is learnt.
    let moved = LegPlan {
        version: 2,
        ..plan_for(latch, &nat.sdp(moved_b), moved_b)
    };
    attack.harness.update(b, moved.clone(), Target::Leg(a.pair));
    attack.spray();
    let ends = [(a, from_a), (b, moved_b)];
    for _ in 0..5 {
        attack.talk(ends, &mut streams);
        attack.spray();
    }
    // Hold and resume.
    let held = LegPlan {
        sends: false,
        receives: false,
        version: 3,
        ..moved.clone()
    };
    attack.harness.update(b, held, Target::Nowhere);
    attack.spray();
    let resumed = LegPlan {
        version: 4,
        ..moved
    };
    attack.harness.update(b, resumed, Target::Leg(a.pair));
    for _ in 0..20 {
        attack.talk(ends, &mut streams);
        attack.spray();
    }
    assert!(attack.ledger.heard > 100, "{:?}", attack.ledger);
    // The end, the rest of the ports, and another call on them, of peers who say nothing.
    attack.harness.disconnect(a);
    attack.harness.disconnect(b);
    attack.spray();
    attack.harness.pass_ms(31_000);
    attack.spray();
    [before, attack.take()]
}

#[test]
fn under_sdp_and_signalling_a_stranger_gets_nothing_and_brings_nothing() {
    let cases = [
        ("sdp", Nat::No),
        ("sdp", Nat::Port),
        ("signalling", Nat::No),
        ("signalling", Nat::Port),
        ("signalling", Nat::Host),
    ];
    for (latch, nat) in cases {
        for ledger in whole_call(latch, nat) {
            let bleed = (ledger.leaked, ledger.injected);
            assert_eq!(bleed, (0, 0), "{latch} {nat:?}");
        }
    }
}

#[test]
fn under_any_a_stranger_who_came_first_gets_five_packets_at_most() {
    for nat in [Nat::No, Nat::Port, Nat::Host] {
        let [_, ledger] = whole_call("any", nat);
        assert!(ledger.leaked <= 5, "{nat:?} {ledger:?}");
        assert!(ledger.injected <= 5, "{nat:?} {ledger:?}");
    }
}

/// He holds the leg before the peer speaks, and sends as often as the peer from then on.
#[test]
fn under_any_a_stranger_who_goes_on_gets_five_packets_at_most() {
    for nat in [Nat::No, Nat::Port, Nat::Host] {
        let mut attack = Attack::new();
        let [from_a, from_b] = ["198.51.100.1:5000", "203.0.113.2:7000"].map(address);
        let plan_a = plan_for("any", &nat.sdp(from_a), from_a);
        let (a, b) = attack.harness.call_with(plan_a, plan(&from_b.to_string()));
        let stranger = address(&format!("{STRANGER}:4000"));
        let mut streams = [Stream::new(0xaaaa), Stream::new(0xbbbb)];
        let mut marked = Stream::new(MARK);
        for _ in 0..20 {
            attack.harness.deliver(a.ours, stranger, &marked.next());
            attack.harness.deliver(b.ours, from_b, &streams[1].next());
            attack.turn();
        }
        let before = attack.take();
        assert!(before.leaked > 10, "he held it: {before:?}");
        for _ in 0..200 {
            attack.harness.deliver(a.ours, stranger, &marked.next());
            attack.talk([(a, from_a), (b, from_b)], &mut streams);
        }
        let ledger = attack.take();
        assert!(ledger.leaked <= 5, "{nat:?} {ledger:?}");
        assert!(ledger.injected <= 5, "{nat:?} {ledger:?}");
        assert!(ledger.heard >= 395, "{nat:?} {ledger:?}");
        assert_eq!(attack.harness.latched(), [from_b, stranger, from_a]);
    }
}

/// Ports are drawn from the same few, so that a second call gets one of the first's.
#[test]
fn a_port_that_is_used_again_carries_nothing_of_the_call_before() {
    let mut harness = Harness::with(packet_io::NoFaults, |config| {
        config.ports = 10_000..=10_007;
        config.pairs_max = 4;
        config.stock = 2;
    });
    let (a, b) = harness.call();
    let mut late = Stream::new(0xaaaa);
    harness.exchange(a.ours, a.peer, &late.next());
    harness.disconnect(a);
    harness.disconnect(b);
    harness.pass_ms(70_000);
    let mut used = Vec::new();
    for _ in 0..4 {
        let (c, d) = harness.call_with(plan("198.51.100.7:4000"), plan("203.0.113.7:6000"));
        harness.sent();
        used.extend([c.ours, d.ours]);
        for leg in [c, d] {
            for _ in 0..6 {
                assert_eq!(harness.exchange(leg.ours, a.peer, &late.next()), []);
            }
        }
        harness.disconnect(c);
        harness.disconnect(d);
        harness.pass_ms(70_000);
        harness.sent();
    }
    assert!(used.contains(&a.ours), "{used:?}");
    assert_eq!(harness.dropped(DropReason::SourceNotAdmitted), 48);
}

/// CVE-2021-41105 is of junk that ended a call; AST-2017-008 of forged reports.
#[test]
fn junk_on_every_port_never_ends_a_call_or_moves_it() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut streams = [Stream::new(0xaaaa), Stream::new(0xbbbb)];
    let mut relayed = 0;
    for round in 0..200_u16 {
        for leg in [a, b] {
            for bytes in junk(round) {
                for port in [leg.ours.port(), leg.ours.port() + 1] {
                    let to = SocketAddr::new(leg.ours.ip(), port);
                    // From elsewhere, and with the source address of the peer.
                    for source in [address("192.0.2.66:4000"), leg.peer] {
                        harness.deliver(to, source, &bytes);
                    }
                }
                harness.turn();
            }
        }
        harness.pass_ms(20);
        harness.sent();
        for (leg, stream) in [a, b].into_iter().zip(&mut streams) {
            let sent = harness.exchange(leg.ours, leg.peer, &stream.next());
            relayed += sent.iter().filter(|sent| sent.bytes.len() == 172).count();
        }
    }
    assert_eq!(relayed, 400);
    assert_eq!(harness.latched(), [a.peer, b.peer]);
    assert!(harness.pool_is_whole());
}

/// Datagrams that are neither RTP nor RTCP of this call.
fn junk(round: u16) -> Vec<Vec<u8>> {
    let [high, low] = round.to_be_bytes();
    vec![
        vec![],
        vec![0x80],
        vec![0x80, 200, 0, 0],
        vec![0x80, 203, 0, 1],
        vec![high, low, 0, 8, 0x21, 0x12, 0xa4, 0x42],
        vec![22, 254, 253, 0, 0, high, low],
        b"\x10\x00ZRTP".to_vec(),
        vec![0x40; 40],
        vec![0x8f, 0, high, low, 0, 0, 0, 1, 0, 0, 0xaa, 0xaa],
        vec![
            0x90, 0, high, low, 0, 0, 0, 1, 0, 0, 0xaa, 0xaa, 0, 0, 0xff, 0xff,
        ],
        vec![0xa0, 0, high, low, 0, 0, 0, 1, 0, 0, 0xaa, 0xaa, 0xff],
        // A payload type that nobody negotiated.
        [&[0x80, 77, high, low][..], &[0; 100]].concat(),
        vec![0xff; 1_900],
    ]
}

/// Sources, numbers and payload types of the peer itself may do what they like: at most its own call
/// suffers, and comes back.
#[test]
fn floods_of_sources_jumps_and_payload_types_leave_the_call_standing() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let (mut stream, mut other) = (Stream::new(0xaaaa), Stream::new(0xbbbb));
    harness.exchange(a.ours, a.peer, &stream.next());
    for ssrc in 0..150_u32 {
        // One-packet streams, each from another place in the numbers.
        let mut one = Stream::new(0x1000 + ssrc);
        one.sequence = u16::try_from(ssrc * 400).unwrap();
        one.payload_type = if ssrc % 3 == 0 { 8 } else { 0 };
        assert_eq!(harness.exchange(a.ours, a.peer, &one.next()).len(), 1);
        let mut jump = stream.clone();
        jump.sequence = jump.sequence.wrapping_add(20_000);
        harness.exchange(a.ours, a.peer, &jump.next());
        let packet = other.next();
        assert_eq!(harness.exchange(b.ours, b.peer, &packet).len(), 1);
        harness.pass_ms(20);
        harness.sent();
    }
    for _ in 0..3 {
        harness.exchange(a.ours, a.peer, &stream.next());
    }
    assert_eq!(harness.exchange(a.ours, a.peer, &stream.next()).len(), 1);
    assert_eq!(harness.disconnect(b).packets_lost, 0);
}

/// With keys, only what has authenticated proves a source, whatever the policy.
#[test]
fn with_keys_a_stranger_who_came_first_gets_and_brings_nothing_under_any() {
    let mut attack = Attack::new();
    attack.spray();
    let with_keys = |sdp, seed| LegPlan {
        latch: ANY,
        ..secure_plan(sdp, SHA, seed)
    };
    let (plan_a, plan_b) = (
        with_keys("198.51.100.1:4000", 10),
        with_keys("203.0.113.2:6000", 20),
    );
    let mut peers = [Peer::new(&plan_a, 0xaaaa), Peer::new(&plan_b, 0xbbbb)];
    let (a, b) = attack.harness.call_with(plan_a, plan_b);
    attack.spray();
    for _ in 0..20 {
        for (leg, peer) in [a, b].into_iter().zip(&mut peers) {
            let (_, sent) = peer.next();
            attack.harness.deliver(leg.ours, leg.peer, &sent);
            attack.turn();
        }
        attack.spray();
    }
    assert_eq!((attack.ledger.leaked, attack.ledger.injected), (0, 0));
    assert_eq!(attack.harness.latched(), [a.peer, b.peer]);
    // All but the three that prove each peer, and what the other said while nobody knew where to.
    let relayed = attack.harness.worker.counters().packets_sent;
    assert!((32..=40).contains(&relayed), "{relayed}");
}

#[test]
fn rtcp_follows_the_peer_that_displaces_a_stranger() {
    let mut harness = Harness::new();
    let any = LegPlan {
        latch: ANY,
        ..plan("198.51.100.1:4000")
    };
    let (a, _) = harness.call_with(any, plan("203.0.113.2:6000"));
    let next = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
    let stranger = address(&format!("{STRANGER}:66"));
    let mut marked = Stream::new(MARK);
    for _ in 0..4 {
        harness.exchange(a.ours, stranger, &marked.next());
    }
    let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
    harness.exchange(next(a.ours), next(stranger), &report);
    assert_eq!(harness.dropped(DropReason::RtcpConsumed), 1);
    harness.exchange(a.ours, a.peer, &Stream::new(1).next());
    assert_eq!(harness.latched(), [stranger, a.peer]);
    harness.exchange(next(a.ours), next(stranger), &report);
    assert_eq!(harness.dropped(DropReason::SourceNotLatched), 1);
    harness.exchange(next(a.ours), next(a.peer), &report);
    assert_eq!(harness.dropped(DropReason::RtcpConsumed), 2);
    harness.pass_ms(20_000);
    let reports = harness.sent();
    assert!(reports.iter().any(|sent| sent.to == next(a.peer)));
    assert!(reports.iter().all(|sent| sent.to.ip() != stranger.ip()));
}
