//! Calls that are ordered: both parties, ringback, fail-over, ends from every side, caps.

use std::time::Duration;

use media::command::{PairKey, Target};

use super::world::{Sent, US, World, link, remote, sdp, target, trunk};
use crate::call::command::{
    Command, CommandOutcome, CommandRefusal, Grant, Idempotency, Party, PlaceCall, PlaceTo,
};
use crate::call::event::Input;
use crate::call::view::{CallState, CallView, Origin};
use crate::cdr::record::{AttemptLeg, MediaFigures, Record};
use crate::links::model::Destination;
use crate::links::resolve::ResolvedLink;
use crate::trunks::model::{NumberPattern, Trunk};

/// Trunk 1 carries the phones of the house, trunk 2 and 3 everything.
fn trunks() -> Vec<Trunk> {
    let mut house = trunk(1);
    house.patterns = vec![NumberPattern::Prefix("6".into())];
    vec![house, trunk(2), trunk(3)]
}

fn world() -> World {
    let mut world = World::new(trunks());
    world.change(|snapshot| snapshot.guard.unnamed_allowed = true);
    world
}

pub(super) fn order(from: &str, to: &str) -> PlaceCall {
    let party = |user: &str| Party {
        user: user.into(),
        domain: Some("example.com".into()),
    };
    PlaceCall {
        grant: Grant::unlimited("7"),
        client: Some("10.1.1.1".parse().unwrap()),
        idempotency: None,
        from: party(from),
        to: PlaceTo::Party {
            party: party(to),
            trunk: None,
            caller_name: "Reception".into(),
            caller_alias: "600".into(),
        },
    }
}

fn linked(from: &str, link: ResolvedLink) -> PlaceCall {
    PlaceCall {
        to: PlaceTo::Link(Box::new(link)),
        ..order(from, "")
    }
}

fn place(world: &mut World, order: PlaceCall) -> Result<CallView, CommandRefusal> {
    let outcome = world.order(Command::Place(Box::new(order)));
    outcome.map(placed)
}

fn placed(outcome: CommandOutcome) -> CallView {
    let CommandOutcome::Placed { call, .. } = outcome else {
        panic!("another answer");
    };
    *call
}

fn show(world: &mut World, id: &str) -> CallView {
    match world.order(Command::Show { call: id.into() }) {
        Ok(CommandOutcome::Call(call)) => *call,
        other => panic!("{other:?}"),
    }
}

fn pair(slot: u32) -> PairKey {
    PairKey {
        worker: 0,
        slot,
        generation: 0,
    }
}

fn bye(world: &mut World, invite: &Sent) {
    let text = format!(
        "BYE sip:x@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKbye{}\r\n\
         Max-Forwards: 70\r\nFrom: {};tag=callee\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 7 BYE\r\n\
         Content-Length: 0\r\n\r\n",
        invite.to,
        invite.header("Call-ID"),
        invite.header("To"),
        invite.header("From"),
        invite.header("Call-ID"),
    );
    world.datagram(invite.to, &text);
}

/// Both INVITEs of a call between 610 and an outside number that is up.
fn joined(world: &mut World) -> (CallView, Sent, Sent) {
    let call = place(world, order("610", "+33123")).unwrap();
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    let second = world.last(target(2), "INVITE");
    world.respond(&second, "200 OK", &sdp("192.0.2.2", 7000, 1, ""));
    (call, first, second)
}

fn end_of(world: &World) -> (String, String, u16) {
    let closed = world.closed();
    let closed = closed.last().expect("the call is closed");
    (
        closed.cause.clone(),
        closed.released_by.clone(),
        closed.status,
    )
}

fn outcomes(world: &World) -> Vec<(u32, String)> {
    let attempts = world.attempts();
    let outcome =
        |closed: &&crate::cdr::record::AttemptClosed| (closed.number, closed.outcome.clone());
    let mut outcomes: Vec<_> = attempts.iter().map(outcome).collect();
    outcomes.sort();
    outcomes
}

