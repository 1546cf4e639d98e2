//! From an INVITE to a call, or to the refusal that fits.

use std::time::Duration;

use media::command::{LatchPolicy, PairKey, Report, Target};

use super::video::{A, A_VIDEO, B, B_VIDEO, pair};
use super::world::{PAIRS, PHONE, World, link, remote, sdp, target, trunk};
use crate::call::event::Input;
use crate::cdr::record::Record;
use crate::fraud_guard::Rules;
use crate::links::model::Destination;
use crate::links::resolve::{ResolveRefusal, ResolvedLink};
use crate::sources::model::LinkAccess;

#[test]
fn link_becomes_a_call_with_its_name_alias_and_media_both_ways() {
    let mut world = World::new(vec![trunk(1)]);
    world.call("610", "c1");
    let invite = world.last(target(1), "INVITE");
    assert_eq!(invite.start(), "INVITE sip:610@example.com SIP/2.0");
    assert!(
        invite
            .header("From")
            .starts_with("\"Guest\" <sip:guest@198.51.100.1>;tag=")
    );
    assert!(invite.header("Remote-Party-ID").contains("party=calling"));
    assert_eq!(invite.header("Max-Forwards"), "69");
    assert!(
        invite.body().contains("m=audio 10002 RTP/AVP 0 8"),
        "{}",
        invite.body()
    );
    world.respond(&invite, "180 Ringing", "");
    assert_eq!(world.heard(), 180);
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    assert_eq!(world.heard(), 200);
    let answer = world.last(PHONE.parse().unwrap(), "SIP/2.0 200");
    assert!(
        answer.body().contains("m=audio 10000 RTP/AVP 0\r\n"),
        "{}",
        answer.body()
    );
    world.phone("ACK", "c1", 1, "");
    let pair = |slot| PairKey {
        worker: 0,
        slot,
        generation: 0,
    };
    assert_eq!(world.legs[&pair(0)], Target::Leg(pair(1)));
    assert_eq!(world.legs[&pair(1)], Target::Leg(pair(0)));
    world.phone("BYE", "c1", 2, "");
    let bye = world.last(target(1), "BYE");
    world.respond(&bye, "200 OK", "");
    let closed = world.closed();
    assert_eq!(closed[0].released_by, "originating");
    assert_eq!(
        (closed[0].cause.as_str(), closed[0].status, closed[0].link),
        ("normal", 200, Some(7))
    );
    assert_eq!(closed[0].media.packets_received, 50);
    assert_eq!(world.attempts()[0].outcome, "answered");
    world.expect_quiet();
}

#[test]
fn unknown_source_gets_silence_and_is_counted() {
    let mut world = World::new(vec![trunk(1)]);
    world.datagram(
        "203.0.113.9:5060".parse().unwrap(),
        "OPTIONS sip:a@198.51.100.1 SIP/2.0\r\n\r\n",
    );
    world.datagram("203.0.113.9:5060".parse().unwrap(), "not SIP at all");
    assert!(world.sent.is_empty());
    assert_eq!(world.control.counters().unknown_source, 2);
}

#[test]
fn trunk_that_is_switched_off_is_heard_until_its_calls_are_over() {
    let mut world = World::new(vec![trunk(1)]);
    let invite = world.answered("c1");
    world.change(|snapshot| snapshot.trunks[0].enabled = false);
    let callee_says = |method: &str, rest: &str| {
        format!(
            "{method} sip:guest@198.51.100.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{method}\r\nMax-Forwards: 70\r\n\
             From: {};tag=callee\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 {method}\r\n{rest}\r\n",
            invite.header("To"),
            invite.header("From"),
            invite.header("Call-ID"),
        )
    };
    world.datagram(target(1), &callee_says("BYE", ""));
    assert_eq!(world.count(target(1), "SIP/2.0 200"), 1);
    assert_eq!(world.closed()[0].released_by, "terminating");
    let bye = world.last(PHONE.parse().unwrap(), "BYE");
    world.respond(&bye, "200 OK", "");
    world.expect_quiet();
    let before = world.sent.len();
    world.datagram(target(1), &callee_says("OPTIONS", ""));
    assert_eq!(world.sent.len(), before, "silence again");
    assert_eq!(world.control.counters().unknown_source, 1);
}

