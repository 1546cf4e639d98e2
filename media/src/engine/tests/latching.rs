//! Who a leg listens to, and that it never sends to anybody else.

use super::harness::{ANY, Harness, Stream, address, plan};
use crate::command::{LatchPolicy, LegPlan, Target};
use crate::drop_reason::DropReason;

fn by_signalling(host: &str) -> LegPlan {
    let latch = LatchPolicy::Signalling(host.parse().unwrap());
    LegPlan {
        latch,
        ..plan("10.0.0.5:4000")
    }
}

#[test]
fn strangers_never_move_a_locked_leg() {
    let mut harness = Harness::new();
    let any = LegPlan {
        latch: ANY,
        ..plan("203.0.113.2:6000")
    };
    let (a, b) = harness.call_with(plan("198.51.100.1:4000"), any);
    let mut stream = Stream::new(1);
    for _ in 0..4 {
        harness.exchange(b.ours, b.peer, &stream.next());
    }
    harness.exchange(a.ours, a.peer, &Stream::new(2).next());
    let mut spray = Stream::new(3);
    for at in 0..100_u16 {
        let stranger = address(&format!("192.0.2.{}:{}", at % 50, 4_000 + at));
        assert_eq!(harness.exchange(b.ours, stranger, &spray.next()), []);
        assert_eq!(harness.exchange(a.ours, stranger, &spray.next()), []);
    }
    let sent = harness.exchange(a.ours, a.peer, &{
        let mut stream = Stream::new(2);
        stream.next();
        stream.next()
    });
    assert_eq!(sent[0].to, b.peer);
    assert_eq!(harness.latched(), [b.peer, a.peer]);
    assert_eq!(harness.dropped(DropReason::SourceNotLatched), 100);
    assert_eq!(harness.dropped(DropReason::SourceNotAdmitted), 100);
    assert_eq!(harness.disconnect(b).packets_lost, 0);
}

#[test]
fn nothing_leaves_towards_anybody_before_the_lock() {
    let mut harness = Harness::new();
    let any = LegPlan {
        latch: ANY,
        ..plan("203.0.113.2:6000")
    };
    let (a, b) = harness.call_with(any, by_signalling("203.0.113.9"));
    let mut spray = Stream::new(3);
    for at in 0..60_u16 {
        let stranger = address(&format!("192.0.2.{}:4000", at % 50));
        assert_eq!(harness.exchange(a.ours, stranger, &spray.next()), []);
        assert_eq!(harness.exchange(b.ours, stranger, &spray.next()), []);
        harness.pass_ms(500);
        assert_eq!(harness.sent(), [], "no RTCP either");
    }
    assert_eq!(harness.latched(), []);
}

#[test]
fn the_signalling_source_locks_after_four_and_then_hears() {
    let mut harness = Harness::new();
    let (a, b) = harness.call_with(plan("198.51.100.1:4000"), by_signalling("203.0.113.9"));
    let nat = address("203.0.113.9:61234");
    let mut stream = Stream::new(1);
    for _ in 0..3 {
        assert_eq!(harness.exchange(b.ours, nat, &stream.next()), []);
    }
    assert_eq!(harness.exchange(a.ours, a.peer, &Stream::new(5).next()), []);
    assert_eq!(harness.exchange(b.ours, nat, &stream.next())[0].to, a.peer);
    assert_eq!(harness.latched(), [a.peer, nat]);
    let mut stream = Stream::new(5);
    stream.next();
    assert_eq!(harness.exchange(a.ours, a.peer, &stream.next())[0].to, nat);
}

#[test]
fn a_payload_type_that_was_not_negotiated_neither_locks_nor_passes() {
    let mut harness = Harness::new();
    let (a, _) = harness.call();
    let mut stream = Stream::new(1);
    stream.payload_type = 18;
    assert_eq!(harness.exchange(a.ours, a.peer, &stream.next()), []);
    assert_eq!(harness.latched(), []);
    stream.payload_type = 0;
    harness.exchange(a.ours, a.peer, &stream.next());
    stream.payload_type = 18;
    assert_eq!(harness.exchange(a.ours, a.peer, &stream.next()), []);
    assert_eq!(harness.dropped(DropReason::PayloadNotNegotiated), 2);
    assert_eq!(harness.disconnect(a).packets_discarded, 2);
}

/// Cisco trunk requirement E-05: hold and resume change address, port and SSRC.
#[test]
fn a_new_offer_moves_the_leg_and_never_sends_to_two_places() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let (mut from_a, mut old) = (Stream::new(1), Stream::new(2));
    harness.exchange(b.ours, b.peer, &old.next());
    harness.exchange(a.ours, a.peer, &from_a.next());
    let moh = address("203.0.113.50:9000");
    let moved = LegPlan {
        version: 2,
        ..plan("203.0.113.50:9000")
    };
    harness.update(b, moved, Target::Leg(a.pair));
    // Sent to the new address at once, the old one still heard.
    let sent = harness.exchange(a.ours, a.peer, &from_a.next());
    assert_eq!(sent.iter().map(|sent| sent.to).collect::<Vec<_>>(), [moh]);
    assert_eq!(harness.exchange(b.ours, b.peer, &old.next()).len(), 1);
    // The new one speaks: the old one is over.
    assert_eq!(
        harness.exchange(b.ours, moh, &Stream::new(7).next()).len(),
        1
    );
    assert_eq!(harness.exchange(b.ours, b.peer, &old.next()), []);
    assert_eq!(harness.latched(), [b.peer, a.peer, moh]);
}

