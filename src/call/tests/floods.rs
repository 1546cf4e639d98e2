//! Floods of ten methods, from one address and from ten thousand: what is kept stays bounded, nobody
//! unknown is answered, and the next honest call works.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sip::event::{Flow, Transport};

use super::world::*;
use crate::call::event::Input;
use crate::call::snapshot::Snapshot;
use crate::cdr::record::Record;
use crate::links::resolve::ResolveRefusal;

const METHODS: [&str; 10] = [
    "ACK",
    "BYE",
    "CANCEL",
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
    world.answered(call_id);
    world.phone("BYE", call_id, 2, "");
    let bye = world.last(target(1), "BYE ");
    world.respond(&bye, "200 OK", "");
    // The worker opens its pairs again.
    world.pairs += 2;
    world.stock(world.pairs);
    world.stock(world.pairs + 1);
}

/// Calls of the honest phone while the flood lasts, each at once; time passes, and the flood goes on.
fn known_flood_goes_on(change: impl Fn(&mut Snapshot), address: impl Fn(u32) -> SocketAddr) {
    let mut world = World::new(vec![trunk(1)]);
    world.change(change);
    for round in 0..12 {
        for number in 0..150 {
            for method in METHODS {
                let id = 10_000 * round + number;
                let from = address(150 * round + number);
                world.datagram(from, &request(method, id, from));
            }
        }
        honest_call(&mut world, &format!("honest{round}"));
        let counters = world.control.counters();
        assert!(counters.calls_active <= 94, "{}", counters.calls_active);
        for table in &counters.tables {
            assert!(table.used <= table.max, "{table:?}");
        }
        world.pass(Duration::from_secs(3));
    }
    let dropped = &world.control.counters().dropped;
    let shares = [dropped.get("caller_share"), dropped.get("group_share")];
    assert!(
        shares.into_iter().flatten().sum::<u64>() > 100,
        "{dropped:?}"
    );
    world.pass(Duration::from_secs(200));
    assert!(world.control.endpoint().is_idle());
    assert_eq!(world.control.counters().calls_active, 0);
}

#[test]
fn while_one_known_source_floods_another_one_of_its_network_calls_at_once() {
    known_flood_goes_on(|_| {}, |_| address(KNOWN, 1));
}

/// The flooded network has a policy of its own; the phone is elsewhere.
#[test]
fn while_ten_thousand_known_sources_flood_another_network_calls_at_once() {
    let elsewhere = |snapshot: &mut Snapshot| {
        let mut flooded = snapshot.sources[0].clone();
        flooded.name = "flooded".into();
        flooded.networks = vec!["10.128.0.0/9".parse().unwrap()];
        snapshot.sources.insert(0, flooded);
    };
    known_flood_goes_on(elsewhere, |number| address(KNOWN, number));
}

/// The flooded network is the phone's own, which has called before.
#[test]
fn while_ten_thousand_known_sources_flood_a_phone_that_has_called_before_calls_at_once() {
    let mut world = World::new(vec![trunk(1)]);
    honest_call(&mut world, "before");
    for round in 0..5 {
        for number in 0..300 {
            let from = address(KNOWN, 300 * round + number);
            world.datagram(from, &request("INVITE", 300 * round + number, from));
        }
        honest_call(&mut world, &format!("honest{round}"));
    }
    assert!(world.control.counters().dropped["group_share"] > 1_000);
}

/// A rate of the node is shared like its tables.
#[test]
fn a_flood_takes_its_share_of_the_rate_and_the_next_call_its_own() {
    let mut world = World::new(vec![trunk(1)]);
    world.control.config.calls_per_second_max = 40;
    flood(&mut world, 100, |_| address(KNOWN, 1));
    let counters = world.control.counters();
    assert_eq!(counters.calls_active, 30);
    assert_eq!(counters.dropped["caller_rate"], 70);
    assert_eq!(counters.overloads, 0, "there is room for others");
    honest_call(&mut world, "honest");
}

