//! Where a browser is, and who says so: checks, what keys have authenticated, and copies of both.

use std::net::SocketAddr;

use super::super::harness::address;
use super::guest::{Guest, PORT, call, credentials, heard_at, peer_credentials, rtp};
use crate::command::Report;
use crate::drop_reason::DropReason;
use crate::ice::Refusal;
use crate::limits::{ICE_CHECKS_KEPT_MAX, ICE_CHECKS_RECENT_MAX, NOMINATION_PROOF_MAX};

/// A receiver report about nothing.
fn report(guest: &mut Guest) -> Vec<u8> {
    let mut octets = vec![0x80, 201, 0, 1];
    octets.extend(guest.sound.ssrc.to_be_bytes());
    guest.protect_rtcp(octets)
}

#[test]
fn who_said_nothing_under_keys_for_long_is_heard_again_by_media_by_reports_and_by_a_restart() {
    for seconds in [20, 50] {
        for way in 0..3 {
            let (mut harness, phone, mut guest, mut stream) = call();
            guest.at = address("203.0.113.66:6000");
            for _ in 0..2 {
                let check = guest.check(true);
                guest.exchange(&mut harness, &check);
            }
            let at = heard_at(&mut harness, phone, &mut stream);
            assert_eq!(at, Some(guest.at));
            guest.check_on(&mut harness, seconds);
            let counters = harness.worker.counters();
            assert_eq!(counters.transport.nominations_unproven, 1);
            let at = heard_at(&mut harness, phone, &mut stream);
            assert_ne!(at, Some(guest.at));
            let is_silent = |report: &Report| matches!(report, Report::TransportSilent { .. });
            assert_eq!(at.is_none(), harness.reports.iter().any(is_silent));
            match way {
                0 => assert_eq!(rtp(guest.speak(&mut harness)).len(), 1),
                1 => {
                    let report = report(&mut guest);
                    guest.exchange(&mut harness, &report);
                }
                _ => {
                    guest.plan.ours = credentials(77);
                    guest.plan.peer = peer_credentials(b"peerAgain");
                    guest.command(&mut harness);
                    guest.nominate(&mut harness);
                }
            }
            let at = heard_at(&mut harness, phone, &mut stream);
            assert_eq!(at, Some(guest.at), "{seconds} {way}");
            let is_back = |report: &Report| matches!(report, Report::TransportBack { .. });
            let (silent, back) = (
                harness.reports.iter().filter(|it| is_silent(it)).count(),
                harness.reports.iter().filter(|it| is_back(it)).count(),
            );
            assert_eq!(silent, back, "{seconds} {way}");
        }
    }
}

#[test]
fn who_said_nothing_elsewhere_is_sent_to_again_where_it_was_heard_and_still_checks() {
    let (mut harness, phone, mut guest, mut stream) = call();
    let home = guest.at;
    let elsewhere = address("203.0.113.66:6000");
    for round in 0..60 {
        harness.pass_ms(1_000);
        guest.at = home;
        let check = guest.check(false);
        guest.exchange(&mut harness, &check);
        guest.at = elsewhere;
        if round < 12 {
            let check = guest.check(true);
            guest.exchange(&mut harness, &check);
        }
        let at = heard_at(&mut harness, phone, &mut stream);
        assert!(
            at == Some(elsewhere) || !(2..12).contains(&round),
            "{round}"
        );
        assert!(at == Some(home) || round < 20, "{round}");
    }
    assert!(
        harness
            .reports
            .iter()
            .all(|it| matches!(it, Report::Latched { .. } | Report::TransportUp { .. }))
    );
}

/// Whoever can listen has the checks of before, and may send them from where it is.
#[test]
fn copies_of_checks_move_nothing_from_who_speaks_however_old_and_from_nobody_for_long() {
    let most = ICE_CHECKS_KEPT_MAX + ICE_CHECKS_RECENT_MAX;
    let plays = [(65, false), (65, true), (most - 5, true), (most + 10, true)];
    for (between, speaks) in plays {
        let (mut harness, phone, mut guest, mut stream) = call();
        let home = guest.at;
        let old = [guest.check(true), guest.check(true)];
        for check in &old {
            guest.exchange(&mut harness, check);
        }
        for _ in 0..between {
            let check = guest.check(false);
            guest.exchange(&mut harness, &check);
        }
        let stranger = address("198.51.100.66:9");
        for _ in 0..30 {
            if speaks {
                assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
            }
            for check in &old {
                harness.exchange(address(PORT), stranger, check);
            }
            let at = heard_at(&mut harness, phone, &mut stream);
            assert_eq!(at, Some(home), "{between} {speaks}");
        }
        let refused = harness.worker.counters().checks_refused;
        let is_known = between < most;
        assert_eq!(refused.of(Refusal::Replayed), if is_known { 60 } else { 0 });
    }
}

#[test]
fn a_packet_that_no_leg_takes_moves_nothing() {
    let (mut harness, phone, mut guest, mut stream) = call();
    let home = guest.at;
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
    guest.at = address("203.0.113.66:6000");
    let check = guest.check(false);
    guest.exchange(&mut harness, &check);
    let plain = guest.picture.next();
    let alien = guest.protect(plain);
    for _ in 0..3 {
        guest.exchange(&mut harness, &alien);
        assert_eq!(heard_at(&mut harness, phone, &mut stream), Some(home));
    }
    assert_eq!(harness.dropped(DropReason::PayloadNotNegotiated), 3);
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
    assert_eq!(heard_at(&mut harness, phone, &mut stream), Some(guest.at));
}

/// RFC 8445 §19.5.1: another port of the same host each time, before the last is given up.
#[test]
fn a_host_that_is_named_by_one_port_after_the_other_is_sent_to_no_longer_than_by_one() {
    let (mut harness, phone, mut guest, mut stream) = call();
    let mut sent_there = 0;
    for second in 0..90_u16 {
        guest.at = SocketAddr::from(([203, 0, 113, 66], 6_000 + second / 5));
        for _ in 0..2 {
            let check = guest.check(true);
            guest.exchange(&mut harness, &check);
        }
        for _ in 0..50 {
            harness.now += std::time::Duration::from_millis(20);
            let at = heard_at(&mut harness, phone, &mut stream);
            sent_there += u32::from(at.is_some_and(|at| at.ip() == guest.at.ip()));
        }
    }
    let most = u32::try_from(NOMINATION_PROOF_MAX.as_secs()).unwrap() * 50;
    assert!((500..=most + 50).contains(&sent_there), "{sent_there}");
}
