//! Peers with keys that move, heard by devices that know nothing of ours: crate `webrtc-srtp` with a
//! roll-over counter of its own.

use proptest::prelude::*;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::harness::{ANY, Harness, Sent, Stream, TestLeg, address, plan};
use super::secure::{Peer, SHA, key, keys, relayed, secure_plan, speak};
use crate::command::{LatchPolicy, LegPlan, Target};
use crate::srtp::{SrtpPlan, Suite};

/// What hears us: with the key that we send under, and the counter that it has.
struct Device {
    context: Context,
}

impl Device {
    /// Nothing of ours was heard by it yet.
    fn new(plan: &LegPlan) -> Self {
        let key = &plan.srtp.as_deref().unwrap().send;
        let profile = match key.suite() {
            Suite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            Suite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
            Suite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        };
        let context = Context::new(key.key(), key.salt(), profile, None, None);
        Self {
            context: context.unwrap(),
        }
    }

    fn hears(&mut self, sent: &Sent) -> bool {
        self.context.decrypt_rtp(&sent.bytes).is_ok()
    }
}

/// A call whose second leg has keys, and the stream that goes there.
struct Call {
    harness: Harness,
    a: TestLeg,
    b: TestLeg,
    stream: Stream,
    plan: LegPlan,
    rounds: u32,
    last: u16,
}

impl Call {
    fn new(suite: Suite) -> Self {
        let plan_b = secure_plan("203.0.113.2:6000", suite, 20);
        let mut harness = Harness::new();
        let (a, b) = harness.call_with(plan("198.51.100.1:4000"), plan_b.clone());
        Self {
            harness,
            a,
            b,
            stream: Stream::new(1),
            plan: plan_b,
            rounds: 0,
            last: 0,
        }
    }

    /// One packet for the second leg, as it left.
    fn next(&mut self) -> Sent {
        let octets = self.stream.next();
        let mut left = self.harness.exchange(self.a.ours, self.a.peer, &octets);
        left.retain(|sent| sent.from == self.b.ours);
        self.harness.pass_ms(20);
        let sent = left.remove(0);
        let number = sent.rtp().sequence().0;
        self.rounds += u32::from(number < self.last);
        self.last = number;
        sent
    }

    /// Our stream goes on until its numbers have begun anew so often.
    fn roll_over(&mut self, rounds: u32) {
        while self.rounds < rounds {
            self.next();
            // A step that a source may lose.
            self.stream.sequence = self.stream.sequence.wrapping_add(1_999);
        }
    }

    /// An offer/answer took effect: where the peer is, its key, ours.
    fn update(&mut self, remote: &str, theirs: u8, ours: u8) {
        let suite = self.plan.srtp.as_deref().unwrap().send.suite();
        self.plan.version += 1;
        self.plan.remote_rtp = Some(address(remote));
        self.plan.srtp = Some(Box::new(SrtpPlan {
            send: key(suite, ours),
            receive: key(suite, theirs),
        }));
        let plan = self.plan.clone();
        self.harness.update(self.b, plan, Target::Leg(self.a.pair));
    }
}

/// A peer that moves by its answer: the offer that brings the new key of ours comes after it.
#[test]
fn a_peer_that_moved_before_our_key_changed_begins_at_zero() {
    for suite in Suite::ALL {
        for rounds in [0, 1, 2] {
            let mut call = Call::new(suite);
            call.roll_over(rounds);
            call.update("203.0.113.3:6000", 31, 20);
            call.next();
            call.update("203.0.113.3:6000", 31, 40);
            let mut device = Device::new(&call.plan);
            for _ in 0..50 {
                let sent = call.next();
                assert!(device.hears(&sent), "{suite:?} after {rounds}");
            }
        }
    }
}

/// The device that was called first is back before it is offered anything.
#[test]
fn a_peer_that_came_back_before_our_key_changed_keeps_its_counter() {
    let mut call = Call::new(Suite::AeadAes128Gcm);
    call.roll_over(2);
    call.update("203.0.113.3:6000", 31, 20);
    call.update("203.0.113.2:6000", 21, 20);
    call.update("203.0.113.2:6000", 21, 40);
    let mut beginner = Device::new(&call.plan);
    assert!(!beginner.hears(&call.next()));
}

