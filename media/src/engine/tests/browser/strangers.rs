//! What comes from where no browser is, or is not what a browser would say: it changes nothing, and
//! costs what its bound says.

use std::sync::Arc;

use packet_io::NoFaults;

use super::super::harness::{Harness, address};
use super::guest::{Guest, OURS, PORT, THEIRS, harness, harness_with, rtp};
use super::model::{Model, alien, close, failing};
use crate::command::{Report, Target, TransportFailure};
use crate::drop_reason::DropReason;
use crate::dtls::{Failure, KeyExchange as _, Role};
use crate::ice::Refusal;
use crate::limits::{
    HANDSHAKE_DATAGRAMS_KEYED_MAX, HANDSHAKE_DATAGRAMS_MAX, HANDSHAKE_KEYED_PER_SECOND_MAX,
    HANDSHAKE_QUEUE_MAX, HANDSHAKE_STEPS_PER_TURN_MAX, HANDSHAKES_MAX,
};

fn failure(harness: &mut Harness) -> Option<TransportFailure> {
    match harness.reports.pop() {
        Some(Report::TransportFailed { failure, .. }) => Some(failure),
        _ => None,
    }
}

/// What a stranger at `port` has: copies of everything, and octets of its own.
fn attack(harness: &mut Harness, guest: &mut Guest, port: u16) {
    let from = std::net::SocketAddr::from(([198, 51, 100, 66], port));
    let hello = {
        let mut stranger = Model(0x33).begin(harness.now, Role::Client, &[OURS.fingerprint()]);
        let mut buffer = [0; crate::dtls::POLL_BUFFER_SIZE];
        match stranger.poll(&mut buffer) {
            Some(crate::dtls::Output::Datagram(octets)) => octets.to_vec(),
            other => panic!("{other:?}"),
        }
    };
    let mut wrong = guest.check(true);
    wrong[60] ^= 1;
    let mut datagrams = vec![hello, close(Model(0x33)), close(THEIRS), wrong];
    datagrams.push(guest.sound.clone().next());
    datagrams.push(vec![0x80, 201, 0, 1, 0, 0, 0, 9]);
    datagrams.push(vec![0x7f; 40]);
    for datagram in datagrams {
        let left = harness.exchange(address(PORT), from, &datagram);
        assert!(
            left.iter().all(|sent| sent.to != from),
            "no octet goes there"
        );
    }
}

#[test]
fn strangers_change_nothing_before_during_and_after_a_handshake() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    attack(&mut harness, &mut guest, 1);
    guest.nominate(&mut harness);
    attack(&mut harness, &mut guest, 2);
    guest.handshake = Some(THEIRS.begin(harness.now, Role::Client, &[OURS.fingerprint()]));
    let hello = guest.drain().remove(0);
    let answer = guest.exchange(&mut harness, &hello);
    attack(&mut harness, &mut guest, 3);
    let now = harness.now;
    for sent in answer {
        guest
            .handshake
            .as_mut()
            .unwrap()
            .handle_packet(now, &sent.bytes);
    }
    guest.go_on(&mut harness);
    attack(&mut harness, &mut guest, 4);
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
    assert_eq!(harness.dropped(DropReason::BundleForeign), 8);
    assert_eq!(harness.dropped(DropReason::DtlsForeign), 12);
    assert_eq!(harness.dropped(DropReason::UnknownProtocol), 4);
    assert_eq!(harness.dropped(DropReason::StunRefused), 4);
    let begun = harness.worker.counters().transport.handshakes_begun;
    assert_eq!(begun, 1);
    assert!(matches!(harness.reports[..], [Report::TransportUp { .. }]));
}

#[test]
fn a_thousand_sources_without_the_password_get_no_answer_and_leave_nothing() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    let mut wrong = guest.check(true);
    let last = wrong.len() - 20;
    wrong[last] ^= 1;
    let size = wrong.len() - 8;
    wrong.truncate(size);
    let words = u16::try_from(size - 20).unwrap().to_be_bytes();
    wrong[2..4].copy_from_slice(&words);
    for port in 1..=1_000 {
        let from = std::net::SocketAddr::from(([198, 51, 100, 66], port));
        harness.deliver(address(PORT), from, &wrong);
        if port % 100 == 0 {
            harness.turn();
        }
    }
    assert!(harness.sent().is_empty());
    let refused = harness.worker.counters().checks_refused;
    assert_eq!(refused.of(Refusal::Integrity), 1_000);
    guest.nominate(&mut harness);
}

