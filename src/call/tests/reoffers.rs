//! Offers within a call.

use media::command::{PairKey, Target};

use super::world::{PHONE, World, link, sdp, target, trunk};
use crate::links::model::Destination;

#[test]
fn hold_is_passed_to_the_other_side_and_its_answer_comes_back() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.phone(
        "INVITE",
        "c1",
        2,
        &sdp("10.0.0.5", 4000, 2, "a=sendonly\r\n"),
    );
    let reinvite = world.last(target(1), "INVITE");
    assert!(
        reinvite.body().contains("a=sendonly"),
        "{}",
        reinvite.body()
    );
    assert!(
        reinvite.header("To").contains("tag=callee"),
        "within the dialog"
    );
    world.respond(
        &reinvite,
        "200 OK",
        &sdp("192.0.2.1", 6000, 2, "a=recvonly\r\n"),
    );
    let answer = world.last(PHONE.parse().unwrap(), "SIP/2.0 200");
    assert_eq!(answer.header("CSeq"), "2 INVITE");
    assert!(answer.body().contains("a=recvonly"), "{}", answer.body());
    world.phone("ACK", "c1", 2, "");
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}

#[test]
fn hold_that_is_taken_back_leaves_both_sides_talking() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    let hold = sdp("10.0.0.5", 4000, 2, "a=sendonly\r\n");
    world.phone("INVITE", "c1", 2, &hold);
    let asked = world.last(target(1), "INVITE");
    world.cancel_reinvite("c1", 2);
    assert_eq!(world.heard(), 487, "{:#?}", world.starts());
    let told = world.count(target(1), "INVITE");
    world.respond(
        &asked,
        "200 OK",
        &sdp("192.0.2.1", 6000, 2, "a=recvonly\r\n"),
    );
    // The callee took the hold: it is offered what the caller still has.
    assert_eq!(world.count(target(1), "INVITE"), told + 1);
    let again = world.last(target(1), "INVITE");
    assert!(
        !again.body().contains("a=sendonly") && !again.body().contains("a=inactive"),
        "{}",
        again.body()
    );
    world.respond(&again, "200 OK", &sdp("192.0.2.1", 6000, 3, ""));
    assert_eq!(world.count(target(1), "INVITE"), told + 1, "and no more");
    assert!(world.plans.values().all(|plan| plan.sends && plan.receives));
    // The next offer of the caller is taken like any other.
    let moved = sdp("10.0.0.5", 4100, 3, "");
    world.phone("INVITE", "c1", 3, &moved);
    assert_eq!(world.count(target(1), "INVITE"), told + 2);
    world.phone("BYE", "c1", 4, "");
    world.expect_quiet();
}

#[test]
fn refusal_of_the_other_side_keeps_the_session() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    let before = world.legs.clone();
    world.phone("INVITE", "c1", 2, &sdp("10.0.0.5", 4100, 2, ""));
    let reinvite = world.last(target(1), "INVITE");
    world.respond(&reinvite, "488 Not Acceptable Here", "");
    assert_eq!(world.heard(), 488);
    world.phone("ACK", "c1", 2, "");
    assert_eq!(world.legs, before);
    assert_eq!(world.control.counters().calls_active, 1);
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}

#[test]
fn refused_hold_leaves_both_directions_open() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.phone(
        "INVITE",
        "c1",
        2,
        &sdp("10.0.0.5", 4000, 2, "a=sendonly\r\n"),
    );
    let reinvite = world.last(target(1), "INVITE");
    world.respond(&reinvite, "488 Not Acceptable Here", "");
    assert_eq!(world.heard(), 488);
    world.phone("ACK", "c1", 2, "");
    assert!(world.plans.values().all(|plan| plan.sends && plan.receives));
    assert!(
        world
            .plans
            .values()
            .all(|plan| plan.media_timeout.is_some()),
        "nobody is held"
    );
    // What we say next is a new version of what stood before the refusal.
    world.phone("INVITE", "c1", 3, &sdp("10.0.0.5", 4200, 3, ""));
    let next = world.last(target(1), "INVITE");
    assert_ne!(next.body().lines().nth(1), reinvite.body().lines().nth(1));
    world.phone("BYE", "c1", 4, "");
    world.expect_quiet();
}

