//! Who is connected, and for how long an INVITE asks.

use super::world::*;
use crate::event::Event;
use crate::message::HeaderName;

type Lines = Vec<(HeaderName, Box<[u8]>)>;

fn names(lines: &Lines) -> Vec<&HeaderName> {
    lines.iter().map(|(name, _)| name).collect()
}

/// F-05: in 18x, 200 and re-INVITE.
#[test]
fn the_connected_party_is_handed_up_from_every_message_that_names_it() {
    let mut world = World::new();
    let open = world.opened(&invite("c1"), dial());
    let identity = "Remote-Party-ID: \"Bob\" <sip:bob@10.0.0.2>;party=called\r\n\
                    P-Asserted-Identity: <sip:bob@10.0.0.2>\r\nPrivacy: none\r\n";
    let shown = [
        &HeaderName::RemotePartyId,
        &HeaderName::PAssertedIdentity,
        &HeaderName::Privacy,
    ];
    world.receive(
        TRUNK,
        &response_with(&open.b_invite, 180, "callee", identity, None),
    );
    world.receive(
        TRUNK,
        &response_with(&open.b_invite, 200, "callee", identity, Some(SDP)),
    );
    world.answer(open.call, SDP);
    world.receive(CALLER, &ack(&open.invite, &world.last("200")));
    let reinvite = open.callee_says("callee", ("INVITE", 2, "re"), identity, SDP);
    world.receive(TRUNK, &reinvite);
    let mut seen = 0;
    for event in world.take_events() {
        let connected = if let Event::Progress { connected, .. }
        | Event::Reoffered { connected, .. } = &event
        {
            connected
        } else if let Event::Answered { answered, .. } = &event {
            &answered.connected
        } else {
            continue;
        };
        assert_eq!(names(connected), shown, "{event:?}");
        seen += 1;
    }
    assert_eq!(seen, 3);
    world.hang_up(open.call);
    world.assert_quiescent();
}

#[test]
fn the_lines_that_name_a_connected_party_are_bounded() {
    let mut world = World::new();
    let open = world.opened(&invite("c2"), dial());
    let many = "P-Asserted-Identity: <sip:bob@10.0.0.2>\r\n".repeat(50);
    let long = format!("Remote-Party-ID: <sip:{}@h>\r\n", "b".repeat(2_000));
    let ringing = response_with(&open.b_invite, 180, "callee", &(long + &many), None);
    world.receive(TRUNK, &ringing);
    let events = world.take_events();
    let Some(Event::Progress { connected, .. }) = events.first() else {
        panic!("{events:?}")
    };
    assert_eq!(connected.len(), crate::limits::CONNECTED_HEADERS_MAX);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// D-10, RFC 3261 §13.3.1: the caller's own time counts until the answer.
#[test]
fn an_invite_that_expires_gets_487_and_its_attempt_a_cancel() {
    let mut world = World::new();
    let text = with_headers(&invite("c3"), "Expires: 60\r\n");
    let open = world.opened(&text, dial());
    world.receive(TRUNK, &response(&open.b_invite, 180, "callee", None));
    world.events.clear();
    world.pass_ms(59_999);
    assert_eq!(world.event_names(), [""; 0]);
    world.sent.clear();
    world.pass_ms(1);
    assert_eq!(world.log(), ["487>caller", "CANCEL>trunk"]);
    assert_eq!(world.event_names(), ["Ended Gateway Expired"]);
    world.assert_quiescent();
}

#[test]
fn an_answered_invite_does_not_expire() {
    for expires in ["Expires: 60\r\n", "Expires: 0\r\n", "Expires: soon\r\n"] {
        let mut world = World::new();
        let open = world.opened(&with_headers(&invite("c4"), expires), dial());
        world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
        world.answer(open.call, SDP);
        world.receive(CALLER, &ack(&open.invite, &world.last("200")));
        world.events.clear();
        world.pass_ms(61_000);
        assert_eq!(world.event_names(), [""; 0], "{expires}");
        world.hang_up(open.call);
        world.assert_quiescent();
    }
}
