//! Legs whose keys change, and what strangers make of it.

use super::harness::{ANY, Harness, Stream, address, plan};
use super::secure::{Peer, SHA, key, keys, secure_plan, speak};
use crate::command::{LatchPolicy, LegPlan, Target};
use crate::drop_reason::DropReason;
use crate::engine::leg::Leg;
use crate::engine::line::{EgressLine, IngressLine, ReceptionLine, SentCounters};
use crate::srtp::key_derivation::REFUSED_IN_TESTS;
use crate::srtp::{MasterKey, SrtpPlan, Suite};

/// Behind the peer's own address, who saw one packet.
#[test]
fn one_packet_from_two_sources_in_turn_proves_neither() {
    for latch in [ANY, LatchPolicy::Sdp] {
        let mut harness = Harness::new();
        let a_plan = LegPlan {
            latch,
            ..secure_plan("198.51.100.1:4000", SHA, 10)
        };
        let mut a_peer = Peer::new(&a_plan, 1);
        let (a, _) = harness.call_with(a_plan, plan("203.0.113.2:6000"));
        let (_, seen) = a_peer.next();
        // The other is another port of that address, or one that is refused anyway.
        for other in ["198.51.100.1:5002", "192.0.2.66:5000"] {
            for source in ["198.51.100.1:5000", other].repeat(50) {
                assert_eq!(harness.exchange(a.ours, address(source), &seen), []);
            }
        }
        assert_eq!(harness.latched(), [], "{latch:?}");
    }
}

#[test]
fn what_comes_late_from_the_old_source_in_its_grace_is_heard() {
    let mut harness = Harness::new();
    let a_plan = secure_plan("198.51.100.1:4000", SHA, 10);
    let mut a_peer = Peer::new(&a_plan, 1);
    let (a, b) = harness.call_with(a_plan.clone(), plan("203.0.113.2:6000"));
    let (_, first) = a_peer.next();
    assert_eq!(harness.exchange(a.ours, a.peer, &first).len(), 1);
    let moved = LegPlan {
        version: 2,
        remote_rtp: Some(address("198.51.100.1:4400")),
        ..a_plan
    };
    harness.update(a, moved, Target::Leg(b.pair));
    let sent: Vec<_> = (0..4).map(|_| a_peer.next().1).collect();
    for at in [1, 0, 3, 2] {
        assert_eq!(harness.exchange(a.ours, a.peer, &sent[at]).len(), 1, "{at}");
    }
    assert_eq!(harness.dropped(DropReason::SrtpReplay), 0);
}

#[test]
fn the_old_receive_key_ends_when_no_answer_can_be_under_way_any_more() {
    for wait_ms in [3_600, 31_900, 32_100] {
        let mut harness = Harness::new();
        let before = secure_plan("198.51.100.1:4000", SHA, 10);
        let mut peer = Peer::new(&before, 1);
        let (a, b) = harness.call_with(before.clone(), plan("203.0.113.2:6000"));
        harness.exchange(a.ours, a.peer, &peer.next().1);
        let after = LegPlan {
            srtp: keys(SHA, 30),
            version: 2,
            ..before
        };
        harness.update(a, after, Target::Leg(b.pair));
        harness.pass_ms(wait_ms);
        let (_, late) = peer.next();
        let left = harness.exchange(a.ours, a.peer, &late);
        let is_heard = left.iter().any(|sent| sent.from == b.ours);
        assert_eq!(is_heard, wait_ms < 32_000);
    }
}

/// Who was the peer before a transfer knows the key before.
#[test]
fn the_key_before_proves_no_new_source() {
    let mut harness = Harness::new();
    let before = LegPlan {
        latch: ANY,
        ..secure_plan("198.51.100.1:4000", SHA, 10)
    };
    let mut former = Peer::new(&before, 1);
    let (a, b) = harness.call_with(before.clone(), plan("203.0.113.2:6000"));
    for _ in 0..5 {
        harness.exchange(a.ours, a.peer, &former.next().1);
        harness.pass_ms(20);
    }
    let after = LegPlan {
        srtp: keys(SHA, 30),
        remote_rtp: Some(address("192.0.2.7:7000")),
        version: 2,
        ..before
    };
    harness.update(a, after, Target::Leg(b.pair));
    for _ in 0..20 {
        let source = address("198.51.100.1:4444");
        assert_eq!(harness.exchange(a.ours, source, &former.next().1), []);
    }
    assert_eq!(harness.latched(), [a.peer], "where it was before");
}

