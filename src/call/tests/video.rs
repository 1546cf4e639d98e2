//! Video of a call: offered, refused, added, held, removed; its ports, and that audio never waits for it.

use std::collections::BTreeSet;

use media::command::{MediaKind, PairKey, Target};

use super::world::*;
use crate::call::event::Input;
use crate::links::model::{Destination, VideoPolicy};
use crate::trunks::model::{OfferMode, Trunk};

pub(super) const A: u32 = 0;
pub(super) const A_VIDEO: u32 = 1;
pub(super) const B: u32 = 2;
pub(super) const B_VIDEO: u32 = 3;

pub(super) const fn pair(slot: u32) -> PairKey {
    PairKey {
        worker: 0,
        slot,
        generation: 0,
    }
}

pub(super) fn phone() -> std::net::SocketAddr {
    PHONE.parse().unwrap()
}

/// An `m=video` line with H.264, packetization mode 1.
pub(super) fn h264(port: u16, number: u8, more: &str) -> String {
    format!(
        "m=video {port} RTP/AVP {number}\r\na=rtpmap:{number} H264/90000\r\n\
         a=fmtp:{number} profile-level-id=42e01f;packetization-mode=1\r\na=rtcp-fb:* nack pli\r\n{more}"
    )
}

pub(super) fn caller(version: u32, more: &str) -> String {
    sdp("10.0.0.5", 4000, version, &h264(4002, 97, more))
}

pub(super) fn callee(version: u32, more: &str) -> String {
    sdp("192.0.2.1", 6000, version, &h264(6002, 120, more))
}

/// The `m=video` line, if there is one.
pub(super) fn video_line(sent: &Sent) -> Option<String> {
    let mut lines = sent.body().lines();
    let line = lines.find(|line| line.starts_with("m=video "));
    line.map(str::to_owned)
}

pub(super) fn directions(sent: &Sent) -> Vec<&str> {
    let words = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    sent.body()
        .lines()
        .filter(|line| words.contains(line))
        .collect()
}

pub(super) fn with(change: impl FnOnce(&mut Trunk)) -> World {
    let mut trunk = trunk(1);
    change(&mut trunk);
    World::new(vec![trunk])
}

/// The phone is a trunk that may call others.
pub(super) fn transit() -> World {
    let mut calling = trunk(2);
    calling.transit = true;
    calling.carries_originating = true;
    calling.links = vec!["sales".into()];
    calling.targets[0].address = phone();
    calling.networks.clear();
    let mut called = trunk(1);
    called.transit = true;
    let mut world = World::new(vec![called, calling]);
    world.change(|snapshot| snapshot.sources.clear());
    world
}

impl World {
    pub(super) fn video_call(&mut self, call_id: &str) -> Sent {
        self.invite("sales", call_id, &caller(1, ""));
        self.resolved(Ok(remote("610")));
        let invite = self.last(target(1), "INVITE");
        self.respond(&invite, "200 OK", &callee(1, ""));
        assert_eq!(self.heard(), 200, "{:#?}", self.starts());
        let answer = self.last(phone(), "SIP/2.0 200");
        self.phone("ACK", call_id, 1, "");
        answer
    }

    /// Slots of legs with video.
    pub(super) fn videos(&self) -> BTreeSet<u32> {
        let plans = self.plans.iter();
        plans
            .filter(|(_, plan)| plan.kind == MediaKind::Video)
            .map(|(pair, _)| pair.slot)
            .collect()
    }

    pub(super) fn taken(&self) -> u64 {
        self.control.counters().stock_taken
    }
}

