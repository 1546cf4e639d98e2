//! re-INVITE both ways, glare, and dialogs that are lost.

use super::world::*;
use crate::message::{HeaderName, StatusCode};

/// RFC 3261 §14: an offer of the caller's goes to the callee, and its answer back.
#[test]
fn a_reinvite_passes_through() {
    let mut world = World::new();
    let c = world.connected();
    world.receive(CALLER, &c.caller_says("INVITE", 2, "re", SDP));
    assert_eq!(world.log(), ["100>caller"]);
    assert_eq!(world.event_names(), ["Reoffered sdp"]);
    world
        .endpoint
        .reoffer(world.now, c.call, c.b_leg, &sdp())
        .unwrap();
    world.drain();
    let b_reinvite = world.last("INVITE");
    assert_eq!(b_reinvite.to_tag(), "callee");
    assert_eq!(world.log(), ["INVITE>trunk"]);
    let answered = response(&b_reinvite, 200, "", Some(SDP));
    world.receive(TRUNK, &answered);
    let b_ack = world.last("ACK");
    assert_eq!(b_ack.cseq(), b_reinvite.cseq());
    world.sent.clear();
    world.receive(TRUNK, &answered);
    assert_eq!(world.take_sent(), [b_ack]);
    assert_eq!(world.event_names(), ["ReofferAnswered sdp"]);
    world
        .endpoint
        .answer_reoffer(world.now, c.call, c.a_leg, &sdp())
        .unwrap();
    world.drain();
    assert_eq!(world.last("200").to_tag(), c.ok.to_tag());
    world.pass_ms(500);
    assert_eq!(world.log(), ["200>caller", "200>caller"], "until the ACK");
    world.receive(CALLER, &c.caller_says("ACK", 2, "reack", ""));
    assert_eq!(world.event_names(), [""; 0]);
    world.receive(CALLER, &c.caller_says("BYE", 3, "bye", ""));
    world.drain();
    world.assert_quiescent();
}

/// RFC 3261 §13.2.2.4: the 2xx of the first INVITE may come again after a re-INVITE is through.
#[test]
fn a_2xx_that_comes_again_after_a_reinvite_is_no_fork() {
    let mut world = World::new();
    let c = world.connected();
    world
        .endpoint
        .reoffer(world.now, c.call, c.b_leg, &sdp())
        .unwrap();
    world.drain();
    let reinvite = world.last("INVITE");
    world.receive(TRUNK, &response(&reinvite, 200, "", Some(SDP)));
    world.sent.clear();
    world.receive(TRUNK, &response(&c.b_invite, 200, "callee", Some(SDP)));
    assert_eq!(world.last("ACK").cseq(), c.b_invite.cseq());
    assert_eq!(world.log(), ["ACK>trunk"]);
    world.receive(CALLER, &c.caller_says("BYE", 2, "bye", ""));
    world.assert_quiescent();
}

/// RFC 3261 §14.1 and §14.2: our offer in the 200, the peer's answer in its ACK.
#[test]
fn a_reinvite_without_an_offer_is_completed_by_the_ack() {
    let mut world = World::new();
    let c = world.connected();
    world.receive(TRUNK, &c.callee_says("INVITE", 2, "re", ""));
    assert_eq!(world.event_names(), ["Reoffered"]);
    world
        .endpoint
        .answer_reoffer(world.now, c.call, c.b_leg, &sdp())
        .unwrap();
    world
        .endpoint
        .answer_reoffer(world.now, c.call, c.b_leg, &sdp())
        .unwrap_err();
    world.drain();
    world.receive(TRUNK, &c.callee_says("ACK", 2, "reack", SDP));
    assert_eq!(world.event_names(), ["ReofferCompleted sdp"]);
    world.receive(TRUNK, &c.callee_says("BYE", 3, "bye", ""));
    world.assert_quiescent();
}

