//! Session timers on both legs (RFC 4028), with what Cisco does with them.

use std::time::Duration;

use super::world::*;
use crate::error::CommandError;
use crate::event::{Dial, EndpointConfig, RefreshBy, SessionTimer};
use crate::message::HeaderName;

const TIMER: &str = "Supported: timer\r\n";

fn timer(expires_s: u64, min_s: u64, refresh_by: RefreshBy) -> SessionTimer {
    SessionTimer {
        expires: Duration::from_secs(expires_s),
        min: Duration::from_secs(min_s),
        refresh_by,
    }
}

fn usual() -> SessionTimer {
    timer(1_800, 90, RefreshBy::Invite)
}

/// An endpoint with these settings towards callers.
fn world_with(settings: SessionTimer) -> World {
    World::of(EndpointConfig {
        session_timer: Some(settings),
        ..config(100)
    })
}

/// A call whose caller says `caller`, and whose callee is asked with `asked` and says `callee`.
fn connect(
    world: &mut World,
    caller: &str,
    asked: Option<SessionTimer>,
    callee: &str,
) -> Connected {
    let dial = Dial {
        session_timer: asked,
        ..dial()
    };
    let opened = world.opened(&with_headers(&invite("session"), caller), dial);
    let answer = response_with(&opened.b_invite, 200, "callee", callee, Some(SDP));
    world.receive(TRUNK, &answer);
    world.answer(opened.call, SDP);
    let ok = world.last("200");
    world.receive(CALLER, &ack(&opened.invite, &ok));
    world.sent.clear();
    world.events.clear();
    Connected {
        call: opened.call,
        a_leg: opened.a_leg,
        b_leg: opened.b_leg,
        ok,
        b_invite: opened.b_invite,
    }
}

fn origin(sent: &Sent) -> String {
    let line = sent.text.lines().find(|line| line.starts_with("o="));
    line.unwrap_or_default().to_owned()
}

/// D-05, D-07: refresh by re-INVITE at half the interval, with the same o= line.
#[test]
fn we_refresh_the_callee_at_half_the_interval_with_the_same_description() {
    let mut world = World::new();
    let callee = "Session-Expires: 1800;refresher=uac\r\n";
    let c = connect(&mut world, "", Some(usual()), callee);
    assert_eq!(c.b_invite.header(&HeaderName::SessionExpires), "1800");
    assert!(
        c.b_invite
            .parsed()
            .has_token(&HeaderName::Supported, "timer")
    );
    assert_eq!(c.b_invite.header(&HeaderName::MinSe), "");
    for round in 0..5 {
        world.pass(Duration::from_secs(899));
        assert_eq!(world.log(), [""; 0], "round {round}");
        world.pass(Duration::from_secs(1));
        let refresh = world.last("INVITE");
        assert_eq!(refresh.to, TRUNK);
        assert_eq!(refresh.to_tag(), "callee");
        assert_eq!(
            refresh.header(&HeaderName::SessionExpires),
            "1800;refresher=uac"
        );
        assert_eq!(
            origin(&refresh),
            origin(&c.b_invite),
            "nothing changes (D-07)"
        );
        world.receive(
            TRUNK,
            &response_with(&refresh, 200, "callee", callee, Some(SDP)),
        );
        assert_eq!(world.log(), ["INVITE>trunk", "ACK>trunk"]);
        assert_eq!(world.event_names(), ["Refreshed"], "its answer is heard");
    }
    world.hang_up(c.call);
    world.assert_quiescent();
}

/// RFC 4028 §7.4: a session that the peer made shorter stays so.
#[test]
fn a_refresh_asks_for_the_interval_that_was_agreed_on() {
    let mut world = World::new();
    let callee = "Session-Expires: 600;refresher=uac\r\n";
    let c = connect(&mut world, "", Some(usual()), callee);
    world.pass(Duration::from_secs(300));
    let refresh = world.last("INVITE");
    assert_eq!(
        refresh.header(&HeaderName::SessionExpires),
        "600;refresher=uac"
    );
    world.receive(
        TRUNK,
        &response_with(&refresh, 200, "callee", callee, Some(SDP)),
    );
    world.hang_up(c.call);
    world.assert_quiescent();
}

