//! SIP over TCP against sipp: one connection for many calls, OPTIONS, and the way from UDP to TCP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::gateway::{Gateway, SIP, attempt_statuses, link, trunk, write_config};
use crate::sipp::{CALLER, FIRST, PATIENCE, scenario, sipp};
use crate::world::{Process, World, connections_to, is_listening, is_listening_tcp, until};

const CALLS: usize = 20;

fn tcp_trunk(label: &str, target: &str) -> String {
    trunk(label, target, 10).replace("targets", "transport = \"tcp\"\ntargets")
}

/// A callee that takes `count` calls by TCP, all by one connection.
fn callee(world: &World, local: &str, name: &str, count: usize) -> Process {
    let file = scenario(world, name, &[]);
    let count = count.to_string();
    let arguments = ["-t", "t1", "-sf", &file, "-m", &count];
    let process = world.start(name, sipp(local).args(arguments));
    until("the callee's port", PATIENCE, || is_listening_tcp(local));
    process
}

/// A-01, A-02: TCP on both sides, one connection each.
#[test]
fn twenty_calls_go_by_one_connection_on_each_side() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let tables = tcp_trunk("first", FIRST) + &link("desk", "1000");
    let gateway = Gateway::start(&world, &tables);
    let mut callee = callee(&world, FIRST, "callee_answers", CALLS);
    let file = scenario(&world, "caller_answered", &[]);
    let count = CALLS.to_string();
    let arguments = [
        SIP, "-t", "t1", "-s", "desk", "-sf", &file, "-m", &count, "-r", "20",
    ];
    let mut caller = world.start("caller", sipp(CALLER).args(arguments));
    let mut most = (0, 0);
    while caller.runs() {
        let now = (connections_to(SIP), connections_to(FIRST));
        most = (most.0.max(now.0), most.1.max(now.1));
    }
    assert_eq!(most, (1, 1), "from the caller, and towards the trunk");
    caller.succeed(PATIENCE);
    callee.succeed(PATIENCE);
    let calls = gateway.closed_calls(CALLS);
    assert_eq!(calls.len(), CALLS);
    assert!(calls.iter().all(|call| call["status"] == 200), "{calls:?}");
}

/// B-01: at once, with 200, as often as it is asked.
#[test]
fn options_by_tcp_is_answered() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let _gateway = Gateway::start(&world, "");
    let file = scenario(&world, "caller_options", &[]);
    let arguments = [SIP, "-t", "t1", "-sf", &file, "-m", "20", "-r", "100"];
    world
        .start("caller", sipp(CALLER).args(arguments))
        .succeed(PATIENCE);
}

/// B-04, B-05: we ask by TCP too; a trunk whose port is closed is down, and up when it answers.
#[test]
fn a_trunk_is_down_while_its_tcp_port_is_closed_and_up_when_it_answers() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let tables = tcp_trunk("first", FIRST).replace(
        "options_interval_up_s = 0",
        "options_interval_up_s = 1\noptions_interval_down_s = 1",
    );
    let gateway = Gateway::start(&world, &tables);
    let says = |word: &str| gateway.process.said().contains(word);
    until("the word that it is down", PATIENCE, || says("trunk_down"));
    let _callee = callee(&world, FIRST, "callee_options", 10);
    until("the word that it is up", PATIENCE, || says("trunk_up"));
}

/// A link whose INVITE is longer than a datagram may be.
fn long_link() -> String {
    let name = "Kundendienst ".repeat(9);
    let user = "1".repeat(100);
    format!(
        "[[link]]\nrequest_path = \"desk\"\ndestination = \"{user}\"\n\
         caller_name = \"{}\"\ncaller_alias = \"{}\"\n",
        name.trim_end(),
        "a".repeat(60)
    )
}

fn long_call(world: &World, answering: &mut Process) {
    let tables = trunk("first", FIRST, 10).replace("targets", "identity = \"both\"\ntargets");
    let gateway = Gateway::start(world, &(tables + &long_link()));
    let file = scenario(world, "caller_answered", &[]);
    let arguments = [SIP, "-s", "desk", "-sf", &file, "-m", "1"];
    world
        .start("caller", sipp(CALLER).args(arguments))
        .succeed(PATIENCE);
    answering.succeed(PATIENCE);
    let calls = gateway.closed_calls(1);
    assert_eq!(attempt_statuses(&calls[0]), [200], "{calls:?}");
}

/// A-11, RFC 3261 §18.1.1: the callee listens by TCP only.
#[test]
fn an_invite_above_1300_octets_leaves_by_tcp() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let mut callee = callee(&world, FIRST, "callee_answers", 1);
    long_call(&world, &mut callee);
}

/// The same: the callee listens by UDP only.
#[test]
fn an_invite_above_1300_octets_leaves_by_udp_where_tcp_fails() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let file = scenario(&world, "callee_answers", &[]);
    let mut callee = world.start("callee", sipp(FIRST).args(["-sf", &file, "-m", "1"]));
    until("the callee's port", PATIENCE, || is_listening(FIRST));
    long_call(&world, &mut callee);
}

