//! INFO on both legs.

use super::world::*;
use crate::error::CommandError;
use crate::event::{EndpointConfig, Event};
use crate::limits::{INFO_BODY_SIZE_MAX, INFOS_PENDING_MAX};
use crate::message::{HeaderName, Method};

const DIGIT: &str = "Signal=5\r\nDuration=160\r\n";

fn world() -> World {
    let mut config = EndpointConfig {
        info_types: vec![
            "application/dtmf-relay".into(),
            "application/media_control+xml".into(),
        ],
        ..config(100)
    };
    config.allow.push(Method::Info);
    World::of(config)
}

fn with_type(request: &str, content_type: &str) -> String {
    request.replace("application/sdp", content_type)
}

#[test]
fn an_info_is_answered_and_handed_up_and_can_be_relayed() {
    let mut world = world();
    let c = world.connected();
    let info = with_type(
        &c.caller_says("INFO", 2, "i", DIGIT),
        "Application/DTMF-Relay; x=y",
    );
    world.receive(CALLER, &info);
    world.receive(CALLER, &info);
    assert_eq!(
        world.log(),
        ["200>caller", "200>caller"],
        "the repetition is no second digit"
    );
    let [
        Event::InfoReceived {
            leg,
            content_type,
            body,
            ..
        },
    ] = &world.take_events()[..]
    else {
        panic!("one event")
    };
    assert_eq!((*leg, &**content_type), (c.a_leg, "application/dtmf-relay"));
    assert_eq!(**body, *DIGIT.as_bytes());
    let (content_type, body) = (content_type.clone(), body.clone());
    world
        .endpoint
        .inform(world.now, c.call, c.b_leg, &content_type, &body)
        .unwrap();
    world.drain();
    let relayed = world.last("INFO");
    assert_eq!(relayed.to, TRUNK);
    assert_eq!(
        relayed.header(&HeaderName::ContentType),
        "application/dtmf-relay"
    );
    assert_eq!(relayed.parsed().body(), DIGIT.as_bytes());
    world.receive(TRUNK, &response(&relayed, 200, "callee", None));
    world.hang_up(c.call);
    world.assert_quiescent();
}

/// One without a body only asks whether we live.
#[test]
fn an_info_without_a_body_has_no_type() {
    let mut world = world();
    let c = world.connected();
    world.receive(TRUNK, &c.callee_says("INFO", 1, "empty", ""));
    assert_eq!(world.log(), ["200>trunk"]);
    assert_eq!(world.event_names(), ["InfoReceived  0"]);
    world.hang_up(c.call);
    world.assert_quiescent();
}

#[test]
fn an_info_that_is_not_taken_changes_nothing() {
    let mut world = world();
    let c = world.connected();
    let unknown = with_type(&c.caller_says("INFO", 2, "u", DIGIT), "text/html");
    world.receive(CALLER, &unknown);
    let accept = world.last("415").header(&HeaderName::Accept);
    assert_eq!(
        accept,
        "application/dtmf-relay, application/media_control+xml"
    );
    let packed = with_type(
        &c.caller_says("INFO", 3, "e", DIGIT),
        "application/dtmf-relay",
    );
    world.receive(CALLER, &with_headers(&packed, "Content-Encoding: gzip\r\n"));
    let large = "5".repeat(INFO_BODY_SIZE_MAX + 1);
    let large = with_type(
        &c.caller_says("INFO", 4, "l", &large),
        "application/dtmf-relay",
    );
    world.receive(CALLER, &large);
    assert_eq!(world.log(), ["415>caller", "415>caller", "413>caller"]);
    assert_eq!(
        world.event_names(),
        [
            "Dropped media_type",
            "Dropped media_type",
            "Dropped info_too_large"
        ]
    );
    // Outside a dialog, and for a dialog that is none.
    let stray = c
        .caller_says("INFO", 5, "s", "")
        .replace("tag=alice", "tag=mallory");
    world.receive(CALLER, &stray);
    assert_eq!(world.log(), ["481>caller"]);
    world.hang_up(c.call);
    world.assert_quiescent();
    // Where INFO is not taken at all.
    let mut world = World::new();
    let c = world.connected();
    world.receive(CALLER, &c.caller_says("INFO", 2, "no", ""));
    assert_eq!(world.log(), ["405>caller"]);
    world.hang_up(c.call);
    world.assert_quiescent();
}

/// RFC 5057 §5.1 for 481; a peer that never answers an INFO keeps its call.
#[test]
fn only_a_481_to_our_info_ends_the_call() {
    for (status, ends) in [
        (200, false),
        (408, false),
        (415, false),
        (500, false),
        (481, true),
    ] {
        let mut world = world();
        let c = world.connected();
        world
            .endpoint
            .inform(world.now, c.call, c.b_leg, "a/b", b"x")
            .unwrap();
        world.drain();
        let info = world.last("INFO");
        world.receive(TRUNK, &response(&info, status, "callee", None));
        let ended = world.event_names() == ["Ended Gateway DialogLost"];
        assert_eq!(ended, ends, "{status}");
        if !ends {
            world.hang_up(c.call);
        }
        world.assert_quiescent();
    }
    let mut world = world();
    let c = world.connected();
    world
        .endpoint
        .inform(world.now, c.call, c.b_leg, "a/b", b"x")
        .unwrap();
    world.drain();
    world.pass_ms(32_000);
    assert_eq!(world.event_names(), [""; 0], "silence");
    world.hang_up(c.call);
    world.assert_quiescent();
}

#[test]
fn our_infos_are_bounded_and_need_a_confirmed_leg() {
    let mut world = world();
    let (call, a_leg, _) = world.offered("early");
    let early = world.endpoint.inform(world.now, call, a_leg, "a/b", b"x");
    assert_eq!(early, Err(CommandError::WrongState));
    world.hang_up(call);
    let c = world.connected();
    for _ in 0..INFOS_PENDING_MAX {
        world
            .endpoint
            .inform(world.now, c.call, c.b_leg, "a/b", b"x")
            .unwrap();
        world.drain();
    }
    let more = world
        .endpoint
        .inform(world.now, c.call, c.b_leg, "a/b", b"x");
    assert_eq!(more, Err(CommandError::LimitReached));
    let info = world.last("INFO");
    world.receive(TRUNK, &response(&info, 200, "callee", None));
    world
        .endpoint
        .inform(world.now, c.call, c.b_leg, "a/b", b"x")
        .unwrap();
    world.drain();
    let large = vec![0; INFO_BODY_SIZE_MAX + 1];
    let more = world
        .endpoint
        .inform(world.now, c.call, c.b_leg, "a/b", &large);
    assert_eq!(more, Err(CommandError::LimitReached));
    world.hang_up(c.call);
    world.assert_quiescent();
}
