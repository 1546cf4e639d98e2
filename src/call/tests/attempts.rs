//! Fail-over, caps, pins, early media, cancelling: everything between the first attempt and the
//! last.

use std::time::Duration;

use media::command::{PairKey, Target};

use super::world::{PHONE, World, remote, sdp, target, trunk};
use crate::call::command::{Command as Order, CommandOutcome, CommandRefusal};
use crate::links::resolve::ResolvedLink;

#[test]
fn each_failure_moves_on_or_stops() {
    for (status, moves_on, heard) in [
        ("408 Request Timeout", true, 0),
        ("500 Server Internal Error", true, 0),
        ("502 Bad Gateway", true, 0),
        ("503 Service Unavailable", true, 0),
        ("504 Server Time-out", true, 0),
        ("404 Not Found", false, 404),
        ("486 Busy Here", false, 486),
        ("480 Temporarily Unavailable", false, 480),
        ("302 Moved Temporarily", false, 480),
        ("407 Proxy Authentication Required", false, 500),
        ("603 Decline", false, 603),
    ] {
        let mut world = World::new(vec![trunk(1), trunk(2)]);
        world.call("610", "c1");
        let first = world.last(target(1), "INVITE");
        world.respond(&first, status, "");
        assert_eq!(world.count(target(1), "ACK"), 1, "{status}");
        let tried = world.count(target(2), "INVITE");
        assert_eq!(tried == 1, moves_on, "{status}: {:#?}", world.starts());
        if moves_on {
            let second = world.last(target(2), "INVITE");
            assert_ne!(
                second.header("Call-ID"),
                first.header("Call-ID"),
                "a fresh dialog"
            );
            assert!(!second.body().contains("m=audio 10002 "), "fresh ports");
            world.respond(&second, "486 Busy Here", "");
            assert_eq!(world.heard(), 486);
            assert_eq!(world.attempts().len(), 2);
        } else {
            assert_eq!(world.heard(), heard, "{status}");
        }
        world.phone("ACK", "c1", 1, "");
        world.expect_quiet();
    }
}

#[test]
fn silent_trunk_is_left_after_its_timeout_and_a_late_answer_is_ended() {
    let mut world = World::new(vec![trunk(1), trunk(2)]);
    world.call("610", "c1");
    let first = world.last(target(1), "INVITE");
    world.pass(Duration::from_millis(4_100));
    let second = world.last(target(2), "INVITE");
    world.respond(&second, "200 OK", &sdp("192.0.2.2", 6000, 1, ""));
    assert_eq!(world.heard(), 200);
    world.phone("ACK", "c1", 1, "");
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    assert!(world.count(target(1), "ACK") >= 1, "{:#?}", world.starts());
    assert_eq!(world.count(target(1), "BYE"), 1);
    let outcomes: Vec<&str> = world
        .attempts()
        .iter()
        .map(|closed| closed.outcome.as_str())
        .collect();
    assert_eq!(outcomes, ["no_response", "late_answer"]);
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

#[test]
fn lone_unavailable_trunk_is_a_server_error_to_the_caller() {
    let mut world = World::new(vec![trunk(1)]);
    world.call("610", "c1");
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "503 Service Unavailable", "");
    assert_eq!(world.heard(), 500);
    world.phone("ACK", "c1", 1, "");
    world.expect_quiet();
}

#[test]
fn pinned_trunk_never_falls_back() {
    let mut world = World::new(vec![trunk(1), trunk(2)]);
    world.call_link(
        "c1",
        Ok(ResolvedLink {
            trunk: Some("tr_2".into()),
            ..remote("610")
        }),
    );
    let invite = world.last(target(2), "INVITE");
    world.respond(&invite, "503 Service Unavailable", "");
    assert_eq!(world.heard(), 500);
    assert_eq!(world.count(target(1), "INVITE"), 0);
    world.phone("ACK", "c1", 1, "");
    world.expect_quiet();
}

#[test]
fn trunk_at_its_cap_is_passed_over_and_all_at_cap_is_503() {
    let mut capped = trunk(1);
    capped.max_calls = 1;
    let mut world = World::new(vec![capped, trunk(2)]);
    world.call("610", "c1");
    world.call("610", "c2");
    assert_eq!(
        (
            world.count(target(1), "INVITE"),
            world.count(target(2), "INVITE")
        ),
        (1, 1)
    );
    world.change(|snapshot| snapshot.trunks[1].max_outbound = 1);
    world.call("610", "c3");
    assert_eq!(world.heard(), 503);
    assert_eq!(world.control.counters().refused["trunks_unavailable"], 1);
    world.phone("CANCEL", "c1", 1, "");
    world.expect_quiet_but(1);
}

#[test]
fn number_that_no_trunk_carries_is_404() {
    let mut world = World::new(Vec::new());
    world.call("610", "c1");
    assert_eq!(world.heard(), 404);
    world.expect_quiet();
}

#[test]
fn early_media_flows_at_once_and_is_torn_down_between_attempts() {
    let mut world = World::new(vec![trunk(1), trunk(2)]);
    world.call("610", "c1");
    let first = world.last(target(1), "INVITE");
    world.respond(
        &first,
        "183 Session Progress",
        &sdp("192.0.2.1", 6000, 1, ""),
    );
    assert_eq!(world.heard(), 183);
    let early = world.last(PHONE.parse().unwrap(), "SIP/2.0 183");
    assert!(early.body().contains("m=audio 10000 "));
    let pair = |slot| PairKey {
        worker: 0,
        slot,
        generation: 0,
    };
    assert_eq!(world.legs[&pair(0)], Target::Leg(pair(1)));
    world.respond(&first, "503 Service Unavailable", "");
    assert_eq!(world.legs[&pair(0)], Target::Nowhere);
    assert_eq!(world.legs.get(&pair(1)), None);
    assert_eq!(world.legs[&pair(2)], Target::Nowhere);
    world.phone("CANCEL", "c1", 1, "");
    world.expect_quiet();
}

