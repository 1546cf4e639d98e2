//! What is sent to a peer under one key.

use std::fmt;

use crate::drop_reason::DropReason;
use crate::rtp::{Ssrc, header_size};
use crate::srtp::streams::Streams;
use crate::srtp::transform::{RTCP_CLEAR_SIZE, RtcpTransform, RtpTransform};
use crate::srtp::window::RTCP_INDICES;
use crate::srtp::{MasterKey, RTCP_INDEX_SIZE, Suite};

/// The key of one direction and the indices used under it. No index is used twice, whatever is to
/// be sent: two packets under one index would give away both (RFC 3711 §9.1, RFC 7714 §10.1).
pub struct SendContext {
    key: MasterKey,
    rtp: RtpTransform,
    rtcp: RtcpTransform,
    streams: Streams,
    /// SRTCP packets sent under this key.
    rtcp_sent: u64,
    /// The index of the first of them.
    rtcp_first: u64,
}

impl SendContext {
    /// A context in which nothing was sent. `None`: the cipher refuses the key.
    #[must_use]
    pub fn new(key: &MasterKey) -> Option<Self> {
        Some(Self {
            key: key.clone(),
            rtp: RtpTransform::new(key)?,
            rtcp: RtcpTransform::new(key)?,
            streams: Streams::default(),
            rtcp_sent: 0,
            rtcp_first: 0,
        })
    }

    /// The context that follows this one under another key. Its SRTCP index goes on (RFC 3711 §3.4:
    /// never reset by a change of keys), its roll-over counter begins anew, as SDES has it. `None`:
    /// the cipher refuses the key.
    #[must_use]
    pub fn next(&self, key: &MasterKey) -> Option<Self> {
        Some(Self {
            rtcp_first: self.rtcp_index(),
            ..Self::new(key)?
        })
    }

    const fn rtcp_index(&self) -> u64 {
        (self.rtcp_first + self.rtcp_sent) % RTCP_INDICES
    }

    /// Its master key.
    #[must_use]
    pub const fn key(&self) -> &MasterKey {
        &self.key
    }

    const fn suite(&self) -> Suite {
        self.key.suite()
    }

    /// Octets that an RTP packet grows by.
    #[must_use]
    pub const fn rtp_overhead(&self) -> usize {
        self.suite().rtp_tag_size()
    }

    /// Octets that an RTCP packet grows by.
    #[must_use]
    pub const fn rtcp_overhead(&self) -> usize {
        self.suite().rtcp_tag_size() + RTCP_INDEX_SIZE
    }

    /// Protects an RTP packet that has [`rtp_overhead`](Self::rtp_overhead) octets of room at its
    /// end (RFC 3711 §3.3, RFC 7714 §8).
    ///
    /// # Errors
    /// Why it must not leave: its index was used or is older than what is remembered, the key has
    /// protected all it may, or it is no RTP packet.
    #[inline]
    pub fn protect_rtp(&mut self, packet: &mut [u8]) -> Result<(), DropReason> {
        let size = packet
            .len()
            .checked_sub(self.rtp_overhead())
            .ok_or(DropReason::RtpTruncated)?;
        let plain = packet.get(..size).unwrap_or_default();
        let header_size = header_size(plain)?;
        let (sequence, ssrc) = source(plain).ok_or(DropReason::RtpTruncated)?;
        let window = self.streams.window(ssrc);
        let index = window.estimate(sequence).map_err(|reason| {
            if reason == DropReason::SrtpReplay {
                DropReason::SrtpIndexUsed
            } else {
                reason
            }
        })?;
        if !window.is_unused(index) {
            return Err(DropReason::SrtpIndexUsed);
        }
        // Marked first: an index under which encryption failed half way is used as well.
        self.streams.mark(ssrc, index);
        self.rtp
            .seal(packet, header_size, (ssrc, index))
            .map_err(|_refused| DropReason::SrtpNotProtected)
    }

    /// Protects an RTCP packet that has [`rtcp_overhead`](Self::rtcp_overhead) octets of room at
    /// its end (RFC 3711 §3.4, RFC 7714 §9).
    ///
    /// # Errors
    /// Why it must not leave: the key has protected all it may, or it is no RTCP packet.
    pub fn protect_rtcp(&mut self, packet: &mut [u8]) -> Result<(), DropReason> {
        let size = packet.len().checked_sub(self.rtcp_overhead());
        let ssrc = size
            .and_then(|size| packet.get(..size))
            .and_then(sender)
            .ok_or(DropReason::RtcpMalformed)?;
        let index = self.rtcp_index();
        if self.rtcp_sent >= RTCP_INDICES {
            return Err(DropReason::SrtpKeyExhausted);
        }
        self.rtcp_sent += 1;
        self.rtcp
            .seal(packet, (ssrc, index))
            .map_err(|_refused| DropReason::SrtpNotProtected)
    }

    #[cfg(test)]
    pub(super) const fn set_rtcp_sent(&mut self, sent: u64) {
        self.rtcp_sent = sent;
    }

    #[cfg(test)]
    pub(super) const fn streams_mut(&mut self) -> &mut Streams {
        &mut self.streams
    }
}

impl fmt::Debug for SendContext {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SendContext")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Sequence number and SSRC of an RTP packet.
#[inline]
pub(super) fn source(packet: &[u8]) -> Option<(u16, Ssrc)> {
    let [_, _, high, low, _, _, _, _, a, b, c, d] = *packet.first_chunk()?;
    Some((
        u16::from_be_bytes([high, low]),
        Ssrc(u32::from_be_bytes([a, b, c, d])),
    ))
}

/// SSRC of the sender of an RTCP packet.
pub(super) fn sender(packet: &[u8]) -> Option<Ssrc> {
    let [_, _, _, _, a, b, c, d]: [u8; RTCP_CLEAR_SIZE] = *packet.first_chunk()?;
    Some(Ssrc(u32::from_be_bytes([a, b, c, d])))
}
