//! Requests of ours, what answers them, and who is left for whom.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Check, OURS, PEER, PEER_PASSWORD, agent, beginning, source};
use crate::ice::stun::{Attribute, Class, ErrorCode, MessageView, Response, write_request};
use crate::ice::{Agent, Change, Checked, Consent, Refusal, is_response};
use crate::limits::{ICE_ASK_AFTER, ICE_ASK_AGAIN, ICE_ASKS_MAX};

const SECOND: Duration = Duration::from_secs(1);
const HIGH: u32 = 2_000_000;
const LOW: u32 = 1_000_000;

fn check(agent: &mut Agent, now: Instant, port: u16, check: &[u8]) -> Change {
    match agent.check(now, source(port), check, false) {
        Checked::Answered(_, change) => change,
        Checked::Dropped(refusal) => panic!("{}", refusal.as_str()),
    }
}

/// All requests that are due, and the sources that are given up.
fn asked(agent: &mut Agent, now: Instant, fresh: u8) -> (Vec<(SocketAddr, Vec<u8>)>, usize) {
    let (mut requests, mut given_up) = (Vec::new(), 0);
    while let Some(ask) = agent.poll_ask(now, &[fresh; 12]) {
        match ask.request {
            Some(request) => requests.push((ask.to, request.to_vec())),
            None => given_up += 1,
        }
    }
    (requests, given_up)
}

fn answer(to: SocketAddr, fresh: u8) -> Vec<u8> {
    Response::Success(to)
        .write(&[fresh; 12], PEER_PASSWORD)
        .to_vec()
}

/// An agent whose nominated source has answered.
fn reached(now: Instant, port: u16) -> Agent {
    let mut agent = agent(now);
    check(&mut agent, now, port, &Check::nominating(LOW));
    asked(&mut agent, now, 1);
    let answer = answer(source(port), 1);
    assert_eq!(agent.take_response(source(port), &answer), Ok(Change::None));
    assert!(agent.is_reached(source(port)));
    agent
}

#[test]
fn a_source_is_asked_under_the_peers_password_and_nominated_by_nobody() {
    let now = beginning();
    let mut agent = agent(now);
    assert_eq!(agent.ask_at(), None);
    check(&mut agent, now, 5_000, &Check::default().write());
    assert_eq!(agent.ask_at(), Some(now));
    let (requests, _) = asked(&mut agent, now, 7);
    let [(to, request)] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(*to, source(5_000));
    let view = MessageView::parse(request).unwrap();
    assert_eq!(view.expect_binding_request(), Ok(()));
    assert_eq!(view.expect_integrity(PEER_PASSWORD), Ok(()));
    assert_eq!(view.user_fragments(), Ok((PEER, OURS)));
    assert_eq!(view.transaction(), &[7; 12]);
    assert_eq!(view.priority(), Ok(Some(0x6eff_ffff)));
    assert_eq!(view.fixed(Attribute::IceControlled), Ok(Some([0; 8])));
    assert_eq!(view.use_candidate(), Ok(false));
    let last = view.attributes().count();
    assert_eq!(last, 3, "and integrity and fingerprint");
    assert!(!is_response(request) && is_response(&answer(*to, 7)));
}

#[test]
fn who_does_not_answer_is_asked_a_few_times_and_much_later_anew() {
    let began = beginning();
    let mut agent = agent(began);
    check(&mut agent, began, 5_000, &Check::default().write());
    let (mut sent, mut given_up) = (Vec::new(), 0);
    while let Some(now) = agent.ask_at() {
        let (requests, over) = asked(&mut agent, now, 1 + u8::try_from(sent.len()).unwrap());
        sent.extend(requests.into_iter().map(|(_, request)| (now, request)));
        given_up += over;
        // Checks meanwhile change nothing about it.
        check(&mut agent, now, 5_000, &Check::default().write());
    }
    assert_eq!((sent.len(), given_up), (usize::from(ICE_ASKS_MAX), 1));
    for (at, pair) in sent.windows(2).enumerate() {
        assert_eq!(pair[1].0 - pair[0].0, ICE_ASK_AFTER * (1 << at));
        assert_eq!(pair[1].1, pair[0].1, "repeated octet for octet");
    }
    let last = sent.last().unwrap().0;
    let early = last + ICE_ASK_AGAIN - Duration::from_millis(1);
    check(&mut agent, early, 5_000, &Check::default().write());
    assert_eq!(agent.ask_at(), None);
    let late = last + ICE_ASK_AGAIN;
    check(&mut agent, late, 5_000, &Check::default().write());
    let (again, _) = asked(&mut agent, late, 99);
    assert_eq!(again.len(), 1);
    let answer = answer(source(5_000), 99);
    assert_eq!(
        agent.take_response(source(5_000), &answer),
        Ok(Change::None)
    );
    assert_eq!(agent.ask_at(), None, "and now it is known");
}