/// RFC 3261 §14.2: 500 with Retry-After while the first one waits, 491 where ours does.
#[test]
fn a_second_offer_is_refused_while_one_is_pending() {
    let mut world = World::new();
    let c = world.connected();
    world.receive(CALLER, &c.caller_says("INVITE", 2, "one", SDP));
    world.receive(CALLER, &c.caller_says("INVITE", 3, "two", SDP));
    assert_eq!(world.log(), ["100>caller", "500>caller"]);
    // The other side offers at the same time: its answer would need this one's.
    world.receive(TRUNK, &c.callee_says("INVITE", 2, "three", SDP));
    assert_eq!(world.log(), ["491>trunk"]);
    world
        .endpoint
        .reoffer(world.now, c.call, c.b_leg, &sdp())
        .unwrap();
    world
        .endpoint
        .reoffer(world.now, c.call, c.b_leg, &sdp())
        .unwrap_err();
    world.drain();
    world.receive(TRUNK, &c.callee_says("INVITE", 3, "four", SDP));
    assert_eq!(world.log(), ["INVITE>trunk", "491>trunk"]);
    let refused =
        world
            .endpoint
            .refuse_reoffer(world.now, c.call, c.a_leg, StatusCode::NOT_ACCEPTABLE_HERE);
    refused.unwrap();
    world.drain();
    assert_eq!(world.log(), ["488>caller"]);
    world.receive(CALLER, &c.caller_says("BYE", 4, "bye", ""));
    world.assert_quiescent();
}

/// RFC 3261 §17.2.1: a repetition is no new offer, whatever has become possible meanwhile.
#[test]
fn a_refused_reinvite_that_comes_again_gets_the_same_refusal() {
    let mut world = World::new();
    let c = world.connected();
    let first = c.caller_says("INVITE", 2, "one", SDP);
    world.receive(CALLER, &first);
    let (early, late) = (
        c.caller_says("INVITE", 3, "two", SDP),
        c.callee_says("INVITE", 2, "three", SDP),
    );
    world.receive(CALLER, &early);
    world.receive(TRUNK, &late);
    let (impatient, glare) = (world.last("500"), world.last("491"));
    assert!(!impatient.header(&HeaderName::RetryAfter).is_empty());
    assert_eq!(
        world.event_names(),
        [
            "Reoffered sdp",
            "Dropped exchange_pending",
            "Dropped exchange_pending"
        ]
    );
    // The first offer is answered and acknowledged: both could be taken now.
    world
        .endpoint
        .answer_reoffer(world.now, c.call, c.a_leg, &sdp())
        .unwrap();
    world.drain();
    world.receive(CALLER, &c.caller_says("ACK", 2, "oneack", ""));
    world.sent.clear();
    world.receive(CALLER, &early);
    world.receive(TRUNK, &late);
    assert_eq!(world.take_sent(), [impatient, glare]);
    assert_eq!(world.event_names(), [""; 0]);
    // Its ACK ends the repetitions.
    world.receive(CALLER, &c.caller_says("ACK", 3, "two", ""));
    world.receive(TRUNK, &c.callee_says("ACK", 2, "three", ""));
    world.pass_ms(10_000);
    assert_eq!(world.log(), [""; 0]);
    world.receive(CALLER, &c.caller_says("BYE", 4, "bye", ""));
    world.assert_quiescent();
}

/// RFC 3261 §14.1: the owner of the Call-ID waits 2.1 to 4 s, the other side up to 2 s.
#[test]
fn glare_is_retried_by_the_owner_of_the_call_id() {
    let mut world = World::new();
    let c = world.connected();
    for (leg, least, most) in [(c.b_leg, 2_100, 4_000), (c.a_leg, 0, 2_000)] {
        world
            .endpoint
            .reoffer(world.now, c.call, leg, &sdp())
            .unwrap();
        world.drain();
        let first = world.last("INVITE");
        let from = first.to.clone();
        world.sent.clear();
        world.receive(&from, &response(&first, 491, "", None));
        assert_eq!(world.last("ACK").branch(), first.branch());
        world.sent.clear();
        let met = world.now;
        let wait = world.endpoint.poll_deadline().unwrap() - met;
        assert!((least..=most).contains(&wait.as_millis()), "{wait:?}");
        world.pass_ms(4_000);
        let second = world.last("INVITE");
        assert_eq!(second.cseq(), first.cseq() + 1);
        assert_eq!(world.event_names(), [""; 0]);
        world.receive(&from, &response(&second, 200, "", Some(SDP)));
        assert_eq!(world.event_names(), ["ReofferAnswered sdp"]);
    }
    world.receive(CALLER, &c.caller_says("BYE", 2, "bye", ""));
    world.assert_quiescent();
}

