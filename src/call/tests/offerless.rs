//! Re-INVITEs without an offer: refreshes, and hold and resume as CUCM does them.

use media::command::{PairKey, Target};

use super::world::{PHONE, Sent, World, sdp, target, trunk};

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

fn body(address: &str, port: u16, version: u32, formats: &str, direction: &str) -> String {
    format!(
        "v=0\r\no=- 9 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {formats}\r\na={direction}\r\n"
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

fn direction(message: &Sent) -> String {
    let found = ["sendrecv", "sendonly", "recvonly", "inactive"]
        .into_iter()
        .find(|word| message.body().contains(&format!("a={word}\r\n")));
    found.unwrap_or("none").to_owned()
}

impl World {
    /// The phone wants our offer; it gets this.
    fn asks(&mut self, cseq: u32) -> Sent {
        self.phone("INVITE", "c1", cseq, "");
        let ok = self.last(phone(), "SIP/2.0 200");
        assert_eq!(
            ok.header("CSeq"),
            format!("{cseq} INVITE"),
            "{:#?}",
            self.starts()
        );
        ok
    }

    /// The phone offers; the callee agrees with this direction.
    fn offers(&mut self, cseq: u32, offer: &str, agreed: &str) -> Sent {
        self.phone("INVITE", "c1", cseq, offer);
        let asked = self.last(target(1), "INVITE");
        let format = formats(&asked).remove(0);
        let answer = body("192.0.2.1", 6000, cseq, &format, agreed);
        self.respond(&asked, "200 OK", &answer);
        let ok = self.last(phone(), "SIP/2.0 200");
        assert_eq!(
            ok.header("CSeq"),
            format!("{cseq} INVITE"),
            "{:#?}",
            self.starts()
        );
        self.phone("ACK", "c1", cseq, "");
        asked
    }
}

/// E-02: the offer is a full one even after inactive; D-08: and an unchanged answer bothers nobody.
#[test]
fn request_without_an_offer_gets_a_full_sendrecv_offer_even_after_inactive() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    let held = body("10.0.0.5", 4000, 2, "0 8", "inactive");
    let asked = world.offers(2, &held, "inactive");
    assert_eq!(direction(&asked), "inactive");
    assert!(
        world
            .plans
            .values()
            .all(|plan| !plan.sends && !plan.receives)
    );
    let told = world.count(target(1), "INVITE");
    let offer = world.asks(3);
    assert_eq!(direction(&offer), "sendrecv");
    assert!(formats(&offer).len() > 4, "{:?}", formats(&offer));
    assert_eq!(formats(&offer)[0], "0", "what the callee uses leads");
    // The same state as before: the callee hears nothing.
    world.phone("ACK", "c1", 3, &body("10.0.0.5", 4000, 3, "0", "inactive"));
    assert_eq!(world.count(target(1), "INVITE"), told);
    assert!(
        world
            .plans
            .values()
            .all(|plan| plan.media_timeout.is_none()),
        "held"
    );
    world.phone("BYE", "c1", 4, "");
    world.expect_quiet();
}

/// E-01, E-05: inactive; music from elsewhere in another codec; inactive; back.
#[test]
fn hold_and_resume_of_cucm_twenty_times_over() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    let mut cseq = 1;
    for round in 0..20_u16 {
        cseq += 1;
        let offer = body("10.0.0.5", 4000, cseq, "0", "inactive");
        assert_eq!(
            direction(&world.offers(cseq, &offer, "inactive")),
            "inactive"
        );
        cseq += 1;
        assert_eq!(direction(&world.asks(cseq)), "sendrecv");
        let music = format!("10.0.0.{}", 50 + round);
        world.phone(
            "ACK",
            "c1",
            cseq,
            &body(&music, 7000, cseq, "8", "sendonly"),
        );
        let told = world.last(target(1), "INVITE");
        assert_eq!(
            (direction(&told), formats(&told)),
            ("sendonly".into(), vec!["8".into()])
        );
        world.respond(
            &told,
            "200 OK",
            &body("192.0.2.1", 6000, cseq, "8", "recvonly"),
        );
        let plan = &world.plans[&A];
        assert_eq!(
            plan.remote_rtp,
            Some(format!("{music}:7000").parse().unwrap())
        );
        assert!(plan.receives && !plan.sends, "music one way");
        assert!(world.plans[&B].sends && !world.plans[&B].receives);
        assert_eq!(world.plans[&A].payloads[0].sent, 8);
        cseq += 1;
        let offer = body(&music, 7000, cseq, "8", "inactive");
        world.offers(cseq, &offer, "inactive");
        cseq += 1;
        assert_eq!(direction(&world.asks(cseq)), "sendrecv");
        world.phone(
            "ACK",
            "c1",
            cseq,
            &body("10.0.0.5", 4000 + round, cseq, "0", "sendrecv"),
        );
        let told = world.last(target(1), "INVITE");
        assert_eq!(
            (direction(&told), formats(&told)),
            ("sendrecv".into(), vec!["0".into()])
        );
        world.respond(
            &told,
            "200 OK",
            &body("192.0.2.1", 6000, cseq, "0", "sendrecv"),
        );
        assert!(
            world.plans.values().all(|plan| plan.sends && plan.receives),
            "round {round}"
        );
        assert_eq!(world.plans[&B].payloads[0].sent, 0);
        assert_eq!(
            (world.legs[&A], world.legs[&B]),
            (Target::Leg(B), Target::Leg(A))
        );
    }
    world.phone("BYE", "c1", cseq + 1, "");
    world.expect_quiet();
}

