//! Calls whose caller is a party of this node.

use super::world::*;
use crate::error::CommandError;
use crate::event::{CallKey, LegKey, RefreshBy, Refusal};
use crate::message::{HeaderName, StatusCode};

fn begun(world: &mut World) -> (CallKey, LegKey) {
    let keys = world.endpoint.begin().unwrap();
    world.drain();
    assert!(world.sent.is_empty(), "nobody is told");
    keys
}

#[test]
fn a_call_of_a_local_party_reaches_the_second_callee_and_ends_with_its_bye() {
    let mut world = World::new();
    let (call, a_leg) = begun(&mut world);
    let _first = world.dial(call);
    let invite = world.last("INVITE");
    world.receive(TRUNK, &response(&invite, 503, "a", None));
    assert_eq!(world.event_names(), ["AttemptFailed Refused(503)"]);
    assert_eq!(world.endpoint.active_calls(), 1, "the caller is there");
    let _second = world.dial(call);
    let invite = world.last("INVITE");
    world.receive(TRUNK, &response(&invite, 180, "b", None));
    world.receive(TRUNK, &response(&invite, 200, "b", Some(SDP)));
    assert_eq!(world.event_names(), ["Progress 180", "Answered sdp"]);
    for (command, declined) in [
        (
            world
                .endpoint
                .ring(world.now, call, StatusCode::RINGING, None),
            CommandError::WrongState,
        ),
        (
            world.endpoint.answer(world.now, call, &sdp()),
            CommandError::WrongState,
        ),
        (
            world
                .endpoint
                .refuse(world.now, call, StatusCode::BUSY_HERE, &Refusal::default()),
            CommandError::WrongState,
        ),
        (
            world
                .endpoint
                .reoffer_by(world.now, call, a_leg, &sdp(), RefreshBy::Update),
            CommandError::WrongState,
        ),
    ] {
        assert_eq!(command, Err(declined), "nothing can be said to it");
    }
    world.sent.clear();
    let from = format!("{};tag=b", invite.header(&HeaderName::To));
    let (to, call_id) = (
        invite.header(&HeaderName::From),
        invite.header(&HeaderName::CallId),
    );
    world.receive(
        TRUNK,
        &request("BYE", TRUNK, &from, &to, &call_id, 1, "bye", ""),
    );
    assert_eq!(world.log(), ["200>trunk"]);
    assert_eq!(world.event_names(), ["Ended Terminating Bye"]);
    world.assert_quiescent();
}

#[test]
fn hanging_up_for_a_local_party_cancels_what_rings_and_ends_what_talks() {
    for is_answered in [false, true] {
        let mut world = World::new();
        let (call, _) = begun(&mut world);
        world.dial(call);
        let invite = world.last("INVITE");
        world.receive(TRUNK, &response(&invite, 180, "b", None));
        if is_answered {
            world.receive(TRUNK, &response(&invite, 200, "b", Some(SDP)));
        }
        world.sent.clear();
        world.events.clear();
        world.hang_up(call);
        let left = if is_answered { "BYE" } else { "CANCEL" };
        assert_eq!(world.log(), [format!("{left}>trunk")]);
        assert!(
            world
                .event_names()
                .contains(&"Ended Gateway Commanded".to_owned())
        );
        assert_eq!(world.endpoint.active_calls(), 0);
    }
}

#[test]
fn a_local_party_that_nobody_was_dialled_for_leaves_nothing() {
    let mut world = World::new();
    let (call, _) = begun(&mut world);
    world.hang_up(call);
    assert_eq!(world.event_names(), ["Ended Gateway Commanded", "CallGone"]);
    world.assert_quiescent();
    assert!(world.endpoint.is_idle());
}

#[test]
fn a_local_party_counts_among_the_calls_and_waits_out_a_drain() {
    let mut world = World::with_calls_max(1);
    let (call, _) = begun(&mut world);
    assert_eq!(world.endpoint.begin(), Err(CommandError::LimitReached));
    world.hang_up(call);
    world.endpoint.set_draining(true);
    assert_eq!(world.endpoint.begin(), Err(CommandError::Draining));
}

#[test]
fn a_local_party_that_is_struck_as_it_comes_leaves_nothing() {
    let mut world = World::new();
    world.endpoint.set_fault(Some(0));
    let endpoint = &mut world.endpoint;
    let struck = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| endpoint.begin()));
    assert!(struck.is_err(), "the fault was met");
    let cut = world.endpoint.recover(world.now).unwrap();
    world.drain();
    world.hang_up(cut);
    world.assert_quiescent();
    assert!(world.endpoint.is_idle());
}