/// The description of the last exchange, not of the first one.
#[test]
fn a_refresh_repeats_what_was_said_last() {
    let mut world = world_with(usual());
    let callee = "Session-Expires: 1800;refresher=uac\r\n";
    let c = connect(&mut world, TIMER, Some(usual()), callee);
    let held = SDP.replace("o=- 1 1", "o=- 1 2");
    let offer = crate::sdp::SessionDescription::parse(held.as_bytes()).unwrap();
    world
        .endpoint
        .reoffer(world.now, c.call, c.b_leg, &offer)
        .unwrap();
    world.drain();
    let reinvite = world.last("INVITE");
    assert_eq!(
        reinvite.header(&HeaderName::SessionExpires),
        "1800;refresher=uac"
    );
    world.receive(
        TRUNK,
        &response_with(&reinvite, 200, "callee", callee, Some(SDP)),
    );
    // The caller re-INVITEs, and gets another answer than the first.
    world.receive(CALLER, &c.caller_says("INVITE", 2, "again", SDP));
    world
        .endpoint
        .answer_reoffer(world.now, c.call, c.a_leg, &offer)
        .unwrap();
    world.drain();
    let ok = world.last("200");
    world.receive(CALLER, &c.caller_says("ACK", 2, "againack", ""));
    assert_eq!(
        ok.header(&HeaderName::SessionExpires),
        "",
        "it was not asked for"
    );
    world.sent.clear();
    world.pass(Duration::from_secs(900));
    assert_eq!(origin(&world.last("INVITE")), "o=- 1 2 IN IP4 10.0.0.1");
    world.hang_up(c.call);
    world.assert_quiescent();
}

/// D-04: Expressway takes 500 s at least; the same call goes on with the larger value.
#[test]
fn a_422_is_followed_with_the_larger_interval() {
    let mut world = World::new();
    let dial = Dial {
        session_timer: Some(timer(90, 90, RefreshBy::Invite)),
        ..dial()
    };
    let opened = world.opened(&invite("small"), dial);
    assert_eq!(opened.b_invite.header(&HeaderName::SessionExpires), "90");
    let refusal = response_with(&opened.b_invite, 422, "x", "Min-SE: 500\r\n", None);
    world.receive(TRUNK, &refusal);
    let again = world.last("INVITE");
    assert_eq!(world.log(), ["ACK>trunk", "INVITE>trunk"]);
    assert_eq!(again.header(&HeaderName::SessionExpires), "500");
    assert_eq!(again.header(&HeaderName::MinSe), "500");
    let call_id = opened.b_invite.header(&HeaderName::CallId);
    assert_eq!(again.header(&HeaderName::CallId), call_id, "RFC 4028 §7.4");
    assert_eq!(again.cseq(), opened.b_invite.cseq() + 1);
    let callee = "Session-Expires: 500;refresher=uas\r\n";
    world.receive(
        TRUNK,
        &response_with(&again, 200, "callee", callee, Some(SDP)),
    );
    assert_eq!(world.event_names(), ["Answered sdp"]);
    world.hang_up(opened.call);
    world.assert_quiescent();
}

