use super::*;
use proptest::prelude::*;

fn arrived(ssrc: u32, sequence: u16, timestamp: u32, at_ms: u32) -> Arrived {
    Arrived {
        ssrc: Ssrc(ssrc),
        sequence: SequenceNumber(sequence),
        timestamp: RtpTimestamp(timestamp),
        clock: ClockRate::HZ_8000,
        is_event: false,
        kind: MediaKind::Audio,
        is_restart: false,
        at_ms,
    }
}

fn stream() -> Continuity {
    Continuity::new(SequenceNumber(65_533), RtpTimestamp(u32::MAX - 100))
}

#[test]
fn a_switch_goes_on_with_the_next_number_the_passed_time_and_a_marker() {
    let mut stream = stream();
    let first = stream.place(arrived(1, 10, 1_000, 0)).unwrap();
    assert!(first.is_marked);
    assert_eq!(first.sequence, SequenceNumber(65_534));
    let second = stream.place(arrived(1, 11, 1_160, 20)).unwrap();
    assert!(!second.is_marked);
    let switched = stream.place(arrived(2, 40_000, 77, 1_020)).unwrap();
    assert!(switched.is_marked);
    assert_eq!(switched.sequence.distance_from(second.sequence), 1);
    assert_eq!(switched.timestamp.distance_from(second.timestamp), 8_000);
}

#[test]
fn a_gap_inside_a_source_stays_a_gap() {
    let mut stream = stream();
    let before = stream.place(arrived(1, 10, 1_000, 0)).unwrap();
    let after = stream.place(arrived(1, 14, 1_640, 80)).unwrap();
    assert_eq!(after.sequence.distance_from(before.sequence), 4);
    assert_eq!(after.timestamp.distance_from(before.timestamp), 640);
    let late = stream.place(arrived(1, 12, 1_320, 90)).unwrap();
    assert_eq!(late.sequence.distance_from(before.sequence), 2);
}

/// A hold of any length: what was not sent is no loss of the source's, and is not waited for.
#[test]
fn what_was_not_sent_leaves_no_gap() {
    for left_out in [1, 150, 3_000, 20_000, 40_000, 65_535] {
        let mut stream = stream();
        stream.place(arrived(1, 9, 840, 0)).unwrap();
        let before = stream.place(arrived(1, 10, 1_000, 20)).unwrap();
        stream.interrupt();
        let next = 11_u16.wrapping_add(left_out);
        let after = stream.place(arrived(1, next, 77, 5_020)).unwrap();
        assert_eq!(
            after.sequence.distance_from(before.sequence),
            1,
            "{left_out}"
        );
        assert_eq!(after.timestamp.distance_from(before.timestamp), 40_000);
        assert!(after.is_marked);
        let then = stream.place(arrived(1, next.wrapping_add(1), 237, 5_040));
        let then = then.unwrap();
        assert_eq!(then.sequence.distance_from(after.sequence), 1);
        assert!(!then.is_marked);
    }
}

/// Nobody said that packets were left out: a step that no gap inside a source has says it.
#[test]
fn a_step_that_no_gap_has_is_a_switch() {
    for step in [3_001_u16, 20_000, 40_000, 60_000] {
        let mut stream = stream();
        let before = stream.place(arrived(1, 10, 1_000, 0)).unwrap();
        let after = stream.place(arrived(1, 10_u16.wrapping_add(step), 5_000, 40));
        let after = after.unwrap();
        assert_eq!(after.sequence.distance_from(before.sequence), 1, "{step}");
    }
}

#[test]
fn a_packet_from_before_the_switch_has_no_place() {
    let mut stream = stream();
    stream.place(arrived(1, 10, 0, 0)).unwrap();
    stream.place(arrived(2, 500, 0, 20)).unwrap();
    assert_eq!(
        stream.place(arrived(2, 499, 0, 21)),
        Err(DropReason::BeforeSwitch)
    );
}

#[test]
fn a_source_that_begins_anew_is_a_switch() {
    let mut stream = stream();
    let before = stream.place(arrived(1, 10, 0, 0)).unwrap();
    let anew = Arrived {
        is_restart: true,
        ..arrived(1, 30_000, 9, 20)
    };
    let after = stream.place(anew).unwrap();
    assert_eq!(after.sequence.distance_from(before.sequence), 1);
    assert!(after.is_marked);
}

