//! Legs with keys: every pair of suites and of none, local parties, keys that stay and keys that
//! change. The peers of these tests protect and unprotect for themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use super::harness::{Harness, Sent, Stream, TestLeg, plan};
use crate::command::{LegPlan, Target};
use crate::drop_reason::DropReason;
use crate::rtp::{RtpView, SequenceNumber};
use crate::srtp::{MasterKey, ReceiveContext, SendContext, SrtpPlan, Suite};

pub(super) const SHA: Suite = Suite::AesCm128HmacSha1_80;

pub(super) fn key(suite: Suite, seed: u8) -> MasterKey {
    let octets: Vec<u8> = (0..suite.key_size() + suite.salt_size())
        .map(|at| u8::try_from(at).unwrap().wrapping_mul(29) ^ seed)
        .collect();
    MasterKey::new(suite, &octets).unwrap()
}

/// Our key has number `seed`, the peer's `seed + 1`.
pub(super) fn keys(suite: Suite, seed: u8) -> Option<Box<SrtpPlan>> {
    Some(Box::new(SrtpPlan {
        send: key(suite, seed),
        receive: key(suite, seed + 1),
    }))
}

pub(super) fn secure_plan(remote: &str, suite: Suite, seed: u8) -> LegPlan {
    LegPlan {
        srtp: keys(suite, seed),
        ..plan(remote)
    }
}

/// What the peer of a leg has of its keys; without any it speaks plain RTP.
pub(super) struct Peer {
    contexts: Option<(SendContext, ReceiveContext)>,
    pub(super) stream: Stream,
}

impl Peer {
    pub(super) fn new(plan: &LegPlan, ssrc: u32) -> Self {
        let contexts = plan.srtp.as_deref().map(|keys| {
            (
                SendContext::new(&keys.receive).unwrap(),
                ReceiveContext::new(&keys.send).unwrap(),
            )
        });
        Self {
            contexts,
            stream: Stream::new(ssrc),
        }
    }

    /// New keys on the peer's side too; its stream goes on.
    pub(super) fn rekey(&mut self, plan: &LegPlan) {
        self.contexts = Self::new(plan, 0).contexts;
    }

    /// The next packet, plain and as it is sent.
    pub(super) fn next(&mut self) -> (Vec<u8>, Vec<u8>) {
        let plain = self.stream.next();
        let mut sent = plain.clone();
        if let Some((send, _)) = &mut self.contexts {
            sent.resize(sent.len() + send.rtp_overhead(), 0);
            send.protect_rtp(&mut sent).unwrap();
        }
        (plain, sent)
    }

    pub(super) fn protect_rtcp(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut sent = plain.to_vec();
        if let Some((send, _)) = &mut self.contexts {
            sent.resize(sent.len() + send.rtcp_overhead(), 0);
            send.protect_rtcp(&mut sent).unwrap();
        }
        sent
    }

    pub(super) fn hear_rtcp(&mut self, sent: &Sent) -> Vec<u8> {
        let mut octets = sent.bytes.clone();
        if let Some((_, receive)) = &mut self.contexts {
            let unprotected = receive.unprotect_rtcp(&mut octets).unwrap();
            receive.accept(unprotected);
            octets.truncate(unprotected.size);
        }
        octets
    }

    /// What it hears of a packet that was sent to it.
    pub(super) fn hear(&mut self, sent: &Sent) -> Result<Vec<u8>, DropReason> {
        let mut octets = sent.bytes.clone();
        if let Some((_, receive)) = &mut self.contexts {
            let unprotected = receive.unprotect_rtp(&mut octets)?;
            receive.accept(unprotected);
            octets.truncate(unprotected.size);
        }
        Ok(octets)
    }
}

fn payload(octets: &[u8]) -> Vec<u8> {
    RtpView::parse(octets).unwrap().payload().to_vec()
}

/// Delivers RTP 20 ms after the last; gives what left as RTP.
pub(super) fn relayed(harness: &mut Harness, leg: TestLeg, octets: &[u8]) -> Vec<Sent> {
    harness.now += Duration::from_millis(20);
    let mut left = harness.exchange(leg.ours, leg.peer, octets);
    left.retain(|sent| sent.from.port() % 2 == 0);
    left
}

/// One packet from one peer to the other: it arrives whole.
pub(super) fn speak(
    harness: &mut Harness,
    from: TestLeg,
    speaker: &mut Peer,
    to: TestLeg,
    listener: &mut Peer,
) {
    let (plain, sent) = speaker.next();
    let left = relayed(harness, from, &sent);
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].from, left[0].to), (to.ours, to.peer));
    let heard = listener.hear(&left[0]).unwrap();
    assert_eq!(payload(&heard), payload(&plain));
    let is_secure = listener.contexts.is_some();
    assert_eq!(left[0].bytes[12..28] != plain[12..28], is_secure);
}

