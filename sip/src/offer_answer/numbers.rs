//! Payload type numbers of one line: a number, once it names a codec in a dialog, names it for good
//! (RFC 3264 §8.3.2).

use super::codec_match::Codec;

/// Every number that a line has given a meaning; numbers end at 127.
#[derive(Debug, Default)]
pub(super) struct Numbers(Vec<Codec>);

impl Numbers {
    pub(super) const NONE: Self = Self(Vec::new());

    /// The codec under the number it has in this dialog; a new one gets its own number where that
    /// is free, else a free dynamic one. `None` where no number is left.
    pub(super) fn number(&mut self, codec: &Codec) -> Option<Codec> {
        let known = self.0.iter().find(|known| known.is_exactly(codec));
        let payload_type = match known {
            Some(known) => known.payload_type,
            None if self.is_free(codec.payload_type) => codec.payload_type,
            None => DYNAMIC.into_iter().find(|&number| self.is_free(number))?,
        };
        let is_new = known.is_none();
        let numbered = Codec {
            payload_type,
            clock_rate_hz: codec.rtp_clock_hz(),
            ..codec.clone()
        };
        debug_assert!(
            is_new || !self.is_free(payload_type),
            "a number that is known is taken"
        );
        if is_new {
            self.0.push(numbered.clone());
        }
        Some(numbered)
    }

    fn is_free(&self, number: u8) -> bool {
        !self.0.iter().any(|known| known.payload_type == number)
    }
}

/// RFC 3551 §3.
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;
