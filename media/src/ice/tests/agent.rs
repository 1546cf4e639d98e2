//! Who is answered, who is nominated, and for how long.

use std::time::{Duration, Instant};

use super::{Check, OURS, PASSWORD, PEER, agent, beginning, peer, source};
use crate::ice::stun::{Attribute, Class, MessageView};
use crate::ice::{Agent, Change, Checked, Consent, Credentials, Refusal};
use crate::limits::{
    ICE_CONSENT_MAX, ICE_NOMINATION_QUIET, ICE_NOMINATION_STALE, ICE_NOMINATION_WAIT_MAX,
    ICE_SOURCE_QUIET, ICE_SOURCES_MAX,
};

const SECOND: Duration = Duration::from_secs(1);
const HIGH: u32 = 2_000_000;
const LOW: u32 = 1_000_000;

#[expect(
    clippy::needless_pass_by_value,
    reason = "what was checked is judged once"
)]
fn change(checked: Checked) -> Change {
    match checked {
        Checked::Answered(_, change) => change,
        Checked::Dropped(refusal) => panic!("{}", refusal.as_str()),
    }
}

fn error(checked: &Checked) -> Option<u16> {
    let Checked::Answered(response, _) = checked else {
        panic!("{checked:?}");
    };
    let view = MessageView::parse(response).unwrap();
    assert_eq!(view.expect_integrity(PASSWORD), Ok(()));
    view.error_code()
}

fn restarted(agent: &mut Agent, now: Instant) -> Check<'static> {
    restarted_as(agent, now, b"nextUfrag")
}

fn restarted_as(agent: &mut Agent, now: Instant, fragment: &[u8]) -> Check<'static> {
    let ours = Credentials::new(fragment, &[b'n'; 24]).unwrap();
    assert!(agent.restart(now, ours, peer(b"nextPeer")));
    Check {
        name: [fragment, b":nextPeer"].concat(),
        password: &[b'n'; 24],
        use_candidate: true,
        ..Check::default()
    }
}

#[test]
fn a_check_is_answered_with_where_it_came_from_under_our_password() {
    let now = beginning();
    let mut agent = agent(now);
    let check = Check {
        transaction: Some(*b"transaction!"),
        ..Check::default()
    };
    let checked = agent.check(now, source(5_000), &check.write(), false);
    let Checked::Answered(response, Change::None) = checked else {
        panic!("{checked:?}");
    };
    let view = MessageView::parse(&response).unwrap();
    assert_eq!(view.class(), Class::Success);
    assert_eq!(view.transaction(), b"transaction!");
    assert_eq!(view.xor_mapped_address(), Some(source(5_000)));
    assert_eq!(view.expect_integrity(PASSWORD), Ok(()));
    assert_eq!(agent.consent(now), Consent::Waiting);
}

/// No reflection: whoever has not the password gets no octet back, and nothing is remembered.
#[test]
fn nothing_is_answered_or_remembered_without_valid_integrity() {
    let now = beginning();
    let mut agent = agent(now);
    let name = |ours: &[u8], peer: &[u8]| [ours, b":", peer].concat();
    let without_integrity = {
        let mut octets = Check::default().write();
        octets.truncate(octets.len() - 8 - 24);
        let size = u16::try_from(octets.len() - 20).unwrap();
        octets[2..4].copy_from_slice(&size.to_be_bytes());
        octets
    };
    let mut wrong_fingerprint = Check::default().write();
    *wrong_fingerprint.last_mut().unwrap() ^= 1;
    let mut indication = Check::default().write();
    indication[1] |= 0x10;
    let fingerprint_at = indication.len() - 8;
    indication.truncate(fingerprint_at);
    let size = u16::try_from(fingerprint_at - 20).unwrap();
    indication[2..4].copy_from_slice(&size.to_be_bytes());
    let cases: [(Vec<u8>, Refusal); 7] = [
        (
            Check {
                password: b"another password of 24..",
                ..Check::default()
            }
            .write(),
            Refusal::Integrity,
        ),
        (
            Check {
                name: name(b"another", PEER),
                ..Check::default()
            }
            .write(),
            Refusal::UsernameForeign,
        ),
        (
            Check {
                name: name(OURS, b"another"),
                ..Check::default()
            }
            .write(),
            Refusal::UsernameForeign,
        ),
        (without_integrity, Refusal::IntegrityMissing),
        (wrong_fingerprint, Refusal::Fingerprint),
        (indication, Refusal::Indication),
        (vec![0; 20], Refusal::NotStun),
    ];
    for (datagram, reason) in cases {
        let checked = agent.check(now, source(5_000), &datagram, false);
        assert_eq!(checked, Checked::Dropped(reason));
    }
    let nowhere = source(0);
    let checked = agent.check(now, nowhere, &Check::default().write(), false);
    assert_eq!(checked, Checked::Dropped(Refusal::SourceAddress));
    assert_eq!(agent.sources(), 0);
    assert_eq!(agent.consent(now), Consent::Waiting);
}

