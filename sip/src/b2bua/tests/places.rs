//! Calls that we place: an a-leg that is called, then a b-leg.

use std::time::Duration;

use super::world::*;
use crate::error::CommandError;
use crate::event::{CallKey, Credentials, Dial, Event, LegKey, Refusal};
use crate::message::{HeaderName, StatusCode};

const CALLEE: &str = "10.0.0.3:5060";

fn placed(world: &mut World) -> (CallKey, LegKey, Sent) {
    let keys = world.endpoint.place(world.now, dial()).unwrap();
    world.drain();
    (keys.0, keys.1, world.last("INVITE"))
}

/// A second leg towards another address.
fn dial_callee(world: &mut World, call: CallKey) -> (LegKey, Sent) {
    let dial = Dial {
        flow: flow(CALLEE),
        ..dial()
    };
    let leg = world.endpoint.dial(world.now, call, dial).unwrap();
    world.drain();
    (leg, world.last("INVITE"))
}

#[test]
fn a_placed_call_joins_two_parties_and_either_bye_ends_both() {
    for ends_a in [true, false] {
        let mut world = World::new();
        let (call, a_leg, a_invite) = placed(&mut world);
        let early = world.endpoint.dial(world.now, call, dial());
        assert_eq!(early, Err(CommandError::WrongState), "nobody answered yet");
        world.receive(TRUNK, &response(&a_invite, 180, "a", None));
        world.receive(TRUNK, &response(&a_invite, 200, "a", Some(SDP)));
        assert_eq!(world.event_names(), ["Progress 180", "Answered sdp"]);
        let (_, b_invite) = dial_callee(&mut world, call);
        world.receive(CALLEE, &response(&b_invite, 200, "b", Some(SDP)));
        assert_eq!(world.event_names(), ["Answered sdp"]);
        world
            .endpoint
            .reoffer(world.now, call, a_leg, &sdp())
            .unwrap();
        world.drain();
        let reinvite = world.last("INVITE");
        assert_eq!(reinvite.to, TRUNK);
        world.receive(TRUNK, &response(&reinvite, 200, "a", Some(SDP)));
        assert_eq!(world.event_names(), ["ReofferAnswered sdp"]);
        for command in [
            world
                .endpoint
                .ring(world.now, call, StatusCode::RINGING, None),
            world.endpoint.answer(world.now, call, &sdp()),
            world
                .endpoint
                .refuse(world.now, call, StatusCode::BUSY_HERE, &Refusal::default()),
            world.endpoint.abandon(world.now, call, a_leg),
        ] {
            assert!(command.is_err(), "nobody waits on the a-leg");
        }
        world.sent.clear();
        let (peer, invite, tag) = if ends_a {
            (TRUNK, &a_invite, "a")
        } else {
            (CALLEE, &b_invite, "b")
        };
        let from = format!("{};tag={tag}", invite.header(&HeaderName::To));
        let (to, call_id) = (
            invite.header(&HeaderName::From),
            invite.header(&HeaderName::CallId),
        );
        world.receive(
            peer,
            &request("BYE", peer, &from, &to, &call_id, 1, "bye", ""),
        );
        let other = if ends_a {
            "BYE>10.0.0.3:5060"
        } else {
            "BYE>trunk"
        };
        let first = if ends_a {
            "200>trunk"
        } else {
            "200>10.0.0.3:5060"
        };
        assert_eq!(world.log(), [first, other]);
        let by = if ends_a { "Originating" } else { "Terminating" };
        assert_eq!(world.event_names(), [format!("Ended {by} Bye")]);
        world.assert_quiescent();
        assert_eq!(world.endpoint.counters().calls_placed, 1);
    }
}

#[test]
fn a_placed_call_ends_with_the_failure_of_its_a_leg() {
    for (status, ended) in [(486, "486"), (302, "302"), (603, "603")] {
        let mut world = World::new();
        let (_, _, invite) = placed(&mut world);
        world.receive(TRUNK, &response(&invite, status, "a", None));
        let names = world.event_names();
        assert_eq!(names[0], format!("AttemptFailed Refused({status})"));
        assert_eq!(names[1], format!("Ended Originating Refused({ended})"));
        assert_eq!(world.endpoint.active_calls(), 0);
        assert_eq!(
            world.log().last().unwrap(),
            "ACK>trunk",
            "nobody is called instead"
        );
        world.assert_quiescent();
    }
}

#[test]
fn a_placed_call_gives_up_by_each_of_its_timers() {
    for (provisional, wait, failure, status) in [
        (None, 4_000, "NoResponse", "408"),
        (Some(100), 10_000, "NoProgress", "408"),
        (Some(180), 120_000, "NoAnswer", "480"),
    ] {
        let mut world = World::new();
        let (_, _, invite) = placed(&mut world);
        if let Some(status) = provisional {
            world.receive(TRUNK, &response(&invite, status, "a", None));
        }
        world.events.clear();
        world.pass_ms(wait);
        let names = world.event_names();
        assert_eq!(names[0], format!("AttemptFailed {failure}"));
        assert_eq!(names[1], format!("Ended Gateway Refused({status})"));
        assert_eq!(world.endpoint.active_calls(), 0);
        world.assert_quiescent();
    }
}