#[test]
fn what_comes_from_where_no_peer_can_be_costs_no_cryptography() {
    for suite in Suite::ALL {
        let mut harness = Harness::new();
        let a_plan = secure_plan("198.51.100.1:4000", suite, 10);
        let (mut a_peer, mut b_peer) = (
            Peer::new(&a_plan, 1),
            Peer::new(&plan("203.0.113.2:6000"), 2),
        );
        let (a, b) = harness.call_with(a_plan, plan("203.0.113.2:6000"));
        speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
        let stranger = address("192.0.2.66:4000");
        let mut junk = Stream::new(9);
        let control = address(&format!("{}:{}", a.ours.ip(), a.ours.port() + 1));
        let report = [
            [0x80, 201, 0, 1],
            [0, 0, 0, 9],
            [7; 4],
            [7; 4],
            [7; 4],
            [7; 4],
        ]
        .concat();
        for _ in 0..10 {
            assert_eq!(harness.exchange(a.ours, stranger, &junk.next()), []);
            assert_eq!(harness.exchange(control, stranger, &report), []);
        }
        assert_eq!(harness.dropped(DropReason::SrtpAuthentication), 0);
        let refused = harness.dropped(DropReason::SourceNotAdmitted)
            + harness.dropped(DropReason::SourceNotLatched);
        assert_eq!(refused, 20, "{suite:?}");
    }
}

/// RFC 4568 §6.4, §7.1.4: whoever hears the second packet first takes its counter for zero.
#[test]
fn for_a_peer_that_moved_no_counter_rolls_over_within_the_first_packets() {
    for suite in Suite::ALL {
        let mut harness = Harness::new();
        let b_plan = secure_plan("203.0.113.2:6000", suite, 20);
        let (a, b) = harness.call_with(plan("198.51.100.1:4000"), b_plan.clone());
        let mut stream = Stream::new(1);
        let mut last = 0;
        // In steps of what a source may lose, into the upper half.
        while last < 0xf800 {
            let mut sent = harness.exchange(a.ours, a.peer, &stream.next());
            sent.retain(|sent| sent.from == b.ours);
            last = sent[0].rtp().sequence().0;
            stream.sequence = stream.sequence.wrapping_add(1_999);
            harness.pass_ms(20);
        }
        let moved = LegPlan {
            srtp: keys(suite, 30),
            version: 2,
            ..secure_plan("203.0.113.3:6000", suite, 30)
        };
        harness.update(b, moved.clone(), Target::Leg(a.pair));
        let mut peer = Peer::new(&moved, 2);
        for number in 0..300 {
            let mut sent = harness.exchange(a.ours, a.peer, &stream.next());
            sent.retain(|sent| sent.from == b.ours);
            stream.sequence = stream.sequence.wrapping_add(10);
            harness.pass_ms(20);
            assert!(sent[0].rtp().sequence().0 < 0x8000, "{number}");
            // The first of them are lost.
            if number >= 200 {
                peer.hear(&sent[0]).unwrap();
            }
        }
    }
}

#[test]
fn keys_that_the_cipher_refuses_close_the_leg_and_its_own_open_it_where_it_was() {
    let mut harness = Harness::new();
    let b_plan = secure_plan("203.0.113.2:6000", SHA, 20);
    let (mut a_peer, mut b_peer) = (
        Peer::new(&plan("198.51.100.1:4000"), 1),
        Peer::new(&b_plan, 2),
    );
    let (a, b) = harness.call_with(plan("198.51.100.1:4000"), b_plan.clone());
    speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
    speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
    let refused = LegPlan {
        srtp: Some(Box::new(SrtpPlan {
            send: MasterKey::new(SHA, &[REFUSED_IN_TESTS; 30]).unwrap(),
            receive: key(SHA, 50),
        })),
        ..b_plan.clone()
    };
    for again in 1..4 {
        harness.update(b, refused.clone(), Target::Leg(a.pair));
        let (plain, _) = a_peer.next();
        assert_eq!(harness.exchange(a.ours, a.peer, &plain), []);
        assert_eq!(harness.exchange(b.ours, b.peer, &plain), []);
        assert_eq!(harness.dropped(DropReason::SrtpUnavailable), 2 * again);
        harness.update(b, b_plan.clone(), Target::Leg(a.pair));
        // The peer's own window refuses an index that comes again.
        speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
        speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
    }
}

/// Two legs with keys: what a session takes of the media core, beside buffers and tables of fixed size.
/// Half of it are the states of HMAC-SHA1. What the cipher allocates for itself is not counted: in
/// Galois mode two states of 600 octets a leg.
#[test]
fn a_session_with_keys_takes_less_than_8_kib_and_in_galois_mode_5_kib() {
    for suite in Suite::ALL {
        let mut harness = Harness::new();
        let with = |remote, seed| secure_plan(remote, suite, seed);
        let a_plan = with("198.51.100.1:4000", 10);
        let b_plan = with("203.0.113.2:6000", 20);
        let (mut a_peer, mut b_peer) = (Peer::new(&a_plan, 1), Peer::new(&b_plan, 2));
        let (a, b) = harness.call_with(a_plan, b_plan);
        speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
        speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
        let lines = size_of::<IngressLine>()
            + size_of::<EgressLine>()
            + size_of::<ReceptionLine>()
            + size_of::<SentCounters>();
        let session: usize = [a, b]
            .map(|leg| {
                let secure = harness.worker.secure[leg.pair.slot as usize].as_deref();
                lines + size_of::<Leg>() + size_of::<SrtpPlan>() + secure.unwrap().memory()
            })
            .iter()
            .sum();
        let most = if suite.is_aead() { 5 } else { 8 };
        assert!(session < most * 1_024, "{suite:?}: {session} octets");
    }
}