#[test]
fn a_check_that_was_recorded_moves_nothing() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    let check = guest.check(true);
    assert_eq!(guest.exchange(&mut harness, &check).len(), 1);
    guest.shake(&mut harness);
    let elsewhere = address("198.51.100.66:9");
    assert!(
        harness
            .exchange(address(PORT), elsewhere, &check)
            .is_empty()
    );
    let left = rtp(guest.speak(&mut harness));
    assert_eq!(left[0].to, guest.at);
    let refused = harness.worker.counters().checks_refused;
    assert_eq!(refused.of(Refusal::Replayed), 1);
}

/// RFC 7675 §5.1: the browser is gone, and somebody sends what it sent, under its address.
#[test]
fn a_check_that_was_recorded_keeps_nobody_there_under_the_address_of_the_browser() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    let check = guest.check(true);
    let mut reports = Vec::new();
    for _ in 0..30 {
        guest.exchange(&mut harness, &check);
        harness.pass_ms(2_000);
        reports.append(&mut harness.reports);
    }
    assert!(
        matches!(
            reports[..],
            [
                Report::TransportSilent { .. },
                Report::TransportFailed {
                    failure: TransportFailure::ConsentExpired,
                    ..
                }
            ]
        ),
        "{reports:?}"
    );
    let refused = harness.worker.counters().checks_refused;
    assert!(refused.of(Refusal::Replayed) > 10);
}

#[test]
fn another_certificate_than_the_description_names_gives_no_media() {
    let mut harness = harness();
    let named = Model(9).fingerprint();
    let mut guest = Guest::begin_as(&mut harness, 1, Target::Echo, Arc::new(THEIRS), named);
    guest.nominate(&mut harness);
    guest.shake(&mut harness);
    let expected = TransportFailure::Handshake(Failure::Fingerprint);
    assert_eq!(failure(&mut harness), Some(expected));
    let plain = guest.sound.next();
    assert!(rtp(guest.exchange(&mut harness, &plain)).is_empty());
    assert_eq!(harness.dropped(DropReason::SrtpUnavailable), 1);
    guest.handshake = Some(THEIRS.begin(harness.now, Role::Client, &[OURS.fingerprint()]));
    guest.go_on(&mut harness);
    assert_eq!(harness.dropped(DropReason::DtlsOver), 1, "it is over");
    guest.plan.fingerprints[0] = THEIRS.fingerprint();
    guest.command(&mut harness);
    guest.shake(&mut harness);
    guest.expect_up(&mut harness);
}

#[test]
fn a_browser_that_ends_its_session_is_reported_once() {
    let mut harness = harness();
    let guest = Guest::up(&mut harness, 1, Target::Echo);
    for _ in 0..3 {
        guest.exchange(&mut harness, &close(THEIRS));
        harness.turn();
    }
    assert_eq!(failure(&mut harness), Some(TransportFailure::Closed));
    assert!(harness.reports.is_empty());
}

#[test]
fn datagrams_of_handshakes_wait_in_a_bounded_line_and_a_turn_takes_few() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    guest.nominate(&mut harness);
    let mut other = Guest::begin(&mut harness, 2, Target::Echo);
    other.nominate(&mut harness);
    guest.handshake = Some(THEIRS.begin(harness.now, Role::Client, &[OURS.fingerprint()]));
    let hello = guest.drain().remove(0);
    for _ in 0..=HANDSHAKE_DATAGRAMS_MAX {
        harness.deliver(address(PORT), guest.at, &hello);
    }
    harness.deliver(address(PORT), other.at, &hello);
    harness.turn();
    assert_eq!(harness.dropped(DropReason::DtlsQueueFull), 1);
    let received = harness
        .worker
        .counters()
        .transport
        .handshake_datagrams_received;
    assert_eq!(received, 4, "a turn's share");
    assert!(harness.wait.min_wait.is_zero() && harness.wait.until == Some(harness.now));
    harness.turn();
    harness.turn();
    let received = harness
        .worker
        .counters()
        .transport
        .handshake_datagrams_received;
    assert_eq!(received, u64::from(HANDSHAKE_DATAGRAMS_MAX) + 1);
    assert_ne!(
        harness.wait.until,
        Some(harness.now),
        "and the worker sleeps"
    );
    harness.sent();
    harness.turn();
    assert!(harness.pool_is_whole());
}