#[test]
fn video_goes_beside_audio_on_ports_of_its_own() {
    let mut world = World::new(vec![trunk(1)]);
    let answer = world.video_call("c1");
    let invite = world.last(target(1), "INVITE");
    assert_eq!(
        video_line(&invite).as_deref(),
        Some("m=video 10006 RTP/AVP 97")
    );
    assert_eq!(
        video_line(&answer).as_deref(),
        Some("m=video 10002 RTP/AVP 97")
    );
    assert_eq!(world.videos(), BTreeSet::from([A_VIDEO, B_VIDEO]));
    for (slot, other) in [(A, B), (B, A), (A_VIDEO, B_VIDEO), (B_VIDEO, A_VIDEO)] {
        assert_eq!(world.legs[&pair(slot)], Target::Leg(pair(other)), "{slot}");
    }
    let plan = &world.plans[&pair(B_VIDEO)];
    let port = |address: Option<std::net::SocketAddr>| address.map(|address| address.port());
    assert_eq!(
        (port(plan.remote_rtp), port(plan.remote_rtcp)),
        (Some(6_002), Some(6_003))
    );
    assert!(plan.sends && plan.receives && plan.media_timeout.is_none());
    // The callee took our number 97 as its own 120: 97 arrives, and goes out as the caller's 97.
    assert_eq!((plan.payloads[0].received, plan.payloads[0].sent), (97, 97));
    assert_eq!(world.plans[&pair(A_VIDEO)].payloads[0].sent, 120);
    assert_eq!(plan.payloads[0].clock_rate_hz, 90_000);
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

/// RFC 8285: so that both sides speak of the same numbers in the packets that pass.
#[test]
fn header_extensions_and_the_feedback_about_them_cross_a_call() {
    const WIDE: &str =
        "a=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n";
    let named = format!("a=rtcp-fb:* transport-cc\r\n{WIDE}");
    let says = |sent: &Sent| {
        let feedback = sent.body().contains("a=rtcp-fb:* transport-cc\r\n");
        (feedback, sent.body().contains(WIDE))
    };
    for (more, told) in [(&*named, (true, true)), ("", (false, false))] {
        let mut world = World::new(vec![trunk(1)]);
        world.invite("sales", "c1", &caller(1, &named));
        world.resolved(Ok(remote("610")));
        let invite = world.last(target(1), "INVITE");
        assert_eq!(says(&invite), (true, true));
        world.respond(&invite, "200 OK", &callee(1, more));
        assert_eq!(says(&world.last(phone(), "SIP/2.0 200")), told);
        world.phone("ACK", "c1", 1, "");
        world.phone("BYE", "c1", 2, "");
        world.expect_quiet();
    }
}

#[test]
fn audio_calls_take_two_pairs_and_a_refused_picture_gives_its_ports_back() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c0");
    assert_eq!(world.taken(), 2);
    world.phone("BYE", "c0", 2, "");
    world.invite("sales", "c1", &caller(1, ""));
    world.resolved(Ok(remote("610")));
    assert_eq!(world.taken(), 4);
    let invite = world.last(target(1), "INVITE");
    let refused = sdp("192.0.2.1", 6000, 1, "m=video 0 RTP/AVP 97\r\n");
    world.respond(&invite, "200 OK", &refused);
    let answer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(video_line(&answer).as_deref(), Some("m=video 0 RTP/AVP 97"));
    assert_eq!((world.heard(), world.taken()), (200, 2));
    world.phone("ACK", "c1", 1, "");
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

#[test]
fn video_is_added_and_removed_within_a_call() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    for round in 0..3 {
        let cseq = 2 + 2 * round;
        world.phone("INVITE", "c1", cseq, &caller(cseq, ""));
        let asked = world.last(target(1), "INVITE");
        assert!(video_line(&asked).is_some_and(|line| !line.contains(" 0 ")));
        world.respond(&asked, "200 OK", &callee(cseq, ""));
        let answer = world.last(phone(), "SIP/2.0 200");
        assert!(video_line(&answer).is_some_and(|line| !line.contains(" 0 ")));
        world.phone("ACK", "c1", cseq, "");
        assert_eq!((world.videos().len(), world.taken()), (2, 4));

        let without = sdp("10.0.0.5", 4000, cseq + 1, "m=video 0 RTP/AVP 97\r\n");
        world.phone("INVITE", "c1", cseq + 1, &without);
        let asked = world.last(target(1), "INVITE");
        assert!(video_line(&asked).is_some_and(|line| line.starts_with("m=video 0 ")));
        let refused = sdp("192.0.2.1", 6000, cseq + 1, "m=video 0 RTP/AVP 97\r\n");
        world.respond(&asked, "200 OK", &refused);
        assert_eq!(world.heard(), 200);
        world.phone("ACK", "c1", cseq + 1, "");
        assert_eq!((world.videos().len(), world.taken()), (0, 2));
        // Ports that drained are stocked again.
        for slot in 0..2 {
            world.pairs += 1;
            let slot = world.pairs + slot;
            world.stock(slot);
        }
    }
    world.phone("BYE", "c1", 9, "");
    world.expect_quiet();
}

