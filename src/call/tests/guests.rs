//! Calls of guests: the page offers, and hears of its callee; strangers and vanished pages end.

use std::time::Duration;

use media::command::{LatchPolicy, PairKey, Report, Target, TransportFailure};
use media::srtp::Suite;
use sip::sdp::{Direction, SessionDescription};

use super::world::{Sent, World, link, remote, sdp, target, trunk};
use crate::call::browser::event::{
    BrowserCall, BrowserInput, BrowserOutput, GuestKey, GuestState, KeypadWay,
};
use crate::call::event::Input;
use crate::cdr::record::Record;
use crate::links::model::{Destination, VideoPolicy};
use crate::links::resolve::ResolvedLink;
use crate::trunks::model::Trunk;

const GUEST: GuestKey = GuestKey(9);
/// Slots for browsers begin here.
pub(super) const BROWSERS: u32 = 100;

pub(super) fn world(trunks: Vec<Trunk>) -> World {
    let mut world = World::new(trunks);
    for slot in BROWSERS..BROWSERS + 4 {
        let report = Report::BrowserStocked {
            pair: pair(slot),
            at: "198.51.100.1:9000".parse().unwrap(),
        };
        world.feed(Input::Report { report });
    }
    world
}

pub(super) fn pair(slot: u32) -> PairKey {
    PairKey {
        worker: 0,
        slot,
        generation: 0,
    }
}

/// What a page offers, as Chromium writes it. `ufrag`: of its end of the transport.
pub(super) fn offer(ufrag: &str, video: Option<&str>) -> SessionDescription {
    SessionDescription::parse(offer_text(ufrag, video).as_bytes()).unwrap()
}

fn offer_text(ufrag: &str, video: Option<&str>) -> String {
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n\
         a=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=rtcp-mux\r\n",
        ["AB"; 32].join(":")
    );
    let mids = if video.is_some() { "0 1" } else { "0" };
    let mut text = format!(
        "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 8 110 126\r\n{transport}a=mid:0\r\na=sendrecv\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
         a=rtpmap:9 G722/8000\r\na=rtpmap:110 telephone-event/48000\r\n\
         a=rtpmap:126 telephone-event/8000\r\n"
    );
    if let Some(direction) = video {
        text.push_str(&format!(
            "m=video 9 UDP/TLS/RTP/SAVPF 96 103 104\r\n{transport}a=mid:1\r\na={direction}\r\n\
             a=rtpmap:96 VP8/90000\r\na=rtpmap:103 H264/90000\r\n\
             a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
             a=rtcp-fb:103 nack pli\r\na=rtpmap:104 H264/90000\r\n\
             a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n"
        ));
    }
    text
}

pub(super) fn call(world: &mut World, link: ResolvedLink, offer: SessionDescription) {
    let call = Box::new(BrowserCall {
        link,
        offer,
        client: "203.0.113.7".parse().unwrap(),
    });
    say(world, BrowserInput::Call(call));
}

pub(super) fn say(world: &mut World, input: BrowserInput) {
    world.feed(Input::Browser {
        guest: GUEST,
        input,
    });
}

/// What the guest was told since the last look.
fn told(world: &mut World) -> Vec<BrowserOutput> {
    let told = std::mem::take(&mut world.told);
    assert!(told.iter().all(|(guest, _)| *guest == GUEST));
    told.into_iter().map(|(_, output)| output).collect()
}

/// The same in short.
pub(super) fn words(world: &mut World) -> Vec<String> {
    let word = |output: BrowserOutput| match output {
        BrowserOutput::Answer { description, video } => {
            let audio = &description.media[0];
            let video = match video {
                Ok(direction) => format!("{direction:?}"),
                Err(why) => why.to_owned(),
            };
            format!("answer {} {video}", audio.formats[0])
        }
        BrowserOutput::OfferRefused { cause } => format!("refused {cause}"),
        BrowserOutput::Renegotiate => "renegotiate".to_owned(),
        BrowserOutput::State(state) => state.as_str().to_owned(),
        BrowserOutput::Keypad(way) => format!("keypad {}", way.as_str()),
        BrowserOutput::Ended { cause, status, .. } => format!("ended {status} {cause}"),
    };
    let told = told(world).into_iter().map(word);
    // Of the keypad one test tells.
    told.filter(|word| !word.starts_with("keypad ")).collect()
}

pub(super) fn invite(world: &World) -> Sent {
    world.last(target(1), "INVITE")
}

pub(super) fn answer_with(formats: &str, more: &str) -> String {
    format!(
        "v=0\r\no=- 9 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 6000 RTP/AVP {formats}\r\n{more}"
    )
}

pub(super) const OPUS: &str = "a=rtpmap:111 opus/48000/2\r\n";
const EVENTS: &str = "a=rtpmap:101 telephone-event/8000\r\n";
const WIDE_EVENTS: &str = "a=rtpmap:102 telephone-event/48000\r\n";

