//! Telephone-events whose two sides count in different clocks (RFC 4733 §2.1): 48,000 a second beside Opus at a
//! browser, 8,000 at most trunks. Their duration is counted anew, in place.
//!
//! An event has its place on the line of the sound that it lies in, by whose clock both sides count stamps,
//! so those stay. But for a long event: who counts faster cuts it into segments of 0xFFFF (RFC 4733
//! §2.5.1.3), and they are put together for who counts slower, and cut for who counts faster.

use crate::rtp::RtpTimestamp;

/// The longest duration of a segment.
const SEGMENT: u64 = 0xffff;

/// Octets of one event (RFC 4733 §2.3).
const EVENT_SIZE: usize = 4;

/// The bit that ends an event.
const END: u8 = 0x80;

/// From which clock to which, in Hz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventClock {
    /// That of who sends the events.
    pub from_hz: u32,
    /// That of who hears them.
    pub to_hz: u32,
    /// That of the sound, and of all stamps.
    pub stamp_hz: u32,
}

/// The events of one source: what is known of the last one.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventCounter {
    running: Option<Running>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    code: u8,
    /// Its begin.
    first: RtpTimestamp,
    /// The begin of the last segment of it that came.
    segment: RtpTimestamp,
    /// Segments that left.
    left: u64,
    /// Its end came.
    is_over: bool,
}

impl EventCounter {
    /// Counts the event of a packet by the clock of who hears it. Gives the stamp that it has there.
    pub fn count(
        &mut self,
        clock: EventClock,
        stamp: RtpTimestamp,
        payload: &mut [u8],
    ) -> RtpTimestamp {
        debug_assert!(clock.is_sound(), "clocks run");
        match payload.as_chunks_mut::<EVENT_SIZE>() {
            ([event], []) => self.count_one(clock, stamp, event),
            (events, _) => {
                // Short ones in one packet (RFC 4733 §2.5.1.5): none of them has segments.
                for [_, _, high, low] in events {
                    let ticks = u64::from(u16::from_be_bytes([*high, *low]));
                    let ticks = clock.counted(ticks).min(SEGMENT);
                    [*high, *low] = u16::try_from(ticks).unwrap_or(u16::MAX).to_be_bytes();
                }
                stamp
            }
        }
    }

    fn count_one(
        &mut self,
        clock: EventClock,
        stamp: RtpTimestamp,
        event: &mut [u8; EVENT_SIZE],
    ) -> RtpTimestamp {
        let [code, flags, high, low] = event;
        let own = u64::from(u16::from_be_bytes([*high, *low]));
        let known = self.running.filter(|known| known.has(clock, *code, stamp));
        let mut running = known.unwrap_or(Running {
            code: *code,
            first: stamp,
            segment: stamp,
            left: 0,
            is_over: false,
        });
        running.is_over |= *flags & END != 0;
        if stamp.distance_from(running.segment) > 0 {
            running.segment = stamp;
        }
        let since = stamp.distance_from(running.first).max(0);
        let before = u64::from(since.unsigned_abs()) * u64::from(clock.from_hz);
        let ticks = clock.counted(before / u64::from(clock.stamp_hz) + own);
        let mut segment = ticks.saturating_sub(1) / SEGMENT;
        let mut counted = ticks - segment * SEGMENT;
        if segment > running.left {
            // Who hears it takes the next one for the same event if this one came to its end.
            running.left = segment;
            segment -= 1;
            counted = SEGMENT;
            *flags &= !END;
        }
        [*high, *low] = u16::try_from(counted).unwrap_or(u16::MAX).to_be_bytes();
        let begin = segment * SEGMENT * u64::from(clock.stamp_hz) / u64::from(clock.to_hz);
        self.running = Some(running);
        let begin = u32::try_from(begin).unwrap_or_default();
        running.first.wrapping_add(begin)
    }
}

impl EventClock {
    /// False where one of them is no clock of any sound. Then nothing is counted; with those that are no
    /// count leaves 64 bits.
    #[must_use]
    pub const fn is_sound(self) -> bool {
        is_clock(self.from_hz) && is_clock(self.to_hz) && is_clock(self.stamp_hz)
    }

    /// So many ticks of who sends, as ticks of who hears.
    fn counted(self, ticks: u64) -> u64 {
        ticks * u64::from(self.to_hz) / u64::from(self.from_hz)
    }
}

