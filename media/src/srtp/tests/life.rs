//! What a context does over the life of a call.

use std::collections::BTreeMap;

use super::{key, packet, report};
use crate::drop_reason::DropReason;
use crate::rtp::Ssrc;
use crate::srtp::window::{RTCP_INDICES, RTP_INDICES, Window};
use crate::srtp::{Contexts, ReceiveContext, SendContext, SrtpPlan, Suite};

fn pair(suite: Suite, seed: u8) -> (SendContext, ReceiveContext) {
    let key = key(suite, seed);
    (
        SendContext::new(&key).unwrap(),
        ReceiveContext::new(&key).unwrap(),
    )
}

fn protected(sender: &mut SendContext, ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut octets = packet(ssrc, sequence);
    octets.resize(octets.len() + sender.rtp_overhead(), 0);
    sender.protect_rtp(&mut octets).unwrap();
    octets
}

fn protected_report(sender: &mut SendContext, ssrc: u32) -> Vec<u8> {
    let mut octets = report(ssrc);
    octets.resize(octets.len() + sender.rtcp_overhead(), 0);
    sender.protect_rtcp(&mut octets).unwrap();
    octets
}

/// Unprotects and takes a packet; gives what it was.
fn taken(receiver: &mut ReceiveContext, octets: &[u8]) -> Result<Vec<u8>, DropReason> {
    let mut octets = octets.to_vec();
    let unprotected = receiver.unprotect_rtp(&mut octets)?;
    receiver.accept(unprotected);
    octets.truncate(unprotected.size);
    Ok(octets)
}

#[test]
fn two_hundred_thousand_packets_with_loss_and_disorder_arrive_in_every_suite() {
    for suite in Suite::ALL {
        let (mut sender, mut receiver) = pair(suite, 1);
        let mut waiting = BTreeMap::new();
        let mut arrived = 0;
        for number in 0..200_000_u32 {
            let sequence = u16::try_from((64_000 + number) % 65_536).unwrap();
            let octets = protected(&mut sender, 7, sequence);
            // A tenth is lost, a stretch of 20,000 altogether; each seventh comes 100 late.
            if number % 10 != 3 && !(70_000..90_000).contains(&number) {
                let late = if number % 7 == 0 { 100 } else { 0 };
                waiting.insert((number + late, number), (sequence, octets));
            }
            while let Some(entry) = waiting.first_entry().filter(|due| due.key().0 <= number) {
                let (sequence, octets) = entry.remove();
                let expected = packet(7, sequence);
                assert_eq!(taken(&mut receiver, &octets), Ok(expected), "{suite:?}");
                if number % 50 == 0 {
                    assert_eq!(taken(&mut receiver, &octets), Err(DropReason::SrtpReplay));
                }
                arrived += 1;
            }
        }
        assert!(arrived > 161_000, "{arrived} arrived");
    }
}

#[test]
fn a_changed_octet_anywhere_fails_authentication() {
    for suite in Suite::ALL {
        let (mut sender, receiver) = pair(suite, 2);
        let octets = protected(&mut sender, 7, 100);
        for at in (0..octets.len()).filter(|at| *at != 0) {
            let mut forged = octets.clone();
            forged[at] ^= 0x40;
            let refused = receiver.unprotect_rtp(&mut forged);
            assert_eq!(
                refused,
                Err(DropReason::SrtpAuthentication),
                "{suite:?} {at}"
            );
        }
        let mut whole = octets.clone();
        let unprotected = receiver.unprotect_rtp(&mut whole).unwrap();
        assert_eq!(whole[..unprotected.size], packet(7, 100));
        let mut short = octets[..12 + suite.rtp_tag_size() - 1].to_vec();
        let refused = receiver.unprotect_rtp(&mut short);
        assert_eq!(refused, Err(DropReason::SrtpNotProtected), "{suite:?}");
    }
}

#[test]
fn a_changed_octet_of_a_report_fails_authentication() {
    for suite in Suite::ALL {
        let (mut sender, receiver) = pair(suite, 3);
        let octets = protected_report(&mut sender, 7);
        for at in 0..octets.len() {
            let mut forged = octets.clone();
            forged[at] ^= 0x40;
            let refused = receiver.unprotect_rtcp(&mut forged);
            assert_eq!(
                refused,
                Err(DropReason::SrtpAuthentication),
                "{suite:?} {at}"
            );
        }
        let mut short = octets[..20].to_vec();
        let refused = receiver.unprotect_rtcp(&mut short);
        let tag = suite.rtcp_tag_size() + 4;
        let expected = if 20 < 8 + tag {
            DropReason::SrtpNotProtected
        } else {
            DropReason::SrtpAuthentication
        };
        assert_eq!(refused, Err(expected), "{suite:?}");
    }
}

