//! The stock of port pairs: filled, emptied, refused, returned.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use packet_io::{Delivery, Faults, NoFaults, OpenRefused};

use super::harness::{Harness, Stream, plan};
use crate::command::{Command, Target};
use crate::drop_reason::DropReason;

#[test]
fn the_stock_is_filled_with_even_ports_and_refilled() {
    let mut harness = Harness::new();
    assert_eq!(harness.stock.len(), 8);
    assert!(harness.stock.iter().all(|(_, rtp)| rtp.port() % 2 == 0));
    harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    harness.turn();
    assert_eq!((harness.stock.len(), harness.worker.stocked()), (8, 8));
}

#[test]
fn an_exhausted_pool_runs_dry_and_a_heard_port_returns_after_its_rest() {
    let mut harness = Harness::with(NoFaults, |config| config.ports = 10_000..=10_019);
    let legs: Vec<_> = (0..10)
        .map(|_| {
            harness.turn();
            harness.connect(plan("198.51.100.1:4000"), Target::Echo)
        })
        .collect();
    harness.pass_ms(60_000);
    assert_eq!((harness.worker.stocked(), harness.stock.len()), (0, 0));
    let first = legs[0];
    harness.exchange(first.ours, first.peer, &Stream::new(1).next());
    harness.disconnect(first);
    harness.pass_ms(1_999);
    assert_eq!(
        harness.worker.stocked(),
        0,
        "a used port rests two seconds at least"
    );
    harness.pass_ms(1);
    assert_eq!(harness.stock.pop().map(|(_, rtp)| rtp), Some(first.ours));
}

#[test]
fn a_port_that_was_never_heard_returns_at_once_under_a_new_generation() {
    let mut harness = Harness::with(NoFaults, |config| config.ports = 10_000..=10_003);
    let leg = harness.connect(plan("198.51.100.1:4000"), Target::Echo);
    harness.turn();
    let other = harness.connect(plan("198.51.100.1:4000"), Target::Echo);
    harness.turn();
    assert_eq!(harness.worker.stocked(), 0);
    harness.disconnect(leg);
    let (pair, ours) = harness.stock.pop().unwrap();
    assert_eq!((pair.slot, ours), (leg.pair.slot, leg.ours));
    assert_ne!(pair.generation, leg.pair.generation);
    harness.disconnect(other);
}

#[test]
fn unheard_pairs_come_back_to_a_stock_that_was_filled_meanwhile_but_to_no_more_than_twice_of_it() {
    let mut harness = Harness::new();
    for (calls, kept) in [(6, 14), (10, 16)] {
        let legs: Vec<_> = (0..calls)
            .map(|_| {
                let leg = harness.connect(plan("198.51.100.1:4000"), Target::Echo);
                harness.turn();
                leg
            })
            .collect();
        for leg in legs {
            harness.disconnect(leg);
        }
        assert_eq!(harness.worker.stocked(), kept);
        assert_eq!(harness.worker.io().sockets().count(), 2 * kept as usize);
        harness.worker.check_invariants();
    }
}

#[test]
fn with_ports_to_spare_a_used_one_rests_thirty_seconds() {
    let mut harness = Harness::new();
    let leg = harness.connect(plan("198.51.100.1:4000"), Target::Echo);
    harness.turn();
    harness.exchange(leg.ours, leg.peer, &Stream::new(1).next());
    harness.disconnect(leg);
    // The pool has 100 pairs; the port comes back only after all the others.
    let mut seen = BTreeSet::new();
    for _ in 0..91 {
        harness.turn();
        let other = harness.connect(plan("198.51.100.1:4000"), Target::Echo);
        assert_ne!(other.ours, leg.ours);
        harness.exchange(other.ours, other.peer, &Stream::new(1).next());
        harness.disconnect(other);
        seen.insert(other.ours);
    }
    assert_eq!(seen.len(), 91);
}

/// What a peer sends after the end of its call is taken in for two seconds, and reaches nobody.
#[test]
fn a_late_stream_is_counted_for_two_seconds_and_reaches_no_call() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(1);
    assert_eq!(harness.exchange(a.ours, a.peer, &stream.next()).len(), 1);
    harness.disconnect(a);
    harness.disconnect(b);
    assert_eq!(harness.sent().len(), 1, "the goodbye to who was sent to");
    let open = harness.worker.io_mut().sockets().count();
    for _ in 0..99 {
        harness.deliver(a.ours, a.peer, &stream.next());
        harness.pass_ms(20);
    }
    assert_eq!(harness.sent(), []);
    assert_eq!(harness.dropped(DropReason::LegEnded), 99);
    harness.pass_ms(21);
    assert_eq!(
        harness.deliver(a.ours, a.peer, &stream.next()),
        Delivery::NoSocket
    );
    assert!(harness.worker.io_mut().sockets().count() <= open - 2);
    assert!(harness.stock.iter().all(|(_, rtp)| *rtp != a.ours));
    assert!(harness.pool_is_whole());
}

