//! Delayed offers: the caller's INVITE has none, the trunk's 2xx brings one, or both.

use std::time::Duration;

use media::command::{PairKey, Target};
use sip::message::StatusCode;

use super::world::{PHONE, Sent, World, link, remote, sdp, target, trunk};
use crate::links::model::Destination;
use crate::links::resolve::ResolvedLink;
use crate::trunks::model::{OfferMode, Trunk};

const A: PairKey = pair(0);
const B: PairKey = pair(1);

const fn pair(slot: u32) -> PairKey {
    PairKey {
        worker: 0,
        slot,
        generation: 0,
    }
}

fn phone() -> std::net::SocketAddr {
    PHONE.parse().unwrap()
}

fn delaying(last: u8) -> Trunk {
    let mut trunk = trunk(last);
    trunk.offer = OfferMode::Delayed;
    trunk
}

/// One audio line with these formats.
fn body(address: &str, port: u16, formats: &str) -> String {
    format!(
        "v=0\r\no=- 9 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {formats}\r\n"
    )
}

fn formats(message: &Sent) -> Vec<String> {
    let line = message
        .body()
        .lines()
        .find(|line| line.starts_with("m=audio "))
        .unwrap_or_else(|| panic!("no audio in\n{}", message.text));
    line.split(' ').skip(3).map(str::to_owned).collect()
}

impl World {
    /// An INVITE without an offer, to a link that leads there.
    fn call_without_offer(&mut self, call_id: &str, link: ResolvedLink) {
        self.invite("sales", call_id, "");
        let (ticket, _) = self.tickets.pop().expect("the link store is asked");
        self.feed(crate::call::event::Input::Resolved {
            ticket,
            outcome: Ok(link),
        });
    }

    /// The callee answers in this codec; what the caller is offered.
    fn offered(&mut self, call_id: &str, chosen: &str) -> Sent {
        self.call_without_offer(call_id, remote("610"));
        let invite = self.last(target(1), "INVITE");
        self.respond(&invite, "200 OK", &body("192.0.2.1", 6000, chosen));
        self.last(phone(), "SIP/2.0 200")
    }

    fn cause(&self) -> (u16, &str) {
        let closed = self.closed();
        assert_eq!(closed.len(), 1, "one row");
        (closed[0].status, closed[0].cause.as_str())
    }
}

/// C-01, C-02, C-03, C-05.
#[test]
fn caller_without_an_offer_gets_ours_and_is_bridged_when_its_ack_answers() {
    let mut world = World::new(vec![trunk(1)]);
    world.call_without_offer("c1", remote("610"));
    let invite = world.last(target(1), "INVITE");
    assert!(
        formats(&invite).len() > 4,
        "an early offer: {}",
        invite.text
    );
    world.respond(&invite, "180 Ringing", "");
    let ringing = world.last(phone(), "SIP/2.0 180");
    assert_eq!(ringing.body(), "");
    assert!(!ringing.text.contains("RSeq"), "{}", ringing.text);
    world.respond(&invite, "200 OK", &body("192.0.2.1", 6000, "0 101"));
    let answer = world.last(phone(), "SIP/2.0 200");
    let named = formats(&answer);
    assert_eq!(named[0], "0", "what the callee chose leads: {named:?}");
    assert!(named.len() > 4, "all codecs: {named:?}");
    assert!(answer.body().contains("a=sendrecv"), "{}", answer.body());
    assert_eq!(
        world.legs[&B],
        Target::Nowhere,
        "not bridged before the ACK"
    );
    world.phone("ACK", "c1", 1, &body("10.0.0.5", 4000, "0 101"));
    assert_eq!(
        (world.legs[&A], world.legs[&B]),
        (Target::Leg(B), Target::Leg(A))
    );
    assert_eq!(
        world.plans[&A].remote_rtp,
        Some("10.0.0.5:4000".parse().unwrap())
    );
    assert_eq!(
        world.count(target(1), "INVITE"),
        1,
        "the callee is left alone"
    );
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
    assert_eq!(world.cause(), (200, "normal"));
}

