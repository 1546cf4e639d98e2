//! RTP bleed and injection: a stranger sprays every port of ours with RTP and RTCP, before the first
//! packet of the peer, while it is being learnt, in the call, around a re-INVITE and a hold, after the
//! end and on ports that are used again, where the peers of the call before go on as well. What they
//! get, and what of theirs the peers get, in the clear and under keys.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::harness::{Harness, Sent, Stream, TestLeg, address, plan};
use super::secure::{Peer, SHA, keys};
use crate::command::{LatchPolicy, LegPlan, Target};

/// The stranger's source, in what he sends and so in what is relayed of it.
const MARK: u32 = 0x6666_6666;
const STRANGER: &str = "192.0.2.66";

/// Few enough that each call has ports of those before.
const PORTS: std::ops::RangeInclusive<u16> = 10_000..=10_007;
const CALLS: u8 = 4;

/// What came of a spray.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ledger {
    leaked: usize,
    injected: usize,
    /// Packets of the peers that reached each other.
    heard: usize,
}

/// A peer, and the leg that is its own.
struct Line {
    leg: TestLeg,
    from: SocketAddr,
    peer: Peer,
}

/// How the peers of a call are known, and what protects them.
#[derive(Debug, Clone, Copy)]
struct Way {
    latch: &'static str,
    nat: Nat,
    has_keys: bool,
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

impl Way {
    /// The plan of a leg whose peer speaks from `from`; each has keys of its own.
    fn plan(self, from: SocketAddr, seed: u8) -> LegPlan {
        let latch = match self.latch {
            "sdp" => LatchPolicy::Sdp,
            "signalling" => LatchPolicy::Signalling(from.ip()),
            _ => LatchPolicy::Any(from.ip()),
        };
        let sdp = match self.nat {
            Nat::No => from.to_string(),
            Nat::Port => format!("{}:{}", from.ip(), from.port() - 1_000),
            Nat::Host => format!("10.0.0.5:{}", from.port()),
        };
        LegPlan {
            latch,
            srtp: keys(SHA, seed).filter(|_| self.has_keys),
            ..plan(&sdp)
        }
    }
}

struct Attack {
    harness: Harness,
    stream: Stream,
    ledger: Ledger,
    /// The call of now.
    lines: Vec<Line>,
    /// Peers of calls before, who never heard of their end.
    late: Vec<Line>,
    /// What the peers sent last, protected by their keys.
    captured: Vec<Vec<u8>>,
}

impl Attack {
    fn new() -> Self {
        let harness = Harness::with(packet_io::NoFaults, |config| {
            config.ports = PORTS;
            config.pairs_max = 4;
            config.stock = 2;
        });
        Self {
            harness,
            stream: Stream::new(MARK),
            ledger: Ledger::default(),
            lines: Vec::new(),
            late: Vec::new(),
            captured: Vec::new(),
        }
    }

    /// Five packets of one source to every port there is, RTCP of every kind, and what he has captured;
    /// beside him the peers of calls before.
    fn spray(&mut self) {
        let own = address("192.0.2.100:0").ip();
        for port in PORTS {
            let to = SocketAddr::new(own, port);
            let source = SocketAddr::new(STRANGER.parse().unwrap(), port);
            let mut sequence = self.stream.clone();
            let mut octets: Vec<_> = (0..5).map(|_| sequence.next()).collect();
            octets.extend(forged());
            octets.extend_from_slice(&self.captured);
            for octets in octets {
                self.harness.deliver(to, source, &octets);
            }
            // A queue has its end.
            self.turn();
        }
        self.stream.sequence = self.stream.sequence.wrapping_add(5);
        let mut late = std::mem::take(&mut self.late);
        for line in &mut late {
            for _ in 0..5 {
                let (_, octets) = line.peer.next();
                self.harness.deliver(line.leg.ours, line.from, &octets);
            }
            self.turn();
        }
        self.late = late;
    }

    fn turn(&mut self) {
        self.harness.turn();
        let sent = self.harness.sent();
        self.account(&sent);
    }