/// From that of telephones to the fastest of any sound.
const fn is_clock(hz: u32) -> bool {
    8_000 <= hz && hz <= 192_000
}

impl Running {
    /// True for another packet of it: of its last segment, the next one, or one that was overtaken.
    fn has(self, clock: EventClock, code: u8, stamp: RtpTimestamp) -> bool {
        let step = SEGMENT * u64::from(clock.stamp_hz) / u64::from(clock.from_hz);
        let ahead = i64::from(stamp.distance_from(self.segment));
        let is_next = !self.is_over && u64::try_from(ahead).is_ok_and(|ahead| ahead == step);
        let is_within = ahead <= 0 && stamp.distance_from(self.first) >= 0;
        self.code == code && (is_next || is_within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TO_TRUNK: EventClock = EventClock {
        from_hz: 48_000,
        to_hz: 8_000,
        stamp_hz: 48_000,
    };
    const TO_BROWSER: EventClock = EventClock {
        from_hz: 8_000,
        to_hz: 48_000,
        stamp_hz: 48_000,
    };

    /// Stamp, end bit and duration of what leaves.
    fn counted(
        counter: &mut EventCounter,
        clock: EventClock,
        (stamp, is_end, duration): (u32, bool, u16),
    ) -> (u32, bool, u16) {
        let [high, low] = duration.to_be_bytes();
        let mut payload = [5, if is_end { 0x8a } else { 0x0a }, high, low];
        let stamp = counter.count(clock, RtpTimestamp(stamp), &mut payload);
        let [code, flags, high, low] = payload;
        assert_eq!((code, flags & 0x7f), (5, 10), "the key and its volume");
        (stamp.0, flags & END != 0, u16::from_be_bytes([high, low]))
    }

    #[test]
    fn a_key_has_the_same_length_in_both_clocks_and_its_end_three_times() {
        for (clock, [step, end]) in [(TO_TRUNK, [960, 4_800]), (TO_BROWSER, [160, 800])] {
            let mut counter = EventCounter::default();
            let as_heard = |ticks: u16| {
                u16::try_from(u64::from(ticks) * u64::from(clock.to_hz) / u64::from(clock.from_hz))
                    .unwrap()
            };
            for press in 0..3_u32 {
                let stamp = (u32::MAX - 1_000).wrapping_add(48_000 * press);
                for packet in 1..5 {
                    let duration = step * packet;
                    let left = counted(&mut counter, clock, (stamp, false, duration));
                    assert_eq!(left, (stamp, false, as_heard(duration)));
                }
                for _ in 0..3 {
                    let left = counted(&mut counter, clock, (stamp, true, end));
                    assert_eq!(left, (stamp, true, as_heard(end)));
                }
            }
        }
    }

    /// Five seconds of a key in segments of 1.4 s are one event of 8,000 ticks a second.
    #[test]
    fn segments_of_who_counts_faster_are_put_together_for_who_counts_slower() {
        let mut counter = EventCounter::default();
        let began = u32::MAX - 70_000;
        let mut before = 0;
        for packet in 1..=250_u64 {
            let ticks = packet * 960;
            let segment = (ticks - 1) / SEGMENT;
            let stamp = began.wrapping_add(u32::try_from(segment * SEGMENT).unwrap());
            let own = u16::try_from(ticks - segment * SEGMENT).unwrap();
            let (left, is_end, duration) =
                counted(&mut counter, TO_TRUNK, (stamp, packet == 250, own));
            assert_eq!((left, is_end), (began, packet == 250));
            assert_eq!(u64::from(duration), ticks / 6);
            assert!(duration > before);
            before = duration;
        }
        // The end again, and a packet that was overtaken.
        let segment = u32::try_from(3 * SEGMENT).unwrap();
        let last = (began.wrapping_add(segment), true, 43_395);
        assert_eq!(counted(&mut counter, TO_TRUNK, last), (began, true, 40_000));
        let late = (began, false, 960);
        assert_eq!(counted(&mut counter, TO_TRUNK, late), (began, false, 160));
        let again = counted(&mut counter, TO_TRUNK, last);
        assert_eq!(again, (began, true, 40_000));
    }

    /// Each segment ends with the longest duration, and the next begins there.
    #[test]
    fn an_event_too_long_for_who_counts_faster_is_cut_into_segments() {
        let mut counter = EventCounter::default();
        let (mut at, mut ends) = (700, Vec::new());
        let mut last = 0;
        for packet in 1..=250_u16 {
            let event = (700, packet == 250, packet * 160);
            let (stamp, is_end, duration) = counted(&mut counter, TO_BROWSER, event);
            assert_eq!(is_end, packet == 250);
            if stamp != at {
                assert_eq!((last, stamp - at), (0xffff, 0xffff), "without a gap");
                ends.push(stamp);
                at = stamp;
            } else {
                assert!(duration > last, "{packet}");
            }
            last = duration;
        }
        assert_eq!(ends.len(), 3);
        assert_eq!(at - 700 + u32::from(last), 240_000, "five seconds");
        for _ in 0..2 {
            let end = counted(&mut counter, TO_BROWSER, (700, true, 40_000));
            assert_eq!(end, (at, true, last));
        }
    }

    /// The packet that ends it may be the first beyond a segment: that ends first, the event with its next end.
    #[test]
    fn an_end_beyond_a_segment_ends_that_and_then_the_event() {
        let mut counter = EventCounter::default();
        counted(&mut counter, TO_BROWSER, (0, false, 10_880));
        let end = (0, true, 11_040);
        assert_eq!(counted(&mut counter, TO_BROWSER, end), (0, false, 0xffff));
        for _ in 0..2 {
            let left = counted(&mut counter, TO_BROWSER, end);
            assert_eq!(left, (0xffff, true, 705));
        }
    }

    #[test]
    fn several_events_of_one_packet_are_each_counted_and_what_is_none_is_left() {
        let mut counter = EventCounter::default();
        let mut payload = [1, 0x8a, 0x03, 0xc0, 2, 0x8a, 0x07, 0x80, 9];
        let stamp = counter.count(TO_TRUNK, RtpTimestamp(7), &mut payload);
        assert_eq!(stamp, RtpTimestamp(7));
        assert_eq!(payload, [1, 0x8a, 0, 160, 2, 0x8a, 1, 64, 9]);
        let mut short = [1, 2, 3];
        counter.count(TO_TRUNK, RtpTimestamp(7), &mut short);
        assert_eq!(short, [1, 2, 3]);
    }

    /// A description may name any: what would be counted wrongly is left as it came.
    #[test]
    fn clocks_that_no_sound_has_count_nothing() {
        let clock = |from_hz, to_hz, stamp_hz| EventClock {
            from_hz,
            to_hz,
            stamp_hz,
        };
        for hz in [0, 1, 7_999, 192_001, u32::MAX] {
            for wrong in [
                clock(hz, 8_000, 8_000),
                clock(8_000, hz, 8_000),
                clock(8_000, 8_000, hz),
            ] {
                assert!(!wrong.is_sound(), "{wrong:?}");
            }
        }
        for [from, to, stamp] in [
            [8_000, 192_000, 8_000],
            [192_000, 8_000, 192_000],
            [192_000, 192_000, 8_000],
        ] {
            let clock = clock(from, to, stamp);
            assert!(clock.is_sound());
            let mut counter = EventCounter::default();
            let step = SEGMENT * u64::from(stamp) / u64::from(from);
            let mut stamp = 0_u32;
            for _ in 0..100_000 {
                let mut event = [5, 10, 0xff, 0xff];
                counter.count(clock, RtpTimestamp(stamp), &mut event);
                stamp = stamp.wrapping_add(u32::try_from(step).unwrap());
            }
        }
    }

    proptest! {
        /// Whatever comes: no stamp goes anywhere but into the event, and nothing breaks.
        #[test]
        fn nothing_is_longer_than_what_came(
            packets in proptest::collection::vec((any::<u32>(), any::<[u8; 4]>()), 0..40),
            hz in [prop_oneof![Just(8_000_u32), Just(16_000), Just(48_000)],
                   prop_oneof![Just(8_000_u32), Just(16_000), Just(48_000)]],
        ) {
            let clock = EventClock { from_hz: hz[0], to_hz: hz[1], stamp_hz: hz[0].max(hz[1]) };
            let mut counter = EventCounter::default();
            for (stamp, mut payload) in packets {
                let before = payload;
                counter.count(clock, RtpTimestamp(stamp), &mut payload);
                prop_assert_eq!(payload[0], before[0]);
                prop_assert_eq!(payload[1] | END, before[1] | END);
            }
        }
    }
}