#[test]
fn page_gets_its_answer_at_once_and_hears_its_callee_ring_and_answer() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    assert_eq!(words(&mut world), ["answer 111 not_offered", "calling"]);
    let invite = invite(&world);
    assert!(invite.text.starts_with("INVITE sip:610@example.com"));
    assert!(
        invite.body().contains("a=rtpmap:101 telephone-event/8000"),
        "{}",
        invite.body()
    );
    let (audio, plan) = world.transports.first_key_value().unwrap();
    assert_eq!(*audio, pair(BROWSERS));
    assert_eq!((plan.0, plan.1.peer.fragment()), (None, &b"aaaa"[..]));
    assert_ne!(plan.1.ssrcs[0], plan.1.ssrcs[1]);
    let leg = &world.plans[&pair(BROWSERS)];
    assert_eq!(leg.latch, LatchPolicy::Nominated);
    world.respond(&invite, "180 Ringing", "");
    assert_eq!(words(&mut world), ["ringing"]);
    let body = answer_with("111 101", &format!("{OPUS}{EVENTS}"));
    world.respond(&invite, "200 OK", &body);
    assert_eq!(
        words(&mut world),
        ["connected"],
        "the codec that it was told"
    );
    let callee = pair(0);
    assert_eq!(world.legs[&pair(BROWSERS)], Target::Leg(callee));
    assert_eq!(world.legs[&callee], Target::Leg(pair(BROWSERS)));
    say(&mut world, BrowserInput::HangUp);
    assert_eq!(words(&mut world), ["ended 200 normal"]);
    assert_eq!(world.count(target(1), "BYE"), 1);
    let closed = world.closed()[0].clone();
    assert_eq!(
        (&*closed.released_by, &*closed.cause),
        ("originating", "normal")
    );
    let opened = world.records.iter().find_map(|record| {
        let Record::CallOpened(opened) = record else {
            return None;
        };
        Some(opened.clone())
    });
    let opened = opened.unwrap();
    assert_eq!(
        (&*opened.source, &*opened.source_address),
        ("browser", "203.0.113.7")
    );
    let bye = world.last(target(1), "BYE");
    world.respond(&bye, "200 OK", "");
    world.expect_quiet();
}

#[test]
fn page_is_asked_for_another_offer_when_the_callee_speaks_another_codec() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "200 OK", &answer_with("8", ""));
    assert_eq!(
        words(&mut world),
        [
            "answer 111 not_offered",
            "calling",
            "renegotiate",
            "connected"
        ]
    );
    let ufrag = world.transports[&pair(BROWSERS)].1.ours.fragment().to_vec();
    say(
        &mut world,
        BrowserInput::Offer(Box::new(offer("aaaa", None))),
    );
    assert_eq!(words(&mut world), ["answer 8 not_offered"]);
    let plan = &world.plans[&pair(BROWSERS)];
    assert_eq!((plan.payloads[0].received, plan.payloads[0].sent), (8, 8));
    let transport = &world.transports[&pair(BROWSERS)].1;
    assert_eq!(transport.ours.fragment(), ufrag, "the transport stays");
    assert_eq!(
        world.count(target(1), "INVITE"),
        1,
        "the callee is not asked"
    );
}

#[test]
fn codec_of_the_trunk_leads_the_first_answer() {
    let mut trunk = trunk(1);
    trunk.codecs = vec!["PCMU".into(), "G722".into()];
    let mut world = world(vec![trunk]);
    call(&mut world, remote("610"), offer("aaaa", None));
    assert_eq!(words(&mut world), ["answer 0 not_offered", "calling"]);
    let offered = invite(&world);
    assert!(
        offered.body().contains("RTP/AVP 0 9 101"),
        "{}",
        offered.body()
    );
}

#[test]
fn callee_that_holds_is_answered_at_once_and_the_page_hears_of_it() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "200 OK", &answer_with("111", OPUS));
    let (from, to) = (
        format!("{};tag=callee", invite.header("To")),
        invite.header("From").to_owned(),
    );
    words(&mut world);
    for (cseq, direction, state) in [(1, "sendonly", "held"), (2, "sendrecv", "connected")] {
        let body = answer_with("111", &format!("{OPUS}a={direction}\r\n"));
        let body = body.replace("o=- 9 1", &format!("o=- 9 {}", cseq + 1));
        let text = format!(
            "INVITE sip:guest@198.51.100.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKhold{cseq}\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} INVITE\r\n\
             Contact: <sip:callee@192.0.2.1:5060>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            invite.header("Call-ID"),
            body.len(),
        );
        world.datagram(target(1), &text);
        let answer = world.last(target(1), "SIP/2.0 200");
        assert!(answer.header("CSeq").starts_with(&format!("{cseq} ")));
        assert!(answer.body().contains("111"), "{}", answer.body());
        assert_eq!(words(&mut world), ["renegotiate", state], "{direction}");
        say(
            &mut world,
            BrowserInput::Offer(Box::new(offer("aaaa", None))),
        );
        let BrowserOutput::Answer { description, .. } = told(&mut world).remove(0) else {
            panic!("no answer");
        };
        let expected = if direction == "sendonly" {
            Direction::SendOnly
        } else {
            Direction::SendRecv
        };
        assert_eq!(description.media[0].direction, Some(expected));
        let ack = format!(
            "ACK sip:guest@198.51.100.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKack{cseq}\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} ACK\r\n\
             Content-Length: 0\r\n\r\n",
            invite.header("Call-ID"),
        );
        world.datagram(target(1), &ack);
    }
}