#[test]
fn each_refusal_of_the_link_store_has_its_status() {
    let later = jiff::Timestamp::from_second(90).unwrap();
    for (refusal, status) in [
        (ResolveRefusal::Unknown, 404),
        (ResolveRefusal::Dead, 410),
        (ResolveRefusal::NotYetValid(later), 480),
        (ResolveRefusal::Unavailable, 503),
    ] {
        let mut world = World::new(vec![trunk(1)]);
        world.call_link("c1", Err(refusal));
        assert_eq!(world.heard(), status, "{refusal:?}");
        if status == 480 {
            let response = world.last(PHONE.parse().unwrap(), "SIP/2.0 480");
            assert_eq!(response.header("Retry-After"), "90");
        }
        world.expect_quiet();
    }
}

#[test]
fn foreign_host_is_a_relay_attempt_and_refused() {
    let mut world = World::new(vec![trunk(1)]);
    let phone = PHONE.parse().unwrap();
    let body = sdp("10.0.0.5", 4000, 1, "");
    let text = format!(
        "INVITE sip:x@other.example SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE};branch=z9hG4bK1\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x@other.example>\r\nCall-ID: r\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:a@{PHONE}>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    world.datagram(phone, &text);
    assert_eq!(world.heard(), 403);
    assert_eq!(world.control.counters().refused["relay_denied"], 1);
    world.expect_quiet();
}

#[test]
fn source_reaches_only_the_links_of_its_policy() {
    let mut world = World::new(vec![trunk(1)]);
    world.change(|snapshot| snapshot.sources[0].links = LinkAccess::Listed(vec!["other".into()]));
    world.call("610", "c1");
    assert_eq!(world.heard(), 404);
    let ad_hoc = ResolvedLink {
        link: None,
        named_by_link: false,
        ..remote("610")
    };
    world.change(|snapshot| snapshot.sources[0].links = LinkAccess::All);
    world.call_link("c2", Ok(ad_hoc));
    assert_eq!(world.heard(), 404);
    world.expect_quiet();
}

#[test]
fn guard_refuses_before_anything_leaves() {
    let mut world = World::new(vec![trunk(1)]);
    world.change(|snapshot| {
        snapshot.guard = Rules {
            block_prefixes: vec!["+1900".into()],
            ..Rules::default()
        };
    });
    world.call("%2B1-900-555", "c1");
    assert_eq!(world.heard(), 403);
    assert_eq!(world.count(target(1), "INVITE"), 0);
    assert_eq!(world.attempts()[0].outcome, "guard_prefix_blocked");
    let dialed = |record: &Record| {
        if let Record::AttemptOpened(opened) = record {
            Some(opened.dialed)
        } else {
            None
        }
    };
    assert_eq!(world.records.iter().find_map(dialed), Some(false));
    world.expect_quiet();
}

#[test]
fn canonical_number_is_what_is_dialled() {
    let mut world = World::new(vec![trunk(1)]);
    world.call("+44 (20) 7123-4567", "c1");
    assert_eq!(
        world.last(target(1), "INVITE").start(),
        "INVITE sip:+442071234567@example.com SIP/2.0"
    );
    world.phone("CANCEL", "c1", 1, "");
    world.expect_quiet();
}

#[test]
fn unique_alias_takes_one_number_for_all_attempts_and_none_left_is_refused() {
    let mut world = World::new(vec![trunk(1), trunk(2)]);
    world.feed(Input::AliasBlock {
        first: 41,
        count: 1,
    });
    let unique = || ResolvedLink {
        unique_alias: true,
        ..remote("610")
    };
    world.call_link("c1", Ok(unique()));
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "503 Service Unavailable", "");
    let second = world.last(target(2), "INVITE");
    for invite in [&first, &second] {
        assert!(
            invite.header("From").contains("<sip:guest.41@"),
            "{}",
            invite.header("From")
        );
    }
    world.respond(&second, "486 Busy Here", "");
    world.call_link("c2", Ok(unique()));
    assert_eq!(world.heard(), 503);
    assert_eq!(world.control.counters().refused["alias_numbers_empty"], 1);
    world.expect_quiet();
}

