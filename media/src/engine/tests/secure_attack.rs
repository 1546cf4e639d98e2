//! What strangers can do to a leg with keys: nothing.

use super::harness::{ANY, Harness, Stream, TestLeg, address, plan};
use super::secure::{Peer, SHA, keys, relayed, secure_plan, speak};
use crate::command::{LatchPolicy, LegPlan, Target};
use crate::drop_reason::DropReason;
use crate::srtp::Suite;

/// A call whose first leg has keys, an SDP that names a private address, and has heard nobody yet.
fn open_to(latch: LatchPolicy) -> (Harness, (TestLeg, Peer), (TestLeg, Peer)) {
    let mut harness = Harness::new();
    let a_plan = LegPlan {
        latch,
        ..secure_plan("10.0.0.1:4000", SHA, 10)
    };
    let b_plan = plan("203.0.113.2:6000");
    let (a_peer, b_peer) = (Peer::new(&a_plan, 1), Peer::new(&b_plan, 2));
    let (a, b) = harness.call_with(a_plan, b_plan);
    (harness, (a, a_peer), (b, b_peer))
}

#[test]
fn junk_never_ends_a_call_nor_moves_it() {
    for suite in Suite::ALL {
        let mut harness = Harness::new();
        let a_plan = LegPlan {
            latch: ANY,
            ..secure_plan("198.51.100.1:4000", suite, 10)
        };
        let b_plan = plan("203.0.113.2:6000");
        let (mut a_peer, mut b_peer) = (Peer::new(&a_plan, 1), Peer::new(&b_plan, 2));
        let (a, b) = harness.call_with(a_plan, b_plan);
        // Plain RTP of a negotiated payload type, from the peer's own address, before it has spoken.
        let mut plain = Stream::new(0xbad);
        for _ in 0..200 {
            assert_eq!(harness.exchange(a.ours, a.peer, &plain.next()), []);
        }
        assert_eq!(harness.latched(), [], "{suite:?}");
        for _ in 0..4 {
            let (_, sent) = a_peer.next();
            harness.exchange(a.ours, a.peer, &sent);
            harness.pass_ms(20);
        }
        assert_eq!(harness.latched(), [a.peer]);
        // Two seconds with 100 failing packets a second beside the call, under the peer's own SSRC.
        let mut forged = Stream::new(1);
        for number in 0..100_u16 {
            let stranger = address(&format!("192.0.2.{}:{}", number % 50, 4_000 + number));
            for from in [a.peer, stranger] {
                assert_eq!(harness.exchange(a.ours, from, &forged.next()), []);
            }
            speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
            speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
        }
        assert_eq!(harness.latched(), [a.peer, b.peer]);
        let refused = harness.dropped(DropReason::SrtpAuthentication)
            + harness.dropped(DropReason::SrtpReplay)
            + harness.dropped(DropReason::SourceNotLatched);
        // Once the socket is connected, the kernel keeps strangers out.
        assert!((200..=400).contains(&refused), "{suite:?} {refused}");
        let counters = harness.disconnect(a);
        assert_eq!(counters.packets_received, 101, "from the fourth on");
        // What was forged from the address that was believed; none of strangers, and none before.
        assert_eq!(
            (counters.packets_lost, counters.packets_discarded),
            (0, 100)
        );
    }
}

/// He hears everything and sends copies from elsewhere, sooner than the peer's own arrive.
#[test]
fn copies_from_elsewhere_gain_nothing_and_cost_nothing() {
    for latch in [ANY, LatchPolicy::Sdp] {
        let mut harness = Harness::new();
        let a_plan = LegPlan {
            latch,
            ..secure_plan("198.51.100.1:4000", SHA, 10)
        };
        let b_plan = plan("203.0.113.2:6000");
        let (mut a_peer, mut b_peer) = (Peer::new(&a_plan, 1), Peer::new(&b_plan, 2));
        let (a, b) = harness.call_with(a_plan, b_plan);
        for _ in 0..8 {
            let (_, sent) = a_peer.next();
            harness.exchange(a.ours, a.peer, &sent);
            harness.pass_ms(20);
        }
        let attacker = address("192.0.2.66:4000");
        for _ in 0..20 {
            let (_, sent) = a_peer.next();
            assert_eq!(harness.exchange(a.ours, attacker, &sent), []);
            let left = relayed(&mut harness, a, &sent);
            assert_eq!(left.len(), 1, "the packet itself is no replay: {latch:?}");
            b_peer.hear(&left[0]).unwrap();
            assert_eq!(harness.exchange(a.ours, attacker, &sent), []);
            assert_eq!(harness.exchange(a.ours, a.peer, &sent), []);
            speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
        }
        assert!(harness.latched().iter().all(|source| *source != attacker));
        let elsewhere = harness.dropped(DropReason::SourceNotLatched)
            + harness.dropped(DropReason::SourceNotAdmitted);
        assert_eq!(elsewhere, 40, "{latch:?}");
        assert_eq!(harness.dropped(DropReason::SrtpReplay), 20, "{latch:?}");
    }
}

