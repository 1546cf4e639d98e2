//! The call as it should be, and the handshakes that lose a message.

use super::world::*;
use crate::event::{Event, Refusal};
use crate::message::{HeaderName, StatusCode};

/// RFC 3261 §13, §15: INVITE to BYE through both legs.
#[test]
fn a_call_rings_is_answered_and_ends_with_bye() {
    let mut world = World::new();
    let (call, a_leg, invite) = world.offered("plain");
    assert_eq!(world.log(), ["100>caller"]);
    let b_leg = world.dial(call);
    let b_invite = world.last("INVITE");
    assert_eq!(b_invite.header(&HeaderName::MaxForwards), "69");
    assert_eq!(b_invite.header(&HeaderName::Privacy), "none");
    assert!(
        b_invite
            .header(&HeaderName::From)
            .starts_with("\"Guest\" <sip:guest@10.0.0.9>;tag=")
    );
    assert!(
        !b_invite.text.contains("alice"),
        "nothing of the caller crosses by itself"
    );
    assert_eq!(world.log(), ["INVITE>trunk"]);

    world.receive(TRUNK, &response(&b_invite, 100, "", None));
    world.receive(TRUNK, &response(&b_invite, 180, "callee", None));
    assert_eq!(world.event_names(), ["Progress 180"]);
    world
        .endpoint
        .ring(world.now, call, StatusCode::RINGING, None)
        .unwrap();
    world.drain();
    let ringing = world.last("180");
    assert_eq!(world.log(), ["180>caller"]);

    world.receive(TRUNK, &response(&b_invite, 200, "callee", Some(SDP)));
    assert_eq!(world.event_names(), ["Answered sdp"]);
    assert_eq!(world.last("ACK").cseq(), b_invite.cseq());
    assert_eq!(world.log(), ["ACK>trunk"]);
    world.endpoint.answer(world.now, call, &sdp()).unwrap();
    world.drain();
    let ok = world.last("200");
    assert_eq!(ok.to_tag(), ringing.to_tag());
    world.receive(CALLER, &ack(&invite, &ok));
    assert_eq!(world.event_names(), ["Confirmed"]);
    assert_eq!(world.log(), ["200>caller"]);
    assert_eq!(world.endpoint.active_calls(), 1);
    assert_ne!(a_leg, b_leg);

    let connected = Connected {
        call,
        a_leg,
        b_leg,
        ok,
        b_invite,
    };
    world.receive(CALLER, &connected.caller_says("BYE", 2, "bye", ""));
    let bye = world.last("BYE");
    assert_eq!(world.log(), ["200>caller", "BYE>trunk"]);
    assert_eq!(world.event_names(), ["Ended Originating Bye"]);
    assert_eq!(world.endpoint.active_calls(), 0);
    world.receive(TRUNK, &response(&bye, 200, "", None));
    world.assert_quiescent();
    assert_eq!(world.event_names(), ["CallGone"]);
}

#[test]
fn bye_of_the_callee_ends_the_caller() {
    let mut world = World::new();
    let connected = world.connected();
    world.receive(TRUNK, &connected.callee_says("BYE", 7, "bye", ""));
    let bye = world.last("BYE");
    assert_eq!(world.log(), ["200>trunk", "BYE>caller"]);
    assert_eq!(world.event_names(), ["Ended Terminating Bye"]);
    world.receive(CALLER, &response(&bye, 200, "", None));
    // A repeated BYE gets the same answer, after the end too.
    world.receive(TRUNK, &connected.callee_says("BYE", 7, "bye", ""));
    assert_eq!(world.log(), ["200>trunk"]);
    world.assert_quiescent();
}

/// RFC 3261 §15: BYE crossing BYE.
#[test]
fn both_sides_may_say_bye_at_once() {
    let mut world = World::new();
    let connected = world.connected();
    world.receive(CALLER, &connected.caller_says("BYE", 2, "a", ""));
    let bye = world.last("BYE");
    world.receive(TRUNK, &connected.callee_says("BYE", 2, "b", ""));
    assert_eq!(world.log(), ["200>caller", "BYE>trunk", "200>trunk"]);
    world.receive(TRUNK, &response(&bye, 481, "", None));
    assert_eq!(world.event_names(), ["Ended Originating Bye"]);
    world.assert_quiescent();
    assert_eq!(world.event_names(), ["CallGone"]);
}