/// RFC 4568 §6.2.2: the short tag is of RTP alone.
#[test]
fn a_report_under_the_short_suite_has_ten_octets_of_tag() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_32, 4);
    assert_eq!(protected(&mut sender, 7, 1).len(), 172 + 4);
    for index in 0..3_u8 {
        let octets = protected_report(&mut sender, 7);
        assert_eq!(octets.len(), report(7).len() + 4 + 10);
        let end = octets.len() - 10;
        assert_eq!(
            octets[end - 4..end],
            [0x80, 0, 0, index],
            "E flag and index"
        );
        let mut opened = octets.clone();
        let unprotected = receiver.unprotect_rtcp(&mut opened).unwrap();
        receiver.accept(unprotected);
        assert_eq!(opened[..unprotected.size], report(7));
        let again = receiver.unprotect_rtcp(&mut octets.clone());
        assert_eq!(again, Err(DropReason::SrtpReplay));
    }
}

#[test]
fn no_index_is_sent_twice() {
    for suite in Suite::ALL {
        let (mut sender, _) = pair(suite, 5);
        for sequence in [500, 502, 501, 700] {
            protected(&mut sender, 7, sequence);
        }
        for used in [500, 501, 502, 700, 300] {
            let mut octets = packet(7, used);
            octets.resize(octets.len() + sender.rtp_overhead(), 0);
            let before = octets.clone();
            let refused = sender.protect_rtp(&mut octets);
            assert_eq!(refused, Err(DropReason::SrtpIndexUsed), "{suite:?} {used}");
            assert_eq!(octets, before);
        }
        protected(&mut sender, 8, 500);
    }
}

/// RFC 3711 §9.2.
#[test]
fn a_key_protects_no_more_than_it_may() {
    let (mut sender, _) = pair(Suite::AeadAes128Gcm, 6);
    let last = Window::at(RTP_INDICES - 2);
    sender.streams_mut().set(Ssrc(7), last);
    protected(&mut sender, 7, 65_535);
    let mut octets = packet(7, 0);
    octets.resize(octets.len() + 16, 0);
    assert_eq!(
        sender.protect_rtp(&mut octets),
        Err(DropReason::SrtpKeyExhausted)
    );
    sender.set_rtcp_sent(RTCP_INDICES - 1);
    let octets = protected_report(&mut sender, 7);
    assert_eq!(octets[octets.len() - 4..], [0xff; 4]);
    let mut octets = report(7);
    octets.resize(octets.len() + 20, 0);
    assert_eq!(
        sender.protect_rtcp(&mut octets),
        Err(DropReason::SrtpKeyExhausted)
    );
}

/// What began near the end of a round before the key was known.
#[test]
fn a_stream_that_has_rolled_over_before_its_first_packet_is_understood() {
    for suite in Suite::ALL {
        let (mut sender, mut receiver) = pair(suite, 7);
        for sequence in [65_530, 65_535, 2] {
            protected(&mut sender, 7, sequence);
        }
        for sequence in 3..10 {
            let octets = protected(&mut sender, 7, sequence);
            assert_eq!(
                taken(&mut receiver, &octets),
                Ok(packet(7, sequence)),
                "{suite:?}"
            );
        }
    }
}

fn contexts(send: u8, receive: u8, suite: Suite) -> SrtpPlan {
    SrtpPlan {
        send: key(suite, send),
        receive: key(suite, receive),
    }
}

fn taken_by(contexts: &mut Contexts, octets: &[u8]) -> Result<Vec<u8>, DropReason> {
    let mut octets = octets.to_vec();
    let unprotected = contexts.unprotect_rtp(&mut octets)?;
    contexts.accept(unprotected);
    octets.truncate(unprotected.size);
    Ok(octets)
}

#[test]
fn the_old_key_is_heard_until_the_new_one_has_authenticated() {
    for suite in Suite::ALL {
        let mut ours = Contexts::new(&contexts(1, 2, suite)).unwrap();
        let mut old = SendContext::new(&key(suite, 2)).unwrap();
        let mut new = SendContext::new(&key(suite, 3)).unwrap();
        let early = protected(&mut old, 7, 100);
        assert_eq!(taken_by(&mut ours, &early), Ok(packet(7, 100)));
        ours.renegotiate(&contexts(1, 3, suite), false).unwrap();
        let late = protected(&mut old, 7, 101);
        assert_eq!(taken_by(&mut ours, &late), Ok(packet(7, 101)), "{suite:?}");
        assert_eq!(taken_by(&mut ours, &late), Err(DropReason::SrtpReplay));
        assert_eq!(taken_by(&mut ours, &early), Err(DropReason::SrtpReplay));
        let unheard = protected(&mut old, 7, 102);
        let first = protected(&mut new, 7, 103);
        assert_eq!(taken_by(&mut ours, &first), Ok(packet(7, 103)), "{suite:?}");
        assert_eq!(
            taken_by(&mut ours, &unheard),
            Err(DropReason::SrtpAuthentication),
            "{suite:?}"
        );
    }
}