#[test]
fn who_moves_its_port_under_its_key_keeps_its_counter() {
    let mut call = Call::new(Suite::AeadAes128Gcm);
    call.roll_over(2);
    call.update("203.0.113.2:6400", 21, 20);
    call.update("203.0.113.2:6400", 21, 40);
    let mut beginner = Device::new(&call.plan);
    assert!(!beginner.hears(&call.next()));
}

/// He who listens can write the address of the SDP into his copies as well.
#[test]
fn copies_that_claim_the_sdp_address_do_not_move_a_leg_whose_peer_is_heard() {
    let mut harness = Harness::new();
    let plan_a = LegPlan {
        latch: ANY,
        ..secure_plan("10.0.0.5:4000", SHA, 10)
    };
    let (mut a, b) = harness.call_with(plan_a.clone(), plan("203.0.113.2:6000"));
    let mut a_peer = Peer::new(&plan_a, 1);
    let claimed = a.peer;
    a.peer = address("198.51.100.9:31000");
    for number in 0..60 {
        let (_, sent) = a_peer.next();
        if number > 4 {
            assert_eq!(harness.exchange(a.ours, claimed, &sent), []);
        }
        let left = relayed(&mut harness, a, &sent);
        assert_eq!(left.len(), usize::from(number > 2), "{number}");
    }
    assert_eq!(harness.latched(), [a.peer]);
    assert_eq!(left_to(&mut harness, b), [a.peer]);
}

fn left_to(harness: &mut Harness, from: TestLeg) -> Vec<std::net::SocketAddr> {
    let left = relayed(harness, from, &Stream::new(9).next());
    left.iter().map(|sent| sent.to).collect()
}

/// What strangers could do to a plain leg under a policy that admits any source ends with its keys.
#[test]
fn a_lock_of_plain_packets_ends_when_another_authenticates() {
    let mut harness = Harness::new();
    let plain = LegPlan {
        latch: ANY,
        ..plan("10.0.0.5:4000")
    };
    let (mut a, b) = harness.call_with(plain.clone(), plan("203.0.113.2:6000"));
    let stranger = address("192.0.2.66:4000");
    let (mut spray, mut back) = (Stream::new(66), Stream::new(2));
    for _ in 0..100 {
        harness.exchange(a.ours, stranger, &spray.next());
        harness.exchange(b.ours, b.peer, &back.next());
        harness.pass_ms(20);
    }
    assert_eq!(harness.latched(), [b.peer, stranger]);
    let secure = LegPlan {
        srtp: keys(SHA, 10),
        version: 2,
        ..plain
    };
    harness.update(a, secure.clone(), Target::Leg(b.pair));
    let (mut a_peer, mut b_peer) = (
        Peer::new(&secure, 1),
        Peer::new(&plan("203.0.113.2:6000"), 2),
    );
    a.peer = address("198.51.100.9:31000");
    for _ in 0..4 {
        harness.exchange(a.ours, stranger, &spray.next());
        let left = harness.exchange(b.ours, b.peer, &back.next());
        assert_eq!(left, [], "nothing for who holds no key");
        harness.exchange(a.ours, a.peer, &a_peer.next().1);
        harness.pass_ms(20);
    }
    harness.sent();
    b_peer.stream = back;
    speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
    speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
    assert_eq!(harness.latched(), [b.peer, stranger, a.peer]);
}