#[test]
fn first_party_hears_ringback_until_the_second_answers_and_then_both_hear_each_other() {
    let mut world = world();
    let call = place(&mut world, order("610", "+33123")).unwrap();
    assert_eq!(
        (call.state, call.origin, call.source.as_str()),
        (CallState::Calling, Origin::Placed, "api:7")
    );
    let first = world.last(target(1), "INVITE");
    assert!(first.start().contains("sip:610@example.com"));
    assert!(first.header("From").contains("+33123"), "whom it will meet");
    assert!(
        first.body().contains("m=audio 10000 RTP/AVP 8 0 "),
        "{}",
        first.body()
    );
    world.respond(&first, "180 Ringing", "");
    assert_eq!(show(&mut world, &call.id).state, CallState::Ringing);
    assert_eq!(world.count(target(2), "INVITE"), 0, "not before its answer");
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    assert_eq!(world.count(target(1), "ACK"), 1);
    assert_eq!(world.legs[&pair(0)], Target::Ringback);
    assert!(
        !world.plans[&pair(0)].payloads.is_empty(),
        "it can be heard"
    );
    assert_eq!(show(&mut world, &call.id).state, CallState::Connecting);
    let second = world.last(target(2), "INVITE");
    assert!(second.header("From").contains("\"Reception\" <sip:600@"));
    assert!(
        second.body().contains("m=audio 10002 RTP/AVP 0 8\r\n"),
        "what the first accepted: {}",
        second.body()
    );
    world.respond(&second, "180 Ringing", "");
    assert_eq!(world.legs[&pair(0)], Target::Ringback);
    world.respond(&second, "200 OK", &sdp("192.0.2.2", 7000, 1, ""));
    assert_eq!(world.legs[&pair(0)], Target::Leg(pair(1)));
    assert_eq!(world.legs[&pair(1)], Target::Leg(pair(0)));
    assert_eq!(
        world.count(target(1), "INVITE"),
        1,
        "nothing forces another offer"
    );
    let up = show(&mut world, &call.id);
    assert_eq!((up.state, up.legs.len()), (CallState::Connected, 2));
    bye(&mut world, &first);
    assert_eq!(world.count(target(2), "BYE"), 1);
    assert_eq!(end_of(&world), ("normal".into(), "originating".into(), 200));
    assert_eq!(
        outcomes(&world),
        [(1, "answered".into()), (2, "answered".into())]
    );
    assert_eq!(show(&mut world, &call.id).state, CallState::Ended);
    world.expect_quiet();
}

#[test]
fn hang_up_of_the_second_party_ends_the_first() {
    let mut world = world();
    let (_, first, second) = joined(&mut world);
    bye(&mut world, &second);
    assert_eq!(world.count(target(1), "BYE"), 1);
    assert_eq!(end_of(&world).1, "terminating");
    let bye = world.last(target(1), "BYE");
    assert_eq!(bye.header("Call-ID"), first.header("Call-ID"));
    world.expect_quiet();
}

#[test]
fn both_legs_have_their_figures_and_so_has_the_call() {
    let mut world = world();
    let (_, first, _) = joined(&mut world);
    bye(&mut world, &first);
    assert!(
        world
            .attempts()
            .iter()
            .all(|row| row.media.packets_received == 50)
    );
    let expected = MediaFigures {
        packets_received: 50,
        round_trip_ms: Some(20.5),
        mos: Some(4.37),
        peer_packets_lost: Some(2),
        peer_jitter_ms: Some(1.5),
        peer_mos: Some(4.21),
        srtp: Some("none".to_owned()),
        ..MediaFigures::default()
    };
    assert_eq!(world.closed()[0].media, expected);
    let Some(Record::CallOpened(opened)) = world.records.first() else {
        panic!("a call begins with its row");
    };
    assert_eq!(
        (
            opened.source.as_str(),
            opened.source_address.as_str(),
            opened.caller.as_str()
        ),
        ("api:7", "10.1.1.1", "610@example.com")
    );
    world.expect_quiet();
}

#[test]
fn first_party_that_refuses_ends_the_call_and_the_second_is_never_called() {
    for (status, cause, heard) in [
        ("486 Busy Here", "busy", 486),
        ("603 Decline", "declined", 603),
        ("404 Not Found", "no_such_destination", 404),
    ] {
        let mut world = world();
        place(&mut world, order("610", "+33123")).unwrap();
        let first = world.last(target(1), "INVITE");
        world.respond(&first, status, "");
        assert_eq!(end_of(&world), (cause.into(), "originating".into(), heard));
        assert_eq!(world.count(target(2), "INVITE"), 0);
        world.expect_quiet();
    }
}

