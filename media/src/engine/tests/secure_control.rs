//! RTCP of legs with keys.

use std::net::SocketAddr;

use super::feedback::{feedback, last_part, word};
use super::harness::{Harness, Sent, TestLeg, plan};
use super::secure::{Peer, SHA, key, relayed, secure_plan, speak};
use crate::command::{LegPlan, Target};
use crate::drop_reason::DropReason;
use crate::engine::RtcpCounters;
use crate::rtcp::{Cname, Compound, Kind, SenderInformation, write_sender_report};
use crate::rtp::Ssrc;
use crate::srtp::key_derivation::REFUSED_IN_TESTS;
use crate::srtp::{MasterKey, SrtpPlan, Suite};

fn rtcp_address(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port() + 1)
}

fn sender_report(ssrc: u32, rtp: u32) -> Vec<u8> {
    let mut octets = [0; 64];
    let information = SenderInformation {
        ntp: 7 << 32,
        rtp,
        packets: 1,
        octets: 160,
    };
    let name = Cname(*b"the-peer-itself!");
    let size = write_sender_report(&mut octets, Ssrc(ssrc), information, None, name).unwrap();
    octets[..size].to_vec()
}

#[test]
fn a_sender_report_goes_from_key_to_key() {
    for (a_suite, b_suite) in [
        (Suite::AeadAes128Gcm, SHA),
        (Suite::AesCm128HmacSha1_32, Suite::AeadAes256Gcm),
    ] {
        let mut harness = Harness::new();
        let a_plan = secure_plan("198.51.100.1:4000", a_suite, 10);
        let b_plan = secure_plan("203.0.113.2:6000", b_suite, 20);
        let (mut a_peer, mut b_peer) = (Peer::new(&a_plan, 1), Peer::new(&b_plan, 2));
        let (a, b) = harness.call_with(a_plan, b_plan);
        speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
        let (to, from) = (rtcp_address(a.ours), rtcp_address(a.peer));
        let plain = sender_report(1, a_peer.stream.timestamp);
        assert_eq!(harness.exchange(to, from, &plain), []);
        assert_eq!(harness.dropped(DropReason::SrtpAuthentication), 1);
        let protected = a_peer.protect_rtcp(&plain);
        let left = harness.exchange(to, from, &protected);
        assert_eq!(left.len(), 1, "{a_suite:?} {b_suite:?}");
        let heard = b_peer.hear_rtcp(&left[0]);
        let first = Compound::parse(&heard).unwrap().packets().next().unwrap();
        assert_eq!(first.kind(), Kind::SenderReport);
        assert_eq!(first.sender_information().unwrap().ntp, 7 << 32);
        assert_eq!(harness.exchange(to, from, &protected), []);
        assert_eq!(harness.dropped(DropReason::SrtpReplay), 1);
        assert_eq!(harness.disconnect(a).rtcp_received, 1);
    }
}

/// A call with keys on both sides. `a` hears the stream of `b`, whose source is 0xbbbb.
struct SecureCall {
    harness: Harness,
    a: TestLeg,
    a_peer: Peer,
    b_peer: Peer,
    /// Our source towards `a`, and towards `b`.
    ours: [Ssrc; 2],
    /// What our stream to `a` made of the first number of `b`.
    first: u16,
}

fn secure_call(a_suite: Suite, b_suite: Suite) -> SecureCall {
    let mut harness = Harness::new();
    let a_plan = secure_plan("198.51.100.1:4000", a_suite, 10);
    let b_plan = secure_plan("203.0.113.2:6000", b_suite, 20);
    let (mut a_peer, mut b_peer) = (Peer::new(&a_plan, 0xaaaa), Peer::new(&b_plan, 0xbbbb));
    let (a, b) = harness.call_with(a_plan, b_plan);
    let (_, sent) = a_peer.next();
    let to_b = relayed(&mut harness, a, &sent);
    let (_, sent) = b_peer.next();
    let to_a = relayed(&mut harness, b, &sent);
    SecureCall {
        a,
        a_peer,
        b_peer,
        // Of a packet with keys too, the header is read by everybody.
        ours: [to_a[0].rtp().ssrc(), to_b[0].rtp().ssrc()],
        first: to_a[0].rtp().sequence().0,
        harness,
    }
}