const DIRECTIONS: [&str; 4] = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];

#[test]
fn video_policy_of_the_link_holds_towards_both_sides() {
    for (policy, to_page, to_callee, passes) in [
        (VideoPolicy::SendRecv, "SendRecv", "a=sendrecv", true),
        (VideoPolicy::RecvOnly, "SendOnly", "a=recvonly", false),
        (
            VideoPolicy::RecvOnlyInitially,
            "SendRecv",
            "a=sendrecv",
            false,
        ),
        (VideoPolicy::Inactive, "not_taken", "", false),
    ] {
        let mut world = world(vec![trunk(1)]);
        let mut link = remote("610");
        link.video_policy = policy;
        call(&mut world, link, offer("aaaa", Some("sendrecv")));
        assert_eq!(
            words(&mut world)[0],
            format!("answer 111 {to_page}"),
            "{policy}"
        );
        let invite = invite(&world);
        let video = invite.body().split("m=video").nth(1).unwrap_or_default();
        if to_callee.is_empty() {
            assert_eq!(video, "", "{policy}");
            assert_eq!(world.legs.len(), 2, "no pairs for pictures");
            continue;
        }
        assert!(video.contains("H264"), "{video}");
        assert!(!video.contains("VP8"), "{video}");
        // Sent and received where no line says anything else (RFC 8866 §6.7).
        let is_direction = |line: &&str| DIRECTIONS.contains(line);
        let said: Vec<&str> = video.lines().filter(is_direction).collect();
        let is_implied = said.is_empty() && to_callee == "a=sendrecv";
        assert!(is_implied || said == [to_callee], "{policy}: {video}");
        let theirs = if policy == VideoPolicy::RecvOnly {
            "sendonly"
        } else {
            "sendrecv"
        };
        let more = format!(
            "{OPUS}m=video 6002 RTP/AVP 103\r\na=rtpmap:103 H264/90000\r\n\
             a=fmtp:103 packetization-mode=1;profile-level-id=42e01f\r\na={theirs}\r\n"
        );
        world.respond(&invite, "200 OK", &answer_with("111", &more));
        assert_eq!(words(&mut world), ["connected"], "{policy}");
        let (_, (video, _)) = world.transports.first_key_value().unwrap();
        let video = video.expect("pictures go over the same transport");
        let plan = &world.plans[&video];
        assert_eq!(plan.receives, passes, "{policy}");
        assert!(plan.sends, "{policy}");
        assert_eq!(
            (plan.payloads[0].received, plan.payloads[0].sent),
            (103, 103)
        );
        if policy == VideoPolicy::RecvOnlyInitially {
            say(&mut world, BrowserInput::Camera(true));
            assert!(world.plans[&video].receives, "the guest has started it");
            say(&mut world, BrowserInput::Camera(false));
            assert!(!world.plans[&video].receives);
        }
        assert_eq!(words(&mut world).len(), 0);
    }
}

#[test]
fn page_is_told_how_much_the_callee_takes_without_another_offer() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", Some("sendrecv")));
    let invite = invite(&world);
    let said = |world: &World| world.transports[&pair(BROWSERS)].1.bitrate_max_bps;
    assert_eq!(said(&world), None, "nobody has said anything yet");
    let ends = |world: &World| world.transports[&pair(BROWSERS)].1.ours.clone();
    let before = ends(&world);
    let more = format!(
        "{OPUS}m=video 6002 RTP/AVP 103\r\nb=TIAS:512000\r\na=rtpmap:103 H264/90000\r\n\
         a=fmtp:103 packetization-mode=1;profile-level-id=42e01f\r\n"
    );
    world.respond(&invite, "200 OK", &answer_with("111", &more));
    assert_eq!(
        words(&mut world),
        ["answer 111 SendRecv", "calling", "connected"]
    );
    assert_eq!(said(&world), Some(512_000));
    assert_eq!(ends(&world), before, "its end of the transport stays");
}

#[test]
fn callee_without_video_leaves_the_page_with_sound_and_the_pairs_go_back() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", Some("sendrecv")));
    let invite = invite(&world);
    assert_eq!(world.legs.len(), 4);
    let more = format!("{OPUS}m=video 0 RTP/AVP 103\r\n");
    world.respond(&invite, "200 OK", &answer_with("111", &more));
    assert_eq!(
        words(&mut world),
        ["answer 111 SendRecv", "calling", "renegotiate", "connected"]
    );
    say(
        &mut world,
        BrowserInput::Offer(Box::new(offer("aaaa", Some("sendrecv")))),
    );
    assert_eq!(words(&mut world), ["answer 111 not_taken"]);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.legs.len(), 2, "{:?}", world.legs);
    assert_eq!(words(&mut world).len(), 0);
}