#[test]
fn second_party_that_refuses_ends_the_first() {
    let mut world = world();
    place(&mut world, order("610", "+33123")).unwrap();
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    let second = world.last(target(2), "INVITE");
    world.respond(&second, "486 Busy Here", "");
    assert_eq!(world.count(target(1), "BYE"), 1);
    assert_eq!(end_of(&world), ("busy".into(), "terminating".into(), 486));
    assert_eq!(
        outcomes(&world),
        [(1, "answered".into()), (2, "refused".into())]
    );
    world.expect_quiet();
}

#[test]
fn each_party_falls_over_to_the_next_trunk_with_the_same_id() {
    let mut world = world();
    let call = place(&mut world, order("+44555", "+33123")).unwrap();
    let silent = world.last(target(2), "INVITE");
    world.pass(Duration::from_millis(4_100));
    let first = world.last(target(3), "INVITE");
    assert_ne!(first.header("Call-ID"), silent.header("Call-ID"));
    assert_eq!(show(&mut world, &call.id).attempts, 2);
    world.respond(&first, "200 OK", &sdp("192.0.2.3", 6000, 1, ""));
    let refused = world.last(target(2), "INVITE");
    world.respond(&refused, "503 Service Unavailable", "");
    assert_eq!(world.count(target(3), "BYE"), 0, "the first party waits");
    let second = world.last(target(3), "INVITE");
    assert_ne!(second.header("Call-ID"), first.header("Call-ID"));
    world.respond(&second, "200 OK", &sdp("192.0.2.3", 7000, 1, ""));
    assert_eq!(show(&mut world, &call.id).state, CallState::Connected);
    world.respond(&silent, "200 OK", &sdp("192.0.2.2", 6000, 1, ""));
    assert_eq!(world.count(target(2), "BYE"), 1, "a late answer is ended");
    assert!(outcomes(&world).contains(&(1, "late_answer".into())));
    bye(&mut world, &first);
    world.expect_quiet();
}

/// Both calls lose their first trunk in one turn: the endpoint gives the place of the second away again
/// before call control has heard that it is gone.
#[test]
fn orders_whose_trunk_is_gone_in_one_turn_both_go_on_by_the_next() {
    let mut world = world();
    let orders = ["+44555", "+44556", "+44557"].map(|from| order(from, "+33123"));
    let calls = orders.map(|order| place(&mut world, order).unwrap());
    let flow = sip::event::Flow {
        transport: sip::event::Transport::Udp,
        local: US.parse().unwrap(),
        remote: target(2),
    };
    world.feed(Input::TransportFailed { flow });
    assert_eq!(world.count(target(3), "INVITE"), 3);
    for call in &calls {
        assert_eq!(show(&mut world, &call.id).attempts, 2);
    }
    world.pass(Duration::from_secs(20));
    assert_eq!(world.closed().len(), 3, "each has its record");
    world.expect_quiet();
}

#[test]
fn all_trunks_silent_is_the_end_with_a_row_each() {
    let mut world = world();
    place(&mut world, order("+44555", "+33123")).unwrap();
    world.pass(Duration::from_secs(20));
    assert_eq!(
        end_of(&world),
        ("no_response".into(), "gateway".into(), 408)
    );
    assert_eq!(
        outcomes(&world),
        [(1, "no_response".into()), (2, "no_response".into())]
    );
    world.expect_quiet();
}