/// He saw one packet, and sends it again and again before the peer is known.
#[test]
fn one_packet_sent_many_times_proves_no_source() {
    let (mut harness, (mut a, mut a_peer), (b, mut b_peer)) = open_to(ANY);
    let attacker = address("192.0.2.66:4000");
    let (_, seen) = a_peer.next();
    for _ in 0..50 {
        assert_eq!(harness.exchange(a.ours, attacker, &seen), []);
        assert_eq!(harness.exchange(b.ours, b.peer, &b_peer.next().1), []);
    }
    assert_eq!(harness.dropped(DropReason::SrtpReplay), 49);
    // Behind its NAT the peer is elsewhere than its SDP says.
    a.peer = address("198.51.100.9:31000");
    for _ in 0..3 {
        let (_, sent) = a_peer.next();
        assert_eq!(harness.exchange(a.ours, a.peer, &sent), []);
        harness.pass_ms(20);
    }
    harness.sent();
    speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
    speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
    assert_eq!(harness.latched(), [b.peer, a.peer]);
}

#[test]
fn what_is_too_short_for_a_tag_is_not_protected() {
    let mut harness = Harness::new();
    let (a, _) = harness.call_with(
        secure_plan("198.51.100.1:4000", Suite::AeadAes128Gcm, 10),
        plan("203.0.113.2:6000"),
    );
    let packet = Stream::new(1).next();
    for size in 12..28 {
        assert_eq!(harness.exchange(a.ours, a.peer, &packet[..size]), []);
    }
    assert_eq!(harness.dropped(DropReason::SrtpNotProtected), 16);
}

#[test]
fn nothing_plain_ever_leaves_a_leg_with_keys() {
    let mut harness = Harness::new();
    let b_plan = secure_plan("203.0.113.2:6000", Suite::AeadAes256Gcm, 20);
    let mut b_peer = Peer::new(&b_plan, 2);
    let (a, b) = harness.call_with(plan("198.51.100.1:4000"), b_plan);
    let mut stream = Stream::new(1);
    for _ in 0..400 {
        harness.deliver(a.ours, a.peer, &stream.next());
        harness.pass_ms(20);
        for sent in harness
            .sent()
            .iter()
            .filter(|sent| sent.from.port() / 2 == b.ours.port() / 2)
        {
            if sent.from == b.ours {
                b_peer.hear(sent).unwrap();
            } else {
                b_peer.hear_rtcp(sent);
            }
        }
    }
}

/// He hears everything, and races the peer while nobody is believed yet.
#[test]
fn captured_packets_from_elsewhere_never_lock_an_open_leg_nor_keep_its_peer_out() {
    // Behind its NAT the peer is elsewhere than its SDP says, and he may be behind the same.
    let nat = address("198.51.100.9:31000");
    let behind_the_same = LatchPolicy::Signalling(nat.ip());
    let cases = [
        (ANY, "192.0.2.66:4000"),
        (ANY, "198.51.100.9:31002"),
        (behind_the_same, "198.51.100.9:31002"),
    ];
    for (latch, attacker) in cases {
        let attacker = address(attacker);
        for raced in 0..=4 {
            let (mut harness, (mut a, mut a_peer), (b, mut b_peer)) = open_to(latch);
            a.peer = nat;
            let seen: Vec<_> = (0..20).map(|_| a_peer.next().1).collect();
            // Each packet of the peer once more, sooner or later; then a burst of all there were.
            for number in 0..16 {
                let is_first = number % 5 < raced;
                let mut sources = [a.peer, attacker];
                if is_first {
                    sources.reverse();
                }
                for source in sources {
                    assert_eq!(harness.exchange(a.ours, source, &seen[number]), []);
                }
                for old in &seen[..=number] {
                    assert_eq!(harness.exchange(a.ours, attacker, old), []);
                }
                harness.pass_ms(20);
                assert_eq!(harness.sent(), []);
            }
            assert_eq!(harness.latched(), [], "{raced}");
            // Having raced once more he is slow from now on: what he sends is old.
            harness.exchange(a.ours, attacker, &seen[16]);
            for number in 16..20 {
                harness.exchange(a.ours, a.peer, &seen[number]);
                for old in &seen[..number] {
                    assert_eq!(harness.exchange(a.ours, attacker, old), []);
                }
                harness.pass_ms(20);
            }
            harness.sent();
            speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
            speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
            assert_eq!(harness.latched(), [nat, b.peer]);
        }
    }
}

