//! Video of which one side thinks otherwise than the other: both are told the same, and nobody is left
//! with a line whose ports are somebody else's.

use std::time::Duration;

use media::command::{MediaKind, Report};

use super::video::*;
use super::world::*;
use crate::call::event::Input;
use crate::trunks::model::{OfferMode, RefreshBy};

/// An `m=video` line of H.264 in the other way of packing.
fn single(port: u16, number: u8) -> String {
    h264(port, number, "").replace("packetization-mode=1", "packetization-mode=0")
}

/// What `version` of the callee's description says with this video.
fn called(version: u32, video: &str) -> String {
    sdp("192.0.2.1", 6000, version, video)
}

fn refused(version: u32) -> String {
    called(version, "m=video 0 RTP/AVP 97\r\n")
}

/// The name of each codec of the `m=video` line.
fn names(body: &str) -> Vec<String> {
    let (_, video) = body.split_once("m=video ").unwrap_or_default();
    let lines = video.lines().filter_map(|line| line.split_once(' '));
    let named = lines.filter(|(head, _)| head.starts_with("a=rtpmap:"));
    named.map(|(_, name)| name.to_owned()).collect()
}

/// The picture is at the address of the sound, whichever of the node's the next pair has.
#[test]
fn of_two_addresses_video_is_where_audio_is() {
    let mut world = World::new(vec![trunk(1)]);
    for call_id in ["c1", "c2", "c3", "c4"] {
        world.answered(call_id);
    }
    for slot in PAIRS..PAIRS + 8 {
        let host = if slot % 2 == 0 {
            "198.51.100.1"
        } else {
            "198.51.100.2"
        };
        world.stock_at(slot, host);
    }
    let answer = world.video_call("c5");
    let line = |sent| video_line(sent).unwrap_or_default();
    assert!(answer.body().contains("c=IN IP4 198.51.100.1\r\n"));
    assert_eq!(line(&answer), "m=video 10020 RTP/AVP 97");
    let invite = world.last(target(1), "INVITE");
    assert!(invite.body().contains("c=IN IP4 198.51.100.2\r\n"));
    assert_eq!(line(&invite), "m=video 10022 RTP/AVP 97");
    assert_eq!(invite.body().matches("c=IN IP4").count(), 1);
}

#[test]
fn a_callee_whose_video_cannot_be_taken_is_told_before_its_ports_go() {
    let mut world = World::new(vec![trunk(1)]);
    world.invite("sales", "c1", &caller(1, ""));
    world.resolved(Ok(remote("610")));
    let invite = world.last(target(1), "INVITE");
    // It answers in a way of packing that nobody offered, and sends.
    world.respond(&invite, "200 OK", &called(1, &single(6002, 97)));
    let answer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(video_line(&answer).as_deref(), Some("m=video 0 RTP/AVP 97"));
    world.phone("ACK", "c1", 1, "");
    assert_eq!(world.taken(), 4, "it may still send there");
    world.pass(Duration::from_millis(600));
    let told = world.last(target(1), "INVITE");
    assert_eq!(video_line(&told).as_deref(), Some("m=video 0 RTP/AVP 97"));
    assert_eq!(world.taken(), 4, "it has not heard yet");
    world.respond(&told, "200 OK", &refused(2));
    assert_eq!((world.taken(), world.videos().len()), (2, 0));
    world.pass(Duration::from_secs(60));
    assert_eq!(world.count(target(1), "INVITE"), 2, "told once");
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

#[test]
fn a_callee_that_does_not_want_to_leave_video_is_not_asked_again() {
    let mut world = World::new(vec![trunk(1)]);
    world.invite("sales", "c1", &caller(1, ""));
    world.resolved(Ok(remote("610")));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &called(1, &single(6002, 97)));
    world.phone("ACK", "c1", 1, "");
    world.pass(Duration::from_millis(600));
    let told = world.last(target(1), "INVITE");
    world.respond(&told, "488 Not Acceptable Here", "");
    assert_eq!(world.taken(), 2);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.count(target(1), "INVITE"), 2);
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

/// The caller's wish of video was refused to it: it has none, whatever it once offered.
#[test]
fn video_that_was_refused_is_not_offered_to_who_asks_for_an_offer() {
    let mut world = World::new(vec![trunk(1)]);
    world.invite("sales", "c1", &caller(1, ""));
    world.resolved(Ok(remote("610")));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &refused(1));
    world.phone("ACK", "c1", 1, "");
    assert_eq!(world.taken(), 2);
    world.callee_asks(&invite, 2);
    let offer = world.last(target(1), "SIP/2.0 200");
    assert!(video_line(&offer).is_some_and(|line| line.starts_with("m=video 0 ")));
    assert_eq!(world.taken(), 2, "no ports for what nobody has");
}

impl World {
    /// The callee wants our offer.
    fn callee_asks(&mut self, invite: &Sent, cseq: u32) {
        self.callee_sends(invite, cseq, "");
    }

    fn callee_sends(&mut self, invite: &Sent, cseq: u32, body: &str) {
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "INVITE sip:sluice@198.51.100.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKasks{cseq}\r\nMax-Forwards: 70\r\n\
             From: {};tag=callee\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} INVITE\r\n\
             Contact: <sip:callee@192.0.2.1:5060>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            invite.header("To"),
            invite.header("From"),
            invite.header("Call-ID"),
            body.len(),
        );
        self.datagram(target(1), &text);
    }
}