#[test]
fn junk_while_the_key_changes_ends_no_key() {
    let suite = Suite::AeadAes256Gcm;
    let mut ours = Contexts::new(&contexts(1, 2, suite)).unwrap();
    ours.renegotiate(&contexts(1, 3, suite), false).unwrap();
    let mut stranger = SendContext::new(&key(suite, 9)).unwrap();
    for sequence in 0..200 {
        let junk = protected(&mut stranger, 7, sequence);
        let refused = taken_by(&mut ours, &junk);
        assert_eq!(refused, Err(DropReason::SrtpAuthentication));
    }
    for seed in [2, 3] {
        let mut peer = SendContext::new(&key(suite, seed)).unwrap();
        let octets = protected(&mut peer, 7, 5);
        assert_eq!(taken_by(&mut ours, &octets), Ok(packet(7, 5)));
    }
}

/// Some peers keep their roll-over counter over a change of keys.
#[test]
fn a_counter_kept_over_a_change_of_keys_is_understood() {
    let suite = Suite::AesCm128HmacSha1_80;
    let mut ours = Contexts::new(&contexts(1, 2, suite)).unwrap();
    let mut old = SendContext::new(&key(suite, 2)).unwrap();
    for sequence in [40_000, 65_000, 20_000, 50_000, 10_000, 40_000_u16] {
        let octets = protected(&mut old, 7, sequence);
        assert_eq!(taken_by(&mut ours, &octets), Ok(packet(7, sequence)));
    }
    ours.renegotiate(&contexts(1, 3, suite), false).unwrap();
    let mut new = SendContext::new(&key(suite, 3)).unwrap();
    new.streams_mut()
        .set(Ssrc(7), Window::at((2 << 16) + 40_000));
    let octets = protected(&mut new, 7, 40_001);
    assert_eq!(taken_by(&mut ours, &octets), Ok(packet(7, 40_001)));
}

#[test]
fn a_key_that_stays_keeps_its_counters_and_one_that_changes_begins_anew() {
    let suite = Suite::AesCm128HmacSha1_80;
    let mut ours = Contexts::new(&contexts(1, 2, suite)).unwrap();
    let mut peer = ReceiveContext::new(&key(suite, 1)).unwrap();
    for sequence in [65_000, 10] {
        let octets = protected(ours.send_mut(), 7, sequence);
        assert_eq!(taken(&mut peer, &octets), Ok(packet(7, sequence)));
    }
    ours.renegotiate(&contexts(1, 2, suite), false).unwrap();
    let octets = protected(ours.send_mut(), 7, 11);
    assert_eq!(taken(&mut peer, &octets), Ok(packet(7, 11)));
    ours.renegotiate(&contexts(4, 2, suite), false).unwrap();
    let octets = protected(ours.send_mut(), 7, 12);
    assert_eq!(
        taken(&mut peer, &octets),
        Err(DropReason::SrtpAuthentication)
    );
    let mut peer = ReceiveContext::new(&key(suite, 4)).unwrap();
    assert_eq!(taken(&mut peer, &octets), Ok(packet(7, 12)));
}

/// RFC 3711 §3.4.
#[test]
fn a_change_of_keys_does_not_reset_the_index_of_reports() {
    let suite = Suite::AeadAes128Gcm;
    let mut ours = Contexts::new(&contexts(1, 2, suite)).unwrap();
    for index in 0..3_u8 {
        let octets = protected_report(ours.send_mut(), 7);
        assert_eq!(octets[octets.len() - 4..], [0x80, 0, 0, index]);
    }
    ours.renegotiate(&contexts(3, 2, suite), false).unwrap();
    let octets = protected_report(ours.send_mut(), 7);
    assert_eq!(octets[octets.len() - 4..], [0x80, 0, 0, 3]);
    ours.send_mut().set_rtcp_sent(RTCP_INDICES - 3);
    let octets = protected_report(ours.send_mut(), 7);
    assert_eq!(octets[octets.len() - 4..], [0x80, 0, 0, 0], "modulo 2^31");
}
