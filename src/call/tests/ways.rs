//! Every way to an outbound INVITE, one by one: each is judged, and as what it is.

use super::extensions;
use super::placed;
use super::world::{World, remote, sdp, target, trunk};
use crate::call::command::Command;
use crate::call::event::Input;
use crate::fraud_guard::rule::{RuleKind, Scope};
use crate::fraud_guard::{Rule, Way};
use crate::links::resolve::{ResolveRefusal, ResolvedLink};

/// A world in which `way` leads out over trunk 1, and the step that goes it. A new way does not
/// compile until it stands here.
fn road(way: Way) -> (World, fn(&mut World)) {
    let mut world = World::new(vec![trunk(1)]);
    match way {
        Way::Link => (world, |world| world.call("610", "c1")),
        Way::AdHoc => {
            world.change(|snapshot| {
                snapshot.sources[0].ad_hoc = true;
                snapshot.sources[0].networks[0].address = "10.0.0.0".parse().unwrap();
                snapshot.guard.unnamed_allowed = true;
            });
            (world, ad_hoc)
        }
        Way::Api => {
            world.change(|snapshot| snapshot.guard.unnamed_allowed = true);
            (world, |world| {
                let order = placed::order("610", "+33123");
                // The refusal is the answer to the order.
                world.order(Command::Place(Box::new(order))).ok();
            })
        }
        Way::Extension => {
            let mut world = extensions::world();
            world.change(|snapshot| {
                snapshot.extensions[0].trunks = vec!["tr_1".to_owned()];
                snapshot.guard.unnamed_allowed = true;
            });
            (world, |world| {
                extensions::invite(world, "610", extensions::PHONE, "0301234567");
                world.resolved(Err(ResolveRefusal::Unknown));
            })
        }
        Way::Transit => {
            let mut from = trunk(2);
            from.carries_originating = true;
            from.carries_terminating = false;
            from.transit = true;
            from.links = vec!["sales".to_owned()];
            let mut to = trunk(1);
            to.transit = true;
            (World::new(vec![to, from]), transit)
        }
    }
}

fn ad_hoc(world: &mut World) {
    let resolved = ResolvedLink {
        link: None,
        named_by_link: false,
        ..remote("610")
    };
    // Over UDP ad hoc is for this machine only.
    let loopback = "127.0.0.1:5070".parse().unwrap();
    world.change(|snapshot| {
        snapshot.sources[0]
            .networks
            .push("127.0.0.0/8".parse().unwrap())
    });
    world.datagram(loopback, &invitation("127.0.0.1:5070"));
    world.resolved(Ok(resolved));
}

fn transit(world: &mut World) {
    world.datagram(target(2), &invitation("192.0.2.2:5060"));
    world.resolved(Ok(remote("610")));
}

fn invitation(from: &str) -> String {
    let body = sdp("192.0.2.2", 4000, 1, "");
    format!(
        "INVITE sip:sales@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKway\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:sales@198.51.100.1>\r\n\
         Call-ID: way\r\nCSeq: 1 INVITE\r\nContact: <sip:a@{from}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Blocks this way and no other.
fn block(way: Way) -> Rule {
    Rule {
        id: "gr_1".to_owned(),
        name: "this way".to_owned(),
        enabled: true,
        scope: Scope {
            ways: vec![way],
            ..Scope::default()
        },
        kind: RuleKind::Block,
    }
}

#[test]
fn every_way_to_an_outbound_invite_is_judged_as_what_it_is() {
    for way in Way::ALL {
        for blocked in Way::ALL {
            let (mut world, go) = road(way);
            world.change(|snapshot| snapshot.guard.named = vec![block(blocked)]);
            go(&mut world);
            let left = world.count(target(1), "INVITE");
            if blocked == way {
                assert_eq!(left, 0, "{way:?} went past the guard");
                let outcome = world.attempts().last().map(|closed| closed.outcome.clone());
                assert_eq!(outcome.as_deref(), Some("guard_blocked"), "{way:?}");
            } else {
                assert_eq!(left, 1, "{way:?} was judged as {blocked:?}");
            }
            world.feed(Input::Stop);
        }
    }
}

#[test]
fn both_parties_of_a_placed_call_are_judged() {
    let (mut world, go) = road(Way::Api);
    let mut only_second = block(Way::Api);
    only_second.scope.numbers = vec![crate::fraud_guard::rule::NumberMatch::parse("+33*").unwrap()];
    go(&mut world);
    let first = world.last(target(1), "INVITE");
    world.change(|snapshot| snapshot.guard.named = vec![only_second]);
    world.respond(&first, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    assert_eq!(
        world.count(target(1), "INVITE"),
        1,
        "the second never leaves"
    );
    assert!(
        world
            .attempts()
            .iter()
            .any(|closed| closed.outcome == "guard_blocked")
    );
}
