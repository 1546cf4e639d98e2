//! What must go out although the connection that carried it broke (RFC 3261 §13.3.1.4, §17.1.4, §18).

use super::world::*;
use crate::event::{Dial, Refusal};
use crate::message::{HeaderName, StatusCode};

/// The caller's end of its connection, and the next ones of both sides.
const CONNECTION: &str = "10.0.0.1:40000";
const CALLER_AGAIN: &str = "10.0.0.1:40001";
const TRUNK_AGAIN: &str = "10.0.0.2:40001";
/// Another fork's Contact.
const FORK: &str = "10.0.0.3:5060";

fn over_tcp(text: &str) -> String {
    text.replace("SIP/2.0/UDP", "SIP/2.0/TCP")
}

/// `200>10.0.0.1:40000` for all that was sent since the last look; all of it by TCP.
fn log(world: &mut World) -> Vec<String> {
    let sent = world.take_sent().into_iter();
    sent.map(|sent| {
        assert_eq!(sent.by, crate::event::Transport::Tcp);
        format!("{}>{}", sent.what(), sent.to)
    })
    .collect()
}

/// A caller by TCP, with these headers in its INVITE, and our INVITE by TCP.
fn opened(headers: &str) -> (World, Opened) {
    let mut world = World::new();
    let text = over_tcp(&with_headers(&invite("broken"), headers));
    world.receive_by(by_tcp(CONNECTION), &text);
    let call = world
        .take_events()
        .iter()
        .find_map(crate::event::Event::call);
    let call = call.unwrap();
    let dial = Dial {
        flow: by_tcp(TRUNK),
        ..dial()
    };
    let b_leg = world.endpoint.dial(world.now, call, dial).unwrap();
    world.drain();
    let b_invite = world.last("INVITE");
    world.sent.clear();
    let opened = Opened {
        call,
        a_leg: b_leg,
        b_leg,
        invite: text,
        b_invite,
    };
    (world, opened)
}

fn says(world: &mut World, from: &str, text: &str) {
    world.receive_by(by_tcp(from), &over_tcp(text));
}

/// RFC 3262 §3: until its PRACK comes, by whatever connection.
#[test]
fn a_reliable_response_goes_to_sent_by_when_the_connection_is_gone() {
    let (mut world, open) = opened("Require: 100rel\r\n");
    world.ring(open.call, 180, None);
    assert_eq!(log(&mut world), [format!("180>{CONNECTION}")]);
    world.fail(by_tcp(CONNECTION));
    world.pass_ms(1_500);
    assert_eq!(log(&mut world), vec![format!("180>{CALLER}"); 2]);
    world.hang_up(open.call);
    world.assert_quiescent();
}

/// RFC 3261 §13.2.2.4: whatever connection the 2xx comes again by, and the same octets.
#[test]
fn a_2xx_that_comes_again_by_a_new_connection_meets_our_ack_there() {
    let (mut world, open) = opened("");
    let ok = response(&open.b_invite, 200, "callee", Some(SDP));
    says(&mut world, TRUNK, &ok);
    let ack = world.last("ACK");
    world.sent.clear();
    world.fail(by_tcp(TRUNK));
    says(&mut world, TRUNK_AGAIN, &ok);
    let again = world.last("ACK");
    assert_eq!((again.text, again.to), (ack.text, TRUNK_AGAIN.to_owned()));
    world.sent.clear();
    // And when that one breaks too: to the Contact.
    world.fail(by_tcp(TRUNK_AGAIN));
    world.hang_up(open.call);
    assert!(log(&mut world).contains(&format!("BYE>{TRUNK}")));
}