#[test]
fn end_by_command_is_cancel_or_bye_as_far_as_it_is() {
    let mut world = world();
    let call = place(&mut world, order("610", "+33123")).unwrap();
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "180 Ringing", "");
    let end = |id: &str| Command::End {
        call: id.into(),
        cause: "ended_by_api",
    };
    assert_eq!(world.order(end(&call.id)), Ok(CommandOutcome::Ended));
    assert_eq!(world.count(target(1), "CANCEL"), 1);
    world.respond(&first, "487 Request Terminated", "");
    assert_eq!(
        end_of(&world),
        ("ended_by_api".into(), "gateway".into(), 487)
    );

    let call = place(&mut world, order("610", "+33123")).unwrap();
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    let second = world.last(target(2), "INVITE");
    world.respond(&second, "180 Ringing", "");
    assert_eq!(world.order(end(&call.id)), Ok(CommandOutcome::Ended));
    assert_eq!(
        (
            world.count(target(1), "BYE"),
            world.count(target(2), "CANCEL")
        ),
        (1, 1)
    );
    world.respond(&second, "487 Request Terminated", "");

    let (call, _, _) = joined(&mut world);
    assert_eq!(world.order(end(&call.id)), Ok(CommandOutcome::Ended));
    assert_eq!(
        (world.count(target(1), "BYE"), world.count(target(2), "BYE")),
        (2, 1)
    );
    assert_eq!(world.order(end(&call.id)), Err(CommandRefusal::NoSuchCall));
    world.expect_quiet();
}

#[test]
fn first_party_that_hangs_up_while_the_second_rings_cancels_it() {
    let mut world = world();
    place(&mut world, order("610", "+33123")).unwrap();
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    let second = world.last(target(2), "INVITE");
    world.respond(&second, "180 Ringing", "");
    bye(&mut world, &first);
    assert_eq!(world.count(target(2), "CANCEL"), 1);
    world.respond(&second, "487 Request Terminated", "");
    world.expect_quiet();
}

#[test]
fn early_media_takes_the_place_of_ringback_and_gives_it_back() {
    let mut world = world();
    place(&mut world, order("610", "+33123")).unwrap();
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    let second = world.last(target(2), "INVITE");
    world.respond(
        &second,
        "183 Session Progress",
        &sdp("192.0.2.2", 7000, 1, ""),
    );
    assert_eq!(world.legs[&pair(0)], Target::Leg(pair(1)));
    world.respond(&second, "503 Service Unavailable", "");
    assert_eq!(
        world.legs[&pair(0)],
        Target::Ringback,
        "the next trunk is called"
    );
    let second = world.last(target(3), "INVITE");
    world.respond(
        &second,
        "183 Session Progress",
        &sdp("192.0.2.3", 7000, 1, ""),
    );
    world.respond(&second, "200 OK", "");
    let up = world.legs[&pair(0)];
    assert!(
        matches!(up, Target::Leg(_)),
        "the early answer stands: {up:?}"
    );
    bye(&mut world, &first);
    world.expect_quiet();
}

#[test]
fn first_party_is_told_where_the_second_chose_another_codec() {
    let mut world = world();
    place(&mut world, order("610", "+33123")).unwrap();
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    let second = world.last(target(2), "INVITE");
    let pcma = sdp("192.0.2.2", 7000, 1, "").replace("RTP/AVP 0 8", "RTP/AVP 8");
    world.respond(&second, "200 OK", &pcma);
    assert_eq!(world.count(target(1), "INVITE"), 2, "{:#?}", world.starts());
    let told = world.last(target(1), "INVITE");
    assert!(told.body().contains("RTP/AVP 8"), "{}", told.body());
    let pcma = sdp("192.0.2.1", 6000, 2, "").replace("RTP/AVP 0 8", "RTP/AVP 8");
    world.respond(&told, "200 OK", &pcma);
    assert_eq!(world.count(target(1), "ACK"), 2);
    bye(&mut world, &first);
    world.expect_quiet();
}

#[test]
fn link_takes_one_alias_number_for_both_parties_and_all_attempts() {
    let mut world = world();
    world.feed(Input::AliasBlock {
        first: 41,
        count: 9,
    });
    let guest = ResolvedLink {
        unique_alias: true,
        ..remote("+33123")
    };
    let call = place(&mut world, linked("610", guest)).unwrap();
    assert_eq!((call.link, call.request_path.as_str()), (Some(7), "sales"));
    let first = world.last(target(1), "INVITE");
    assert!(
        first.header("From").contains("\"sales\" <sip:guest.41@"),
        "{}",
        first.header("From")
    );
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    let refused = world.last(target(2), "INVITE");
    world.respond(&refused, "503 Service Unavailable", "");
    let second = world.last(target(3), "INVITE");
    assert!(second.header("From").contains("\"Guest\" <sip:guest.41@"));
    bye(&mut world, &first);
    world.respond(&second, "487 Request Terminated", "");
    world.expect_quiet();
}