#[test]
fn the_callee_may_add_video_too_and_a_refusal_leaves_audio() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    let before = world.legs.clone();
    world.phone("INVITE", "c1", 2, &caller(2, ""));
    let asked = world.last(target(1), "INVITE");
    world.respond(&asked, "488 Not Acceptable Here", "");
    assert_eq!((world.heard(), world.taken()), (488, 2));
    world.phone("ACK", "c1", 2, "");
    assert_eq!(world.legs, before);
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}

/// Hold and resume with video: both lines go each way, no port changes.
#[test]
fn hold_holds_both_lines_and_resume_opens_both() {
    let mut world = World::new(vec![trunk(1)]);
    world.video_call("c1");
    let held = sdp(
        "10.0.0.5",
        4000,
        2,
        &format!("a=sendonly\r\n{}", h264(4002, 97, "a=sendonly\r\n")),
    );
    world.phone("INVITE", "c1", 2, &held);
    let asked = world.last(target(1), "INVITE");
    assert_eq!(directions(&asked), ["a=sendonly", "a=sendonly"]);
    let agreed = sdp(
        "192.0.2.1",
        6000,
        2,
        &format!("a=recvonly\r\n{}", h264(6002, 120, "a=recvonly\r\n")),
    );
    world.respond(&asked, "200 OK", &agreed);
    let answer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(directions(&answer), ["a=recvonly", "a=recvonly"]);
    world.phone("ACK", "c1", 2, "");
    assert_eq!(world.taken(), 4, "a held line keeps its ports");
    let plan = &world.plans[&pair(A_VIDEO)];
    assert!(!plan.sends && plan.receives);
    let version = plan.version;
    world.phone("INVITE", "c1", 3, &caller(3, ""));
    let asked = world.last(target(1), "INVITE");
    world.respond(&asked, "200 OK", &callee(3, ""));
    world.phone("ACK", "c1", 3, "");
    let plan = &world.plans[&pair(A_VIDEO)];
    assert!(plan.sends && plan.receives);
    assert_eq!(plan.version, version, "the latch stays");
    world.phone("BYE", "c1", 4, "");
    world.expect_quiet();
}

/// RFC 4028 §7.4: nobody hears of a refresh.
#[test]
fn a_refresh_with_video_changes_nothing() {
    let mut world = World::new(vec![trunk(1)]);
    world.video_call("c1");
    let told = world.count(target(1), "INVITE");
    world.phone("INVITE", "c1", 2, &caller(1, ""));
    assert_eq!(world.count(target(1), "INVITE"), told);
    let answer = world.last(phone(), "SIP/2.0 200");
    assert!(
        answer.body().contains("m=video 10002 "),
        "{}",
        answer.body()
    );
    world.phone("ACK", "c1", 2, "");
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}