#[test]
fn restart_of_ice_gets_an_end_of_its_own_and_the_callee_hears_nothing() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "200 OK", &answer_with("111", OPUS));
    let before = world.transports[&pair(BROWSERS)].1.clone();
    words(&mut world);
    say(
        &mut world,
        BrowserInput::Offer(Box::new(offer("bbbb", None))),
    );
    assert_eq!(words(&mut world), ["answer 111 not_offered"]);
    let after = &world.transports[&pair(BROWSERS)].1;
    assert_eq!(after.peer.fragment(), b"bbbb");
    assert_ne!(after.ours, before.ours);
    assert_eq!(after.ssrcs, before.ssrcs);
    assert_eq!(world.count(target(1), "INVITE"), 1);
}

#[test]
fn page_that_ends_while_it_rings_cancels_its_callee() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "180 Ringing", "");
    say(&mut world, BrowserInput::HangUp);
    assert_eq!(world.count(target(1), "CANCEL"), 1);
    assert_eq!(words(&mut world).last().unwrap(), "ended 487 cancelled");
    world.respond(&invite, "487 Request Terminated", "");
    world.expect_quiet();
}

#[test]
fn page_hears_why_nobody_answers() {
    for (status, word) in [
        ("486 Busy Here", "ended 486 busy"),
        ("404 Not Found", "ended 404 no_such_destination"),
        ("503 Service Unavailable", "ended 500 trunk_failure"),
    ] {
        let mut world = world(vec![trunk(1)]);
        call(&mut world, remote("610"), offer("aaaa", None));
        let invite = invite(&world);
        world.respond(&invite, status, "");
        assert_eq!(words(&mut world).last().unwrap(), word);
        world.expect_quiet();
    }
}

#[test]
fn next_trunk_is_dialled_for_a_guest_as_for_every_caller() {
    let mut world = world(vec![trunk(1), trunk(2)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let first = invite(&world);
    world.respond(&first, "503 Service Unavailable", "");
    let second = world.last(target(2), "INVITE");
    let body = answer_with("111", OPUS).replace("192.0.2.1", "192.0.2.2");
    world.respond(&second, "200 OK", &body);
    assert_eq!(
        words(&mut world),
        ["answer 111 not_offered", "calling", "connected"]
    );
    assert_eq!(world.tries().len(), 2);
}

#[test]
fn guest_meets_the_fraud_guard() {
    let mut world = world(vec![trunk(1)]);
    let mut wanted = remote("0900123456");
    wanted.named_by_link = false;
    wanted.link = None;
    call(&mut world, wanted, offer("aaaa", None));
    let words = words(&mut world);
    assert!(words.last().unwrap().starts_with("ended 403 "), "{words:?}");
    assert_eq!(world.count(target(1), "INVITE"), 0);
    world.expect_quiet();
}

#[test]
fn with_hidden_state_a_guest_never_hears_why_the_guard_refused() {
    let mut world = world(vec![trunk(1)]);
    world.change(|snapshot| snapshot.settings.hide_state = true);
    let mut wanted = remote("0900123456");
    (wanted.named_by_link, wanted.link) = (false, None);
    call(&mut world, wanted, offer("aaaa", None));
    assert_eq!(words(&mut world).last().unwrap(), "ended 404 unknown_link");
    assert!(
        world.closed()[0].cause.starts_with("guard_"),
        "the record knows"
    );
}

#[test]
fn offer_that_cannot_be_answered_leaves_what_held_and_the_page_is_asked_again_when_it_must() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "200 OK", &answer_with("111", OPUS));
    words(&mut world);
    let plan = world.plans[&pair(BROWSERS)].payloads.clone();
    let mut text = sip::message::SendBuffer::new();
    offer("aaaa", None).write(&mut text);
    let text = String::from_utf8(text.as_bytes().to_vec()).unwrap();
    let narrow = text
        .replace("SAVPF 111 9 0 8 110 126", "SAVPF 8")
        .replace("a=rtpmap:111 opus/48000/2\r\n", "");
    let narrow = SessionDescription::parse(narrow.as_bytes()).unwrap();
    say(&mut world, BrowserInput::Offer(Box::new(narrow)));
    assert_eq!(words(&mut world), ["refused browser_no_common_codec"]);
    assert_eq!(
        world.plans[&pair(BROWSERS)].payloads,
        plan,
        "what held holds"
    );
    say(
        &mut world,
        BrowserInput::Offer(Box::new(offer("aaaa", None))),
    );
    assert_eq!(words(&mut world), ["answer 111 not_offered"]);
}

#[test]
fn callee_that_speaks_nothing_of_the_pages_ends_the_call() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(
        &invite,
        "200 OK",
        &answer_with("18", "a=rtpmap:18 G729/8000\r\n"),
    );
    assert_eq!(
        words(&mut world).last().unwrap(),
        "ended 488 sdp_no_common_codec"
    );
    assert_eq!(world.count(target(1), "BYE"), 1);
}

