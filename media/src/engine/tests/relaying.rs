//! What a relayed packet becomes, and what it must never become.

use std::time::Duration;

use proptest::prelude::*;

use super::harness::{Harness, Stream, plan};
use crate::command::{LegPlan, PayloadMapping, Report, Target};
use crate::drop_reason::DropReason;
use crate::limits::LEG_BURST_PACKETS_MAX;
use crate::rtp::{PayloadType, RtpView, Ssrc};

#[test]
fn each_packet_comes_out_once_rewritten_and_otherwise_the_same() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(0x1111);
    let mut last = None;
    for count in 0..200 {
        let packet = stream.next();
        let sent = harness.exchange(a.ours, a.peer, &packet);
        assert_eq!(sent.len(), 1, "packet {count}");
        assert_eq!((sent[0].from, sent[0].to), (b.ours, b.peer));
        let rtp = sent[0].rtp();
        assert_eq!(rtp.payload(), &packet[12..]);
        assert_ne!(rtp.ssrc(), Ssrc(0x1111));
        assert_eq!(rtp.marker(), count == 0);
        if let Some((sequence, timestamp, ssrc)) = last {
            assert_eq!(rtp.sequence().distance_from(sequence), 1);
            assert_eq!(rtp.timestamp().distance_from(timestamp), 160);
            assert_eq!(rtp.ssrc(), ssrc);
        }
        last = Some((rtp.sequence(), rtp.timestamp(), rtp.ssrc()));
        harness.pass_ms(20);
        assert!(
            harness.sent().iter().all(|sent| sent.from.port() % 2 == 1),
            "only RTCP by itself"
        );
    }
    let counters = harness.disconnect(a);
    assert_eq!(
        (counters.packets_received, counters.octets_received),
        (200, 200 * 172)
    );
    assert_eq!((counters.packets_lost, counters.jitter_us), (0, 0));
    let counters = harness.disconnect(b);
    assert_eq!(
        (counters.packets_sent, counters.octets_sent),
        (200, 200 * 172)
    );
    assert!(harness.pool_is_whole());
}

#[test]
fn loss_stays_visible_and_is_counted() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(1);
    let first = harness.exchange(a.ours, a.peer, &stream.next());
    for _ in 0..3 {
        stream.next();
    }
    let second = harness.exchange(a.ours, a.peer, &stream.next());
    assert_eq!(
        second[0]
            .rtp()
            .sequence()
            .distance_from(first[0].rtp().sequence()),
        4
    );
    assert_eq!(harness.disconnect(a).packets_lost, 3);
    assert_eq!(harness.disconnect(b).packets_lost, 0);
}

/// Cisco trunk requirement H-02: payload types are mapped, not copied; H-03: events stay whole.
#[test]
fn payload_types_are_mapped_and_events_keep_their_time() {
    let mut harness = Harness::new();
    let (a, _) = harness.call();
    let mut stream = Stream::new(1);
    harness.exchange(a.ours, a.peer, &stream.next());
    stream.payload_type = 101;
    let event_start = stream.timestamp;
    let mut times = Vec::new();
    for _ in 0..6 {
        stream.timestamp = event_start;
        let sent = harness.exchange(a.ours, a.peer, &stream.next());
        assert_eq!(sent[0].rtp().payload_type(), PayloadType::from_bits(96));
        times.push(sent[0].rtp().timestamp());
    }
    assert!(times.iter().all(|time| *time == times[0]));
    let counters = harness.disconnect(a);
    assert_eq!((counters.packets_lost, counters.packets_discarded), (0, 0));
}

