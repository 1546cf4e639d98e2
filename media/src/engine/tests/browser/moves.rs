//! Browsers that move, restart, fall silent and come back.

use std::collections::BTreeSet;

use super::super::harness::{Harness, Sent, Stream, address, plan};
use super::guest::{
    Guest, OURS, PORT, THEIRS, audio_plan, credentials, harness, peer_credentials, rtp,
};
use super::model::{Model, alien, failing};
use crate::command::{Command, Report, Target, TransportFailure};
use crate::drop_reason::DropReason;
use crate::dtls::{KeyExchange as _, Role};
use crate::rtp::RtpView;

/// Chromium and Safari ask for a nomination only when they have used a pair already.
#[test]
fn a_handshake_before_the_nomination_comes_to_keys_and_media_waits_for_it() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    let check = guest.check(false);
    assert_eq!(guest.exchange(&mut harness, &check).len(), 1);
    guest.shake(&mut harness);
    assert!(guest.keys.is_some());
    // Who came to keys from there is there.
    assert!(matches!(harness.reports[..], [Report::TransportUp { .. }]));
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
}

#[test]
fn an_ice_restart_to_another_address_loses_nothing() {
    let mut harness = harness();
    let phone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    let mut guest = Guest::up(&mut harness, 1, Target::Leg(phone.pair));
    harness.update(phone, plan("198.51.100.1:4000"), Target::Leg(guest.audio));
    let mut stream = Stream::new(5);
    let mut sequences = BTreeSet::new();
    let mut speak = |harness: &mut Harness, guest: &mut Guest| {
        let left = rtp(guest.speak(harness));
        assert_eq!((left.len(), left[0].to), (1, phone.peer));
        let left = rtp(harness.exchange(phone.ours, phone.peer, &stream.next()));
        assert_eq!((left.len(), left[0].to), (1, guest.at));
        let plain = guest.unprotect(&left[0]).unwrap();
        assert!(sequences.insert(RtpView::parse(&plain).unwrap().sequence().0));
    };
    for _ in 0..20 {
        speak(&mut harness, &mut guest);
    }
    guest.plan.ours = credentials(77);
    guest.plan.peer = peer_credentials(b"peerAgain");
    guest.command(&mut harness);
    for _ in 0..20 {
        speak(&mut harness, &mut guest);
    }
    let old = guest.at;
    let late = {
        let plain = guest.sound.next();
        guest.protect(plain)
    };
    guest.at = address("203.0.113.200:50000");
    guest.nominate(&mut harness);
    for _ in 0..20 {
        speak(&mut harness, &mut guest);
    }
    let left = rtp(harness.exchange(address(PORT), old, &late));
    assert_eq!(left.len(), 1, "what was under way is heard");
    harness.pass_ms(3_000);
    let later = {
        let plain = guest.sound.next();
        guest.protect(plain)
    };
    assert!(rtp(harness.exchange(address(PORT), old, &late)).is_empty());
    assert!(
        rtp(harness.exchange(address(PORT), old, &later)).is_empty(),
        "no longer"
    );
    let is_latch = |report: &Report| matches!(report, Report::Latched { .. });
    assert!(
        harness.reports.iter().all(is_latch),
        "keys are what they were"
    );
    let handshakes = harness.worker.counters().transport.handshakes_begun;
    assert_eq!(handshakes, 1);
}

#[test]
fn media_from_where_a_browser_has_checked_says_that_it_is_there() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    let first = guest.at;
    let other = address("203.0.113.200:50000");
    let stray = {
        let plain = guest.sound.next();
        guest.protect(plain)
    };
    assert!(rtp(harness.exchange(address(PORT), other, &stray)).is_empty());
    assert_eq!(harness.dropped(DropReason::BundleForeign), 1);
    let old = {
        let plain = guest.sound.next();
        guest.protect(plain)
    };
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
    guest.at = other;
    let check = guest.check(false);
    assert_eq!(guest.exchange(&mut harness, &check).len(), 1);
    let copied = rtp(harness.exchange(address(PORT), other, &old));
    assert!(copied.is_empty(), "nothing later than what was heard");
    assert_eq!(harness.dropped(DropReason::SourceNotLatched), 1);
    guest.at = first;
    assert_eq!(rtp(guest.speak(&mut harness))[0].to, first);
    guest.at = other;
    for _ in 0..5 {
        let left = rtp(guest.speak(&mut harness));
        assert_eq!((left.len(), left[0].to), (1, other));
        assert!(guest.unprotect(&left[0]).is_some());
    }
}