#[test]
fn echo_is_answered_at_once_and_ends_after_five_minutes() {
    let mut world = World::new(Vec::new());
    world.call_link("c1", Ok(link(Destination::Echo)));
    assert_eq!(world.heard(), 200);
    world.phone("ACK", "c1", 1, "");
    assert_eq!(world.legs.values().collect::<Vec<_>>(), [&Target::Echo]);
    world.pass(Duration::from_secs(299));
    assert_eq!(world.count(PHONE.parse().unwrap(), "BYE"), 0);
    world.pass(Duration::from_secs(2));
    let bye = world.last(PHONE.parse().unwrap(), "BYE");
    world.respond(&bye, "200 OK", "");
    assert_eq!(world.closed()[0].cause, "local_party_over");
    world.expect_quiet();
}

#[test]
fn full_stock_is_a_counted_refusal_and_nothing_leaks() {
    let mut world = World::new(vec![trunk(1)]);
    for number in 0..PAIRS / 2 {
        world.answered(&format!("c{number}"));
    }
    world.invite("sales", "over", &sdp("10.0.0.5", 4000, 1, ""));
    let refusal = world.last(PHONE.parse().unwrap(), "SIP/2.0 503");
    assert_ne!(refusal.header("Retry-After"), "0");
    assert!(
        world.tickets.is_empty(),
        "without state, and nobody is asked"
    );
    let counters = world.control.counters();
    assert_eq!(
        (counters.overloads, counters.refused["overload_stock_empty"]),
        (1, 1)
    );
    // A call that is up is heard as ever, and its end makes room for the next.
    world.phone("BYE", "c0", 2, "");
    world.stock(PAIRS);
    world.stock(PAIRS + 1);
    world.answered("next");
    world.feed(Input::Stop);
    world.pass(Duration::from_secs(4));
    assert!(world.stopped);
    world.expect_quiet();
}

/// A deadline that is handled late says that events pile up: new calls wait, the others go on.
#[test]
fn node_that_falls_behind_turns_new_calls_away_without_state() {
    let mut world = World::new(vec![trunk(1)]);
    world.call("610", "c1");
    let invite = world.last(target(1), "INVITE");
    // The repetition of the INVITE is long past when we come to it.
    world.now.instant += Duration::from_secs(2);
    world.feed(Input::Expired);
    world.invite("sales", "over", &sdp("10.0.0.5", 4000, 1, ""));
    assert_eq!(world.heard(), 503);
    assert!(world.tickets.is_empty(), "nobody is asked");
    assert_eq!(world.control.counters().refused["overload_behind"], 1);
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    assert_eq!(world.heard(), 200, "a call that was there goes on");
    world.now.instant += Duration::from_millis(1_100);
    world.invite("sales", "later", &sdp("10.0.0.5", 4000, 1, ""));
    assert_eq!(world.heard(), 100, "it has caught up");
}

#[test]
fn refused_connect_refuses_the_call_and_keeps_the_pair_in_stock() {
    let mut world = World::new(vec![trunk(1)]);
    world.call("610", "c1");
    let pair = PairKey {
        worker: 0,
        slot: 1,
        generation: 0,
    };
    world.legs.remove(&pair);
    world.feed(Input::ConnectRefused { pair });
    assert_eq!(world.heard(), 503);
    assert_eq!(world.control.counters().refused["media_queue_full"], 1);
    world.expect_quiet();
}

/// DECISIONS: a panic costs one call, whichever of its legs was worked for, and both sides hear of it.
#[test]
fn a_leg_that_a_fault_struck_ends_its_call_and_both_sides_hear() {
    for slot in [A, A_VIDEO, B, B_VIDEO] {
        let mut world = World::new(vec![trunk(1)]);
        world.video_call("c1");
        world.feed(Input::Report {
            report: Report::Struck { pair: pair(slot) },
        });
        assert_eq!(world.closed()[0].cause, "media_fault", "{slot}");
        assert_eq!(world.count(target(1), "BYE"), 1);
        assert_eq!(world.count(PHONE.parse().unwrap(), "BYE"), 1);
        world.expect_quiet();
    }
}

