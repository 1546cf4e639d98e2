//! What a stranger, or the peer itself, can do to a call beside spraying its ports (`spray`): junk,
//! floods of sources, late streams, forged reports.

use std::net::SocketAddr;

use super::harness::{ANY, Harness, Stream, address, plan};
use crate::command::LegPlan;
use crate::drop_reason::DropReason;

/// Ports are drawn from the same few, so that a second call gets one of the first's.
#[test]
fn a_port_that_is_used_again_carries_nothing_of_the_call_before() {
    let mut harness = Harness::with(packet_io::NoFaults, |config| {
        config.ports = 10_000..=10_007;
        config.pairs_max = 4;
        config.stock = 2;
    });
    let (a, b) = harness.call();
    let mut late = Stream::new(0xaaaa);
    harness.exchange(a.ours, a.peer, &late.next());
    harness.disconnect(a);
    harness.disconnect(b);
    harness.pass_ms(70_000);
    let mut used = Vec::new();
    for _ in 0..4 {
        let (c, d) = harness.call_with(plan("198.51.100.7:4000"), plan("203.0.113.7:6000"));
        harness.sent();
        used.extend([c.ours, d.ours]);
        for leg in [c, d] {
            for _ in 0..6 {
                assert_eq!(harness.exchange(leg.ours, a.peer, &late.next()), []);
            }
        }
        harness.disconnect(c);
        harness.disconnect(d);
        harness.pass_ms(70_000);
        harness.sent();
    }
    assert!(used.contains(&a.ours), "{used:?}");
    assert_eq!(harness.dropped(DropReason::SourceNotAdmitted), 48);
}

/// CVE-2021-41105 is of junk that ended a call; AST-2017-008 of forged reports.
#[test]
fn junk_on_every_port_never_ends_a_call_or_moves_it() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut streams = [Stream::new(0xaaaa), Stream::new(0xbbbb)];
    let mut relayed = 0;
    for round in 0..200_u16 {
        for leg in [a, b] {
            for bytes in junk(round) {
                for port in [leg.ours.port(), leg.ours.port() + 1] {
                    let to = SocketAddr::new(leg.ours.ip(), port);
                    // From elsewhere, and with the source address of the peer.
                    for source in [address("192.0.2.66:4000"), leg.peer] {
                        harness.deliver(to, source, &bytes);
                    }
                }
                harness.turn();
            }
        }
        harness.pass_ms(20);
        harness.sent();
        for (leg, stream) in [a, b].into_iter().zip(&mut streams) {
            let sent = harness.exchange(leg.ours, leg.peer, &stream.next());
            relayed += sent.iter().filter(|sent| sent.bytes.len() == 172).count();
        }
    }
    assert_eq!(relayed, 400);
    assert_eq!(harness.latched(), [a.peer, b.peer]);
    assert!(harness.pool_is_whole());
}

/// Datagrams that are neither RTP nor RTCP of this call.
fn junk(round: u16) -> Vec<Vec<u8>> {
    let [high, low] = round.to_be_bytes();
    vec![
        vec![],
        vec![0x80],
        vec![0x80, 200, 0, 0],
        vec![0x80, 203, 0, 1],
        vec![high, low, 0, 8, 0x21, 0x12, 0xa4, 0x42],
        vec![22, 254, 253, 0, 0, high, low],
        b"\x10\x00ZRTP".to_vec(),
        vec![0x40; 40],
        vec![0x8f, 0, high, low, 0, 0, 0, 1, 0, 0, 0xaa, 0xaa],
        vec![
            0x90, 0, high, low, 0, 0, 0, 1, 0, 0, 0xaa, 0xaa, 0, 0, 0xff, 0xff,
        ],
        vec![0xa0, 0, high, low, 0, 0, 0, 1, 0, 0, 0xaa, 0xaa, 0xff],
        // A payload type that nobody negotiated.
        [&[0x80, 77, high, low][..], &[0; 100]].concat(),
        vec![0xff; 1_900],
    ]
}

/// Sources, numbers and payload types of the peer itself may do what they like: at most its own call
/// suffers, and comes back.
#[test]
fn floods_of_sources_jumps_and_payload_types_leave_the_call_standing() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let (mut stream, mut other) = (Stream::new(0xaaaa), Stream::new(0xbbbb));
    harness.exchange(a.ours, a.peer, &stream.next());
    for ssrc in 0..150_u32 {
        // One-packet streams, each from another place in the numbers.
        let mut one = Stream::new(0x1000 + ssrc);
        one.sequence = u16::try_from(ssrc * 400).unwrap();
        one.payload_type = if ssrc % 3 == 0 { 8 } else { 0 };
        assert_eq!(harness.exchange(a.ours, a.peer, &one.next()).len(), 1);
        let mut jump = stream.clone();
        jump.sequence = jump.sequence.wrapping_add(20_000);
        harness.exchange(a.ours, a.peer, &jump.next());
        let packet = other.next();
        assert_eq!(harness.exchange(b.ours, b.peer, &packet).len(), 1);
        harness.pass_ms(20);
        harness.sent();
    }
    for _ in 0..3 {
        harness.exchange(a.ours, a.peer, &stream.next());
    }
    assert_eq!(harness.exchange(a.ours, a.peer, &stream.next()).len(), 1);
    assert_eq!(harness.disconnect(b).packets_lost, 0);
}

#[test]
fn rtcp_follows_the_peer_that_displaces_a_stranger() {
    let mut harness = Harness::new();
    let any = LegPlan {
        latch: ANY,
        ..plan("198.51.100.1:4000")
    };
    let (a, _) = harness.call_with(any, plan("203.0.113.2:6000"));
    let next = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
    let stranger = address("192.0.2.66:66");
    let mut marked = Stream::new(0x6666);
    for _ in 0..4 {
        harness.exchange(a.ours, stranger, &marked.next());
    }
    let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
    harness.exchange(next(a.ours), next(stranger), &report);
    assert_eq!(harness.dropped(DropReason::RtcpConsumed), 1);
    harness.exchange(a.ours, a.peer, &Stream::new(1).next());
    assert_eq!(harness.latched(), [stranger, a.peer]);
    harness.exchange(next(a.ours), next(stranger), &report);
    assert_eq!(harness.dropped(DropReason::SourceNotLatched), 1);
    harness.exchange(next(a.ours), next(a.peer), &report);
    assert_eq!(harness.dropped(DropReason::RtcpConsumed), 2);
    harness.pass_ms(20_000);
    let reports = harness.sent();
    assert!(reports.iter().any(|sent| sent.to == next(a.peer)));
    assert!(reports.iter().all(|sent| sent.to.ip() != stranger.ip()));
}
