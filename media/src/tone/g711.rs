//! G.711 encoders (ITU-T G.711, 1988), from 16-bit linear samples.

/// One sample as µ-law (PCMU).
#[must_use]
pub fn encode_pcmu(sample: i16) -> u8 {
    const BIAS: u16 = 0x84;
    const CLIP: u16 = 32_635;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(CLIP) + BIAS;
    let exponent = segment(magnitude >> 8);
    let mantissa = low_nibble(magnitude >> (exponent + 3));
    !(sign | (exponent << 4) | mantissa)
}

/// One sample as A-law (PCMA).
#[must_use]
pub fn encode_pcma(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    // A negative sample is counted from -1 down, so that both halves are alike.
    let magnitude = if sample < 0 { !sample } else { sample }.unsigned_abs();
    let exponent = segment(magnitude >> 8);
    let shift = exponent.max(1) + 3;
    (sign | (exponent << 4) | low_nibble(magnitude >> shift)) ^ 0x55
}

/// Number of the segment: how many bits the upper octet has.
fn segment(upper: u16) -> u8 {
    let bits = u16::BITS - upper.leading_zeros();
    u8::try_from(bits.min(7)).unwrap_or_default()
}

fn low_nibble(value: u16) -> u8 {
    let [_, low] = value.to_be_bytes();
    low & 0x0f
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// ITU-T G.711 table 2a.
    pub(crate) fn decode_pcmu(octet: u8) -> i16 {
        let bits = !octet;
        let magnitude = ((i16::from(bits & 0x0f) << 3) + 0x84) << ((bits >> 4) & 7);
        if bits & 0x80 != 0 {
            0x84 - magnitude
        } else {
            magnitude - 0x84
        }
    }

    /// ITU-T G.711 table 1a.
    pub(crate) fn decode_pcma(octet: u8) -> i16 {
        let bits = octet ^ 0x55;
        let mantissa = i16::from(bits & 0x0f) << 4;
        let magnitude = match (bits >> 4) & 7 {
            0 => mantissa + 8,
            exponent => (mantissa + 0x108) << (exponent - 1),
        };
        if bits & 0x80 != 0 {
            magnitude
        } else {
            -magnitude
        }
    }

    #[test]
    fn every_octet_survives_decoding_and_encoding() {
        for octet in 0..=u8::MAX {
            assert_eq!(encode_pcma(decode_pcma(octet)), octet);
            // µ-law has two zeros; negative zero comes back as the positive one.
            let expected = if octet == 0x7f { 0xff } else { octet };
            assert_eq!(encode_pcmu(decode_pcmu(octet)), expected);
        }
    }

    #[test]
    fn every_sample_comes_back_within_its_step() {
        for sample in i16::MIN..=i16::MAX {
            let allowed = (i32::from(sample).abs() / 16).max(16) + 260;
            for decoded in [
                decode_pcmu(encode_pcmu(sample)),
                decode_pcma(encode_pcma(sample)),
            ] {
                assert!(
                    (i32::from(sample) - i32::from(decoded)).abs() <= allowed,
                    "{sample} {decoded}"
                );
            }
        }
    }
}
