//! Sequence numbers: 16 bits on the wire, extended by the count of wraps (RFC 3550 §6.4.1).

/// Sequence number of one packet, RFC 3550 §5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// How far `self` is after `earlier`, in -32768..=32767.
    #[must_use]
    pub const fn distance_from(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// The lower half of an index of SRTP (RFC 3711 §3.3.1).
    #[must_use]
    pub const fn of_index(index: u64) -> Self {
        let [.., high, low] = index.to_be_bytes();
        Self(u16::from_be_bytes([high, low]))
    }

    /// `count` further on, over the wrap.
    #[must_use]
    pub const fn wrapping_add(self, count: u16) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// What must be added to `self` to get `target`.
    #[must_use]
    pub const fn offset_to(self, target: Self) -> u16 {
        target.0.wrapping_sub(self.0)
    }
}

/// Sequence number with the count of wraps in the upper half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ExtendedSequence(pub u32);

impl ExtendedSequence {
    /// The number on the wire.
    #[must_use]
    pub const fn sequence(self) -> SequenceNumber {
        let [_, _, high, low] = self.0.to_be_bytes();
        SequenceNumber(u16::from_be_bytes([high, low]))
    }

    /// The extended number nearest to `self` that is `sequence` on the wire.
    #[must_use]
    pub fn nearest(self, sequence: SequenceNumber) -> Self {
        let distance = i32::from(sequence.distance_from(self.sequence()));
        Self(self.0.wrapping_add_signed(distance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn distance_counts_over_the_wrap() {
        assert_eq!(SequenceNumber(2).distance_from(SequenceNumber(65_534)), 4);
        assert_eq!(SequenceNumber(65_534).distance_from(SequenceNumber(2)), -4);
        assert_eq!(SequenceNumber(10).offset_to(SequenceNumber(3)), 65_529);
    }

    proptest! {
        /// Extending against a reference less than half the range away gives the true number back.
        #[test]
        fn nearest_restores_the_extended_number(truth in 40_000_u32..4_000_000, drift in -32_768_i32..=32_767) {
            let reference = ExtendedSequence(truth.wrapping_add_signed(-drift));
            let wire = ExtendedSequence(truth).sequence();
            prop_assert_eq!(reference.nearest(wire), ExtendedSequence(truth));
        }
    }
}
