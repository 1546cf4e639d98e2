//! What a peer sends under one key.

use std::fmt;

use arrayvec::ArrayVec;
use packet_io::prefetch;

use crate::command::MediaKind;
use crate::drop_reason::DropReason;
use crate::rtp::{Ssrc, header_size};
use crate::srtp::left_keys::Left;
use crate::srtp::master_key::KeyIdentity;
use crate::srtp::send_context::{sender, source};
use crate::srtp::streams::{STREAMS_MAX, Streams};
use crate::srtp::transform::{RTCP_CLEAR_SIZE, Refused, RtcpTransform, RtpTransform};
use crate::srtp::window::nearest;
use crate::srtp::{MasterKey, RTCP_INDEX_SIZE};

/// The key of one direction and the indices seen under it.
pub struct ReceiveContext {
    key: MasterKey,
    rtp: RtpTransform,
    rtcp: RtcpTransform,
    rtp_streams: Streams,
    rtcp_streams: Streams,
    /// Highest RTP indices of sources under the keys before: a peer may keep its counters.
    hints: ArrayVec<(Ssrc, u64), STREAMS_MAX>,
}

/// A packet that its key authenticated and that lies decrypted where it came. Its index is not taken
/// yet: see [`ReceiveContext::accept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Unprotected {
    /// Octets of the packet without what protected it.
    pub size: usize,
    pub(super) ssrc: Ssrc,
    pub(super) index: u64,
    pub(super) is_rtcp: bool,
    pub(super) is_by_previous: bool,
}

impl Unprotected {
    /// Its place among the packets of its source: what comes again or comes late is no later one.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// True if the key before the present one authenticated it.
    #[must_use]
    pub const fn is_by_previous(&self) -> bool {
        self.is_by_previous
    }
}

/// Roll-over counters that are tried for the first packet of a source.
const CANDIDATES_MAX: usize = 3;

const SEQUENCES: u64 = 1 << 16;

