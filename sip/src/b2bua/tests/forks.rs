//! Several early dialogs: of a callee that forks, and towards a caller whose attempts differ.

use super::world::*;
use crate::event::Event;
use crate::message::HeaderName;

/// RFC 3261 §12.1.2, §13.2.2.4: each fork describes itself, and the 2xx picks one.
#[test]
fn each_fork_has_early_media_of_its_own_and_the_2xx_picks_one() {
    let mut world = World::new();
    let open = world.opened(&invite("f1"), dial());
    for (tag, port) in [("one", 5_000), ("two", 5_002), ("three", 5_004)] {
        let progress = response(&open.b_invite, 183, tag, Some(&other_sdp(port)));
        world.receive(TRUNK, &progress);
        let events = world.take_events();
        let Some(Event::Progress { answer, .. }) = events.first() else {
            panic!("{events:?}")
        };
        assert_eq!(answer.as_ref().unwrap().media[0].port, port);
    }
    world.receive(TRUNK, &response(&open.b_invite, 200, "two", None));
    let events = world.take_events();
    let Some(Event::Answered { answered, .. }) = events.first() else {
        panic!("{events:?}")
    };
    assert_eq!(answered.answer.as_ref().unwrap().media[0].port, 5_002);
    world.sent.clear();
    for tag in ["one", "three"] {
        world.receive(TRUNK, &response(&open.b_invite, 200, tag, Some(SDP)));
        assert_eq!(world.last("BYE").to_tag(), tag);
    }
    assert_eq!(
        world.log(),
        ["ACK>trunk", "BYE>trunk", "ACK>trunk", "BYE>trunk"]
    );
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3261 §13.2.1: in one dialog the first answer is the only one, so another answer is another
/// dialog, as if the caller's INVITE had been forked.
#[test]
fn an_answer_that_differs_from_early_media_has_a_dialog_of_its_own() {
    let mut world = World::new();
    let open = world.opened(&invite("f2"), dial());
    world.receive(TRUNK, &response(&open.b_invite, 183, "one", Some(SDP)));
    world.ring(open.call, 183, Some(SDP));
    let early = world.last("183");
    world.receive(TRUNK, &response(&open.b_invite, 486, "one", None));
    world.dial(open.call);
    let second = world.last("INVITE");
    world.receive(TRUNK, &response(&second, 180, "two", None));
    world.ring(open.call, 180, None);
    assert_eq!(world.last("180").to_tag(), early.to_tag());
    world.receive(TRUNK, &response(&second, 200, "two", Some(SDP)));
    world.answer(open.call, &other_sdp(6_000));
    let ok = world.last("200");
    assert_ne!(ok.to_tag(), early.to_tag());
    world.sent.clear();
    world.events.clear();
    // The early dialog has gone with its attempt, and the caller is told so.
    let late = open.caller_says(&early, ("BYE", 2, "late"), "", "");
    world.receive(CALLER, &late);
    assert_eq!(world.log(), ["481>caller"]);
    world.receive(CALLER, &ack(&open.invite, &ok));
    assert_eq!(world.event_names(), ["Dropped no_dialog", "Confirmed"]);
    world.receive(CALLER, &open.caller_says(&ok, ("BYE", 2, "bye"), "", ""));
    assert_eq!(world.log(), ["200>caller", "BYE>trunk"]);
    world.assert_quiescent();
}

/// Ours is the tag in From of what we ask within the dialog that was chosen.
#[test]
fn requests_of_ours_carry_the_tag_of_the_dialog_that_was_answered() {
    let mut world = World::new();
    let open = world.opened(&invite("f3"), dial());
    world.ring(open.call, 183, Some(SDP));
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.answer(open.call, &other_sdp(6_000));
    let ok = world.last("200");
    world.receive(CALLER, &ack(&open.invite, &ok));
    world.sent.clear();
    world.hang_up(open.call);
    let to_caller = world.sent.iter().find(|sent| sent.to == CALLER).unwrap();
    assert_eq!(
        to_caller.header(&HeaderName::From),
        ok.header(&HeaderName::To)
    );
    world.assert_quiescent();
}

#[test]
fn the_same_early_media_stays_in_its_dialog() {
    let mut world = World::new();
    let open = world.opened(&invite("f4"), dial());
    world.ring(open.call, 183, Some(SDP));
    // Only the version of o= is another one.
    let again = SDP.replace("o=- 1 1", "o=- 1 2");
    world.ring(open.call, 183, Some(&again));
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.answer(open.call, SDP);
    let tags: Vec<String> = ["183", "200"].map(|what| world.last(what).to_tag()).into();
    assert_eq!(tags[0], tags[1]);
    let all = world.sent.iter().filter(|sent| sent.to == CALLER);
    assert!(all.clone().all(|sent| sent.to_tag() == tags[0]));
    assert!(all.clone().all(|sent| sent.text.contains("m=audio")));
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3262 §3, RFC 3261 §12.2.2: each early dialog has its own PRACK, and the caller counts anew.
#[test]
fn early_media_of_two_attempts_are_acknowledged_each_in_its_own_dialog() {
    let mut world = World::new();
    let text = with_headers(&invite("f5"), "Require: 100rel\r\n");
    let open = world.opened(&text, dial());
    world.ring(open.call, 183, Some(SDP));
    let first = world.last("183");
    world.ring(open.call, 183, Some(&other_sdp(6_000)));
    world.receive(CALLER, &open.prack(&first, 2, ""));
    let second = world.last("183");
    assert_ne!(second.to_tag(), first.to_tag());
    world.sent.clear();
    world.receive(CALLER, &open.prack(&second, 2, ""));
    assert_eq!(world.log(), ["200>caller"]);
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.answer(open.call, &other_sdp(6_000));
    let ok = world.last("200");
    assert_eq!(ok.to_tag(), second.to_tag());
    assert!(!ok.text.contains("m=audio"), "it was answered reliably");
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// What a trunk says again and again costs the caller a bounded number of dialogs.
#[test]
fn early_media_without_end_becomes_ringing_without_media() {
    let mut world = World::new();
    let open = world.opened(&invite("f6"), dial());
    let most = u16::from(crate::limits::EARLY_ANSWERS_MAX) + 1;
    for number in 0..most + 4 {
        world.ring(open.call, 183, Some(&other_sdp(5_000 + 2 * number)));
        let heard = world.last("183");
        assert_eq!(heard.text.contains("m=audio"), number < most, "{number}");
    }
    let mut tags: Vec<_> = world.sent.iter().map(Sent::to_tag).collect();
    tags.sort_unstable();
    tags.dedup();
    tags.retain(|tag| !tag.is_empty());
    assert_eq!(tags.len(), usize::from(most));
    // The answer comes through in any case.
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.answer(open.call, &other_sdp(9_000));
    assert!(world.last("200").text.contains("m=audio 9000"));
    world.hang_up(open.call);
    world.assert_quiescent();
}