/// RFC 3261 §9.1, §13.2.2.4: ACK and BYE of an answer that nobody waits for.
#[test]
fn a_late_answer_whose_ack_and_bye_broke_is_acknowledged_and_ended_all_the_same() {
    let (mut world, open) = opened("");
    says(
        &mut world,
        TRUNK,
        &response(&open.b_invite, 180, "callee", None),
    );
    world.hang_up(open.call);
    let ok = response(&open.b_invite, 200, "callee", Some(SDP));
    says(&mut world, TRUNK, &ok);
    let (ack, bye) = (world.last("ACK"), world.last("BYE"));
    world.sent.clear();
    world.fail(by_tcp(TRUNK));
    world.sent.retain(|sent| sent.what() != "487");
    let what: Vec<_> = world.sent.iter().map(Sent::what).collect();
    assert_eq!(what, ["CANCEL", "BYE"], "both were unheard");
    assert_eq!(world.last("BYE"), bye);
    world.sent.clear();
    says(&mut world, TRUNK, &ok);
    assert_eq!(world.take_sent(), [ack]);
    says(&mut world, TRUNK, &response(&bye, 481, "", None));
    world.assert_quiescent();
}

/// A fork that answered too late stands elsewhere than the one that was chosen.
#[test]
fn what_another_fork_needs_goes_its_own_way_again() {
    let (mut world, open) = opened("");
    says(
        &mut world,
        TRUNK,
        &response(&open.b_invite, 200, "callee", Some(SDP)),
    );
    let other = response(&open.b_invite, 200, "other", Some(SDP));
    let contact = format!("<sip:callee@{TRUNK}>");
    let other = other.replace(&contact, &format!("<sip:callee@{FORK}>"));
    world.sent.clear();
    says(&mut world, TRUNK, &other);
    let both = [format!("ACK>{FORK}"), format!("BYE>{FORK}")];
    assert_eq!(log(&mut world), both);
    world.fail(by_tcp(FORK));
    assert_eq!(log(&mut world), [format!("BYE>{FORK}")]);
    says(&mut world, TRUNK, &other);
    assert_eq!(log(&mut world), [format!("ACK>{FORK}")]);
}

/// RFC 3261 §9.1: the INVITE rang, so its CANCEL must arrive.
#[test]
fn a_cancel_that_broke_with_its_connection_is_sent_again() {
    let (mut world, open) = opened("");
    says(
        &mut world,
        TRUNK,
        &response(&open.b_invite, 180, "callee", None),
    );
    world
        .endpoint
        .abandon(world.now, open.call, open.b_leg)
        .unwrap();
    world.drain();
    assert_eq!(log(&mut world), [format!("CANCEL>{TRUNK}")]);
    world.fail(by_tcp(TRUNK));
    assert_eq!(log(&mut world), [format!("CANCEL>{TRUNK}")]);
    let cancelled = response(&open.b_invite, 487, "callee", None);
    says(&mut world, TRUNK_AGAIN, &cancelled);
    let acknowledged = log(&mut world);
    assert!(
        acknowledged.contains(&format!("ACK>{TRUNK}")),
        "{acknowledged:?}"
    );
}

/// RFC 3261 §18.2.2: whoever reconnects from behind a NAT is reached by no other way.
#[test]
fn an_ack_by_a_new_connection_is_the_way_of_its_dialog_from_then_on() {
    let (mut world, open) = opened("");
    says(
        &mut world,
        TRUNK,
        &response(&open.b_invite, 200, "callee", Some(SDP)),
    );
    world.answer(open.call, SDP);
    let ok = world.last("200");
    world.fail(by_tcp(CONNECTION));
    says(&mut world, CALLER_AGAIN, &ack(&open.invite, &ok));
    world.sent.clear();
    world.hang_up(open.call);
    let byes = log(&mut world);
    assert!(byes.contains(&format!("BYE>{CALLER_AGAIN}")), "{byes:?}");
}