/// Streams that the peer sent in the open, and another after them.
#[test]
fn captured_packets_of_an_earlier_source_of_the_peer_lock_nothing() {
    let (mut harness, (a, mut a_peer), _) = open_to(ANY);
    let (nat, attacker) = (address("198.51.100.9:31000"), address("192.0.2.66:4000"));
    let mut seen = Vec::new();
    for ssrc in [1, 2, 1, 3, 2] {
        a_peer.stream.ssrc = ssrc;
        for _ in 0..3 {
            let (_, sent) = a_peer.next();
            assert_eq!(harness.exchange(a.ours, nat, &sent), []);
            seen.push(sent);
        }
    }
    harness.pass_ms(1_500);
    harness.sent();
    // One stream after the other.
    seen.sort_by_key(|octets| octets[11]);
    for _ in 0..3 {
        for old in &seen {
            assert_eq!(harness.exchange(a.ours, attacker, old), []);
        }
    }
    assert_eq!(harness.latched(), []);
    a_peer.stream.ssrc = 4;
    for _ in 0..4 {
        let (_, sent) = a_peer.next();
        harness.exchange(a.ours, nat, &sent);
        for old in &seen {
            harness.exchange(a.ours, attacker, old);
        }
        harness.pass_ms(20);
    }
    assert_eq!(harness.latched(), [nat]);
}

/// Keys end by a new answer, and the peer speaks on in the clear from where it was.
#[test]
fn a_leg_that_left_its_keys_is_held_as_a_plain_one() {
    let cases = [
        (LatchPolicy::Sdp, "198.51.100.1:4000", "198.51.100.1:4002"),
        (
            LatchPolicy::Signalling(address("198.51.100.1:0").ip()),
            "198.51.100.1:4000",
            "198.51.100.1:4002",
        ),
        (ANY, "10.0.0.1:4000", "192.0.2.66:4000"),
    ];
    for (latch, said, stranger) in cases {
        let mut harness = Harness::new();
        let secure = LegPlan {
            latch,
            ..secure_plan(said, SHA, 10)
        };
        let b_plan = plan("203.0.113.2:6000");
        let (mut a_peer, mut b_peer) = (Peer::new(&secure, 1), Peer::new(&b_plan, 2));
        let (mut a, b) = harness.call_with(secure.clone(), b_plan);
        a.peer = address("198.51.100.1:4000");
        for _ in 0..100 {
            harness.exchange(a.ours, a.peer, &a_peer.next().1);
            harness.pass_ms(20);
        }
        let in_the_clear = LegPlan {
            srtp: None,
            version: 2,
            ..secure
        };
        harness.update(a, in_the_clear, Target::Leg(b.pair));
        let (mut spoken, mut spray) = (Stream::new(3), Stream::new(66));
        for number in 0..40 {
            harness.exchange(a.ours, a.peer, &spoken.next());
            let left = harness.exchange(a.ours, address(stranger), &spray.next());
            assert_eq!(left, [], "{latch:?} {number}");
            harness.pass_ms(20);
        }
        assert_eq!(harness.latched(), [a.peer], "{latch:?}");
        let left = relayed(&mut harness, b, &b_peer.stream.next());
        let heard: Vec<_> = left.iter().map(|sent| sent.to).collect();
        assert_eq!(heard, [a.peer], "{latch:?}");
        // Under `Any` who is elsewhere than its SDP says is never settled.
        let is_settled = harness.worker.counters().sockets_connected > 0;
        assert_eq!(is_settled, latch != ANY, "{latch:?}");
    }
}