/// Who has acknowledged an answer is who it says, and may have nearly all of the rate while nobody else
/// wants it.
#[test]
fn a_proven_caller_has_nearly_the_whole_rate_and_leaves_the_next_call_its_own() {
    let mut world = World::new(vec![trunk(1)]);
    honest_call(&mut world, "first");
    world.now.instant += Duration::from_secs(2);
    world.control.config.calls_per_second_max = 40;
    let before = world.control.counters().calls_offered;
    flood(&mut world, 100, |_| PHONE.parse().unwrap());
    let counters = world.control.counters();
    assert_eq!(counters.calls_offered - before, 38);
    assert_eq!(counters.overloads, 0, "there is room for others");
}

/// What a trunk may carry is not for one caller alone.
#[test]
fn a_flood_takes_its_share_of_a_trunk_and_the_next_call_its_own() {
    let mut narrow = trunk(1);
    narrow.max_calls = 4;
    let mut world = World::new(vec![narrow]);
    for number in 0..6 {
        let from = address(KNOWN, 1);
        world.datagram(from, &request("INVITE", number, from));
        world.resolved(Ok(remote("610")));
    }
    assert_eq!(world.count(target(1), "INVITE "), 3);
    assert_eq!(world.control.counters().refused["trunk_share"], 3);
    honest_call(&mut world, "honest");
}

/// Trunks have the whole table: a call manager sends its full rate from one address.
#[test]
fn a_trunk_fills_the_table_from_one_address() {
    let mut world = World::new(vec![trunk(1)]);
    for number in 0..101 {
        world.datagram(target(1), &request("INVITE", number, target(1)));
    }
    assert_eq!(world.control.counters().calls_active, 100);
    assert_eq!(world.control.counters().dropped["calls_full"], 1);
}

/// RFC 5031: what is asked for is the service, and the calls before it are no reason to refuse it.
#[test]
fn an_emergency_call_goes_on_when_every_table_is_full_and_ports_are_scarce() {
    let mut world = World::new(vec![trunk(1)]);
    for slot in PAIRS..20 {
        world.stock(slot);
    }
    world.control.config.calls_per_second_max = 100;
    for number in 0..100 {
        world.datagram(target(1), &request("INVITE", number, target(1)));
    }
    world.tickets.clear();
    for service in ["sos", "sos.fire"] {
        let text = request("INVITE", 500, PHONE.parse().unwrap());
        let text = text.replace(
            "sip:sales@198.51.100.1 SIP",
            &format!("urn:service:{service} SIP"),
        );
        let text = text.replace("500", service);
        world.datagram(PHONE.parse().unwrap(), &text);
        assert_eq!(world.tickets.last().map(|(_, user)| &**user), Some(service));
        world.resolved(Ok(remote("610")));
        let invite = world.last(target(1), "INVITE ");
        world.respond(&invite, "200 OK", &sdp("192.0.2.1", 5000, 1, ""));
        assert_eq!(world.heard(), 200);
    }
    world.invite("sales", "other", &sdp("10.0.0.5", 4000, 1, ""));
    assert_eq!(world.heard(), 503);
}

/// Neither a source nor an extension reaches help by a service that no link names, and the record and the
/// log say what is missing.
#[test]
fn an_emergency_service_without_its_link_is_refused_by_its_name() {
    let mut world = World::new(vec![trunk(1)]);
    let text = request("INVITE", 500, PHONE.parse().unwrap());
    world.datagram(
        PHONE.parse().unwrap(),
        &text.replace("sip:sales@198.51.100.1 SIP", "urn:service:SOS.fire SIP"),
    );
    world.resolved(Err(ResolveRefusal::Unknown));
    assert_eq!(world.heard(), 404);
    assert_eq!(world.count(target(1), "INVITE "), 0);
    let Some(Record::CallOpened(opened)) = world.records.first() else {
        panic!("no record of the call");
    };
    assert_eq!(opened.request_path, "sos.fire");
    assert_eq!(world.closed()[0].cause, "emergency_link_unknown");
    let mut lines = world.lines.iter();
    let warned = lines.find(|(event, _)| *event == "emergency_call_refused");
    let (_, detail) = warned.expect("a word to whoever runs the node");
    assert!(detail.contains("wants a link `sos.fire`"), "{detail}");
}

