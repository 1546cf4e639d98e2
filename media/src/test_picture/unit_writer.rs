//! One NAL unit, bit by bit (ITU-T H.264 §7.2, §7.3.1, §9.1), into octets that its caller has.

/// A unit that is being written. What does not fit is said at its end.
#[derive(Debug)]
pub(super) struct UnitWriter<'a> {
    octets: &'a mut [u8],
    size: usize,
    /// Bits that are no octet yet, the last one lowest, and how many.
    rest: u64,
    rest_bits: u32,
    /// Octets of zero at the end of what is written.
    zeros: u8,
    is_full: bool,
}

/// What `put` takes at once: with seven bits of rest it fits a word.
const PUT_BITS_MAX: u32 = 32;

impl<'a> UnitWriter<'a> {
    /// Begins a unit with its first octet, which is never zero.
    pub(super) fn new(octets: &'a mut [u8], header: u8) -> Self {
        debug_assert!(header != 0, "a unit is of some kind");
        let mut writer = Self {
            octets,
            size: 0,
            rest: 0,
            rest_bits: 0,
            zeros: 0,
            is_full: false,
        };
        writer.push(header);
        writer
    }

    /// The lowest `count` bits of a value.
    pub(super) fn put(&mut self, value: u32, count: u32) {
        debug_assert!(count <= PUT_BITS_MAX, "a word at most");
        debug_assert!(
            u64::from(value) >> count == 0,
            "a value has no bit beyond its count"
        );
        self.rest = (self.rest << count) | u64::from(value);
        self.rest_bits += count;
        while self.rest_bits >= 8 {
            self.rest_bits -= 8;
            let [.., octet] = (self.rest >> self.rest_bits).to_be_bytes();
            self.escape(octet);
        }
        self.rest &= (1 << self.rest_bits) - 1;
    }

    /// ue(v): as many zeros before it as the number after it has bits beyond its first (§9.1).
    pub(super) fn put_unsigned(&mut self, value: u32) {
        let code = value.saturating_add(1);
        let bits = u32::BITS - code.leading_zeros();
        self.put(0, bits - 1);
        self.put(code, bits);
    }

    /// se(v): 0, 1, -1, 2, -2 and so on (§9.1.1).
    pub(super) fn put_signed(&mut self, value: i32) {
        let twice = value.unsigned_abs().saturating_mul(2);
        self.put_unsigned(if value > 0 { twice - 1 } else { twice });
    }

    /// A one and as many zeros as the last octet takes (§7.3.2.11). The size; `None`: it did not fit.
    pub(super) fn end(mut self) -> Option<usize> {
        self.put(1, 1);
        self.put(0, (8 - self.rest_bits) % 8);
        debug_assert!(self.rest_bits == 0, "a unit has whole octets");
        (!self.is_full).then_some(self.size)
    }

    /// Two zeros and what could be taken for a start code are kept apart by a three (§7.4.1.1).
    fn escape(&mut self, octet: u8) {
        if self.zeros == 2 && octet <= 3 {
            self.push(3);
        }
        self.push(octet);
    }

    fn push(&mut self, octet: u8) {
        self.zeros = if octet == 0 { self.zeros + 1 } else { 0 };
        match self.octets.get_mut(self.size) {
            Some(place) => *place = octet,
            None => self.is_full = true,
        }
        self.size += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut UnitWriter<'_>)) -> Vec<u8> {
        let mut octets = [0; 64];
        let mut writer = UnitWriter::new(&mut octets, 0x67);
        write(&mut writer);
        let size = writer.end().unwrap();
        octets[..size].to_vec()
    }

    /// ITU-T H.264 tables 9-2 and 9-3.
    #[test]
    fn numbers_have_the_codes_of_the_standard() {
        let codes = [(0, 0b1, 1), (1, 0b010, 3), (2, 0b011, 3), (3, 0b00100, 5)];
        for (value, code, count) in [&codes[..], &[(7, 0b000_1000, 7)]].concat() {
            let expected = written(|writer| writer.put(code, count));
            assert_eq!(written(|writer| writer.put_unsigned(value)), expected);
        }
        for (value, number) in [(0, 0), (1, 1), (-1, 2), (2, 3), (-2, 4)] {
            assert_eq!(
                written(|writer| writer.put_signed(value)),
                written(|writer| writer.put_unsigned(number))
            );
        }
    }

    #[test]
    fn nothing_in_a_unit_looks_like_a_start_code() {
        let zeros = written(|writer| writer.put(0, 32));
        assert_eq!(zeros, [0x67, 0, 0, 3, 0, 0, 0x80]);
        for last in 0..=3 {
            let unit = written(|writer| writer.put(last, 24));
            assert_eq!(unit[..5], [0x67, 0, 0, 3, u8::try_from(last).unwrap()]);
        }
        let apart = written(|writer| writer.put(4, 24));
        assert_eq!(apart, [0x67, 0, 0, 4, 0x80]);
    }

    #[test]
    fn what_does_not_fit_is_said_and_goes_nowhere() {
        let mut octets = [0; 3];
        for bits in 0..40 {
            let mut writer = UnitWriter::new(&mut octets, 0x67);
            for _ in 0..bits {
                writer.put(1, 1);
            }
            assert_eq!(writer.end().is_some(), bits < 16, "{bits}");
        }
    }
}
