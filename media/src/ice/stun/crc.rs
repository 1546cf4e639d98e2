//! CRC-32 of ITU V.42, for FINGERPRINT (RFC 8489 §14.7).

/// The remainder of each octet.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut octet: u32 = 0;
    while octet < 256 {
        let mut remainder = octet;
        let mut bit = 0;
        while bit < 8 {
            remainder = if remainder & 1 == 1 {
                remainder >> 1 ^ 0xedb8_8320
            } else {
                remainder >> 1
            };
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
        {
            table[octet as usize] = remainder;
        }
        octet += 1;
    }
    table
};

/// The CRC of all `parts`, one after another.
pub(super) fn crc32(parts: &[&[u8]]) -> u32 {
    let octets = parts.iter().copied().flatten();
    !octets.fold(u32::MAX, |remainder, octet| {
        let [low, ..] = remainder.to_le_bytes();
        let entry = TABLE.get(usize::from(low ^ octet)).copied();
        entry.unwrap_or_default() ^ remainder >> 8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_v42_comes_out() {
        assert_eq!(crc32(&[b"123456789"]), 0xcbf4_3926);
        assert_eq!(crc32(&[b"1234", b"", b"56789"]), 0xcbf4_3926);
    }
}