#[test]
fn refresh_with_the_same_description_is_answered_here() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    let first = world.last(PHONE.parse().unwrap(), "SIP/2.0 200");
    let asked = world.count(target(1), "INVITE");
    world.phone("INVITE", "c1", 2, &sdp("10.0.0.5", 4000, 1, ""));
    assert_eq!(
        world.count(target(1), "INVITE"),
        asked,
        "the other side is left alone"
    );
    let answer = world.last(PHONE.parse().unwrap(), "SIP/2.0 200");
    assert_eq!(answer.header("CSeq"), "2 INVITE");
    assert_eq!(answer.body(), first.body());
    world.phone("ACK", "c1", 2, "");
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}

#[test]
fn echo_answers_a_new_offer_by_itself() {
    let mut world = World::new(Vec::new());
    world.call_link("c1", Ok(link(Destination::Echo)));
    world.phone("ACK", "c1", 1, "");
    world.phone(
        "INVITE",
        "c1",
        2,
        &sdp("10.0.0.5", 4100, 2, "a=sendonly\r\n"),
    );
    let answer = world.last(PHONE.parse().unwrap(), "SIP/2.0 200");
    assert!(answer.body().contains("a=recvonly"), "{}", answer.body());
    let pair = PairKey {
        worker: 0,
        slot: 0,
        generation: 0,
    };
    assert_eq!(world.legs[&pair], Target::Echo);
    world.phone("ACK", "c1", 2, "");
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}

#[test]
fn offer_with_a_forbidden_address_is_refused_and_the_call_goes_on() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.phone("INVITE", "c1", 2, &sdp("239.0.0.1", 4000, 2, ""));
    assert_eq!(world.heard(), 488);
    world.phone("ACK", "c1", 2, "");
    assert_eq!(world.control.counters().calls_active, 1);
}

/// Behind a NAT that leads back to us, two of them would make a loop of one call.
#[test]
fn our_ports_as_peers_know_them_are_nobodys_media() {
    let peers_know_us = |world: &mut World| {
        world.change(|snapshot| {
            snapshot.settings.advertised_media = Some("203.0.113.7".parse().unwrap());
            snapshot.trunks[0].advertised_media_address = Some("203.0.113.8".parse().unwrap());
        });
    };
    let mut world = World::new(vec![trunk(1)]);
    peers_know_us(&mut world);
    // RTP of one pair, RTCP of another, by both names; of a port in stock, and of one that a call has.
    for (number, (host, port)) in [("203.0.113.7", 10_000), ("203.0.113.8", 10_003)]
        .into_iter()
        .enumerate()
    {
        world.invite("sales", &format!("r{number}"), &sdp(host, port, 1, ""));
        assert_eq!(world.heard(), 488, "{host}");
    }
    world.answered("c1");
    let answered = world.last(PHONE.parse().unwrap(), "SIP/2.0 200");
    assert!(answered.body().contains("c=IN IP4 203.0.113.7"));
    world.phone("INVITE", "c1", 2, &sdp("203.0.113.7", 10_002, 2, ""));
    assert_eq!(world.heard(), 488);
    world.phone("ACK", "c1", 2, "");
    assert_eq!(world.control.counters().calls_active, 1);
    // A callee that answers with the caller's port, by the name that it was told itself.
    world.call("610", "c2");
    let invite = world.last(target(1), "INVITE");
    assert!(invite.body().contains("c=IN IP4 203.0.113.8"));
    world.respond(&invite, "200 OK", &sdp("203.0.113.8", 10_004, 1, ""));
    assert_ne!(world.heard(), 200);
    // A port of that number which is not open is somebody else's.
    world.invite("sales", "c3", &sdp("203.0.113.7", 20_000, 1, ""));
    world.resolved(Ok(link(Destination::Echo)));
    assert_eq!(world.heard(), 200);
}
