//! One sent stream out of many received ones: over a re-INVITE, music on hold, fail-over or a new
//! SSRC of the peer, whoever listens hears one source whose numbers go on.
//!
//! Inside one source every gap stays a gap, so that the listener sees the loss that was. A switch
//! continues with the next number, with the time that has passed, and with the marker bit, which
//! tells a jitter buffer to adapt (RFC 3551 §4.1). In video the marker ends a frame and is left
//! alone. Telephone-events keep their own timestamps: all
//! packets of one event carry its start (RFC 4733 §2.5.1.2), and no marker is put on them.

use crate::command::MediaKind;
use crate::drop_reason::DropReason;
use crate::limits::VIDEO_MISORDER_MAX;
use crate::rtp::{ClockRate, DROPOUT_MAX, RtpTimestamp, SequenceNumber, Ssrc};

/// The place of a packet in the sent stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// Its timestamp.
    pub timestamp: RtpTimestamp,
    /// It follows a switch: set the marker bit.
    pub is_marked: bool,
}

/// A received packet, as far as its place depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Arrived {
    /// Its source.
    pub ssrc: Ssrc,
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// Its timestamp.
    pub timestamp: RtpTimestamp,
    /// Clock of the timestamp.
    pub clock: ClockRate,
    /// A telephone-event.
    pub is_event: bool,
    /// What its leg carries.
    pub kind: MediaKind,
    /// Its source has begun its numbers anew (RFC 3550 A.1).
    pub is_restart: bool,
    /// When it came, in milliseconds modulo 2³².
    pub at_ms: u32,
}

/// Numbers of one sent stream. Its SSRC never changes.
#[derive(Debug, Clone, Copy)]
pub struct Continuity {
    feed: Ssrc,
    timestamp_offset: u32,
    last_timestamp: RtpTimestamp,
    last_sent_ms: u32,
    sequence_offset: u16,
    last_sequence: SequenceNumber,
    feed_first: SequenceNumber,
    phase: Phase,
}

/// How far the present source has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Nothing sent yet.
    Idle,
    /// Just switched to; the marker is still owed, because only events came so far.
    Unmarked,
    /// Just switched to: a packet from before its first one has no place.
    Fresh,
    /// So far beyond its first packet that a late one cannot be from before it.
    Settled,
    /// Packets came and were not sent: whichever is sent next is switched to.
    Interrupted,
}

impl Continuity {
    /// A stream whose first packet gets the numbers after these.
    #[must_use]
    pub const fn new(sequence: SequenceNumber, timestamp: RtpTimestamp) -> Self {
        Self {
            feed: Ssrc(0),
            timestamp_offset: 0,
            last_timestamp: timestamp,
            last_sent_ms: 0,
            sequence_offset: 0,
            last_sequence: sequence,
            feed_first: SequenceNumber(0),
            phase: Phase::Idle,
        }
    }

    /// Gives a packet its place.
    ///
    /// # Errors
    /// [`DropReason::BeforeSwitch`]: its place was given to another source.
    #[inline]
    pub fn place(&mut self, arrived: Arrived) -> Result<Placed, DropReason> {
        if self.is_switch(&arrived) {
            self.switch(arrived);
        } else if self.phase != Phase::Settled {
            let beyond_first = arrived.sequence.distance_from(self.feed_first);
            if beyond_first < 0 {
                return Err(DropReason::BeforeSwitch);
            }
            if beyond_first > SETTLED_DISTANCE && self.phase == Phase::Fresh {
                self.phase = Phase::Settled;
            }
        }
        let sequence = arrived.sequence.wrapping_add(self.sequence_offset);
        let timestamp = arrived.timestamp.wrapping_add(self.timestamp_offset);
        let is_marked = self.phase == Phase::Unmarked && !arrived.is_event;
        if is_marked {
            self.phase = Phase::Fresh;
        }
        if sequence.distance_from(self.last_sequence) > 0 {
            self.last_sequence = sequence;
            if !arrived.is_event || timestamp.distance_from(self.last_timestamp) > 0 {
                self.last_timestamp = timestamp;
                self.last_sent_ms = arrived.at_ms;
            }
        }
        debug_assert!(self.is_started(), "a stream that sends has begun");
        debug_assert!(self.feed == arrived.ssrc, "one source at a time");
        debug_assert!(
            sequence.distance_from(self.last_sequence) <= 0,
            "the highest number is remembered"
        );
        Ok(Placed {
            sequence,
            timestamp,
            is_marked: is_marked && arrived.kind == MediaKind::Audio,
        })
    }

    /// Packets of the present source come and are not sent (held, connected elsewhere): the next one that
    /// is sent goes on where the stream stands, and what was left out is no loss.
    pub fn interrupt(&mut self) {
        if self.phase != Phase::Idle {
            self.phase = Phase::Interrupted;
        }
    }

