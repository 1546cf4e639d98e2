//! UPDATE, both ways, early and confirmed, and what it meets (RFC 3311).

use super::world::*;
use crate::error::CommandError;
use crate::event::RefreshBy;
use crate::message::{HeaderName, StatusCode};

const ALLOW: &str = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK\r\n";
const RELIABLY: &str = "Require: 100rel\r\nRSeq: 1\r\nAllow: UPDATE\r\n";

/// A call whose caller has acknowledged early media by PRACK (CSeq 2), and what it heard.
fn early_caller(world: &mut World) -> (Opened, Sent) {
    let headers = format!("Require: 100rel\r\n{ALLOW}");
    let open = world.opened(&with_headers(&invite("early"), &headers), dial());
    world.ring(open.call, 183, Some(SDP));
    let progress = world.last("183");
    world.receive(CALLER, &open.prack(&progress, 2, ""));
    world.sent.clear();
    (open, progress)
}

/// A call whose callee has answered reliably, early.
fn early_callee(world: &mut World) -> Opened {
    let open = world.opened(&invite("early"), dial());
    let progress = response_with(&open.b_invite, 183, "callee", RELIABLY, Some(SDP));
    world.receive(TRUNK, &progress);
    let prack = world.last("PRACK");
    world.receive(TRUNK, &response(&prack, 200, "", None));
    world.sent.clear();
    world.events.clear();
    open
}

/// RFC 3311 §5.2; F-05: an UPDATE that only says who is connected.
#[test]
fn an_update_without_an_offer_is_answered_and_says_who_is_connected() {
    let mut world = World::new();
    let c = world.connected();
    let identity = "P-Asserted-Identity: <sip:bob@10.0.0.2>\r\n";
    let text = with_headers(&c.callee_says("UPDATE", 2, "up", ""), identity)
        .replace("peer@10.0.0.2:5060", "new@10.0.0.7");
    world.receive(TRUNK, &text);
    assert_eq!(world.event_names(), ["ConnectedChanged 1"]);
    let ok = world.last("200");
    assert!(ok.header(&HeaderName::Contact).contains("10.0.0.9"));
    assert!(ok.header(&HeaderName::Allow).contains("UPDATE"));
    world.sent.clear();
    world.receive(CALLER, &c.caller_says("UPDATE", 2, "up", ""));
    assert_eq!(world.event_names(), [""; 0], "nothing was said");
    assert_eq!(world.log(), ["200>caller"]);
    world.receive(CALLER, &c.caller_says("BYE", 3, "bye", ""));
    assert_eq!(world.last("BYE").to, "10.0.0.7:5060", "the target moved");
    world.assert_quiescent();
}

/// D-03. RFC 3311 §5.1, §5.2: no ACK, nothing is repeated.
#[test]
fn an_update_with_an_offer_crosses_and_its_answer_comes_back() {
    let mut world = World::new();
    let c = world.connected_with(ALLOW);
    world.receive(CALLER, &c.caller_says("UPDATE", 2, "up", &other_sdp(4_002)));
    assert_eq!(world.event_names(), ["Reoffered sdp"]);
    assert_eq!(world.log(), [""; 0], "an UPDATE is not told 100");
    world
        .endpoint
        .reoffer_by(world.now, c.call, c.b_leg, &sdp(), RefreshBy::Update)
        .unwrap();
    world.drain();
    let update = world.last("UPDATE");
    assert!(!update.header(&HeaderName::Contact).is_empty());
    assert_eq!(world.log(), ["UPDATE>trunk"]);
    world.receive(TRUNK, &response(&update, 200, "", Some(SDP)));
    assert_eq!(world.event_names(), ["ReofferAnswered sdp"]);
    assert_eq!(world.log(), [""; 0], "an UPDATE has no ACK");
    world
        .endpoint
        .answer_reoffer(world.now, c.call, c.a_leg, &sdp())
        .unwrap();
    world.drain();
    assert!(world.last("200").text.contains("m=audio"));
    world.sent.clear();
    world.pass_ms(10_000);
    assert_eq!(world.log(), [""; 0]);
    world.receive(CALLER, &c.caller_says("BYE", 3, "bye", ""));
    world.assert_quiescent();
}

