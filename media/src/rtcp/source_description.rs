//! Source descriptions (RFC 3550 §6.5): we say our name and pass on nobody else's.

use crate::rtp::Ssrc;

/// Octets of a canonical name: 64 random bits in hexadecimal.
pub const CNAME_SIZE: usize = 16;

/// Our canonical name on one leg: random and used once, so that it links no two calls (RFC 7022).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cname(pub [u8; CNAME_SIZE]);

impl Cname {
    /// The name that 64 random bits spell.
    #[must_use]
    pub fn from_random(bits: u64) -> Self {
        let mut name = [0; CNAME_SIZE];
        for (at, digit) in (0_u32..).zip(&mut name) {
            let nibble = bits.rotate_right(4 * at) & 0xf;
            *digit = char::from_digit(u32::try_from(nibble).unwrap_or_default(), 16)
                .and_then(|digit| u8::try_from(digit).ok())
                .unwrap_or(b'0');
        }
        Self(name)
    }
}

/// Writes a source description of one source with its name only.
pub(super) fn write_source_description(
    octets: &mut [u8],
    ssrc: Ssrc,
    cname: Cname,
) -> Option<usize> {
    const TEXT_SIZE: u8 = 16;
    const _: () = assert!(
        TEXT_SIZE as usize == CNAME_SIZE,
        "the length octet counts the name"
    );
    let packet = octets.first_chunk_mut::<28>()?;
    packet[..4].copy_from_slice(&[0x81, 202, 0, 6]);
    packet[4..8].copy_from_slice(&ssrc.0.to_be_bytes());
    packet[8..10].copy_from_slice(&[1, TEXT_SIZE]);
    packet[10..26].copy_from_slice(&cname.0);
    packet[26..].fill(0);
    Some(packet.len())
}