#[test]
fn a_new_ssrc_and_a_new_call_leg_go_on_in_one_stream() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut heard = Vec::new();
    for ssrc in [5, 6, 5] {
        let mut stream = Stream::new(ssrc);
        stream.sequence = 1_000 * u16::try_from(ssrc).unwrap();
        for _ in 0..3 {
            heard.extend(harness.exchange(b.ours, b.peer, &stream.next()));
            harness.pass_ms(20);
            harness.sent();
        }
    }
    // Fail-over: another leg now feeds the caller.
    harness.disconnect(b);
    let c = harness.connect(plan("203.0.113.77:7000"), Target::Leg(a.pair));
    harness.pass_ms(3_000);
    harness.sent();
    heard.extend(harness.exchange(c.ours, c.peer, &Stream::new(9).next()));
    assert_eq!(heard.len(), 10);
    for pair in heard.windows(2) {
        let (before, after) = (pair[0].rtp(), pair[1].rtp());
        assert_eq!(after.ssrc(), before.ssrc());
        assert_eq!(after.sequence().distance_from(before.sequence()), 1);
        assert!(after.timestamp().distance_from(before.timestamp()) >= 160);
        assert_eq!((pair[1].from, pair[1].to), (a.ours, a.peer));
    }
    let marks: Vec<_> = heard.iter().map(|sent| sent.rtp().marker()).collect();
    let expected = [
        true, false, false, true, false, false, true, false, false, true,
    ];
    assert_eq!(marks, expected);
}

/// A packet reaches a leg only from the leg that has it for a target.
#[test]
fn nothing_crosses_between_calls() {
    let mut harness = Harness::new();
    let mut calls = Vec::new();
    for call in 1..=4_u16 {
        let a = plan(&format!("198.51.100.{call}:4000"));
        let b = plan(&format!("203.0.113.{call}:6000"));
        calls.push(harness.call_with(a, b));
    }
    let mut streams: Vec<_> = (1..=8_u32).map(Stream::new).collect();
    for _ in 0..50 {
        for (at, stream) in streams.iter_mut().enumerate() {
            let (a, b) = calls[at / 2];
            let (from, to) = if at % 2 == 0 { (a, b) } else { (b, a) };
            let packet = stream.next();
            let sent = harness.exchange(from.ours, from.peer, &packet);
            assert_eq!(sent.len(), 1);
            assert_eq!((sent[0].from, sent[0].to), (to.ours, to.peer));
            assert_eq!(sent[0].rtp().payload(), &packet[12..]);
        }
    }
}

#[test]
fn a_leg_whose_target_is_gone_reaches_nobody_even_when_the_slot_is_used_again() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    harness.exchange(b.ours, b.peer, &Stream::new(2).next());
    harness.disconnect(b);
    harness.pass_ms(2_000);
    let mut others = Vec::new();
    for at in 0..20_u16 {
        others.push(harness.connect(plan(&format!("203.0.113.{at}:6000")), Target::Nowhere));
        harness.pass_ms(10);
    }
    assert!(
        others.iter().any(|other| other.pair.slot == b.pair.slot),
        "the slot is used again"
    );
    let mut stream = Stream::new(1);
    for _ in 0..10 {
        assert_eq!(harness.exchange(a.ours, a.peer, &stream.next()), []);
    }
    assert_eq!(harness.dropped(DropReason::OppositeGone), 10);
}

#[test]
fn held_legs_neither_send_nor_are_sent_to() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(1);
    harness.exchange(a.ours, a.peer, &stream.next());
    let held = LegPlan {
        sends: false,
        receives: false,
        version: 2,
        ..plan("203.0.113.2:6000")
    };
    harness.update(b, held, Target::Leg(a.pair));
    assert_eq!(harness.exchange(a.ours, a.peer, &stream.next()), []);
    assert_eq!(harness.exchange(b.ours, b.peer, &Stream::new(2).next()), []);
    assert_eq!(harness.dropped(DropReason::OppositeNotSending), 1);
    assert_eq!(harness.dropped(DropReason::NotReceiving), 1);
    let resumed = LegPlan {
        version: 3,
        ..plan("203.0.113.2:6000")
    };
    harness.update(b, resumed, Target::Leg(a.pair));
    assert_eq!(harness.exchange(a.ours, a.peer, &stream.next()).len(), 1);
}

