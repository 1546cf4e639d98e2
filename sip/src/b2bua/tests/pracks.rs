//! Reliable provisional responses, both roles (RFC 3262).

use super::world::*;
use crate::event::{Credentials, Dial, Reliable};
use crate::message::HeaderName;

const RELIABLE: &str = "Require: 100rel\r\nRSeq: ";

fn reliably(rseq: u32) -> String {
    format!("{RELIABLE}{rseq}\r\n")
}

fn requiring(call_id: &str) -> String {
    with_headers(&invite(call_id), "Require: 100rel\r\n")
}

/// RFC 3262 §4, §7.2.
#[test]
fn a_reliable_response_is_acknowledged_by_prack_with_its_numbers() {
    let mut world = World::new();
    let open = world.opened(&invite("p1"), dial());
    let progress = response_with(&open.b_invite, 183, "callee", &reliably(988_789), Some(SDP));
    world.receive(TRUNK, &progress);
    let prack = world.last("PRACK");
    assert_eq!(
        prack.header(&HeaderName::RAck),
        format!("988789 {} INVITE", open.b_invite.cseq())
    );
    assert_eq!(prack.cseq(), open.b_invite.cseq() + 1);
    assert_eq!(prack.to_tag(), "callee");
    world.sent.clear();
    // It comes again before it hears us: the transaction repeats the PRACK, not we.
    world.receive(TRUNK, &progress);
    assert_eq!(world.log(), [""; 0]);
    world.receive(TRUNK, &response(&prack, 200, "", None));
    let ringing = response_with(&open.b_invite, 180, "callee", &reliably(988_790), None);
    world.receive(TRUNK, &ringing);
    assert_eq!(world.last("PRACK").cseq(), prack.cseq() + 1);
    assert_eq!(
        world.event_names(),
        ["Progress 183 sdp reliably", "Progress 180"]
    );
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", None));
    assert_eq!(world.event_names(), ["Answered sdp"]);
    assert_eq!(world.last("ACK").cseq(), open.b_invite.cseq());
    world.hang_up(open.call);
    assert_eq!(world.last("BYE").cseq(), prack.cseq() + 2);
    world.assert_quiescent();
}