#[test]
fn audio_passes_between_any_two_suites_and_none() {
    let suites = Suite::ALL.map(Some).into_iter().chain([None]);
    let pairs = suites
        .clone()
        .flat_map(|a| suites.clone().map(move |b| (a, b)));
    for (a_suite, b_suite) in pairs {
        let mut harness = Harness::new();
        let with = |remote, suite: Option<Suite>, seed| LegPlan {
            srtp: suite.and_then(|suite| keys(suite, seed)),
            ..plan(remote)
        };
        let a_plan = with("198.51.100.1:4000", a_suite, 10);
        let b_plan = with("203.0.113.2:6000", b_suite, 20);
        let (mut a_peer, mut b_peer) = (Peer::new(&a_plan, 1), Peer::new(&b_plan, 2));
        let (a, b) = harness.call_with(a_plan, b_plan);
        for _ in 0..50 {
            speak(&mut harness, a, &mut a_peer, b, &mut b_peer);
            speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
        }
        let counters = harness.disconnect(a);
        assert_eq!((counters.packets_received, counters.packets_sent), (50, 50));
        assert_eq!(counters.octets_received, 50 * 172, "as plain RTP");
        assert_eq!((counters.packets_discarded, counters.packets_lost), (0, 0));
    }
}

#[test]
fn local_parties_answer_in_the_keys_of_the_leg() {
    for target in [Target::Echo, Target::Tone, Target::Ringback] {
        for suite in Suite::ALL {
            let mut harness = Harness::new();
            let plan = secure_plan("198.51.100.1:4000", suite, 10);
            let mut peer = Peer::new(&plan, 1);
            let leg = harness.connect(plan, target);
            let mut heard = 0;
            for _ in 0..20 {
                let (plain, sent) = peer.next();
                for left in harness.exchange(leg.ours, leg.peer, &sent) {
                    let octets = peer.hear(&left).unwrap();
                    let is_echo = payload(&octets) == payload(&plain);
                    assert_eq!(is_echo, target == Target::Echo, "{target:?}");
                    heard += 1;
                }
            }
            assert!(heard >= 16, "{target:?} {suite:?}: {heard}");
        }
    }
}

/// 70,000 packets each way: loss, disorder, two key changes, the sequence numbers rolling over
/// on both sides of the relay.
#[test]
fn a_long_call_survives_loss_disorder_and_new_keys() {
    let mut harness = Harness::new();
    let mut a_plan = secure_plan("198.51.100.1:4000", Suite::AeadAes128Gcm, 10);
    let mut b_plan = secure_plan("203.0.113.2:6000", SHA, 20);
    let (mut a_peer, mut b_peer) = (Peer::new(&a_plan, 1), Peer::new(&b_plan, 2));
    let (a, b) = harness.call_with(a_plan.clone(), b_plan.clone());
    let mut waiting = BTreeMap::new();
    let (mut delivered, mut heard) = (0, 0);
    for number in 0..70_000_u32 {
        if number == 30_000 {
            a_plan.srtp = keys(Suite::AeadAes256Gcm, 30);
            harness.update(a, a_plan.clone(), Target::Leg(b.pair));
            a_peer.rekey(&a_plan);
        }
        if number == 50_000 {
            b_plan.srtp = keys(Suite::AesCm128HmacSha1_32, 40);
            harness.update(b, b_plan.clone(), Target::Leg(a.pair));
            b_peer.rekey(&b_plan);
        }
        let (_, sent) = a_peer.next();
        // One of twenty is lost, one of nine comes five late.
        if number % 20 != 7 {
            let late = if number % 9 == 0 { 5 } else { 0 };
            waiting.insert((number + late, number), sent);
        }
        while let Some(entry) = waiting.first_entry().filter(|due| due.key().0 <= number) {
            let left = relayed(&mut harness, a, &entry.remove());
            delivered += 1;
            for packet in left.iter().filter(|packet| packet.to == b.peer) {
                b_peer.hear(packet).unwrap();
                heard += 1;
            }
        }
        if number % 10 == 0 {
            speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
        }
    }
    assert!(delivered > 66_000, "{delivered}");
    // What was under way when a key changed may be late for it.
    assert!(delivered - heard <= 4, "{heard} of {delivered}");
    let counters = harness.disconnect(a);
    assert!(
        (3_400..3_600).contains(&counters.packets_lost),
        "{counters:?}"
    );
}