#[test]
fn silence_is_reported_and_so_is_its_end() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    guest.check_on(&mut harness, 12);
    assert!(harness.reports.is_empty());
    for by_media in [false, true] {
        harness.pass_ms(9_900);
        assert!(harness.reports.is_empty());
        harness.pass_ms(200);
        assert!(matches!(
            harness.reports.pop(),
            Some(Report::TransportSilent { pair }) if pair == guest.audio
        ));
        if by_media {
            guest.speak(&mut harness);
        } else {
            let check = guest.check(false);
            guest.exchange(&mut harness, &check);
        }
        assert!(matches!(
            harness.reports.pop(),
            Some(Report::TransportBack { pair }) if pair == guest.audio
        ));
    }
}

#[test]
fn nobody_nominated_in_time_is_a_failure_and_a_restart_begins_again() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    harness.pass_ms(31_000);
    assert!(matches!(
        harness.reports.pop(),
        Some(Report::TransportFailed {
            failure: TransportFailure::NoSource,
            ..
        })
    ));
    harness.pass_ms(60_000);
    assert!(harness.reports.is_empty(), "once");
    guest.plan.ours = credentials(77);
    guest.command(&mut harness);
    guest.nominate(&mut harness);
    guest.shake(&mut harness);
    guest.expect_up(&mut harness);
}

/// RFC 7675 §5.1: nothing is sent to who does not say that it wants it; and it is again after a restart.
#[test]
fn after_consent_has_expired_nothing_is_sent_until_a_restart() {
    is_back_after_a_restart(false);
}

#[test]
fn who_comes_back_under_keys_whose_session_has_failed_is_said_to_be_back() {
    is_back_after_a_restart(true);
}

fn is_back_after_a_restart(has_failed: bool) {
    let mut harness = harness();
    let phone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    let mut guest = Guest::up(&mut harness, 1, Target::Leg(phone.pair));
    if has_failed {
        guest.exchange(&mut harness, &failing(THEIRS));
    }
    harness.update(phone, plan("198.51.100.1:4000"), Target::Leg(guest.audio));
    harness.pass_ms(31_000);
    let failed = harness.reports.pop();
    assert!(matches!(
        failed,
        Some(Report::TransportFailed {
            failure: TransportFailure::ConsentExpired,
            ..
        })
    ));
    harness.sent();
    let mut stream = Stream::new(5);
    assert!(rtp(harness.exchange(phone.ours, phone.peer, &stream.next())).is_empty());
    harness.pass_ms(20_000);
    assert!(harness.sent().iter().all(|sent| sent.to != guest.at));
    assert!(rtp(guest.speak(&mut harness)).is_empty());
    harness.reports.clear();
    guest.plan.ours = credentials(77);
    guest.command(&mut harness);
    guest.nominate(&mut harness);
    assert!(matches!(
        harness.reports.pop(),
        Some(Report::TransportBack { .. })
    ));
    guest.expect_up(&mut harness);
    let left = rtp(harness.exchange(phone.ours, phone.peer, &stream.next()));
    assert!(
        guest.unprotect(&left[0]).is_some(),
        "under the keys of before"
    );
}

#[test]
fn another_certificate_is_another_handshake_and_the_keys_before_hold_until_its_keys() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
    let next = Model(0x55);
    guest.plan.fingerprints[0] = next.fingerprint();
    guest.command(&mut harness);
    for _ in 0..5 {
        let left = rtp(guest.speak(&mut harness));
        assert!(guest.unprotect(&left[0]).is_some());
    }
    guest.handshake = Some(next.begin(harness.now, Role::Client, &[OURS.fingerprint()]));
    guest.go_on(&mut harness);
    guest.expect_up(&mut harness);
    for _ in 0..5 {
        let left = rtp(guest.speak(&mut harness));
        assert_eq!(left.len(), 1);
        assert!(
            guest.unprotect(&left[0]).is_some(),
            "with counters that begin anew"
        );
    }
}

#[test]
fn we_begin_the_handshake_where_the_browser_waits_for_it() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    guest.plan.role = Role::Client;
    guest.command(&mut harness);
    guest.handshake = Some(THEIRS.begin(harness.now, Role::Server, &[OURS.fingerprint()]));
    let check = guest.check(true);
    let now = harness.now;
    for sent in guest.exchange(&mut harness, &check) {
        guest
            .handshake
            .as_mut()
            .unwrap()
            .handle_packet(now, &sent.bytes);
    }
    guest.shake(&mut harness);
    guest.expect_up(&mut harness);
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
}