#[test]
fn the_old_source_is_heard_for_two_seconds_only() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut old = Stream::new(2);
    harness.exchange(b.ours, b.peer, &old.next());
    let moved = LegPlan {
        version: 2,
        ..plan("203.0.113.50:9000")
    };
    harness.update(b, moved, Target::Leg(a.pair));
    harness.pass_ms(1_999);
    harness.sent();
    assert_eq!(harness.exchange(b.ours, b.peer, &old.next()).len(), 1);
    harness.pass_ms(1);
    harness.sent();
    assert_eq!(harness.exchange(b.ours, b.peer, &old.next()), []);
}

/// An echo leg sends nothing to an address that has not spoken, even while the old one is heard.
#[test]
fn echo_after_a_move_waits_for_the_new_source() {
    let mut harness = Harness::new();
    let echo = harness.connect(plan("198.51.100.1:4000"), Target::Echo);
    let mut old = Stream::new(1);
    assert_eq!(harness.exchange(echo.ours, echo.peer, &old.next()).len(), 1);
    let moved = LegPlan {
        version: 2,
        ..plan("203.0.113.50:9000")
    };
    harness.update(echo, moved, Target::Echo);
    assert_eq!(harness.exchange(echo.ours, echo.peer, &old.next()), []);
    let new = address("203.0.113.50:9000");
    let sent = harness.exchange(echo.ours, new, &Stream::new(2).next());
    assert_eq!(sent[0].to, new);
}

/// Anybody can write a source into a packet. Behind its NAT the peer is elsewhere than its SDP says.
#[test]
fn one_packet_that_claims_the_sdp_address_does_not_end_a_stream_that_goes_on() {
    for spoofed in [1, 4, 40] {
        let mut harness = Harness::new();
        let any = LegPlan {
            latch: ANY,
            ..plan("10.0.0.5:4000")
        };
        let (a, b) = harness.call_with(any, plan("203.0.113.2:6000"));
        let nat = address("198.51.100.9:31000");
        let (mut stream, mut spoof, mut back) = (Stream::new(1), Stream::new(66), Stream::new(2));
        let mut lost = 0;
        for number in 0..400 {
            harness.exchange(a.ours, nat, &stream.next());
            if (100..100 + spoofed).contains(&number) {
                harness.exchange(a.ours, a.peer, &spoof.next());
            }
            let mut sent = harness.exchange(b.ours, b.peer, &back.next());
            sent.retain(|sent| sent.from == a.ours);
            lost += u32::from(number > 4 && sent.iter().all(|sent| sent.to != nat));
            harness.pass_ms(20);
            harness.sent();
        }
        // It is believed as long as it speaks, and for a second.
        assert!(lost <= spoofed + 55, "{lost} after {spoofed}");
        assert_eq!(harness.exchange(a.ours, nat, &stream.next())[0].to, b.peer);
    }
}

/// Of the address of a provider everybody knows.
#[test]
fn forged_packets_from_two_nearer_addresses_do_not_end_a_stream_that_goes_on() {
    let (one, two) = (address("192.0.2.1:5000"), address("192.0.2.1:5002"));
    let sdp = address("10.0.0.5:4000");
    let plays = [
        vec![one, two, two, two, two],
        vec![one, sdp],
        vec![one, one, two, two, two, two, one, one, one, one],
    ];
    for forged in plays {
        let mut harness = Harness::new();
        let any = LegPlan {
            latch: LatchPolicy::Any(one.ip()),
            ..plan("10.0.0.5:4000")
        };
        let (a, b) = harness.call_with(any, plan("203.0.113.2:6000"));
        let nat = address("198.51.100.9:31000");
        let (mut stream, mut spoof) = (Stream::new(1), Stream::new(66));
        for number in 0..200_usize {
            harness.exchange(a.ours, nat, &stream.next());
            if let Some(from) = number.checked_sub(100).and_then(|at| forged.get(at)) {
                harness.exchange(a.ours, *from, &spoof.next());
            }
            harness.pass_ms(20);
            harness.sent();
        }
        let left = harness.exchange(a.ours, nat, &stream.next());
        assert_eq!(left.len(), 1, "{forged:?}: it is heard again");
        assert_eq!(left[0].to, b.peer);
    }
}

#[test]
fn who_speaks_on_from_the_sdp_address_keeps_the_leg_in_its_pauses() {
    let mut harness = Harness::new();
    let any = LegPlan {
        latch: ANY,
        ..plan("198.51.100.1:4000")
    };
    let (a, _) = harness.call_with(any, plan("203.0.113.2:6000"));
    let stranger = address("192.0.2.66:4000");
    let (mut stream, mut spray) = (Stream::new(1), Stream::new(66));
    for _ in 0..8 {
        harness.exchange(a.ours, stranger, &spray.next());
        harness.pass_ms(20);
    }
    for _ in 0..60 {
        harness.exchange(a.ours, a.peer, &stream.next());
        harness.exchange(a.ours, stranger, &spray.next());
        harness.pass_ms(20);
    }
    for _ in 0..200 {
        harness.exchange(a.ours, stranger, &spray.next());
        harness.pass_ms(20);
    }
    assert_eq!(harness.latched(), [stranger, a.peer]);
}