impl SecureCall {
    fn heard_from_a(&mut self, octets: &[u8]) -> Vec<Sent> {
        let (to, from) = (rtcp_address(self.a.ours), rtcp_address(self.a.peer));
        self.harness.exchange(to, from, octets)
    }

    /// The peer of `a` says this with its keys; what the peer of `b` makes of it with its own.
    fn crosses(&mut self, plain: &[u8]) -> Vec<u8> {
        let protected = self.a_peer.protect_rtcp(plain);
        let [left]: [Sent; 1] = self.heard_from_a(&protected).try_into().unwrap();
        let bytes = self.b_peer.hear_rtcp(&left);
        assert_ne!(left.bytes[8..bytes.len()], bytes[8..], "read on the way");
        last_part(&Sent { bytes, ..left })
    }

    /// The four kinds of feedback, about the stream that the peer of `a` hears.
    fn kinds(&self) -> [Vec<u8>; 4] {
        let ours = self.ours[0];
        let [a, b, c, d] = ours.0.to_be_bytes();
        let [high, low] = self.first.to_be_bytes();
        [
            feedback(206, 1, ours, &[]),
            feedback(206, 4, Ssrc(0), &[a, b, c, d, 7, 0, 0, 0]),
            feedback(205, 1, ours, &[high, low, 0, 0]),
            feedback(
                206,
                15,
                Ssrc(0),
                &[b'R', b'E', b'M', b'B', 1, 0x0b, 1, 2, a, b, c, d],
            ),
        ]
    }
}

const SUITES: [(Suite, Suite); 2] = [
    (Suite::AeadAes128Gcm, SHA),
    (Suite::AesCm128HmacSha1_32, Suite::AeadAes256Gcm),
];

/// RFC 4585 §6.2.1, §6.3.1, RFC 5104 §4.3.1, and REMB.
#[test]
fn feedback_goes_from_key_to_key_in_the_names_and_numbers_of_the_sender() {
    for (a_suite, b_suite) in SUITES {
        let mut call = secure_call(a_suite, b_suite);
        let [picture_loss, intra_request, losses, estimate] = call.kinds();
        let ours = call.ours[1].0;

        let part = call.crosses(&picture_loss);
        assert_eq!(part[..4], [0x81, 206, 0, 2]);
        assert_eq!((word(&part, 4), word(&part, 8)), (ours, 0xbbbb));
        call.harness.pass_ms(600);
        call.harness.sent();
        let part = call.crosses(&intra_request);
        assert_eq!(part[..2], [0x84, 206]);
        assert_eq!((word(&part, 4), word(&part, 12)), (ours, 0xbbbb));
        assert_eq!(part[16], 1, "requests are numbered by us");
        let part = call.crosses(&losses);
        assert_eq!(part[..2], [0x81, 205]);
        assert_eq!((word(&part, 4), word(&part, 8)), (ours, 0xbbbb));
        assert_eq!(part[12..], [0xff, 0xdc, 0, 0], "the first of the sender");
        let part = call.crosses(&estimate);
        assert_eq!(part[..2], [0x8f, 206]);
        assert_eq!((word(&part, 4), word(&part, 20)), (ours, 0xbbbb));

        let counters = call.harness.worker.counters().rtcp;
        assert_eq!((counters.feedback_received, counters.feedback_sent), (4, 4));
        assert_eq!(counters.feedback_refused, 0);
    }
}

