//! Peers with keys that move, heard by devices that know nothing of ours: crate `webrtc-srtp` with a
//! roll-over counter of its own.

use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::harness::{Harness, Sent, Stream, TestLeg, address, plan};
use super::secure::{key, secure_plan};
use crate::command::{LegPlan, Target};
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