#[test]
fn a_422_that_helps_nobody_is_a_failure() {
    for headers in [
        "",
        "Min-SE: 60\r\n",
        "Min-SE: 1800\r\n",
        "Min-SE: x\r\n",
        "Min-SE: 4294967295\r\n",
    ] {
        let mut world = World::new();
        let dial = Dial {
            session_timer: Some(usual()),
            ..dial()
        };
        let opened = world.opened(&invite("useless"), dial);
        world.receive(
            TRUNK,
            &response_with(&opened.b_invite, 422, "x", headers, None),
        );
        assert_eq!(
            world.event_names(),
            ["AttemptFailed Refused(422)"],
            "{headers}"
        );
        world.hang_up(opened.call);
        world.assert_quiescent();
    }
    // A peer that always wants more gets no endless loop.
    let mut world = World::new();
    let dial = Dial {
        session_timer: Some(usual()),
        ..dial()
    };
    let opened = world.opened(&invite("greedy"), dial);
    let mut sent = opened.b_invite.clone();
    for step in 1..10 {
        let headers = format!("Min-SE: {}\r\n", 1_800 + step * 100);
        world.receive(TRUNK, &response_with(&sent, 422, "x", &headers, None));
        let invites = world
            .sent
            .iter()
            .filter(|sent| sent.what() == "INVITE")
            .count();
        if invites < step {
            break;
        }
        sent = world.last("INVITE");
    }
    assert_eq!(world.event_names(), ["AttemptFailed Refused(422)"]);
    world.hang_up(opened.call);
    world.assert_quiescent();
}

/// RFC 4028 §9: as UAS. Our own 422, and whom the caller wishes to refresh (D-06).
#[test]
fn a_caller_gets_422_or_its_session() {
    let mut world = world_with(timer(1_800, 200, RefreshBy::Invite));
    let small = with_headers(
        &invite("small"),
        "Supported: timer\r\nSession-Expires: 199\r\n",
    );
    world.receive(CALLER, &small);
    assert_eq!(world.last("422").header(&HeaderName::MinSe), "200");
    assert_eq!(world.event_names(), ["Dropped session_interval"]);
    assert!(world.endpoint.is_idle(), "a refusal keeps nothing");
    for (wish, said, required) in [
        (";refresher=uac", "600;refresher=uac", true),
        (";refresher=uas", "600;refresher=uas", false),
        ("", "600;refresher=uas", false),
    ] {
        let mut world = world_with(usual());
        let headers = format!("{TIMER}Session-Expires: 600{wish}\r\n");
        let c = connect(&mut world, &headers, None, "");
        assert_eq!(c.ok.header(&HeaderName::SessionExpires), said);
        assert_eq!(
            c.ok.parsed().has_token(&HeaderName::Require, "timer"),
            required
        );
        assert!(c.ok.parsed().has_token(&HeaderName::Supported, "timer"));
        world.pass(Duration::from_secs(300));
        let refreshed = world.log().contains(&"INVITE>caller".to_owned());
        assert_eq!(refreshed, !required, "{wish}");
        world.hang_up(c.call);
        world.assert_quiescent();
    }
}

/// `Require: timer` is no unknown extension, where there are timers.
#[test]
fn a_required_timer_is_understood_where_it_is_on() {
    let required = with_headers(
        &invite("required"),
        "Require: timer\r\nSession-Expires: 600\r\n",
    );
    let mut world = World::new();
    world.receive(CALLER, &required);
    assert_eq!(world.last("420").header(&HeaderName::Unsupported), "timer");
    let mut world = world_with(usual());
    world.receive(CALLER, &required);
    assert_eq!(world.event_names(), ["CallOffered"]);
}

#[test]
fn a_caller_without_timers_is_left_alone() {
    let mut world = world_with(usual());
    let c = connect(&mut world, "", None, "");
    assert_eq!(c.ok.header(&HeaderName::SessionExpires), "");
    world.pass(Duration::from_secs(100_000));
    assert_eq!(world.log(), [""; 0]);
    world.hang_up(c.call);
    world.assert_quiescent();
}

/// D-09: a peer that was to refresh and does not is cleared; the other side too.
#[test]
fn a_missed_refresh_ends_the_call_before_the_interval_does() {
    let mut world = world_with(usual());
    let headers = "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n";
    let c = connect(&mut world, headers, None, "");
    world.pass(Duration::from_secs(567));
    assert_eq!(world.event_names(), [""; 0]);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.event_names(), ["Ended Gateway SessionExpired"]);
    let bye = world.last("BYE");
    assert!(
        bye.header(&HeaderName::Reason)
            .starts_with("Q.850;cause=102"),
        "{}",
        bye.text
    );
    let mut log = world.log();
    log.sort();
    assert_eq!(log, ["BYE>caller", "BYE>trunk"]);
    assert_ne!(c.a_leg, c.b_leg);
    world.assert_quiescent();
}

