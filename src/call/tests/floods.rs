//! Floods of seven methods, from one address and from ten thousand: what is kept stays bounded, nobody
//! unknown is answered, and the next honest call works.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sip::event::{Flow, Transport};

use super::world::*;
use crate::call::event::Input;

const METHODS: [&str; 7] = [
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "MESSAGE",
    "INVITE",
    "OPTIONS",
];

fn address(network: u32, number: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from_bits(network + number), 5060))
}

/// 10.128.0.0 lies in the known network, 203.0.0.0 does not.
const KNOWN: u32 = 0x0a80_0000;
const UNKNOWN: u32 = 0xcb00_0000;

fn request(method: &str, number: u32, from: SocketAddr) -> String {
    let body = sdp("10.0.0.5", 4000, 1, "");
    format!(
        "{method} sip:sales@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKf{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:x@{from}>;tag=f{number}\r\nTo: <sip:sales@198.51.100.1>\r\n\
         Call-ID: flood{method}{number}\r\nCSeq: 1 {method}\r\nContact: <sip:x@{from}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// `count` requests of each method; `address` gives the sender of each.
fn flood(world: &mut World, count: u32, address: impl Fn(u32) -> SocketAddr) {
    let mut number = 0;
    for _ in 0..count {
        for method in METHODS {
            number += 1;
            let from = address(number);
            world.datagram(from, &request(method, number, from));
        }
    }
}

/// The honest phone calls, is answered and hangs up.
fn honest_call(world: &mut World, call_id: &str) {
    world.sent.clear();
    world.tickets.clear();
    world.call("desk", call_id);
    let invite = world.last(target(1), "INVITE ");
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 5000, 1, ""));
    assert_eq!(world.heard(), 200);
}

#[test]
fn a_flood_of_one_unknown_source_leaves_nothing_and_gets_no_answer() {
    let mut world = World::new(vec![trunk(1)]);
    flood(&mut world, 1_500, |_| address(UNKNOWN, 1));
    assert_eq!(world.starts(), [""; 0]);
    assert!(world.control.endpoint().is_idle());
    assert_eq!(world.control.counters().unknown_source, 10_500);
    honest_call(&mut world, "honest");
}

#[test]
fn a_flood_of_ten_thousand_unknown_sources_leaves_nothing_and_gets_no_answer() {
    let mut world = World::new(vec![trunk(1)]);
    flood(&mut world, 1_500, |number| address(UNKNOWN, number));
    assert_eq!(world.starts(), [""; 0]);
    assert!(world.control.endpoint().is_idle());
    honest_call(&mut world, "honest");
}

/// The same by connections: each is closed at its first message.
#[test]
fn connections_of_unknown_sources_are_closed_without_a_word() {
    let mut world = World::new(vec![trunk(1)]);
    for number in 0..10_000 {
        let flow = Flow {
            transport: Transport::Tcp,
            local: US.parse().unwrap(),
            remote: address(UNKNOWN, number),
        };
        let text = request("OPTIONS", number, flow.remote);
        let bytes = text.as_bytes();
        world.feed(Input::Datagram { flow, bytes });
    }
    assert_eq!(world.starts(), [""; 0]);
    assert_eq!(world.closed.len(), 10_000);
    assert!(world.control.endpoint().is_idle());
    honest_call(&mut world, "honest");
}

/// A flood from those that may call: what is kept has its bounds, a call that is up is not touched,
/// and when the refused calls are forgotten everything is as before.
fn known_flood(address: impl Fn(u32) -> SocketAddr) {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("before");
    flood(&mut world, 1_500, address);
    let counters = world.control.counters();
    assert!(counters.calls_active <= 101, "{}", counters.calls_active);
    assert!(world.control.endpoint().active_calls() <= 100);
    let entries = sip::limits::call_entries_max(100, 0);
    assert!(world.control.calls.len() <= usize::try_from(entries).unwrap());
    assert!(world.tickets.len() <= 1_500);
    let byes = world.count(target(1), "BYE ");
    world.phone("BYE", "before", 2, "");
    let ended = world.count(target(1), "BYE ") - byes;
    assert_eq!(
        (world.heard(), ended),
        (200, 1),
        "the call that was up ends as it should"
    );
    world.pass(Duration::from_secs(200));
    assert!(world.control.endpoint().is_idle());
    assert_eq!(world.control.counters().calls_active, 0);
    honest_call(&mut world, "after");
}

#[test]
fn a_flood_of_one_known_source_is_bounded_and_passes() {
    known_flood(|_| address(KNOWN, 1));
}

#[test]
fn a_flood_of_ten_thousand_known_sources_is_bounded_and_passes() {
    known_flood(|number| address(KNOWN, number));
}