/// A-02, A-10: the trunk makes the only connection, from any port of its own, and our OPTIONS comes by
/// it.
#[test]
fn a_connection_that_a_trunk_has_made_carries_our_requests() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let tables = tcp_trunk("first", FIRST).replace(
        "options_interval_up_s = 0",
        "options_interval_up_s = 2\noptions_interval_down_s = 2\nnetworks = [\"127.0.0.21/32\"]",
    );
    let _gateway = Gateway::start(&world, &tables);
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let from: std::net::SocketAddr = "127.0.0.21:0".parse().expect("an address");
    socket.bind(&from.into()).expect("free");
    let to: std::net::SocketAddr = SIP.parse().expect("an address");
    socket.connect(&to.into()).expect("it listens");
    let mut stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let options = format!(
        "OPTIONS sip:{SIP} SIP/2.0\r\nVia: SIP/2.0/TCP {FIRST};branch=z9hG4bK1\r\n\
         Max-Forwards: 70\r\nFrom: <sip:trunk@{FIRST}>;tag=1\r\nTo: <sip:{SIP}>\r\n\
         Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(options.as_bytes()).expect("sent");
    let mut heard = String::new();
    while !heard.contains("\r\nOPTIONS ") {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).expect("our OPTIONS");
        assert!(count > 0, "closed after {heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    assert!(heard.starts_with("SIP/2.0 200 OK\r\n"), "{heard}");
}

/// A-04: two trunks of one peer are told apart by the port of ours that they reach.
#[test]
fn two_trunks_at_one_address_are_told_apart_by_our_port() {
    const SECOND_PORT: &str = "127.0.0.1:5065";
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let table = |label: &str, port: u16, path: &str| {
        tcp_trunk(label, FIRST).replace(
            "targets",
            &format!(
                "local_port = {port}\ncarries_originating = true\nlinks = [\"{path}\"]\n\
                 networks = [\"127.0.0.21/32\"]\ntargets"
            ),
        )
    };
    let tables = table("one", 5060, "desk") + &table("two", 5065, "echo");
    let tables = tables + &link("desk", "local:tone") + &link("echo", "local:echo");
    let config = write_config(&world, "", &tables);
    let text = std::fs::read_to_string(&config).expect("a file");
    let listen = format!("listen = [\"{SIP}\", \"{SECOND_PORT}\"]");
    world.write(
        "sluice.toml",
        &text.replace(&format!("listen = [\"{SIP}\"]"), &listen),
    );
    let gateway = Gateway::start_with(&world, config);
    let calling = |to: &str, path: &str, name: &str| {
        let file = scenario(&world, name, &[("STATUS", "404")]);
        let arguments = [to, "-t", "t1", "-s", path, "-sf", &file, "-m", "1"];
        let local = "127.0.0.21:5400";
        world
            .start("caller", sipp(local).args(arguments))
            .succeed(PATIENCE);
    };
    calling(SIP, "desk", "caller_answered");
    calling(SECOND_PORT, "echo", "caller_answered");
    calling(SECOND_PORT, "desk", "caller_refused");
    calling(SIP, "echo", "caller_refused");
    assert_eq!(gateway.closed_calls(4).len(), 4);
}

/// A connection from nobody we know ends at its first message, without a word.
#[test]
fn an_unknown_source_gets_silence_by_tcp_too() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let _gateway = Gateway::start(&world, "");
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let from: std::net::SocketAddr = "127.0.0.9:0".parse().expect("an address");
    socket.bind(&from.into()).expect("free");
    let to: std::net::SocketAddr = SIP.parse().expect("an address");
    socket.connect(&to.into()).expect("it listens");
    let mut stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let options = format!(
        "OPTIONS sip:{SIP} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.9;branch=z9hG4bK1\r\n\
         Max-Forwards: 70\r\nFrom: <sip:x@127.0.0.9>;tag=1\r\nTo: <sip:{SIP}>\r\n\
         Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(options.as_bytes()).expect("sent");
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect("the end");
    assert_eq!(heard, b"");
}

/// The way is barred, and nobody says so: the next trunk gets the call.
#[test]
fn a_trunk_that_takes_no_connection_is_left_for_the_next() {
    const SECOND: &str = "127.0.0.22:5080";
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    // A queue that is full: the kernel drops the SYN.
    let full = TcpListener::bind(FIRST).expect("free in a new namespace");
    let fill: Vec<_> = (0..400)
        .map_while(|_| {
            let to = FIRST.parse().expect("an address");
            TcpStream::connect_timeout(&to, Duration::from_millis(200)).ok()
        })
        .collect();
    let tables = tcp_trunk("first", FIRST)
        .replace("response_timeout_s = 0.4", "response_timeout_s = 6")
        + &tcp_trunk("second", SECOND).replace("priority = 10", "priority = 20")
        + &link("desk", "1000");
    let gateway = Gateway::start(&world, &tables);
    let mut answering = callee(&world, SECOND, "callee_answers", 1);
    let file = scenario(&world, "caller_answered", &[]);
    let arguments = [SIP, "-t", "t1", "-s", "desk", "-sf", &file, "-m", "1"];
    world
        .start("caller", sipp(CALLER).args(arguments))
        .succeed(PATIENCE);
    answering.succeed(PATIENCE);
    let calls = gateway.closed_calls(1);
    let statuses = attempt_statuses(&calls[0]);
    assert_eq!(
        (statuses.len(), statuses.last()),
        (2, Some(&200)),
        "{calls:?}"
    );
    drop((full, fill));
}
