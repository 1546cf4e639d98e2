//! CANCEL at each stage, from both sides (RFC 3261 §9).

use super::world::*;
use crate::event::{AttemptFailure, Event, Refusal};
use crate::message::StatusCode;

/// RFC 3261 §9.2: before anything rings.
#[test]
fn cancel_before_any_attempt_gets_487() {
    let mut world = World::new();
    let (call, _, invite) = world.offered("c1");
    world.receive(CALLER, &cancel(&invite));
    let refused = world.last("487");
    assert_eq!(
        world.last("200").to_tag(),
        refused.to_tag(),
        "RFC 3261 §9.2"
    );
    assert_eq!(world.log(), ["100>caller", "200>caller", "487>caller"]);
    assert_eq!(world.event_names(), ["Ended Originating Cancelled"]);
    world.endpoint.dial(world.now, call, dial()).unwrap_err();
    world.receive(CALLER, &cancel(&invite));
    assert_eq!(world.log(), ["200>caller"], "the same answer again");
    world.receive(CALLER, &ack(&invite, &refused));
    world.assert_quiescent();
}

/// RFC 3261 §9.1: a CANCEL waits for the first provisional response.
#[test]
fn cancel_before_100_is_held_back_on_the_attempt() {
    let mut world = World::new();
    let (call, _, invite) = world.offered("c2");
    world.dial(call);
    let b_invite = world.last("INVITE");
    world.receive(CALLER, &cancel(&invite));
    assert_eq!(
        world.log(),
        ["100>caller", "INVITE>trunk", "200>caller", "487>caller"]
    );
    world.receive(TRUNK, &response(&b_invite, 100, "", None));
    let b_cancel = world.last("CANCEL");
    assert_eq!(b_cancel.branch(), b_invite.branch());
    assert_eq!(b_cancel.cseq(), b_invite.cseq());
    world.receive(TRUNK, &response(&b_invite, 180, "callee", None));
    assert_eq!(world.log(), ["CANCEL>trunk"], "once");
    world.receive(TRUNK, &response(&b_cancel, 200, "callee", None));
    world.receive(TRUNK, &response(&b_invite, 487, "callee", None));
    assert_eq!(world.log(), ["ACK>trunk"]);
    assert_eq!(world.event_names(), ["Ended Originating Cancelled"]);
    world.assert_quiescent();
    assert_eq!(world.event_names(), ["CallGone"]);
}

#[test]
fn cancel_while_ringing_cancels_the_attempt_at_once() {
    let mut world = World::new();
    let (call, _, invite) = world.offered("c3");
    world.dial(call);
    let b_invite = world.last("INVITE");
    world.receive(TRUNK, &response(&b_invite, 180, "callee", None));
    world.sent.clear();
    world.receive(CALLER, &cancel(&invite));
    assert_eq!(world.log(), ["200>caller", "487>caller", "CANCEL>trunk"]);
    // The trunk answers neither the CANCEL nor the INVITE: 64·T1, and the attempt is given up.
    world.assert_quiescent();
    assert_eq!(
        world.event_names(),
        ["Progress 180", "Ended Originating Cancelled", "CallGone"]
    );
}

/// The callee is never left off-hook: CANCEL crosses its 200, which is acknowledged and ended.
#[test]
fn cancel_crossing_200_sends_ack_then_bye() {
    let mut world = World::new();
    let (call, _, invite) = world.offered("c4");
    world.dial(call);
    let b_invite = world.last("INVITE");
    world.receive(TRUNK, &response(&b_invite, 180, "callee", None));
    world.receive(CALLER, &cancel(&invite));
    let b_cancel = world.last("CANCEL");
    world.sent.clear();
    world.receive(TRUNK, &response(&b_invite, 200, "callee", Some(SDP)));
    assert_eq!(world.log(), ["ACK>trunk", "BYE>trunk"]);
    world.receive(TRUNK, &response(&b_cancel, 481, "callee", None));
    assert_eq!(
        world.event_names(),
        ["Progress 180", "Ended Originating Cancelled", "LateAnswer"]
    );
    world.assert_quiescent();
    assert_eq!(world.event_names(), ["CallGone"]);
}

/// RFC 3261 §9.2: after a final response a CANCEL has no effect.
#[test]
fn cancel_after_2xx_has_no_effect() {
    let mut world = World::new();
    let (call, _, invite) = world.offered("c5");
    world.endpoint.answer(world.now, call, &sdp()).unwrap();
    world.drain();
    let ok = world.last("200");
    world.sent.clear();
    world.receive(CALLER, &cancel(&invite));
    assert_eq!(world.log(), ["200>caller"]);
    assert_eq!(world.event_names(), [""; 0]);
    world.receive(CALLER, &ack(&invite, &ok));
    assert_eq!(world.event_names(), ["Confirmed"]);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

/// RFC 3261 §9.2: nothing to cancel.
#[test]
fn a_stray_cancel_gets_481() {
    let mut world = World::new();
    world.receive(CALLER, &cancel(&invite("nowhere")));
    assert_eq!(world.log(), ["481>caller"]);
    assert_eq!(world.event_names(), ["Dropped stray_cancel"]);
    world.assert_quiescent();
}

/// RFC 3261 §15.1.2: a caller may end an early dialog by BYE.
#[test]
fn bye_on_an_early_dialog_is_as_cancel() {
    let mut world = World::new();
    let (call, a_leg, _) = world.offered("c6");
    world
        .endpoint
        .ring(world.now, call, StatusCode::RINGING, None)
        .unwrap();
    world.drain();
    let ringing = world.last("180");
    world.sent.clear();
    let early = Connected {
        call,
        a_leg,
        b_leg: a_leg,
        ok: ringing.clone(),
        b_invite: ringing,
    };
    world.receive(CALLER, &early.caller_says("BYE", 2, "bye", ""));
    assert_eq!(world.log(), ["200>caller", "487>caller"]);
    assert_eq!(world.event_names(), ["Ended Originating Cancelled"]);
    world.assert_quiescent();
}

/// `abandon` says CANCEL while it rings and BYE after the answer; the call goes on.
#[test]
fn an_abandoned_leg_leaves_the_call_alive() {
    let mut world = World::new();
    let (call, _, _) = world.offered("c7");
    let first = world.dial(call);
    let first_invite = world.last("INVITE");
    world.receive(TRUNK, &response(&first_invite, 183, "one", Some(SDP)));
    world.sent.clear();
    world.endpoint.abandon(world.now, call, first).unwrap();
    world.endpoint.abandon(world.now, call, first).unwrap_err();
    world.drain();
    assert_eq!(world.log(), ["CANCEL>trunk"]);
    let second = world.dial(call);
    let second_invite = world.last("INVITE");
    world.receive(TRUNK, &response(&second_invite, 200, "two", Some(SDP)));
    world.sent.clear();
    world.endpoint.abandon(world.now, call, second).unwrap();
    world.drain();
    assert_eq!(world.log(), ["BYE>trunk"]);
    world.dial(call);
    let failures = world.take_events().into_iter().filter(|event| {
        matches!(
            event,
            Event::AttemptFailed {
                failure: AttemptFailure::Abandoned,
                ..
            }
        )
    });
    assert_eq!(failures.count(), 2);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}