/// E-01, the other way: a delayed offer to learn what we can do, then at once an early one.
#[test]
fn next_step_waits_until_the_callee_knows_of_the_one_before() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.asks(2);
    world.phone("ACK", "c1", 2, &body("10.0.0.5", 4000, 2, "0", "inactive"));
    let told = world.last(target(1), "INVITE");
    assert_eq!(direction(&told), "inactive");
    let before = world.count(phone(), "SIP/2.0 4");
    world.phone(
        "INVITE",
        "c1",
        3,
        &body("10.0.0.60", 7000, 3, "8", "sendonly"),
    );
    assert_eq!(world.count(phone(), "SIP/2.0 4"), before, "no 491");
    world.respond(
        &told,
        "200 OK",
        &body("192.0.2.1", 6000, 2, "0", "inactive"),
    );
    let music = world.last(target(1), "INVITE");
    assert_eq!(
        (direction(&music), formats(&music)),
        ("sendonly".into(), vec!["8".into()])
    );
    world.respond(
        &music,
        "200 OK",
        &body("192.0.2.1", 6000, 3, "8", "recvonly"),
    );
    let ok = world.last(phone(), "SIP/2.0 200");
    assert_eq!(
        (ok.header("CSeq"), direction(&ok)),
        ("3 INVITE", "recvonly".into())
    );
    world.phone("ACK", "c1", 3, "");
    world.phone("BYE", "c1", 4, "");
    world.expect_quiet();
}

/// RFC 3261 §9.2: what waits can be taken back, and the callee never hears of it.
#[test]
fn step_that_waits_can_be_taken_back() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.asks(2);
    world.phone("ACK", "c1", 2, &body("10.0.0.5", 4000, 2, "0", "inactive"));
    let told = world.last(target(1), "INVITE");
    world.phone(
        "INVITE",
        "c1",
        3,
        &body("10.0.0.60", 7000, 3, "8", "sendonly"),
    );
    world.cancel_reinvite("c1", 3);
    assert_eq!(world.heard(), 487);
    let asked = world.count(target(1), "INVITE");
    world.respond(
        &told,
        "200 OK",
        &body("192.0.2.1", 6000, 2, "0", "inactive"),
    );
    assert_eq!(world.count(target(1), "INVITE"), asked);
    world.phone("BYE", "c1", 4, "");
    world.expect_quiet();
}