/// Who has listened knows the names of a restart, and the password before it at most.
#[test]
fn a_restart_is_no_further_before_a_check_has_its_password() {
    let now = beginning();
    let mut agent = agent(now);
    let check = restarted(&mut agent, now);
    let forged = Check {
        name: check.name.clone(),
        use_candidate: true,
        ..Check::default()
    };
    let checked = agent.check(now, source(5_000), &forged.write(), false);
    assert_eq!(checked, Checked::Dropped(Refusal::Integrity));
    assert_eq!(agent.fragments().count(), 2, "it is still waited for");
    assert_eq!((agent.sources(), agent.consent(now)), (0, Consent::Waiting));
    let checked = agent.check(now, source(5_001), &check.write(), false);
    assert_eq!(change(checked), Change::Nominated(source(5_001)));
}

/// RFC 8445 §7.3.1.1: an agent that only answers never controls.
#[test]
fn a_peer_that_says_it_is_controlled_is_told_of_the_conflict() {
    let now = beginning();
    let mut agent = agent(now);
    let check = Check {
        use_candidate: true,
        more: vec![(Attribute::IceControlled.number(), &[0xff; 8])],
        ..Check::default()
    };
    let checked = agent.check(now, source(5_000), &check.write(), false);
    assert_eq!(error(&checked), Some(487));
    assert_eq!(agent.consent(now), Consent::Waiting);
}

#[test]
fn unknown_attributes_that_must_be_understood_are_named() {
    let now = beginning();
    let mut agent = agent(now);
    let check = Check {
        use_candidate: true,
        more: vec![(0x7001, &[1]), (0x7002, &[])],
        ..Check::default()
    };
    let checked = agent.check(now, source(5_000), &check.write(), false);
    assert_eq!(error(&checked), Some(420));
    let Checked::Answered(response, Change::None) = checked else {
        panic!("{checked:?}");
    };
    let view = MessageView::parse(&response).unwrap();
    let unknown = view.first(Attribute::UnknownAttributes);
    assert_eq!(unknown, Some(&[0x70, 1, 0x70, 2][..]));
}

#[test]
fn an_attribute_of_another_size_than_it_must_have_is_refused() {
    let now = beginning();
    let mut agent = agent(now);
    for more in [
        (Attribute::IceControlling.number(), &[1_u8; 4][..]),
        (Attribute::IceControlled.number(), &[1; 12]),
        (Attribute::UseCandidate.number(), &[1]),
    ] {
        let check = Check {
            more: vec![more],
            ..Check::default()
        };
        let checked = agent.check(now, source(5_000), &check.write(), false);
        assert_eq!(checked, Checked::Dropped(Refusal::AttributeValue));
    }
}

