//! Unique aliases through whole calls.

use std::collections::BTreeSet;

use super::world::{PAIRS, World, remote, sdp, target, trunk};
use crate::call::event::Input;
use crate::links::resolve::ResolvedLink;

const CALLS: u32 = 100;

#[test]
fn a_hundred_calls_at_once_have_a_hundred_aliases() {
    // One caller has three quarters of the room.
    let mut world = World::with_calls_max(vec![trunk(1)], 2 * CALLS);
    world.change(|snapshot| snapshot.guard.calls_per_second = 0);
    // And the last two pairs are for emergency calls.
    for slot in PAIRS..2 * CALLS + 2 {
        world.stock(slot);
    }
    for (first, count) in [(1, 60), (2_001, 60)] {
        world.feed(Input::AliasBlock { first, count });
    }
    for number in 0..CALLS {
        let unique = ResolvedLink {
            unique_alias: true,
            ..remote("610")
        };
        let body = sdp("10.0.0.5", 4000, 1, "");
        world.invite("sales", &format!("c{number}"), &body);
        world.resolved(Ok(unique));
    }
    let aliases: BTreeSet<String> = world
        .sent
        .iter()
        .filter(|sent| sent.to == target(1) && sent.start().starts_with("INVITE "))
        .map(|sent| {
            let from = sent.header("From");
            let alias = from.split_once("sip:").unwrap().1;
            alias.split_once('@').unwrap().0.to_owned()
        })
        .collect();
    assert_eq!(aliases.len(), 100, "{aliases:?}");
    assert!(aliases.contains("guest.1") && aliases.contains("guest.2040"));
}