#[test]
fn echo_answers_a_page_at_once() {
    let mut world = world(Vec::new());
    call(&mut world, link(Destination::Echo), offer("aaaa", None));
    assert_eq!(words(&mut world), ["answer 111 not_offered", "connected"]);
    assert_eq!(world.legs[&pair(BROWSERS)], Target::Echo);
    world.pass(Duration::from_secs(301));
    assert_eq!(words(&mut world), ["ended 200 local_party_over"]);
    world.expect_quiet();
}

#[test]
fn echo_shows_a_page_its_own_picture_where_the_link_lets_it() {
    let mut world = world(Vec::new());
    let page = || offer("aaaa", Some("sendrecv"));
    call(&mut world, link(Destination::Echo), page());
    assert_eq!(words(&mut world), ["answer 111 SendRecv", "connected"]);
    let (_, (video, _)) = world.transports.first_key_value().unwrap();
    let video = video.expect("pictures go over the same transport");
    assert_eq!(world.legs[&video], Target::Echo);
    let plan = &world.plans[&video];
    assert_eq!(
        (plan.payloads[0].received, plan.payloads[0].sent),
        (103, 103)
    );
    say(&mut world, BrowserInput::HangUp);
    words(&mut world);
    let mut silent = link(Destination::Echo);
    silent.video_policy = VideoPolicy::Inactive;
    call(&mut world, silent, page());
    assert_eq!(words(&mut world), ["answer 111 not_taken", "connected"]);
}

/// Whatever a page sends, its own picture comes back only where its link lets it be seen.
#[test]
fn echo_looks_at_no_camera_that_its_link_keeps_dark() {
    let policies = [
        (VideoPolicy::SendRecv, "SendRecv", true),
        (VideoPolicy::RecvOnly, "SendOnly", false),
        (VideoPolicy::RecvOnlyInitially, "SendRecv", false),
    ];
    for (policy, said, is_seen) in policies {
        let mut world = world(Vec::new());
        let mut echo = link(Destination::Echo);
        echo.video_policy = policy;
        call(&mut world, echo, offer("aaaa", Some("sendrecv")));
        let expected = [format!("answer 111 {said}"), "connected".to_owned()];
        assert_eq!(words(&mut world), expected, "{policy:?}");
        let (_, (video, _)) = world.transports.first_key_value().unwrap();
        let video = video.expect("pictures go over the same transport");
        assert_eq!(world.plans[&video].receives, is_seen, "{policy:?}");
        say(&mut world, BrowserInput::Camera(true));
        let is_seen = policy != VideoPolicy::RecvOnly;
        assert_eq!(
            world.plans[&video].receives, is_seen,
            "{policy:?}, turned on"
        );
    }
}

#[test]
fn tone_answers_a_page_in_g711() {
    let mut world = world(Vec::new());
    call(&mut world, link(Destination::Tone), offer("aaaa", None));
    assert_eq!(words(&mut world), ["answer 0 not_offered", "connected"]);
    assert_eq!(world.legs[&pair(BROWSERS)], Target::Tone);
}

/// Each policy of a link with each direction of a page: what our answer says, which looks at no camera.
#[test]
fn tone_shows_a_page_a_test_picture_the_ways_its_link_allows() {
    let policies = [
        (VideoPolicy::SendRecv, "SendOnly"),
        (VideoPolicy::RecvOnly, "SendOnly"),
        (VideoPolicy::RecvOnlyInitially, "SendOnly"),
        (VideoPolicy::Inactive, "not_taken"),
    ];
    for (policy, shown) in policies {
        for (direction, is_seen) in [("sendrecv", true), ("recvonly", true), ("sendonly", false)] {
            let mut world = world(Vec::new());
            let mut tone = link(Destination::Tone);
            tone.video_policy = policy;
            call(&mut world, tone, offer("aaaa", Some(direction)));
            let said = match (is_seen, shown) {
                (false, "SendOnly") => "Inactive",
                (_, said) => said,
            };
            let expected = [format!("answer 0 {said}"), "connected".to_owned()];
            assert_eq!(words(&mut world), expected, "{policy:?} {direction}");
            let (_, (video, _)) = world.transports.first_key_value().unwrap();
            assert_eq!(video.is_some(), policy != VideoPolicy::Inactive);
            let Some(video) = *video else { continue };
            assert_eq!(world.legs[&video], Target::Tone);
            let plan = &world.plans[&video];
            assert_eq!((plan.sends, plan.receives), (is_seen, false));
            assert_eq!(
                plan.payloads[0].sent, 103,
                "H.264, and not the VP8 before it"
            );
            say(&mut world, BrowserInput::HangUp);
            words(&mut world);
            world.expect_quiet();
        }
    }
}