/// I-02: the line has the word of the policy, or is not there.
#[test]
fn a_policy_is_the_direction_of_the_line() {
    let offered = |policy: VideoPolicy, link: VideoPolicy| {
        let mut world = with(|trunk| trunk.video = policy);
        world.invite("sales", "c1", &caller(1, ""));
        let mut reached = remote("610");
        reached.video_policy = link;
        world.resolved(Ok(reached));
        let invite = world.last(target(1), "INVITE");
        let found = video_line(&invite).and_then(|_| directions(&invite).pop().map(str::to_owned));
        let pairs = world.taken();
        world.respond(&invite, "200 OK", &callee(1, ""));
        assert_eq!(world.heard(), 200);
        let answer = world.last(phone(), "SIP/2.0 200");
        let said = directions(&answer).pop().map(str::to_owned);
        world.phone("ACK", "c1", 1, "");
        world.phone("BYE", "c1", 2, "");
        world.expect_quiet();
        (found.unwrap_or_default(), said.unwrap_or_default(), pairs)
    };
    use VideoPolicy::{Inactive, RecvOnly, RecvOnlyInitially, SendRecv};
    let all = |offer: &str, answer: &str, pairs| (offer.to_owned(), answer.to_owned(), pairs);
    let open = all("a=sendrecv", "a=sendrecv", 4);
    assert_eq!(offered(SendRecv, SendRecv), open);
    assert_eq!(offered(RecvOnlyInitially, SendRecv), open);
    let one_way = all("a=recvonly", "a=sendonly", 4);
    assert_eq!(offered(RecvOnly, SendRecv), one_way);
    assert_eq!(offered(SendRecv, RecvOnly), one_way);
    assert_eq!(offered(SendRecv, Inactive).0, "");
    let (offer, _, pairs) = offered(Inactive, SendRecv);
    assert_eq!(
        (&*offer, pairs),
        ("", 3),
        "the trunk is known after the caller's ports"
    );
}

#[test]
fn without_ports_to_spare_the_call_goes_on_with_audio_and_is_counted() {
    let mut world = World::new(vec![trunk(1)]);
    world.video_call("c1");
    // Eight pairs: four are left, two of them for the next call.
    world.invite("sales", "c2", &caller(1, ""));
    world.resolved(Ok(remote("610")));
    let invite = world.last(target(1), "INVITE");
    assert_eq!(video_line(&invite), None);
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    let answer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(video_line(&answer).as_deref(), Some("m=video 0 RTP/AVP 97"));
    assert_eq!(world.taken(), 6);
    let refused = &world.control.counters().refused;
    assert_eq!(refused.get("video_stock_empty"), Some(&1));
    world.phone("ACK", "c2", 1, "");
    world.phone("BYE", "c2", 2, "");
    world.expect_quiet_but_video();
}

/// Ports that calls of `limits.calls_max` need for audio are never taken by pictures, however many there are
/// at the moment.
#[test]
fn video_takes_no_ports_that_calls_to_come_were_promised() {
    let mut world = World::new(vec![trunk(1)]);
    world.control.config.video_pairs_max = 3;
    for slot in PAIRS..4 * PAIRS {
        world.stock_at(slot, "198.51.100.1");
    }
    world.video_call("c1");
    let one_for_each_leg = |world: &World| (world.videos().len(), world.taken());
    assert_eq!(one_for_each_leg(&world), (2, 4));
    world.video_call("c2");
    assert_eq!(one_for_each_leg(&world), (2, 6));
    let answer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(video_line(&answer).as_deref(), Some("m=video 0 RTP/AVP 97"));
    let refused = &world.control.counters().refused;
    assert_eq!(refused.get("video_at_cap"), Some(&1));
    // Nor in mid-call, before there are some.
    for (version, most, video, taken) in [(2, 3, false, 6), (3, 4, true, 8)] {
        world.control.config.video_pairs_max = most;
        let port = format!("m=video 40{version}2");
        let moved = caller(version, "").replace("m=video 4002", &port);
        world.phone("INVITE", "c2", version, &moved);
        let asked = world.last(target(1), "INVITE");
        assert_eq!(video_line(&asked).is_some(), video, "{}", asked.text);
        let plain = sdp("192.0.2.1", 6000, version, "");
        let answer = if video { callee(version, "") } else { plain };
        world.respond(&asked, "200 OK", &answer);
        world.phone("ACK", "c2", version, "");
        assert_eq!(world.taken(), taken);
    }
    assert_eq!(world.control.stock.taken_for_video(), 4);
    world.phone("BYE", "c2", 4, "");
    assert_eq!(world.control.stock.taken_for_video(), 2);
    world.expect_quiet_but_video();
}

