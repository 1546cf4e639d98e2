//! Overload, and floods of each method.

use std::time::Duration;

use super::world::*;
use crate::event::{EndpointConfig, Refusal};
use crate::message::{HeaderName, StatusCode};

const METHODS: [&str; 12] = [
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "MESSAGE",
    "INVITE",
    "OPTIONS",
    "REFER",
    "INFO",
    "PRACK",
    "UPDATE",
    "BREW",
];

fn overloaded() -> World {
    let mut world = World::of(EndpointConfig {
        emergency_numbers: vec!["112".into(), "911".into()],
        ..config(100)
    });
    world.endpoint.set_overloaded(true, Duration::from_secs(4));
    world
}

/// J-06, RFC 3261 §8.2.7: one datagram, no timer, and nothing kept.
#[test]
fn in_overload_a_new_invite_gets_a_stateless_503() {
    let mut world = overloaded();
    let mut waits = std::collections::BTreeSet::new();
    for number in 0..50 {
        let text = invite(&format!("o{number}"));
        world.receive(CALLER, &text);
        let refusal = world.last("503");
        waits.insert(
            refusal
                .header(&HeaderName::RetryAfter)
                .parse::<u32>()
                .unwrap(),
        );
        world.receive(CALLER, &text);
        assert_eq!(
            world.take_sent(),
            [refusal.clone(), refusal],
            "the same octets again"
        );
        assert_eq!(
            world.event_names(),
            ["Dropped overloaded", "Dropped overloaded"]
        );
        assert!(world.endpoint.is_idle() && world.endpoint.poll_deadline().is_none());
    }
    assert!(waits.len() > 3, "not all come back at once: {waits:?}");
    assert!(
        waits.iter().all(|wait| (4..=10).contains(wait)),
        "{waits:?}"
    );
    world.endpoint.set_overloaded(false, Duration::ZERO);
    let (call, ..) = world.offered("after");
    world.hang_up(call);
    world.assert_quiescent();
}

#[test]
fn in_overload_emergency_calls_and_calls_that_stand_go_on() {
    let mut world = overloaded();
    world.endpoint.set_overloaded(false, Duration::ZERO);
    let c = world.connected();
    world.endpoint.set_overloaded(true, Duration::from_secs(4));
    let uri = "INVITE sip:link@10.0.0.9:5060";
    for (number, target) in [
        "INVITE urn:service:sos",
        "INVITE URN:Service:SOS.fire",
        "INVITE sip:112@10.0.0.9",
        "INVITE sip:911@10.0.0.9;user=phone",
    ]
    .iter()
    .enumerate()
    {
        world.receive(
            CALLER,
            &invite(&format!("sos{number}")).replace(uri, target),
        );
        assert_eq!(world.event_names(), ["CallOffered"], "{target}");
    }
    for (number, target) in [
        "INVITE sip:1120@10.0.0.9",
        "INVITE sip:x112@10.0.0.9",
        "INVITE sip:10.0.0.9",
        "INVITE sip:urn:service:sos@10.0.0.9",
    ]
    .iter()
    .enumerate()
    {
        world.receive(CALLER, &invite(&format!("no{number}")).replace(uri, target));
        assert_eq!(world.event_names(), ["Dropped overloaded"], "{target}");
    }
    world.receive(
        CALLER,
        &invite("urn").replace(uri, "INVITE urn:service:sosyouth"),
    );
    assert_eq!(world.event_names(), ["Dropped uri_scheme"]);
    world.sent.clear();
    // RFC 3261 §21.5.4 is for new calls: what stands can be changed, and ends.
    world.receive(CALLER, &c.caller_says("INVITE", 2, "re", SDP));
    assert_eq!(world.event_names(), ["Reoffered sdp"]);
    world
        .endpoint
        .answer_reoffer(world.now, c.call, c.a_leg, &sdp())
        .unwrap();
    world.drain();
    world.receive(CALLER, &c.caller_says("BYE", 3, "bye", ""));
    assert!(
        world
            .event_names()
            .contains(&"Ended Originating Bye".to_owned())
    );
}