#[test]
fn page_without_h264_hears_a_tone_and_sees_nothing() {
    let mut world = world(Vec::new());
    let text = offer_text("aaaa", Some("sendrecv")).replace("H264/90000", "AV1/90000");
    let offer = SessionDescription::parse(text.as_bytes()).unwrap();
    call(&mut world, link(Destination::Tone), offer);
    assert_eq!(words(&mut world), ["answer 0 not_taken", "connected"]);
    assert_eq!(world.legs[&pair(BROWSERS)], Target::Tone);
}

#[test]
fn guest_that_is_neither_signalled_nor_heard_for_ten_seconds_is_gone() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "200 OK", &answer_with("111", OPUS));
    let up = Report::TransportUp {
        pair: pair(BROWSERS),
        suite: Suite::AeadAes128Gcm,
    };
    world.feed(Input::Report { report: up });
    words(&mut world);
    say(&mut world, BrowserInput::Lost);
    world.pass(Duration::from_secs(30));
    assert_eq!(words(&mut world).len(), 0, "its transport is heard");
    let silent = Report::TransportSilent {
        pair: pair(BROWSERS),
    };
    world.feed(Input::Report { report: silent });
    assert_eq!(words(&mut world), ["ended 200 guest_vanished"]);
    assert_eq!(world.count(target(1), "BYE"), 1);
    let record = world.closed()[0].media.srtp.clone();
    assert_eq!(record.as_deref(), Some("AEAD_AES_128_GCM"));
}

/// A network that is lost takes both at once, and may come back.
#[test]
fn guest_whose_signalling_and_transport_are_lost_together_has_ten_seconds() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "200 OK", &answer_with("111", OPUS));
    words(&mut world);
    say(&mut world, BrowserInput::Lost);
    world.pass(Duration::from_secs(4));
    let silent = Report::TransportSilent {
        pair: pair(BROWSERS),
    };
    world.feed(Input::Report { report: silent });
    world.pass(Duration::from_secs(5));
    assert_eq!(words(&mut world).len(), 0);
    world.pass(Duration::from_secs(1));
    assert_eq!(words(&mut world), ["ended 200 guest_vanished"]);
}

#[test]
fn guest_that_comes_back_in_time_goes_on_and_hears_how_its_call_is() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    words(&mut world);
    say(&mut world, BrowserInput::Lost);
    world.pass(Duration::from_secs(3));
    world.respond(&invite, "200 OK", &answer_with("8", ""));
    words(&mut world);
    world.pass(Duration::from_secs(3));
    say(&mut world, BrowserInput::Resumed);
    assert_eq!(words(&mut world), ["connected", "renegotiate"]);
    world.pass(Duration::from_secs(20));
    assert_eq!(words(&mut world).len(), 0);
    say(&mut world, BrowserInput::Lost);
    world.pass(Duration::from_secs(11));
    assert_eq!(
        words(&mut world),
        ["ended 200 guest_vanished"],
        "nothing was ever heard of its transport"
    );
}

/// Its page has forgotten that offer: it makes another one, which the answer would be taken for.
#[test]
fn answer_to_an_offer_from_before_a_guest_came_back_is_not_said() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let first = invite(&world);
    world.respond(&first, "200 OK", &answer_with("111", OPUS));
    words(&mut world);
    let held = |ufrag: &str| {
        let mut held = offer(ufrag, None);
        held.media[0].direction = Some(Direction::Inactive);
        BrowserInput::Offer(Box::new(held))
    };
    say(&mut world, held("aaaa"));
    let asked = invite(&world);
    assert_ne!(
        asked.header("CSeq"),
        first.header("CSeq"),
        "the callee is asked"
    );
    say(&mut world, BrowserInput::Lost);
    say(&mut world, BrowserInput::Resumed);
    words(&mut world);
    let body = answer_with("111", &format!("{OPUS}a=inactive\r\n"));
    world.respond(&asked, "200 OK", &body.replace("o=- 9 1", "o=- 9 2"));
    let answers = |words: Vec<String>| {
        let words = words.into_iter();
        words.filter(|word| word.starts_with("answer")).count()
    };
    assert_eq!(answers(words(&mut world)), 0);
    say(&mut world, held("bbbb"));
    assert_eq!(words(&mut world), ["answer 111 not_offered"]);
    let transport = &world.transports[&pair(BROWSERS)].1;
    assert_eq!(transport.peer.fragment(), b"bbbb");
    // And one that comes while the callee is still asked is answered, once.
    say(
        &mut world,
        BrowserInput::Offer(Box::new(offer("bbbb", None))),
    );
    let asked = invite(&world);
    say(&mut world, BrowserInput::Lost);
    say(&mut world, BrowserInput::Resumed);
    say(
        &mut world,
        BrowserInput::Offer(Box::new(offer("cccc", None))),
    );
    words(&mut world);
    let body = answer_with("111", OPUS).replace("o=- 9 1", "o=- 9 3");
    world.respond(&asked, "200 OK", &body);
    assert_eq!(answers(words(&mut world)), 1);
    let transport = &world.transports[&pair(BROWSERS)].1;
    assert_eq!(transport.peer.fragment(), b"cccc");
}