impl World {
    /// The first call goes on, with video.
    fn expect_quiet_but_video(&self) {
        let counters = self.control.counters();
        assert_eq!((counters.calls_active, counters.stock_taken), (1, 4));
    }
}

/// A trunk wants our offer: the callee is offered both ways of packing H.264 and VP8, and the trunk
/// what the callee took.
#[test]
fn a_caller_without_an_offer_is_offered_the_video_that_the_callee_took() {
    let mut world = transit();
    world.invite("sales", "c1", "");
    world.resolved(Ok(remote("610")));
    let invite = world.last(target(1), "INVITE");
    assert_eq!(
        video_line(&invite).as_deref(),
        Some("m=video 10006 RTP/AVP 97 98 100")
    );
    world.respond(&invite, "200 OK", &callee(1, ""));
    let offer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(
        video_line(&offer).as_deref(),
        Some("m=video 10002 RTP/AVP 120")
    );
    let answer = sdp("10.0.0.5", 4000, 1, &h264(4002, 120, ""));
    world.phone("ACK", "c1", 1, &answer);
    assert_eq!(world.videos().len(), 2);
    assert_eq!(world.legs[&pair(A_VIDEO)], Target::Leg(pair(B_VIDEO)));
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

/// Who has no trunk, and offers nothing, said nothing of pictures; nor may a trunk whose policy forbids it.
#[test]
fn no_video_is_offered_to_who_has_no_policy_for_it() {
    let mut forbidden = transit();
    forbidden.change(|snapshot| snapshot.trunks[1].video = VideoPolicy::Inactive);
    for mut world in [World::new(vec![trunk(1)]), forbidden] {
        world.invite("sales", "c1", "");
        world.resolved(Ok(remote("610")));
        let invite = world.last(target(1), "INVITE");
        assert_eq!((video_line(&invite), world.taken()), (None, 2));
    }
}

#[test]
fn a_caller_that_takes_no_video_of_ours_is_not_seen_and_the_callee_hears_of_it() {
    let mut world = transit();
    world.invite("sales", "c1", "");
    world.resolved(Ok(remote("610")));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &callee(1, ""));
    let answer = sdp("10.0.0.5", 4000, 1, "m=video 0 RTP/AVP 120\r\n");
    world.phone("ACK", "c1", 1, &answer);
    let told = world.last(target(1), "INVITE");
    assert!(told.header("To").contains("tag=callee"));
    assert!(video_line(&told).is_some_and(|line| line.starts_with("m=video 0 ")));
    let refused = sdp("192.0.2.1", 6000, 2, "m=video 0 RTP/AVP 97\r\n");
    world.respond(&told, "200 OK", &refused);
    assert_eq!(world.taken(), 2);
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

#[test]
fn a_trunk_that_offers_gets_its_video_answered() {
    let mut world = with(|trunk| trunk.offer = OfferMode::Delayed);
    world.invite("sales", "c1", &caller(1, ""));
    world.resolved(Ok(remote("610")));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &callee(1, ""));
    let ack = world.last(target(1), "ACK");
    assert_eq!(
        video_line(&ack).as_deref(),
        Some("m=video 10006 RTP/AVP 120")
    );
    let answer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(
        video_line(&answer).as_deref(),
        Some("m=video 10002 RTP/AVP 97")
    );
    world.phone("ACK", "c1", 1, "");
    assert_eq!(world.videos().len(), 2);
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

/// A re-INVITE without an offer is a refresh or a step of a hold (E-02): everything is offered.
#[test]
fn a_request_without_an_offer_gets_the_video_of_the_other_side() {
    let mut world = World::new(vec![trunk(1)]);
    world.video_call("c1");
    world.phone("INVITE", "c1", 2, "");
    let offer = world.last(phone(), "SIP/2.0 200");
    assert!(video_line(&offer).is_some_and(|line| line.starts_with("m=video 10002 ")));
    assert_eq!(directions(&offer), ["a=sendrecv", "a=sendrecv"]);
    let told = world.count(target(1), "INVITE");
    world.phone("ACK", "c1", 2, &caller(2, ""));
    assert_eq!(world.count(target(1), "INVITE"), told, "nothing is new");
    assert_eq!(world.videos().len(), 2);
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}

#[test]
fn each_attempt_has_video_ports_of_its_own() {
    let mut world = World::new(vec![trunk(1), trunk(2)]);
    world.invite("sales", "c1", &caller(1, ""));
    world.resolved(Ok(remote("610")));
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "503 Service Unavailable", "");
    let second = world.last(target(2), "INVITE");
    assert_ne!(video_line(&first), video_line(&second));
    assert_eq!(world.taken(), 4);
    let answer = sdp("192.0.2.2", 6000, 1, &h264(6002, 97, ""));
    world.respond(&second, "200 OK", &answer);
    assert_eq!(world.heard(), 200);
    world.phone("ACK", "c1", 1, "");
    assert_eq!(world.videos().len(), 2);
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

/// Both ways, for the camera of a phone proves where it is; a hold and its end are answered likewise.
#[test]
fn a_tone_shows_its_caller_a_test_picture() {
    let mut world = World::new(vec![trunk(1)]);
    world.invite("sales", "c1", &caller(1, ""));
    world.resolved(Ok(link(Destination::Tone)));
    let answer = world.last(phone(), "SIP/2.0 200");
    let line = video_line(&answer).unwrap();
    assert!(
        line.starts_with("m=video ") && line.ends_with(" RTP/AVP 97"),
        "{line}"
    );
    assert!(!line.starts_with("m=video 0 "), "{line}");
    assert!(
        answer
            .body()
            .contains("a=fmtp:97 profile-level-id=42e01f;packetization-mode=1")
    );
    assert_eq!(directions(&answer), ["a=sendrecv", "a=sendrecv"]);
    world.phone("ACK", "c1", 1, "");
    assert_eq!(world.legs[&pair(A_VIDEO)], Target::Tone);
    let plan = &world.plans[&pair(A_VIDEO)];
    assert_eq!(
        (plan.sends, plan.receives, plan.payloads[0].sent),
        (true, true, 97)
    );
    let steps = [
        (2, "a=sendonly\r\n", "a=recvonly", false),
        (3, "", "a=sendrecv", true),
    ];
    for (version, said, answered, sends) in steps {
        let lines = h264(4002, 97, said);
        let body = sdp("10.0.0.5", 4000, version, &lines);
        world.phone("INVITE", "c1", version, &body);
        let answer = world.last(phone(), "SIP/2.0 200");
        assert_eq!(directions(&answer).last(), Some(&answered));
        world.phone("ACK", "c1", version, "");
        assert_eq!(world.plans[&pair(A_VIDEO)].sends, sends);
        assert_eq!(world.legs[&pair(A_VIDEO)], Target::Tone);
    }
    // Without its video the call goes on, and the ports go back.
    let audio = sdp("10.0.0.5", 4000, 4, &h264(0, 97, ""));
    world.phone("INVITE", "c1", 4, &audio);
    world.phone("ACK", "c1", 4, "");
    assert!(!world.legs.contains_key(&pair(A_VIDEO)));
    world.phone("BYE", "c1", 5, "");
    world.expect_quiet();
}

#[test]
fn a_tone_shows_a_picture_only_to_who_may_see_it_and_can() {
    let policies = [
        (VideoPolicy::SendRecv, "a=sendrecv"),
        (VideoPolicy::RecvOnlyInitially, "a=sendrecv"),
        (VideoPolicy::RecvOnly, "a=sendonly"),
        (VideoPolicy::Inactive, ""),
    ];
    let forms = [
        ("profile-level-id=42e01f;packetization-mode=1", true),
        ("profile-level-id=42800b", true),
        ("profile-level-id=42900b", false),
        ("profile-level-id=42e00a", false),
        ("profile-level-id=640c1f;packetization-mode=1", false),
        ("packetization-mode=1", false),
    ];
    for (policy, said) in policies {
        for (parameters, can) in forms {
            let mut world = World::new(vec![trunk(1)]);
            let ours = "profile-level-id=42e01f;packetization-mode=1";
            let lines = h264(4002, 97, "").replace(ours, parameters);
            world.invite("sales", "c1", &sdp("10.0.0.5", 4000, 1, &lines));
            let mut tone = link(Destination::Tone);
            tone.video_policy = policy;
            world.resolved(Ok(tone));
            let answer = world.last(phone(), "SIP/2.0 200");
            let line = video_line(&answer).unwrap();
            let is_shown = can && !said.is_empty();
            assert_eq!(
                line.starts_with("m=video 0 "),
                !is_shown,
                "{policy:?} {parameters}"
            );
            if is_shown {
                assert_eq!(directions(&answer).last(), Some(&said));
            }
            world.phone("ACK", "c1", 1, "");
            assert_eq!(world.legs.contains_key(&pair(A_VIDEO)), is_shown);
            world.phone("BYE", "c1", 2, "");
            world.expect_quiet();
        }
    }
}

#[test]
fn an_echo_of_sip_has_no_pictures() {
    let mut world = World::new(vec![trunk(1)]);
    world.invite("sales", "c1", &caller(1, ""));
    world.resolved(Ok(link(Destination::Echo)));
    let answer = world.last(phone(), "SIP/2.0 200");
    assert_eq!(video_line(&answer).as_deref(), Some("m=video 0 RTP/AVP 97"));
    world.phone("ACK", "c1", 1, "");
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

/// One call with video, as far as it comes.
fn struck_call(world: &mut World) {
    world.invite("sales", "two", &caller(1, ""));
    if let Some((ticket, _)) = world.tickets.pop() {
        let outcome = Ok(remote("610"));
        world.feed(Input::Resolved { ticket, outcome });
    }
    if world.count(target(1), "INVITE") < 1 {
        return;
    }
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "180 Ringing", "");
    world.respond(&invite, "200 OK", &callee(1, ""));
    world.phone("ACK", "two", 1, "");
    let without = sdp("10.0.0.5", 4000, 2, "m=video 0 RTP/AVP 97\r\n");
    world.phone("INVITE", "two", 2, &without);
    if world.count(target(1), "INVITE") > 1 {
        let asked = world.last(target(1), "INVITE");
        world.respond(&asked, "200 OK", &sdp("192.0.2.1", 6000, 2, ""));
    }
    world.phone("BYE", "two", 3, "");
}

#[test]
fn a_video_call_of_a_panic_leaves_no_port_wherever_it_strikes() {
    let mut struck = 0;
    for steps in 0.. {
        let mut world = World::new(vec![trunk(1)]);
        world.control.fault = Some(steps);
        struck_call(&mut world);
        if world.control.fault.take().is_some() {
            break;
        }
        struck += 1;
        world.expect_quiet();
    }
    assert!(struck >= 6, "{struck}");
}