/// Who offers late offers more than one codec: the one that it gets is the one that the caller gets.
#[test]
fn both_sides_of_a_late_offer_have_the_same_video_codec() {
    let both = |port: u16, first: &str, second: &str| {
        format!(
            "m=video {port} RTP/AVP 96 97\r\na=rtpmap:96 {first}/90000\r\na=rtpmap:97 {second}/90000\r\n"
        )
    };
    let mut world = with(|trunk| trunk.offer = OfferMode::Delayed);
    let offer = sdp("10.0.0.5", 4000, 1, &both(4002, "VP8", "VP9"));
    world.invite("sales", "c1", &offer);
    world.resolved(Ok(remote("610")));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &called(1, &both(6002, "VP9", "VP8")));
    let ack = world.last(target(1), "ACK");
    let answer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(names(ack.body()), names(answer.body()));
    let mapped = |slot| world.plans[&pair(slot)].payloads.len();
    assert_eq!((mapped(A_VIDEO), mapped(B_VIDEO)), (1, 1));
    world.phone("ACK", "c1", 1, "");
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

/// E-07: what holds the sound holds the picture.
#[test]
fn an_answer_that_cannot_be_used_holds_video_too() {
    let mut world = World::new(vec![trunk(1)]);
    world.video_call("c1");
    world.phone("INVITE", "c1", 2, "");
    let music = sdp("239.1.1.1", 7000, 2, &h264(7002, 97, ""));
    world.phone("ACK", "c1", 2, &music);
    let told = world.last(target(1), "INVITE");
    assert_eq!(directions(&told), ["a=inactive", "a=inactive"]);
    let plans = world.plans.values();
    let mut pictures = plans.filter(|plan| plan.kind == MediaKind::Video);
    assert!(
        pictures.all(|plan| !plan.sends || plan.remote_rtp.is_some_and(|to| to.port() == 6_002))
    );
    let plan = &world.plans[&pair(A_VIDEO)];
    assert!(
        !plan.sends && !plan.receives,
        "nothing goes where it was before"
    );
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}

/// Our refresh is under way on the other side: the offer with video is not passed on.
#[test]
fn an_offer_that_could_not_leave_keeps_no_ports() {
    let mut world = with(|trunk| {
        trunk.refresh_by = RefreshBy::Invite;
        trunk.session_expires = Duration::from_secs(1800);
    });
    world.call("610", "c1");
    let invite = world.last(target(1), "INVITE");
    let timer = "200 OK\r\nSession-Expires: 1800;refresher=uac";
    world.respond(&invite, timer, &called(1, ""));
    world.phone("ACK", "c1", 1, "");
    world.pass(Duration::from_secs(901));
    let refresh = world.last(target(1), "INVITE");
    assert!(refresh.header("To").contains("tag="), "{}", refresh.text);
    world.phone("INVITE", "c1", 2, &caller(2, ""));
    assert_eq!((world.heard(), world.taken()), (491, 2));
    assert!(world.videos().is_empty());
    world.phone("ACK", "c1", 2, "");
    // It was not said either: no line of video stands in what comes next.
    world.respond(&refresh, timer, &called(1, ""));
    world.phone(
        "INVITE",
        "c1",
        3,
        &sdp("10.0.0.5", 4000, 3, "a=sendonly\r\n"),
    );
    assert_eq!(video_line(&world.last(target(1), "INVITE")), None);
    world.phone("BYE", "c1", 4, "");
    world.expect_quiet();
}

/// RFC 3264 §8: a line that was answered once never goes away, whatever became of the exchange.
#[test]
fn a_line_that_the_callee_answered_stands_refused_when_the_exchange_is_taken_back() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.phone("INVITE", "c1", 2, &caller(2, ""));
    let asked = world.last(target(1), "INVITE");
    assert!(video_line(&asked).is_some_and(|line| line.starts_with("m=video 100")));
    // Two lines, and the first is none that we can use.
    let unusable =
        called(2, &h264(6002, 97, "")).replace("c=IN IP4 192.0.2.1", "c=IN IP4 239.1.1.1");
    world.respond(&asked, "200 OK", &unusable);
    assert_eq!(world.heard(), 488);
    world.phone("ACK", "c1", 2, "");
    // It took what the caller was refused, and is offered what there was.
    let again = world.last(target(1), "INVITE");
    assert_eq!(world.count(target(1), "INVITE"), 3);
    assert!(again.body().contains("m=audio 10002 "), "{}", again.body());
    assert_eq!(video_line(&again).as_deref(), Some("m=video 0 RTP/AVP 97"));
    world.respond(
        &again,
        "200 OK",
        &unusable.replace("m=video 6002", "m=video 0"),
    );
    assert_eq!(world.count(target(1), "INVITE"), 3, "not for ever");
    world.phone(
        "INVITE",
        "c1",
        3,
        &sdp("10.0.0.5", 4000, 3, "a=sendonly\r\n"),
    );
    let hold = world.last(target(1), "INVITE");
    assert_eq!(video_line(&hold).as_deref(), Some("m=video 0 RTP/AVP 97"));
    world.respond(&hold, "200 OK", &refused(4));
    assert_eq!((world.heard(), world.taken()), (200, 2));
    world.phone("ACK", "c1", 3, "");
    world.phone("BYE", "c1", 4, "");
    world.expect_quiet();
}

/// Video has no timeout: whatever a worker says, the picture never ends a call.
#[test]
fn a_picture_that_stands_still_ends_no_call() {
    let mut world = World::new(vec![trunk(1)]);
    world.video_call("c1");
    for slot in [A_VIDEO, B_VIDEO] {
        let report = Report::Silent { pair: pair(slot) };
        world.feed(Input::Report { report });
    }
    assert_eq!(world.control.counters().calls_active, 1);
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}
