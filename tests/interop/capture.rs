//! Copies for a capture server (HEP version 3): read by ourselves, octet by octet, and by sngrep, which knows
//! nothing of us; what sngrep read is held against what sipp wrote down of its own messages.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};

use crate::gateway::{Gateway, SIP, link, trunk, write_config};
use crate::operation::{config_with, metric};
use crate::phone::Phone;
use crate::sipp::{CALLER, FIRST};
use crate::trace::{Noted, messages_of, tracing};
use crate::world::{Process, World, is_listening, until};

const PATIENCE: Duration = Duration::from_secs(10);
const COLLECTOR: &str = "127.0.0.1:9060";
/// INVITE, 100, 180, 200, ACK, BYE and its 200, on each of two sides.
const COPIES_MIN: usize = 12;

/// Addresses, ports, octets and times of our copies, as sngrep has them, are those of the messages.
#[test]
fn sngrep_reads_from_our_copies_who_sent_what_to_whom_and_when() {
    let Some(world) = World::open(&["ip", "sngrep", "sipp"]) else {
        return;
    };
    let mut sngrep = start_sngrep(&world);
    let tables = trunk("first", FIRST, 10) + &link("desk", "1000");
    let tables = format!("{tables}[hep]\ncollector = \"{COLLECTOR}\"\n");
    let _gateway = Gateway::start_with(&world, write_config(&world, "", &tables));
    let mut callee = tracing(&world, "callee_answers", FIRST, &[]);
    until("the callee's port", PATIENCE, || is_listening(FIRST));
    let mut caller = tracing(&world, "caller_answered", CALLER, &[SIP, "-s", "desk"]);
    caller.succeed(PATIENCE);
    callee.succeed(PATIENCE);
    let sides = [
        (CALLER, messages_of(&world, "caller_answered")),
        (FIRST, messages_of(&world, "callee_answers")),
    ];
    let expected = sides[0].1.len() + sides[1].1.len();
    assert!(expected >= COPIES_MIN, "{sides:?}");
    until("each copy in sngrep's file", PATIENCE, || {
        read_capture(&fs::read(world.file("copies.pcap")).unwrap_or_default()).len() >= expected
    });
    let copies = read_capture(&fs::read(world.file("copies.pcap")).expect("sngrep's file"));
    assert_eq!(copies.len(), expected, "no copy is of anything else");
    for (address, messages) in &sides {
        agree(address, messages, &copies);
    }
    ends_with_dialogs(&mut sngrep, 2);
}

/// sngrep as a capture server and nothing else: with an interface named, it would read the calls themselves.
fn start_sngrep(world: &World) -> Process {
    let mut command = Command::new("sngrep");
    command.args(["-N", "-F", "-L", &format!("udp:{COLLECTOR}")]);
    command.args(["-O", "copies.pcap"]);
    let sngrep = world.start("sngrep", &mut command);
    until("sngrep's port", PATIENCE, || is_listening(COLLECTOR));
    sngrep
}

/// It counts on, and says what it has when it is told to end.
fn ends_with_dialogs(sngrep: &mut Process, count: usize) {
    kill(sngrep.id(), Signal::SIGINT).expect("it runs");
    sngrep.wait(PATIENCE);
    let said = sngrep.said();
    let last = said.rsplit('\r').next().unwrap_or_default();
    assert_eq!(last.trim(), format!("Dialog count: {count}"), "{said}");
}

/// A message as a capture has it.
#[derive(Debug)]
struct Captured {
    at: Timestamp,
    source: SocketAddr,
    destination: SocketAddr,
    octets: String,
}