#[test]
fn link_to_a_local_party_joins_it_when_the_first_has_answered() {
    let mut world = world();
    let echo = link(Destination::Echo);
    let call = place(&mut world, linked("610", echo)).unwrap();
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    assert_eq!(world.legs[&pair(0)], Target::Echo);
    assert_eq!(show(&mut world, &call.id).state, CallState::Connected);
    world.pass(Duration::from_secs(301));
    assert!(world.count(target(1), "BYE") > 0);
    assert_eq!(world.closed()[0].cause, "local_party_over");
    world.expect_quiet();
}

#[test]
fn nobody_is_rung_for_a_party_that_cannot_be_reached() {
    let mut house = trunk(1);
    house.patterns = vec![NumberPattern::Prefix("6".into())];
    let mut world = World::new(vec![house]);
    world.change(|snapshot| snapshot.guard.unnamed_allowed = true);
    let refused = place(&mut world, order("610", "+33123"));
    let expected = CommandRefusal::Unplaced {
        status: 404,
        cause: "no_trunk",
        retry_after: None,
    };
    assert_eq!(refused, Err(expected));
    assert_eq!(world.sent.len(), world.count(target(1), "OPTIONS"));
    assert!(world.records.is_empty(), "nothing began");
}

#[test]
fn guard_judges_both_parties() {
    let mut world = World::new(trunks());
    let refused = place(&mut world, order("610", "+33123")).unwrap_err();
    assert!(refused.as_str().starts_with("guard_"), "{refused:?}");
    assert_eq!(world.closed()[0].cause, refused.as_str());
    assert_eq!(world.attempts().len(), 1, "its row says so");
    world.change(|snapshot| snapshot.guard.allow_prefixes = vec!["+33".into()]);
    let first = place(&mut world, order("610", "+33123")).unwrap_err();
    assert!(first.as_str().starts_with("guard_"), "{first:?}");
    assert_eq!(world.tries()[1].leg, AttemptLeg::Caller);
    world.change(|snapshot| snapshot.guard.allow_prefixes = vec!["6".into(), "+33".into()]);
    place(&mut world, order("610", "+33123")).unwrap();
    let first = world.last(target(1), "INVITE");
    world.change(|snapshot| snapshot.guard.allow_prefixes = vec!["6".into()]);
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    assert_eq!(world.count(target(2), "INVITE"), 0);
    assert_eq!(world.count(target(1), "BYE"), 1, "judged again at its time");
    assert!(world.closed()[2].cause.starts_with("guard_"));
    world.expect_quiet();
}

#[test]
fn nobody_is_rung_up_for_a_party_that_the_guard_refuses() {
    let mut world = World::new(trunks());
    world.change(|snapshot| {
        snapshot.guard.allow_prefixes = vec!["6".into()];
        snapshot.trunks[1].label = "carrier".to_owned();
    });
    let refused = place(&mut world, order("610", "+33123")).unwrap_err();
    assert_eq!(refused.as_str(), "guard_not_named");
    assert_eq!(world.count(target(1), "INVITE"), 0);
    let tries = world.tries();
    assert_eq!(tries.len(), 1);
    assert_eq!((tries[0].leg, tries[0].dialed), (AttemptLeg::Callee, false));
    let guard = tries[0].guard.clone().unwrap();
    assert_eq!(
        (guard.reason.as_str(), guard.rule.as_str()),
        ("guard_not_named", "guard.deny_unnamed")
    );
    let line = "guard_not_named by guard.deny_unnamed trunk carrier (tr_2) attempt 1";
    assert!(world.lines.contains(&("guard_refused", line.to_owned())));
    world.expect_quiet();
}

#[test]
fn a_cap_that_leaves_room_for_one_party_rings_nobody_up() {
    let mut world = world();
    world.change(|snapshot| snapshot.guard.concurrent_calls = 1);
    let refused = place(&mut world, order("610", "+33123")).unwrap_err();
    assert_eq!(refused.as_str(), "guard_concurrent_calls");
    assert_eq!(world.starts(), Vec::<String>::new());
    let rows = [
        (1, "second_party_refused".to_owned()),
        (2, "guard_concurrent_calls".to_owned()),
    ];
    assert_eq!(outcomes(&world), rows);
    world.change(|snapshot| snapshot.guard.concurrent_calls = 2);
    place(&mut world, order("610", "+33123")).unwrap();
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "486 Busy Here", "");
    world.expect_quiet();
}