/// E-07: an answer cannot be refused; a group that we do not join leaves the side held.
#[test]
fn music_from_a_multicast_group_leaves_the_side_held_and_the_call_up() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.asks(2);
    world.phone("ACK", "c1", 2, &body("239.1.1.1", 7000, 2, "0", "sendonly"));
    assert_eq!(direction(&world.last(target(1), "INVITE")), "inactive");
    assert!(!world.plans[&A].sends, "nothing goes where it was before");
    assert_eq!(world.control.counters().calls_active, 1);
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}

#[test]
fn ack_without_an_answer_leaves_the_session_as_it_was() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    let before = world.plans[&A].clone();
    world.asks(2);
    world.phone("ACK", "c1", 2, "");
    assert_eq!(
        world.count(target(1), "INVITE"),
        1,
        "the callee hears nothing"
    );
    let after = &world.plans[&A];
    assert_eq!(
        (after.sends, after.receives),
        (before.sends, before.receives)
    );
    assert_eq!(after.payloads, before.payloads);
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}

/// RFC 3261 §14.1: what the other side refuses stays as it is there; the side that changed is right.
#[test]
fn callee_that_refuses_the_hold_goes_on_and_the_caller_stays_held() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.asks(2);
    world.phone("ACK", "c1", 2, &body("10.0.0.5", 4000, 2, "0", "inactive"));
    let told = world.last(target(1), "INVITE");
    world.respond(&told, "488 Not Acceptable Here", "");
    assert!(!world.plans[&A].sends && !world.plans[&A].receives);
    assert_eq!(world.control.counters().calls_active, 1);
    // Resume: the callee is where it was, so there is nothing to tell.
    world.asks(3);
    world.phone("ACK", "c1", 3, &body("10.0.0.5", 4000, 3, "0", "sendrecv"));
    assert!(world.plans.values().all(|plan| plan.sends && plan.receives));
    world.phone("BYE", "c1", 4, "");
    world.expect_quiet();
}

/// Glare with our own offer: the callee's goes first, and ours is not lost.
#[test]
fn callee_that_offers_at_the_same_time_gets_491_and_hears_the_news_after_it() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.asks(2);
    world.phone("ACK", "c1", 2, &body("10.0.0.5", 4000, 2, "0", "inactive"));
    let told = world.last(target(1), "INVITE");
    world.respond(&told, "491 Request Pending", "");
    world.pass(std::time::Duration::from_secs(5));
    let again = world.last(target(1), "INVITE");
    assert_ne!(again.header("CSeq"), told.header("CSeq"));
    assert_eq!(direction(&again), "inactive");
    world.respond(
        &again,
        "200 OK",
        &body("192.0.2.1", 6000, 2, "0", "inactive"),
    );
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}

/// A description within an exchange that is refused leaves both sides as they were.
#[test]
fn codec_changes_in_mid_call_on_both_sides() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.phone(
        "INVITE",
        "c1",
        2,
        &sdp("10.0.0.5", 4000, 2, "").replace("0 8", "8"),
    );
    let asked = world.last(target(1), "INVITE");
    assert_eq!(formats(&asked), ["8"]);
    world.respond(
        &asked,
        "200 OK",
        &body("192.0.2.1", 6002, 2, "8", "sendrecv"),
    );
    let ok = world.last(phone(), "SIP/2.0 200");
    assert_eq!(formats(&ok), ["8"]);
    assert_eq!(world.plans[&A].payloads[0].sent, 8);
    assert_eq!(
        world.plans[&B].remote_rtp,
        Some("192.0.2.1:6002".parse().unwrap())
    );
    world.phone("ACK", "c1", 2, "");
    world.phone("BYE", "c1", 3, "");
    world.expect_quiet();
}