/// A file of libpcap in microseconds and this machine's order, of Ethernet, IPv4 and UDP; what is not
/// whole yet is left out.
fn read_capture(file: &[u8]) -> Vec<Captured> {
    let word = |at: usize| {
        let octets = file.get(at..at + 4)?;
        Some(u32::from_le_bytes(octets.try_into().expect("four octets")))
    };
    let short = |at: usize| u16::from_be_bytes([file[at], file[at + 1]]);
    let address = |ip: usize, port: usize| {
        let octets: [u8; 4] = file[ip..ip + 4].try_into().expect("four octets");
        SocketAddr::from((octets, short(port)))
    };
    let mut captured = Vec::new();
    if word(0).is_none() {
        return captured;
    }
    assert_eq!(
        (word(0), word(20)),
        (Some(0xa1b2_c3d4), Some(1)),
        "a capture"
    );
    let mut at = 24;
    while let (Some(seconds), Some(micros), Some(length)) = (word(at), word(at + 4), word(at + 8)) {
        let (ip, end) = (
            at + 16 + 14,
            at + 16 + usize::try_from(length).expect("a length"),
        );
        if end > file.len() {
            break;
        }
        let udp = ip + 20;
        assert_eq!((file[ip], file[ip + 9]), (0x45, 17), "IPv4, UDP");
        let micros = i32::try_from(micros).expect("below a million");
        captured.push(Captured {
            at: Timestamp::new(i64::from(seconds), micros * 1_000).expect("a time"),
            source: address(ip + 12, udp),
            destination: address(ip + 16, udp + 2),
            octets: String::from_utf8(file[udp + 8..end].to_vec()).expect("SIP"),
        });
        at = end;
    }
    captured
}

/// Each message of one side has its copy. Times are held against the order of things alone, by the one clock
/// of this machine: a copy is no later than its receiver's note, no earlier than what its sender noted
/// before, and copies stand in the order of the notes.
fn agree(address: &str, messages: &[Noted], copies: &[Captured]) {
    let (peer, gateway): (SocketAddr, SocketAddr) =
        (address.parse().expect("ours"), SIP.parse().expect("ours"));
    let (mut before, mut copied_before) = (Timestamp::MIN, Timestamp::MIN);
    for message in messages {
        let (source, destination) = match message.is_sent {
            true => (peer, gateway),
            false => (gateway, peer),
        };
        let mut copies = copies.iter();
        // What is repeated has a copy for each.
        let copy = copies.find(|copy| {
            (copy.source, copy.destination) == (source, destination)
                && copy.octets == message.octets
                && copy.at >= copied_before
        });
        let copy = copy.unwrap_or_else(|| panic!("no copy of {message:?}"));
        match message.is_sent {
            true => assert!(copy.at >= before, "{copy:?} before {before}"),
            false => assert!(copy.at <= message.at, "{copy:?} after {message:?}"),
        }
        (before, copied_before) = (message.at, copy.at);
    }
}

#[test]
fn a_capture_server_reads_our_copies_and_its_absence_costs_nothing() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let config = config_with(&world, "[hep]\ncollector = \"127.0.0.1:9060\"\nid = 77");
    let _gateway = Gateway::start_with(&world, config);
    // Nobody listens yet.
    let mut phone = Phone::new("127.0.0.1");
    phone.call("echo");
    phone.hang_up();
    until("dropped copies", PATIENCE, || {
        metric("sluice_hep_packets_dropped_total") >= Some(1)
    });
    let collector = UdpSocket::bind("127.0.0.1:9060").expect("a free port");
    collector
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a timeout");
    let mut phone = Phone::new("127.0.0.1");
    phone.call("echo");
    phone.hang_up();
    let mut messages = Vec::new();
    let mut octets = [0; 4_096];
    while let Ok(length) = collector.recv(&mut octets) {
        messages.push(sip_of(&octets[..length]));
    }
    for start in ["INVITE sip:echo", "SIP/2.0 200", "ACK sip:", "BYE sip:"] {
        let copies = messages.iter().filter(|message| message.starts_with(start));
        assert!(copies.count() >= 1, "{start}: {messages:?}");
    }
}

/// The SIP message of a HEP3 packet, cut as the specification says.
fn sip_of(packet: &[u8]) -> String {
    let number = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    assert_eq!(&packet[..4], b"HEP3");
    assert_eq!(number(4), packet.len());
    let (mut at, mut text, mut agent) = (6, String::new(), Vec::new());
    while at < packet.len() {
        let value = &packet[at + 6..at + number(at + 4)];
        match number(at + 2) {
            12 => agent = value.to_vec(),
            15 => text = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
        at += number(at + 4);
    }
    assert_eq!(agent, [0, 0, 0, 77]);
    text
}