impl ReceiveContext {
    /// A context in which nothing was received. `None`: the cipher refuses the key.
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
            rtp_streams: Streams::new(kind),
            // Reports are not sent again.
            rtcp_streams: Streams::new(MediaKind::Audio),
            hints: ArrayVec::new_const(),
        })
    }

    /// The context that follows this one under another key. `None`: the cipher refuses the key.
    #[must_use]
    pub(super) fn next(&self, key: &MasterKey, kind: MediaKind) -> Option<Self> {
        let mut next = Self::of_kind(key, kind)?;
        next.take_hints(self);
        Some(next)
    }

    /// What was heard under the key before may go on under this one.
    pub(super) fn take_hints(&mut self, before: &Self) {
        let heard = before.rtp_streams.ends().filter(|(_, end)| *end > 0);
        let heard = heard.map(|(ssrc, end)| (ssrc, end - 1));
        let mut hints: ArrayVec<(Ssrc, u64), STREAMS_MAX> = ArrayVec::new_const();
        for (ssrc, highest) in heard.chain(before.hints.iter().copied()) {
            if !hints.is_full() && hints.iter().all(|(other, _)| *other != ssrc) {
                hints.push((ssrc, highest));
            }
        }
        self.hints = hints;
    }

    /// What was used under this key, of each source: for when it is left.
    pub(super) fn ends(&self) -> impl Iterator<Item = Left> {
        let key = KeyIdentity::of(&self.key);
        let rtp = self.rtp_streams.ends().map(move |(ssrc, end)| Left {
            key,
            ssrc,
            rtp: end,
            rtcp: self.rtcp_streams.window(ssrc).next(),
        });
        let rtcp = self.rtcp_streams.ends().map(move |(ssrc, end)| Left {
            key,
            ssrc,
            rtp: self.rtp_streams.window(ssrc).next(),
            rtcp: end,
        });
        rtp.chain(rtcp)
    }

    /// This was used under this key before.
    pub(super) fn revive(&mut self, left: Left) {
        self.rtp_streams.raise(left.ssrc, left.rtp);
        self.rtcp_streams.raise(left.ssrc, left.rtcp);
    }

    #[cfg(test)]
    pub(super) const fn streams_mut(&mut self) -> &mut Streams {
        &mut self.rtp_streams
    }

    #[cfg(test)]
    pub(super) fn heap_size(&self) -> usize {
        self.rtp.heap_size()
    }

    /// Asks for the lines that an RTP packet needs, except the keys, which these lead to.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch(&self.key);
        prefetch(&self.rtp);
        self.rtp_streams.prefetch();
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

    /// Unprotects an RTP packet in place (RFC 3711 §3.3, RFC 7714 §8).
    ///
    /// # Errors
    /// Why it is not believed. Its octets may be lost then.
    #[inline]
    pub fn unprotect_rtp(&self, packet: &mut [u8]) -> Result<Unprotected, DropReason> {
        self.unprotect_rtp_near(packet, None, false)
    }

    /// Likewise, for a source unheard under this key perhaps with the roll-over counter of `near`;
    /// what is refused stays as it was if it `must_survive`.
    #[inline]
    pub(super) fn unprotect_rtp_near(
        &self,
        packet: &mut [u8],
        near: Option<u64>,
        must_survive: bool,
    ) -> Result<Unprotected, DropReason> {
        let header_size = header_size(packet)?;
        let (sequence, ssrc) = source(packet).ok_or(DropReason::RtpTruncated)?;
        let size = packet
            .len()
            .checked_sub(self.key.suite().rtp_tag_size())
            .filter(|size| *size >= header_size)
            .ok_or(DropReason::SrtpNotProtected)?;
        if !self.rtp_streams.has_room(ssrc) {
            return Err(DropReason::SrtpSources);
        }
        let window = self.rtp_streams.window(ssrc);
        let index = if window.is_started() {
            let index = window.estimate(sequence)?;
            if !window.is_unused(index) {
                return Err(DropReason::SrtpReplay);
            }
            self.open_rtp(packet, header_size, (ssrc, index), must_survive)
                .map_err(|_refused| DropReason::SrtpAuthentication)?;
            index
        } else {
            let near = near.or_else(|| self.hinted(ssrc, sequence));
            let candidates = candidates(window.estimate(sequence)?, near);
            let last = candidates.len().saturating_sub(1);
            let mut tries = (0_usize..).zip(candidates);
            let found = tries.find(|(at, index)| {
                let must_survive = must_survive || *at < last;
                self.open_rtp(packet, header_size, (ssrc, *index), must_survive)
                    .is_ok()
            });
            found.ok_or(DropReason::SrtpAuthentication)?.1
        };
        Ok(Unprotected {
            size,
            ssrc,
            index,
            is_rtcp: false,
            is_by_previous: false,
        })
    }

    /// The index that a packet would have if its source had kept its counter over the change of keys.
    fn hinted(&self, ssrc: Ssrc, sequence: u16) -> Option<u64> {
        let (_, highest) = self.hints.iter().find(|(other, _)| *other == ssrc)?;
        nearest(*highest, sequence).ok()
    }

    #[inline]
    fn open_rtp(
        &self,
        packet: &mut [u8],
        header_size: usize,
        number: (Ssrc, u64),
        must_survive: bool,
    ) -> Result<(), Refused> {
        if must_survive && self.key.suite().is_aead() {
            return surviving(packet, |packet| self.rtp.open(packet, header_size, number));
        }
        self.rtp.open(packet, header_size, number)
    }

    /// Unprotects an RTCP packet in place (RFC 3711 §3.4, RFC 7714 §9).
    ///
    /// # Errors
    /// Why it is not believed. Its octets may be lost then.
    pub fn unprotect_rtcp(&self, packet: &mut [u8]) -> Result<Unprotected, DropReason> {
        self.unprotect_rtcp_surviving(packet, false)
    }

    pub(super) fn unprotect_rtcp_surviving(
        &self,
        packet: &mut [u8],
        must_survive: bool,
    ) -> Result<Unprotected, DropReason> {
        let ssrc = sender(packet).ok_or(DropReason::RtcpMalformed)?;
        let size = packet
            .len()
            .checked_sub(self.key.suite().rtcp_tag_size() + RTCP_INDEX_SIZE)
            .filter(|size| *size >= RTCP_CLEAR_SIZE)
            .ok_or(DropReason::SrtpNotProtected)?;
        let index = self
            .rtcp
            .index(packet)
            .ok_or(DropReason::SrtpNotProtected)?;
        if !self.rtcp_streams.has_room(ssrc) {
            return Err(DropReason::SrtpSources);
        }
        if !self.rtcp_streams.window(ssrc).is_unused(index) {
            return Err(DropReason::SrtpReplay);
        }
        let opened = if must_survive && self.key.suite().is_aead() {
            surviving(packet, |packet| self.rtcp.open(packet, (ssrc, index)))
        } else {
            self.rtcp.open(packet, (ssrc, index))
        };
        opened.map_err(|_refused| DropReason::SrtpAuthentication)?;
        Ok(Unprotected {
            size,
            ssrc,
            index,
            is_rtcp: true,
            is_by_previous: false,
        })
    }

    /// Takes the index of a packet as used. To be called once for a packet that every other check
    /// has let through, before the next is unprotected.
    #[inline]
    pub fn accept(&mut self, packet: Unprotected) {
        let streams = if packet.is_rtcp {
            &mut self.rtcp_streams
        } else {
            &mut self.rtp_streams
        };
        streams.mark(packet.ssrc, packet.index);
    }

    /// True if it is later than all that was accepted or claimed of its source.
    pub(super) fn is_newest(&self, packet: &Unprotected) -> bool {
        let streams = if packet.is_rtcp {
            &self.rtcp_streams
        } else {
            &self.rtp_streams
        };
        packet.index >= streams.window(packet.ssrc).next()
    }

    /// Takes every RTP packet before that one as used.
    pub(super) fn claim(&mut self, (ssrc, index): (Ssrc, u64)) {
        self.rtp_streams.claim(ssrc, index);
    }

    /// The index that a packet of a source heard under this key would have.
    pub(super) fn expected(&self, packet: &[u8]) -> Option<u64> {
        let (sequence, ssrc) = source(packet)?;
        let window = self.rtp_streams.window(ssrc);
        window
            .is_started()
            .then(|| window.estimate(sequence).ok())
            .flatten()
    }
}

