//! The node itself: echo, unknown links and sources, ends and starts.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::gateway::{Backend, Gateway, SIP, link, spawn, write_config};
use crate::phone::{Phone, payload};
use crate::world::World;

fn echo_link() -> String {
    link("echo", "local:echo")
}

#[test]
fn a_call_to_echo_gets_its_own_rtp_back() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let gateway = Gateway::start(&world, &echo_link());
    hears_itself();
    let calls = gateway.closed_calls(1);
    assert_eq!(calls[0]["status"], 200, "{calls:?}");
    assert_eq!(calls[0]["media"]["packets_received"], 50, "{calls:?}");
    assert_eq!(calls[0]["request_path"], "echo");
}

/// Calls echo, talks for a second and hangs up.
pub(crate) fn hears_itself() {
    let mut phone = Phone::new("127.0.0.1");
    let target = phone.call("echo");
    let heard = phone.exchange(target, 50);
    phone.hang_up();
    assert!(
        heard.len() >= 40,
        "only {} of 50 packets came back",
        heard.len()
    );
    let sent: Vec<Vec<u8>> = (0..50).map(payload).collect();
    assert!(
        heard.iter().all(|payload| sent.contains(payload)),
        "a packet that was never sent"
    );
}

#[test]
fn an_unknown_link_is_404() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let _gateway = Gateway::start(&world, &echo_link());
    let phone = Phone::new("127.0.0.1");
    phone.invite("nowhere");
    assert_eq!(phone.final_response().map(|(status, _)| status), Some(404));
}

#[test]
fn an_unknown_source_gets_silence() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let _gateway = Gateway::start(&world, &echo_link());
    let stranger = Phone::new("127.0.0.9");
    stranger.invite("echo");
    // Datagrams are handled in the order they came: when this one is answered, that one was seen.
    let known = Phone::new("127.0.0.1");
    known.options();
    assert_eq!(known.final_response().map(|(status, _)| status), Some(200));
    assert!(stranger.has_heard_nothing());
}

#[test]
fn epoll_carries_a_call_as_the_ring_does() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let _gateway = Gateway::start_on(&world, Backend::Epoll, &echo_link());
    hears_itself();
}

/// The demonstration as it is in the tree, with its data in the folder of the test.
pub(crate) fn demo(world: &World) -> PathBuf {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/demo.toml");
    let text = std::fs::read_to_string(demo).expect("conf/demo.toml");
    let data = format!("data = \"{}\"", world.file("data").display());
    let lines = text.lines().map(|line| {
        if line.starts_with("data = ") {
            &data
        } else {
            line
        }
    });
    world.write("demo.toml", &lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn sigterm_in_the_demo_ends_within_four_seconds_though_the_peer_is_silent() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let mut gateway = Gateway::start_with(&world, demo(&world));
    let mut phone = Phone::new("127.0.0.1");
    phone.call("echo");
    let asked = Instant::now();
    gateway.signal(Signal::SIGTERM);
    let status = gateway.process.wait(Duration::from_secs(4));
    assert!(
        status.success(),
        "{status} after {:?}\n{}",
        asked.elapsed(),
        gateway.process.said()
    );
    let bye = phone.receive().expect("a message");
    assert!(bye.starts_with("BYE "), "{bye}");
}

#[test]
fn calls_open_at_a_kill_are_closed_with_node_restart() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let mut gateway = Gateway::start(&world, &echo_link());
    let mut phone = Phone::new("127.0.0.1");
    phone.call("echo");
    // The row is written behind the call: the kill comes when it is there.
    crate::world::until("an open call", Duration::from_secs(5), || {
        !gateway.calls().is_empty()
    });
    gateway.signal(Signal::SIGKILL);
    gateway.process.wait(Duration::from_secs(5));
    let gateway = Gateway::start(&world, &echo_link());
    let calls = gateway.closed_calls(1);
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0]["cause"], "node_restart", "{calls:?}");
}

#[test]
fn a_busy_port_is_named_at_start() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let _taken = UdpSocket::bind(SIP).expect("free in a new namespace");
    let mut process = spawn(&world, &write_config(&world, "", &echo_link()));
    let status = process.wait(Duration::from_secs(10));
    assert!(!status.success());
    let said = process.said();
    assert!(said.contains(SIP), "{said}");
}