/// D-03: only where the peer's Allow has it, by the last word of the peer.
#[test]
fn update_is_used_only_where_the_peer_allows_it() {
    let asked = |world: &mut World, c: &Connected| {
        world
            .endpoint
            .reoffer_by(world.now, c.call, c.b_leg, &sdp(), RefreshBy::Update)
            .unwrap();
        world.drain();
        let sent = world.take_sent().remove(0);
        world.receive(TRUNK, &response(&sent, 200, "", Some(SDP)));
        world.sent.clear();
        sent.what()
    };
    let mut world = World::new();
    let c = world.connected();
    assert_eq!(asked(&mut world, &c), "INVITE", "no Allow, no UPDATE");
    let with_it = with_headers(&c.callee_says("UPDATE", 2, "up", ""), ALLOW);
    world.receive(TRUNK, &with_it);
    world.sent.clear();
    assert_eq!(asked(&mut world, &c), "UPDATE");
    let without = with_headers(
        &c.callee_says("UPDATE", 3, "on", ""),
        "Allow: INVITE, ACK\r\n",
    );
    world.receive(TRUNK, &without);
    world.sent.clear();
    assert_eq!(asked(&mut world, &c), "INVITE");
    world.hang_up(c.call);
    world.assert_quiescent();
}

/// A peer that lists UPDATE and does not know it is asked by re-INVITE.
#[test]
fn an_update_that_nobody_knows_becomes_a_reinvite() {
    let mut world = World::new();
    let c = world.connected_with(ALLOW);
    world
        .endpoint
        .reoffer_by(world.now, c.call, c.b_leg, &sdp(), RefreshBy::Update)
        .unwrap();
    world.drain();
    let update = world.last("UPDATE");
    world.sent.clear();
    world.receive(TRUNK, &response(&update, 405, "", None));
    let reinvite = world.last("INVITE");
    assert_eq!(reinvite.cseq(), update.cseq() + 1);
    world.receive(TRUNK, &response(&reinvite, 200, "", Some(SDP)));
    assert_eq!(world.event_names(), ["ReofferAnswered sdp"]);
    world.hang_up(c.call);
    world.assert_quiescent();
}

