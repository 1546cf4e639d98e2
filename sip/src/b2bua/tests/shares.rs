//! Who gets the room that there is: callers that flood, callers that do not, trunks, emergencies.

use std::time::Duration;

use super::world::*;
use crate::event::{CallKey, EndpointConfig, Event};
use crate::limits::{self, EMERGENCY_CALLS_MAX, EMERGENCY_UNSETTLED_MAX};
use crate::message::HeaderName;

const FLOODER: &str = "198.51.100.7:5060";
const METHODS: [&str; 7] = [
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "MESSAGE",
];

/// Address of one of ten thousand.
fn one_of_many(number: u32) -> String {
    format!("198.51.{}.{}:5060", number / 250 % 40, number % 250 + 1)
}

fn invite_from(from: &str, call_id: &str, target: &str) -> String {
    let target = format!("INVITE {target} SIP");
    invite(call_id)
        .replace(CALLER, from)
        .replace("INVITE sip:link@10.0.0.9:5060 SIP", &target)
}

/// The calls that were offered since the last look.
fn offered(world: &mut World) -> Vec<CallKey> {
    let calls = world.take_events().into_iter().filter_map(|event| {
        if let Event::CallOffered { call, .. } = event {
            Some(call)
        } else {
            None
        }
    });
    calls.collect()
}

/// A caller of this group calls: it is offered at once, and hangs up again.
fn honest_call(world: &mut World, group: u64, from: &str, call_id: &str) {
    world.take_events();
    world.receive_of(
        group,
        from,
        &invite_from(from, call_id, "sip:link@10.0.0.9:5060"),
    );
    let calls = offered(world);
    assert_eq!(calls.len(), 1, "{call_id}: {:?}", world.sent.last());
    world.hang_up(calls[0]);
    let refusal = world.last("480");
    let text = invite_from(from, call_id, "sip:link@10.0.0.9:5060");
    let branch = text.replace("INVITE", "ACK");
    let to = format!("To: {}", refusal.header(&HeaderName::To));
    let acknowledged = branch.replace(&format!("To: <sip:link@{OURS}>"), &to);
    world.receive_of(group, from, &acknowledged);
}

fn dropped(world: &World, reason: &str) -> u64 {
    world.endpoint.counters().dropped(reason)
}

#[test]
fn a_caller_that_floods_leaves_room_for_the_next_while_it_lasts() {
    let mut world = World::new();
    let mut taken = 0;
    for number in 0..1_000 {
        let text = invite_from(FLOODER, &format!("f{number}"), "sip:link@10.0.0.9:5060");
        world.receive_of(1, FLOODER, &text);
        taken += offered(&mut world).len();
        if number % 100 == 99 {
            honest_call(&mut world, 1, CALLER, &format!("honest{number}"));
        }
    }
    assert!(
        (70..=75).contains(&taken),
        "three quarters, and no more: {taken}"
    );
    assert!(dropped(&world, "caller_share") >= 900);
    let refusal = world.last("503").header(&HeaderName::RetryAfter);
    assert!(refusal.parse::<u32>().unwrap() >= 2);
    // A trunk has all the room that is left.
    let mut received = 0;
    for number in 0..100 {
        world.receive(
            TRUNK,
            &invite_from(TRUNK, &format!("t{number}"), "sip:link@10.0.0.9:5060"),
        );
        received += offered(&mut world).len();
    }
    assert_eq!(taken + received, 100);
}

/// Refused calls stay for 64·T1 where nobody acknowledges the refusal: their room is shared too.
#[test]
fn calls_that_were_refused_and_never_acknowledged_take_no_more_than_their_share() {
    let mut world = World::with_calls_max(20);
    let capacity = limits::transactions_max(20, 0);
    for number in 0..capacity {
        let text = invite_from(FLOODER, &format!("f{number}"), "sip:link@10.0.0.9:5060");
        world.receive_of(1, FLOODER, &text);
        for call in offered(&mut world) {
            world.hang_up(call);
        }
        world.sent.clear();
    }
    assert!(dropped(&world, "caller_share") > 0);
    assert_eq!(
        dropped(&world, "calls_full") + dropped(&world, "transactions_full"),
        0
    );
    honest_call(&mut world, 1, CALLER, "honest");
    world.assert_quiescent();
}

#[test]
fn of_ten_thousand_callers_of_one_group_the_rest_notice_nothing() {
    let mut world = World::new();
    // This one has acknowledged an answer: it is who it says.
    world.receive_of(1, CALLER, &invite("before"));
    let call = offered(&mut world)[0];
    world.answer(call, SDP);
    let acknowledged = ack(&invite("before"), &world.last("200"));
    world.receive_of(1, CALLER, &acknowledged);
    world.hang_up(call);
    let mut taken = 0;
    for number in 0..10_000 {
        let from = one_of_many(number);
        let text = invite_from(&from, &format!("f{number}"), "sip:link@10.0.0.9:5060");
        world.receive_of(1, &from, &text);
        taken += offered(&mut world).len();
        world.sent.clear();
        if number % 1_000 == 999 {
            honest_call(&mut world, 1, CALLER, &format!("proven{number}"));
            honest_call(&mut world, 2, "192.0.2.9:5060", &format!("other{number}"));
        }
    }
    assert!((90..=94).contains(&taken), "{taken}");
    assert!(dropped(&world, "group_share") >= 9_000);
    world.receive_of(
        1,
        "198.51.200.1:5060",
        &invite_from("198.51.200.1:5060", "new", "sip:link@10.0.0.9:5060"),
    );
    assert!(
        offered(&mut world).is_empty(),
        "nobody knows this one from the flood"
    );
}

