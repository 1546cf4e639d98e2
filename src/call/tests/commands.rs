//! Commands that look at calls and end them.

use super::world::{PHONE, World, link, sdp, target, trunk};
use crate::call::command::{Command, CommandOutcome, CommandRefusal, ListCalls, TrunkState};
use crate::call::view::{CallState, CallView, LegSide, Origin};
use crate::links::model::Destination;

fn listed(world: &mut World, list: ListCalls) -> (Vec<CallView>, Option<u64>) {
    match world.order(Command::List(list)) {
        Ok(CommandOutcome::Calls(page)) => (page.calls, page.next),
        other => panic!("{other:?}"),
    }
}

fn all() -> ListCalls {
    ListCalls {
        limit: 100,
        ..ListCalls::default()
    }
}

fn only(world: &mut World) -> CallView {
    let (mut calls, next) = listed(world, all());
    assert_eq!((calls.len(), next), (1, None));
    calls.remove(0)
}

#[test]
fn call_is_seen_from_its_first_message_to_its_last() {
    let mut world = World::new(vec![trunk(1)]);
    world.call("610", "c1");
    let call = only(&mut world);
    assert_eq!(
        (call.state, call.origin, call.source.as_str()),
        (CallState::Calling, Origin::Offered, "office")
    );
    assert_eq!((call.link, call.request_path.as_str()), (Some(7), "sales"));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "180 Ringing", "");
    assert_eq!(only(&mut world).state, CallState::Ringing);
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    world.phone("ACK", "c1", 1, "");
    let call = only(&mut world);
    assert_eq!(call.state, CallState::Connected);
    let callee = &call.legs[1];
    assert_eq!(
        (
            callee.side,
            callee.trunk.as_deref(),
            callee.address,
            callee.party.as_str(),
            callee.codec.as_deref()
        ),
        (
            LegSide::B,
            Some("tr_1"),
            Some(target(1)),
            "610@example.com",
            Some("PCMU")
        )
    );
    let shown = world.order(Command::Show {
        call: call.id.clone(),
    });
    assert_eq!(shown, Ok(CommandOutcome::Call(Box::new(call.clone()))));
    world.phone("BYE", "c1", 2, "");
    assert_eq!(listed(&mut world, all()).0, []);
    let shown = world.order(Command::Show { call: call.id });
    assert_eq!(shown, Err(CommandRefusal::NoSuchCall));
    world.expect_quiet();
}

#[test]
fn local_party_is_a_leg_of_its_own_name() {
    let mut world = World::new(Vec::new());
    world.call_link("c1", Ok(link(Destination::Echo)));
    let call = only(&mut world);
    assert_eq!(call.legs[1].party, "local:echo");
    assert_eq!(call.legs[1].trunk, None);
}

#[test]
fn pages_are_by_age_and_filters_hold() {
    let mut world = World::new(vec![trunk(1), trunk(2)]);
    for call_id in ["c1", "c2", "c3"] {
        world.answered(call_id);
    }
    world.call("610", "c4");
    let (first, next) = listed(&mut world, ListCalls { limit: 3, ..all() });
    assert_eq!((first.len(), next), (3, Some(3)));
    let (rest, end) = listed(
        &mut world,
        ListCalls {
            after: next,
            ..all()
        },
    );
    assert_eq!((rest.len(), end), (1, None));
    assert_eq!(rest[0].state, CallState::Calling);
    for (list, count) in [
        (
            ListCalls {
                state: Some(CallState::Connected),
                ..all()
            },
            3,
        ),
        (
            ListCalls {
                trunk: Some("tr_1".into()),
                ..all()
            },
            4,
        ),
        (
            ListCalls {
                trunk: Some("tr_2".into()),
                ..all()
            },
            0,
        ),
        (
            ListCalls {
                link: Some(7),
                ..all()
            },
            4,
        ),
        (
            ListCalls {
                link: Some(8),
                ..all()
            },
            0,
        ),
    ] {
        assert_eq!(listed(&mut world, list.clone()).0.len(), count, "{list:?}");
    }
}

#[test]
fn end_by_command_is_bye_where_it_is_up_and_a_refusal_where_it_is_not() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    let id = only(&mut world).id;
    let end = Command::End {
        call: id,
        cause: "ended_by_api",
    };
    assert_eq!(world.order(end.clone()), Ok(CommandOutcome::Ended));
    assert_eq!(world.count(target(1), "BYE"), 1);
    assert_eq!(world.count(PHONE.parse().unwrap(), "BYE"), 1);
    assert_eq!(world.closed()[0].cause, "ended_by_api");
    assert_eq!(world.order(end), Err(CommandRefusal::NoSuchCall));
    world.call("610", "c2");
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "180 Ringing", "");
    let id = only(&mut world).id;
    let end = Command::End {
        call: id,
        cause: "ended_by_api",
    };
    assert_eq!(world.order(end), Ok(CommandOutcome::Ended));
    assert_eq!(world.count(target(1), "CANCEL"), 1);
    assert_eq!(world.heard(), 503);
    assert_eq!(world.control.counters().commands_refused["no_such_call"], 1);
}

#[test]
fn trunk_states_say_what_is_carried() {
    let mut off = trunk(2);
    off.enabled = false;
    let mut world = World::new(vec![trunk(1), off]);
    world.answered("c1");
    let Ok(CommandOutcome::TrunkStates(states)) = world.order(Command::ListTrunkStates) else {
        panic!("no states");
    };
    let said = |state: &TrunkState| (state.enabled, state.up, state.calls_sent);
    assert_eq!(said(&states[0]), (true, true, 1));
    assert_eq!(said(&states[1]), (false, true, 0));
    assert_eq!(states[0].targets[0].address, target(1));
}