/// RFC 3311 §5.1 and §5.2: while the caller's first offer has no reliable answer, 500.
#[test]
fn an_early_update_of_the_caller_waits_for_the_answer_to_its_first_offer() {
    let mut world = World::new();
    let headers = format!("Require: 100rel\r\n{ALLOW}");
    let open = world.opened(&with_headers(&invite("u1"), &headers), dial());
    world.ring(open.call, 183, Some(SDP));
    let progress = world.last("183");
    world.sent.clear();
    let update = |cseq, branch: &str, body: &str| {
        open.caller_says(&progress, ("UPDATE", cseq, branch), "", body)
    };
    world.receive(CALLER, &update(2, "one", SDP));
    assert!(!world.last("500").header(&HeaderName::RetryAfter).is_empty());
    world.receive(CALLER, &update(3, "two", ""));
    assert_eq!(world.log(), ["500>caller", "200>caller"]);
    let asked =
        world
            .endpoint
            .reoffer_by(world.now, open.call, open.a_leg, &sdp(), RefreshBy::Update);
    assert_eq!(asked, Err(CommandError::WrongState));
    world.receive(CALLER, &open.prack(&progress, 4, ""));
    world.events.clear();
    world.receive(CALLER, &update(5, "three", &other_sdp(4_002)));
    assert_eq!(world.event_names(), ["Reoffered sdp"]);
    world.sent.clear();
    world
        .endpoint
        .answer_reoffer(world.now, open.call, open.a_leg, &sdp())
        .unwrap();
    world.drain();
    assert_eq!(world.log(), ["200>caller"]);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3311 §5.2: our offer of the INVITE is not answered reliably, 491; then it may.
#[test]
fn an_early_update_of_the_callee_waits_for_its_reliable_answer() {
    let mut world = World::new();
    let open = world.opened(&invite("u2"), dial());
    world.receive(TRUNK, &response(&open.b_invite, 183, "callee", Some(SDP)));
    let update = |cseq, branch: &str| {
        open.callee_says("callee", ("UPDATE", cseq, branch), "", &other_sdp(5_002))
    };
    world.sent.clear();
    world.receive(TRUNK, &update(1, "one"));
    assert_eq!(world.log(), ["491>trunk"]);
    let progress = response_with(&open.b_invite, 183, "callee", RELIABLY, Some(SDP));
    world.receive(TRUNK, &progress);
    world.events.clear();
    world.receive(TRUNK, &update(2, "two"));
    assert_eq!(world.event_names(), ["Reoffered sdp"]);
    world
        .endpoint
        .answer_reoffer(world.now, open.call, open.b_leg, &sdp())
        .unwrap();
    world.drain();
    // What it described last is its answer when it picks up.
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", None));
    let events = world.take_events();
    let Some(crate::event::Event::Answered { answered, .. }) = events.first() else {
        panic!("{events:?}")
    };
    assert_eq!(answered.answer.as_ref().unwrap().media[0].port, 5_002);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3311 §5.1: we may change an early dialog too, where it has its answer.
#[test]
fn early_dialogs_are_asked_by_update_on_both_sides() {
    let mut world = World::new();
    let (open, _) = early_caller(&mut world);
    for (leg, peer) in [(open.a_leg, CALLER), (open.b_leg, TRUNK)] {
        if leg == open.b_leg {
            let progress = response_with(&open.b_invite, 183, "callee", RELIABLY, Some(SDP));
            let early =
                world
                    .endpoint
                    .reoffer_by(world.now, open.call, leg, &sdp(), RefreshBy::Invite);
            assert_eq!(early, Err(CommandError::WrongState));
            world.receive(TRUNK, &progress);
        }
        world.sent.clear();
        world.events.clear();
        world
            .endpoint
            .reoffer_by(world.now, open.call, leg, &sdp(), RefreshBy::Invite)
            .unwrap();
        world.drain();
        let update = world.last("UPDATE");
        assert_eq!(update.to, peer);
        world.receive(peer, &response(&update, 200, "", Some(SDP)));
        assert_eq!(world.event_names(), ["ReofferAnswered sdp"]);
    }
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3311 §5.2: the 2xx of the INVITE waits for an exchange of the early dialog.
#[test]
fn a_200_waits_for_an_early_update() {
    let mut world = World::new();
    let (open, progress) = early_caller(&mut world);
    let update = open.caller_says(&progress, ("UPDATE", 3, "up"), "", &other_sdp(4_002));
    world.receive(CALLER, &update);
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.sent.clear();
    world.answer(open.call, SDP);
    assert_eq!(world.log(), [""; 0]);
    let refused = world.endpoint.refuse_reoffer(
        world.now,
        open.call,
        open.a_leg,
        StatusCode::NOT_ACCEPTABLE_HERE,
    );
    refused.unwrap();
    world.drain();
    assert_eq!(world.log(), ["488>caller", "200>caller"]);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// What the early dialog agreed on last is what the 2xx confirms, without a word of its own.
#[test]
fn a_200_that_waited_for_an_early_update_confirms_what_that_agreed() {
    let mut world = World::new();
    let (open, progress) = early_caller(&mut world);
    let update = open.caller_says(&progress, ("UPDATE", 3, "up"), "", &other_sdp(4_002));
    world.receive(CALLER, &update);
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.answer(open.call, SDP);
    let answer = crate::sdp::SessionDescription::parse(other_sdp(6_000).as_bytes()).unwrap();
    world
        .endpoint
        .answer_reoffer(world.now, open.call, open.a_leg, &answer)
        .unwrap();
    world.sent.clear();
    world.drain();
    let sent = world.take_sent();
    assert!(sent[0].text.contains("m=audio 6000"), "of the UPDATE");
    assert!(!sent[1].text.contains("m=audio"), "of the INVITE");
    assert_eq!(sent[1].to_tag(), progress.to_tag());
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 6337 §2.1: no answer to the offer of the INVITE fits what UPDATE has made of it, in whichever
/// dialog; a new offer says what shall be otherwise.
#[test]
fn after_an_early_update_another_answer_waits_for_an_offer_of_ours() {
    let mut world = World::new();
    let (open, progress) = early_caller(&mut world);
    let update = open.caller_says(&progress, ("UPDATE", 3, "up"), "", &other_sdp(4_002));
    world.receive(CALLER, &update);
    let answer = |port| crate::sdp::SessionDescription::parse(other_sdp(port).as_bytes()).unwrap();
    world
        .endpoint
        .answer_reoffer(world.now, open.call, open.a_leg, &answer(6_000))
        .unwrap();
    world.drain();
    world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
    world.sent.clear();
    world.answer(open.call, &other_sdp(6_002));
    let ok = world.last("200");
    assert_eq!(ok.to_tag(), progress.to_tag(), "one dialog");
    assert!(!ok.text.contains("m=audio"), "{}", ok.text);
    world.receive(CALLER, &ack(&open.invite, &ok));
    world
        .endpoint
        .reoffer(world.now, open.call, open.a_leg, &answer(6_002))
        .unwrap();
    world.drain();
    assert!(world.last("INVITE").text.contains("m=audio 6002"));
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3311 §5.2: 500 while the peer's first one waits, 491 while ours does.
#[test]
fn an_update_meets_what_is_pending() {
    let mut world = World::new();
    let c = world.connected_with(ALLOW);
    world.receive(CALLER, &c.caller_says("UPDATE", 2, "one", SDP));
    world.receive(CALLER, &c.caller_says("UPDATE", 3, "two", SDP));
    world.receive(CALLER, &c.caller_says("UPDATE", 4, "three", ""));
    world.receive(CALLER, &c.caller_says("INVITE", 5, "four", SDP));
    assert_eq!(world.log(), ["500>caller", "500>caller", "500>caller"]);
    world.receive(TRUNK, &c.callee_says("UPDATE", 2, "one", SDP));
    assert_eq!(
        world.log(),
        ["491>trunk"],
        "the other side's answer is needed"
    );
    world
        .endpoint
        .reoffer_by(world.now, c.call, c.b_leg, &sdp(), RefreshBy::Update)
        .unwrap();
    world.drain();
    world.sent.clear();
    world.receive(TRUNK, &c.callee_says("UPDATE", 3, "two", SDP));
    world.receive(TRUNK, &c.callee_says("INVITE", 4, "three", SDP));
    world.receive(TRUNK, &c.callee_says("UPDATE", 5, "four", ""));
    assert_eq!(world.log(), ["491>trunk", "491>trunk", "200>trunk"]);
    world.hang_up(c.call);
    world.assert_quiescent();
}

/// RFC 3311 §5.3 with RFC 3261 §14.1: the owner of the Call-ID waits longer; 500 says how long.
#[test]
fn an_update_that_met_another_offer_is_tried_again() {
    for (on_b, status, header, least, most) in [
        (true, 491, "", 2_100, 4_000),
        (false, 491, "", 0, 2_000),
        (true, 500, "Retry-After: 3\r\n", 3_000, 3_000),
    ] {
        let mut world = World::new();
        let c = world.connected_with(ALLOW);
        let (leg, peer) = if on_b {
            (c.b_leg, TRUNK)
        } else {
            (c.a_leg, CALLER)
        };
        world
            .endpoint
            .reoffer_by(world.now, c.call, leg, &sdp(), RefreshBy::Update)
            .unwrap();
        world.drain();
        let first = world.last("UPDATE");
        world.sent.clear();
        // The caller's linger of the first transaction is later than the retry.
        world.receive(peer, &response_with(&first, status, "", header, None));
        let met = world.now;
        let mut waited = 0;
        while world.sent.is_empty() {
            let at = world.endpoint.poll_deadline().unwrap();
            world.pass(at - world.now);
            waited = (world.now - met).as_millis();
            assert!(waited <= most, "{waited}");
        }
        assert!(waited >= least, "{waited}");
        let second = world.last("UPDATE");
        assert_eq!(second.cseq(), first.cseq() + 1);
        world.receive(peer, &response(&second, 200, "", Some(SDP)));
        assert_eq!(world.event_names(), ["ReofferAnswered sdp"]);
        world.hang_up(c.call);
        world.assert_quiescent();
    }
}

/// RFC 3311 §5.2: it has timer F only, and then the peer would think the dialog lost.
#[test]
fn an_update_that_waits_too_long_gets_504() {
    let mut world = World::new();
    let c = world.connected_with(ALLOW);
    world.receive(CALLER, &c.caller_says("UPDATE", 2, "up", SDP));
    world.events.clear();
    world.pass_ms(23_999);
    assert_eq!(world.log(), [""; 0]);
    world.pass_ms(1);
    assert_eq!(world.log(), ["504>caller"]);
    assert_eq!(world.event_names(), ["ReofferCancelled"]);
    let late = world
        .endpoint
        .answer_reoffer(world.now, c.call, c.a_leg, &sdp());
    assert_eq!(late, Err(CommandError::NothingToAnswer));
    world.hang_up(c.call);
    world.assert_quiescent();
}

/// RFC 5057 §5.1.
#[test]
fn an_update_that_finds_no_dialog_ends_a_call_and_leaves_an_early_one() {
    let mut world = World::new();
    let c = world.connected_with(ALLOW);
    let by = RefreshBy::Update;
    world
        .endpoint
        .reoffer_by(world.now, c.call, c.b_leg, &sdp(), by)
        .unwrap();
    world.drain();
    world.receive(TRUNK, &response(&world.last("UPDATE"), 481, "", None));
    assert_eq!(world.event_names(), ["Ended Gateway DialogLost"]);
    world.assert_quiescent();
    let mut world = World::new();
    let open = early_callee(&mut world);
    world
        .endpoint
        .reoffer_by(world.now, open.call, open.b_leg, &sdp(), by)
        .unwrap();
    world.drain();
    world.receive(TRUNK, &response(&world.last("UPDATE"), 481, "", None));
    assert_eq!(world.event_names(), ["ReofferRefused 481"]);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3261 §13.2.2.4: what was asked within the other fork is over.
#[test]
fn a_fork_that_is_not_chosen_takes_its_update_along() {
    for theirs in [true, false] {
        let mut world = World::new();
        let open = early_callee(&mut world);
        if theirs {
            let update = open.callee_says("callee", ("UPDATE", 1, "up"), "", SDP);
            world.receive(TRUNK, &update);
        } else {
            let by = RefreshBy::Update;
            world
                .endpoint
                .reoffer_by(world.now, open.call, open.b_leg, &sdp(), by)
                .unwrap();
            world.drain();
        }
        world.sent.clear();
        world.events.clear();
        world.receive(TRUNK, &response(&open.b_invite, 200, "other", Some(SDP)));
        let (log, events) = if theirs {
            (&["487>trunk", "ACK>trunk"][..], "ReofferCancelled")
        } else {
            (&["ACK>trunk"][..], "ReofferRefused 481")
        };
        assert_eq!(world.log(), log);
        assert_eq!(world.event_names(), [events, "Answered sdp"]);
        world.hang_up(open.call);
        world.assert_quiescent();
    }
}

/// RFC 3261 §15.1.2: nothing that was asked is left without an answer.
#[test]
fn an_early_update_ends_with_its_invite() {
    for end in ["486", "left", "cancelled"] {
        let mut world = World::new();
        let open = early_callee(&mut world);
        let update = open.callee_says("callee", ("UPDATE", 1, "up"), "", SDP);
        world.receive(TRUNK, &update);
        match end {
            "486" => world.receive(TRUNK, &response(&open.b_invite, 486, "callee", None)),
            "left" => world.hang_up(open.call),
            _ => world.receive(CALLER, &cancel(&open.invite)),
        }
        let to_trunk = |sent: &&Sent| sent.what() == "487" && sent.to == TRUNK;
        assert_eq!(world.sent.iter().filter(to_trunk).count(), 1, "{end}");
        world.sent.clear();
        // What comes for a fork that nobody waits for finds nothing.
        let late = open.callee_says("callee", ("UPDATE", 2, "late"), "", SDP);
        world.receive(TRUNK, &late);
        assert_eq!(world.log(), ["481>trunk"]);
        if end == "486" {
            world.hang_up(open.call);
        }
        world.assert_quiescent();
    }
}

/// A leg that can be asked, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    Reinvite,
    Update,
    EarlyUpdate,
}

/// The table of `modify`: what answers our offer, what leaves at once, what call control hears at
/// once, and what leaves within five seconds.
#[test]
fn every_cell_of_our_offers_holds() {
    use Asking::{EarlyUpdate, Reinvite, Update};
    let challenge = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    let soon = "Retry-After: 4\r\n";
    let late = "Retry-After: 11\r\n";
    let lost = "Ended Gateway DialogLost";
    for (asking, status, headers, sends, hears, again) in [
        (Reinvite, 200, "", "ACK", "ReofferAnswered sdp", ""),
        (Update, 200, "", "", "ReofferAnswered sdp", ""),
        (EarlyUpdate, 200, "", "", "ReofferAnswered sdp", ""),
        (Reinvite, 407, challenge, "INVITE", "", ""),
        (Update, 407, challenge, "UPDATE", "", ""),
        (EarlyUpdate, 407, challenge, "UPDATE", "", ""),
        (Reinvite, 405, "", "", "ReofferRefused 405", ""),
        (Update, 405, "", "INVITE", "", ""),
        (Update, 501, "", "INVITE", "", ""),
        (EarlyUpdate, 405, "", "", "ReofferRefused 405", ""),
        (Reinvite, 491, "", "", "", "INVITE"),
        (Update, 491, "", "", "", "UPDATE"),
        (EarlyUpdate, 491, "", "", "", "UPDATE"),
        (Reinvite, 500, soon, "", "", "INVITE"),
        (Update, 500, soon, "", "", "UPDATE"),
        (EarlyUpdate, 500, soon, "", "", "UPDATE"),
        (Reinvite, 500, late, "", "ReofferRefused 500", ""),
        (Update, 500, "", "", "ReofferRefused 500", ""),
        (EarlyUpdate, 500, late, "", "ReofferRefused 500", ""),
        (Reinvite, 481, "", "BYE BYE", lost, ""),
        (Update, 408, "", "BYE BYE", lost, ""),
        (EarlyUpdate, 481, "", "", "ReofferRefused 481", ""),
        (Reinvite, 488, "", "", "ReofferRefused 488", ""),
        (Update, 488, "", "", "ReofferRefused 488", ""),
        (EarlyUpdate, 488, "", "", "ReofferRefused 488", ""),
    ] {
        let cell = format!("{asking:?} {status} {headers}");
        let mut world = World::new();
        let open = asked(&mut world, asking);
        let what = if asking == Reinvite {
            "INVITE"
        } else {
            "UPDATE"
        };
        let sent = world.last(what);
        world.sent.clear();
        let body = (status == 200).then_some(SDP);
        world.receive(TRUNK, &response_with(&sent, status, "", headers, body));
        let mut left: Vec<String> = world.take_sent().iter().map(Sent::what).collect();
        // The ACK of a failure is the transaction's (RFC 3261 §17.1.1.3).
        left.retain(|what| what != "ACK" || status == 200);
        assert_eq!(left.join(" "), sends, "{cell}");
        assert_eq!(world.event_names().join(" "), hears, "{cell}");
        world.pass_ms(5_000);
        if sends.is_empty() {
            let left: Vec<String> = world.take_sent().iter().map(Sent::what).collect();
            let first = left.first().map_or("", String::as_str);
            assert_eq!(first, again, "{cell}");
        }
        if hears != lost {
            world.hang_up(open.call);
        }
        world.assert_quiescent();
    }
}

/// An offer of ours to the callee that waits for its answer.
fn asked(world: &mut World, asking: Asking) -> Opened {
    let credentials = Some(crate::event::Credentials {
        username: "u".into(),
        password: "p".into(),
        realm: None,
    });
    let dial = crate::event::Dial {
        credentials,
        ..dial()
    };
    let open = world.opened(&invite("cell"), dial);
    let by = if asking == Asking::Reinvite {
        RefreshBy::Invite
    } else {
        RefreshBy::Update
    };
    let progress = response_with(&open.b_invite, 183, "callee", RELIABLY, Some(SDP));
    world.receive(TRUNK, &progress);
    let prack = world.last("PRACK");
    world.receive(TRUNK, &response(&prack, 200, "", None));
    if asking != Asking::EarlyUpdate {
        world.receive(TRUNK, &response(&open.b_invite, 200, "callee", Some(SDP)));
        world.answer(open.call, SDP);
        world.receive(CALLER, &ack(&open.invite, &world.last("200")));
    }
    world.sent.clear();
    world.events.clear();
    world
        .endpoint
        .reoffer_by(world.now, open.call, open.b_leg, &sdp(), by)
        .unwrap();
    world.drain();
    open
}

/// RFC 3261 §17.1.2.2: timer F. An early dialog ends with its INVITE, not before.
#[test]
fn an_early_update_that_nobody_answers_is_given_up() {
    let mut world = World::new();
    let open = asked(&mut world, Asking::EarlyUpdate);
    world.pass_ms(31_999);
    assert_eq!(world.event_names(), [""; 0]);
    world.pass_ms(1);
    assert_eq!(world.event_names(), ["ReofferRefused 408"]);
    world.hang_up(open.call);
    world.assert_quiescent();
    let mut world = World::new();
    asked(&mut world, Asking::Update);
    world.pass_ms(32_000);
    assert_eq!(world.event_names(), ["Ended Gateway DialogLost"]);
    world.assert_quiescent();
}

/// RFC 3311 §5.2: without an offer nothing speaks against it, except a dialog that is gone.
#[test]
fn an_early_update_without_an_offer_is_answered_on_both_sides() {
    let mut world = World::new();
    let open = world.opened(&invite("bare"), dial());
    world.ring(open.call, 180, None);
    let ringing = world.last("180");
    world.receive(TRUNK, &response(&open.b_invite, 180, "callee", None));
    world.sent.clear();
    let update = open.caller_says(&ringing, ("UPDATE", 2, "a"), "", "");
    world.receive(CALLER, &update);
    world.receive(
        TRUNK,
        &open.callee_says("callee", ("UPDATE", 1, "b"), "", ""),
    );
    let unknown = open.callee_says("nobody", ("UPDATE", 1, "c"), "", "");
    world.receive(TRUNK, &unknown);
    // RFC 3261 §12.2.2: each early dialog keeps its own order.
    let old = open.callee_says("callee", ("UPDATE", 0, "d"), "", "");
    world.receive(TRUNK, &old);
    assert_eq!(
        world.log(),
        ["200>caller", "200>trunk", "481>trunk", "500>trunk"]
    );
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3261 §17.2.2: the repetition of an UPDATE that was refused is no second UPDATE, although it
/// could be taken by then.
#[test]
fn a_refused_update_that_comes_again_gets_the_same_refusal() {
    let mut world = World::new();
    let c = world.connected();
    world.receive(CALLER, &c.caller_says("INVITE", 2, "first", SDP));
    let update = c.callee_says("UPDATE", 2, "update", SDP);
    world.receive(TRUNK, &update);
    let refusal = world.last("491");
    world
        .endpoint
        .answer_reoffer(world.now, c.call, c.a_leg, &sdp())
        .unwrap();
    world.drain();
    world.receive(CALLER, &c.caller_says("ACK", 2, "firstack", ""));
    world.sent.clear();
    world.events.clear();
    world.receive(TRUNK, &update);
    assert_eq!(world.take_sent(), [refusal]);
    assert_eq!(world.event_names(), [""; 0]);
}