/// Twelve minutes of hold in which the sender goes on: half the numbers there are.
#[test]
fn after_a_hold_the_listener_hears_on_and_misses_nothing() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(1);
    let before = harness.exchange(a.ours, a.peer, &stream.next());
    let before = before[0].rtp().sequence();
    let held = LegPlan {
        sends: false,
        version: 2,
        ..plan("203.0.113.2:6000")
    };
    harness.update(b, held, Target::Leg(a.pair));
    for _ in 0..36_000 {
        harness.deliver(a.ours, a.peer, &stream.next());
        harness.pass_ms(20);
    }
    harness.sent();
    harness.update(b, plan("203.0.113.2:6000"), Target::Leg(a.pair));
    for step in 1..5 {
        let sent = harness.exchange(a.ours, a.peer, &stream.next());
        assert_eq!(sent.len(), 1, "each is heard");
        assert_eq!(sent[0].rtp().sequence().distance_from(before), step);
        harness.pass_ms(20);
        harness.sent();
    }
}

#[test]
fn silence_is_reported_once_and_not_while_held() {
    let timeout = Some(Duration::from_secs(30));
    let mut harness = Harness::new();
    let held = LegPlan {
        receives: false,
        media_timeout: timeout,
        ..plan("198.51.100.1:4000")
    };
    let active = LegPlan {
        media_timeout: timeout,
        ..plan("203.0.113.2:6000")
    };
    let (a, b) = harness.call_with(held.clone(), active);
    harness.pass_ms(20_000);
    harness.exchange(b.ours, b.peer, &Stream::new(2).next());
    harness.pass_ms(29_999);
    assert!(
        !harness
            .reports
            .iter()
            .any(|report| matches!(report, Report::Silent { .. }))
    );
    harness.pass_ms(600_001);
    let silent: Vec<_> = harness
        .reports
        .iter()
        .filter_map(|report| match report {
            Report::Silent { pair } => Some(*pair),
            Report::Stocked { .. }
            | Report::BrowserStocked { .. }
            | Report::TransportUp { .. }
            | Report::TransportFailed { .. }
            | Report::TransportSilent { .. }
            | Report::TransportBack { .. }
            | Report::Struck { .. }
            | Report::Loaded { .. }
            | Report::Latched { .. }
            | Report::Disconnected { .. } => None,
        })
        .collect();
    assert_eq!(silent, [b.pair]);
    // Resumed, the clock of the other leg starts.
    harness.update(
        a,
        LegPlan {
            receives: true,
            version: 2,
            ..held.clone()
        },
        Target::Leg(b.pair),
    );
    harness.reports.clear();
    harness.pass_ms(29_999);
    assert_eq!(harness.reports.len(), 0);
    harness.pass_ms(1);
    assert_eq!(harness.reports.len(), 1);
    // A new plan asks anew.
    harness.update(
        a,
        LegPlan {
            receives: true,
            version: 3,
            ..held
        },
        Target::Leg(b.pair),
    );
    harness.pass_ms(30_000);
    assert_eq!(harness.reports.len(), 2);
}

#[test]
fn echo_returns_the_same_payload_and_no_more_than_came() {
    let mut harness = Harness::new();
    let echo = harness.connect(plan("198.51.100.1:4000"), Target::Echo);
    harness.pass_ms(2_000);
    assert_eq!(harness.sent(), []);
    let mut stream = Stream::new(4);
    for payload_type in [0, 0, 101, 8] {
        stream.payload_type = payload_type;
        let packet = stream.next();
        let sent = harness.exchange(echo.ours, echo.peer, &packet);
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].from, sent[0].to), (echo.ours, echo.peer));
        assert_eq!(sent[0].rtp().payload(), &packet[12..]);
        assert_eq!(
            sent[0].rtp().payload_type(),
            PayloadType::from_bits(payload_type)
        );
    }
}

#[test]
fn the_tone_party_plays_g711_and_echoes_the_rest() {
    let mut harness = Harness::new();
    let tone = harness.connect(plan("198.51.100.1:4000"), Target::Tone);
    let mut stream = Stream::new(4);
    let mut played = Vec::new();
    for _ in 0..10 {
        let packet = stream.next();
        let sent = harness.exchange(tone.ours, tone.peer, &packet);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].bytes.len(), packet.len());
        played.extend_from_slice(sent[0].rtp().payload());
    }
    // 440 Hz repeats every 200 samples, whatever the packets are.
    assert_eq!(played[..200], played[200..400]);
    assert!(played[..200].iter().any(|octet| *octet != played[0]));
    stream.payload_type = 101;
    let event = stream.next();
    let sent = harness.exchange(tone.ours, tone.peer, &event);
    assert_eq!(sent[0].rtp().payload(), &event[12..]);
}