#[test]
fn silent_media_ends_the_call() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    let pair = PairKey {
        worker: 0,
        slot: 1,
        generation: 0,
    };
    world.feed(Input::Report {
        report: Report::Silent { pair },
    });
    assert_eq!(world.closed()[0].cause, "media_timeout");
    assert_eq!(world.closed()[0].released_by, "gateway");
    assert_eq!(world.count(target(1), "BYE"), 1);
    assert_eq!(world.count(PHONE.parse().unwrap(), "BYE"), 1);
    world.expect_quiet();
}

#[test]
fn guard_ends_a_call_at_its_maximum_duration() {
    let mut world = World::new(vec![trunk(1)]);
    world.change(|snapshot| {
        snapshot.guard = Rules {
            duration_max: Duration::from_secs(60),
            ..Rules::default()
        };
    });
    world.answered("c1");
    world.pass(Duration::from_secs(61));
    assert_eq!(world.closed()[0].cause, "guard_duration_max");
    world.expect_quiet();
}

#[test]
fn record_does_not_wait_for_ever_for_a_stalled_worker() {
    let mut world = World::new(vec![trunk(1)]);
    world.worker_answers = false;
    world.answered("c1");
    world.phone("BYE", "c1", 2, "");
    assert!(world.closed().is_empty());
    world.pass(Duration::from_secs(2));
    assert_eq!(world.closed().len(), 1);
    assert_eq!(
        world.control.counters().stock_taken,
        2,
        "the worker still has them"
    );
}

#[test]
fn drain_refuses_new_calls_and_leaves_old_ones_alone() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.feed(Input::Drain);
    world.invite("sales", "c2", &sdp("10.0.0.5", 4000, 1, ""));
    assert_eq!(world.heard(), 503);
    assert_eq!(world.control.counters().calls_active, 1);
}

#[test]
fn stop_ends_everything_within_four_seconds_although_peers_are_silent() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.call("610", "c2");
    world.feed(Input::Stop);
    assert_eq!(world.count(PHONE.parse().unwrap(), "BYE"), 1);
    assert_eq!(world.count(PHONE.parse().unwrap(), "SIP/2.0 503"), 1);
    assert!(!world.stopped);
    world.pass(Duration::from_secs(4));
    assert!(world.stopped);
    assert_eq!(world.closed().len(), 2);
}

/// An answer to such an offer could name events or FEC only, and some trunks end a call for it.
#[test]
fn offer_without_a_voice_is_refused_before_anything_is_dialled() {
    let mut world = World::new(vec![trunk(1)]);
    let body = "v=0\r\no=- 9 1 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\n\
                m=audio 4000 RTP/AVP 121 123 101\r\na=rtpmap:121 red/8000\r\n\
                a=rtpmap:123 X-ULPFECUC/8000\r\na=rtpmap:101 telephone-event/8000\r\n";
    world.invite("sales", "c1", body);
    assert_eq!(world.heard(), 488);
    assert_eq!(world.closed()[0].cause, "sdp_no_common_codec");
    assert!(world.tickets.is_empty(), "the link store is not asked");
}