#[test]
fn what_answers_nothing_of_ours_proves_nothing_and_has_its_name() {
    let now = beginning();
    let mut agent = agent(now);
    let (there, elsewhere) = (source(5_000), source(5_001));
    check(&mut agent, now, 5_000, &Check::nominating(LOW));
    let take = |agent: &mut Agent, from, datagram: &[u8]| {
        let refused = agent.take_response(from, datagram).unwrap_err();
        assert!(!agent.is_reached(there) && !agent.is_reached(elsewhere));
        refused
    };
    let early = answer(there, 0);
    let refused = take(&mut agent, there, &early);
    assert_eq!(refused, Refusal::ResponseForeign, "nothing was asked");
    asked(&mut agent, now, 1);
    let right = answer(there, 1);
    assert_eq!(take(&mut agent, elsewhere, &right), Refusal::Response);
    check(&mut agent, now, 5_001, &Check::default().write());
    asked(&mut agent, now, 2);
    let crossed = take(&mut agent, elsewhere, &right);
    assert_eq!(crossed, Refusal::ResponseForeign, "of another source");
    let response = |response: Response<'_>, password| response.write(&[1; 12], password).to_vec();
    let alien = response(Response::Success(there), OURS);
    assert_eq!(take(&mut agent, there, &alien), Refusal::Integrity);
    let mut bare = right.clone();
    bare.truncate(32);
    bare[3] = 12;
    assert_eq!(take(&mut agent, there, &bare), Refusal::IntegrityMissing);
    let refusing = response(Response::Error(ErrorCode::RoleConflict, &[]), PEER_PASSWORD);
    assert_eq!(take(&mut agent, there, &refusing), Refusal::ResponseError);
    let request = write_request::<200>(&[1; 12], &[], PEER_PASSWORD).unwrap();
    assert_eq!(take(&mut agent, there, &request), Refusal::Response);
    let junk = take(&mut agent, there, &right[1..]);
    assert_eq!(junk, Refusal::NotStun);
    assert_eq!(agent.take_response(there, &right), Ok(Change::None));
    let again = agent.take_response(there, &right);
    assert_eq!(again, Err(Refusal::Response), "once");
}

#[test]
fn who_is_reached_is_left_only_for_who_answers_too() {
    let now = beginning();
    let mut agent = reached(now, 5_000);
    for second in 1..20 {
        let now = now + SECOND * second;
        check(&mut agent, now, 5_000, &Check::default().write());
        let change = check(&mut agent, now, 5_001, &Check::nominating(HIGH));
        assert_eq!(change, Change::None);
        assert_eq!(agent.consent(now), Consent::Granted(source(5_000)));
    }
    assert!(agent.is_wanted(source(5_001)) && !agent.is_reached(source(5_001)));
    let now = now + SECOND * 20;
    asked(&mut agent, now, 2);
    let nominated = Change::Nominated(source(5_001));
    let answer = answer(source(5_001), 2);
    assert_eq!(agent.take_response(source(5_001), &answer), Ok(nominated));
    assert_eq!(agent.consent(now), Consent::Granted(source(5_001)));
    assert!(!agent.is_wanted(source(5_001)));
    // Both are known now.
    let change = check(
        &mut agent,
        now + 9 * SECOND,
        5_000,
        &Check::nominating(HIGH),
    );
    assert_eq!(change, Change::Nominated(source(5_000)));
}

#[test]
fn who_was_proven_by_keys_alone_is_awaited_until_it_answers() {
    let now = beginning();
    let mut agent = reached(now, 5_000);
    check(&mut agent, now, 5_001, &Check::default().write());
    assert_eq!(agent.prove(now, source(5_001)), Change::None);
    assert!(agent.is_wanted(source(5_001)));
    let nominated = Change::Nominated(source(5_001));
    assert_eq!(agent.reach(source(5_001)), nominated, "as by a handshake");
    assert_eq!(
        agent.prove(now, source(5_000)),
        Change::Nominated(source(5_000))
    );
}

#[test]
fn who_asks_where_it_is_nominated_takes_its_wish_back() {
    let now = beginning();
    let mut agent = reached(now, 5_000);
    check(&mut agent, now, 5_001, &Check::nominating(HIGH));
    assert!(agent.is_wanted(source(5_001)));
    check(&mut agent, now, 5_000, &Check::nominating(LOW));
    assert!(!agent.is_wanted(source(5_001)));
    assert_eq!(agent.reach(source(5_001)), Change::None);
}

#[test]
fn a_restart_keeps_where_it_is_known_to_be_heard_and_asks_elsewhere_under_the_new_password() {
    let now = beginning();
    let mut agent = reached(now, 5_000);
    let made = |name, password| crate::ice::Credentials::new(name, password).unwrap();
    let (ours, theirs) = (
        made(b"nextUfrag", &[b'n'; 24]),
        made(b"nextPeer", &[b'm'; 24]),
    );
    assert!(agent.restart(now, ours, theirs));
    let next = || Check {
        name: b"nextUfrag:nextPeer".to_vec(),
        password: &[b'n'; 24],
        use_candidate: true,
        ..Check::default()
    };
    check(&mut agent, now, 5_000, &next().write());
    assert!(agent.is_reached(source(5_000)));
    assert_eq!(agent.ask_at(), None);
    check(&mut agent, now, 5_001, &next().write());
    let (requests, _) = asked(&mut agent, now, 3);
    let view = MessageView::parse(&requests[0].1).unwrap();
    assert_eq!(view.class(), Class::Request);
    assert_eq!(view.expect_integrity(&[b'm'; 24]), Ok(()));
    assert_eq!(
        view.user_fragments(),
        Ok((&b"nextPeer"[..], &b"nextUfrag"[..]))
    );
}