#[test]
fn glare_without_end_is_reported() {
    let mut world = World::new();
    let c = world.connected();
    world
        .endpoint
        .reoffer(world.now, c.call, c.b_leg, &sdp())
        .unwrap();
    world.drain();
    for _ in 0..crate::limits::GLARE_RETRIES_MAX {
        let sent = world.last("INVITE");
        world.receive(TRUNK, &response(&sent, 491, "", None));
        world.pass_ms(5_000);
    }
    assert_eq!(world.event_names(), ["ReofferRefused 491"]);
    world.receive(CALLER, &c.caller_says("BYE", 2, "bye", ""));
    world.assert_quiescent();
}

/// RFC 3261 §12.2.1.2, RFC 5057 §5.1.
#[test]
fn a_reinvite_that_finds_no_dialog_ends_the_call() {
    for status in [481, 408] {
        let mut world = World::new();
        let c = world.connected();
        world
            .endpoint
            .reoffer(world.now, c.call, c.b_leg, &sdp())
            .unwrap();
        world.drain();
        let reinvite = world.last("INVITE");
        world.receive(TRUNK, &response(&reinvite, status, "", None));
        assert_eq!(world.event_names(), ["Ended Gateway DialogLost"]);
        assert_eq!(world.last("BYE").to, TRUNK);
        world.assert_quiescent();
    }
}

#[test]
fn a_reinvite_that_nobody_answers_ends_the_call() {
    let mut world = World::new();
    let c = world.connected();
    world
        .endpoint
        .reoffer(world.now, c.call, c.b_leg, &sdp())
        .unwrap();
    world.drain();
    world.pass_ms(32_000);
    assert_eq!(world.event_names(), ["Ended Gateway DialogLost"]);
    world.assert_quiescent();
}

/// A peer that only says 100 is cancelled, and the session stays.
#[test]
fn a_reinvite_that_hangs_is_cancelled_and_given_up() {
    let mut world = World::new();
    let c = world.connected();
    world
        .endpoint
        .reoffer(world.now, c.call, c.b_leg, &sdp())
        .unwrap();
    world.drain();
    let reinvite = world.last("INVITE");
    world.receive(TRUNK, &response(&reinvite, 100, "", None));
    world.pass_ms(32_000);
    assert_eq!(world.last("CANCEL").branch(), reinvite.branch());
    assert_eq!(world.event_names(), [""; 0]);
    world.pass_ms(32_000);
    assert_eq!(world.event_names(), ["ReofferRefused 408"]);
    world.receive(CALLER, &c.caller_says("BYE", 2, "bye", ""));
    world.assert_quiescent();
}

/// RFC 3261 §15.1.2: BYE ends what is pending, on both sides.
#[test]
fn bye_during_a_reinvite_leaves_nothing() {
    let mut world = World::new();
    let c = world.connected();
    world.receive(CALLER, &c.caller_says("INVITE", 2, "re", SDP));
    world
        .endpoint
        .reoffer(world.now, c.call, c.b_leg, &sdp())
        .unwrap();
    world.drain();
    let reinvite = world.last("INVITE");
    world.receive(TRUNK, &response(&reinvite, 100, "", None));
    world.sent.clear();
    world.receive(CALLER, &c.caller_says("BYE", 3, "bye", ""));
    let bye = world.last("BYE");
    assert_eq!(world.log(), ["200>caller", "487>caller", "BYE>trunk"]);
    world.receive(TRUNK, &response(&bye, 200, "", None));
    world.assert_quiescent();
}