#[test]
fn floods_of_seven_methods_keep_what_is_bounded_and_the_next_call_works_while_they_last() {
    for many in [false, true] {
        for method in METHODS {
            let mut world = World::new();
            for number in 0..2_000_u32 {
                let from = if many {
                    one_of_many(number)
                } else {
                    FLOODER.to_owned()
                };
                let id = format!("flood{number}");
                let text = request(
                    method,
                    &from,
                    "<sip:a@b>;tag=1",
                    "<sip:link@10.0.0.9>",
                    &id,
                    1,
                    &id,
                    "",
                );
                world.receive_of(1, &from, &text);
                if number % 500 == 499 {
                    honest_call(&mut world, 2, CALLER, &format!("honest{number}"));
                }
                world.sent.clear();
            }
            for table in world.endpoint.tables() {
                assert!(table.used <= table.max, "{method} {table:?}");
            }
            assert!(world.endpoint.active_calls() <= 94, "{method}");
        }
    }
}

#[test]
fn emergency_calls_have_room_when_every_table_is_full() {
    let mut world = World::of(EndpointConfig {
        emergency_numbers: vec!["112".into()],
        ..config(20)
    });
    let mut calls = Vec::new();
    for number in 0..21 {
        world.receive(
            TRUNK,
            &invite_from(TRUNK, &format!("t{number}"), "sip:link@10.0.0.9:5060"),
        );
        calls.extend(offered(&mut world));
    }
    assert_eq!(calls.len(), 20);
    assert_eq!(dropped(&world, "calls_full"), 1);
    for number in 0..EMERGENCY_CALLS_MAX + 1 {
        let from = format!("10.1.{number}.1:5060");
        let target = if number % 2 == 0 {
            "urn:service:sos"
        } else {
            "sip:112@10.0.0.9"
        };
        world.receive_of(
            1,
            &from,
            &invite_from(&from, &format!("sos{number}"), target),
        );
        let emergency = offered(&mut world);
        let has_room = number < EMERGENCY_CALLS_MAX;
        assert_eq!(emergency.len(), usize::from(has_room), "{number}");
        for call in emergency {
            world.dial(call);
            calls.push(call);
        }
    }
    assert_eq!(dropped(&world, "calls_full"), 2);
    // Their room is not everybody's.
    world.hang_up(calls.remove(25));
    world.receive(TRUNK, &invite_from(TRUNK, "late", "sip:link@10.0.0.9:5060"));
    assert!(offered(&mut world).is_empty());
    for call in calls {
        world.hang_up(call);
    }
    world.assert_quiescent();
}

#[test]
fn a_flood_of_emergency_calls_takes_little_of_their_room() {
    let mut world = World::with_calls_max(20);
    let sos =
        |from: &str, number: u32| invite_from(from, &format!("{from}{number}"), "urn:service:sos");
    let mut taken = 0;
    for number in 0..200 {
        world.receive_of(1, FLOODER, &sos(FLOODER, number));
        taken += offered(&mut world).len();
    }
    assert_eq!(taken, 15, "its share, as of every other call");
    for number in 0..20 {
        world.receive(
            TRUNK,
            &invite_from(TRUNK, &format!("t{number}"), "sip:link@10.0.0.9:5060"),
        );
    }
    offered(&mut world);
    for number in 0..200 {
        world.receive_of(1, CALLER, &sos(CALLER, number));
        taken += offered(&mut world).len();
    }
    assert_eq!(
        taken,
        15 + usize::try_from(EMERGENCY_UNSETTLED_MAX).unwrap()
    );
    honest_sos(&mut world);
}

/// Refused at once, they are calls all the same until their repetitions are over.
#[test]
fn a_flood_of_emergency_calls_that_are_refused_leaves_their_room() {
    let mut world = World::with_calls_max(20);
    for number in 0..20 {
        world.receive(
            TRUNK,
            &invite_from(TRUNK, &format!("t{number}"), "sip:link@10.0.0.9:5060"),
        );
    }
    assert_eq!(offered(&mut world).len(), 20);
    let mut taken = 0;
    for number in 0..200 {
        let text = invite_from(FLOODER, &format!("f{number}"), "urn:service:sos");
        world.receive_of(1, FLOODER, &text);
        for call in offered(&mut world) {
            taken += 1;
            world.hang_up(call);
        }
    }
    assert_eq!(taken, EMERGENCY_UNSETTLED_MAX);
    honest_sos(&mut world);
}

#[test]
fn in_overload_a_caller_has_few_emergency_calls_before_the_others() {
    let mut world = World::new();
    world.endpoint.set_overloaded(true, Duration::from_secs(2));
    let mut taken = 0;
    for number in 0..20 {
        let text = invite_from(FLOODER, &format!("f{number}"), "urn:service:sos");
        world.receive_of(1, FLOODER, &text);
        for call in offered(&mut world) {
            taken += 1;
            world.hang_up(call);
        }
    }
    assert_eq!(taken, EMERGENCY_UNSETTLED_MAX);
    honest_sos(&mut world);
    // Their time is over, and it is heard again.
    world.pass(Duration::from_secs(40));
    let text = invite_from(FLOODER, "later", "urn:service:sos");
    world.receive_of(1, FLOODER, &text);
    assert_eq!(offered(&mut world).len(), 1);
}

fn honest_sos(world: &mut World) {
    let from = "10.0.0.77:5060";
    world.receive_of(1, from, &invite_from(from, "distress", "urn:service:sos"));
    assert_eq!(offered(world).len(), 1);
    world.pass(Duration::from_secs(1));
}