#[test]
fn who_is_better_gets_the_media_at_once_and_who_is_worse_by_asking_twice() {
    let now = beginning();
    let mut agent = agent(now);
    for (port, priority) in [(5_000, LOW), (5_001, HIGH)] {
        let changed = change(agent.check(now, source(port), &Check::nominating(priority), false));
        assert_eq!(changed, Change::Nominated(source(port)));
        assert_eq!(agent.consent(now), Consent::Granted(source(port)));
    }
    let again = change(agent.check(now, source(5_001), &Check::nominating(LOW), false));
    assert_eq!(again, Change::None, "it is nominated already");
    let asking = Check::nominating(LOW);
    for _ in 0..5 {
        let changed = change(agent.check(now, source(5_000), &asking, false));
        assert_eq!(
            changed,
            Change::None,
            "one check, however often it is repeated"
        );
    }
    let back = change(agent.check(now, source(5_000), &Check::nominating(LOW), false));
    assert_eq!(back, Change::Nominated(source(5_000)));
}

/// RFC 5245 §8.1.1.2, as Firefox does it: each pair asks once, in any order, and the best of them checks on.
#[test]
fn pairs_that_are_all_nominated_once_settle_on_the_best_for_as_long_as_it_checks() {
    let pairs = [(5_000, HIGH), (5_001, LOW), (5_002, LOW + 1)];
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        let mut now = beginning();
        let mut agent = agent(now);
        for (port, priority) in order.map(|at: usize| pairs[at]) {
            change(agent.check(now, source(port), &Check::nominating(priority), false));
        }
        for _ in 0..15 {
            now += SECOND * 4;
            let check = Check {
                priority: HIGH | 126 << 24,
                ..Check::default()
            };
            let changed = change(agent.check(now, source(5_000), &check.write(), false));
            assert_eq!(changed, Change::None);
            assert_eq!(agent.consent(now), Consent::Granted(source(5_000)));
        }
    }
}

#[test]
fn pairs_that_are_all_nominated_again_and_again_settle_on_the_best() {
    let now = beginning();
    let mut agent = agent(now);
    let mut moves = 0;
    for round in 0..20 {
        let now = now + SECOND * round;
        for (port, priority) in [(5_000, LOW), (5_001, HIGH), (5_002, LOW + 1)] {
            let changed =
                change(agent.check(now, source(port), &Check::nominating(priority), false));
            moves += u32::from(changed != Change::None);
        }
    }
    let granted = agent.consent(now + SECOND * 20);
    assert_eq!(granted, Consent::Granted(source(5_001)));
    assert_eq!(moves, 2);
}

#[test]
fn a_pair_that_fell_silent_gives_way_to_a_worse_one_that_asks_and_later_to_one_that_only_checks() {
    let now = beginning();
    let mut silent = agent(now);
    change(silent.check(now, source(5_001), &Check::nominating(HIGH), false));
    let mut other = silent.clone();
    let soon = change(silent.clone().check(
        now + SECOND,
        source(5_000),
        &Check::nominating(LOW),
        false,
    ));
    assert_eq!(soon, Change::None);
    let later = now + ICE_NOMINATION_STALE;
    let stale = change(silent.check(later, source(5_000), &Check::nominating(LOW), false));
    assert_eq!(stale, Change::Nominated(source(5_000)));

    // A browser behind another port of its NAT, which asks no more.
    let check = || Check::default().write();
    let before = now + ICE_NOMINATION_QUIET - SECOND;
    assert_eq!(
        change(other.check(before, source(5_002), &check(), false)),
        Change::None
    );
    let after = now + ICE_NOMINATION_QUIET;
    let moved = change(other.check(after, source(5_002), &check(), false));
    assert_eq!(moved, Change::Nominated(source(5_002)));
}