#[test]
fn hanging_up_a_placed_call_cancels_it_or_ends_both_sides() {
    let mut world = World::new();
    let (call, _, invite) = placed(&mut world);
    world.receive(TRUNK, &response(&invite, 180, "a", None));
    world.sent.clear();
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    assert_eq!(world.log(), ["CANCEL>trunk"]);
    // The answer crosses the CANCEL.
    world.receive(TRUNK, &response(&invite, 200, "a", Some(SDP)));
    assert_eq!(world.log(), ["ACK>trunk", "BYE>trunk"]);
    assert!(world.event_names().contains(&"LateAnswer".to_owned()));
    world.assert_quiescent();

    let mut world = World::new();
    let (call, _, a_invite) = placed(&mut world);
    world.receive(TRUNK, &response(&a_invite, 200, "a", Some(SDP)));
    dial_callee(&mut world, call);
    world.sent.clear();
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    assert_eq!(world.log(), ["BYE>trunk"], "CANCEL waits for a response");
    world.assert_quiescent();
}

/// RFC 3261 §13.2.2.4: the second fork that answers is ended.
#[test]
fn a_second_fork_of_a_placed_call_is_acknowledged_and_ended() {
    let mut world = World::new();
    let (call, _, invite) = placed(&mut world);
    world.receive(TRUNK, &response(&invite, 200, "one", Some(SDP)));
    world.receive(TRUNK, &response(&invite, 200, "two", Some(SDP)));
    assert_eq!(world.event_names(), ["Answered sdp"]);
    let bye = world.last("BYE");
    assert_eq!(bye.to_tag(), "two");
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

/// RFC 3261 §14.1: the Call-ID is ours, so that we wait longer than the peer.
#[test]
fn after_glare_the_owner_of_the_call_id_waits_longer() {
    let mut world = World::new();
    let (call, a_leg, invite) = placed(&mut world);
    world.receive(TRUNK, &response(&invite, 200, "a", Some(SDP)));
    world
        .endpoint
        .reoffer(world.now, call, a_leg, &sdp())
        .unwrap();
    world.drain();
    let reinvite = world.last("INVITE");
    let from = format!("{};tag=a", invite.header(&HeaderName::To));
    let (to, call_id) = (
        invite.header(&HeaderName::From),
        invite.header(&HeaderName::CallId),
    );
    world.receive(
        TRUNK,
        &request("INVITE", TRUNK, &from, &to, &call_id, 5, "glare", SDP),
    );
    assert_eq!(world.last("491").to, TRUNK);
    world.receive(TRUNK, &response(&reinvite, 491, "a", None));
    world.sent.clear();
    world.pass_ms(2_090);
    assert!(!world.log().contains(&"INVITE>trunk".to_owned()));
    world.pass_ms(2_000);
    assert!(world.log().contains(&"INVITE>trunk".to_owned()));
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

#[test]
fn a_challenge_to_a_placed_call_is_answered_once() {
    let mut world = World::new();
    let credentials = Credentials {
        username: "u".into(),
        password: "p".into(),
        realm: Some("trunk".into()),
    };
    let dial = Dial {
        credentials: Some(credentials),
        ..dial()
    };
    world.endpoint.place(world.now, dial).unwrap();
    world.drain();
    let first = world.last("INVITE");
    let challenge = "WWW-Authenticate: Digest realm=\"trunk\", nonce=\"n\"\r\n";
    world.receive(TRUNK, &response_with(&first, 401, "a", challenge, None));
    let second = world.last("INVITE");
    assert!(
        second
            .header(&HeaderName::Authorization)
            .starts_with("Digest username=\"u\"")
    );
    assert_eq!(second.cseq(), first.cseq() + 1);
    world.receive(TRUNK, &response_with(&second, 401, "a", challenge, None));
    assert_eq!(
        world.event_names(),
        [
            "AttemptFailed Refused(401)",
            "Ended Originating Refused(401)",
        ]
    );
    world.assert_quiescent();
}

#[test]
fn no_call_is_placed_where_there_is_no_room_or_while_draining() {
    let mut world = World::with_calls_max(1);
    let (call, ..) = placed(&mut world);
    assert_eq!(
        world.endpoint.place(world.now, dial()),
        Err(CommandError::LimitReached)
    );
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.endpoint.set_draining(true);
    assert_eq!(
        world.endpoint.place(world.now, dial()),
        Err(CommandError::Draining)
    );
    world.pass(Duration::from_secs(200));
    world.assert_quiescent();
}

#[test]
fn a_delayed_offer_can_be_placed_and_its_ack_waits() {
    let mut world = World::new();
    let dial = Dial {
        offer: None,
        ..dial()
    };
    let (call, a_leg) = world.endpoint.place(world.now, dial).unwrap();
    world.drain();
    let invite = world.last("INVITE");
    world.sent.clear();
    world.receive(TRUNK, &response(&invite, 200, "a", Some(SDP)));
    assert_eq!(world.log(), [""; 0], "the ACK waits for our answer");
    let has_offer = matches!(world.events.last(), Some(Event::Answered { answered, .. })
        if answered.offer.is_some() && answered.answer.is_none());
    assert!(has_offer);
    world
        .endpoint
        .acknowledge(world.now, call, a_leg, &sdp())
        .unwrap();
    world.drain();
    assert_eq!(world.log(), ["ACK>trunk"]);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}
