//! Keys that change, come back and go: no index is used twice, in whatever order they come.

use std::collections::BTreeSet;

use super::{key, packet, report};
use crate::command::MediaKind;
use crate::drop_reason::DropReason;
use crate::rtp::Ssrc;
use crate::srtp::key_derivation::REFUSED_IN_TESTS;
use crate::srtp::window::Window;
use crate::srtp::{Contexts, MasterKey, ReceiveContext, SendContext, SrtpPlan, Suite};

const SHA: Suite = Suite::AesCm128HmacSha1_80;
const ROUND: u64 = 1 << 16;

fn plan(send: MasterKey, receive: MasterKey) -> SrtpPlan {
    SrtpPlan { send, receive }
}

/// A packet whose payload is zeros: protected, it is the key stream.
fn zeros(sequence: u16) -> Vec<u8> {
    let mut octets = packet(7, sequence);
    octets.truncate(12);
    octets.extend([0; 32]);
    octets
}

fn protected(send: &mut SendContext, plain: &[u8]) -> Result<Vec<u8>, DropReason> {
    let mut octets = plain.to_vec();
    octets.resize(plain.len() + send.rtp_overhead(), 0);
    send.protect_rtp(&mut octets).map(|()| octets)
}

fn protected_report(send: &mut SendContext, plain: &[u8]) -> Vec<u8> {
    let mut octets = plain.to_vec();
    octets.resize(plain.len() + send.rtcp_overhead(), 0);
    send.protect_rtcp(&mut octets).unwrap();
    octets
}

fn taken(contexts: &mut Contexts, octets: &[u8]) -> Result<(), DropReason> {
    let unprotected = contexts.unprotect_rtp(&mut octets.to_vec())?;
    contexts.accept(unprotected);
    Ok(())
}

fn taken_report(contexts: &mut Contexts, octets: &[u8]) -> Result<(), DropReason> {
    let unprotected = contexts.unprotect_rtcp(&mut octets.to_vec())?;
    contexts.accept(unprotected);
    Ok(())
}

/// Steps from a fixed seed.
struct Steps(u64);