/// Calls that come faster than ports drain are not refused: the oldest goes first.
#[test]
fn when_slots_are_short_the_port_that_drained_longest_is_closed_first() {
    let mut harness = Harness::with(NoFaults, |config| {
        config.pairs_max = 10;
        config.stock = 4;
    });
    let mut used = Vec::new();
    for _ in 0..40 {
        harness.turn();
        let leg = harness.connect(plan("198.51.100.1:4000"), Target::Echo);
        harness.exchange(leg.ours, leg.peer, &Stream::new(1).next());
        harness.disconnect(leg);
        used.push(leg);
    }
    harness.turn();
    assert_eq!(harness.worker.stocked(), 4);
    let latest = used.pop().unwrap();
    let oldest = used.swap_remove(0);
    assert_eq!(
        harness.deliver(latest.ours, latest.peer, b"?"),
        Delivery::Queued
    );
    assert_eq!(
        harness.deliver(oldest.ours, oldest.peer, b"?"),
        Delivery::NoSocket
    );
    harness.turn();
    assert_eq!(harness.dropped(DropReason::LegEnded), 1);
}

/// Ports of others, and a host that runs out of descriptors.
#[derive(Default)]
struct Host {
    busy: BTreeSet<u16>,
    is_out_of_descriptors: bool,
    asked: u64,
}

impl Faults for Host {
    fn refuse_open(&mut self, local: SocketAddr) -> Option<OpenRefused> {
        self.asked += 1;
        if self.is_out_of_descriptors {
            return Some(OpenRefused::DescriptorLimit);
        }
        self.busy
            .contains(&local.port())
            .then_some(OpenRefused::AddressInUse)
    }
}

#[test]
fn busy_ports_are_passed_over_and_counted() {
    // Every second pair is busy, by its RTCP port or by its RTP port.
    let busy = (10_000..10_200_u16)
        .step_by(4)
        .map(|port| port + port / 4 % 2)
        .collect();
    let mut harness = Harness::with(
        Host {
            busy,
            ..Host::default()
        },
        |_| {},
    );
    for _ in 0..6 {
        harness.turn();
    }
    assert_eq!(harness.worker.stocked(), 8);
    assert!(harness.stock.iter().all(|(_, rtp)| rtp.port() % 4 == 2));
    assert!(harness.worker.counters().ports_refused > 0);
    assert_eq!(
        harness.worker.io_mut().sockets().count(),
        16,
        "no half pair stays open"
    );
}

#[test]
fn without_descriptors_the_stock_shrinks_and_the_kernel_is_not_pestered() {
    let mut harness = Harness::with(Host::default(), |_| {});
    harness.worker.io_mut().faults_mut().is_out_of_descriptors = true;
    let asked = harness.worker.io_mut().faults_mut().asked;
    for _ in 0..3 {
        harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    }
    harness.pass_ms(10_500);
    assert_eq!(harness.worker.stocked(), 5);
    let asked = harness.worker.io_mut().faults_mut().asked - asked;
    assert!((10..=12).contains(&asked), "{asked}");
    assert_eq!(harness.worker.counters().opens_refused, asked);
    harness.worker.io_mut().faults_mut().is_out_of_descriptors = false;
    harness.pass_ms(1_100);
    assert_eq!(harness.worker.stocked(), 8);
}

#[test]
fn slots_are_not_used_again_before_their_counters_were_taken() {
    let mut harness = Harness::with(NoFaults, |config| {
        config.pairs_max = 4;
        config.stock = 4;
    });
    let legs: Vec<_> = (0..4)
        .map(|_| harness.connect(plan("198.51.100.1:4000"), Target::Echo))
        .collect();
    for leg in &legs {
        harness.exchange(leg.ours, leg.peer, &Stream::new(1).next());
        harness.command(Command::Disconnect { pair: leg.pair });
    }
    harness.pass_ms(60_000);
    assert_eq!(harness.worker.stocked(), 0);
    for leg in &legs {
        harness.command(Command::Acknowledge { pair: leg.pair });
    }
    harness.pass_ms(60_000);
    assert_eq!(harness.worker.stocked(), 4);
}

#[test]
fn without_rtcp_ports_a_pair_is_one_socket_and_media_cross_all_the_same() {
    let mut harness = Harness::with(NoFaults, |config| config.rtcp_ports = false);
    let (a, b) = harness.call();
    let mut rtcp = a.ours;
    rtcp.set_port(rtcp.port() + 1);
    let deaf = harness.deliver(rtcp, a.peer, b"?");
    assert_eq!(deaf, Delivery::NoSocket);
    let mut stream = Stream::new(1);
    for _ in 0..3_000 / 20 {
        let sent = harness.exchange(a.ours, a.peer, &stream.next());
        assert_eq!(sent.len(), 1, "nothing but the packet leaves");
        assert_eq!((sent[0].from, sent[0].to), (b.ours, b.peer));
        harness.pass_ms(20);
    }
    harness.disconnect(a);
    harness.disconnect(b);
    harness.pass_ms(60_000);
    assert_eq!(
        harness.worker.stocked(),
        9,
        "a full stock, and the pair that nobody sent to"
    );
}
