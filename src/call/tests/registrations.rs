//! Trunks that want our REGISTER: when it is sent, and what calls do meanwhile.

use std::time::Duration;

use super::world::{World, remote, target, trunk};
use crate::registration::WAIT_FIRST;
use crate::trunks::model::{Secret, Trunk};

pub(super) fn registering() -> Trunk {
    let mut trunk = trunk(1);
    trunk.register = true;
    trunk.username = Some("4930".to_owned());
    trunk.password = Some(Secret::new("hush".to_owned()));
    trunk
}

const CHALLENGE: &str = "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"carrier\", \
                         nonce=\"n\", qop=\"auth\", algorithm=MD5";

/// The registrar's word for our binding.
const GRANTED: &str = "200 OK\r\nService-Route: <sip:edge.example.net;lr>\r\nExpires: 600";

#[test]
fn a_trunk_is_registered_with_before_it_carries_a_call_and_again_before_the_binding_ends() {
    let mut world = World::new(vec![registering()]);
    let first = world.last(target(1), "REGISTER");
    assert!(first.header("Contact").contains("4930@"));
    world.call_link("c1", Ok(remote("610")));
    assert_eq!(world.heard(), 503, "not registered yet");
    world.respond(&first, CHALLENGE, "");
    let second = world.last(target(1), "REGISTER");
    assert!(second.header("Authorization").contains("username=\"4930\""));
    assert_eq!(second.header("Call-ID"), first.header("Call-ID"));
    world.respond(&second, GRANTED, "");
    world.call_link("c2", Ok(remote("610")));
    let invite = world.last(target(1), "INVITE");
    assert_eq!(invite.header("Route"), "<sip:edge.example.net;lr>");
    let before = world.count(target(1), "REGISTER");
    world.pass(Duration::from_secs(595));
    assert!(
        world.count(target(1), "REGISTER") > before,
        "refreshed in time"
    );
}

#[test]
fn a_registrar_that_refuses_is_asked_again_later_and_less_often() {
    let mut world = World::new(vec![registering()]);
    let first = world.last(target(1), "REGISTER");
    world.respond(&first, "403 Forbidden", "");
    assert_eq!(world.count(target(1), "REGISTER"), 1);
    world.pass(WAIT_FIRST / 2 - Duration::from_millis(1));
    assert_eq!(
        world.count(target(1), "REGISTER"),
        1,
        "not before half the wait"
    );
    world.pass(WAIT_FIRST / 2);
    let again = world.last(target(1), "REGISTER");
    assert_ne!(again.header("CSeq"), first.header("CSeq"));
    assert_eq!(again.header("Call-ID"), first.header("Call-ID"));
}
