//! The tones themselves, as one period of samples a codec that is walked round: eleven periods of
//! 440 Hz are exactly 200 samples at 8000 Hz, seventeen of 425 Hz are 320.

use crate::rtp::PayloadType;
use crate::tone::{encode_pcma, encode_pcmu};

/// Samples after which 440 Hz repeats.
const TONE_SAMPLES: usize = 200;
/// 2·cos(2π·440/8000) and sin(2π·440/8000), in units of 2⁻³⁰.
const TONE_WAVE: Wave = Wave {
    twice_cosine: 2_020_526_066,
    sine: 363_717_072,
};

/// Samples after which 425 Hz repeats.
const RINGBACK_SAMPLES: usize = 320;
/// The same for 425 Hz.
const RINGBACK_WAVE: Wave = Wave {
    twice_cosine: 2_028_955_535,
    sine: 351_790_227,
};
/// A second of tone, four of silence (ITU-T E.180 §5.3).
const RINGBACK_SOUNDS_SAMPLES: usize = 8_000;
const RINGBACK_CADENCE_SAMPLES: usize = 40_000;
const _: () = assert!(RINGBACK_SOUNDS_SAMPLES.is_multiple_of(RINGBACK_SAMPLES));

/// Amplitude: 12 dB below full scale.
const AMPLITUDE: i64 = 8_192;

#[derive(Debug, Clone, Copy)]
struct Wave {
    twice_cosine: i64,
    sine: i64,
}

/// One period of a wave in each codec, and the silence of each.
#[derive(Debug, Clone)]
struct Period<const SAMPLES: usize> {
    pcmu: [u8; SAMPLES],
    pcma: [u8; SAMPLES],
}

impl<const SAMPLES: usize> Period<SAMPLES> {
    fn new(wave: Wave) -> Self {
        let mut period = Self {
            pcmu: [0; SAMPLES],
            pcma: [0; SAMPLES],
        };
        // sin(n·w) = 2·cos(w)·sin((n−1)·w) − sin((n−2)·w).
        let (mut before, mut now) = (-wave.sine, 0_i64);
        for (pcmu, pcma) in period.pcmu.iter_mut().zip(&mut period.pcma) {
            let sample = i16::try_from((now * AMPLITUDE) >> 30).unwrap_or_default();
            *pcmu = encode_pcmu(sample);
            *pcma = encode_pcma(sample);
            (before, now) = (now, ((wave.twice_cosine * now) >> 30) - before);
        }
        period
    }

    const fn of(&self, payload_type: PayloadType) -> Option<&[u8; SAMPLES]> {
        match payload_type {
            PayloadType::PCMU => Some(&self.pcmu),
            PayloadType::PCMA => Some(&self.pcma),
            _ => None,
        }
    }
}

/// One period of each tone in each codec.
#[derive(Debug, Clone)]
pub struct ToneTable {
    tone: Period<TONE_SAMPLES>,
    ringback: Period<RINGBACK_SAMPLES>,
}

/// Where in its tone a leg is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TonePhase(usize);

impl ToneTable {
    /// Computes the tables.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tone: Period::new(TONE_WAVE),
            ringback: Period::new(RINGBACK_WAVE),
        }
    }

    /// True for a codec that tones can be written in.
    #[must_use]
    pub const fn plays(payload_type: PayloadType) -> bool {
        matches!(payload_type, PayloadType::PCMU | PayloadType::PCMA)
    }

    /// Writes the tone over `payload`, if it is of a codec that can be written. False: untouched.
    pub fn play(
        &self,
        payload_type: PayloadType,
        phase: &mut TonePhase,
        payload: &mut [u8],
    ) -> bool {
        let Some(period) = self.tone.of(payload_type) else {
            return false;
        };
        phase.0 = copy_round(period, phase.0 % TONE_SAMPLES, payload);
        true
    }

    /// Writes what a caller hears while it rings: 425 Hz for a second, silence for four. False:
    /// untouched, as for [`ToneTable::play`].
    pub fn play_ringback(
        &self,
        payload_type: PayloadType,
        phase: &mut TonePhase,
        payload: &mut [u8],
    ) -> bool {
        let Some(period) = self.ringback.of(payload_type) else {
            return false;
        };
        // The wave begins at zero: its first sample is the codec's silence.
        let silence = period.first().copied().unwrap_or_default();
        let mut rest = payload;
        while !rest.is_empty() {
            let sounds = phase.0 < RINGBACK_SOUNDS_SAMPLES;
            let end = if sounds {
                RINGBACK_SOUNDS_SAMPLES
            } else {
                RINGBACK_CADENCE_SAMPLES
            };
            let length = end.saturating_sub(phase.0).clamp(1, rest.len());
            let (part, after) = rest.split_at_mut(length);
            if sounds {
                copy_round(period, phase.0 % RINGBACK_SAMPLES, part);
            } else {
                part.fill(silence);
            }
            phase.0 = (phase.0 + length) % RINGBACK_CADENCE_SAMPLES;
            rest = after;
        }
        true
    }
}

/// Fills `payload` from `period`, walked round from `at` on; where it stands afterwards.
fn copy_round(period: &[u8], mut at: usize, payload: &mut [u8]) -> usize {
    let mut rest = payload;
    while !rest.is_empty() {
        let source = period.get(at..).unwrap_or_default();
        let length = source.len().min(rest.len());
        let (target, after) = rest.split_at_mut(length);
        target.copy_from_slice(source.get(..length).unwrap_or_default());
        at = (at + length) % period.len();
        rest = after;
    }
    at
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

    #[test]
    fn ringback_is_a_second_of_425_hz_and_four_of_silence() {
        let table = ToneTable::new();
        for (payload_type, decode) in [
            (PayloadType::PCMU, decode_pcmu as fn(u8) -> i16),
            (PayloadType::PCMA, decode_pcma),
        ] {
            let mut phase = TonePhase::default();
            let mut samples = Vec::new();
            // Packets that do not end where tone and silence do.
            while samples.len() < 2 * RINGBACK_CADENCE_SAMPLES {
                let mut payload = [0; 168];
                assert!(table.play_ringback(payload_type, &mut phase, &mut payload));
                samples.extend(payload.map(decode));
            }
            for cadence in samples.chunks(RINGBACK_CADENCE_SAMPLES).take(2) {
                let (sounds, silent) = cadence.split_at(RINGBACK_SOUNDS_SAMPLES);
                let tone = power(sounds, 425.0);
                for other in [212.5, 400.0, 450.0, 850.0, 1_275.0] {
                    assert!(power(sounds, other) < tone / 1_000.0, "{other} Hz");
                }
                assert!(silent.iter().all(|sample| sample.abs() <= 8), "silence");
            }
        }
        let mut other = [7; 20];
        let mut phase = TonePhase::default();
        assert!(!table.play_ringback(PayloadType::from_bits(9), &mut phase, &mut other));
        assert_eq!((other, phase), ([7; 20], TonePhase::default()));
    }
}