    /// The next number is to be `next` or less than half a round after it: else it becomes `next`, as
    /// with another source. Under a key whose counter begins anew no stream is near the end of a round.
    pub fn lead_to(&mut self, next: SequenceNumber) {
        let ahead = self.last_sequence.wrapping_add(1).distance_from(next);
        if ahead < 0 || ahead == i16::MAX {
            self.last_sequence = SequenceNumber(next.0.wrapping_sub(1));
            self.interrupt();
        }
    }

    /// The packet does not go on with the stream: another source, the same one begun anew, or one of
    /// which more was not sent than any gap has.
    #[inline]
    fn is_switch(&self, arrived: &Arrived) -> bool {
        if matches!(self.phase, Phase::Idle | Phase::Interrupted)
            || arrived.ssrc != self.feed
            || arrived.is_restart
        {
            return true;
        }
        let sequence = arrived.sequence.wrapping_add(self.sequence_offset);
        !STEPS.contains(&sequence.distance_from(self.last_sequence))
    }

    /// True once a packet was placed.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.phase != Phase::Idle
    }

    /// The timestamp that `timestamp` of `source` has in the sent stream, if that is its source.
    #[must_use]
    pub fn translate(&self, source: Ssrc, timestamp: RtpTimestamp) -> Option<RtpTimestamp> {
        (self.is_started() && self.feed == source)
            .then(|| timestamp.wrapping_add(self.timestamp_offset))
    }

    /// What the sent stream's clock shows at this moment, by the time since its last packet.
    #[must_use]
    pub fn timestamp_at(&self, now_ms: u32, clock: ClockRate) -> Option<RtpTimestamp> {
        let passed_ms = now_ms.wrapping_sub(self.last_sent_ms);
        let ticks = clock.ticks(u64::from(passed_ms) * 1_000);
        self.is_started()
            .then(|| self.last_timestamp.wrapping_add(ticks))
    }

    /// The source that the stream is made from at present.
    #[must_use]
    pub fn feed(&self) -> Option<Ssrc> {
        self.is_started().then_some(self.feed)
    }

    /// The number that the present source gave the packet that was sent as `sent`; `None`: it is not
    /// known to have sent it.
    #[must_use]
    pub fn number_in_feed(&self, sent: SequenceNumber) -> Option<SequenceNumber> {
        let beyond_last = sent.distance_from(self.last_sequence);
        let number = sent.wrapping_add(0_u16.wrapping_sub(self.sequence_offset));
        let is_of_feed = match self.phase {
            Phase::Idle | Phase::Interrupted => false,
            Phase::Unmarked | Phase::Fresh => number.distance_from(self.feed_first) >= 0,
            // The first number may have been lapped since: what is near the last one is the feed's.
            Phase::Settled => beyond_last >= -SETTLED_DISTANCE,
        };
        (is_of_feed && beyond_last <= 0).then_some(number)
    }

    fn switch(&mut self, arrived: Arrived) {
        let ticks = if self.phase == Phase::Idle {
            1
        } else {
            let passed_ms = arrived.at_ms.wrapping_sub(self.last_sent_ms);
            arrived
                .clock
                .ticks(u64::from(passed_ms) * 1_000)
                .clamp(1, SWITCH_TICKS_MAX)
        };
        debug_assert!(
            (1..=SWITCH_TICKS_MAX).contains(&ticks),
            "a switch is a step forward"
        );
        let timestamp = self.last_timestamp.wrapping_add(ticks);
        let sequence = self.last_sequence.wrapping_add(1);
        debug_assert!(
            timestamp.distance_from(self.last_timestamp) > 0,
            "the sent stream never goes back"
        );
        self.timestamp_offset = arrived.timestamp.offset_to(timestamp);
        self.sequence_offset = arrived.sequence.offset_to(sequence);
        self.feed = arrived.ssrc;
        self.feed_first = arrived.sequence;
        self.phase = Phase::Unmarked;
    }
}

/// What one source steps by: its reception has refused all else.
const STEPS: std::ops::RangeInclusive<i16> =
    -VIDEO_MISORDER_MAX.cast_signed()..=DROPOUT_MAX.cast_signed();

/// So far after the first packet of a source, an older one is a jump already (RFC 3550 A.1). So far back
/// a NACK is mapped, too: what is sent again is taken no later.
const SETTLED_DISTANCE: i16 = VIDEO_MISORDER_MAX.cast_signed();

/// A longer step forward could be read as one backward.
const SWITCH_TICKS_MAX: u32 = 1 << 30;

const _: () = assert!(
    size_of::<Continuity>() <= 24,
    "shares a cache line with its destination"
);

#[cfg(test)]
mod tests;