/// C-01: the caller takes another codec than the callee.
#[test]
fn callee_is_asked_again_where_the_caller_chooses_another_codec() {
    let mut world = World::new(vec![trunk(1)]);
    world.offered("c1", "0");
    world.phone("ACK", "c1", 1, &body("10.0.0.5", 4000, "8"));
    let again = world.last(target(1), "INVITE");
    assert_eq!(formats(&again), ["8"]);
    assert!(
        again.header("To").contains("tag=callee"),
        "within the dialog"
    );
    world.respond(&again, "200 OK", &body("192.0.2.1", 6000, "8"));
    let plan = &world.plans[&B];
    assert_eq!(plan.payloads.len(), 1);
    assert_eq!((plan.payloads[0].received, plan.payloads[0].sent), (8, 8));
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

#[test]
fn callee_that_does_not_follow_ends_a_call_that_nobody_could_hear() {
    let mut world = World::new(vec![trunk(1)]);
    world.offered("c1", "0");
    world.phone("ACK", "c1", 1, &body("10.0.0.5", 4000, "8"));
    let again = world.last(target(1), "INVITE");
    world.respond(&again, "488 Not Acceptable Here", "");
    assert_eq!(world.count(phone(), "BYE"), 1);
    assert_eq!(world.count(target(1), "BYE"), 1);
    let bye = world.last(phone(), "BYE");
    world.respond(&bye, "200 OK", "");
    world.expect_quiet();
    assert_eq!(world.cause(), (200, "sdp_no_common_codec"));
}

/// C-02: each fault of the ACK has its own cause.
#[test]
fn each_fault_of_the_ack_ends_the_call_under_its_own_cause() {
    for (ack, cause) in [
        ("", "ack_without_answer"),
        ("this is no session description", "ack_unreadable"),
        (&*body("10.0.0.5", 4000, "3"), "sdp_no_common_codec"),
        (&*body("239.1.2.3", 4000, "0"), "sdp_address_multicast"),
        (&*body("127.0.0.1", 4000, "0"), "sdp_address_loopback"),
        (
            &*body("255.255.255.255", 4000, "0"),
            "sdp_address_broadcast",
        ),
        (&*body("198.51.100.1", 10_002, "0"), "sdp_address_own"),
        (&*body("198.51.100.1", 5_060, "0"), "sdp_address_own"),
        (&*body("10.0.0.5", 0, "0"), "sdp_no_audio"),
    ] {
        let mut world = World::new(vec![trunk(1)]);
        world.offered("c1", "0");
        world.phone("ACK", "c1", 1, ack);
        assert_eq!(
            world.count(phone(), "BYE"),
            1,
            "{cause}: {:#?}",
            world.starts()
        );
        assert_eq!(world.count(target(1), "BYE"), 1, "{cause}");
        world.expect_quiet();
        assert_eq!(world.cause(), (200, cause));
    }
}

#[test]
fn ack_that_never_comes_ends_the_call_after_64_t1() {
    let mut world = World::new(vec![trunk(1)]);
    world.offered("c1", "0");
    world.pass(Duration::from_secs(31));
    assert_eq!(world.count(target(1), "BYE"), 0);
    world.pass(Duration::from_millis(1_200));
    assert_eq!(world.count(target(1), "BYE"), 1);
    assert_eq!(world.count(phone(), "BYE"), 1);
    world.expect_quiet();
    assert_eq!(world.cause(), (200, "no_ack"));
}

/// C-04: the offer follows the policy of the trunk that called.
#[test]
fn our_offer_follows_the_codecs_of_the_trunk_that_calls() {
    let mut calling = trunk(2);
    calling.codecs = vec!["G722".into(), "PCMU".into(), "PCMA".into()];
    calling.transit = true;
    calling.carries_originating = true;
    let mut called = trunk(1);
    called.codecs = vec!["PCMA".into(), "PCMU".into()];
    called.transit = true;
    calling.links = vec!["sales".into()];
    calling.targets[0].address = phone();
    calling.networks.clear();
    let mut world = World::new(vec![called, calling]);
    world.change(|snapshot| snapshot.sources.clear());
    world.call_without_offer("c1", remote("610"));
    let invite = world.last(target(1), "INVITE");
    assert_eq!(
        formats(&invite),
        ["8", "0", "101"],
        "what both take, as the callee likes it"
    );
    world.respond(&invite, "200 OK", &body("192.0.2.1", 6000, "8 101"));
    let answer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(formats(&answer), ["8", "0", "101"]);
}

#[test]
fn echo_and_tone_offer_what_they_can_play() {
    for (destination, wanted, party) in [
        (Destination::Echo, "9 101", Target::Echo),
        (Destination::Tone, "0 101", Target::Tone),
    ] {
        let mut world = World::new(Vec::new());
        world.call_without_offer("c1", link(destination));
        let offer = world.last(phone(), "SIP/2.0 200");
        let g722 = formats(&offer).contains(&"9".to_owned());
        assert_eq!(g722, party == Target::Echo, "{}", offer.body());
        assert_eq!(world.legs[&A], Target::Nowhere);
        world.phone("ACK", "c1", 1, &body("10.0.0.5", 4000, wanted));
        assert_eq!(world.legs[&A], party);
        assert_eq!(
            world.plans[&A].remote_rtp,
            Some("10.0.0.5:4000".parse().unwrap())
        );
        world.phone("BYE", "c1", 2, "");
        world.expect_quiet();
    }
}

#[test]
fn trunk_that_shall_offer_is_answered_in_the_ack() {
    let mut world = World::new(vec![delaying(1)]);
    world.call("610", "c1");
    let invite = world.last(target(1), "INVITE");
    assert_eq!(invite.body(), "");
    world.respond(&invite, "180 Ringing", "");
    assert_eq!(world.heard(), 180);
    assert_eq!(world.count(target(1), "ACK"), 0);
    world.respond(&invite, "200 OK", &body("192.0.2.1", 6000, "18 8 0 101"));
    let ack = world.last(target(1), "ACK");
    assert_eq!(
        formats(&ack),
        ["0"],
        "the caller prefers 0 and has no events"
    );
    let answer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(formats(&answer), ["0"]);
    world.phone("ACK", "c1", 1, "");
    assert_eq!(
        (world.legs[&A], world.legs[&B]),
        (Target::Leg(B), Target::Leg(A))
    );
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

#[test]
fn trunk_whose_offer_has_no_codec_of_the_caller_is_ended_and_the_caller_hears_488() {
    let mut world = World::new(vec![delaying(1)]);
    world.call("610", "c1");
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &body("192.0.2.1", 6000, "18"));
    assert_eq!(world.heard(), StatusCode::NOT_ACCEPTABLE_HERE.code());
    assert_eq!(world.count(target(1), "ACK"), 1);
    assert_eq!(world.count(target(1), "BYE"), 1);
    world.phone("ACK", "c1", 1, "");
    world.expect_quiet();
    assert_eq!(world.cause(), (488, "sdp_no_common_codec"));
}

#[test]
fn both_sides_delayed_callees_offer_goes_to_the_caller_and_its_answer_back() {
    let mut world = World::new(vec![delaying(1)]);
    world.call_without_offer("c1", remote("610"));
    let invite = world.last(target(1), "INVITE");
    assert_eq!(invite.body(), "");
    world.respond(&invite, "200 OK", &body("192.0.2.1", 6000, "18 8 0"));
    assert_eq!(world.count(target(1), "ACK"), 0, "it waits for the caller");
    let offer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(formats(&offer), ["18", "8", "0"], "what the callee can do");
    world.phone("ACK", "c1", 1, &body("10.0.0.5", 4000, "8"));
    assert_eq!(formats(&world.last(target(1), "ACK")), ["8"]);
    assert_eq!(
        (world.legs[&A], world.legs[&B]),
        (Target::Leg(B), Target::Leg(A))
    );
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

/// The caller is gone before its ACK: the callee's offer is declined, not left open.
#[test]
fn callee_whose_offer_is_never_answered_is_acknowledged_and_ended() {
    let mut world = World::new(vec![delaying(1)]);
    world.call_without_offer("c1", remote("610"));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &body("192.0.2.1", 6000, "8 0"));
    world.phone("ACK", "c1", 1, "");
    assert_eq!(world.count(target(1), "ACK"), 1);
    assert_eq!(world.count(target(1), "BYE"), 1);
    world.expect_quiet();
    assert_eq!(world.cause(), (200, "ack_without_answer"));
}

/// D-02: what an early answer said is no answer to a caller that wants our offer.
#[test]
fn early_media_towards_a_caller_without_an_offer_waits_for_its_ack() {
    let mut world = World::new(vec![trunk(1)]);
    world.call_without_offer("c1", remote("610"));
    let invite = world.last(target(1), "INVITE");
    world.respond(
        &invite,
        "183 Session Progress",
        &sdp("192.0.2.1", 6000, 1, ""),
    );
    let progress = world.last(phone(), "SIP/2.0 183");
    assert_eq!(
        progress.body(),
        "",
        "no session description in an unreliable response"
    );
    world.respond(&invite, "200 OK", "");
    let offer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(formats(&offer)[0], "0", "what the callee said early stands");
    world.phone("ACK", "c1", 1, &body("10.0.0.5", 4000, "0"));
    assert_eq!(world.legs[&A], Target::Leg(B));
}