#[test]
fn second_line_is_used_where_the_first_cannot_be_and_each_line_is_answered() {
    let mut world = World::new(vec![trunk(1)]);
    let body = "v=0\r\no=- 9 1 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\n\
                m=audio 4000 RTP/SAVP 0\r\nm=video 4002 RTP/AVP 97\r\n\
                m=audio 4004 RTP/AVP 96 8 98\r\na=rtpmap:96 opus/48000/2\r\n\
                a=fmtp:96 maxaveragebitrate=20000\r\na=rtpmap:98 telephone-event/8000\r\n\
                a=rtcp-mux\r\nm=application 4006 UDP/BFCP *\r\n";
    world.invite("sales", "c1", body);
    let (ticket, _user) = world.tickets.pop().unwrap();
    let outcome = Ok(remote("610"));
    world.feed(Input::Resolved { ticket, outcome });
    let invite = world.last(target(1), "INVITE");
    let offer = invite.body();
    assert!(
        offer.contains("m=audio 10002 RTP/AVP 96 8 98\r\n"),
        "{offer}"
    );
    assert!(
        offer.contains("a=fmtp:96 maxaveragebitrate=20000"),
        "{offer}"
    );
    let callee = "v=0\r\no=- 3 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                  m=audio 6000 RTP/AVP 111 8 110\r\na=rtpmap:111 opus/48000/2\r\n\
                  a=fmtp:111 useinbandfec=1\r\na=rtpmap:110 telephone-event/8000\r\n";
    world.respond(&invite, "200 OK", callee);
    let answer = world.last(PHONE.parse().unwrap(), "SIP/2.0 200");
    let lines: Vec<&str> = answer
        .body()
        .lines()
        .filter(|line| line.starts_with("m="))
        .collect();
    assert_eq!(
        lines,
        [
            "m=audio 0 RTP/SAVP 0",
            "m=video 0 RTP/AVP 97",
            "m=audio 10000 RTP/AVP 96 98",
            "m=application 0 UDP/BFCP *"
        ]
    );
    assert!(
        answer.body().contains("a=fmtp:96 useinbandfec=1"),
        "{}",
        answer.body()
    );
    assert!(answer.body().contains("a=rtcp-mux"), "{}", answer.body());
}

/// Zones rewrite what we put into a Contact (cisco-trunk J-02): neither a user part of ours nor a
/// parameter is needed to find the dialog again.
#[test]
fn a_request_whose_uri_lost_what_our_contact_said_finds_its_dialog() {
    let mut world = World::new(vec![trunk(1)]);
    let invite = world.answered("c1");
    let bye = format!(
        "BYE sip:198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKbye\r\n\
         Max-Forwards: 70\r\nFrom: {};tag=callee\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 7 BYE\r\n\
         Content-Length: 0\r\n\r\n",
        invite.header("To"),
        invite.header("From"),
        invite.header("Call-ID"),
    );
    world.datagram(target(1), &bye);
    assert_eq!(world.last(target(1), "SIP/2.0").start(), "SIP/2.0 200 OK");
}

#[test]
fn the_host_of_the_request_uri_is_the_destinations_or_the_one_of_the_setting() {
    for (setting, host) in [
        (None, "example.com"),
        (Some("cucm.example.net"), "cucm.example.net"),
    ] {
        let mut own = trunk(1);
        own.request_host = setting.map(str::to_owned);
        let mut world = World::new(vec![own]);
        world.call("610", "c1");
        let invite = world.last(target(1), "INVITE");
        assert_eq!(invite.start(), format!("INVITE sip:610@{host} SIP/2.0"));
        assert_eq!(invite.header("To"), format!("<sip:610@{host}>"));
    }
}

#[test]
fn events_are_offered_with_every_offer_of_ours_at_101() {
    let mut delayed = trunk(1);
    delayed.offer = crate::trunks::model::OfferMode::Early;
    let mut world = World::new(vec![delayed]);
    world.invite("sales", "c1", "");
    world.resolved(Ok(remote("610")));
    let invite = world.last(target(1), "INVITE");
    assert!(
        invite.body().contains("a=rtpmap:101 telephone-event/8000"),
        "{}",
        invite.body()
    );
    assert!(
        invite.body().contains("a=fmtp:101 0-15"),
        "{}",
        invite.body()
    );
}

/// What `any` and `signalling` believe of a peer behind a NAT is where it signals from.
#[test]
fn a_leg_knows_where_its_peer_signals_from() {
    use crate::trunks::model::MediaLatch;
    let trunk_host = target(1).ip();
    for (set, told) in [
        (MediaLatch::Sdp, LatchPolicy::Sdp),
        (MediaLatch::Signalling, LatchPolicy::Signalling(trunk_host)),
        (MediaLatch::Any, LatchPolicy::Any(trunk_host)),
    ] {
        let mut with = trunk(1);
        with.media_latch = set;
        let mut world = World::new(vec![with]);
        world.answered("c1");
        let latches: Vec<_> = world.plans.values().map(|plan| plan.latch).collect();
        assert_eq!(latches, [LatchPolicy::Sdp, told]);
    }
}
