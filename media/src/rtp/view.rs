//! An RTP packet where it lies: checked once, read and rewritten in place (RFC 3550 §5.1).
//!
//! Accepts what RFC 3550 A.1 calls a valid header: version 2, and CSRC list, extension and padding
//! inside the packet. Deliberately does not look at payloads.

use crate::drop_reason::DropReason;
use crate::rtp::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};

/// Octets of a header without CSRC list and extension.
const FIXED_HEADER_SIZE: usize = 12;

/// A valid RTP packet, read only.
#[derive(Debug, Clone, Copy)]
pub struct RtpView<'a> {
    fixed: &'a [u8; FIXED_HEADER_SIZE],
    bytes: &'a [u8],
    payload_start: usize,
    payload_end: usize,
}

impl<'a> RtpView<'a> {
    /// Checks the header.
    ///
    /// # Errors
    /// Why the packet is not RTP.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let (payload_start, payload_end) = payload_bounds(bytes)?;
        let fixed = bytes.first_chunk().ok_or(DropReason::RtpTruncated)?;
        Ok(Self {
            fixed,
            bytes,
            payload_start,
            payload_end,
        })
    }

    /// Marker bit.
    #[must_use]
    pub const fn marker(&self) -> bool {
        self.fixed[1] & 0x80 != 0
    }

    /// Payload type.
    #[must_use]
    pub const fn payload_type(&self) -> PayloadType {
        PayloadType::from_bits(self.fixed[1])
    }

    /// Sequence number.
    #[must_use]
    pub const fn sequence(&self) -> SequenceNumber {
        let [_, _, high, low, ..] = *self.fixed;
        SequenceNumber(u16::from_be_bytes([high, low]))
    }

    /// Timestamp.
    #[must_use]
    pub const fn timestamp(&self) -> RtpTimestamp {
        let [_, _, _, _, a, b, c, d, ..] = *self.fixed;
        RtpTimestamp(u32::from_be_bytes([a, b, c, d]))
    }

    /// Synchronisation source.
    #[must_use]
    pub const fn ssrc(&self) -> Ssrc {
        let [_, _, _, _, _, _, _, _, a, b, c, d] = *self.fixed;
        Ssrc(u32::from_be_bytes([a, b, c, d]))
    }

    /// Contributing sources.
    pub fn csrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        let count = usize::from(self.fixed[0] & 0x0f);
        let list = self
            .bytes
            .get(FIXED_HEADER_SIZE..FIXED_HEADER_SIZE + 4 * count);
        list.unwrap_or_default()
            .chunks_exact(4)
            .filter_map(|octets| {
                octets
                    .first_chunk()
                    .map(|word| Ssrc(u32::from_be_bytes(*word)))
            })
    }

    /// Header extension: its profile word and its content (RFC 3550 §5.3.1).
    #[must_use]
    pub fn extension(&self) -> Option<(u16, &'a [u8])> {
        if self.fixed[0] & 0x10 == 0 {
            return None;
        }
        let start = FIXED_HEADER_SIZE + 4 * usize::from(self.fixed[0] & 0x0f);
        let profile = self.bytes.get(start..)?.first_chunk()?;
        let content = self.bytes.get(start + 4..self.payload_start)?;
        Some((u16::from_be_bytes(*profile), content))
    }

    /// Payload, without padding.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes
            .get(self.payload_start..self.payload_end)
            .unwrap_or_default()
    }
}

/// A valid RTP packet that may be rewritten. Its length never changes.
#[derive(Debug)]
pub struct RtpViewMut<'a> {
    bytes: &'a mut [u8],
    payload_start: usize,
    payload_end: usize,
}

impl<'a> RtpViewMut<'a> {
    /// Checks the header.
    ///
    /// # Errors
    /// Why the packet is not RTP.
    pub fn parse(bytes: &'a mut [u8]) -> Result<Self, DropReason> {
        let (payload_start, payload_end) = payload_bounds(bytes)?;
        Ok(Self {
            bytes,
            payload_start,
            payload_end,
        })
    }

    fn fixed(&self) -> [u8; FIXED_HEADER_SIZE] {
        self.bytes.first_chunk().copied().unwrap_or_default()
    }

    /// Marker bit.
    #[must_use]
    pub fn marker(&self) -> bool {
        self.fixed()[1] & 0x80 != 0
    }

    /// Payload type.
    #[must_use]
    pub fn payload_type(&self) -> PayloadType {
        PayloadType::from_bits(self.fixed()[1])
    }

    /// Sequence number.
    #[must_use]
    pub fn sequence(&self) -> SequenceNumber {
        let [_, _, high, low, ..] = self.fixed();
        SequenceNumber(u16::from_be_bytes([high, low]))
    }

