//! Copies for a capture server (HEP version 3): read by ourselves, octet by octet, and by sngrep, which knows
//! nothing of us.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::gateway::Gateway;
use crate::operation::{config_with, metric};
use crate::phone::Phone;
use crate::world::{World, is_listening, until};

const PATIENCE: Duration = Duration::from_secs(10);
const COLLECTOR: &str = "127.0.0.1:9060";

#[test]
fn sngrep_finds_each_call_in_our_copies() {
    let Some(world) = World::open(&["ip", "sngrep"]) else {
        return;
    };
    let listen = format!("udp:{COLLECTOR}");
    let mut command = Command::new("sngrep");
    command.args(["-N", "-F", "-d", "lo", "-L", &listen]);
    let mut sngrep = world.start("sngrep", &mut command);
    until("sngrep's port", PATIENCE, || is_listening(COLLECTOR));
    let collector = format!("[hep]\ncollector = \"{COLLECTOR}\"");
    let _gateway = Gateway::start_with(&world, config_with(&world, &collector));
    for _ in 0..CALLS {
        let mut phone = Phone::new("127.0.0.1");
        phone.call("echo");
        phone.hang_up();
    }
    // INVITE, 100, 200, ACK, BYE, 200.
    until("all copies", PATIENCE, || {
        metric("sluice_hep_packets_sent_total") >= Some(6 * CALLS)
    });
    until("sngrep's end", PATIENCE, || {
        // It counts on, and says what it has when it is told to end.
        let counted = sngrep.said().contains(&format!("Dialog count: {CALLS}"));
        if sngrep.runs() && queue(COLLECTOR) == Some(0) {
            kill(sngrep.id(), Signal::SIGINT).expect("it runs");
        }
        counted
    });
}

/// Octets that wait at a UDP socket of this test's network.
fn queue(address: &str) -> Option<u64> {
    let port = address.rsplit(':').next()?.parse::<u16>().ok()?;
    let sockets = fs::read_to_string("/proc/thread-self/net/udp").ok()?;
    let line = sockets.lines().find(|line| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|local| local.ends_with(&format!(":{port:04X}")))
    })?;
    let (_, waiting) = line.split_whitespace().nth(4)?.split_once(':')?;
    u64::from_str_radix(waiting, 16).ok()
}

const CALLS: u64 = 3;

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
    let mut packets = Vec::new();
    let mut octets = [0; 4_096];
    while let Ok(length) = collector.recv(&mut octets) {
        packets.push(octets[..length].to_vec());
    }
    let messages: Vec<String> = packets.iter().map(|packet| sip_of(packet)).collect();
    for start in ["INVITE sip:echo", "SIP/2.0 200", "ACK sip:", "BYE sip:"] {
        let copies = messages.iter().filter(|message| message.starts_with(start));
        assert!(copies.count() >= 1, "{start}: {messages:?}");
    }
    let read = read_by_tshark(&world, &packets);
    if let Some(text) = read {
        assert!(
            text.contains("INVITE sip:echo") && !text.contains("Malformed"),
            "{text}"
        );
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

/// What tshark makes of the packets; `None`: this one knows no HEP, or there is none.
fn read_by_tshark(world: &World, packets: &[Vec<u8>]) -> Option<String> {
    let file = world.file("hep.pcap");
    fs::write(&file, capture_file(packets)).expect("a file");
    let read = Command::new("tshark")
        .args(["-d", "udp.port==9060,hep", "-V", "-r"])
        .arg(&file)
        .output();
    let read = read.ok().filter(|read| read.status.success());
    if read.is_none() {
        println!("not run: no tshark that knows HEP");
    }
    read.map(|read| String::from_utf8_lossy(&read.stdout).into_owned())
}

/// A file of raw IPv4 packets (pcap, link type 101), each with one datagram to the collector.
fn capture_file(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for payload in payloads {
        let udp = 8 + payload.len();
        let total = 20 + udp;
        let length = u32::try_from(total).expect("a datagram");
        for word in [0, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        let short = |length: usize| u16::try_from(length).expect("a datagram").to_be_bytes();
        file.extend([0x45, 0]);
        file.extend(short(total));
        file.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        file.extend(9_061_u16.to_be_bytes());
        file.extend(9_060_u16.to_be_bytes());
        file.extend(short(udp));
        file.extend([0, 0]);
        file.extend(payload);
    }
    file
}