/// Nothing has come of it from anywhere: where the browser is nominated is all that is known.
#[test]
fn the_first_flights_that_we_begin_follow_the_nomination() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    guest.plan.role = Role::Client;
    guest.command(&mut harness);
    guest.handshake = Some(THEIRS.begin(harness.now, Role::Server, &[OURS.fingerprint()]));
    // What goes to the first address is lost.
    let check = guest.check(true);
    guest.exchange(&mut harness, &check);
    guest.at = address("203.0.113.200:50000");
    for _ in 0..2 {
        let check = guest.check(true);
        guest.exchange(&mut harness, &check);
    }
    harness.pass_ms(2_000);
    guest.hear(&mut harness);
    guest.go_on(&mut harness);
    assert!(guest.keys.is_some());
    assert!(matches!(harness.reports[..], [Report::TransportUp { .. }]));
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
}

/// A new address is no new time, or who goes to and fro holds its legs for ever without any key.
#[test]
fn who_goes_to_and_fro_and_begins_no_handshake_is_waited_for_no_longer() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    let places = [guest.at, address("203.0.113.200:50000")];
    for second in 0..60_usize {
        guest.at = places[second / 10 % 2];
        let check = guest.check(true);
        guest.exchange(&mut harness, &check);
        harness.pass_ms(1_000);
    }
    assert!(harness.worker.counters().transport.nominations >= 4);
    let timeout = TransportFailure::Handshake(crate::dtls::Failure::Timeout);
    assert!(
        matches!(
            harness.reports[..],
            [Report::TransportFailed { failure, .. }] if failure == timeout
        ),
        "{:?}",
        harness.reports
    );
}

/// The first check of a restart may be what finds that consent is over.
#[test]
fn a_restart_in_the_moment_in_which_consent_ends_leaves_the_address_of_before() {
    let mut harness = harness();
    let phone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    let mut guest = Guest::up(&mut harness, 1, Target::Leg(phone.pair));
    harness.update(phone, plan("198.51.100.1:4000"), Target::Leg(guest.audio));
    let check = guest.check(true);
    guest.exchange(&mut harness, &check);
    let over = harness.now + crate::limits::ICE_CONSENT_MAX;
    guest.plan.ours = credentials(77);
    guest.command(&mut harness);
    harness.pass_ms(29_000);
    harness.now = over;
    let old = guest.at;
    guest.at = address("203.0.113.200:50000");
    let check = guest.check(false);
    guest.exchange(&mut harness, &check);
    let mut stream = Stream::new(5);
    for _ in 0..50 {
        harness.now += std::time::Duration::from_millis(20);
        let left = rtp(harness.exchange(phone.ours, phone.peer, &stream.next()));
        assert!(left.iter().all(|sent| sent.to != old), "consent is over");
    }
    let check = guest.check(true);
    guest.exchange(&mut harness, &check);
    let left = rtp(harness.exchange(phone.ours, phone.peer, &stream.next()));
    assert_eq!(left[0].to, guest.at);
}

/// The number of a packet under its key, by its source and sequence number.
fn number(sent: &Sent) -> (u32, u16) {
    let view = RtpView::parse(&sent.bytes).unwrap();
    (view.ssrc().0, view.sequence().0)
}

#[test]
fn no_index_leaves_twice_whether_video_comes_and_goes_or_a_leg_changes() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    let mut left = Vec::new();
    for round in 0..6 {
        guest.add_video(&mut harness, Target::Echo);
        for _ in 0..40 {
            left.extend(rtp(guest.speak(&mut harness)));
            left.extend(rtp(guest.show(&mut harness)));
        }
        harness.command(Command::Update {
            pair: guest.audio,
            plan: audio_plan(),
            target: Target::Echo,
        });
        let video = guest.video.take().unwrap();
        if round % 2 == 0 {
            guest.command(&mut harness);
            harness.command(Command::Disconnect { pair: video });
        } else {
            harness.command(Command::Disconnect { pair: video });
            guest.command(&mut harness);
        }
        harness.command(Command::Acknowledge { pair: video });
    }
    assert_eq!(left.len(), 6 * 80);
    let numbers: BTreeSet<_> = left.iter().map(number).collect();
    assert_eq!(numbers.len(), left.len(), "no number twice");
    for sent in &left {
        assert!(guest.unprotect(sent).is_some(), "and each is believed");
    }
    let sources: BTreeSet<_> = numbers.iter().map(|(ssrc, _)| *ssrc).collect();
    assert_eq!(sources, guest.plan.ssrcs.map(|ssrc| ssrc.0).into());
}

