//! What one stream looks like from the receiver: order, loss and jitter, by the algorithms of
//! RFC 3550 A.1, A.3 and A.8.
//!
//! Deviation: A.1 puts a new source on probation for two packets. Here a source has been proven by
//! the latch before it comes this far, so its first packet counts.

use crate::rtp::{ExtendedSequence, RtpTimestamp, SequenceNumber};

/// What a sequence number said about its packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The first packet of a source.
    First,
    /// In order, late or doubled: part of the stream.
    Valid,
    /// The second in a row after a jump: the source started anew (RFC 3550 A.1).
    Restarted,
    /// Far from all others; not part of the stream unless its successor follows.
    Jump,
}

/// One source as its receiver sees it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reception {
    lost_before: u64,
    highest: ExtendedSequence,
    base: ExtendedSequence,
    received: u32,
    expected_prior: u32,
    received_prior: u32,
    transit: u32,
    jitter_sixteenths: u32,
    bad_sequence: Option<SequenceNumber>,
    started: bool,
    timed: bool,
}

impl Reception {
    /// A new source follows: what the old one lost stays counted, all else begins anew.
    pub fn restart(&mut self) {
        *self = Self {
            lost_before: self.lost(),
            ..Self::default()
        };
    }

    /// Takes one packet by its sequence number (RFC 3550 A.1, `update_seq`). What is fewer than
    /// `misorder_max` behind is late.
    pub fn accept(&mut self, sequence: SequenceNumber, misorder_max: u16) -> Arrival {
        if !self.started {
            self.begin(sequence);
            return Arrival::First;
        }
        let ahead = self.highest.sequence().offset_to(sequence);
        if ahead < DROPOUT_MAX {
            self.highest = self.highest.nearest(sequence);
            // The source goes on where it was: what jumped before has not begun anew.
            self.bad_sequence = None;
        } else if ahead <= u16::MAX - misorder_max + 1 {
            if self.bad_sequence != Some(sequence) {
                self.bad_sequence = Some(sequence.wrapping_add(1));
                return Arrival::Jump;
            }
            self.restart();
            self.begin(sequence);
            return Arrival::Restarted;
        }
        self.received = self.received.wrapping_add(1);
        Arrival::Valid
    }

    /// Takes the timing of an accepted packet: `arrival_ticks` is its arrival by the clock of its
    /// timestamp (RFC 3550 A.8).
    pub fn time(&mut self, timestamp: RtpTimestamp, arrival_ticks: u32) {
        let transit = arrival_ticks.wrapping_sub(timestamp.0);
        if self.timed {
            let distance = transit
                .wrapping_sub(self.transit)
                .cast_signed()
                .unsigned_abs();
            let decay = self.jitter_sixteenths.wrapping_add(8) >> 4;
            self.jitter_sixteenths = self
                .jitter_sixteenths
                .saturating_add(distance)
                .saturating_sub(decay);
        }
        self.transit = transit;
        self.timed = true;
    }

    /// The clock of the timestamps changes: the next transit is compared with none before.
    pub const fn change_clock(&mut self) {
        self.timed = false;
    }

    /// Interarrival jitter in ticks of the stream's clock.
    #[must_use]
    pub const fn jitter_ticks(&self) -> u32 {
        self.jitter_sixteenths >> 4
    }

    /// Packets that never came, of this source and those before it. Doubled packets hide lost ones,
    /// as RFC 3550 A.3 has it.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let missing = u64::from(self.expected()).saturating_sub(u64::from(self.received));
        self.lost_before.saturating_add(missing)
    }

    /// Highest extended sequence number seen, with the cycles counted from the first packet.
    #[must_use]
    pub const fn highest(&self) -> ExtendedSequence {
        ExtendedSequence(self.highest.0.wrapping_sub(FIRST_CYCLE))
    }

    /// Packets of this source lost less doubled, in the 24 signed bits of a report block.
    #[must_use]
    pub fn cumulative_lost(&self) -> i32 {
        let lost = i64::from(self.expected()) - i64::from(self.received);
        i32::try_from(lost.clamp(-0x80_0000, 0x7f_ffff)).unwrap_or_default()
    }

    /// Share of packets lost since the last call, in 256ths (RFC 3550 A.3).
    pub fn take_fraction_lost(&mut self) -> u8 {
        let expected = self.expected();
        let expected_interval = expected.wrapping_sub(self.expected_prior);
        let received_interval = self.received.wrapping_sub(self.received_prior);
        self.expected_prior = expected;
        self.received_prior = self.received;
        debug_assert!(
            self.started || expected == 0,
            "nothing is expected of nobody"
        );
        let lost = u64::from(expected_interval).saturating_sub(u64::from(received_interval));
        let fraction = (lost << 8)
            .checked_div(u64::from(expected_interval))
            .unwrap_or_default();
        u8::try_from(fraction).unwrap_or(u8::MAX)
    }

    /// True if packets came since [`take_fraction_lost`](Self::take_fraction_lost) was asked last.
    #[must_use]
    pub const fn has_news(&self) -> bool {
        self.received != self.received_prior
    }

    /// True once a packet was accepted.
    #[must_use]
    pub const fn is_started(&self) -> bool {
        self.started
    }

    fn begin(&mut self, sequence: SequenceNumber) {
        // One full cycle up, so that a packet from before the first one does not wrap below zero.
        let first = ExtendedSequence(FIRST_CYCLE | u32::from(sequence.0));
        *self = Self {
            lost_before: self.lost_before,
            ..Self::default()
        };
        self.highest = first;
        self.base = first;
        self.received = 1;
        self.started = true;
        debug_assert!(self.expected() == 1, "the first packet alone is expected");
        debug_assert!(
            self.bad_sequence.is_none(),
            "no jump before the first packet"
        );
    }

    const fn expected(&self) -> u32 {
        if self.started {
            self.highest.0.wrapping_sub(self.base.0).wrapping_add(1)
        } else {
            0
        }
    }
}

