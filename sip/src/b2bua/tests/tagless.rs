//! Peers without a tag: no dialog is made with them, so that no request of ours within one is a new
//! call to whoever gets it.

use std::time::Duration;

use super::world::*;
use crate::event::{EndpointConfig, RefreshBy, SessionTimer};
use crate::message::HeaderName;

/// An INVITE whose Contact and session timer would make our refresh a call to somebody else.
fn without_from_tag(call_id: &str, from: &str) -> String {
    let headers = "Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n";
    with_headers(&invite(call_id), headers)
        .replace("\"Alice\" <sip:alice@10.0.0.1>;tag=alice", from)
        .replace(
            &format!("<sip:peer@{CALLER}>"),
            "<sip:+19005551234@10.0.0.2:5060>",
        )
}

/// RFC 3261 §8.1.1.3. Deviation from §12.1.1: a caller of RFC 2543 is refused, not taken without a tag.
#[test]
fn an_invite_without_a_from_tag_makes_no_call_and_nothing_is_refreshed() {
    let settings = SessionTimer {
        expires: Duration::from_secs(90),
        min: Duration::from_secs(90),
        refresh_by: RefreshBy::Invite,
    };
    for (number, from) in [
        "<sip:alice@10.0.0.1>",
        "<sip:alice@10.0.0.1;tag=inside>",
        "\"a;tag=quoted\" <sip:alice@10.0.0.1>",
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = World::of(EndpointConfig {
            session_timer: Some(settings),
            ..config(100)
        });
        let invite = without_from_tag(&format!("tagless{number}"), from);
        world.receive(CALLER, &invite);
        assert_eq!(world.log(), ["400>caller"], "{from}");
        assert_eq!(world.event_names(), ["Dropped no_from_tag"], "{from}");
        world.assert_quiescent();
        assert_eq!(world.log(), [""; 0], "{from}");
    }
}

/// The same with a tag that is none: whatever it is called, no call comes of it.
#[test]
fn an_empty_from_tag_makes_no_call() {
    for from in ["<sip:alice@10.0.0.1>;tag=", "<sip:alice@10.0.0.1>;tag"] {
        let mut world = World::new();
        world.receive_unread(CALLER, &without_from_tag("empty", from));
        let events = world.event_names();
        let is_dropped = |name: &String| name.starts_with("Dropped ");
        assert!(
            events.iter().all(is_dropped) && events.len() == 1,
            "{events:?}"
        );
        world.assert_quiescent();
    }
}

/// RFC 3261 §12.1.2: without a To tag it could only be a dialog of RFC 2543. It is acknowledged and
/// ended, and the next trunk has its turn.
#[test]
fn a_2xx_without_a_to_tag_is_acknowledged_and_ended_and_the_attempt_has_failed() {
    let mut world = World::new();
    let open = world.opened(&invite("t1"), dial());
    world.receive(TRUNK, &response(&open.b_invite, 180, "", None));
    assert_eq!(world.event_names(), ["Progress 180"]);
    let answer = response(&open.b_invite, 200, "", Some(SDP));
    world.receive(TRUNK, &answer);
    assert_eq!(world.last("BYE").to_tag(), "");
    let bye = world.last("BYE");
    assert_eq!(world.log(), ["ACK>trunk", "BYE>trunk"]);
    assert_eq!(
        world.event_names(),
        ["AttemptFailed Refused(502)"],
        "nobody is connected"
    );
    world.receive(TRUNK, &answer);
    assert_eq!(world.log(), ["ACK>trunk"], "the same ACK");
    world.receive(TRUNK, &response(&bye, 200, "", None));
    world.dial(open.call);
    let second = world.last("INVITE");
    world.receive(TRUNK, &response(&second, 200, "callee", Some(SDP)));
    assert_eq!(world.event_names(), ["Answered sdp"]);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// An answer that nobody waits for any more, and one beside a fork that has a tag.
#[test]
fn a_late_2xx_without_a_to_tag_is_ended_too() {
    let mut world = World::new();
    let open = world.opened(&invite("t2"), dial());
    world.receive(TRUNK, &response(&open.b_invite, 180, "one", None));
    world.receive(CALLER, &cancel(&open.invite));
    world.log();
    world.receive(TRUNK, &response(&open.b_invite, 200, "", Some(SDP)));
    assert_eq!(world.log(), ["ACK>trunk", "BYE>trunk"]);
    world.assert_quiescent();

    let mut world = World::new();
    let open = world.opened(&invite("t3"), dial());
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.log();
    world.receive(TRUNK, &response(&open.b_invite, 200, "", Some(SDP)));
    assert_eq!(world.log(), ["ACK>trunk", "BYE>trunk"]);
    world.hang_up(open.call);
    assert_eq!(world.last("BYE").to_tag(), "callee");
    world.assert_quiescent();
}

/// An offer in such a 2xx is refused in its ACK (RFC 3261 §13.2.2.4).
#[test]
fn an_offer_in_a_2xx_without_a_to_tag_is_refused_in_the_ack() {
    let mut world = World::new();
    let dial = crate::event::Dial {
        offer: None,
        ..dial()
    };
    let open = world.opened(&invite("t4"), dial);
    world.receive(TRUNK, &response(&open.b_invite, 200, "", Some(SDP)));
    let acknowledgement = world.last("ACK");
    assert!(
        acknowledgement.text.contains("m=audio 0 "),
        "{acknowledgement:?}"
    );
    assert_eq!(
        acknowledgement.header(&HeaderName::ContentType),
        "application/sdp"
    );
    assert_eq!(world.log(), ["ACK>trunk", "BYE>trunk"]);
    world.hang_up(open.call);
    world.assert_quiescent();
}