#[test]
fn a_check_from_another_address_than_before_is_a_copy() {
    let now = beginning();
    let mut agent = agent(now);
    let check = Check::nominating(HIGH);
    change(agent.check(now, source(5_000), &check, false));
    for at in [0, 1, 20] {
        let copied = agent.check(now + SECOND * at, source(6_000), &check, false);
        assert_eq!(copied, Checked::Dropped(Refusal::Replayed));
        change(agent.check(
            now + SECOND * at,
            source(5_000),
            &Check::default().write(),
            false,
        ));
        if at < 10 {
            let repeated = agent.check(now + SECOND * at, source(5_000), &check, false);
            assert_eq!(change(repeated), Change::None, "{at}");
        }
    }
    assert_eq!(agent.sources(), 1, "and takes no place");
}

/// Whoever has recorded one could otherwise keep consent up under the address of a browser that has left.
#[test]
fn a_check_that_is_repeated_for_longer_than_browsers_repeat_them_renews_nothing() {
    let now = beginning();
    let mut agent = agent(now);
    let check = Check::nominating(HIGH);
    change(agent.check(now, source(5_000), &check, false));
    for second in 1..=120 {
        let later = now + SECOND * second;
        let repeated = agent.check(later, source(5_000), &check, false);
        if second <= 8 {
            assert_eq!(change(repeated.clone()), Change::None, "answered again");
        }
        if second > 10 {
            let refusal = if second < 40 {
                Refusal::Replayed
            } else {
                Refusal::ConsentExpired
            };
            assert_eq!(repeated, Checked::Dropped(refusal), "{second}");
        }
    }
}

/// A browser that left after an hour and a half, and who has recorded all that it checked.
#[test]
fn checks_that_were_recorded_for_long_renew_nothing_in_turn() {
    let mut now = beginning();
    let mut agent = agent(now);
    let checks: Vec<_> = (0..2_000).map(|_| Check::nominating(HIGH)).collect();
    for check in &checks {
        change(agent.check(now, source(5_000), check, false));
        now += SECOND * 5 / 2;
    }
    for check in &checks {
        now += SECOND;
        let copied = agent.check(now, source(5_000), check, false);
        assert!(matches!(copied, Checked::Dropped(_)), "{copied:?}");
    }
    assert_eq!(agent.consent(now), Consent::Expired);
}

#[test]
fn what_keys_have_proven_is_where_the_browser_is_if_it_has_checked_from_there() {
    let now = beginning();
    let mut agent = agent(now);
    assert_eq!(
        agent.prove(now, source(5_001)),
        Change::None,
        "never checked"
    );
    change(agent.check(now, source(5_001), &Check::default().write(), false));
    assert_eq!(
        agent.prove(now, source(5_001)),
        Change::Nominated(source(5_001))
    );
    change(agent.check(now, source(5_000), &Check::nominating(HIGH), false));
    assert_eq!(
        agent.prove(now, source(5_001)),
        Change::None,
        "it is nominated"
    );
    let later = now + ICE_CONSENT_MAX - SECOND;
    change(agent.check(later, source(5_002), &Check::default().write(), false));
    let stale = now + ICE_CONSENT_MAX;
    assert_eq!(agent.prove(stale, source(5_000)), Change::None, "long ago");
}

#[test]
fn checks_move_nothing_from_where_a_browser_is_heard_and_who_asked_meanwhile_gets_it_by_its_next() {
    let now = beginning();
    let mut agent = agent(now);
    change(agent.check(now, source(5_000), &Check::nominating(LOW), true));
    assert_eq!(agent.consent(now), Consent::Granted(source(5_000)), "first");
    for second in 0..40 {
        let now = now + SECOND * second;
        let asked = agent.check(now, source(5_001), &Check::nominating(HIGH), true);
        assert_eq!(change(asked), Change::None);
        change(agent.check(now, source(5_000), &Check::default().write(), true));
    }
    let now = now + SECOND * 40;
    let next = agent.check(now, source(5_001), &Check::default().write(), false);
    assert_eq!(change(next), Change::Nominated(source(5_001)));
}