#[test]
fn the_old_receive_key_serves_until_the_new_one_has_authenticated() {
    let mut harness = Harness::new();
    let before = secure_plan("198.51.100.1:4000", Suite::AeadAes128Gcm, 10);
    let mut peer = Peer::new(&before, 1);
    let (a, b) = harness.call_with(before.clone(), plan("203.0.113.2:6000"));
    let (_, first) = peer.next();
    assert_eq!(harness.exchange(a.ours, a.peer, &first).len(), 1);
    let after = LegPlan {
        srtp: keys(Suite::AeadAes128Gcm, 30),
        version: 2,
        ..before
    };
    harness.update(a, after.clone(), Target::Leg(b.pair));
    let (_, late) = peer.next();
    assert_eq!(harness.exchange(a.ours, a.peer, &late).len(), 1);
    let (_, too_late) = peer.next();
    // What is sent to it is under the new key at once.
    let left = harness.exchange(b.ours, b.peer, &Stream::new(2).next());
    assert_eq!(peer.hear(&left[0]), Err(DropReason::SrtpAuthentication));
    peer.rekey(&after);
    peer.hear(&left[0]).unwrap();
    let (_, new) = peer.next();
    assert_eq!(harness.exchange(a.ours, a.peer, &new).len(), 1);
    assert_eq!(harness.exchange(a.ours, a.peer, &too_late), []);
    assert_eq!(harness.dropped(DropReason::SrtpAuthentication), 1);
}

#[test]
fn a_refresh_with_the_same_keys_keeps_the_roll_over_counters() {
    let mut harness = Harness::new();
    let a_plan = secure_plan("198.51.100.1:4000", SHA, 10);
    let b_plan = secure_plan("203.0.113.2:6000", Suite::AeadAes256Gcm, 20);
    let (mut a_peer, mut b_peer) = (Peer::new(&a_plan, 1), Peer::new(&b_plan, 2));
    let (a, b) = harness.call_with(a_plan.clone(), b_plan.clone());
    let mut rolled = 0;
    let mut last = SequenceNumber(0);
    for number in 0..70_000 {
        if number % 1_000 == 0 {
            harness.update(a, a_plan.clone(), Target::Leg(b.pair));
            harness.update(b, b_plan.clone(), Target::Leg(a.pair));
        }
        let (_, sent) = a_peer.next();
        let left = relayed(&mut harness, a, &sent);
        let heard = b_peer.hear(&left[0]).unwrap();
        let sequence = RtpView::parse(&heard).unwrap().sequence();
        rolled += u32::from(sequence.0 < last.0);
        last = sequence;
        // Now and then the other way, so that the media goes on there, too.
        if number % 500 == 0 {
            speak(&mut harness, b, &mut b_peer, a, &mut a_peer);
        }
    }
    assert!(rolled >= 1, "our stream has rolled over");
}

/// RFC 4568 §6.4.
#[test]
fn a_stream_of_ours_begins_in_the_lower_half_of_the_sequence_numbers() {
    let mut harness = Harness::new();
    for _ in 0..8 {
        let (a, b) = harness.call();
        let left = harness.exchange(a.ours, a.peer, &Stream::new(1).next());
        assert!(left[0].rtp().sequence().0 <= 0x8000);
        harness.disconnect(a);
        harness.disconnect(b);
        harness.pass_ms(3_000);
    }
}

#[test]
fn a_packet_that_comes_twice_on_a_plain_leg_is_protected_once() {
    for suite in Suite::ALL {
        let mut harness = Harness::new();
        let b_plan = secure_plan("203.0.113.2:6000", suite, 20);
        let (a, _) = harness.call_with(plan("198.51.100.1:4000"), b_plan);
        let mut stream = Stream::new(1);
        harness.exchange(a.ours, a.peer, &stream.next());
        let packet = stream.next();
        assert_eq!(harness.exchange(a.ours, a.peer, &packet).len(), 1);
        let mut other = packet.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(harness.exchange(a.ours, a.peer, &other), []);
        assert_eq!(harness.dropped(DropReason::SrtpIndexUsed), 1);
    }
}

#[test]
fn a_leg_may_become_secure_and_plain_again_and_uses_no_index_twice() {
    let mut harness = Harness::new();
    let plain = plan("203.0.113.2:6000");
    let secure = secure_plan("203.0.113.2:6000", Suite::AeadAes128Gcm, 20);
    let (a, b) = harness.call_with(plan("198.51.100.1:4000"), plain.clone());
    let mut a_peer = Peer::new(&plain, 1);
    let mut b_plain = Peer::new(&plain, 2);
    let mut b_secure = Peer::new(&secure, 2);
    for _ in 0..3 {
        speak(&mut harness, a, &mut a_peer, b, &mut b_plain);
        harness.update(b, secure.clone(), Target::Leg(a.pair));
        speak(&mut harness, a, &mut a_peer, b, &mut b_secure);
        speak(&mut harness, b, &mut b_secure, a, &mut a_peer);
        harness.update(b, plain.clone(), Target::Leg(a.pair));
    }
    speak(&mut harness, a, &mut a_peer, b, &mut b_plain);
}
