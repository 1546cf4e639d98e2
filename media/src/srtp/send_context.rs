//! What is sent to a peer under one key.

use std::fmt;

use packet_io::prefetch;

use crate::command::MediaKind;
use crate::drop_reason::DropReason;
use crate::rtp::{Ssrc, header_size};
use crate::srtp::left_keys::{Forgotten, Left};
use crate::srtp::master_key::KeyIdentity;
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
    /// The next SRTCP packet, counted over all keys of a leg.
    rtcp_next: u64,
    /// The first that may have been sent under this key.
    rtcp_first: u64,
}

impl SendContext {
    /// A context in which nothing was sent. `None`: the cipher refuses the key.
    #[must_use]
    pub fn new(key: &MasterKey) -> Option<Self> {
        Self::of_kind(key, MediaKind::Audio)
    }

    /// The same of what a leg carries: pictures are sent again late.
    #[must_use]
    pub fn of_kind(key: &MasterKey, kind: MediaKind) -> Option<Self> {
        Some(Self {
            key: key.clone(),
            rtp: RtpTransform::new(key)?,
            rtcp: RtcpTransform::new(key)?,
            streams: Streams::new(kind),
            rtcp_next: 0,
            rtcp_first: 0,
        })
    }

    /// The context that follows this one under another key. Its SRTCP index goes on (RFC 3711 §3.4:
    /// never reset by a change of keys). So does the roll-over counter (RFC 3711 §3.3.1), unless the
    /// peer `has_moved`: who is at another address heard nothing before (RFC 4568 §7.1.4). `None`: the
    /// cipher refuses the key.
    #[must_use]
    pub(super) fn next(&self, key: &MasterKey, has_moved: bool, kind: MediaKind) -> Option<Self> {
        let mut next = Self::of_kind(key, kind)?;
        if !has_moved {
            next.streams = self.streams.clone();
        }
        (next.rtcp_next, next.rtcp_first) = (self.rtcp_next, self.rtcp_next);
        Some(next)
    }

    /// What was used under this key, of each source: for when it is left.
    pub(super) fn ends(&self) -> impl Iterator<Item = Left> {
        let key = KeyIdentity::of(&self.key);
        let rtcp = self.rtcp_first;
        let mut ends = self.streams.ends().peekable();
        // A key of RTCP alone is one, too.
        let silent = ends.peek().is_none().then_some((Ssrc(0), 0));
        ends.chain(silent).map(move |(ssrc, rtp)| Left {
            key,
            ssrc,
            rtp,
            rtcp,
        })
    }

    /// This was used under this key before.
    pub(super) fn revive(&mut self, left: Left) {
        self.streams.raise(left.ssrc, left.rtp);
        self.rtcp_first = self.rtcp_first.min(left.rtcp);
    }

    /// This may have been used under this key before, by whatever source.
    pub(super) fn revive_all(&mut self, forgotten: Forgotten) {
        self.streams.raise_all(forgotten.rtp_end);
        self.rtcp_first = self.rtcp_first.min(forgotten.rtcp_first);
    }

    /// The least index that a source may use.
    #[must_use]
    pub fn next_index(&self, ssrc: Ssrc) -> u64 {
        self.streams.window(ssrc).next()
    }

    /// Asks for the lines that an RTP packet needs, except the keys, which these lead to.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch(&self.key);
        prefetch(&self.rtp);
        self.streams.prefetch();
    }

    /// Asks for the keys of RTP.
    #[inline]
    pub(super) fn prefetch_keys(&self) {
        self.rtp.prefetch_keys();
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
        if !self.streams.has_room(ssrc) {
            return Err(DropReason::SrtpSources);
        }
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
        drop(window);
        // Marked first: an index under which encryption failed half way is used as well.
        self.streams.mark(ssrc, index);
        self.rtp
            .seal(packet, header_size, (ssrc, index))
            .map_err(|_refused| DropReason::SrtpUnavailable)
    }

    /// Refuses another SRTCP packet under a key that has protected all it may.
    pub(super) const fn expect_rtcp_index(&self) -> Result<(), DropReason> {
        debug_assert!(
            self.rtcp_first <= self.rtcp_next,
            "a key begins before it ends"
        );
        if self.rtcp_next - self.rtcp_first >= RTCP_INDICES {
            return Err(DropReason::SrtpKeyExhausted);
        }
        Ok(())
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
        self.expect_rtcp_index()?;
        let index = self.rtcp_next % RTCP_INDICES;
        self.rtcp_next += 1;
        self.rtcp
            .seal(packet, (ssrc, index))
            .map_err(|_refused| DropReason::SrtpUnavailable)
    }

    #[cfg(test)]
    pub(super) const fn set_rtcp_sent(&mut self, sent: u64) {
        self.rtcp_next = self.rtcp_first + sent;
    }

    #[cfg(test)]
    pub(super) fn heap_size(&self) -> usize {
        self.rtp.heap_size()
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