#[test]
fn plans_that_would_use_an_index_twice_or_a_name_of_another_are_refused() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    let refused = |harness: &mut Harness| {
        let failed = harness.reports.pop();
        matches!(
            failed,
            Some(Report::TransportFailed {
                failure: TransportFailure::Plan,
                ..
            })
        )
    };
    let good = guest.plan.clone();
    guest.plan.ssrcs.reverse();
    guest.command(&mut harness);
    assert!(refused(&mut harness), "what the video used");
    guest.plan = good.clone();
    guest.command(&mut harness);
    assert!(harness.reports.is_empty());
    let mut other = Guest::begin(&mut harness, 2, Target::Echo);
    other.plan.ours = good.ours;
    other.command(&mut harness);
    assert!(
        refused(&mut harness),
        "a name that another browser was told"
    );
    let (audio, _) = harness.browser_stock.remove(0);
    harness.command(Command::Connect {
        pair: audio,
        plan: audio_plan(),
        target: Target::Echo,
    });
    other.audio = audio;
    other.plan.ours = credentials(78);
    other.plan.ssrcs = [other.plan.ssrcs[0]; 2];
    other.command(&mut harness);
    assert!(refused(&mut harness), "one key, one source");
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
}

/// RFC 8445 §19.5.1: a guest that names the address of somebody else.
#[test]
fn media_goes_to_a_nominated_address_for_long_only_if_something_under_keys_comes_from_there() {
    goes_there_for_long_only_under_keys(Session::Up);
}

/// A guest may end the session of its keys at will: the keys hold, and what they have to prove too.
#[test]
fn a_session_that_failed_after_its_keys_frees_nobody_from_proving_where_it_is() {
    goes_there_for_long_only_under_keys(Session::Failed);
}

/// Nor does a session that shall be another one, again and again, and never is.
#[test]
fn certificates_that_never_come_free_nobody_from_proving_where_it_is() {
    goes_there_for_long_only_under_keys(Session::Renewed);
}

/// What becomes of the session that the keys are of.
#[derive(Clone, Copy, PartialEq)]
enum Session {
    Up,
    Failed,
    Renewed,
}

fn goes_there_for_long_only_under_keys(session: Session) {
    let mut harness = harness();
    let phone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    let mut guest = Guest::up(&mut harness, 1, Target::Leg(phone.pair));
    if session == Session::Failed {
        guest.exchange(&mut harness, &failing(THEIRS));
        assert!(harness.reports.is_empty(), "its keys hold");
    }
    harness.update(phone, plan("198.51.100.1:4000"), Target::Leg(guest.audio));
    let victim = address("203.0.113.66:6000");
    let home = guest.at;
    let mut stream = Stream::new(5);
    let mut sent_there = 0;
    for round in 0..60 {
        if session == Session::Renewed && round % 10 == 0 {
            guest.plan.fingerprints[0] = Model(round + 100).fingerprint();
            guest.command(&mut harness);
        }
        guest.at = victim;
        for _ in 0..2 {
            let check = guest.check(true);
            guest.exchange(&mut harness, &check);
        }
        for _ in 0..50 {
            harness.now += std::time::Duration::from_millis(20);
            let left = rtp(harness.exchange(phone.ours, phone.peer, &stream.next()));
            let is_there = left.iter().any(|sent| sent.to == victim);
            assert!(!is_there || round < 18, "{round} seconds on");
            sent_there += u32::from(is_there);
        }
    }
    assert!((700..=900).contains(&sent_there), "{sent_there}");
    let counters = harness.worker.counters();
    assert_eq!(counters.transport.nominations_unproven, 1);
    // Where it really is, its media says.
    guest.at = home;
    let check = guest.check(false);
    guest.exchange(&mut harness, &check);
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
    let left = rtp(harness.exchange(phone.ours, phone.peer, &stream.next()));
    assert_eq!(left[0].to, home);
}