/// RFC 3261 §17.1.2.2: a BYE that nobody answers ends by timer F.
#[test]
fn a_silent_peer_does_not_keep_the_call() {
    let mut world = World::new();
    let connected = world.connected();
    let refusal = Refusal {
        q850_cause: Some(16),
        ..Default::default()
    };
    world
        .endpoint
        .hang_up(world.now, connected.call, &refusal)
        .unwrap();
    world.drain();
    assert_eq!(
        world.last("BYE").header(&HeaderName::Reason),
        "Q.850;cause=16"
    );
    assert_eq!(world.log(), ["BYE>caller", "BYE>trunk"]);
    assert_eq!(world.event_names(), ["Ended Gateway Commanded"]);
    world.assert_quiescent();
    assert_eq!(
        world.log().len(),
        20,
        "timer E: ten repetitions on each side"
    );
    assert_eq!(world.event_names(), ["CallGone"]);
}

/// RFC 3261 §13.3.1.4: the 2xx is repeated by T1, doubled up to T2, until the ACK comes.
#[test]
fn a_lost_200_is_repeated_byte_by_byte() {
    let mut world = World::new();
    let (call, a_leg, invite) = world.offered("lost200");
    world.endpoint.answer(world.now, call, &sdp()).unwrap();
    world.drain();
    let ok = world.last("200");
    world.sent.clear();
    world.pass_ms(3_600);
    let repeated = world.take_sent();
    assert_eq!(repeated.len(), 3, "0.5, 1.5, 3.5 s");
    assert!(repeated.iter().all(|sent| *sent == ok));
    // A repeated INVITE is swallowed (RFC 6026 §7.1).
    world.receive(CALLER, &invite);
    assert_eq!(world.log(), [""; 0]);
    world.receive(CALLER, &ack(&invite, &ok));
    assert_eq!(world.event_names(), ["Confirmed"]);
    world.receive(CALLER, &ack(&invite, &ok));
    assert_eq!(world.event_names(), [""; 0], "a repeated ACK is no news");
    world.pass_ms(40_000);
    assert_eq!(world.log(), [""; 0]);
    let connected = Connected {
        call,
        a_leg,
        b_leg: a_leg,
        ok: ok.clone(),
        b_invite: ok,
    };
    world.receive(CALLER, &connected.caller_says("BYE", 2, "bye", ""));
    world.assert_quiescent();
}

/// RFC 3261 §13.3.1.4: no ACK within 64·T1 ends the call, with BYE.
#[test]
fn a_2xx_without_ack_ends_the_call() {
    let mut world = World::new();
    let (call, _, _) = world.offered("noack");
    world.endpoint.answer(world.now, call, &sdp()).unwrap();
    world.drain();
    world.pass_ms(31_900);
    assert_eq!(world.event_names(), [""; 0]);
    world.sent.clear();
    world.pass_ms(200);
    assert_eq!(world.event_names(), ["Ended Gateway NoAck"]);
    assert_eq!(world.log(), ["BYE>caller"]);
    world.assert_quiescent();
}

/// RFC 3261 §15: the callee's side of a 2xx waits for the ACK before it says BYE.
#[test]
fn bye_waits_for_the_ack_of_our_2xx() {
    let mut world = World::new();
    let (call, _, invite) = world.offered("early");
    world.endpoint.answer(world.now, call, &sdp()).unwrap();
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    let ok = world.last("200");
    assert_eq!(world.log(), ["100>caller", "200>caller"]);
    assert_eq!(world.event_names(), ["Ended Gateway Commanded"]);
    world.receive(CALLER, &ack(&invite, &ok));
    assert_eq!(world.log(), ["BYE>caller"]);
    world.assert_quiescent();
}

/// RFC 3261 §13.2.2.4: each repeated 2xx gets the same ACK, octet by octet.
#[test]
fn a_lost_ack_is_sent_again_for_each_2xx() {
    let mut world = World::new();
    let (call, _, _) = world.offered("lostack");
    world.dial(call);
    let b_invite = world.last("INVITE");
    let ok = response(&b_invite, 200, "callee", Some(SDP));
    world.receive(TRUNK, &ok);
    let first = world.last("ACK");
    world.sent.clear();
    world.receive(TRUNK, &ok);
    world.receive(TRUNK, &ok);
    assert_eq!(world.take_sent(), [first.clone(), first]);
    assert_eq!(world.event_names(), ["Answered sdp"]);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    assert_eq!(world.log(), ["480>caller", "BYE>trunk"]);
    world.assert_quiescent();
}

