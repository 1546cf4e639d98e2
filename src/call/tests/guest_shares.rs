//! What one guest's network may take of what all calls share.

use std::net::IpAddr;
use std::time::Duration;

use super::guests::{BROWSERS, offer, pair};
use super::world::{World, link, remote, target, trunk};
use crate::call::browser::event::{BrowserCall, BrowserInput, BrowserOutput, GuestKey};
use crate::call::event::Input;
use crate::links::model::Destination;
use crate::links::resolve::ResolvedLink;
use media::command::Report;

/// Calls that a trunk carries that no test fills.
const WIDE: i32 = 1_000;
const ONE: &str = "203.0.113.7";
const OTHER: &str = "203.0.113.8";

fn world(max_calls: i32) -> World {
    let mut narrow = trunk(1);
    narrow.max_calls = max_calls;
    let mut world = World::new(vec![narrow]);
    for slot in 8..60 {
        world.stock(slot);
    }
    for slot in BROWSERS..BROWSERS + 200 {
        let report = Report::BrowserStocked {
            pair: pair(slot),
            at: "198.51.100.1:9000".parse().unwrap(),
        };
        world.feed(Input::Report { report });
    }
    world
}

/// A guest calls from there; why it was sent away.
fn call(world: &mut World, number: u64, client: &str) -> Option<&'static str> {
    call_by(world, number, client, remote("610"))
}

fn call_by(
    world: &mut World,
    number: u64,
    client: &str,
    link: ResolvedLink,
) -> Option<&'static str> {
    let call = BrowserCall {
        link,
        offer: offer("aaaa", None),
        client: client.parse::<IpAddr>().unwrap(),
    };
    let (guest, input) = (GuestKey(number), BrowserInput::Call(Box::new(call)));
    world.feed(Input::Browser { guest, input });
    let told = std::mem::take(&mut world.told).into_iter();
    told.filter_map(|(told, output)| {
        let BrowserOutput::Ended { cause, .. } = output else {
            return None;
        };
        (told == guest).then_some(cause)
    })
    .last()
}

#[test]
fn a_network_of_guests_leaves_a_quarter_of_the_second_to_others() {
    let mut world = world(WIDE);
    world.control.config.calls_per_second_max = 40;
    let refused = (0..100).filter_map(|number| {
        let cause = call(&mut world, number, ONE);
        world.feed(Input::Browser {
            guest: GuestKey(number),
            input: BrowserInput::HangUp,
        });
        cause
    });
    let refused: Vec<_> = refused.collect();
    assert_eq!(refused, ["caller_rate"; 70]);
    assert_eq!(call(&mut world, 200, OTHER), None);
    world.pass(Duration::from_secs(1));
    assert_eq!(call(&mut world, 201, ONE), None);
}

#[test]
fn what_is_no_offer_takes_nothing_of_the_second() {
    let mut world = world(WIDE);
    world.control.config.calls_per_second_max = 4;
    for number in 0..20 {
        let call = BrowserCall {
            link: remote("610"),
            offer: sip::sdp::SessionDescription::parse(
                b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
            )
            .unwrap(),
            client: ONE.parse().unwrap(),
        };
        let input = BrowserInput::Call(Box::new(call));
        let guest = GuestKey(number);
        world.feed(Input::Browser { guest, input });
        let told = std::mem::take(&mut world.told);
        let [(_, BrowserOutput::Ended { cause, status, .. })] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!(
            (*status, cause.starts_with("browser_")),
            (488, true),
            "{cause}"
        );
    }
    assert_eq!(call(&mut world, 100, ONE), None);
}

#[test]
fn calls_of_guests_that_nobody_answers_leave_room_on_a_trunk() {
    let mut world = world(4);
    let refused: Vec<_> = (0..6)
        .filter_map(|number| call(&mut world, number, ONE))
        .collect();
    assert_eq!(world.count(target(1), "INVITE "), 3);
    assert_eq!(refused, ["trunk_share"; 3]);
    assert_eq!(call(&mut world, 10, OTHER), None);
    assert_eq!(world.count(target(1), "INVITE "), 4);
}

#[test]
fn calls_of_guests_that_nobody_answers_leave_room_in_the_table() {
    let mut world = world(WIDE);
    world.control.config.endpoint.calls_max = 8;
    let refused: Vec<_> = (0..9)
        .filter_map(|number| call(&mut world, number, ONE))
        .collect();
    assert_eq!(refused, ["caller_share"; 3]);
    assert_eq!(call(&mut world, 20, OTHER), None);
    // Who has hung up counts no more.
    for number in 0..6 {
        let guest = GuestKey(number);
        let input = BrowserInput::HangUp;
        world.feed(Input::Browser { guest, input });
    }
    assert_eq!(call(&mut world, 21, ONE), None);
}

/// Whoever has a network of IPv6 has as many addresses as he likes.
#[test]
fn addresses_of_one_network_have_one_share() {
    let mut world = world(WIDE);
    world.control.config.endpoint.calls_max = 8;
    let refused: Vec<_> = (0..9)
        .filter_map(|number| call(&mut world, number, &format!("2001:db8::{number}")))
        .collect();
    assert_eq!(refused, ["caller_share"; 3]);
    assert_eq!(call(&mut world, 20, "2001:db8:0:1::"), None);
}

#[test]
fn a_call_that_was_answered_takes_no_share() {
    let mut world = world(WIDE);
    world.control.config.endpoint.calls_max = 8;
    for number in 0..8 {
        let echo = link(Destination::Echo);
        assert_eq!(call_by(&mut world, number, ONE, echo), None, "{number}");
    }
    assert_eq!(call(&mut world, 8, OTHER), Some("calls_max"));
}

/// One call each: all guests together leave a little to who is none.
#[test]
fn many_networks_of_guests_leave_room_in_the_table_and_on_a_trunk() {
    for (calls_max, max_calls, cause) in [(32, WIDE, "caller_share"), (100, 32, "trunk_share")] {
        let mut world = world(max_calls);
        world.control.config.endpoint.calls_max = calls_max;
        let refused: Vec<_> = (0..40)
            .filter_map(|number| call(&mut world, number, &format!("203.0.113.{number}")))
            .collect();
        assert_eq!(refused, [cause; 10]);
    }
}