#[test]
fn a_restart_gets_its_time_however_late_it_comes() {
    let now = beginning();
    let mut waiting = agent(now);
    let late = now + ICE_NOMINATION_WAIT_MAX - SECOND;
    restarted(&mut waiting, late);
    assert_eq!(waiting.deadline(), Some(late + ICE_NOMINATION_WAIT_MAX));

    let mut silent = agent(now);
    change(silent.check(now, source(5_000), &Check::nominating(HIGH), false));
    let check = restarted(&mut silent, now + SECOND * 25);
    let expiry = now + ICE_CONSENT_MAX;
    assert!(!silent.expire(expiry - SECOND), "not yet");
    assert_eq!(silent.consent(expiry), Consent::Expired);
    assert!(silent.expire(expiry), "a restart is waited for");
    assert_eq!(silent.consent(expiry), Consent::Waiting);
    let changed = change(silent.check(expiry + SECOND, source(5_001), &check.write(), false));
    assert_eq!(changed, Change::Nominated(source(5_001)));
    assert!(
        !silent.expire(expiry + SECOND + ICE_CONSENT_MAX),
        "nothing is"
    );
}

/// A browser that finds no way begins again every 15 s.
#[test]
fn restarts_one_after_the_other_do_not_put_off_the_end_of_a_browser_that_finds_no_way() {
    let now = beginning();
    let mut waiting = agent(now);
    let first = now + SECOND * 15;
    restarted_as(&mut waiting, first, b"first");
    restarted_as(&mut waiting, first + SECOND * 15, b"second");
    let expiry = first + ICE_NOMINATION_WAIT_MAX;
    assert_eq!(waiting.deadline(), Some(expiry));
    assert_eq!(waiting.consent(expiry), Consent::Expired);

    let mut silent = agent(now);
    change(silent.check(now, source(5_000), &Check::nominating(HIGH), false));
    restarted_as(&mut silent, now + SECOND * 20, b"first");
    let expiry = now + ICE_CONSENT_MAX;
    assert!(silent.expire(expiry), "a restart is waited for");
    let check = restarted_as(&mut silent, expiry + SECOND * 5, b"second");
    assert_eq!(silent.deadline(), Some(expiry + ICE_NOMINATION_WAIT_MAX));

    // Whoever has found one has all of it the next time.
    let found = expiry + SECOND * 6;
    change(silent.check(found, source(5_000), &check.write(), false));
    restarted_as(&mut silent, found + SECOND, b"third");
    let lost = found + ICE_CONSENT_MAX;
    assert!(silent.expire(lost), "a restart is waited for");
    assert_eq!(silent.deadline(), Some(lost + ICE_NOMINATION_WAIT_MAX));
}

/// RFC 7675 §5.1.
#[test]
fn consent_lasts_as_long_as_the_nominated_source_checks() {
    let now = beginning();
    let mut agent = agent(now);
    change(agent.check(now, source(5_000), &Check::nominating(HIGH), false));
    let renewed = now + ICE_CONSENT_MAX - SECOND;
    change(agent.check(renewed, source(5_000), &Check::default().write(), false));
    let expiry = renewed + ICE_CONSENT_MAX;
    assert_eq!(agent.deadline(), Some(expiry));
    // Another source proves nothing about this one.
    let soon = renewed + SECOND * 10;
    change(agent.check(soon, source(5_001), &Check::default().write(), false));
    let before = expiry - Duration::from_millis(1);
    assert_eq!(agent.consent(before), Consent::Granted(source(5_000)));
    assert_eq!(agent.consent(expiry), Consent::Expired);
    let late = agent.check(expiry, source(5_000), &Check::nominating(HIGH), false);
    assert_eq!(late, Checked::Dropped(Refusal::ConsentExpired));
    let check = restarted(&mut agent, expiry);
    let old = agent.check(expiry, source(5_000), &Check::nominating(HIGH), false);
    assert_eq!(old, Checked::Dropped(Refusal::UsernameForeign));
    let changed = change(agent.check(expiry, source(5_000), &check.write(), false));
    assert_eq!(changed, Change::Nominated(source(5_000)), "a restart");
}