#[test]
fn the_last_ports_are_for_emergency_calls() {
    let mut world = World::new(vec![trunk(1)]);
    for slot in PAIRS..16 {
        world.stock(slot);
    }
    for number in 0..7 {
        world.answered(&format!("c{number}"));
    }
    world.invite("sales", "over", &sdp("10.0.0.5", 4000, 1, ""));
    assert_eq!(world.heard(), 503);
    let text = request("INVITE", 500, PHONE.parse().unwrap());
    world.datagram(
        PHONE.parse().unwrap(),
        &text.replace("sip:sales@198.51.100.1 SIP", "urn:service:sos SIP"),
    );
    world.resolved(Ok(remote("610")));
    let invite = world.last(target(1), "INVITE ");
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 5000, 1, ""));
    assert_eq!(world.heard(), 200);
    assert_eq!(world.control.counters().stock_available, 0);
}

/// The rate begins an overload when it is used up, and ends it when a twentieth of it is free.
#[test]
fn overload_by_the_rate_begins_at_the_rate_and_ends_with_a_margin() {
    let mut world = World::new(vec![trunk(1)]);
    world.control.config.calls_per_second_max = 40;
    let mut number = 0;
    let mut offer = |world: &mut World, after_ms: u64| {
        number += 1;
        world.now.instant += Duration::from_millis(after_ms);
        let before = world.control.counters().calls_offered;
        world.datagram(target(1), &request("INVITE", number, target(1)));
        world.control.counters().calls_offered > before
    };
    for _ in 0..40 {
        assert!(offer(&mut world, 20));
    }
    // 800 ms: the first is a second old at 1,020 ms.
    assert!(!offer(&mut world, 200));
    assert_eq!(
        world.control.counters().refused["overload_calls_per_second"],
        1
    );
    assert!(!offer(&mut world, 25), "one is free, and that is no margin");
    assert!(!offer(&mut world, 20), "two are");
    assert!(
        offer(&mut world, 20),
        "three: more than a twentieth of forty"
    );
    assert!(offer(&mut world, 0), "what it was before begins again");
    let overloads = world.control.counters().overloads;
    assert_eq!(overloads, 1, "one spell, not one for each message");
}

#[test]
fn a_flood_of_one_unknown_source_leaves_nothing_and_gets_no_answer() {
    let mut world = World::new(vec![trunk(1)]);
    flood(&mut world, 1_500, |_| address(UNKNOWN, 1));
    assert_eq!(world.starts(), [""; 0]);
    assert!(world.control.endpoint().is_idle());
    assert_eq!(world.control.counters().unknown_source, 15_000);
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
    assert!(world.tickets.len() <= 100);
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

/// The number of an emergency is no way past the share of the rate.
#[test]
fn a_flood_of_emergency_calls_leaves_the_rate_to_the_others() {
    let mut world = World::new(vec![trunk(1)]);
    world.control.config.calls_per_second_max = 20;
    let from = address(KNOWN, 1);
    for number in 0..200 {
        let text = request("INVITE", number, from);
        world.datagram(from, &text.replace("INVITE sip:sales@", "INVITE sip:112@"));
    }
    honest_call(&mut world, "honest");
}

/// The numbers of an emergency are those of the trunks' dial plans, too: the calls before are no reason
/// to refuse one.
#[test]
fn a_number_that_a_dial_plan_calls_an_emergency_goes_on_in_overload() {
    let mut plan = trunk(1);
    plan.dial_plan.emergency = vec!["144".to_owned()];
    let mut world = World::new(vec![plan]);
    world.control.config.calls_per_second_max = 5;
    for number in 0..10 {
        world.datagram(target(1), &request("INVITE", number, target(1)));
    }
    for (number, is_taken) in [("145", false), ("144", true), ("112", true)] {
        world.tickets.clear();
        world.invite(number, number, &sdp("10.0.0.5", 4000, 1, ""));
        assert_eq!(world.tickets.len(), usize::from(is_taken), "{number}");
    }
    // A plan that is changed is another one.
    world.change(|snapshot| snapshot.trunks[0].dial_plan.emergency.clear());
    world.tickets.clear();
    world.invite("144", "144b", &sdp("10.0.0.5", 4000, 1, ""));
    assert_eq!((world.heard(), world.tickets.len()), (503, 0));
}