/// RFC 3261 §17.2.1: a repeated INVITE gets the last provisional response again.
#[test]
fn a_repeated_invite_replays_the_last_provisional() {
    let mut world = World::new();
    let (call, _, invite) = world.offered("again");
    world
        .endpoint
        .ring(world.now, call, StatusCode::SESSION_PROGRESS, Some(&sdp()))
        .unwrap();
    world.drain();
    let progress = world.last("183");
    assert!(progress.text.ends_with("RTP/AVP 8\r\n"));
    world.sent.clear();
    world.receive(CALLER, &invite);
    assert_eq!(world.take_sent(), [progress]);
    assert_eq!(world.event_names(), [""; 0]);
    world
        .endpoint
        .refuse(world.now, call, StatusCode::BUSY_HERE, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

/// RFC 3261 §17.2.1: a failure is repeated until its ACK, and the ACK is not answered.
#[test]
fn busy_goes_back_until_it_is_acknowledged() {
    let mut world = World::new();
    let (call, _, invite) = world.offered("busy");
    world.dial(call);
    let b_invite = world.last("INVITE");
    world.receive(TRUNK, &response(&b_invite, 486, "callee", None));
    let b_ack = world.last("ACK");
    assert_eq!(b_ack.branch(), b_invite.branch(), "RFC 3261 §17.1.1.3");
    assert_eq!(b_ack.to_tag(), "callee");
    assert_eq!(world.event_names(), ["AttemptFailed Refused(486)"]);
    world.sent.clear();
    // A repeated failure gets the same ACK.
    world.receive(TRUNK, &response(&b_invite, 486, "callee", None));
    assert_eq!(world.take_sent(), [b_ack]);
    let refusal = Refusal {
        warning: Some("busy \"now\"".into()),
        ..Default::default()
    };
    world
        .endpoint
        .refuse(world.now, call, StatusCode::BUSY_HERE, &refusal)
        .unwrap();
    world.drain();
    let busy = world.last("486");
    assert_eq!(
        busy.header(&HeaderName::Warning),
        "399 sluice \"busy 'now'\""
    );
    assert_eq!(world.event_names(), ["Ended Terminating Refused(486)"]);
    world.sent.clear();
    world.pass_ms(600);
    assert_eq!(world.take_sent(), std::slice::from_ref(&busy));
    world.receive(CALLER, &ack(&invite, &busy));
    world.pass_ms(60_000);
    assert_eq!(world.log(), [""; 0]);
    assert_eq!(world.event_names(), ["CallGone"]);
    world.assert_quiescent();
}

/// RFC 3261 §14.1 of the delayed offer: our offer in the 200, the answer in the ACK.
#[test]
fn an_invite_without_an_offer_gets_ours_and_answers_in_the_ack() {
    let mut world = World::new();
    let invite = request(
        "INVITE",
        CALLER,
        "<sip:a@10.0.0.1>;tag=alice",
        "<sip:link@10.0.0.9>",
        "delayed",
        1,
        "d",
        "",
    );
    world.receive(CALLER, &invite);
    let call = world.take_events().into_iter().find_map(|event| {
        if let Event::CallOffered { call, offered, .. } = event {
            assert!(offered.offer.is_none());
            Some(call)
        } else {
            None
        }
    });
    let call = call.unwrap();
    world.endpoint.answer(world.now, call, &sdp()).unwrap();
    world.drain();
    let ok = world.last("200");
    world.receive(CALLER, &ack_with(&invite, &ok, SDP));
    assert_eq!(world.event_names(), ["Confirmed", "ReofferCompleted sdp"]);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

/// Whoever catches a panic asks which call it was about.
#[test]
fn the_call_of_an_input_is_known_until_the_next() {
    let mut world = World::new();
    let c = world.connected();
    assert_eq!(world.endpoint.touched(), Some(c.call), "by its ACK");
    world.receive(CALLER, &c.caller_says("OPTIONS", 2, "within", ""));
    assert_eq!(world.endpoint.touched(), Some(c.call));
    let stray = c
        .caller_says("INFO", 3, "stray", "")
        .replace(";tag=", ";tag=x");
    world.receive(CALLER, &stray);
    assert_eq!(world.endpoint.touched(), None);
    world.receive(TRUNK, &response(&c.b_invite, 200, "callee", Some(SDP)));
    assert_eq!(world.endpoint.touched(), Some(c.call), "by a response");
    world.receive(CALLER, &c.caller_says("BYE", 4, "bye", ""));
    world.pass_ms(500);
    assert_eq!(
        world.endpoint.touched(),
        Some(c.call),
        "by a timer of our BYE"
    );
    world.assert_quiescent();
}
