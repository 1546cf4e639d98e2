//! RTCP of legs with keys.

use std::net::SocketAddr;

use super::harness::{Harness, plan};
use super::secure::{Peer, SHA, key, secure_plan, speak};
use crate::command::{LegPlan, Target};
use crate::drop_reason::DropReason;
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