/// Plain, under a key of somebody else, and with one octet changed wherever it is: no feedback is read, asks
/// for a keyframe, or uses up the share of who may ask.
#[test]
fn forged_feedback_dies_of_its_tag_before_anything_is_made_of_it() {
    for (a_suite, b_suite) in SUITES {
        let mut call = secure_call(a_suite, b_suite);
        let foreign = secure_plan("198.51.100.1:4000", a_suite, 90);
        let mut stranger = Peer::new(&foreign, 0xaaaa);
        let kinds = call.kinds();
        // A second pen with the key of the peer: the index that it writes first is the peer's first too.
        let mut copy = Peer::new(&secure_plan("198.51.100.1:4000", a_suite, 10), 0xaaaa);
        let mut forged = 0;
        for plain in &kinds {
            let whole = copy.protect_rtcp(plain);
            let changed = (0..whole.len()).map(|at| {
                let mut octets = whole.clone();
                octets[at] ^= 0x10;
                octets
            });
            // The first words say what it is: another kind, or another length, is another refusal.
            let changed = changed.skip(4);
            // Behind a report, because alone it is too short to have a tag at all.
            let in_the_clear = [sender_report(0xaaaa, 7), plain.clone()].concat();
            let all = [in_the_clear, stranger.protect_rtcp(plain)];
            for octets in all.into_iter().chain(changed) {
                assert_eq!(call.heard_from_a(&octets), [], "{octets:?}");
                forged += 1;
            }
        }
        assert_eq!(call.harness.dropped(DropReason::SrtpAuthentication), forged);
        let counters = call.harness.worker.counters().rtcp;
        assert_eq!(counters, RtcpCounters::default(), "{a_suite:?}");

        // Nobody has asked for a keyframe yet.
        let genuine = call.a_peer.protect_rtcp(&kinds[0]);
        assert_eq!(call.heard_from_a(&genuine).len(), 1, "{a_suite:?}");
        assert_eq!(call.heard_from_a(&genuine), []);
        assert_eq!(call.harness.dropped(DropReason::SrtpReplay), 1);
        let counters = call.harness.worker.counters().rtcp;
        assert_eq!(
            (counters.feedback_received, counters.feedback_refused),
            (1, 0)
        );
        assert_eq!(counters.keyframe_requests_sent, 1);
        assert!(call.harness.pool_is_whole());
    }
}

#[test]
fn our_own_reports_are_protected() {
    let mut harness = Harness::new();
    let a_plan = secure_plan("198.51.100.1:4000", SHA, 10);
    let mut a_peer = Peer::new(&a_plan, 1);
    let (a, b) = harness.call_with(a_plan, plan("203.0.113.2:6000"));
    let mut reports = 0;
    for _ in 0..1_000 {
        let (_, sent) = a_peer.next();
        harness.deliver(a.ours, a.peer, &sent);
        harness.pass_ms(20);
        for left in harness.sent() {
            if left.from == rtcp_address(a.ours) {
                let heard = a_peer.hear_rtcp(&left);
                Compound::parse(&heard).unwrap();
                reports += 1;
            } else {
                assert!(left.from == b.ours || left.from == rtcp_address(b.ours));
            }
        }
    }
    assert!(reports >= 2, "{reports} in twenty seconds");
}

#[test]
fn what_could_not_be_protected_is_not_counted_as_sent() {
    let mut harness = Harness::new();
    let (a_plan, b_plan) = (plan("198.51.100.1:4000"), plan("203.0.113.2:6000"));
    let (mut a_peer, mut b_peer) = (Peer::new(&a_plan, 1), Peer::new(&b_plan, 2));
    let (a, b) = harness.call_with(a_plan, b_plan.clone());
    speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
    speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
    let refused = LegPlan {
        srtp: Some(Box::new(SrtpPlan {
            send: MasterKey::new(SHA, &[REFUSED_IN_TESTS; 30]).unwrap(),
            receive: key(SHA, 50),
        })),
        ..b_plan
    };
    harness.update(b, refused, Target::Leg(a.pair));
    let report = sender_report(1, a_peer.stream.timestamp);
    let (to, from) = (rtcp_address(a.ours), rtcp_address(a.peer));
    assert_eq!(harness.exchange(to, from, &report), []);
    let counters = harness.worker.counters().rtcp;
    assert_eq!(
        (counters.sender_reports_sent, counters.feedback_sent),
        (0, 0)
    );
    assert_eq!(harness.dropped(DropReason::SrtpUnavailable), 1);
}
