//! When the socket of a leg is connected to its peer, and when it is opened again; how long a turn
//! waits.

use std::time::Duration;

use packet_io::Delivery;

use super::harness::{Harness, Stream, TestLeg, address, plan};
use crate::command::{LegPlan, Target};
use packet_io::NoFaults;

fn speak(harness: &mut Harness, leg: TestLeg, stream: &mut Stream, milliseconds: u64) {
    for _ in 0..milliseconds / 20 {
        harness.exchange(leg.ours, leg.peer, &stream.next());
        harness.pass_ms(20);
        harness.sent();
    }
}

fn is_connected(harness: &mut Harness, leg: TestLeg) -> bool {
    let probe = harness.deliver(leg.ours, address("192.0.2.66:1"), b"?");
    harness.turn();
    probe == Delivery::Stranger
}

#[test]
fn a_stable_leg_is_connected_and_a_silent_one_opened() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(1);
    speak(&mut harness, a, &mut stream, 900);
    assert!(!is_connected(&mut harness, a));
    speak(&mut harness, a, &mut stream, 1_200);
    assert!(is_connected(&mut harness, a));
    assert!(!is_connected(&mut harness, b), "nothing came from there");
    let sent = harness.exchange(a.ours, a.peer, &stream.next());
    assert_eq!(sent[0].to, b.peer);
    harness.exchange(b.ours, b.peer, &Stream::new(2).next());
    harness.pass_ms(1_100);
    assert!(!is_connected(&mut harness, a), "silent for a second");
    speak(&mut harness, a, &mut stream, 2_200);
    assert!(is_connected(&mut harness, a));
}

#[test]
fn what_is_sent_to_a_connected_leg_arrives() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(1);
    speak(&mut harness, a, &mut stream, 2_500);
    assert!(is_connected(&mut harness, a));
    let sent = harness.exchange(b.ours, b.peer, &Stream::new(2).next());
    assert_eq!((sent[0].from, sent[0].to), (a.ours, a.peer));
}

#[test]
fn an_update_opens_the_socket_before_it_takes_effect() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(1);
    speak(&mut harness, a, &mut stream, 2_500);
    assert!(is_connected(&mut harness, a));
    let moved = LegPlan {
        version: 2,
        ..plan("198.51.100.9:5000")
    };
    harness.update(a, moved, Target::Leg(b.pair));
    let new = address("198.51.100.9:5000");
    assert_eq!(
        harness.exchange(a.ours, new, &Stream::new(3).next()).len(),
        1
    );
}

/// The twin refuses to connect across families; a kernel may refuse for want of a route.
#[test]
fn a_refused_connect_leaves_the_leg_as_it_was() {
    let mut harness = Harness::new();
    let (a, b) = harness.call_with(plan("[2001:db8::1]:4000"), plan("203.0.113.2:6000"));
    let mut stream = Stream::new(1);
    speak(&mut harness, a, &mut stream, 2_500);
    let sent = harness.exchange(b.ours, b.peer, &Stream::new(2).next());
    assert_eq!((sent[0].from, sent[0].to), (a.ours, a.peer));
}

#[test]
fn a_lone_call_is_not_delayed_and_a_thousand_share_a_turn() {
    let mut harness = Harness::with(NoFaults, |config| {
        config.pairs_max = 512;
        config.stock = 256;
        config.ports = 10_000..=20_000;
    });
    for _ in 0..40 {
        harness.turn();
    }
    let (a, _) = harness.call();
    let mut stream = Stream::new(1);
    speak(&mut harness, a, &mut stream, 400);
    assert_eq!(
        (harness.wait.want, harness.wait.min_wait),
        (1, Duration::ZERO)
    );
    let mut legs = Vec::new();
    for call in 1..=100_u16 {
        let leg = harness.connect(plan(&format!("203.0.113.{call}:6000")), Target::Echo);
        legs.push((leg, Stream::new(u32::from(call))));
    }
    for _ in 0..30 {
        for (leg, stream) in &mut legs {
            let packet = stream.next();
            harness.deliver(leg.ours, leg.peer, &packet);
        }
        harness.turn();
        harness.pass_ms(20);
        harness.sent();
    }
    assert!(harness.wait.until.is_some_and(|until| until > harness.now));
    // 5,000 packets a second in half a millisecond.
    assert!(
        (2..=3).contains(&harness.wait.want),
        "{}",
        harness.wait.want
    );
    assert!(harness.wait.min_wait <= Duration::from_micros(600));
}

/// However many legs there are, waits for packets end a hundred times a second for them at most.
#[test]
fn what_legs_have_to_do_waits_for_the_next_step() {
    let mut harness = Harness::new();
    let start = harness.now;
    for number in 0..8_u16 {
        harness.connect(
            plan(&format!("198.51.100.1:{}", 4_000 + 2 * number)),
            Target::Echo,
        );
        harness.pass(Duration::from_micros(1_237));
    }
    let mut dues = 0;
    while let Some(at) = harness.worker.poll_deadline().filter(|_| dues < 100) {
        let since_us = at.duration_since(start).as_micros();
        assert_eq!(since_us % 10_000, 0, "{since_us}");
        harness.pass(at.duration_since(harness.now));
        dues += 1;
    }
    assert_eq!(dues, 100, "reports go on for as long as the legs");
}