/// B-01, B-02: OPTIONS is answered at once and never challenged, also in overload.
#[test]
fn options_is_answered_in_overload() {
    let mut world = overloaded();
    let ping = request(
        "OPTIONS",
        CALLER,
        "<sip:a@b>;tag=1",
        "<sip:link@10.0.0.9>",
        "ping",
        1,
        "ping",
        "",
    );
    for _ in 0..100 {
        world.receive(CALLER, &ping);
    }
    let log = world.log();
    assert_eq!(log.len(), 100, "and never limited");
    assert!(log.iter().all(|line| line == "200>caller"));
    assert!(world.endpoint.is_idle());
}

/// Reliability §5 groups 9 and 20: each method from one source and from 10,000; nothing is kept, and
/// the next honest call works.
#[test]
fn a_flood_of_any_method_keeps_nothing() {
    for method in METHODS {
        let mut world = overloaded();
        for number in 0..2_000_u32 {
            let from = format!("198.51.{}.{}:5060", number / 250 % 40, number % 250 + 1);
            let source = if number % 2 == 0 { CALLER } else { &from };
            let id = format!("flood{number}");
            let text = request(
                method,
                source,
                "<sip:a@b>;tag=1",
                "<sip:link@10.0.0.9>",
                &id,
                1,
                &id,
                "",
            );
            world.receive(source, &text);
            let answers = world.take_sent();
            assert_eq!(answers.len(), 1, "{method}: one datagram");
            assert!(
                answers[0].text.len() <= text.len() + 320,
                "{method}: no amplifier"
            );
        }
        world.events.clear();
        assert!(world.endpoint.is_idle(), "{method} keeps nothing");
        world.endpoint.set_overloaded(false, Duration::ZERO);
        let c = world.connected();
        world.hang_up(c.call);
        world.assert_quiescent();
    }
}

/// RFC 3261 §8.2.7: whoever is turned away leaves nothing behind, and hears it once each time it asks.
#[test]
fn a_caller_that_is_turned_away_hears_it_once_and_leaves_nothing() {
    let mut world = World::new();
    let mut tags = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let (call, _, text) = world.offered("away");
        let refusal = Refusal {
            headers: vec![(HeaderName::WwwAuthenticate, b"Digest x".as_slice().into())],
            ..Refusal::default()
        };
        world
            .endpoint
            .turn_away(world.now, call, StatusCode::UNAUTHORIZED, &refusal)
            .unwrap();
        world.drain();
        let heard = world.last("401");
        assert_eq!(heard.header(&HeaderName::WwwAuthenticate), "Digest x");
        tags.insert(heard.to_tag());
        assert_eq!(world.log(), ["100>caller", "401>caller"]);
        assert_eq!(world.event_names().last().unwrap(), "CallGone");
        assert!(world.endpoint.is_idle() && world.endpoint.poll_deadline().is_none());
        world.receive(CALLER, &ack(&text, &heard));
        assert_eq!(world.event_names(), ["Dropped stray_ack"]);
        assert_eq!(world.endpoint.active_calls(), 0);
    }
    assert_eq!(tags.len(), 1, "each repetition gets the same tag");
}

/// Who rings somebody already is not turned away any more.
#[test]
fn a_call_with_an_attempt_is_refused_and_not_turned_away() {
    let mut world = World::new();
    let (call, _, _) = world.offered("away2");
    world.dial(call);
    let refusal = Refusal::default();
    let status = StatusCode::UNAUTHORIZED;
    assert!(
        world
            .endpoint
            .turn_away(world.now, call, status, &refusal)
            .is_err()
    );
    world
        .endpoint
        .refuse(world.now, call, status, &refusal)
        .unwrap();
    world.drain();
    world.receive(CALLER, &ack(&invite("away2"), &world.last("401")));
    world.assert_quiescent();
}