/// RFC 3261 §9.2.
#[test]
fn a_cancelled_reinvite_gets_487_and_cannot_be_answered() {
    let mut world = World::new();
    let c = world.connected();
    let reinvite = c.caller_says("INVITE", 2, "re", SDP);
    world.receive(CALLER, &reinvite);
    world.sent.clear();
    world.receive(CALLER, &cancel(&reinvite));
    assert_eq!(world.log(), ["200>caller", "487>caller"]);
    let late = world
        .endpoint
        .answer_reoffer(world.now, c.call, c.a_leg, &sdp())
        .unwrap_err();
    assert_eq!(late, crate::error::CommandError::NothingToAnswer);
    assert_eq!(world.event_names(), ["Reoffered sdp", "ReofferCancelled"]);
    world.receive(CALLER, &c.caller_says("BYE", 3, "bye", ""));
    world.assert_quiescent();
}

/// RFC 3261 §12.2.2: a target refresh moves our requests.
#[test]
fn a_reinvite_moves_the_remote_target() {
    let mut world = World::new();
    let c = world.connected();
    let moved = c
        .caller_says("INVITE", 2, "re", SDP)
        .replace("peer@10.0.0.1:5060", "new@10.0.0.7");
    world.receive(CALLER, &moved);
    world
        .endpoint
        .answer_reoffer(world.now, c.call, c.a_leg, &sdp())
        .unwrap();
    world.drain();
    world.receive(CALLER, &c.caller_says("ACK", 2, "reack", ""));
    world.receive(TRUNK, &c.callee_says("BYE", 2, "bye", ""));
    let bye = world.last("BYE");
    assert_eq!(bye.to, "10.0.0.7:5060");
    assert!(bye.text.starts_with("BYE sip:new@10.0.0.7 SIP/2.0\r\n"));
    world.assert_quiescent();
}

/// RFC 3261 §17.2.1: whatever a re-INVITE is refused for, the refusal comes until it is acknowledged.
#[test]
fn any_refusal_of_a_reinvite_is_repeated_until_its_ack() {
    let mut world = World::new();
    let c = world.connected();
    let good = c.caller_says("INVITE", 5, "good", SDP);
    for (text, status) in [
        (good.replace("application/sdp", "text/plain"), "415"),
        (c.caller_says("INVITE", 2, "low", SDP), "500"),
        (
            c.caller_says("INVITE", 6, "extension", SDP)
                .replace("Contact:", "Require: precondition\r\nContact:"),
            "420",
        ),
    ] {
        world.receive(CALLER, &text);
        world.events.clear();
        let refusal = world.last(status);
        world.sent.clear();
        world.pass_ms(500);
        world.receive(CALLER, &text);
        assert_eq!(world.take_sent(), [refusal.clone(), refusal], "{status}");
        let ack = text.replace("INVITE", "ACK");
        world.receive(CALLER, &ack);
        world.pass_ms(10_000);
        assert_eq!(world.log(), [""; 0], "{status}");
        assert_eq!(world.event_names(), [""; 0], "no new judgement");
    }
    world.receive(CALLER, &c.caller_says("BYE", 7, "bye", ""));
    world.assert_quiescent();
}

/// RFC 3261 §8.2.7: without room for a transaction the refusal is one datagram, and comes nevertheless.
#[test]
fn a_reinvite_is_refused_without_state_where_the_table_is_full() {
    let mut world = World::with_calls_max(1);
    let c = world.connected();
    let refusals = crate::limits::transactions_max(1, 0) + 1;
    for number in 0..refusals {
        let text = c.caller_says("INVITE", 2 + number, &format!("re{number}"), SDP);
        world.receive(CALLER, &text.replace("application/sdp", "text/plain"));
        assert_eq!(world.log(), ["415>caller"], "{number}");
    }
    world.pass_ms(500);
    let repeated = world.take_sent().len();
    let refusals = crate::table::usize_of(refusals);
    assert!(
        repeated > 0 && repeated < refusals,
        "{repeated} of {refusals}"
    );
    world.receive(CALLER, &c.caller_says("BYE", 9_999, "bye", ""));
    world.assert_quiescent();
}
