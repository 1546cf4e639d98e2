//! The tone itself: eleven periods of 440 Hz are exactly 200 samples at 8000 Hz, so a table of 200
//! octets a codec, walked round, is the whole generator.

use crate::rtp::PayloadType;
use crate::tone::{encode_pcma, encode_pcmu};

/// Samples after which the tone repeats.
const PERIOD_SAMPLES: usize = 200;

/// 2·cos(2π·440/8000) and sin(2π·440/8000), in units of 2⁻³⁰.
const TWICE_COSINE: i64 = 2_020_526_066;
const SINE: i64 = 363_717_072;

/// Amplitude: 12 dB below full scale.
const AMPLITUDE: i64 = 8_192;

/// One period of the tone in each codec.
#[derive(Debug, Clone)]
pub struct ToneTable {
    pcmu: [u8; PERIOD_SAMPLES],
    pcma: [u8; PERIOD_SAMPLES],
}

/// Where in the period a leg is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TonePhase(usize);

impl ToneTable {
    /// Computes the tables.
    #[must_use]
    pub fn new() -> Self {
        let mut table = Self {
            pcmu: [0; PERIOD_SAMPLES],
            pcma: [0; PERIOD_SAMPLES],
        };
        // sin(n·w) = 2·cos(w)·sin((n−1)·w) − sin((n−2)·w).
        let (mut before, mut now) = (-SINE, 0_i64);
        for (pcmu, pcma) in table.pcmu.iter_mut().zip(&mut table.pcma) {
            let sample = i16::try_from((now * AMPLITUDE) >> 30).unwrap_or_default();
            *pcmu = encode_pcmu(sample);
            *pcma = encode_pcma(sample);
            (before, now) = (now, ((TWICE_COSINE * now) >> 30) - before);
        }
        table
    }

    /// Writes the tone over `payload`, if it is of a codec that can be written. False: untouched.
    pub fn play(
        &self,
        payload_type: PayloadType,
        phase: &mut TonePhase,
        payload: &mut [u8],
    ) -> bool {
        let period = match payload_type {
            PayloadType::PCMU => &self.pcmu,
            PayloadType::PCMA => &self.pcma,
            _ => return false,
        };
        let mut rest = payload;
        while !rest.is_empty() {
            let source = period.get(phase.0..).unwrap_or_default();
            let length = source.len().min(rest.len());
            let (target, after) = rest.split_at_mut(length);
            target.copy_from_slice(source.get(..length).unwrap_or_default());
            phase.0 = (phase.0 + length) % PERIOD_SAMPLES;
            rest = after;
        }
        true
    }
}

impl Default for ToneTable {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::g711::tests::{decode_pcma, decode_pcmu};

    /// Power of one frequency in samples at 8000 Hz (Goertzel).
    fn power(samples: &[i16], hz: f64) -> f64 {
        let coefficient = 2.0 * (std::f64::consts::TAU * hz / 8_000.0).cos();
        let (mut before, mut now) = (0.0, 0.0);
        for sample in samples {
            (before, now) = (now, f64::from(*sample) + coefficient * now - before);
        }
        now * now + before * before - coefficient * now * before
    }

    #[test]
    fn the_tone_is_440_hz_over_packet_boundaries() {
        let table = ToneTable::new();
        for (payload_type, decode) in [
            (PayloadType::PCMU, decode_pcmu as fn(u8) -> i16),
            (PayloadType::PCMA, decode_pcma),
        ] {
            let mut phase = TonePhase::default();
            let mut samples = Vec::new();
            for _ in 0..50 {
                let mut payload = [0; 160];
                assert!(table.play(payload_type, &mut phase, &mut payload));
                samples.extend(payload.map(decode));
            }
            let tone = power(&samples, 440.0);
            for other in [220.0, 400.0, 480.0, 880.0, 1_320.0, 3_000.0] {
                assert!(tone > 1_000.0 * power(&samples, other), "{other}");
            }
            assert!(samples.iter().any(|sample| *sample > 7_800));
        }
    }

    #[test]
    fn another_codec_is_left_untouched() {
        let mut payload = *b"opus";
        let phase = &mut TonePhase::default();
        assert!(!ToneTable::new().play(PayloadType::from_bits(96), phase, &mut payload));
        assert_eq!(&payload, b"opus");
    }
}