impl Steps {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

#[test]
fn no_key_stream_is_used_twice_whatever_keys_come_back() {
    // Few keys come back often, many are more than are remembered.
    for keys in [3, 60] {
        let mut steps = Steps(keys);
        // Two suites have the same octets.
        let drawn = |number: u64| {
            let suite = [SHA, Suite::AesCm128HmacSha1_32, Suite::AeadAes256Gcm];
            let seed = u8::try_from(number / 2).unwrap();
            key(suite[usize::try_from(number % 3).unwrap()], seed)
        };
        let mut ours = Contexts::new(&plan(drawn(0), key(SHA, 200))).unwrap();
        let (mut seen, mut seen_reports) = (BTreeSet::new(), BTreeSet::new());
        let (mut sequence, mut refused) = (60_000_u16, 0);
        for _ in 0..6_000 {
            match steps.below(10) {
                0 => {
                    let plan = plan(drawn(steps.below(keys)), key(SHA, 200));
                    let has_moved = steps.below(3) == 0;
                    ours.renegotiate(&plan, has_moved).unwrap();
                }
                1 => {
                    let mut plain = report(7);
                    plain[8..].fill(0);
                    let sent = protected_report(ours.send_mut(), &plain);
                    assert!(seen_reports.insert(sent[8..20].to_vec()), "a report");
                }
                2 => sequence = sequence.wrapping_add(20_000),
                3 => sequence = sequence.wrapping_sub(40),
                _ => {
                    sequence = sequence.wrapping_add(1);
                    match protected(ours.send_mut(), &zeros(sequence)) {
                        Ok(sent) => assert!(seen.insert(sent[12..44].to_vec()), "{sequence}"),
                        Err(DropReason::SrtpIndexUsed) => refused += 1,
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
        }
        assert!(seen.len() > 1_500, "{} sent, {refused} refused", seen.len());
    }
}

/// RFC 3711 §3.3.1, RFC 4568 §7.1.4.
#[test]
fn the_roll_over_counter_goes_on_under_a_new_key_and_is_zero_for_who_has_moved() {
    for has_moved in [false, true] {
        let mut ours = Contexts::new(&plan(key(SHA, 1), key(SHA, 2))).unwrap();
        let highest = Window::at(3 * ROUND + 100);
        ours.send_mut().streams_mut().set(Ssrc(7), highest);
        ours.renegotiate(&plan(key(SHA, 3), key(SHA, 2)), has_moved)
            .unwrap();
        let next = if has_moved { 0 } else { 3 * ROUND + 101 };
        assert_eq!(ours.next_index(Ssrc(7)), next);
        let sent = protected(ours.send_mut(), &packet(7, 101)).unwrap();
        let mut peer = ReceiveContext::new(&key(SHA, 3)).unwrap();
        let heard = peer.unprotect_rtp(&mut sent.clone());
        assert_eq!(heard.is_ok(), has_moved, "a counter of zero");
        peer.streams_mut().set(Ssrc(7), Window::at(3 * ROUND + 90));
        let heard = peer.unprotect_rtp(&mut sent.clone());
        assert_eq!(heard.is_ok(), !has_moved, "a counter of three");
    }
}

#[test]
fn a_key_that_comes_back_goes_on_where_it_was_left() {
    let (first, second) = (key(Suite::AeadAes128Gcm, 1), key(SHA, 2));
    let receive = key(SHA, 9);
    let mut ours = Contexts::new(&plan(first.clone(), receive.clone())).unwrap();
    let highest = Window::at(ROUND + 10);
    ours.send_mut().streams_mut().set(Ssrc(7), highest);
    for has_moved in [true, false, true] {
        ours.renegotiate(&plan(second.clone(), receive.clone()), has_moved)
            .unwrap();
        protected(ours.send_mut(), &packet(7, 11)).unwrap_or_default();
        ours.renegotiate(&plan(first.clone(), receive.clone()), has_moved)
            .unwrap();
        assert!(ours.next_index(Ssrc(7)) > ROUND + 10, "{has_moved}");
    }
}

#[test]
fn a_key_that_the_cipher_refuses_changes_nothing() {
    let refused = MasterKey::new(SHA, &[REFUSED_IN_TESTS; 30]).unwrap();
    let mut ours = Contexts::new(&plan(key(SHA, 1), key(SHA, 2))).unwrap();
    let mut peer = SendContext::new(&key(SHA, 2)).unwrap();
    let heard = protected(&mut peer, &packet(7, 5)).unwrap();
    taken(&mut ours, &heard).unwrap();
    protected(ours.send_mut(), &packet(7, 5)).unwrap();
    for (send, receive) in [(refused.clone(), key(SHA, 4)), (key(SHA, 3), refused)] {
        assert!(ours.renegotiate(&plan(send, receive), true).is_none());
        assert_eq!(ours.next_index(Ssrc(7)), 6);
        assert_eq!(taken(&mut ours, &heard), Err(DropReason::SrtpReplay));
        assert!(!ours.has_previous());
    }
    ours.renegotiate(&plan(key(SHA, 1), key(SHA, 2)), false)
        .unwrap();
    let again = protected(ours.send_mut(), &packet(7, 5));
    assert_eq!(again, Err(DropReason::SrtpIndexUsed));
}

#[test]
fn what_was_heard_under_a_key_is_a_replay_when_the_key_comes_back() {
    for suite in Suite::ALL {
        let with = |receive| plan(key(suite, 100), key(suite, receive));
        let mut ours = Contexts::new(&with(1)).unwrap();
        let mut peer = SendContext::new(&key(suite, 1)).unwrap();
        let recorded: Vec<_> = (5..9)
            .map(|sequence| protected(&mut peer, &packet(7, sequence)).unwrap())
            .collect();
        let said = protected_report(&mut peer, &report(7));
        for octets in &recorded {
            taken(&mut ours, octets).unwrap();
        }
        taken_report(&mut ours, &said).unwrap();
        for other in 2..7 {
            ours.renegotiate(&with(other), false).unwrap();
            let mut peer = SendContext::new(&key(suite, other)).unwrap();
            let octets = protected(&mut peer, &packet(7, 5)).unwrap();
            taken(&mut ours, &octets).unwrap();
        }
        ours.renegotiate(&with(1), false).unwrap();
        for octets in &recorded {
            assert!(taken(&mut ours, octets).is_err(), "{suite:?}");
        }
        assert!(taken_report(&mut ours, &said).is_err());
        let next = protected(&mut peer, &packet(7, 9)).unwrap();
        taken(&mut ours, &next).unwrap();
    }
}

/// The tag of the one is the begin of the tag of the other.
#[test]
fn a_key_under_another_suite_is_the_same_key() {
    let octets: Vec<u8> = (0..30).collect();
    let long = MasterKey::new(SHA, &octets).unwrap();
    let short = MasterKey::new(Suite::AesCm128HmacSha1_32, &octets).unwrap();
    let mut ours = Contexts::new(&plan(long.clone(), long.clone())).unwrap();
    let mut peer = SendContext::new(&long).unwrap();
    let heard = protected(&mut peer, &packet(7, 5)).unwrap();
    taken(&mut ours, &heard).unwrap();
    let sent = protected(ours.send_mut(), &zeros(5)).unwrap();
    ours.renegotiate(&plan(short.clone(), short), true).unwrap();
    let cut = &heard[..heard.len() - 6];
    assert!(taken(&mut ours, cut).is_err());
    let again = protected(ours.send_mut(), &zeros(5)).unwrap();
    assert_ne!(sent[12..44], again[12..44], "another index");
}

/// RFC 3711 §3.3.1: some peers keep the counter over a change of keys.
#[test]
fn a_report_under_a_new_key_ends_neither_the_old_one_nor_its_counter() {
    let mut ours = Contexts::new(&plan(key(SHA, 1), key(SHA, 2))).unwrap();
    let mut old = SendContext::new(&key(SHA, 2)).unwrap();
    for sequence in [40_000, 65_000, 20_000, 50_000, 10_000, 40_000] {
        let octets = protected(&mut old, &packet(7, sequence)).unwrap();
        taken(&mut ours, &octets).unwrap();
    }
    ours.renegotiate(&plan(key(SHA, 1), key(SHA, 3)), false)
        .unwrap();
    let mut new = SendContext::new(&key(SHA, 3)).unwrap();
    taken_report(&mut ours, &protected_report(&mut new, &report(7))).unwrap();
    let late = protected(&mut old, &packet(7, 40_001)).unwrap();
    taken(&mut ours, &late).unwrap();
    ours.end_previous();
    let after = protected(&mut old, &packet(7, 40_002)).unwrap();
    assert!(taken(&mut ours, &after).is_err());
    let kept = Window::at(2 * ROUND + 40_002);
    new.streams_mut().set(Ssrc(7), kept);
    let first = protected(&mut new, &packet(7, 40_003)).unwrap();
    assert_eq!(taken(&mut ours, &first), Ok(()));
}

#[test]
fn while_nothing_came_under_a_new_key_the_one_heard_last_is_the_one_before() {
    let mut ours = Contexts::new(&plan(key(SHA, 1), key(SHA, 2))).unwrap();
    let mut old = SendContext::new(&key(SHA, 2)).unwrap();
    for seed in [3, 4] {
        ours.renegotiate(&plan(key(SHA, 1), key(SHA, seed)), false)
            .unwrap();
    }
    let late = protected(&mut old, &packet(7, 5)).unwrap();
    assert_eq!(taken(&mut ours, &late), Ok(()));
    let mut new = SendContext::new(&key(SHA, 4)).unwrap();
    let first = protected(&mut new, &packet(7, 6)).unwrap();
    assert_eq!(taken(&mut ours, &first), Ok(()));
    let late = protected(&mut old, &packet(7, 7)).unwrap();
    assert!(taken(&mut ours, &late).is_err());
}

#[test]
fn old_packets_of_other_sources_neither_pass_again_nor_cost_the_one_that_speaks() {
    for suite in Suite::ALL {
        let mut ours = Contexts::new(&plan(key(suite, 1), key(suite, 2))).unwrap();
        let mut peer = SendContext::new(&key(suite, 2)).unwrap();
        let mut recorded = Vec::new();
        for ssrc in 100..120 {
            let octets = protected(&mut peer, &packet(ssrc, 5)).unwrap();
            taken(&mut ours, &octets).unwrap();
            recorded.push(octets);
        }
        for sequence in [10, 30_000, 60_000, 20_000, 50_000, 10_000, 40_000] {
            let octets = protected(&mut peer, &packet(7, sequence)).unwrap();
            taken(&mut ours, &octets).unwrap();
        }
        for octets in &recorded {
            assert!(taken(&mut ours, octets).is_err(), "{suite:?}");
        }
        let octets = protected(&mut peer, &packet(7, 40_001)).unwrap();
        assert_eq!(taken(&mut ours, &octets), Ok(()), "{suite:?}");
    }
}

#[test]
fn more_sources_than_are_remembered_are_refused_and_the_others_go_on() {
    let mut ours = Contexts::new(&plan(key(SHA, 1), key(SHA, 2))).unwrap();
    let mut refused = 0;
    for round in [5, 6] {
        for ssrc in 0..1_100 {
            let mut peer = SendContext::new(&key(SHA, 2)).unwrap();
            let octets = protected(&mut peer, &packet(ssrc, round)).unwrap();
            match taken(&mut ours, &octets) {
                Ok(()) => {}
                Err(reason) => {
                    assert_eq!(reason, DropReason::SrtpSources);
                    refused += 1;
                }
            }
        }
    }
    assert_eq!(refused, 2 * (1_100 - 1_028));
}

/// A hold brings two sources: the music, and the phone again.
#[test]
fn five_hundred_holds_under_one_key_are_heard() {
    let mut ours = Contexts::new(&plan(key(SHA, 1), key(SHA, 2))).unwrap();
    let mut recorded = Vec::new();
    for ssrc in 0..1_000 {
        let mut peer = SendContext::new(&key(SHA, 2)).unwrap();
        for sequence in 5..8 {
            let octets = protected(&mut peer, &packet(ssrc, sequence)).unwrap();
            assert_eq!(taken(&mut ours, &octets), Ok(()), "{ssrc}");
            recorded.push(octets);
        }
    }
    for octets in &recorded {
        assert!(taken(&mut ours, octets).is_err(), "and none twice");
    }
}

/// Two for each hold whose music comes from elsewhere.
#[test]
fn after_a_hundred_moves_a_new_peer_still_begins_at_zero() {
    let mut ours = Contexts::new(&plan(key(SHA, 1), key(SHA, 2))).unwrap();
    for sequence in [10_000, 40_000, 60_000, 20_000, 50_000, 10_000] {
        protected(ours.send_mut(), &packet(7, sequence)).unwrap();
    }
    let first = ours.next_index(Ssrc(7));
    assert!(first > 2 * ROUND);
    for seed in 3..103 {
        ours.renegotiate(&plan(key(SHA, seed), key(SHA, 2)), true)
            .unwrap();
        assert_eq!(ours.next_index(Ssrc(7)), 0, "{seed}");
        protected(ours.send_mut(), &packet(7, 40_000)).unwrap();
    }
    ours.renegotiate(&plan(key(SHA, 1), key(SHA, 2)), true)
        .unwrap();
    assert_eq!(ours.next_index(Ssrc(7)), first, "its own key is known");
}

#[test]
fn pictures_that_are_sent_again_thousands_of_packets_late_pass() {
    for suite in Suite::ALL {
        let mut peer = SendContext::of_kind(&key(suite, 1), MediaKind::Video).unwrap();
        let mut ours = ReceiveContext::of_kind(&key(suite, 1), MediaKind::Video).unwrap();
        for sequence in (5..3_000).filter(|sequence| *sequence != 100) {
            let octets = protected(&mut peer, &packet(7, sequence)).unwrap();
            let unprotected = ours.unprotect_rtp(&mut octets.clone()).unwrap();
            ours.accept(unprotected);
        }
        let late = protected(&mut peer, &packet(7, 100)).unwrap();
        let unprotected = ours.unprotect_rtp(&mut late.clone()).unwrap();
        ours.accept(unprotected);
        let again = ours.unprotect_rtp(&mut late.clone()).err();
        assert_eq!(again, Some(DropReason::SrtpReplay), "{suite:?}");
        let again = protected(&mut peer, &packet(7, 100));
        assert_eq!(again, Err(DropReason::SrtpIndexUsed), "{suite:?}");
    }
}
