//! Against a name server of our own on loopback: a zone of a few lines.

use std::net::UdpSocket;
use std::thread::JoinHandle;

use tokio::time::Instant;

use super::super::model::{Transport, TrunkTarget};
use super::super::place::{Found, targets};
use super::*;

/// The type codes of RFC 1035 §3.2.2 and RFC 2782.
const A: u16 = 1;
const SRV: u16 = 33;

pub(crate) type Record = (&'static str, u16, Vec<u8>);

fn srv(name: &'static str, numbers: [u16; 3], host: &str) -> Record {
    let mut octets: Vec<u8> = numbers.iter().flat_map(|one| one.to_be_bytes()).collect();
    for label in host.split_terminator('.') {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    (name, SRV, octets)
}

fn a(name: &'static str, address: [u8; 4]) -> Record {
    (name, A, address.to_vec())
}

/// Answers from the zone until it is told to [`die`].
pub(crate) fn serve(zone: Vec<Record>) -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut octets = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut octets).unwrap();
            let asked = &octets[..length];
            if asked == b"die" {
                return;
            }
            socket.send_to(&answer(asked, &zone), from).unwrap();
        }
    });
    (address, server)
}

fn answer(asked: &[u8], zone: &[Record]) -> Vec<u8> {
    let (mut name, mut at) = (String::new(), 12);
    while asked[at] != 0 {
        let end = at + 1 + usize::from(asked[at]);
        name.push_str(&String::from_utf8_lossy(&asked[at + 1..end]));
        name.push('.');
        at = end;
    }
    let kind = u16::from_be_bytes([asked[at + 1], asked[at + 2]]);
    let known = zone.iter().any(|(owner, ..)| *owner == name);
    let records: Vec<_> = zone
        .iter()
        .filter(|(owner, of_kind, _)| *owner == name && *of_kind == kind)
        .collect();
    let count = u8::try_from(records.len()).unwrap();
    let mut octets = asked[..2].to_vec();
    // An answer, authoritative, recursion wanted and had; NXDOMAIN for what is not in the zone.
    octets.extend([
        0x85,
        if known { 0x80 } else { 0x83 },
        0,
        1,
        0,
        count,
        0,
        0,
        0,
        0,
    ]);
    octets.extend(&asked[12..at + 5]);
    for (_, kind, value) in records {
        octets.extend([0xc0, 12]);
        octets.extend(kind.to_be_bytes());
        octets.extend([0, 1, 0, 0, 0, 60]);
        octets.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        octets.extend(value);
    }
    octets
}

/// Ends it, and waits for that.
pub(crate) fn die((address, server): (SocketAddr, JoinHandle<()>)) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"die", address).unwrap();
    server.join().unwrap();
}

async fn found(names: &Names, target: &str, transport: Transport) -> Vec<TrunkTarget> {
    let question = Question::of(target, transport).unwrap();
    let answers = names.answers(HashSet::from([question.clone()])).await;
    let found = answers[&question].iter().map(|one| Found {
        priority: 10,
        weight: 1,
        located: *one,
    });
    targets(&found.collect::<Vec<_>>())
}

fn shown(targets: &[TrunkTarget]) -> Vec<(String, u16, u16)> {
    let show = |one: &TrunkTarget| (one.address.to_string(), one.priority, one.weight);
    targets.iter().map(show).collect()
}

fn expected<const COUNT: usize>(list: [(&str, u16, u16); COUNT]) -> Vec<(String, u16, u16)> {
    list.map(|(address, priority, weight)| (address.to_owned(), priority, weight))
        .to_vec()
}

/// `sip.test` by SRV, `plain.test` without, `closed.test` decidedly not.
pub(crate) fn zone() -> Vec<Record> {
    vec![
        srv("_sip._udp.sip.test.", [20, 5, 5090], "far.test."),
        srv("_sip._udp.sip.test.", [5, 10, 5070], "small.test."),
        srv("_sip._udp.sip.test.", [5, 90, 5080], "large.test."),
        srv("_sip._tcp.sip.test.", [0, 0, 5061], "large.test."),
        srv("_sip._udp.closed.test.", [0, 0, 5060], "."),
        a("large.test.", [192, 0, 2, 1]),
        a("small.test.", [192, 0, 2, 2]),
        a("far.test.", [192, 0, 2, 3]),
        a("plain.test.", [192, 0, 2, 9]),
        a("closed.test.", [192, 0, 2, 10]),
    ]
}

#[tokio::test]
async fn a_target_without_a_port_is_found_by_srv_in_its_priority_and_weight() {
    let names = Names::asking(serve(zone()).0);
    let by_udp = found(&names, "sip.test", Transport::Udp).await;
    let order = expected([
        ("192.0.2.1:5080", 10, 90),
        ("192.0.2.2:5070", 10, 10),
        ("192.0.2.3:5090", 11, 5),
    ]);
    assert_eq!(shown(&by_udp), order);
    let by_tcp = found(&names, "sip.test", Transport::Tcp).await;
    assert_eq!(shown(&by_tcp), expected([("192.0.2.1:5061", 10, 1)]));
}

#[tokio::test]
async fn a_name_without_srv_has_its_addresses_at_port_5060() {
    let names = Names::asking(serve(zone()).0);
    let plain = found(&names, "plain.test", Transport::Udp).await;
    assert_eq!(shown(&plain), expected([("192.0.2.9:5060", 10, 1)]));
}

#[tokio::test]
async fn a_service_that_is_decidedly_not_there_has_no_address() {
    let names = Names::asking(serve(zone()).0);
    let closed = found(&names, "closed.test", Transport::Udp).await;
    assert_eq!(shown(&closed), []);
}

#[tokio::test]
async fn a_dead_name_server_leaves_the_addresses_as_they_were() {
    let server = serve(zone());
    let names = Names::asking(server.0);
    let before = found(&names, "sip.test", Transport::Udp).await;
    assert_eq!(before.len(), 3);
    die(server);
    // The clock runs by itself from here: waiting costs nothing and is measured all the same.
    tokio::time::pause();
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(found(&names, "sip.test", Transport::Udp).await, before);
        assert!(began.elapsed() <= LOOK_UP_TIME_MAX * 2, "a bounded wait");
    }
}

#[tokio::test(start_paused = true)]
async fn many_names_at_a_silent_server_are_given_up_in_bounded_time() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let names = Names::asking(silent.local_addr().unwrap());
    let count = LOOK_UPS_AT_ONCE_MAX * 2;
    let questions = (0..count).map(|number| Question::Service {
        name: format!("{number}.test"),
        protocol: "_udp",
    });
    let began = Instant::now();
    let answers = names.answers(questions.collect()).await;
    assert_eq!(answers.len(), count);
    assert!(answers.values().all(Vec::is_empty));
    assert!(began.elapsed() <= LOOK_UP_TIME_MAX * 2 + Duration::from_millis(100));
}