/// Where counting of cycles begins inside.
const FIRST_CYCLE: u32 = 1 << 16;

/// `MAX_DROPOUT` of RFC 3550 A.1: a larger gap is a jump.
pub const DROPOUT_MAX: u16 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{AUDIO_MISORDER_MAX as MISORDER_MAX, VIDEO_MISORDER_MAX};
    use proptest::prelude::*;

    fn reception_of(sequences: impl IntoIterator<Item = u16>) -> Reception {
        let mut reception = Reception::default();
        for sequence in sequences {
            reception.accept(SequenceNumber(sequence), MISORDER_MAX);
        }
        reception
    }

    #[test]
    fn a_gap_is_loss_and_a_late_packet_fills_it() {
        assert_eq!(reception_of([65_534, 65_535, 1, 2]).lost(), 1);
        assert_eq!(reception_of([65_534, 65_535, 1, 2, 0]).lost(), 0);
    }

    /// RFC 3550 A.1: a jump needs two packets in a row.
    #[test]
    fn a_jump_restarts_only_with_its_successor() {
        let mut reception = reception_of([10, 11]);
        let mut accept = |sequence| reception.accept(SequenceNumber(sequence), MISORDER_MAX);
        assert_eq!(accept(40_000), Arrival::Jump);
        assert_eq!(accept(12), Arrival::Valid);
        assert_eq!(accept(40_001), Arrival::Jump, "not in a row");
        assert_eq!(accept(40_000), Arrival::Jump);
        assert_eq!(accept(40_001), Arrival::Restarted);
        assert_eq!(reception.lost(), 0);
    }

    /// A sender that is asked for packets again (RFC 4585) sends them under their old numbers.
    #[test]
    fn packets_sent_again_are_late_where_so_many_may_be_late() {
        let mut reception = reception_of((0..300).filter(|number| !(50..60).contains(number)));
        for number in 50..60 {
            let arrival = reception.accept(SequenceNumber(number), VIDEO_MISORDER_MAX);
            assert_eq!(arrival, Arrival::Valid, "{number}");
        }
        assert_eq!(reception.lost(), 0);
        let mut strict = reception_of(0..300);
        assert_eq!(
            strict.accept(SequenceNumber(50), MISORDER_MAX),
            Arrival::Jump
        );
    }

    /// RFC 3550 A.3.
    #[test]
    fn fraction_lost_speaks_of_the_interval() {
        let mut reception = reception_of([0, 2]);
        assert_eq!(reception.take_fraction_lost(), 85);
        reception.accept(SequenceNumber(3), MISORDER_MAX);
        assert_eq!(reception.take_fraction_lost(), 0);
        assert_eq!(reception.cumulative_lost(), 1);
    }

    #[test]
    fn a_new_source_keeps_the_loss_of_the_old_one() {
        let mut reception = reception_of([1, 5]);
        reception.restart();
        reception.accept(SequenceNumber(9_000), MISORDER_MAX);
        assert_eq!(reception.lost(), 3);
        assert_eq!(reception.cumulative_lost(), 0);
    }

    #[test]
    fn even_spacing_has_no_jitter_whatever_the_clocks_say() {
        let mut reception = Reception::default();
        for count in 0..200_u32 {
            let timestamp = RtpTimestamp(u32::MAX - 3_000).wrapping_add(count * 160);
            reception.time(timestamp, 77 + count * 160);
        }
        assert_eq!(reception.jitter_ticks(), 0);
    }

    proptest! {
        /// Whatever the order (within the misorder window) and the loss, packets lost are those
        /// that did not come, between the first and the last that did.
        #[test]
        fn loss_is_what_did_not_come(
            start in any::<u16>(),
            kept in proptest::collection::vec(any::<bool>(), 2..400),
            swaps in proptest::collection::vec(0_usize..400, 0..60),
        ) {
            let mut order: Vec<u16> = (0_u16..).zip(&kept).filter(|(_, kept)| **kept).map(|(at, _)| at).collect();
            prop_assume!(order.len() > 2);
            let (first, last) = (order[0], *order.last().unwrap());
            let middle = order.len() - 1;
            for at in swaps {
                let at = 1 + at % middle;
                if at + 1 < middle { order.swap(at, at + 1); }
            }
            let reception = reception_of(order.iter().map(|at| start.wrapping_add(*at)));
            let missing = u64::from(last - first) + 1 - order.len() as u64;
            prop_assert_eq!(reception.lost(), missing);
        }

        /// Jitter of an exchange of neighbours never exceeds the largest step between transits.
        #[test]
        fn jitter_stays_below_the_largest_step(delays in proptest::collection::vec(0_u32..4_000, 2..300)) {
            let mut reception = Reception::default();
            for (at, delay) in (0_u32..).zip(&delays) {
                reception.time(RtpTimestamp(at.wrapping_mul(160)), at.wrapping_mul(160).wrapping_add(*delay));
            }
            let largest = delays.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap();
            prop_assert!(reception.jitter_ticks() <= largest);
        }
    }
}