/// Copies that claim the address of the SDP, until they hold the leg.
#[test]
fn who_took_an_open_leg_by_copies_loses_it_when_he_stops() {
    let (nat, claimed) = (address("198.51.100.9:31000"), address("10.0.0.1:4000"));
    let (mut harness, (mut a, mut a_peer), (b, mut b_peer)) = open_to(ANY);
    a.peer = nat;
    for _ in 0..4 {
        let (_, sent) = a_peer.next();
        harness.exchange(a.ours, nat, &sent);
        harness.exchange(a.ours, claimed, &sent);
        harness.pass_ms(20);
    }
    assert_eq!(harness.latched(), [claimed], "he was nearer");
    harness.sent();
    // A second, and the four packets that prove a source.
    for _ in 0..60 {
        harness.exchange(a.ours, nat, &a_peer.next().1);
        harness.pass_ms(20);
    }
    harness.sent();
    speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
    speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
    assert_eq!(harness.latched(), [claimed, nat, b.peer]);
    // What he kept moves nothing any more.
    for _ in 0..4 {
        let (_, sent) = a_peer.next();
        harness.exchange(a.ours, nat, &sent);
        assert_eq!(harness.exchange(a.ours, claimed, &sent), []);
    }
    assert_eq!(harness.latched(), [claimed, nat, b.peer]);
}

/// Of a peer that speaks before its answer is here; he who listens has the packets as well, and sends them
/// when they can be understood.
#[test]
fn packets_from_before_we_had_their_key_lock_nothing_when_it_comes() {
    let nat = address("198.51.100.9:31000");
    let sdp = address("10.0.0.1:4000");
    let cases = [
        (LatchPolicy::Sdp, sdp, "10.0.0.1:4002"),
        (LatchPolicy::Signalling(nat.ip()), nat, "198.51.100.9:31002"),
        (ANY, nat, "192.0.2.66:4000"),
    ];
    for (latch, peer, attacker) in cases {
        let attacker = address(attacker);
        // Whether the peer speaks at once, or not before he is believed who sends what it said.
        for is_late in [false, true] {
            let (mut harness, (mut a, mut a_peer), (b, mut b_peer)) = open_to(latch);
            a.peer = peer;
            let after = LegPlan {
                latch,
                srtp: keys(SHA, 30),
                version: 2,
                ..secure_plan("10.0.0.1:4000", SHA, 10)
            };
            a_peer.rekey(&after);
            let mut seen = Vec::new();
            for _ in 0..20 {
                let (_, sent) = a_peer.next();
                assert_eq!(harness.exchange(a.ours, peer, &sent), []);
                seen.push(sent);
                harness.pass_ms(20);
            }
            harness.update(a, after, Target::Leg(b.pair));
            let copies = &seen[10..];
            if is_late {
                for old in copies {
                    harness.exchange(a.ours, attacker, old);
                    harness.pass_ms(20);
                }
                assert_eq!(harness.latched(), [attacker], "{latch:?}");
                harness.pass_ms(1_000);
                harness.sent();
            } else {
                for old in copies {
                    assert_eq!(harness.exchange(a.ours, attacker, old), []);
                }
            }
            for _ in 0..8 {
                harness.exchange(a.ours, peer, &a_peer.next().1);
                for old in copies {
                    assert_eq!(harness.exchange(a.ours, attacker, old), []);
                }
                harness.pass_ms(20);
            }
            assert_eq!(harness.latched().last(), Some(&peer), "{latch:?}");
            assert_eq!(harness.latched().len(), 1 + usize::from(is_late));
            harness.sent();
            speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
            speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
        }
    }
}

/// One packet at the end of each talk spurt is lost on its way to us, and he who listens sends it in the pause.
#[test]
fn what_was_lost_at_the_end_of_talk_spurts_does_not_add_up_to_a_proof() {
    let nat = address("198.51.100.9:31000");
    let attacker = address("198.51.100.9:31002");
    for latch in [LatchPolicy::Signalling(nat.ip()), ANY] {
        let (mut harness, (mut a, mut a_peer), (b, mut b_peer)) = open_to(latch);
        a.peer = nat;
        for _ in 0..6 {
            for _ in 0..20 {
                harness.exchange(a.ours, nat, &a_peer.next().1);
                harness.pass_ms(20);
            }
            let (_, lost) = a_peer.next();
            harness.pass_ms(1_100);
            harness.exchange(a.ours, attacker, &lost);
            harness.pass_ms(20);
        }
        harness.sent();
        assert_eq!(harness.latched(), [nat], "{latch:?}");
        speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
        speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
    }
}
