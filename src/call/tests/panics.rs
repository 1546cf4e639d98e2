//! A panic in the middle of a call: that call ends, whole, and the others do not notice.

use super::world::*;
use crate::call::event::Input;

/// One call, as far as it comes.
fn second_call(world: &mut World) {
    world.invite("sales", "two", &sdp("10.0.0.5", 4000, 1, ""));
    if let Some((ticket, _)) = world.tickets.pop() {
        let outcome = Ok(remote("610"));
        world.feed(Input::Resolved { ticket, outcome });
    }
    if world.count(target(1), "INVITE") < 2 {
        return;
    }
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "180 Ringing", "");
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    world.phone("ACK", "two", 1, "");
    world.phone("BYE", "two", 2, "");
}

#[test]
fn call_of_a_panic_ends_wherever_it_strikes_and_the_other_goes_on() {
    let mut struck = 0;
    for steps in 0.. {
        let mut world = World::new(vec![trunk(1)]);
        world.answered("one");
        let answer = world.last(PHONE.parse().unwrap(), "SIP/2.0 200");
        world.control.fault = Some(steps);
        second_call(&mut world);
        if world.control.fault.take().is_some() {
            break;
        }
        struck += 1;
        let rows: Vec<_> = world.closed().iter().map(|row| row.cause.clone()).collect();
        let opened = world
            .control
            .counters()
            .refused
            .contains_key("internal_error");
        assert!(opened && rows.len() <= 1, "step {steps}: {rows:?}");
        world.expect_quiet_but(1);
        world.sent.push(answer);
        world.phone("BYE", "one", 2, "");
        world.expect_quiet();
    }
    assert!(
        struck >= 6,
        "offer, link, ringing, answer, ACK, BYE: {struck}"
    );
}

/// The same inside the endpoint, whose tables are made to agree again.
#[test]
fn call_of_a_panic_inside_the_endpoint_ends_wherever_it_strikes_and_the_other_goes_on() {
    for steps in 0.. {
        let mut world = World::new(vec![trunk(1)]);
        world.answered("one");
        let answer = world.last(PHONE.parse().unwrap(), "SIP/2.0 200");
        // Nothing of the first call has a turn any more.
        world.pass(std::time::Duration::from_secs(40));
        world.control.endpoint.set_fault(Some(steps));
        second_call(&mut world);
        if world.control.endpoint.has_fault() {
            assert!(steps > 30, "INVITE to BYE: {steps}");
            break;
        }
        let rows: Vec<_> = world.closed().iter().map(|row| row.cause.clone()).collect();
        assert!(rows.len() <= 1, "step {steps}: {rows:?}");
        assert_eq!(
            world.control.counters().endpoint.turns_cut_short,
            1,
            "step {steps}"
        );
        world.expect_quiet_but(1);
        world.sent.push(answer);
        world.phone("BYE", "one", 2, "");
        world.expect_quiet();
    }
}

#[test]
fn both_sides_of_a_call_that_a_panic_ended_are_told() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("one");
    let pair = *world.legs.keys().next().expect("a leg is up");
    world.control.fault = Some(0);
    world.feed(Input::Report {
        report: media::command::Report::Silent { pair },
    });
    assert_eq!(world.count(PHONE.parse().unwrap(), "BYE"), 1);
    assert_eq!(world.count(target(1), "BYE"), 1);
    let causes: Vec<_> = world.closed().iter().map(|row| row.cause.clone()).collect();
    assert_eq!(causes, ["internal_error"]);
    world.expect_quiet();
}