/// The caller refreshes: by re-INVITE with the same offer, without one (D-08), by UPDATE without one.
#[test]
fn each_kind_of_refresh_of_the_peer_s_keeps_the_session() {
    for method in ["INVITE", "OFFERLESS", "UPDATE"] {
        let mut world = world_with(usual());
        let headers = "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n";
        let c = connect(&mut world, headers, None, "");
        for round in 0..4 {
            world.pass(Duration::from_secs(300));
            assert_eq!(world.event_names(), [""; 0]);
            let cseq = round + 2;
            let branch = format!("{method}{round}");
            let body = if method == "INVITE" { SDP } else { "" };
            let name = if method == "UPDATE" {
                "UPDATE"
            } else {
                "INVITE"
            };
            let request = c.caller_says(name, cseq, &branch, body);
            world.receive(CALLER, &with_headers(&request, headers));
            if name == "INVITE" {
                let event = if body.is_empty() {
                    "Reoffered"
                } else {
                    "Reoffered sdp"
                };
                assert_eq!(world.event_names(), [event]);
                world
                    .endpoint
                    .answer_reoffer(world.now, c.call, c.a_leg, &sdp())
                    .unwrap();
                world.drain();
            }
            let ok = world.last("200");
            assert_eq!(ok.header(&HeaderName::SessionExpires), "600;refresher=uac");
            if name == "INVITE" {
                let ack = c.caller_says("ACK", cseq, &format!("{branch}ack"), body);
                world.receive(CALLER, &ack);
                world.events.clear();
            }
            world.sent.clear();
        }
        // And then it is gone.
        world.pass(Duration::from_secs(600));
        assert_eq!(
            world.event_names()[0],
            "Ended Gateway SessionExpired",
            "{method}"
        );
        world.assert_quiescent();
    }
}

#[test]
fn a_refresh_with_too_small_an_interval_gets_422_and_changes_nothing() {
    let mut world = world_with(timer(1_800, 200, RefreshBy::Invite));
    let headers = "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n";
    let c = connect(&mut world, headers, None, "");
    for (cseq, method) in [(2, "INVITE"), (3, "UPDATE")] {
        let small = c.caller_says(
            method,
            cseq,
            method,
            if method == "INVITE" { SDP } else { "" },
        );
        let small = with_headers(&small, &headers.replace("600", "120"));
        world.receive(CALLER, &small);
        assert_eq!(world.last("422").header(&HeaderName::MinSe), "200");
        assert_eq!(world.event_names(), ["Dropped session_interval"]);
    }
    world.pass(Duration::from_secs(567));
    assert_eq!(world.event_names(), [""; 0], "the session is as it was");
    world.pass(Duration::from_secs(2));
    assert_eq!(world.event_names()[0], "Ended Gateway SessionExpired");
    world.assert_quiescent();
}

/// D-03, D-05: UPDATE only by setting, and only where the peer's Allow names it.
#[test]
fn a_refresh_by_update_needs_the_setting_and_the_peer_s_allow() {
    let by_update = timer(1_800, 90, RefreshBy::Update);
    let allow = "Allow: INVITE, ACK, UPDATE\r\n";
    for (settings, allowed, method) in [
        (by_update, allow, "UPDATE"),
        (by_update, "", "INVITE"),
        (usual(), allow, "INVITE"),
    ] {
        let mut world = World::new();
        let callee = format!("Session-Expires: 1800;refresher=uac\r\n{allowed}");
        let c = connect(&mut world, "", Some(settings), &callee);
        world.pass(Duration::from_secs(900));
        let refresh = world.last(method);
        let has_body = !refresh.parsed().body().is_empty();
        assert_eq!(has_body, method == "INVITE");
        assert_eq!(
            refresh.header(&HeaderName::SessionExpires),
            "1800;refresher=uac"
        );
        let body = has_body.then_some(SDP);
        world.receive(
            TRUNK,
            &response_with(&refresh, 200, "callee", &callee, body),
        );
        world.sent.clear();
        world.pass(Duration::from_secs(900));
        assert_eq!(world.last(method).cseq(), refresh.cseq() + 1);
        world.hang_up(c.call);
        world.assert_quiescent();
    }
}

