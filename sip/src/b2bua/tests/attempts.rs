//! Attempts towards trunks: timers, forks, challenges, failures.

use std::time::Duration;

use super::world::*;
use crate::event::{Credentials, Event, Input, Refusal};
use crate::message::{HeaderName, StatusCode};

/// RFC 3261 §17.1.1.2: the same octets, timer A, until the attempt's own timer says to go on.
#[test]
fn a_silent_trunk_is_left_after_the_response_timer() {
    let mut world = World::new();
    let (call, _, _) = world.offered("a1");
    world.dial(call);
    let b_invite = world.last("INVITE");
    world.sent.clear();
    world.pass_ms(3_999);
    assert_eq!(world.event_names(), [""; 0]);
    let repeated = world.take_sent();
    assert_eq!(repeated.len(), 3, "0.5, 1.5, 3.5 s");
    assert!(repeated.iter().all(|sent| *sent == b_invite));
    world.pass_ms(1);
    assert_eq!(world.event_names(), ["AttemptFailed NoResponse"]);
    // It wakes up late: cancelled with the first provisional.
    world.receive(TRUNK, &response(&b_invite, 180, "late", None));
    assert_eq!(world.log(), ["CANCEL>trunk"]);
    world.receive(TRUNK, &response(&b_invite, 487, "late", None));
    assert_eq!(world.event_names(), [""; 0]);
    let status = StatusCode::SERVER_INTERNAL_ERROR;
    world
        .endpoint
        .refuse(world.now, call, status, &Refusal::default())
        .unwrap();
    world.drain();
    assert_eq!(world.event_names(), ["Ended Gateway Refused(500)"]);
    world.assert_quiescent();
}