/// RFC 4733 §2.5.1.2: an event keeps the timestamp of its start; the marker waits for audio.
#[test]
fn an_event_keeps_its_timestamp_and_gets_no_marker() {
    let mut stream = stream();
    let event = |sequence, at_ms| Arrived {
        is_event: true,
        ..arrived(1, sequence, 800, at_ms)
    };
    let first = stream.place(event(1, 0)).unwrap();
    let last = stream.place(event(4, 60)).unwrap();
    assert_eq!(first.timestamp, last.timestamp);
    assert!(!first.is_marked && !last.is_marked);
    let audio = stream.place(arrived(1, 5, 1_440, 80)).unwrap();
    assert!(audio.is_marked);
    assert_eq!(audio.timestamp.distance_from(first.timestamp), 640);
}

#[test]
fn sender_report_time_is_translated_for_the_present_source_only() {
    let mut stream = stream();
    let placed = stream.place(arrived(1, 10, 1_000, 0)).unwrap();
    let later = stream.translate(Ssrc(1), RtpTimestamp(1_160)).unwrap();
    assert_eq!(later.distance_from(placed.timestamp), 160);
    assert_eq!(stream.translate(Ssrc(2), RtpTimestamp(1_160)), None);
}

#[test]
fn numbers_map_back_to_the_present_source_only() {
    let mut stream = stream();
    let of_first = stream.place(arrived(1, 10, 0, 0)).unwrap().sequence;
    let first = stream.place(arrived(2, 65_535, 0, 20)).unwrap().sequence;
    let second = stream.place(arrived(2, 2, 480, 80)).unwrap().sequence;
    assert_eq!(stream.feed(), Some(Ssrc(2)));
    assert_eq!(stream.number_in_feed(of_first), None);
    let lost = first.wrapping_add(1);
    assert_eq!(stream.number_in_feed(lost), Some(SequenceNumber(0)));
    assert_eq!(stream.number_in_feed(second), Some(SequenceNumber(2)));
    assert_eq!(stream.number_in_feed(second.wrapping_add(1)), None);
    for step in 0..40_000_u16 {
        let number = 3_u16.wrapping_add(step);
        stream.place(arrived(2, number, 0, 100)).unwrap();
    }
    let last = second.wrapping_add(40_000);
    assert_eq!(
        stream.number_in_feed(last.wrapping_add(0_u16.wrapping_sub(3_000))),
        Some(SequenceNumber(40_002 - 3_000))
    );
    assert_eq!(stream.number_in_feed(first), None);
}

proptest! {
    /// Over any number of switches between any sources: numbers are unique, go on without a hole
    /// at the switch, and timestamps rise.
    #[test]
    fn numbers_go_on_over_random_switches(
        runs in proptest::collection::vec((any::<u32>(), any::<u16>(), any::<u32>(), 1_u16..60, 0_u32..90_000), 1..40),
    ) {
        let mut stream = stream();
        let mut at_ms = 5_u32;
        let mut last: Option<Placed> = None;
        let mut feed = None;
        for (ssrc, sequence, timestamp, length, pause_ms) in runs {
            at_ms = at_ms.wrapping_add(pause_ms);
            for step in 0..length {
                at_ms = at_ms.wrapping_add(20);
                let is_switch = step == 0 && feed != Some(ssrc);
                let mut packet = arrived(ssrc, sequence.wrapping_add(step), timestamp.wrapping_add(u32::from(step) * 160), at_ms);
                packet.is_restart = step == 0 && feed == Some(ssrc);
                let placed = stream.place(packet).unwrap();
                if let Some(last) = last {
                    prop_assert_eq!(placed.sequence.distance_from(last.sequence), 1);
                    prop_assert!(placed.timestamp.distance_from(last.timestamp) > 0);
                }
                prop_assert_eq!(placed.is_marked, is_switch || packet.is_restart);
                last = Some(placed);
                feed = Some(ssrc);
            }
        }
    }
}