/// A phone's NAT has given it another mapping: it offers the same private address, and another key.
#[test]
fn who_is_heard_under_a_new_key_takes_the_leg_from_who_is_not() {
    let (old, new) = (address("198.51.100.9:31000"), address("198.51.100.9:32000"));
    for latch in [ANY, LatchPolicy::Signalling(old.ip())] {
        let mut harness = Harness::new();
        let before = LegPlan {
            latch,
            ..secure_plan("10.0.0.5:4000", SHA, 10)
        };
        let (mut a, b) = harness.call_with(before.clone(), plan("203.0.113.2:6000"));
        let mut a_peer = Peer::new(&before, 1);
        let mut b_peer = Peer::new(&plan("203.0.113.2:6000"), 2);
        a.peer = old;
        for _ in 0..100 {
            harness.exchange(a.ours, a.peer, &a_peer.next().1);
            harness.pass_ms(20);
        }
        speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
        let after = LegPlan {
            srtp: keys(SHA, 30),
            version: 2,
            ..before
        };
        harness.update(a, after.clone(), Target::Leg(b.pair));
        // What is late under the key before proves nothing, but who held the leg is sent to.
        for _ in 0..3 {
            assert_eq!(relayed(&mut harness, a, &a_peer.next().1).len(), 1);
            assert_eq!(relayed(&mut harness, b, &b_peer.next().1)[0].to, old);
        }
        let mut copies = Vec::new();
        a_peer.rekey(&after);
        a.peer = new;
        for _ in 0..3 {
            let (_, sent) = a_peer.next();
            assert_eq!(relayed(&mut harness, a, &sent), [], "{latch:?}");
            copies.push(sent);
        }
        speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
        speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
        // From then on the leg is held as before.
        for copy in &copies {
            assert_eq!(harness.exchange(a.ours, old, copy), []);
        }
        assert_eq!(harness.latched(), [old, b.peer, new], "{latch:?}");
    }
}

#[test]
fn who_holds_a_leg_and_is_heard_under_the_new_key_keeps_it() {
    let (holder, other) = (address("198.51.100.9:31000"), address("198.51.100.9:32000"));
    let mut harness = Harness::new();
    let before = LegPlan {
        latch: LatchPolicy::Signalling(holder.ip()),
        ..secure_plan("10.0.0.5:4000", SHA, 10)
    };
    let (mut a, b) = harness.call_with(before.clone(), plan("203.0.113.2:6000"));
    let mut a_peer = Peer::new(&before, 1);
    let mut b_peer = Peer::new(&plan("203.0.113.2:6000"), 2);
    a.peer = holder;
    for _ in 0..100 {
        harness.exchange(a.ours, a.peer, &a_peer.next().1);
        harness.pass_ms(20);
    }
    let after = LegPlan {
        srtp: keys(SHA, 30),
        version: 2,
        ..before
    };
    harness.update(a, after.clone(), Target::Leg(b.pair));
    speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
    a_peer.rekey(&after);
    for _ in 0..60 {
        // He who listens is the first with each.
        let (_, sent) = a_peer.next();
        assert_eq!(harness.exchange(a.ours, other, &sent), []);
        assert_eq!(relayed(&mut harness, a, &sent).len(), 1);
    }
    speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
    assert_eq!(harness.latched(), [holder, b.peer]);
    assert!(
        harness.worker.counters().sockets_connected >= 2,
        "again, when it was proven"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Devices that take each other's place by their offers and answers, and our keys in between.
    #[test]
    fn whoever_is_there_hears_us_from_our_next_key_on(
        steps in proptest::collection::vec((0_u8..4, 1_u8..50), 1..16),
    ) {
        let mut call = Call::new(Suite::AeadAes128Gcm);
        let (mut place, mut theirs, mut ours) = (6_000_u16, 100_u8, 20_u8);
        let mut device = Some(Device::new(&call.plan));
        let mut is_deaf = false;
        for (step, packets) in steps {
            let has_moved = matches!(step, 0 | 1);
            let is_new_key = matches!(step, 1 | 2);
            if has_moved {
                place += 10;
                theirs += 1;
            }
            ours += u8::from(is_new_key);
            call.update(&format!("203.0.113.2:{place}"), theirs, ours);
            if is_new_key && (has_moved || is_deaf) {
                device = Some(Device::new(&call.plan));
            } else if has_moved || is_new_key {
                // Deaf, or it keeps a counter that this one cannot be given.
                device = None;
            }
            is_deaf = !is_new_key && (is_deaf || has_moved);
            for _ in 0..packets {
                let sent = call.next();
                if let Some(device) = &mut device {
                    prop_assert!(device.hears(&sent));
                }
                call.stream.sequence = call.stream.sequence.wrapping_add(1_999);
            }
        }
    }
}