#[test]
fn a_browser_that_nominates_nobody_in_time_has_found_no_way() {
    let now = beginning();
    let mut agent = agent(now);
    let expiry = now + ICE_NOMINATION_WAIT_MAX;
    change(agent.check(
        expiry - SECOND,
        source(5_000),
        &Check::default().write(),
        false,
    ));
    assert_eq!(agent.deadline(), Some(expiry));
    assert_eq!(agent.consent(expiry), Consent::Expired);
}

/// RFC 8445 §9.
#[test]
fn a_restart_keeps_the_old_credentials_until_the_first_check_under_the_new() {
    let now = beginning();
    let mut agent = agent(now);
    change(agent.check(now, source(5_000), &Check::nominating(HIGH), false));
    let check = restarted(&mut agent, now);
    let named: Vec<&[u8]> = agent.fragments().collect();
    assert_eq!(named, [OURS, b"nextUfrag"]);
    change(agent.check(
        now + SECOND,
        source(5_000),
        &Check::default().write(),
        false,
    ));
    assert_eq!(agent.consent(now), Consent::Granted(source(5_000)));
    let mixed = Check {
        name: [OURS, b":nextPeer"].concat(),
        ..Check::default()
    };
    let mixed = agent.check(now, source(5_002), &mixed.write(), false);
    assert_eq!(mixed, Checked::Dropped(Refusal::UsernameForeign));

    let moved = change(agent.check(now + SECOND * 2, source(5_001), &check.write(), false));
    assert_eq!(moved, Change::Nominated(source(5_001)));
    assert_eq!(agent.fragments().collect::<Vec<_>>(), [b"nextUfrag"]);
    let old = agent.check(
        now + SECOND * 2,
        source(5_000),
        &Check::default().write(),
        false,
    );
    assert_eq!(old, Checked::Dropped(Refusal::UsernameForeign));
}

#[test]
fn media_goes_where_it_went_until_a_restart_nominates_anew() {
    let now = beginning();
    let mut agent = agent(now);
    change(agent.check(now, source(5_000), &Check::nominating(HIGH), false));
    let mut check = restarted(&mut agent, now);
    check.use_candidate = false;
    change(agent.check(now + SECOND, source(5_001), &check.write(), false));
    let before = now + ICE_CONSENT_MAX - SECOND;
    assert_eq!(agent.consent(before), Consent::Granted(source(5_000)));
    assert_eq!(agent.consent(now + ICE_CONSENT_MAX), Consent::Expired);
}

#[test]
fn a_restart_with_the_fragment_that_we_have_is_none() {
    let now = beginning();
    let mut agent = agent(now);
    let same = Credentials::new(OURS, &[b'x'; 24]).unwrap();
    assert!(!agent.restart(now, same, peer(b"nextPeer")));
    assert_eq!(agent.fragments().count(), 1);
}

#[test]
fn sources_are_bounded_and_a_quiet_one_makes_room_but_never_the_nominated() {
    let now = beginning();
    let mut agent = agent(now);
    change(agent.check(now, source(4_999), &Check::nominating(HIGH), false));
    for port in (5_000..).take(ICE_SOURCES_MAX - 1) {
        change(agent.check(now + SECOND, source(port), &Check::default().write(), false));
    }
    for port in 6_000..7_000 {
        let checked = agent.check(now + SECOND, source(port), &Check::default().write(), false);
        assert_eq!(checked, Checked::Dropped(Refusal::TooManySources));
    }
    let later = now + SECOND + ICE_SOURCE_QUIET;
    for port in (6_000..).take(ICE_SOURCES_MAX - 1) {
        change(agent.check(later, source(port), &Check::default().write(), false));
    }
    assert_eq!(agent.sources(), ICE_SOURCES_MAX);
    assert_eq!(agent.consent(later), Consent::Granted(source(4_999)));
    let checked = agent.check(later, source(7_000), &Check::default().write(), false);
    assert_eq!(checked, Checked::Dropped(Refusal::TooManySources));
}