#[test]
fn ringback_answers_speech_and_nothing_else() {
    let mut harness = Harness::new();
    let ringing = harness.connect(plan("198.51.100.1:4000"), Target::Ringback);
    let mut stream = Stream::new(4);
    let packet = stream.next();
    let sent = harness.exchange(ringing.ours, ringing.peer, &packet);
    assert_eq!(sent.len(), 1);
    assert_ne!(sent[0].rtp().payload(), &packet[12..], "not its own voice");
    stream.payload_type = 101;
    let event = stream.next();
    let sent = harness.exchange(ringing.ours, ringing.peer, &event);
    assert_eq!(sent.len(), 0);
    assert_eq!(harness.dropped(DropReason::NoTarget), 1);
}

#[test]
fn a_flood_of_one_leg_is_bounded() {
    let mut harness = Harness::new();
    let (a, _) = harness.call();
    let mut stream = Stream::new(1);
    let mut passed = 0;
    for _ in 0..1_000 {
        passed += harness.exchange(a.ours, a.peer, &stream.next()).len();
    }
    let burst = LEG_BURST_PACKETS_MAX as usize;
    assert!((burst..=burst + 2).contains(&passed), "{passed}");
    assert_eq!(
        harness.dropped(DropReason::RateExceeded),
        1_000 - passed as u64
    );
}

#[test]
fn a_change_of_clock_is_no_jitter() {
    let mut harness = Harness::new();
    let mut both = plan("198.51.100.1:4000");
    let opus = PayloadMapping {
        received: 111,
        sent: 111,
        clock_rate_hz: 48_000,
        is_telephone_event: false,
        sent_clock_hz: None,
    };
    both.payloads.push(opus);
    let (a, _) = harness.call_with(both, plan("203.0.113.2:6000"));
    let mut stream = Stream::new(1);
    for payload_type in [0, 111, 0, 111] {
        stream.payload_type = payload_type;
        harness.exchange(a.ours, a.peer, &stream.next());
    }
    assert_eq!(harness.disconnect(a).jitter_us, 0);
}

/// RFC 2543 hold, as Cisco still sends it: nothing goes to the unspecified address.
#[test]
fn the_unspecified_address_is_nowhere() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(1);
    harness.exchange(a.ours, a.peer, &stream.next());
    harness.update(
        b,
        LegPlan {
            version: 2,
            ..plan("0.0.0.0:6000")
        },
        Target::Leg(a.pair),
    );
    assert_eq!(harness.exchange(a.ours, a.peer, &stream.next()), []);
    assert_eq!(harness.dropped(DropReason::DestinationUnknown), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Loss, doubling and disorder within a stream: each packet that goes out is one that came in,
    /// with the same payload, every number moved by the same amount, none made up.
    #[test]
    fn what_goes_out_is_what_came_in_moved_by_one_offset(
        order in proptest::collection::vec(0_usize..60, 1..150),
        first in 0_u16..=u16::MAX,
    ) {
        let mut harness = Harness::new();
        let (a, b) = harness.call();
        let mut stream = Stream { sequence: first, ..Stream::new(1) };
        let packets: Vec<_> = (0..60).map(|_| stream.next()).collect();
        let mut offsets = None;
        for at in order {
            let sent = harness.exchange(a.ours, a.peer, &packets[at]);
            prop_assert!(sent.len() <= 1);
            let came = RtpView::parse(&packets[at]).unwrap();
            for sent in &sent {
                let went = sent.rtp();
                prop_assert_eq!((sent.from, sent.to), (b.ours, b.peer));
                prop_assert_eq!(went.payload(), came.payload());
                prop_assert_eq!(went.payload_type(), came.payload_type());
                let moved = (
                    came.sequence().offset_to(went.sequence()),
                    came.timestamp().offset_to(went.timestamp()),
                    went.ssrc(),
                );
                prop_assert_eq!(*offsets.get_or_insert(moved), moved);
            }
            let dropped = harness.worker.counters().drops;
            prop_assert_eq!(dropped.total(), dropped.of(DropReason::BeforeSwitch));
        }
    }
}