/// A late 200 is acknowledged and ended; the next attempt is not touched.
#[test]
fn a_late_answer_is_ended_while_the_next_trunk_rings() {
    let mut world = World::new();
    let (call, _, invite) = world.offered("a2");
    world.dial(call);
    let first = world.last("INVITE");
    world.pass_ms(4_000);
    world.dial(call);
    let second = world.last("INVITE");
    assert_ne!(
        first.header(&HeaderName::CallId),
        second.header(&HeaderName::CallId)
    );
    assert_ne!(
        first.header(&HeaderName::From),
        second.header(&HeaderName::From)
    );
    world.sent.clear();
    world.receive(TRUNK, &response(&first, 200, "late", Some(SDP)));
    assert_eq!(world.log(), ["ACK>trunk", "BYE>trunk"]);
    assert_eq!(
        world.event_names(),
        ["AttemptFailed NoResponse", "LateAnswer"]
    );
    world.receive(TRUNK, &response(&second, 200, "two", Some(SDP)));
    assert_eq!(world.event_names(), ["Answered sdp"]);
    world.endpoint.answer(world.now, call, &sdp()).unwrap();
    world.drain();
    world.receive(CALLER, &ack(&invite, &world.last("200")));
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

#[test]
fn a_100_alone_is_no_progress() {
    let mut world = World::new();
    let (call, _, _) = world.offered("a3");
    world.dial(call);
    let b_invite = world.last("INVITE");
    world.receive(TRUNK, &response(&b_invite, 100, "", None));
    world.sent.clear();
    world.pass_ms(9_999);
    assert_eq!(world.event_names(), [""; 0]);
    assert_eq!(
        world.log(),
        [""; 0],
        "a provisional response ends the repetitions"
    );
    world.pass_ms(1);
    assert_eq!(world.event_names(), ["AttemptFailed NoProgress"]);
    assert_eq!(world.log(), ["CANCEL>trunk"]);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

#[test]
fn ringing_ends_with_the_ring_timer() {
    let mut world = World::new();
    let (call, _, _) = world.offered("a4");
    world.dial(call);
    let b_invite = world.last("INVITE");
    world.receive(TRUNK, &response(&b_invite, 180, "callee", None));
    world.pass_ms(119_999);
    assert_eq!(world.event_names(), ["Progress 180"]);
    world.pass_ms(1);
    assert_eq!(world.event_names(), ["AttemptFailed NoAnswer"]);
    assert_eq!(world.last("CANCEL").branch(), b_invite.branch());
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

/// RFC 3261 §12.1, §13.2.2.4: each fork is an early dialog, the first 2xx wins.
#[test]
fn forked_ringing_keeps_every_early_dialog_and_the_2xx_picks_one() {
    let mut world = World::new();
    let (call, _, invite) = world.offered("a5");
    world.dial(call);
    let b_invite = world.last("INVITE");
    world.receive(TRUNK, &response(&b_invite, 180, "one", None));
    world.receive(TRUNK, &response(&b_invite, 183, "two", Some(SDP)));
    assert_eq!(world.event_names(), ["Progress 180", "Progress 183 sdp"]);
    // Only the early media had an answer: it counts.
    world.receive(TRUNK, &response(&b_invite, 200, "two", None));
    assert_eq!(world.event_names(), ["Answered sdp"]);
    assert_eq!(world.last("ACK").to_tag(), "two");
    world.sent.clear();
    // The second fork answers too: acknowledged, ended, and acknowledged again if it repeats.
    let other = response(&b_invite, 200, "one", Some(SDP));
    world.receive(TRUNK, &other);
    let other_ack = world.last("ACK");
    let other_bye = world.last("BYE");
    assert_eq!(
        (other_ack.to_tag(), other_bye.to_tag()),
        ("one".into(), "one".into())
    );
    assert_eq!(world.log(), ["ACK>trunk", "BYE>trunk"]);
    world.receive(TRUNK, &other);
    assert_eq!(world.take_sent(), [other_ack]);
    world.receive(TRUNK, &response(&other_bye, 200, "one", None));
    assert_eq!(world.event_names(), [""; 0]);
    world.endpoint.answer(world.now, call, &sdp()).unwrap();
    world.drain();
    world.receive(CALLER, &ack(&invite, &world.last("200")));
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    assert_eq!(world.last("BYE").to_tag(), "two");
    world.assert_quiescent();
}

/// The first callee wins; every other attempt is cancelled.
#[test]
fn an_answer_cancels_the_other_attempts() {
    let mut world = World::new();
    let (call, _, _) = world.offered("a6");
    world.dial(call);
    let first = world.last("INVITE");
    world.dial(call);
    let second = world.last("INVITE");
    world.receive(TRUNK, &response(&first, 180, "one", None));
    world.receive(TRUNK, &response(&second, 180, "two", None));
    world.sent.clear();
    world.receive(TRUNK, &response(&second, 200, "two", Some(SDP)));
    assert_eq!(world.log(), ["ACK>trunk", "CANCEL>trunk"]);
    assert_eq!(
        world.event_names()[2..],
        ["Answered sdp", "AttemptFailed Abandoned"]
    );
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

/// RFC 3261 §22: one answer to a challenge, with the next CSeq, the same Call-ID and From tag.
#[test]
fn a_challenge_is_answered_once() {
    for (status, header, answer) in [
        (401, "WWW-Authenticate", HeaderName::Authorization),
        (407, "Proxy-Authenticate", HeaderName::ProxyAuthorization),
    ] {
        let mut world = World::new();
        let (call, _, _) = world.offered("a7");
        let credentials = Credentials {
            username: "sluice".into(),
            password: "secret".into(),
            realm: Some("trunk".into()),
        };
        world.dial_with(call, Some(credentials));
        let first = world.last("INVITE");
        let challenge = format!("{header}: Digest realm=\"trunk\", nonce=\"n1\", qop=\"auth\"\r\n");
        world.sent.clear();
        world.receive(TRUNK, &response_with(&first, status, "x", &challenge, None));
        assert_eq!(world.sent.len(), 2, "ACK and INVITE");
        let second = world.last("INVITE");
        assert_eq!(second.cseq(), first.cseq() + 1);
        assert_ne!(second.branch(), first.branch());
        assert_eq!(
            second.header(&HeaderName::CallId),
            first.header(&HeaderName::CallId)
        );
        assert_eq!(
            second.header(&HeaderName::From),
            first.header(&HeaderName::From)
        );
        assert_eq!(second.to_tag(), "", "outside a dialog still");
        let value = second.header(&answer);
        assert!(
            value.starts_with("Digest username=\"sluice\", realm=\"trunk\""),
            "{value}"
        );
        if status == 407 {
            // RFC 3261 §13.2.2.4: the ACK of the 2xx has the credentials of its INVITE.
            world.receive(TRUNK, &response(&second, 200, "y", Some(SDP)));
            assert_eq!(world.last("ACK").header(&answer), value);
            world
                .endpoint
                .hang_up(world.now, call, &Refusal::default())
                .unwrap();
            world.drain();
            world.assert_quiescent();
            continue;
        }
        // Challenged again: the password is wrong.
        world.receive(
            TRUNK,
            &response_with(&second, status, "y", &challenge, None),
        );
        assert_eq!(
            world.event_names(),
            [format!("AttemptFailed Refused({status})")]
        );
        world
            .endpoint
            .hang_up(world.now, call, &Refusal::default())
            .unwrap();
        world.drain();
        world.assert_quiescent();
    }
}

#[test]
fn a_challenge_without_credentials_for_it_is_a_refusal() {
    let mut world = World::new();
    let (call, _, _) = world.offered("a8");
    let credentials = Credentials {
        username: "sluice".into(),
        password: "secret".into(),
        realm: Some("ours".into()),
    };
    world.dial_with(call, Some(credentials));
    let challenge = "WWW-Authenticate: Digest realm=\"theirs\", nonce=\"n1\"\r\n";
    let refused = response_with(&world.last("INVITE"), 401, "x", challenge, None);
    world.receive(TRUNK, &refused);
    assert_eq!(world.event_names(), ["AttemptFailed Refused(401)"]);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

/// RFC 3261 §17.1.4: a failed send is reported to whom it concerns.
#[test]
fn a_transport_failure_fails_the_attempt_and_the_ping_on_that_flow() {
    let mut world = World::new();
    let (call, _, _) = world.offered("a9");
    world.dial(call);
    let ping = crate::event::Ping {
        flow: flow(TRUNK),
        request_uri: dial().request_uri,
        from: dial().request_uri,
        timeout: Duration::from_secs(4),
    };
    let key = world.endpoint.ping(world.now, ping).unwrap();
    world.drain();
    world
        .endpoint
        .handle_input(world.now, Input::TransportFailed { flow: flow(CALLER) });
    world.drain();
    assert_eq!(world.event_names(), [""; 0], "another flow");
    world
        .endpoint
        .handle_input(world.now, Input::TransportFailed { flow: flow(TRUNK) });
    world.drain();
    let events = world.take_events();
    assert_eq!(name(&events[0]), "AttemptFailed TransportFailed");
    assert!(matches!(events[1], Event::PingEnded { ping, status: None } if ping == key));
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

/// RFC 3261 §12.1.2, §12.2.1.1: loose and strict routes, and the remote target.
#[test]
fn requests_follow_the_route_set_of_the_2xx() {
    for (record_route, uri, routes, to) in [
        (
            "Record-Route: <sip:10.0.0.4;lr>, <sip:10.0.0.3:5070;lr>\r\n",
            "sip:callee@10.0.0.2:5060",
            vec!["<sip:10.0.0.3:5070;lr>", "<sip:10.0.0.4;lr>"],
            "10.0.0.3:5070",
        ),
        (
            "Record-Route: <sip:10.0.0.4;lr>\r\nRecord-Route: <sip:10.0.0.3:5070>\r\n",
            "sip:10.0.0.3:5070",
            vec!["<sip:10.0.0.4;lr>", "<sip:callee@10.0.0.2:5060>"],
            "10.0.0.3:5070",
        ),
        (
            "Record-Route: <sip:proxy.example;lr>\r\n",
            "sip:callee@10.0.0.2:5060",
            vec!["<sip:proxy.example;lr>"],
            TRUNK,
        ),
    ] {
        let mut world = World::new();
        let (call, _, _) = world.offered("a10");
        world.dial(call);
        let b_invite = world.last("INVITE");
        world.receive(
            TRUNK,
            &response_with(&b_invite, 200, "callee", record_route, Some(SDP)),
        );
        world
            .endpoint
            .hang_up(world.now, call, &Refusal::default())
            .unwrap();
        world.drain();
        for what in ["ACK", "BYE"] {
            let sent = world.last(what);
            let message = sent.parsed();
            assert_eq!(message.request_uri().unwrap().as_str(), uri);
            let found: Vec<_> = message
                .elements(&HeaderName::Route)
                .map(|route| std::str::from_utf8(route).unwrap().to_owned())
                .collect();
            assert_eq!(found, routes);
            assert_eq!(sent.to, to);
        }
        world.assert_quiescent();
    }
}

/// The limits are values, not panics.
#[test]
fn attempts_are_bounded() {
    let mut world = World::new();
    let (call, _, _) = world.offered("a11");
    for _ in 0..crate::limits::ATTEMPTS_PER_CALL_MAX {
        world.dial(call);
    }
    let refused = world.endpoint.dial(world.now, call, dial()).unwrap_err();
    assert_eq!(refused, crate::error::CommandError::LimitReached);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}