#[test]
fn rows_of_a_placed_call_say_for_whom_each_attempt_was_and_under_which_call_id() {
    let mut world = world();
    let (_call, first, second) = joined(&mut world);
    let tries = world.tries();
    let seen: Vec<_> = tries
        .iter()
        .map(|row| (row.leg, row.call_id.as_str()))
        .collect();
    let expected = [
        (AttemptLeg::Caller, first.header("Call-ID")),
        (AttemptLeg::Callee, second.header("Call-ID")),
    ];
    assert_eq!(seen, expected);
    bye(&mut world, &first);
    world.respond(&world.last(target(2), "BYE"), "200 OK", "");
    world.expect_quiet();
}

#[test]
fn with_hidden_state_an_order_never_tells_why_the_guard_refused() {
    let mut world = World::new(trunks());
    world.change(|snapshot| snapshot.settings.hide_state = true);
    let refused = place(&mut world, order("610", "+33123"));
    assert_eq!(refused, Err(CommandRefusal::UnknownLink));
    assert_eq!(
        world.closed()[0].cause,
        "guard_not_named",
        "the record knows"
    );
}

#[test]
fn token_uses_its_trunks_and_no_other() {
    let mut world = world();
    let mut pinned = order("610", "+33123");
    pinned.grant.trunks = Some(vec!["tr_1".into(), "tr_3".into()]);
    if let PlaceTo::Party { trunk, .. } = &mut pinned.to {
        *trunk = Some("tr_2".into());
    }
    assert_eq!(place(&mut world, pinned), Err(CommandRefusal::TokenTrunk));
    let mut free = order("610", "+33123");
    free.grant.trunks = Some(vec!["tr_1".into(), "tr_3".into()]);
    place(&mut world, free).unwrap();
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    assert_eq!(
        (
            world.count(target(2), "INVITE"),
            world.count(target(3), "INVITE")
        ),
        (0, 1)
    );
    bye(&mut world, &first);
    let second = world.last(target(3), "INVITE");
    world.respond(&second, "487 Request Terminated", "");
    world.expect_quiet();
}

#[test]
fn caps_of_a_token_and_of_a_trunk_hold() {
    let mut world = world();
    let mut capped = order("610", "+33123");
    capped.grant.concurrent_calls = Some(1);
    place(&mut world, capped.clone()).unwrap();
    assert_eq!(
        place(&mut world, capped.clone()),
        Err(CommandRefusal::TokenConcurrentCalls)
    );
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "486 Busy Here", "");
    capped.grant.concurrent_calls = None;
    capped.grant.calls_per_minute = Some(1);
    assert_eq!(
        place(&mut world, capped),
        Err(CommandRefusal::TokenCallsPerMinute)
    );
    world.change(|snapshot| snapshot.trunks[0].max_outbound = 1);
    place(&mut world, order("611", "+33123")).unwrap();
    let refused = place(&mut world, order("612", "+33123"));
    assert!(matches!(
        refused,
        Ok(_) | Err(CommandRefusal::Unplaced { .. })
    ));
    assert_eq!(
        world.count(target(1), "INVITE"),
        2,
        "the third goes elsewhere or nowhere"
    );
    world.expect_quiet();
}

#[test]
fn same_key_is_one_order_and_another_order_under_it_is_refused() {
    let mut world = world();
    let keyed = |to: &str, digest| PlaceCall {
        idempotency: Some(Idempotency {
            key: "k1".into(),
            digest: [digest; 32],
        }),
        ..order("610", to)
    };
    let call = place(&mut world, keyed("+33123", 1)).unwrap();
    let again = world.order(Command::Place(Box::new(keyed("+33123", 1))));
    let Ok(CommandOutcome::Placed {
        call: known,
        repeated: true,
    }) = again
    else {
        panic!("{again:?}");
    };
    assert_eq!(known.id, call.id);
    assert_eq!(world.count(target(1), "INVITE"), 1);
    assert_eq!(
        place(&mut world, keyed("+33999", 2)),
        Err(CommandRefusal::IdempotencyConflict)
    );
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "486 Busy Here", "");
    let over = place(&mut world, keyed("+33123", 1)).unwrap();
    assert_eq!((over.state, over.cause), (CallState::Ended, Some("busy")));
    world.expect_quiet();
}