/// RFC 3261 §13.2.1: within one dialog a caller takes the first answer and ignores the next.
#[test]
fn early_media_of_one_trunk_and_another_answer_of_the_next_are_two_dialogs_for_the_caller() {
    for (codec, is_same) in [("8", true), ("0", false)] {
        let mut world = World::new(vec![trunk(1), trunk(2)]);
        world.call("610", "c1");
        let first = world.last(target(1), "INVITE");
        let early = sdp("192.0.2.1", 6000, 1, "").replace("AVP 0 8", "AVP 8");
        world.respond(&first, "183 Session Progress", &early);
        let progress = world.last(PHONE.parse().unwrap(), "SIP/2.0 183");
        world.respond(&first, "503 Service Unavailable", "");
        let second = world.last(target(2), "INVITE");
        let answer = sdp("192.0.2.2", 7000, 1, "").replace("AVP 0 8", &format!("AVP {codec}"));
        world.respond(&second, "200 OK", &answer);
        let ok = world.last(PHONE.parse().unwrap(), "SIP/2.0 200");
        assert!(
            ok.body().contains(&format!("RTP/AVP {codec}\r\n")),
            "{}",
            ok.body()
        );
        assert_eq!(ok.header("To") == progress.header("To"), is_same, "{codec}");
        world.phone("ACK", "c1", 1, "");
        world.phone("BYE", "c1", 2, "");
        let bye = world.last(target(2), "BYE");
        world.respond(&bye, "200 OK", "");
        world.expect_quiet();
    }
}

#[test]
fn caller_who_cancels_ends_the_attempt() {
    let mut world = World::new(vec![trunk(1), trunk(2)]);
    world.call("610", "c1");
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "180 Ringing", "");
    world.phone("CANCEL", "c1", 1, "");
    assert_eq!(world.count(target(1), "CANCEL"), 1);
    assert_eq!(world.heard(), 487, "{:#?}", world.starts());
    world.respond(&invite, "487 Request Terminated", "");
    assert_eq!(world.count(target(2), "INVITE"), 0);
    assert_eq!(world.closed()[0].released_by, "originating");
    assert_eq!(world.closed()[0].cause, "cancelled");
    world.phone("ACK", "c1", 1, "");
    world.expect_quiet();
}

#[test]
fn caller_who_gives_up_before_the_link_is_known_leaves_nothing() {
    let mut world = World::new(vec![trunk(1)]);
    world.invite("sales", "c1", &sdp("10.0.0.5", 4000, 1, ""));
    world.phone("CANCEL", "c1", 1, "");
    let (ticket, _) = world.tickets.pop().unwrap();
    world.feed(crate::call::event::Input::Resolved {
        ticket,
        outcome: Ok(remote("610")),
    });
    assert_eq!(world.count(target(1), "INVITE"), 0);
    world.phone("ACK", "c1", 1, "");
    world.expect_quiet();
}

#[test]
fn answer_that_cannot_be_used_ends_both_sides() {
    let mut world = World::new(vec![trunk(1)]);
    world.call("610", "c1");
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &sdp("239.1.1.1", 6000, 1, ""));
    assert_eq!(world.heard(), 502, "{:#?}", world.starts());
    assert_eq!(world.count(target(1), "ACK"), 1);
    assert_eq!(world.count(target(1), "BYE"), 1);
    world.phone("ACK", "c1", 1, "");
    world.expect_quiet();
}

#[test]
fn trunk_that_somebody_looks_at_is_pinged_now_and_carries_calls_when_it_answers() {
    let mut pinged = trunk(1);
    pinged.options_interval_up = Duration::from_secs(60);
    pinged.options_interval_down = Duration::from_secs(120);
    let mut world = World::new(vec![pinged]);
    let options = world.last(target(1), "OPTIONS");
    world.respond(&options, "503 Service Unavailable", "");
    let ping = |id: String| Order::PingTrunk { trunk: id };
    let id = trunk(1).id;
    assert_eq!(
        world.order(ping(id.clone())),
        Ok(CommandOutcome::TrunkPinged)
    );
    assert_eq!(world.count(target(1), "OPTIONS"), 2);
    // One that is on its way is enough.
    assert_eq!(world.order(ping(id)), Ok(CommandOutcome::TrunkPinged));
    assert_eq!(world.count(target(1), "OPTIONS"), 2);
    let options = world.last(target(1), "OPTIONS");
    world.respond(&options, "200 OK", "");
    world.call("610", "c1");
    assert_eq!(world.count(target(1), "INVITE"), 1);
    assert_eq!(
        world.order(ping("tr_none".to_owned())),
        Err(CommandRefusal::NoSuchTrunk)
    );
}

#[test]
fn trunk_that_does_not_answer_pings_is_not_dialled() {
    let mut pinged = trunk(1);
    pinged.options_interval_up = Duration::from_secs(60);
    pinged.options_interval_down = Duration::from_secs(120);
    let mut world = World::new(vec![pinged, trunk(2)]);
    let options = world.last(target(1), "OPTIONS");
    world.respond(&options, "503 Service Unavailable", "");
    world.call("610", "c1");
    assert_eq!(
        (
            world.count(target(1), "INVITE"),
            world.count(target(2), "INVITE")
        ),
        (0, 1)
    );
    world.phone("CANCEL", "c1", 1, "");
    world.pass(Duration::from_secs(121));
    let options = world.last(target(1), "OPTIONS");
    world.respond(&options, "200 OK", "");
    world.call("610", "c2");
    assert_eq!(world.count(target(1), "INVITE"), 1);
}
