//! Nobody is sent media who has not shown that it arrives: by an answer, or by the end of a handshake.

use std::sync::Arc;

use super::super::harness::{Harness, Sent, Stream, address, plan};
use super::guest::{Guest, OURS, PORT, THEIRS, call, harness, harness_with, heard_at, is_ask, rtp};
use crate::command::{Report, Target};
use crate::drop_reason::DropReason;
use crate::dtls::tests::endpoint;
use crate::dtls::{KeyExchange, Role};
use crate::ice::Refusal;
use crate::ice::stun::Response;
use crate::ingress::{Protocol, classify};
use crate::limits::{HANDSHAKE_UNREACHED_BYTES_MAX, ICE_ASKS_MAX, ICE_CONSENT_MAX};
use packet_io::NoFaults;

const VICTIM: &str = "203.0.113.66:6000";

/// One datagram that says that it is from there, and all that left.
fn spoof(harness: &mut Harness, from: &str, datagram: &[u8], left: &mut Vec<Sent>) {
    left.extend(harness.exchange(address(PORT), address(from), datagram));
}

/// Who has every credential and every key writes the address of somebody else on checks, reports, sound and
/// hellos for a minute, and is silent where it is.
#[test]
fn an_address_that_somebody_else_names_gets_a_few_requests_and_no_media() {
    let (mut harness, phone, mut guest, mut stream) = call();
    let home = guest.at;
    guest.answers = false;
    let (mut left, mut checks_bytes, mut others_bytes) = (Vec::new(), 0, 0);
    for second in 0..60 {
        for _ in 0..10 {
            let check = guest.check(true);
            checks_bytes += check.len();
            spoof(&mut harness, VICTIM, &check, &mut left);
            let hello = [&[22, 1][..], &[THEIRS.0; 32]].concat();
            others_bytes += hello.len();
            spoof(&mut harness, VICTIM, &hello, &mut left);
            let plain = guest.sound.next();
            let sound = guest.protect(plain);
            spoof(&mut harness, VICTIM, &sound, &mut left);
            harness.pass_ms(100);
            left.extend(harness.sent());
            if second < 25 {
                let at = heard_at(&mut harness, phone, &mut stream);
                assert!(at.is_none_or(|at| at == home), "{second}: {at:?}");
            }
        }
    }
    let victim = address(VICTIM);
    left.retain(|sent| sent.to == victim);
    let (asks, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(is_ask);
    let is_answer = |sent: &Sent| classify(&sent.bytes) == Protocol::Stun;
    assert!(
        rest.iter().all(is_answer),
        "answers to checks and nothing else"
    );
    let answered: usize = rest.iter().map(|sent| sent.bytes.len()).sum();
    assert!(answered < checks_bytes, "{answered} of {checks_bytes}");
    // A series each ten seconds and what it takes itself.
    assert!(
        (5..=5 * usize::from(ICE_ASKS_MAX)).contains(&asks.len()),
        "{}",
        asks.len()
    );
    let asked: usize = asks.iter().map(|sent| sent.bytes.len()).sum();
    assert!(asked < 3_000, "{asked}");
    assert!(others_bytes > 20_000, "a bound that was tried");
    let counters = harness.worker.counters().transport;
    assert!(counters.ways_unproven >= 3, "{}", counters.ways_unproven);
    assert_eq!(counters.ways_proven, 1, "at home");
}

#[test]
fn a_browser_that_goes_elsewhere_is_sent_to_there_as_soon_as_it_answers() {
    let (mut harness, phone, mut guest, mut stream) = call();
    let home = guest.at;
    guest.at = address(VICTIM);
    guest.answers = false;
    harness.pass_ms(6_000);
    harness.sent();
    let check = guest.check(true);
    guest.exchange(&mut harness, &check);
    assert_eq!(heard_at(&mut harness, phone, &mut stream), Some(home));
    let check = guest.check(true);
    guest.exchange(&mut harness, &check);
    assert_eq!(heard_at(&mut harness, phone, &mut stream), Some(home));
    harness.pass_ms(300);
    let asks: Vec<Sent> = harness.sent().into_iter().filter(is_ask).collect();
    let answer = guest.answer(asks.last().expect("repeated by itself"));
    guest.exchange(&mut harness, &answer);
    assert_eq!(heard_at(&mut harness, phone, &mut stream), Some(guest.at));
    assert!(
        harness
            .reports
            .iter()
            .all(|it| !matches!(it, Report::TransportFailed { .. }))
    );
}

#[test]
fn what_comes_from_where_a_browser_goes_is_heard_before_it_is_sent_to_there() {
    let (mut harness, phone, mut guest, mut stream) = call();
    let home = guest.at;
    guest.speak(&mut harness);
    guest.at = address(VICTIM);
    guest.answers = false;
    let check = guest.check(false);
    guest.exchange(&mut harness, &check);
    for _ in 0..5 {
        let left = rtp(guest.speak(&mut harness));
        assert_eq!((left.len(), left[0].to), (1, phone.peer));
        assert_eq!(heard_at(&mut harness, phone, &mut stream), Some(home));
    }
    guest.answers = true;
    harness.pass_ms(300);
    let asks: Vec<Sent> = harness.sent().into_iter().filter(is_ask).collect();
    let answer = guest.answer(asks.last().expect("it is asked"));
    guest.exchange(&mut harness, &answer);
    assert_eq!(heard_at(&mut harness, phone, &mut stream), Some(guest.at));
}

#[test]
fn who_never_answers_elsewhere_is_sent_to_where_it_was_until_consent_ends() {
    let (mut harness, phone, mut guest, mut stream) = call();
    let home = guest.at;
    guest.at = address(VICTIM);
    guest.answers = false;
    for second in 0..ICE_CONSENT_MAX.as_secs() + 2 {
        harness.pass_ms(1_000);
        let check = guest.check(true);
        guest.exchange(&mut harness, &check);
        let at = heard_at(&mut harness, phone, &mut stream);
        let expected = (second < ICE_CONSENT_MAX.as_secs() - 1).then_some(home);
        assert!(
            at == expected || second >= ICE_CONSENT_MAX.as_secs() - 1,
            "{second} {at:?}"
        );
    }
    assert_eq!(heard_at(&mut harness, phone, &mut stream), None);
}

#[test]
fn responses_that_nobody_waits_for_prove_nothing_and_are_named() {
    let (mut harness, phone, mut guest, mut stream) = call();
    let home = guest.at;
    guest.at = address(VICTIM);
    guest.answers = false;
    for _ in 0..2 {
        let check = guest.check(true);
        guest.exchange(&mut harness, &check);
    }
    let password = guest.plan.peer.password().to_vec();
    let guessed = Response::Success(address(PORT)).write(&[9; 12], &password);
    for number in 0..100_u8 {
        let guess = Response::Success(address(PORT)).write(&[number; 12], &password);
        guest.exchange(&mut harness, &guess);
    }
    harness.exchange(address(PORT), address("203.0.113.77:1"), &guessed);
    harness.exchange(address(PORT), home, &guessed);
    let refused = harness.worker.counters().checks_refused;
    assert_eq!(refused.of(Refusal::ResponseForeign), 100);
    assert_eq!(
        refused.of(Refusal::Response),
        2,
        "from nobody, and from where nothing waits"
    );
    assert_eq!(harness.dropped(DropReason::StunRefused), 102);
    assert_eq!(heard_at(&mut harness, phone, &mut stream), Some(home));
}

/// Nothing is waited for between the keys and the first packet, though nothing was answered.
#[test]
fn a_handshake_that_went_to_one_place_alone_proves_it_in_both_roles() {
    for role in [Role::Server, Role::Client] {
        let mut harness = harness();
        let phone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
        let mut guest = Guest::begin(&mut harness, 1, Target::Leg(phone.pair));
        harness.update(phone, plan("198.51.100.1:4000"), Target::Leg(guest.audio));
        guest.answers = false;
        if role == Role::Client {
            guest.plan.role = role;
            guest.command(&mut harness);
            let server = THEIRS.begin(harness.now, Role::Server, &[OURS.fingerprint()]);
            guest.handshake = Some(server);
        }
        let check = guest.check(true);
        let left = guest.exchange(&mut harness, &check);
        for sent in left
            .iter()
            .filter(|it| classify(&it.bytes) == Protocol::Dtls)
        {
            let handshake = guest.handshake.as_mut().unwrap();
            handshake.handle_packet(harness.now, &sent.bytes);
        }
        let mut stream = Stream::new(5);
        assert_eq!(heard_at(&mut harness, phone, &mut stream), None);
        guest.shake(&mut harness);
        assert!(guest.keys.is_some(), "{role:?}");
        let at = heard_at(&mut harness, phone, &mut stream);
        assert_eq!(at, Some(guest.at), "{role:?}");
    }
}

/// Its last flight says another source than the rest: that may be anybody's.
#[test]
fn a_handshake_that_ends_elsewhere_than_it_went_proves_nothing() {
    for answers in [false, true] {
        let mut harness = harness();
        let phone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
        let mut guest = Guest::begin(&mut harness, 1, Target::Leg(phone.pair));
        harness.update(phone, plan("198.51.100.1:4000"), Target::Leg(guest.audio));
        guest.answers = false;
        let home = guest.at;
        for at in [VICTIM.parse().unwrap(), home] {
            guest.at = at;
            let check = guest.check(false);
            guest.exchange(&mut harness, &check);
        }
        let handshake = THEIRS.begin(harness.now, Role::Client, &[OURS.fingerprint()]);
        guest.handshake = Some(handshake);
        let hello = guest.drain().remove(0);
        let left = guest.exchange(&mut harness, &hello);
        let flight = left.iter().find(|it| classify(&it.bytes) == Protocol::Dtls);
        let handshake = guest.handshake.as_mut().unwrap();
        handshake.handle_packet(harness.now, &flight.unwrap().bytes);
        guest.at = address(VICTIM);
        guest.answers = answers;
        let check = guest.check(true);
        guest.exchange(&mut harness, &check);
        let last = guest.drain().remove(0);
        guest.exchange(&mut harness, &last);
        assert!(guest.keys.is_some());
        assert_eq!(harness.worker.counters().transport.handshakes_done, 1);
        let mut stream = Stream::new(5);
        let at = heard_at(&mut harness, phone, &mut stream);
        assert_eq!(at, None, "{answers}");
        if answers {
            harness.pass_ms(300);
            for ask in harness
                .sent()
                .iter()
                .filter(|it| is_ask(it) && it.to == guest.at)
            {
                let answer = guest.answer(ask);
                guest.exchange(&mut harness, &answer);
            }
            let at = heard_at(&mut harness, phone, &mut stream);
            assert_eq!(at, Some(guest.at));
        }
    }
}

/// By the library itself, whose hello is long and repeated: it is drawn by a check alone.
#[test]
fn who_answers_nothing_draws_two_datagrams_of_a_handshake() {
    let mut harness = harness_with(NoFaults, Arc::new(endpoint()), 4);
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    guest.answers = false;
    guest.plan.role = Role::Client;
    guest.command(&mut harness);
    let check = guest.check(true);
    let mut left = guest.exchange(&mut harness, &check);
    for _ in 0..250 {
        harness.pass_ms(100);
        left.extend(harness.sent());
    }
    left.retain(|it| classify(&it.bytes) == Protocol::Dtls);
    let went: usize = left.iter().map(|sent| sent.bytes.len()).sum();
    assert!((1..=2).contains(&left.len()), "{}", left.len());
    assert!(went <= HANDSHAKE_UNREACHED_BYTES_MAX, "{went}");
    let counters = harness.worker.counters().transport;
    assert!(
        counters.handshake_datagrams_withheld >= 4,
        "{went} {counters:?}"
    );
}