    /// What leaves is for the peer of the leg, and media of the other one.
    fn account(&mut self, sent: &[Sent]) {
        let sources: Vec<_> = self
            .lines
            .iter()
            .map(|line| line.peer.stream.ssrc)
            .collect();
        for sent in sent {
            let rtp = sent.from.port() & !1;
            let mut lines = self.lines.iter_mut().zip(sources.iter().rev());
            let found = lines.find(|(line, _)| line.leg.ours.port() == rtp);
            let Some((line, source)) = found.filter(|(line, _)| line.from.ip() == sent.to.ip())
            else {
                self.ledger.leaked += 1;
                continue;
            };
            if sent.from.port() == rtp {
                let heard = line.peer.hear(sent).unwrap();
                let is_other = heard.get(14..18) == Some(&source.to_be_bytes()[..]);
                self.ledger.heard += usize::from(is_other);
                self.ledger.injected += usize::from(!is_other);
            }
        }
    }

    /// One packet each way.
    fn talk(&mut self) {
        let mut spoken = Vec::new();
        for line in &mut self.lines {
            let (plain, octets) = line.peer.next();
            spoken.push((line.leg.ours, line.from, octets.clone()));
            // In the clear his own are as good.
            if octets != plain {
                self.captured.push(octets);
            }
        }
        let old = self.captured.len().saturating_sub(8);
        self.captured.drain(..old);
        for (to, from, octets) in spoken {
            self.harness.deliver(to, from, &octets);
            self.turn();
        }
        self.harness.pass_ms(20);
        let sent = self.harness.sent();
        self.account(&sent);
    }

    fn take(&mut self) -> Ledger {
        std::mem::take(&mut self.ledger)
    }

    fn update(&mut self, which: usize, plan: LegPlan, target: usize, is_held: bool) {
        let target = Target::Leg(self.lines[target].leg.pair);
        let target = if is_held { Target::Nowhere } else { target };
        self.harness.update(self.lines[which].leg, plan, target);
    }