    /// Timestamp.
    #[must_use]
    pub fn timestamp(&self) -> RtpTimestamp {
        let [_, _, _, _, a, b, c, d, ..] = self.fixed();
        RtpTimestamp(u32::from_be_bytes([a, b, c, d]))
    }

    /// Synchronisation source.
    #[must_use]
    pub fn ssrc(&self) -> Ssrc {
        let [_, _, _, _, _, _, _, _, a, b, c, d] = self.fixed();
        Ssrc(u32::from_be_bytes([a, b, c, d]))
    }

    /// Writes the four fields that a relay rewrites; the rest of the packet stays.
    pub fn set(
        &mut self,
        marker: bool,
        payload_type: PayloadType,
        sequence: SequenceNumber,
        timestamp: RtpTimestamp,
        ssrc: Ssrc,
    ) {
        if let Some(fixed) = self.bytes.first_chunk_mut::<FIXED_HEADER_SIZE>() {
            let [s0, s1] = sequence.0.to_be_bytes();
            let [t0, t1, t2, t3] = timestamp.0.to_be_bytes();
            let [r0, r1, r2, r3] = ssrc.0.to_be_bytes();
            let second = payload_type.value() | if marker { 0x80 } else { 0 };
            *fixed = [fixed[0], second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3];
        }
    }

    /// Payload, without padding.
    #[must_use]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.bytes
            .get_mut(self.payload_start..self.payload_end)
            .unwrap_or_default()
    }
}

/// Octets of the header of a packet whose payload may be encrypted, padding and all (RFC 3711 §3.1).
///
/// # Errors
/// Why the packet is not RTP.
#[inline]
pub fn header_size(bytes: &[u8]) -> Result<usize, DropReason> {
    let fixed: &[u8; FIXED_HEADER_SIZE] = bytes.first_chunk().ok_or(DropReason::RtpTruncated)?;
    let first = fixed[0];
    if first >> 6 != 2 {
        return Err(DropReason::RtpVersion);
    }
    if first & 0x1f == 0 {
        return Ok(FIXED_HEADER_SIZE);
    }
    let mut size = FIXED_HEADER_SIZE + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let rest = bytes.get(size..).ok_or(DropReason::RtpTruncated)?;
        let [_, _, high, low]: &[u8; 4] = rest.first_chunk().ok_or(DropReason::RtpTruncated)?;
        size += 4 + 4 * usize::from(u16::from_be_bytes([*high, *low]));
    }
    if size > bytes.len() {
        return Err(DropReason::RtpTruncated);
    }
    Ok(size)
}

/// Where the payload starts and ends (RFC 3550 A.1: the validity check of a header).
#[inline]
fn payload_bounds(bytes: &[u8]) -> Result<(usize, usize), DropReason> {
    let start = header_size(bytes)?;
    let first = bytes.first().copied().unwrap_or_default();
    let content = bytes.get(start..).ok_or(DropReason::RtpTruncated)?;
    if first & 0x20 == 0 {
        return Ok((start, bytes.len()));
    }
    let padding = usize::from(content.last().copied().unwrap_or_default());
    if padding == 0 || padding > content.len() {
        return Err(DropReason::RtpPadding);
    }
    Ok((start, bytes.len() - padding))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: [u8; 20] = [
        0x80, 0x80, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 10, 11, 12, 13, 14, 15, 16, 17,
    ];

    fn refused(change: impl FnOnce(&mut [u8; 20])) -> DropReason {
        let mut octets = VALID;
        change(&mut octets);
        RtpView::parse(&octets).unwrap_err()
    }

    /// RFC 3550 A.1.
    #[test]
    fn a_header_that_does_not_fit_its_packet_is_refused() {
        assert_eq!(
            RtpView::parse(&VALID[..11]).unwrap_err(),
            DropReason::RtpTruncated
        );
        assert_eq!(refused(|octets| octets[0] = 0x40), DropReason::RtpVersion);
        assert_eq!(refused(|octets| octets[0] = 0x83), DropReason::RtpTruncated);
        assert_eq!(refused(|octets| octets[0] = 0x90), DropReason::RtpTruncated);
        let padding = |count| refused(|octets| (octets[0], octets[19]) = (0xa0, count));
        assert_eq!([padding(0), padding(9)], [DropReason::RtpPadding; 2]);
    }

    #[test]
    fn sources_extension_and_padding_are_no_payload() {
        let mut octets = VALID.to_vec();
        octets[0] = 0xb1;
        octets.splice(12..12, [0, 0, 0, 9, 0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        *octets.last_mut().unwrap() = 3;
        let view = RtpView::parse(&octets).unwrap();
        assert_eq!(view.csrcs().collect::<Vec<_>>(), [Ssrc(9)]);
        assert_eq!(view.extension(), Some((0xbede, &[1, 2, 3, 4][..])));
        assert_eq!(view.payload(), [10, 11, 12, 13, 14]);
        assert!(view.marker());
    }
}