#[test]
fn transport_that_fails_ends_the_call_by_its_name() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let failed = Report::TransportFailed {
        pair: pair(BROWSERS),
        failure: TransportFailure::NoSource,
    };
    world.feed(Input::Report { report: failed });
    assert_eq!(words(&mut world).last().unwrap(), "ended 487 ice_no_source");
    assert_eq!(world.closed()[0].cause, "ice_no_source");
}

#[test]
fn offers_that_cannot_be_answered_are_refused_by_name() {
    let mut world = world(vec![trunk(1)]);
    let plain = SessionDescription::parse(sdp("10.0.0.5", 4000, 1, "").as_bytes()).unwrap();
    call(&mut world, remote("610"), plain.clone());
    assert_eq!(words(&mut world), ["ended 488 browser_not_secure"]);
    assert_eq!(world.records.len(), 0, "it was no call");
    call(&mut world, remote("610"), offer("aaaa", None));
    words(&mut world);
    say(&mut world, BrowserInput::Offer(Box::new(plain)));
    assert_eq!(words(&mut world), ["refused browser_not_secure"]);
}

#[test]
fn node_without_room_says_so_to_a_page() {
    let mut world = World::new(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    assert_eq!(words(&mut world), ["ended 503 media_stock_empty"]);
    world.expect_quiet();
    world.feed(Input::Drain);
    call(&mut world, remote("610"), offer("aaaa", None));
    assert_eq!(words(&mut world), ["ended 503 draining"]);
}

#[test]
fn digits_of_a_page_reach_the_callee_by_info() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "200 OK", &answer_with("111", OPUS));
    say(&mut world, BrowserInput::Digits("1#x".into()));
    let sent: Vec<_> = world
        .sent
        .iter()
        .filter(|sent| sent.text.starts_with("INFO"))
        .collect();
    let bodies: Vec<_> = sent.iter().map(|info| info.body()).collect();
    assert_eq!(
        bodies,
        [
            "Signal=1\r\nDuration=160\r\n",
            "Signal=#\r\nDuration=160\r\n"
        ]
    );
}

#[test]
fn page_knows_how_its_digits_reach_the_callee() {
    let keypad = |world: &mut World| -> Vec<KeypadWay> {
        let told = told(world).into_iter();
        told.filter_map(|output| {
            let BrowserOutput::Keypad(way) = output else {
                return None;
            };
            Some(way)
        })
        .collect()
    };
    for (formats, more, way) in [
        ("8 101", EVENTS, KeypadWay::Rtp),
        ("8", "", KeypadWay::Info),
        ("111 101", &format!("{OPUS}{EVENTS}"), KeypadWay::Rtp),
        ("111 102", &format!("{OPUS}{WIDE_EVENTS}"), KeypadWay::Rtp),
        ("111", OPUS, KeypadWay::Info),
    ] {
        let mut world = world(vec![trunk(1)]);
        call(&mut world, remote("610"), offer("aaaa", None));
        let invite = invite(&world);
        world.respond(&invite, "183 Session Progress", &answer_with(formats, more));
        assert_eq!(
            keypad(&mut world),
            [],
            "nobody takes digits before the answer"
        );
        world.respond(&invite, "200 OK", &answer_with(formats, more));
        let offer = || BrowserInput::Offer(Box::new(offer("aaaa", None)));
        // The answer from before the callee's word names events of another clock.
        say(&mut world, offer());
        assert_eq!(keypad(&mut world).last(), Some(&way));
        say(&mut world, offer());
        assert_eq!(keypad(&mut world), [], "said once");
        say(&mut world, BrowserInput::Lost);
        say(&mut world, BrowserInput::Resumed);
        assert_eq!(keypad(&mut world), [way], "it may have missed the word");
    }
}

/// What of a leg are events: numbers and clocks as they come and as they go.
fn events(world: &World, pair: PairKey) -> Vec<(u8, u32, u8, Option<u32>)> {
    let payloads = world.plans[&pair].payloads.iter();
    payloads
        .filter(|it| it.is_telephone_event)
        .map(|it| (it.received, it.clock_rate_hz, it.sent, it.sent_clock_hz))
        .collect()
}