/// What a refresh by UPDATE meets.
#[test]
fn an_update_that_is_refused_goes_each_its_way() {
    let callee = "Session-Expires: 1800;refresher=uac\r\nAllow: INVITE, UPDATE\r\n";
    let start = || {
        let mut world = World::new();
        let settings = timer(1_800, 90, RefreshBy::Update);
        let c = connect(&mut world, "", Some(settings), callee);
        world.pass(Duration::from_secs(900));
        let update = world.last("UPDATE");
        world.sent.clear();
        (world, c, update)
    };
    for (status, headers, sent, ended) in [
        (405, "", "INVITE>trunk", false),
        (501, "", "INVITE>trunk", false),
        (422, "Min-SE: 3600\r\n", "UPDATE>trunk", false),
        (500, "", "", false),
        (481, "", "BYE>trunk", true),
        (408, "", "BYE>trunk", true),
    ] {
        let (mut world, c, update) = start();
        world.receive(
            TRUNK,
            &response_with(&update, status, "callee", headers, None),
        );
        world.pass_ms(1);
        let log = world.log();
        if sent.is_empty() {
            assert_eq!(log, [""; 0], "{status}");
            // Half of what is left: 1768 - 900 = 868.
            world.pass(Duration::from_secs(434));
            assert_eq!(world.log(), ["UPDATE>trunk"]);
        } else {
            assert!(log.contains(&sent.to_owned()), "{status}: {log:?}");
        }
        let names = world.event_names();
        if ended {
            assert_eq!(names, ["Ended Gateway DialogLost"]);
        } else {
            assert_eq!(names, [""; 0], "{status}: call control hears nothing");
            world.hang_up(c.call);
        }
        world.assert_quiescent();
    }
    // Nobody answers: timer F.
    let (mut world, _, _) = start();
    world.pass(Duration::from_secs(32));
    assert_eq!(world.event_names(), ["Ended Gateway DialogLost"]);
    world.assert_quiescent();
}

/// What a refresh by re-INVITE meets.
#[test]
fn a_reinvite_that_is_refused_goes_each_its_way() {
    let callee = "Session-Expires: 1800;refresher=uac\r\n";
    for (status, headers, again_s, ended) in [
        (491, "", Some(4), false),
        (422, "Min-SE: 3600\r\n", Some(0), false),
        (488, "", Some(434), false),
        (503, "", Some(434), false),
        (481, "", None, true),
        (408, "", None, true),
    ] {
        let mut world = World::new();
        let c = connect(&mut world, "", Some(usual()), callee);
        world.pass(Duration::from_secs(900));
        let refresh = world.last("INVITE");
        world.sent.clear();
        world.receive(
            TRUNK,
            &response_with(&refresh, status, "callee", headers, None),
        );
        if let Some(seconds) = again_s {
            world.pass(Duration::from_secs(seconds));
            let again = world.last("INVITE");
            assert_eq!(origin(&again), origin(&refresh), "{status}");
            assert_eq!(
                world.event_names(),
                [""; 0],
                "{status}: call control hears nothing"
            );
            world.hang_up(c.call);
        }
        if ended {
            assert_eq!(world.event_names(), ["Ended Gateway DialogLost"]);
        }
        world.assert_quiescent();
    }
}