    /// Every stage of call `number` under spray. Gives what the stranger got and brought from the first
    /// packet of both peers on, and before.
    fn whole_call(&mut self, way: Way, number: u8) -> [Ledger; 2] {
        let hosts = [(5_000, 100), (7_000, 200)];
        let [from_a, from_b] =
            hosts.map(|(port, host)| SocketAddr::from(([203, 0, 113, host + number], port)));
        self.spray();
        let plans = [
            way.plan(from_a, 40 * number + 10),
            way.plan(from_b, 40 * number + 20),
        ];
        let peers = [0xaa00, 0xbb00].map(|ssrc| ssrc + u32::from(number));
        let peers = [
            Peer::new(&plans[0], peers[0]),
            Peer::new(&plans[1], peers[1]),
        ];
        let [plan_a, plan_b] = plans;
        let (a, b) = self.harness.call_with(plan_a, plan_b);
        self.lines = [(a, from_a), (b, from_b)]
            .into_iter()
            .zip(peers)
            .map(|((leg, from), peer)| Line { leg, from, peer })
            .collect();
        self.spray();
        let before = self.take();
        // The window in which the peers are learnt, with a spray between any two packets.
        for _ in 0..5 {
            self.talk();
            self.spray();
        }
        for _ in 0..60 {
            self.talk();
        }
        self.spray();
        // A re-INVITE moves one peer; the stranger sprays before it speaks and while it is learnt.
        self.lines[1].from.set_port(7_800);
        let moved = LegPlan {
            version: 2,
            ..way.plan(self.lines[1].from, 40 * number + 20)
        };
        self.update(1, moved.clone(), 0, false);
        self.spray();
        for _ in 0..5 {
            self.talk();
            self.spray();
        }
        // Hold and resume.
        let held = LegPlan {
            sends: false,
            receives: false,
            version: 3,
            ..moved.clone()
        };
        self.update(1, held, 0, true);
        self.spray();
        let resumed = LegPlan {
            version: 4,
            ..moved
        };
        self.update(1, resumed, 0, false);
        for _ in 0..20 {
            self.talk();
            self.spray();
        }
        assert!(self.ledger.heard > 140, "{way:?} {:?}", self.ledger);
        // The end, and all the time until the ports are used again.
        self.harness.disconnect(a);
        self.harness.disconnect(b);
        self.spray();
        self.harness.pass_ms(70_000);
        self.spray();
        let ledger = self.take();
        self.late = std::mem::take(&mut self.lines);
        [before, ledger]
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

/// Calls one after the other on the same few ports, each with its ledgers before and after its peers
/// began to speak.
fn calls(latches: &[&'static str], has_keys: bool) -> Vec<(Way, [Ledger; 2])> {
    let mut ledgers = Vec::new();
    for latch in latches {
        for nat in [Nat::No, Nat::Port, Nat::Host] {
            // Nobody is met behind a NAT whose SDP does not say so where only the SDP counts.
            if (*latch, nat) == ("sdp", Nat::Host) {
                continue;
            }
            let way = Way {
                latch,
                nat,
                has_keys,
            };
            let mut attack = Attack::new();
            let mut used = BTreeSet::new();
            let mut reused = 0;
            for number in 0..CALLS {
                ledgers.push((way, attack.whole_call(way, number)));
                let ports = attack.late.iter().map(|line| line.leg.ours);
                reused += ports.filter(|ours| !used.insert(*ours)).count();
            }
            assert!(reused >= 4, "{reused} of {CALLS} times two ports");
        }
    }
    ledgers
}

#[test]
fn under_sdp_and_signalling_a_stranger_gets_nothing_and_brings_nothing() {
    for (way, ledgers) in calls(&["sdp", "signalling"], false) {
        for ledger in ledgers {
            assert_eq!((ledger.leaked, ledger.injected), (0, 0), "{way:?}");
        }
    }
}

#[test]
fn under_any_a_stranger_who_came_first_gets_five_packets_at_most() {
    for (way, [_, ledger]) in calls(&["any"], false) {
        assert!(ledger.leaked > 0, "{way:?}: he held it");
        assert!(ledger.leaked <= 5, "{way:?} {ledger:?}");
        assert!(ledger.injected <= 5, "{way:?} {ledger:?}");
    }
}

/// Only what has authenticated proves a source, whatever the policy and whoever came first.
#[test]
fn with_keys_a_stranger_gets_and_brings_nothing_under_any_policy() {
    for (way, ledgers) in calls(&["sdp", "signalling", "any"], true) {
        for ledger in ledgers {
            assert_eq!((ledger.leaked, ledger.injected), (0, 0), "{way:?}");
        }
    }
}

/// He holds the leg before the peer speaks, and sends as often as the peer from then on.
#[test]
fn under_any_a_stranger_who_goes_on_gets_five_packets_at_most() {
    for nat in [Nat::No, Nat::Port, Nat::Host] {
        let way = Way {
            latch: "any",
            nat,
            has_keys: false,
        };
        let mut attack = Attack::new();
        let [from_a, from_b] = ["198.51.100.1:5000", "203.0.113.2:7000"].map(address);
        let (plan_a, plan_b) = (way.plan(from_a, 1), plan(&from_b.to_string()));
        let peers = [Peer::new(&plan_a, 0xaaaa), Peer::new(&plan_b, 0xbbbb)];
        let (a, b) = attack.harness.call_with(plan_a, plan_b);
        let ends = [(a, from_a), (b, from_b)].into_iter().zip(peers);
        attack.lines = ends
            .map(|((leg, from), peer)| Line { leg, from, peer })
            .collect();
        let stranger = address(&format!("{STRANGER}:4000"));
        for _ in 0..20 {
            let (marked, (_, spoken)) = (attack.stream.next(), attack.lines[1].peer.next());
            attack.harness.deliver(a.ours, stranger, &marked);
            attack.harness.deliver(b.ours, from_b, &spoken);
            attack.turn();
        }
        let before = attack.take();
        assert!(before.leaked > 10, "he held it: {before:?}");
        for _ in 0..200 {
            let marked = attack.stream.next();
            attack.harness.deliver(a.ours, stranger, &marked);
            attack.talk();
        }
        let ledger = attack.take();
        assert!(ledger.leaked <= 5, "{nat:?} {ledger:?}");
        assert!(ledger.injected <= 5, "{nat:?} {ledger:?}");
        assert!(ledger.heard >= 395, "{nat:?} {ledger:?}");
        assert_eq!(attack.harness.latched(), [from_b, stranger, from_a]);
    }
}