/// As many browsers as fill it, and half as many again, each with as many as one may have there.
#[test]
fn the_line_of_handshakes_is_bounded_however_many_browsers_stand_in_it() {
    let each = usize::from(HANDSHAKE_DATAGRAMS_MAX);
    let legs = u32::try_from(HANDSHAKE_QUEUE_MAX / each * 3 / 2).unwrap();
    let mut harness = harness_with(NoFaults, Arc::new(OURS), legs);
    let mut guests = Vec::new();
    for number in 1..=legs {
        let mut guest = Guest::begin(&mut harness, number, Target::Echo);
        guest.nominate(&mut harness);
        guests.push(guest);
    }
    let alien = alien(THEIRS);
    for guest in &guests {
        for _ in 0..each {
            harness.deliver(address(PORT), guest.at, &alien);
        }
    }
    let sent = u64::from(legs) * each as u64;
    let mut received = 0;
    while received + harness.dropped(DropReason::DtlsQueueFull) < sent {
        let before = received;
        harness.turn();
        let counters = harness.worker.counters().transport;
        received = counters.handshake_datagrams_received;
        assert!(received > before, "each turn does some");
    }
    let most = HANDSHAKE_QUEUE_MAX as u64 + 2 * u64::from(HANDSHAKE_STEPS_PER_TURN_MAX);
    assert!((100..=most).contains(&received), "{received}");
}

#[test]
fn who_has_keys_leaves_the_line_of_handshakes_to_those_that_come() {
    let mut harness = harness();
    let guest = Guest::up(&mut harness, 1, Target::Echo);
    let alien = alien(THEIRS);
    for _ in 0..HANDSHAKE_DATAGRAMS_MAX {
        harness.deliver(address(PORT), guest.at, &alien);
    }
    harness.turn();
    let beyond = HANDSHAKE_DATAGRAMS_MAX - HANDSHAKE_DATAGRAMS_KEYED_MAX;
    assert_eq!(
        harness.dropped(DropReason::DtlsQueueFull),
        u64::from(beyond)
    );
    for _ in 0..3 * HANDSHAKE_KEYED_PER_SECOND_MAX {
        guest.exchange(&mut harness, &alien);
    }
    let refused = harness.dropped(DropReason::RateExceeded);
    assert!(refused >= u64::from(2 * HANDSHAKE_KEYED_PER_SECOND_MAX));
    harness.pass_ms(1_000);
    guest.exchange(&mut harness, &close(THEIRS));
    assert_eq!(failure(&mut harness), Some(TransportFailure::Closed));
}

#[test]
fn half_handshakes_are_bounded_and_those_beyond_are_put_off() {
    let legs = HANDSHAKES_MAX + 2;
    let mut harness = harness_with(NoFaults, Arc::new(OURS), legs);
    let mut guests: Vec<Guest> = (1..=legs)
        .map(|number| {
            let mut guest = Guest::begin(&mut harness, number, Target::Echo);
            guest.nominate(&mut harness);
            guest.handshake = Some(THEIRS.begin(harness.now, Role::Client, &[OURS.fingerprint()]));
            let hello = guest.drain().remove(0);
            guest.exchange(&mut harness, &hello);
            guest
        })
        .collect();
    let counters = harness.worker.counters();
    assert_eq!(
        counters.transport.handshakes_begun,
        u64::from(HANDSHAKES_MAX)
    );
    assert_eq!(harness.dropped(DropReason::DtlsHandshakesFull), 2);
    guests[0].shake(&mut harness);
    guests[0].expect_up(&mut harness);
    let last = guests.last_mut().unwrap();
    last.shake(&mut harness);
    last.expect_up(&mut harness);
    for _ in 0..4 {
        harness.pass_ms(9_000);
        for guest in &mut guests {
            let check = guest.check(false);
            guest.exchange(&mut harness, &check);
        }
    }
    let failures = harness.worker.counters().transports_failed;
    let timeout = TransportFailure::Handshake(Failure::Timeout);
    assert_eq!(failures.of(timeout), u64::from(HANDSHAKES_MAX) - 1);
    assert_eq!(failures.of(TransportFailure::HandshakesFull), 1);
}

#[test]
fn who_speaks_from_the_address_of_another_browser_does_not_take_it() {
    does_not_take_it(false);
}

/// Whoever has keys can end what they came from, and has them still.
#[test]
fn nobody_takes_the_address_of_a_browser_whose_session_has_failed_after_its_keys() {
    does_not_take_it(true);
}

fn does_not_take_it(has_failed: bool) {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    if has_failed {
        guest.exchange(&mut harness, &failing(THEIRS));
        assert!(harness.reports.is_empty(), "its keys hold");
    }
    let mut thief = Guest::begin(&mut harness, 2, Target::Echo);
    thief.at = guest.at;
    thief.nominate(&mut harness);
    assert_eq!(harness.worker.counters().transport.nominations_taken, 1);
    let left = rtp(guest.speak(&mut harness));
    assert!(guest.unprotect(&left[0]).is_some());
    // A browser that has gone silent there has left it.
    harness.pass_ms(11_000);
    assert!(matches!(
        harness.reports.pop(),
        Some(Report::TransportSilent { .. })
    ));
    thief.nominate(&mut harness);
    thief.shake(&mut harness);
    let left = rtp(thief.speak(&mut harness));
    assert!(thief.unprotect(&left[0]).is_some());
}