impl fmt::Debug for ReceiveContext {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ReceiveContext")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The indices that the first packet heard of a source may have: its sender has just begun, or goes on
/// where it stood when this key was left; or it began near the end of a round and what came before was
/// lost, or came before the key was known; or it has kept its counter over a change of keys.
fn candidates(first: u64, near: Option<u64>) -> ArrayVec<u64, CANDIDATES_MAX> {
    let mut candidates = ArrayVec::from_iter([first]);
    if first % SEQUENCES < SEQUENCES / 2 {
        candidates.push(first + SEQUENCES);
    }
    candidates.extend(near.filter(|near| *near > first && !candidates.contains(near)));
    candidates
}

/// Runs `open` so that a refused packet is what it was.
fn surviving(
    packet: &mut [u8],
    open: impl FnOnce(&mut [u8]) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut kept = [0; KEPT_SIZE_MAX];
    if let Some(kept) = kept.get_mut(..packet.len()) {
        kept.copy_from_slice(packet);
    }
    open(packet).inspect_err(|_refused| {
        if let Some(kept) = kept.get(..packet.len()) {
            packet.copy_from_slice(kept);
        }
    })
}

/// Octets of a packet that is tried with another key or counter: more than any buffer holds.
const KEPT_SIZE_MAX: usize = 2_048;