/// A refresh that is refused each time ends the call at last (RFC 4028 §10).
#[test]
fn a_session_that_nobody_lets_us_refresh_expires() {
    let mut world = World::new();
    connect(
        &mut world,
        "",
        Some(usual()),
        "Session-Expires: 1800;refresher=uac\r\n",
    );
    let mut refreshes = 0;
    for _ in 0..1_768 {
        world.pass(Duration::from_secs(1));
        for sent in world.take_sent() {
            if sent.what() == "INVITE" {
                refreshes += 1;
                world.receive(TRUNK, &response(&sent, 500, "callee", None));
            }
        }
    }
    assert!((5..12).contains(&refreshes), "{refreshes} tries, no storm");
    assert_eq!(world.event_names(), ["Ended Gateway SessionExpired"]);
    world.assert_quiescent();
}

/// A refresh waits while something else is pending, and a re-INVITE of either side is one itself.
#[test]
fn a_refresh_waits_for_its_turn() {
    let mut world = World::new();
    let callee = "Session-Expires: 1800;refresher=uac\r\n";
    let c = connect(&mut world, "", Some(usual()), callee);
    world.pass(Duration::from_secs(890));
    world.receive(TRUNK, &c.callee_says("INVITE", 1, "pending", SDP));
    assert_eq!(world.event_names(), ["Reoffered sdp"]);
    world.sent.clear();
    world.pass(Duration::from_secs(20));
    assert_eq!(world.log(), [""; 0], "glare is avoided");
    world
        .endpoint
        .answer_reoffer(world.now, c.call, c.b_leg, &sdp())
        .unwrap();
    world.drain();
    let ok = world.last("200");
    world.receive(TRUNK, &c.callee_says("ACK", 1, "pendingack", ""));
    world.sent.clear();
    // It asked for no session in its re-INVITE: none runs any more.
    assert_eq!(ok.header(&HeaderName::SessionExpires), "");
    world.pass(Duration::from_secs(5_000));
    assert_eq!(world.log(), [""; 0]);
    world.hang_up(c.call);
    world.assert_quiescent();
}

#[test]
fn settings_of_one_call_are_set_before_its_answer() {
    let mut world = world_with(usual());
    let headers = "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n";
    let opened = world.opened(&with_headers(&invite("own"), headers), dial());
    let off = timer(0, 90, RefreshBy::Invite);
    let (call, a_leg) = (opened.call, opened.a_leg);
    world.endpoint.set_session_timer(call, a_leg, off).unwrap();
    let other = world.endpoint.set_session_timer(call, opened.b_leg, off);
    assert_eq!(other, Err(CommandError::WrongState));
    world.answer(call, SDP);
    let ok = world.last("200");
    assert_eq!(ok.header(&HeaderName::SessionExpires), "");
    world.receive(CALLER, &ack(&opened.invite, &ok));
    let late = world.endpoint.set_session_timer(call, a_leg, usual());
    assert_eq!(late, Err(CommandError::WrongState));
    world.hang_up(call);
    world.assert_quiescent();
}

/// Hours of calm: the dialog's address stays what it was (D-09).
#[test]
fn a_call_stands_for_a_day_while_both_sides_are_refreshed() {
    let mut world = world_with(usual());
    let callee = "Session-Expires: 1800;refresher=uac\r\n";
    let c = connect(&mut world, TIMER, Some(usual()), callee);
    let mut refreshes = (0, 0);
    for _ in 0..96 {
        world.pass(Duration::from_secs(900));
        for sent in world.take_sent() {
            if sent.what() == "INVITE" {
                let side = if sent.to == TRUNK {
                    &mut refreshes.1
                } else {
                    &mut refreshes.0
                };
                *side += 1;
                let (from, tag) = if sent.to == TRUNK {
                    (TRUNK, "callee")
                } else {
                    (CALLER, "alice")
                };
                let ok = response_with(&sent, 200, tag, callee, Some(SDP));
                world.receive(from, &ok);
            }
        }
        world.sent.clear();
    }
    let events = world.event_names();
    assert!(
        events.iter().all(|event| event == "Refreshed"),
        "{events:?}"
    );
    assert_eq!(events.len(), refreshes.0 + refreshes.1);
    assert!(refreshes.0 >= 94 && refreshes.1 >= 94, "{refreshes:?}");
    world.hang_up(c.call);
    world.assert_quiescent();
}
