//! What a codec costs by itself and how it bears loss: `Ie` and `Bpl` of ITU-T G.113.

use crate::rtp::PayloadType;

/// Equipment impairment factor and packet-loss robustness of a codec.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Equipment {
    /// `Ie`.
    pub impairment: f64,
    /// `Bpl`.
    pub robustness: f64,
}

impl Equipment {
    /// G.711 with packet loss concealment (G.113 Appendix I, table I.2: G.711 Appendix I).
    pub const G711: Self = Self {
        impairment: 0.0,
        robustness: CONCEALED,
    };

    /// G.722 at 64 kbit/s. G.113 has 13 for it on the wideband scale, which reaches 129; a score here is
    /// on the narrowband scale (100), as is everything it is compared with: 13 ÷ 1.29. Receivers are
    /// assumed to conceal as they do for G.711.
    pub const G722: Self = Self {
        impairment: 10.1,
        robustness: CONCEALED,
    };

    /// G.729 (G.113 Appendix I: 10 at 8 kbit/s, 19 as for G.729A).
    pub const G729: Self = Self {
        impairment: 10.0,
        robustness: 19.0,
    };

    /// Opus. G.113 says nothing of it. Assumed: no worse than G.711 on the narrowband scale at the rates
    /// that calls use (20 kbit/s and up), and concealing no better.
    pub const OPUS: Self = Self {
        impairment: 0.0,
        robustness: CONCEALED,
    };

    /// By what RTP says of a codec: its static payload type (RFC 3551 §6), and of the dynamic ones a
    /// clock that only Opus has (RFC 7587 §4.1). `None`: nobody gave figures.
    #[must_use]
    pub const fn of(payload_type: u8, clock_rate_hz: u32) -> Option<Self> {
        match (payload_type, clock_rate_hz) {
            (PCMU | PCMA, _) => Some(Self::G711),
            (9, _) => Some(Self::G722),
            (18, _) => Some(Self::G729),
            (96..=127, 48_000) => Some(Self::OPUS),
            _ => None,
        }
    }
}

const PCMU: u8 = PayloadType::PCMU.value();
const PCMA: u8 = PayloadType::PCMA.value();

/// `Bpl` of concealed G.711.
const CONCEALED: f64 = 25.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_known_by_payload_type_and_clock() {
        assert_eq!(Equipment::of(8, 8_000), Some(Equipment::G711));
        assert_eq!(Equipment::of(9, 8_000), Some(Equipment::G722));
        assert_eq!(Equipment::of(18, 8_000), Some(Equipment::G729));
        assert_eq!(Equipment::of(111, 48_000), Some(Equipment::OPUS));
        assert_eq!(Equipment::of(111, 16_000), None);
        assert_eq!(Equipment::of(3, 8_000), None);
    }
}