/// Breaks each connection that a message of this kind leaves by, until nothing is due any more; when it
/// left again, in milliseconds after the first break.
fn break_each(world: &mut World, to: &str, what: &str) -> Vec<u128> {
    let start = world.now;
    let mut left = Vec::new();
    loop {
        world.fail(by_tcp(to));
        // A connection that breaks anew while the message waits takes nothing with it.
        world.fail(by_tcp(to));
        let until = start + std::time::Duration::from_secs(33);
        while !world.sent.iter().any(|sent| sent.what() == what) {
            match world.endpoint.poll_deadline().filter(|at| *at < until) {
                Some(at) => world.pass(at - world.now),
                None => return left,
            }
        }
        let sent: Vec<_> = world.take_sent().iter().map(Sent::what).collect();
        assert_eq!(sent, [what]);
        left.push((world.now - start).as_millis());
    }
}

/// At once, then T1 later, doubled up to T2, and nothing after 64·T1.
const LEAVES_AGAIN: [u128; 11] = [
    0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
];

/// RFC 3261 §17.1.2.2: however fast connections break, the other side hears of the end, and timer F ends
/// what it never hears.
#[test]
fn a_bye_leaves_again_after_growing_pauses_until_timer_f() {
    let (mut world, open) = opened("");
    let ok = response(&open.b_invite, 200, "callee", Some(SDP));
    says(&mut world, TRUNK, &ok);
    world.hang_up(open.call);
    world.sent.clear();
    assert_eq!(break_each(&mut world, TRUNK, "BYE")[..], LEAVES_AGAIN[..]);
    world.assert_quiescent();
}

/// Whoever has connected anew during the pause is reached by no other way.
#[test]
fn a_request_that_waits_leaves_by_the_connection_that_its_peer_has_made_meanwhile() {
    let (mut world, open) = opened("");
    let ok = response(&open.b_invite, 200, "callee", Some(SDP));
    says(&mut world, TRUNK, &ok);
    world.hang_up(open.call);
    world.fail(by_tcp(TRUNK));
    world.fail(by_tcp(TRUNK));
    world.sent.clear();
    says(&mut world, TRUNK_AGAIN, &ok);
    let bye = world.take_sent();
    assert_eq!(bye.iter().map(Sent::what).collect::<Vec<_>>(), ["ACK"]);
    world.pass_ms(500);
    assert_eq!(log(&mut world), [format!("BYE>{TRUNK_AGAIN}")]);
}

/// What the peer has heard after all does not leave again.
#[test]
fn a_response_during_the_pause_ends_it() {
    let (mut world, open) = opened("");
    let ok = response(&open.b_invite, 200, "callee", Some(SDP));
    says(&mut world, TRUNK, &ok);
    world.hang_up(open.call);
    let bye = world.last("BYE");
    world.fail(by_tcp(TRUNK));
    world.fail(by_tcp(TRUNK));
    world.sent.clear();
    says(&mut world, TRUNK_AGAIN, &response(&bye, 200, "", None));
    world.pass_ms(33_000);
    assert_eq!(log(&mut world), [""; 0]);
    world.assert_quiescent();
}

/// A final response that broke with its connection goes out by new ones, while timer H runs.
#[test]
fn a_refusal_leaves_again_for_sent_by_after_growing_pauses_until_timer_h() {
    let (mut world, open) = opened("");
    let (status, refusal) = (StatusCode::BUSY_HERE, Refusal::default());
    let endpoint = &mut world.endpoint;
    endpoint
        .refuse(world.now, open.call, status, &refusal)
        .unwrap();
    world.drain();
    assert_eq!(
        world
            .last("486")
            .header(&HeaderName::To)
            .matches("tag")
            .count(),
        1
    );
    assert_eq!(log(&mut world), [format!("486>{CONNECTION}")]);
    world.fail(by_tcp(CONNECTION));
    assert_eq!(log(&mut world), [format!("486>{CALLER}")]);
    assert_eq!(break_each(&mut world, CALLER, "486")[..], LEAVES_AGAIN[1..]);
    world.assert_quiescent();
}