/// RFC 3262 §4: what comes out of order is not acknowledged, and comes again.
#[test]
fn reliable_responses_are_taken_in_order_only() {
    let mut world = World::new();
    let open = world.opened(&invite("p2"), dial());
    for (rseq, log, event) in [
        (7, &["PRACK>trunk"][..], &["Progress 180"][..]),
        (9, &[], &["Dropped rseq_gap"]),
        (7, &[], &[]),
        (8, &["PRACK>trunk"], &["Progress 180"]),
        (9, &["PRACK>trunk"], &["Progress 180"]),
    ] {
        let ringing = response_with(&open.b_invite, 180, "callee", &reliably(rseq), None);
        world.receive(TRUNK, &ringing);
        assert_eq!(world.log(), log, "{rseq}");
        assert_eq!(world.event_names(), event, "{rseq}");
    }
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3262 §4: the numbers are those of one early dialog, and so are those of CSeq.
#[test]
fn each_fork_counts_its_own_reliable_responses() {
    let mut world = World::new();
    let open = world.opened(&invite("p3"), dial());
    for (tag, rseq) in [("one", 100), ("two", 7), ("one", 101), ("two", 8)] {
        let ringing = response_with(&open.b_invite, 180, tag, &reliably(rseq), None);
        world.receive(TRUNK, &ringing);
        assert_eq!(world.last("PRACK").to_tag(), tag);
    }
    let first = open.b_invite.cseq();
    let numbers: Vec<u32> = world.take_sent().iter().map(Sent::cseq).collect();
    assert_eq!(numbers, [first + 1, first + 1, first + 2, first + 2]);
    world.receive(TRUNK, &response(&open.b_invite, 200, "two", Some(SDP)));
    world.receive(TRUNK, &response(&open.b_invite, 200, "one", Some(SDP)));
    let bye = world.last("BYE");
    assert_eq!((bye.to_tag(), bye.cseq()), ("one".into(), first + 3));
    world.hang_up(open.call);
    assert_eq!(world.last("BYE").to_tag(), "two");
    world.assert_quiescent();
}

#[test]
fn a_challenged_prack_is_sent_again_once() {
    let mut world = World::new();
    let dial = Dial {
        credentials: Some(Credentials {
            username: "trunk".into(),
            password: "secret".into(),
            realm: None,
        }),
        ..dial()
    };
    let open = world.opened(&invite("p4"), dial);
    let ringing = response_with(&open.b_invite, 180, "callee", &reliably(1), None);
    world.receive(TRUNK, &ringing);
    let challenge = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    for tries in 0..2 {
        let prack = world.last("PRACK");
        assert_eq!(prack.text.contains("Proxy-Authorization"), tries == 1);
        world.sent.clear();
        world.receive(TRUNK, &response_with(&prack, 407, "", challenge, None));
    }
    assert_eq!(world.log(), [""; 0]);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// D-01: supported by default, never required by default.
#[test]
fn an_invite_says_of_100rel_what_its_trunk_is_told() {
    assert_eq!(Reliable::default(), Reliable::Supported);
    for (reliable, supported, required) in [
        (Reliable::Off, "", ""),
        (Reliable::Supported, "100rel", ""),
        (Reliable::Required, "", "100rel"),
    ] {
        let mut world = World::new();
        let dial = Dial { reliable, ..dial() };
        let open = world.opened(&invite("p5"), dial);
        assert_eq!(open.b_invite.header(&HeaderName::Supported), supported);
        assert_eq!(open.b_invite.header(&HeaderName::Require), required);
        world.hang_up(open.call);
        world.assert_quiescent();
    }
}

/// RFC 6337 §2.1: the reliable answer is the answer. D-02: an unreliable one gives way to the 200.
#[test]
fn a_reliable_answer_stands_and_an_unreliable_one_gives_way() {
    for (headers, port) in [(reliably(1), 4_000), (String::new(), 5_000)] {
        let mut world = World::new();
        let open = world.opened(&invite("p6"), dial());
        let early = response_with(&open.b_invite, 183, "callee", &headers, Some(SDP));
        world.receive(TRUNK, &early);
        world.events.clear();
        let ok = response(&open.b_invite, 200, "callee", Some(&other_sdp(5_000)));
        world.receive(TRUNK, &ok);
        let events = world.take_events();
        let Some(crate::event::Event::Answered { answered, .. }) = events.first() else {
            panic!("{events:?}")
        };
        let answer = answered.answer.as_ref().unwrap();
        assert_eq!(answer.media[0].port, port);
        world.hang_up(open.call);
        world.assert_quiescent();
    }
}

#[test]
fn an_attempt_that_is_left_acknowledges_no_ringing() {
    let mut world = World::new();
    let open = world.opened(&invite("p7"), dial());
    world.hang_up(open.call);
    world.sent.clear();
    let ringing = response_with(&open.b_invite, 180, "callee", &reliably(1), None);
    world.receive(TRUNK, &ringing);
    assert_eq!(world.log(), ["CANCEL>trunk"]);
    world.assert_quiescent();
}

/// RFC 3262 §3: whoever lifts the receiver just then may not say so before the PRACK of its answer, and
/// would ring for 64·T1 with nobody at the other end.
#[test]
fn an_attempt_that_is_left_acknowledges_an_answer_that_may_be_followed_by_a_200() {
    let mut world = World::new();
    let open = world.opened(&invite("p7"), dial());
    world.hang_up(open.call);
    world.sent.clear();
    let answered = response_with(&open.b_invite, 183, "callee", &reliably(1), Some(SDP));
    world.receive(TRUNK, &answered);
    let prack = world.last("PRACK");
    assert_eq!(world.log(), ["PRACK>trunk", "CANCEL>trunk"]);
    world.receive(TRUNK, &response(&prack, 200, "", None));
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", None));
    assert_eq!(world.log(), ["ACK>trunk", "BYE>trunk"]);
    world.assert_quiescent();
}

/// RFC 3262 §3: RSeq, T1 doubled without end, until the PRACK. D-01.
#[test]
fn a_caller_that_requires_100rel_gets_every_ringing_reliably() {
    let mut world = World::new();
    let open = world.opened(&requiring("p8"), dial());
    world.receive(TRUNK, &response(&open.b_invite, 180, "callee", None));
    world.ring(open.call, 180, None);
    let ringing = world.last("180");
    assert_eq!(ringing.header(&HeaderName::Require), "100rel");
    assert!(ringing.header(&HeaderName::Allow).contains("UPDATE"));
    world.sent.clear();
    world.pass_ms(7_499);
    assert_eq!(
        world.take_sent(),
        [ringing.clone(), ringing.clone(), ringing.clone()],
        "0.5, 1.5, 3.5 s"
    );
    let prack = open.prack(&ringing, 2, "");
    world.receive(CALLER, &prack);
    let ok = world.last("200");
    assert!(ok.header(&HeaderName::CSeq).ends_with("PRACK"));
    world.sent.clear();
    // The PRACK again gets its 200 again, and the ringing is over.
    world.receive(CALLER, &prack);
    assert_eq!(world.take_sent(), [ok]);
    world.pass_ms(20_000);
    assert_eq!(world.log(), [""; 0]);
    world.ring(open.call, 183, None);
    let next = world.last("183");
    let number = |sent: &Sent| sent.header(&HeaderName::RSeq).parse::<u32>().unwrap();
    assert_eq!(number(&next), number(&ringing) + 1);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3262 §3: 481 for what matches nothing, 400 for what cannot be read.
#[test]
fn a_prack_for_nothing_is_refused() {
    let mut world = World::new();
    let open = world.opened(&requiring("p9"), dial());
    world.ring(open.call, 180, None);
    let ringing = world.last("180");
    world.sent.clear();
    let rseq: u32 = ringing.header(&HeaderName::RSeq).parse().unwrap();
    for (cseq, (rack, status)) in (2..).zip([
        (format!("{} 1 INVITE", rseq + 1), "481>caller"),
        (format!("{rseq} 2 INVITE"), "481>caller"),
        (format!("{rseq} 1 BYE"), "481>caller"),
        ("none".into(), "400>caller"),
    ]) {
        let branch = format!("stray{cseq}");
        let header = format!("RAck: {rack}\r\n");
        let prack = open.caller_says(&ringing, ("PRACK", cseq, &branch), &header, "");
        world.receive(CALLER, &prack);
        assert_eq!(world.log(), [status], "{rack}");
        assert_eq!(world.event_names(), ["Dropped stray_prack"], "{rack}");
    }
    world.receive(CALLER, &open.prack(&ringing, 9, ""));
    assert_eq!(world.log(), ["200>caller"]);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3262 §3.
#[test]
fn ringing_that_nobody_acknowledges_ends_the_invite_with_504() {
    let mut world = World::new();
    let open = world.opened(&requiring("p10"), dial());
    world.receive(TRUNK, &response(&open.b_invite, 180, "callee", None));
    world.ring(open.call, 180, None);
    world.sent.clear();
    world.events.clear();
    world.pass_ms(31_999);
    assert_eq!(
        world.take_sent().len(),
        6,
        "0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s"
    );
    world.pass_ms(1);
    assert_eq!(world.log(), ["504>caller", "CANCEL>trunk"]);
    assert_eq!(world.event_names(), ["Ended Gateway Refused(504)"]);
    world.assert_quiescent();
}

/// RFC 3262 §3: no 2xx before the PRACK of a description; it has no description again then.
#[test]
fn a_200_waits_for_the_prack_of_its_answer() {
    let mut world = World::with_reliable_early_media();
    let text = with_headers(&invite("p11"), "Supported: 100rel\r\n");
    let open = world.opened(&text, dial());
    world.ring(open.call, 183, Some(SDP));
    let progress = world.last("183");
    assert!(!progress.header(&HeaderName::RSeq).is_empty());
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.sent.clear();
    world.answer(open.call, SDP);
    assert_eq!(world.log(), [""; 0]);
    let again = world.endpoint.answer(world.now, open.call, &sdp());
    assert_eq!(again, Err(crate::error::CommandError::WrongState));
    world.receive(CALLER, &open.prack(&progress, 2, ""));
    let ok = world.last("200");
    assert_eq!(world.log(), ["200>caller", "200>caller"]);
    assert!(ok.header(&HeaderName::CSeq).ends_with("INVITE"));
    assert!(!ok.text.contains("m=audio"), "{}", ok.text);
    assert_eq!(ok.to_tag(), progress.to_tag());
    world.events.clear();
    world.receive(CALLER, &ack(&open.invite, &ok));
    assert_eq!(world.event_names(), ["Confirmed"]);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3262 §3: it may overtake what describes nothing; the PRACK that comes then is answered.
#[test]
fn a_200_overtakes_ringing_without_a_description() {
    let mut world = World::new();
    let open = world.opened(&requiring("p12"), dial());
    world.ring(open.call, 180, None);
    let ringing = world.last("180");
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.sent.clear();
    world.answer(open.call, SDP);
    let ok = world.last("200");
    world.receive(CALLER, &ack(&open.invite, &ok));
    world.sent.clear();
    world.pass_ms(5_000);
    assert_eq!(world.log(), [""; 0], "the ringing is not repeated");
    world.receive(CALLER, &open.prack(&ringing, 2, ""));
    assert_eq!(world.log(), ["200>caller"]);
    world.receive(CALLER, &open.prack(&ringing, 3, ""));
    assert_eq!(world.log(), ["481>caller"], "once");
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3262 §3: one at a time; of what is kept the last status leaves, with the description.
#[test]
fn further_ringing_waits_for_the_prack() {
    let mut world = World::new();
    let open = world.opened(&requiring("p13"), dial());
    world.ring(open.call, 180, None);
    let ringing = world.last("180");
    world.sent.clear();
    world.ring(open.call, 183, Some(SDP));
    world.ring(open.call, 181, None);
    assert_eq!(world.log(), [""; 0]);
    world.receive(CALLER, &open.prack(&ringing, 2, ""));
    let next = world.last("181");
    assert_eq!(world.log(), ["200>caller", "181>caller"]);
    assert!(next.text.contains("m=audio"));
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// D-01: nobody is made to acknowledge anything without need.
#[test]
fn early_media_is_reliable_where_the_caller_can_and_we_are_told_to() {
    for (is_told, header, status, body, expected) in [
        (true, "Supported: 100rel\r\n", 183, Some(SDP), true),
        (true, "Supported: 100rel\r\n", 180, None, false),
        (true, "", 183, Some(SDP), false),
        (false, "Supported: 100rel\r\n", 183, Some(SDP), false),
    ] {
        let mut world = if is_told {
            World::with_reliable_early_media()
        } else {
            World::new()
        };
        let open = world.opened(&with_headers(&invite("p14"), header), dial());
        world.ring(open.call, status, body);
        let sent = world.last(&status.to_string());
        assert_eq!(sent.text.contains("Require: 100rel"), expected, "{header}");
        world.hang_up(open.call);
        world.assert_quiescent();
    }
}

#[test]
fn cancel_ends_a_call_whose_200_is_held() {
    let mut world = World::new();
    let open = world.opened(&requiring("p15"), dial());
    world.ring(open.call, 183, Some(SDP));
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.answer(open.call, SDP);
    world.sent.clear();
    world.events.clear();
    world.receive(CALLER, &cancel(&open.invite));
    assert_eq!(world.log(), ["200>caller", "487>caller", "BYE>trunk"]);
    assert_eq!(world.event_names(), ["Ended Originating Cancelled"]);
    world.assert_quiescent();
}

/// RFC 3262 §5: a PRACK may offer anew once our answer is out; the 2xx waits for that too.
#[test]
fn a_prack_with_an_offer_is_answered_before_the_200() {
    let mut world = World::new();
    let open = world.opened(&requiring("p16"), dial());
    world.ring(open.call, 183, Some(SDP));
    let progress = world.last("183");
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.answer(open.call, SDP);
    world.sent.clear();
    world.events.clear();
    world.receive(CALLER, &open.prack(&progress, 2, &other_sdp(4_002)));
    assert_eq!(world.event_names(), ["Reoffered sdp"]);
    assert_eq!(world.log(), [""; 0]);
    world
        .endpoint
        .answer_reoffer(world.now, open.call, open.a_leg, &sdp())
        .unwrap();
    world.drain();
    let sent = world.take_sent();
    let methods: Vec<_> = sent
        .iter()
        .map(|sent| sent.header(&HeaderName::CSeq))
        .collect();
    assert_eq!(methods, ["2 PRACK", "1 INVITE"]);
    assert!(sent[0].text.contains("m=audio") && !sent[1].text.contains("m=audio"));
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3262 §5: no offer in the PRACK of what was no answer.
#[test]
fn a_prack_with_an_offer_that_comes_too_early_is_refused() {
    let mut world = World::new();
    let open = world.opened(&requiring("p17"), dial());
    world.ring(open.call, 180, None);
    let ringing = world.last("180");
    world.sent.clear();
    world.receive(CALLER, &open.prack(&ringing, 2, SDP));
    assert_eq!(world.log(), ["500>caller"]);
    assert_eq!(world.event_names(), ["Dropped exchange_pending"]);
    world.hang_up(open.call);
    world.assert_quiescent();
}
