//! What we sent, come back (RFC 3550 §8.2): it proves nothing, and never goes round.

use super::harness::{ANY, Harness, Stream, address, plan};
use crate::command::{LatchPolicy, LegPlan, Target};
use crate::drop_reason::DropReason;

#[test]
fn a_source_is_not_proven_by_our_own_stream() {
    let mut harness = Harness::new();
    let (a, b) = harness.call_with(
        plan("198.51.100.1:4000"),
        LegPlan {
            latch: LatchPolicy::Signalling(address("203.0.113.2:1").ip()),
            ..plan("203.0.113.2:6000")
        },
    );
    let sent = harness.exchange(a.ours, a.peer, &Stream::new(1).next());
    let mut reflected = Stream::new(sent[0].rtp().ssrc().0);
    for _ in 0..8 {
        let elsewhere = address("203.0.113.2:6200");
        assert_eq!(harness.exchange(b.ours, elsewhere, &reflected.next()), []);
    }
    assert_eq!(harness.dropped(DropReason::OwnStream), 8);
    assert_eq!(harness.latched(), [a.peer]);
}

/// Some echo services send back what they get, header and all.
#[test]
fn an_echo_from_where_we_send_to_is_a_stream_like_any_other() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(1);
    for _ in 0..3 {
        let sent = harness.exchange(a.ours, a.peer, &stream.next());
        assert_eq!(harness.exchange(b.ours, b.peer, &sent[0].bytes).len(), 1);
    }
}

#[test]
fn two_echoes_do_not_send_one_packet_round_for_ever() {
    for target in [Target::Echo, Target::Tone, Target::Ringback] {
        let mut harness = Harness::new();
        let leg = harness.connect(plan("198.51.100.1:4000"), target);
        let sent = harness.exchange(leg.ours, leg.peer, &Stream::new(1).next());
        assert_eq!(harness.exchange(leg.ours, leg.peer, &sent[0].bytes), []);
        assert_eq!(harness.dropped(DropReason::OwnStream), 1);
    }
}

#[test]
fn two_legs_of_ours_are_nobodys_peers() {
    let mut harness = Harness::new();
    let ours = harness.stock[1].1;
    let (a, b) = harness.call_with(plan(&ours.to_string()), plan("203.0.113.2:6000"));
    let mut stream = Stream::new(1);
    assert_eq!(harness.exchange(a.ours, b.ours, &stream.next()), []);
    let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
    let control = |mut address: std::net::SocketAddr| {
        address.set_port(address.port() + 1);
        address
    };
    assert_eq!(
        harness.exchange(control(a.ours), control(b.ours), &report),
        []
    );
    assert_eq!(harness.dropped(DropReason::OwnAddress), 2);
    assert_eq!(harness.latched(), []);
}

/// A NAT that leads back to us puts the address that peers know on what we send to it.
#[test]
fn two_legs_of_ours_are_nobodys_peers_by_another_name_of_ours_either() {
    let mut harness = Harness::with(packet_io::NoFaults, |config| {
        config.advertised = vec![address("192.0.2.7:0").ip()];
    });
    let mut known = harness.stock[1].1;
    known.set_ip(address("192.0.2.7:0").ip());
    let any = LegPlan {
        latch: ANY,
        ..plan("203.0.113.2:6000")
    };
    let (a, b) = harness.call_with(plan(&known.to_string()), any);
    let mut stream = Stream::new(1);
    for _ in 0..8 {
        assert_eq!(harness.exchange(a.ours, known, &stream.next()), []);
        assert_eq!(harness.exchange(b.ours, known, &stream.next()), []);
    }
    assert_eq!(harness.dropped(DropReason::OwnAddress), 16);
    assert_eq!(harness.latched(), []);
}