#[test]
fn draining_node_places_nothing_and_keeps_what_is_up() {
    let mut world = world();
    let (call, first, _) = joined(&mut world);
    world.feed(Input::Drain);
    assert_eq!(
        place(&mut world, order("610", "+33123")),
        Err(CommandRefusal::Draining)
    );
    assert_eq!(show(&mut world, &call.id).state, CallState::Connected);
    bye(&mut world, &first);
    world.expect_quiet();
}

#[test]
fn stop_ends_placed_calls_at_every_stage() {
    let mut world = world();
    joined(&mut world);
    place(&mut world, order("611", "+33123")).unwrap();
    let ringing = world.last(target(1), "INVITE");
    world.respond(&ringing, "180 Ringing", "");
    world.feed(Input::Stop);
    assert_eq!(
        (world.count(target(1), "BYE"), world.count(target(2), "BYE")),
        (1, 1)
    );
    assert_eq!(world.count(target(1), "CANCEL"), 1);
    world.pass(Duration::from_secs(3));
    assert!(world.stopped);
    assert_eq!(world.closed().len(), 2);
}

#[test]
fn longest_time_of_a_call_holds_for_placed_ones() {
    let mut world = world();
    world.change(|snapshot| snapshot.guard.duration_max = Duration::from_secs(60));
    joined(&mut world);
    world.pass(Duration::from_secs(61));
    assert_eq!(world.closed()[0].cause, "guard_duration_max");
    assert_eq!(
        (
            world.count(target(1), "BYE") > 0,
            world.count(target(2), "BYE") > 0
        ),
        (true, true)
    );
}

#[test]
fn ladder_has_the_messages_of_both_parties_in_order() {
    let mut world = world();
    let (call, first, _) = joined(&mut world);
    bye(&mut world, &first);
    let Ok(CommandOutcome::Ladder(ladder)) = world.order(Command::Ladder { call: call.id }) else {
        panic!("no ladder");
    };
    let starts: Vec<String> = ladder
        .messages
        .iter()
        .map(|message| {
            let text = message.redacted();
            let words: Vec<&str> = text.split(' ').take(2).collect();
            match words[0] {
                "SIP/2.0" => words[1].to_owned(),
                method => method.to_owned(),
            }
        })
        .collect();
    assert_eq!(
        starts,
        [
            "INVITE", "200", "ACK", "INVITE", "200", "ACK", "BYE", "200", "BYE"
        ]
    );
    let unknown = world.order(Command::Ladder {
        call: "0".repeat(32),
    });
    assert_eq!(unknown, Err(CommandRefusal::NoLadder));
}

#[test]
fn panic_at_any_step_of_a_placed_call_ends_it_and_no_other() {
    for step in 0..12 {
        let mut world = world();
        let (other, _, _) = joined(&mut world);
        world.control.fault = Some(step);
        let _placed = world.control.fault.map(|_| ());
        if let Some(Ok(_)) = try_place(&mut world) {
            let first = world.last(target(1), "INVITE");
            world.respond(&first, "180 Ringing", "");
            world.respond(&first, "200 OK", &sdp("192.0.2.1", 6002, 1, ""));
            let second = world.last(target(2), "INVITE");
            world.respond(&second, "180 Ringing", "");
            world.respond(&second, "200 OK", &sdp("192.0.2.2", 7002, 1, ""));
        }
        world.control.fault = None;
        assert_eq!(
            show(&mut world, &other.id).state,
            CallState::Connected,
            "{step}"
        );
    }
}

/// The outcome, unless a panic swallowed it.
fn try_place(world: &mut World) -> Option<Result<CommandOutcome, CommandRefusal>> {
    let ticket = crate::call::event::Ticket(1);
    let command = Command::Place(Box::new(order("611", "+33124")));
    world.feed(Input::Command { ticket, command });
    world.outcomes.pop()
}