#[test]
fn a_fault_over_one_browser_ends_its_transport_and_no_other() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    let mut other = Guest::up(&mut harness, 2, Target::Echo);
    guest.add_video(&mut harness, Target::Echo);
    harness.worker.in_hand = Some(guest.audio.slot);
    harness.worker.handle_panic();
    harness.turn();
    let struck = harness.reports.pop();
    assert!(matches!(struck, Some(Report::Struck { pair }) if pair == guest.audio));
    assert!(rtp(guest.speak(&mut harness)).is_empty());
    let check = guest.check(true);
    assert!(guest.exchange(&mut harness, &check).is_empty());
    harness.pass_ms(20_000);
    harness.reports.clear();
    assert!(harness.sent().iter().all(|sent| sent.to != guest.at));
    assert_eq!(rtp(other.speak(&mut harness)).len(), 1);
    for pair in [guest.audio, guest.video.unwrap()] {
        harness.command(Command::Disconnect { pair });
        harness.command(Command::Acknowledge { pair });
    }
    assert_eq!(harness.browser_stock.len(), 15, "and its legs serve others");
}

#[test]
fn a_handshake_that_nobody_began_is_a_failure_in_time_and_a_restart_tries_again() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    guest.nominate(&mut harness);
    guest.check_on(&mut harness, 31);
    let timeout = TransportFailure::Handshake(crate::dtls::Failure::Timeout);
    let failed = harness.reports.pop();
    assert!(
        matches!(failed, Some(Report::TransportFailed { failure, .. }) if failure == timeout),
        "{failed:?}"
    );
    guest.check_on(&mut harness, 31);
    assert!(harness.reports.is_empty(), "once");
    guest.plan.ours = credentials(77);
    guest.command(&mut harness);
    guest.nominate(&mut harness);
    guest.shake(&mut harness);
    guest.expect_up(&mut harness);
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
}

/// The network was gone before the handshake, and a restart finds another one late.
#[test]
fn a_restart_that_outlives_its_consent_has_the_whole_time_for_its_handshake() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    guest.nominate(&mut harness);
    harness.pass_ms(20_000);
    guest.plan.ours = credentials(77);
    guest.command(&mut harness);
    harness.pass_ms(15_000);
    guest.at = address("203.0.113.99:6000");
    guest.nominate(&mut harness);
    guest.check_on(&mut harness, 10);
    let failed = harness
        .reports
        .iter()
        .find(|it| matches!(it, Report::TransportFailed { .. }));
    assert!(failed.is_none(), "{failed:?}");
    guest.shake(&mut harness);
    guest.expect_up(&mut harness);
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
}

#[test]
fn a_handshake_that_is_given_up_is_told_by_what_broke_it() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    guest.nominate(&mut harness);
    guest.exchange(&mut harness, &alien(THEIRS));
    guest.check_on(&mut harness, 33);
    let broken = TransportFailure::Handshake(crate::dtls::Failure::Protocol);
    let failed = harness.reports.pop();
    assert!(
        matches!(failed, Some(Report::TransportFailed { failure, .. }) if failure == broken),
        "{failed:?}"
    );
    assert!(harness.reports.is_empty(), "once");
}

#[test]
fn a_transport_that_has_failed_fails_no_second_time() {
    let mut harness = harness();
    let mut guest = Guest::begin(&mut harness, 1, Target::Echo);
    guest.nominate(&mut harness);
    guest.exchange(&mut harness, &alien(THEIRS));
    harness.pass_ms(60_000);
    let failed = harness.worker.counters().transports_failed;
    let all = TransportFailure::ALL.map(|failure| failed.of(failure));
    assert_eq!(all.iter().sum::<u64>(), 1, "{all:?}");
    let is_failure = |report: &&Report| matches!(report, Report::TransportFailed { .. });
    assert_eq!(harness.reports.iter().filter(is_failure).count(), 1);
}

/// What its description says: the camera is off, and on again.
#[test]
fn the_same_video_leg_goes_and_comes_back() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    guest.add_video(&mut harness, Target::Echo);
    let video = guest.video;
    let mut left = Vec::new();
    for round in 0..3 {
        for _ in 0..10 {
            left.extend(rtp(guest.show(&mut harness)));
        }
        guest.video = None;
        guest.command(&mut harness);
        assert!(rtp(guest.show(&mut harness)).is_empty(), "{round}");
        guest.video = video;
        guest.command(&mut harness);
    }
    assert_eq!(left.len(), 30);
    let numbers: BTreeSet<_> = left.iter().map(number).collect();
    assert_eq!(numbers.len(), left.len(), "no number twice");
}
