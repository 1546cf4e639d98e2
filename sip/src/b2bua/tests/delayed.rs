//! Offers that come late, both ways: in a 2xx, with the answer in its ACK (RFC 3261 §13.2.1).

use super::world::*;
use crate::error::CommandError;
use crate::event::{Dial, Event, Reliable};
use crate::message::HeaderName;

fn without_offer(call_id: &str, headers: &str) -> String {
    let text = invite(call_id);
    let head = text.split("Content-").next().unwrap();
    with_headers(&format!("{head}Content-Length: 0\r\n\r\n"), headers)
}

fn delayed() -> Dial {
    Dial {
        offer: None,
        reliable: Reliable::Supported,
        ..dial()
    }
}

/// C-01, C-02.
#[test]
fn an_invite_without_an_offer_gets_ours_in_the_200_and_the_answer_comes_with_the_ack() {
    let mut world = World::new();
    let open = world.opened(&without_offer("d1", ""), dial());
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.answer(open.call, SDP);
    let ok = world.last("200");
    assert!(ok.text.contains("m=audio"), "our offer: {}", ok.text);
    world.receive(CALLER, &ack_with(&open.invite, &ok, &other_sdp(4_002)));
    let events = world.take_events();
    let names: Vec<_> = events.iter().map(name).collect();
    assert_eq!(names, ["Answered sdp", "Confirmed", "ReofferCompleted sdp"]);
    let Some(Event::ReofferCompleted { leg, answer, .. }) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(*leg, open.a_leg);
    assert_eq!(answer.as_ref().unwrap().media[0].port, 4_002);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// C-02: no ACK, an ACK without a body, and one with a body that cannot be read are told apart.
#[test]
fn each_end_of_an_invite_without_an_offer_has_its_own_result() {
    for (body, results) in [
        (
            Some(""),
            &["Confirmed", "ReofferCompleted ack_without_answer"][..],
        ),
        (
            Some("v=0\r\nbad\r\n"),
            &["Confirmed", "ReofferCompleted ack_unreadable"],
        ),
        (None, &["Ended Gateway NoAck"]),
    ] {
        let mut world = World::new();
        let open = world.opened(&without_offer("d2", ""), dial());
        world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
        world.answer(open.call, SDP);
        world.events.clear();
        match body {
            Some(body) => {
                let ok = world.last("200");
                world.receive(CALLER, &ack_with(&open.invite, &ok, body));
                assert_eq!(world.event_names(), results);
                world.hang_up(open.call);
            }
            None => {
                world.pass_ms(31_999);
                assert_eq!(world.event_names(), [""; 0]);
                world.pass_ms(1);
                assert_eq!(world.event_names(), results);
                assert_eq!(world.last("BYE").to, TRUNK);
                let both = world.sent.iter().filter(|sent| sent.what() == "BYE");
                assert_eq!(both.count(), 2, "the caller's dialog is ended too");
            }
        }
        world.assert_quiescent();
    }
}

/// C-03: a reliable 18x would have to carry our offer (RFC 3262 §5), which stands in the 200.
#[test]
fn an_invite_without_an_offer_never_gets_a_reliable_response_or_a_description_before_the_200() {
    for (headers, rings) in [
        ("", true),
        ("Supported: 100rel\r\n", true),
        ("Require: 100rel\r\n", false),
    ] {
        let mut world = World::with_reliable_early_media();
        let open = world.opened(&without_offer("d3", headers), dial());
        world.ring(open.call, 180, None);
        world.ring(open.call, 183, Some(SDP));
        let sent = world.take_sent();
        assert_eq!(sent.len(), if rings { 2 } else { 0 }, "{headers}");
        for sent in sent {
            assert!(!sent.text.contains("RSeq"), "{}", sent.text);
            assert!(!sent.text.contains("m=audio"), "{}", sent.text);
        }
        world.answer(open.call, SDP);
        let ok = world.last("200");
        assert!(ok.text.contains("m=audio"));
        world.receive(CALLER, &ack_with(&open.invite, &ok, SDP));
        world.hang_up(open.call);
        world.assert_quiescent();
    }
}

/// RFC 3261 §13.2.2.4: the 200 again gets nothing before our answer, and the same ACK after it.
#[test]
fn a_callee_that_offers_in_its_200_is_answered_in_the_ack() {
    let mut world = World::new();
    let open = world.opened(&invite("d4"), delayed());
    let text = &open.b_invite.text;
    assert!(
        !text.contains("m=audio") && !text.contains("100rel"),
        "{text}"
    );
    // What comes before the 200 is a preview, and no answer to anything.
    world.receive(TRUNK, &response(&open.b_invite, 183, "callee", Some(SDP)));
    let ok = response(&open.b_invite, 200, "callee", Some(SDP));
    world.receive(TRUNK, &ok);
    world.receive(TRUNK, &ok);
    assert_eq!(world.event_names(), ["Progress 183", "Answered offer"]);
    assert_eq!(world.log(), [""; 0]);
    world
        .endpoint
        .acknowledge(world.now, open.call, open.b_leg, &sdp())
        .unwrap();
    world.drain();
    let first = world.last("ACK");
    assert!(first.text.contains("m=audio 4000"), "{}", first.text);
    assert_eq!(first.cseq(), open.b_invite.cseq());
    world.sent.clear();
    world.receive(TRUNK, &ok);
    assert_eq!(world.take_sent(), [first]);
    let again = world
        .endpoint
        .acknowledge(world.now, open.call, open.b_leg, &sdp());
    assert_eq!(again, Err(CommandError::NothingToAnswer));
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// An offer must be answered, and an ACK must come: both in one, with every line refused.
#[test]
fn an_offer_that_nobody_answers_is_refused_in_the_ack_and_ended() {
    let mut world = World::new();
    let open = world.opened(&invite("d5"), delayed());
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    assert_eq!(world.event_names(), ["Answered offer"]);
    world.pass_ms(31_999);
    assert_eq!(world.log(), [""; 0]);
    world.pass_ms(1);
    assert!(world.last("ACK").text.contains("m=audio 0 RTP/AVP 8"));
    assert_eq!(world.log(), ["480>caller", "ACK>trunk", "BYE>trunk"]);
    assert_eq!(world.event_names(), ["Ended Gateway OfferUnanswered"]);
    world.assert_quiescent();
}

/// RFC 3261 §13.2.2.4: a 2xx is acknowledged, whoever ends the call before.
#[test]
fn a_call_that_ends_before_the_answer_refuses_the_offer_first() {
    for end in ["we", "the callee", "the caller"] {
        let mut world = World::new();
        let open = world.opened(&invite("d6"), delayed());
        world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
        match end {
            "we" => world.hang_up(open.call),
            "the caller" => world.receive(CALLER, &cancel(&open.invite)),
            _ => {
                let bye = open.callee_says("callee", ("BYE", 2, "bye"), "", "");
                world.receive(TRUNK, &bye);
            }
        }
        let acks = world.sent.iter().filter(|sent| sent.what() == "ACK");
        assert_eq!(acks.count(), 1, "{end}: {:?}", world.sent);
        assert!(world.last("ACK").text.contains("m=audio 0 "), "{end}");
        world.assert_quiescent();
    }
}

#[test]
fn a_fork_that_offers_too_late_is_refused_and_ended() {
    let mut world = World::new();
    let open = world.opened(&invite("d7"), delayed());
    world.receive(TRUNK, &response(&open.b_invite, 200, "one", Some(SDP)));
    world.receive(TRUNK, &response(&open.b_invite, 200, "two", Some(SDP)));
    assert_eq!(world.log(), ["ACK>trunk", "BYE>trunk"]);
    // The one that was chosen still waits for its answer.
    world
        .endpoint
        .acknowledge(world.now, open.call, open.b_leg, &sdp())
        .unwrap();
    world.drain();
    assert_eq!(world.last("ACK").to_tag(), "one");
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// Nothing can be answered where nothing was offered.
#[test]
fn a_200_without_the_offer_that_it_owes_is_acknowledged_at_once() {
    let mut world = World::new();
    let open = world.opened(&invite("d8"), delayed());
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", None));
    assert_eq!(world.event_names(), ["Answered"]);
    assert_eq!(world.log(), ["ACK>trunk"]);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// Both sides late: the callee's offer becomes ours, the caller's answer becomes ours.
#[test]
fn a_late_offer_crosses_from_the_callee_to_the_caller_and_its_answer_back() {
    let mut world = World::new();
    let open = world.opened(&without_offer("d9", ""), delayed());
    let ok = response(&open.b_invite, 200, "callee", Some(&other_sdp(5_000)));
    world.receive(TRUNK, &ok);
    world.answer(open.call, &other_sdp(5_000));
    let to_caller = world.last("200");
    world.receive(
        CALLER,
        &ack_with(&open.invite, &to_caller, &other_sdp(6_000)),
    );
    assert_eq!(
        world.event_names(),
        ["Answered offer", "Confirmed", "ReofferCompleted sdp"]
    );
    // While the callee waits for its answer it cannot be asked anything.
    let asked = world
        .endpoint
        .reoffer(world.now, open.call, open.b_leg, &sdp());
    assert_eq!(asked, Err(CommandError::ExchangePending));
    let answer = crate::sdp::SessionDescription::parse(other_sdp(6_000).as_bytes()).unwrap();
    world
        .endpoint
        .acknowledge(world.now, open.call, open.b_leg, &answer)
        .unwrap();
    world.drain();
    assert!(world.last("ACK").text.contains("m=audio 6000"));
    assert!(world.last("ACK").header(&HeaderName::CSeq).ends_with("ACK"));
    world.hang_up(open.call);
    world.assert_quiescent();
}