#[test]
fn events_of_another_clock_are_mapped_beside_a_voice_that_both_have() {
    let narrow = format!("{OPUS}{EVENTS}");
    let wide = format!("{OPUS}{WIDE_EVENTS}");
    // A browser that has events of one clock alone.
    let narrow_page = offer_text("aaaa", None)
        .replace("a=rtpmap:110 telephone-event/48000\r\n", "")
        .replace(" 110 126\r\n", " 126\r\n");
    let narrow_page = SessionDescription::parse(narrow_page.as_bytes()).unwrap();
    let cases = [
        // As browser and callee write them; what comes of the browser, and what of the callee.
        (
            false,
            "111 101",
            &narrow,
            (110, 48_000, 101, Some(8_000)),
            (101, 8_000, 110, Some(48_000)),
        ),
        (
            false,
            "111 102",
            &wide,
            (110, 48_000, 102, None),
            (102, 48_000, 110, None),
        ),
        (
            true,
            "111 101",
            &narrow,
            (126, 8_000, 101, None),
            (101, 8_000, 126, None),
        ),
        (
            true,
            "111 102",
            &wide,
            (126, 8_000, 102, Some(48_000)),
            (102, 48_000, 126, Some(8_000)),
        ),
    ];
    for (is_narrow, formats, more, of_browser, of_callee) in cases {
        let mut world = world(vec![trunk(1)]);
        let page = if is_narrow {
            narrow_page.clone()
        } else {
            offer("aaaa", None)
        };
        call(&mut world, remote("610"), page);
        let invite = invite(&world);
        world.respond(&invite, "200 OK", &answer_with(formats, more));
        assert_eq!(events(&world, pair(BROWSERS)), [of_browser]);
        let of_callees = events(&world, pair(0));
        assert!(of_callees.contains(&of_callee), "{of_callees:?}");
    }
    // The answer from before the callee's word has another voice: nothing of it crosses.
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "200 OK", &answer_with("8 101", EVENTS));
    assert_eq!(events(&world, pair(BROWSERS)), []);
}

#[test]
fn transport_that_its_page_closes_is_a_guest_who_hangs_up() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "200 OK", &answer_with("111", OPUS));
    words(&mut world);
    let closed = Report::TransportFailed {
        pair: pair(BROWSERS),
        failure: TransportFailure::Closed,
    };
    world.feed(Input::Report { report: closed });
    say(&mut world, BrowserInput::HangUp);
    assert_eq!(words(&mut world), ["ended 200 normal"]);
    assert_eq!(world.count(target(1), "BYE"), 1);
    assert_eq!(world.closed()[0].released_by, "originating");
}

#[test]
fn state_of_a_page_is_said_once() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    for _ in 0..3 {
        world.respond(&invite, "180 Ringing", "");
    }
    world.respond(&invite, "183 Session Progress", &answer_with("111", OPUS));
    world.respond(&invite, "183 Session Progress", &answer_with("111", OPUS));
    assert_eq!(
        world.legs[&pair(0)],
        Target::Leg(pair(BROWSERS)),
        "it is heard"
    );
    // It has said where it would speak from, and does not: the page rings on.
    let states = states_told(&mut world);
    assert_eq!(states, [GuestState::Calling, GuestState::Ringing]);
    for _ in 0..2 {
        first_packet_of_the_callee(&mut world);
    }
    assert_eq!(states_told(&mut world), [GuestState::EarlyMedia]);
}

#[test]
fn a_callee_that_does_not_ring_but_plays_leaves_nothing_to_the_page() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "183 Session Progress", &answer_with("111", OPUS));
    let states = states_told(&mut world);
    assert_eq!(states, [GuestState::Calling, GuestState::EarlyMedia]);
    first_packet_of_the_callee(&mut world);
    // What it plays goes on while it rings.
    world.respond(&invite, "180 Ringing", "");
    assert_eq!(states_told(&mut world), []);
}

fn first_packet_of_the_callee(world: &mut World) {
    let report = Report::Latched {
        pair: pair(0),
        source: target(1),
    };
    world.feed(Input::Report { report });
}

fn states_told(world: &mut World) -> Vec<GuestState> {
    let told = told(world).into_iter();
    told.filter_map(|output| {
        let BrowserOutput::State(state) = output else {
            return None;
        };
        Some(state)
    })
    .collect()
}

#[test]
fn guests_call_that_is_struck_when_its_callee_is_heard_ends_and_its_page_is_told() {
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "183 Session Progress", &answer_with("111", OPUS));
    world.control.fault = Some(0);
    first_packet_of_the_callee(&mut world);
    let causes: Vec<_> = world.closed().iter().map(|row| row.cause.clone()).collect();
    assert_eq!(causes, ["internal_error"]);
    let told = told(&mut world);
    let is_end = |output: &BrowserOutput| matches!(output, BrowserOutput::Ended { .. });
    assert!(told.iter().any(is_end), "{told:?}");
}

#[test]
fn guests_call_that_is_struck_at_any_step_ends_and_its_page_is_told() {
    let mut struck = 0;
    for steps in 0.. {
        let mut world = world(vec![trunk(1)]);
        world.control.set_endpoint_fault(Some(steps));
        call(&mut world, remote("610"), offer("aaaa", None));
        if world.count(target(1), "INVITE") > 0 {
            let invite = invite(&world);
            world.respond(&invite, "180 Ringing", "");
            world.respond(&invite, "200 OK", &answer_with("111", OPUS));
        }
        say(&mut world, BrowserInput::HangUp);
        if world.control.has_endpoint_fault() {
            break;
        }
        struck += 1;
        let ended = words(&mut world);
        let ended = ended
            .iter()
            .filter(|word| word.starts_with("ended"))
            .count();
        assert_eq!(ended, 1, "step {steps}: the page hears the end once");
    }
    assert!(struck > 5, "{struck}");
}
