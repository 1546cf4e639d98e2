//! Tones: written as WAV and raw A-law, and found again in a recording.

/// Samples a second.
const RATE: u32 = 8000;

/// `seconds` of a sine as 16-bit samples at half scale.
fn samples(frequency_hz: f64, seconds: u32, rate: u32) -> Vec<i16> {
    (0..rate * seconds)
        .map(|index| {
            let phase = std::f64::consts::TAU * frequency_hz * f64::from(index) / f64::from(rate);
            #[expect(clippy::cast_possible_truncation, reason = "within half of the scale")]
            let sample = (16_000.0 * phase.sin()) as i16;
            sample
        })
        .collect()
}

/// A mono WAV file of 8 kHz.
pub(crate) fn wav(frequency_hz: f64, seconds: u32) -> Vec<u8> {
    wav_of(frequency_hz, seconds, (RATE, 1))
}

/// A WAV file of so many samples a second, the same in each channel.
pub(crate) fn wav_of(frequency_hz: f64, seconds: u32, (rate, channels): (u32, u16)) -> Vec<u8> {
    let samples = samples(frequency_hz, seconds, rate);
    let frame = 2 * u32::from(channels);
    let octets = frame * rate * seconds;
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + octets).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0]);
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((frame * rate).to_le_bytes());
    file.extend((2 * channels).to_le_bytes());
    file.extend([16, 0]);
    file.extend(b"data");
    file.extend(octets.to_le_bytes());
    for sample in samples {
        for _ in 0..channels {
            file.extend(sample.to_le_bytes());
        }
    }
    file
}

/// Octets that are valid A-law and unlike silence: for tests that count packets, not sounds.
pub(crate) fn a_law_like(seconds: u32) -> Vec<u8> {
    (0..RATE * seconds)
        .map(|index| 0x80 | u8::try_from(index % 100).unwrap_or(0))
        .collect()
}

/// The samples of a 16-bit WAV file, whatever chunks stand before them: of the first channel, and as many a
/// second as [`RATE`]. What lies between is left out, which a tone far below does not notice.
pub(crate) fn read_wav(file: &[u8]) -> Vec<i16> {
    let data = file
        .windows(4)
        .position(|window| window == b"data")
        .expect("a data chunk");
    // A recorder that was stopped hard leaves the length wrong: everything after it is samples.
    let format = file
        .windows(4)
        .position(|window| window == b"fmt ")
        .expect("a format");
    let channels = u32::from(file[format + 10]);
    let rate = u32::from_le_bytes(
        file[format + 12..format + 16]
            .try_into()
            .expect("four octets"),
    );
    let step = channels * (rate / RATE).max(1);
    file[data + 8..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .step_by(usize::try_from(step).expect("few"))
        .collect()
}

/// Share of a recording's energy that lies at one frequency, 0 to 1 (Goertzel).
pub(crate) fn share(samples: &[i16], frequency_hz: f64) -> f64 {
    let count = f64::from(u32::try_from(samples.len()).expect("a short recording"));
    let energy: f64 = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    if energy == 0.0 {
        return 0.0;
    }
    let step = 2.0 * (std::f64::consts::TAU * frequency_hz / f64::from(RATE)).cos();
    let (mut previous, mut before) = (0.0, 0.0);
    for sample in samples {
        (previous, before) = (f64::from(*sample) + step * previous - before, previous);
    }
    let power = previous.powi(2) + before.powi(2) - step * previous * before;
    2.0 * power / (count * energy)
}

/// The loudest share of `frequency_hz` in any tenth of a second of a recording: silence before an
/// answer, or a break, does not hide a tone.
pub(crate) fn loudest_share(samples: &[i16], frequency_hz: f64) -> f64 {
    let loud = |window: &&[i16]| window.iter().any(|sample| sample.unsigned_abs() > 1000);
    samples
        .chunks_exact(800)
        .filter(loud)
        .map(|window| share(window, frequency_hz))
        .fold(0.0, f64::max)
}

/// How many tenths of a second of a recording are that tone and hardly anything else, and how many there are
/// from the first of them to the end.
pub(crate) fn clear_tenths(samples: &[i16], frequency_hz: f64) -> (usize, usize) {
    let shares = samples
        .chunks_exact(800)
        .map(|tenth| share(tenth, frequency_hz));
    let is_clear: Vec<bool> = shares
        .map(|share| share > 0.8)
        .skip_while(|is_clear| !is_clear)
        .collect();
    (
        is_clear.iter().filter(|is_clear| **is_clear).count(),
        is_clear.len(),
    )
}

/// G.711.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Law {
    A,
    Mu,
}

impl Law {
    /// Payload type and encoding name.
    pub(crate) const fn payload(self) -> (u8, &'static str) {
        match self {
            Self::A => (8, "PCMA"),
            Self::Mu => (0, "PCMU"),
        }
    }
}

/// `count` samples of a sine, from the sample `first` on, in G.711.
pub(crate) fn encoded(frequency_hz: f64, first: u32, count: u32, law: Law) -> Vec<u8> {
    (first..first + count)
        .map(|index| {
            let phase = std::f64::consts::TAU * frequency_hz * f64::from(index) / f64::from(RATE);
            let sample = 16_000.0 * phase.sin();
            // The octet whose sound is nearest: slow, and needs no second table.
            let distance = |octet: &u8| (f64::from(decoded(*octet, law)) - sample).abs();
            (0..=u8::MAX)
                .min_by(|one, other| distance(one).total_cmp(&distance(other)))
                .expect("256 of them")
        })
        .collect()
}

/// ITU-T G.711, tables 1 and 2.
pub(crate) fn decoded(octet: u8, law: Law) -> i16 {
    let (sign, segment, step) = match law {
        Law::A => {
            let bits = octet ^ 0x55;
            (bits & 0x80 != 0, (bits >> 4) & 7, i16::from(bits & 15))
        }
        Law::Mu => {
            let bits = !octet;
            (bits & 0x80 == 0, (bits >> 4) & 7, i16::from(bits & 15))
        }
    };
    let size = match (law, segment) {
        (Law::A, 0) => (step << 4) + 8,
        (Law::A, _) => ((step << 4) + 0x108) << (segment - 1),
        (Law::Mu, _) => (((step << 3) + 0x84) << segment) - 0x84,
    };
    if sign { size } else { -size }
}

#[test]
fn a_tone_survives_both_laws() {
    for law in [Law::A, Law::Mu] {
        let heard: Vec<i16> = encoded(1100.0, 0, 1600, law)
            .into_iter()
            .map(|octet| decoded(octet, law))
            .collect();
        assert!(loudest_share(&heard, 1100.0) > 0.9, "{law:?}");
        assert!(loudest_share(&heard, 600.0) < 0.05, "{law:?}");
    }
}

#[test]
fn a_tone_is_found_in_its_own_file_and_no_other_is() {
    let samples = read_wav(&wav(1000.0, 1));
    assert_eq!(samples.len(), 8000);
    assert!(loudest_share(&samples, 1000.0) > 0.9);
    assert!(loudest_share(&samples, 600.0) < 0.05);
    assert_eq!(clear_tenths(&samples, 1000.0), (10, 10));
    assert_eq!(clear_tenths(&samples, 600.0), (0, 0));
    let broken = [&samples[..], &[0; 1600], &samples[..800]].concat();
    assert_eq!(clear_tenths(&broken, 1000.0), (11, 13));
    assert!(loudest_share(&[0; 8000], 600.0) < f64::EPSILON);
}
