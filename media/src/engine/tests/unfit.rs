//! Datagrams that are no media: each dies of its own reason, and none takes a buffer with it.

use std::net::SocketAddr;

use packet_io::{PacketIo, Received, SocketKey};
use proptest::prelude::*;

use super::harness::{Harness, Stream, plan};
use crate::command::{Command, LegPlan, Target};
use crate::drop_reason::DropReason;

#[test]
fn each_unfit_datagram_dies_of_its_reason() {
    let mut harness = Harness::new();
    let (a, _) = harness.call();
    let rtcp = SocketAddr::new(a.ours.ip(), a.ours.port() + 1);
    let peer_rtcp = SocketAddr::new(a.peer.ip(), a.peer.port() + 1);
    let media = Stream::new(1).next();
    let padded = [&[0xa0][..], &media[1..171], &[200]].concat();
    let cases: [(SocketAddr, SocketAddr, &[u8], DropReason); 9] = [
        (a.ours, a.peer, &[0, 1, 0, 0], DropReason::Stun),
        (a.ours, a.peer, &[22, 254, 253], DropReason::Dtls),
        (a.ours, a.peer, &[0x40; 20], DropReason::UnknownProtocol),
        (a.ours, a.peer, &[0x80; 11], DropReason::RtpTruncated),
        (a.ours, a.peer, &padded, DropReason::RtpPadding),
        (rtcp, peer_rtcp, &media, DropReason::RtpOnRtcpPort),
        (
            rtcp,
            peer_rtcp,
            &[0x80, 200, 0, 9],
            DropReason::RtcpMalformed,
        ),
        (rtcp, peer_rtcp, &[1, 1], DropReason::Stun),
        (
            a.ours,
            a.peer,
            &[0x80, 201, 0, 9],
            DropReason::RtcpMalformed,
        ),
    ];
    for (to, from, bytes, reason) in cases {
        let before = harness.dropped(reason);
        assert_eq!(harness.exchange(to, from, bytes), []);
        assert_eq!(harness.dropped(reason), before + 1, "{}", reason.as_str());
    }
    let (_, idle) = harness.stock[0];
    harness.exchange(idle, a.peer, &media);
    assert_eq!(harness.dropped(DropReason::NotConnected), 1);
    harness.command(Command::Disconnect { pair: a.pair });
    harness.exchange(a.ours, a.peer, &media);
    assert!(harness.pool_is_whole());
}

/// Every leg state and every plan that keeps a packet from going on has its own reason.
#[test]
fn each_leg_that_cannot_pass_a_packet_on_says_why() {
    let mut harness = Harness::new();
    let lone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    harness.exchange(lone.ours, lone.peer, &Stream::new(1).next());
    assert_eq!(harness.dropped(DropReason::NoTarget), 1);

    let unknown = LegPlan {
        remote_rtp: None,
        remote_rtcp: None,
        ..plan("203.0.113.2:6000")
    };
    harness.update(lone, plan("198.51.100.1:4000"), Target::Nowhere);
    let (pair, ours) = harness.stock.remove(0);
    let command = Command::Connect {
        pair,
        plan: unknown,
        target: Target::Leg(lone.pair),
    };
    harness.command(command);
    harness.exchange(ours, lone.peer, &Stream::new(2).next());
    assert_eq!(harness.dropped(DropReason::RemoteUnknown), 1);
    harness.update(lone, plan("198.51.100.1:4000"), Target::Leg(pair));
    harness.exchange(lone.ours, lone.peer, &Stream::new(1).next());
    assert_eq!(harness.dropped(DropReason::DestinationUnknown), 1);

    let silent = harness.connect(plan("198.51.100.9:4000"), Target::Echo);
    harness.command(Command::Disconnect { pair: silent.pair });
    harness.exchange(silent.ours, silent.peer, &Stream::new(1).next());
    assert_eq!(harness.dropped(DropReason::LegEnded), 1);
}

#[test]
fn a_packet_of_a_socket_that_nobody_owns_is_dropped() {
    let mut harness = Harness::new();
    let mut packet = harness.worker.io_mut().allocate().unwrap();
    packet.copy_from(&Stream::new(1).next()).unwrap();
    let socket = SocketKey {
        slot: 0,
        generation: u32::MAX,
    };
    harness.worker.handle_received(
        1,
        Received {
            socket,
            source: None,
            packet,
        },
    );
    assert_eq!(harness.dropped(DropReason::SocketUnknown), 1);
    assert!(harness.pool_is_whole());
}

#[test]
fn one_packet_far_off_is_no_new_beginning_and_two_are() {
    let mut harness = Harness::new();
    let (a, _) = harness.call();
    let mut stream = Stream::new(1);
    let first = harness.exchange(a.ours, a.peer, &stream.next());
    stream.sequence = 20_000;
    assert_eq!(harness.exchange(a.ours, a.peer, &stream.next()), []);
    assert_eq!(harness.dropped(DropReason::SequenceJump), 1);
    let anew = harness.exchange(a.ours, a.peer, &stream.next());
    assert_eq!(
        anew[0]
            .rtp()
            .sequence()
            .distance_from(first[0].rtp().sequence()),
        1
    );
    assert!(anew[0].rtp().marker());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the peer and strangers send: no panic, no loss of buffers, nothing to strangers.
    #[test]
    fn any_datagram_is_survived(
        datagrams in proptest::collection::vec(
            (any::<bool>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 1..80), 0_u8..4), 1..80),
    ) {
        let mut harness = Harness::new();
        let (a, b) = harness.call();
        let stranger: SocketAddr = "192.0.2.66:4000".parse().unwrap();
        for (is_stranger, is_control, mut bytes, shape) in datagrams {
            if shape > 0 { bytes[0] = 0x80 | (bytes[0] & 0x3f); }
            if let Some(second) = bytes.get_mut(1) {
                match shape { 2 => *second = 0, 3 => *second = 200 + *second % 8, _ => {} }
            }
            let offset = u16::from(is_control);
            let to = SocketAddr::new(a.ours.ip(), a.ours.port() + offset);
            let peer = SocketAddr::new(a.peer.ip(), a.peer.port() + offset);
            let sent = harness.exchange(to, if is_stranger { stranger } else { peer }, &bytes);
            prop_assert!(sent.iter().all(|sent| sent.to.ip() == b.peer.ip() && !is_stranger));
        }
        prop_assert!(harness.pool_is_whole());
    }
}
