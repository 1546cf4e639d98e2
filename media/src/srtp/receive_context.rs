//! What a peer sends under one key.

use std::fmt;

use arrayvec::ArrayVec;

use crate::drop_reason::DropReason;
use crate::rtp::{Ssrc, header_size};
use crate::srtp::send_context::{sender, source};
use crate::srtp::streams::Streams;
use crate::srtp::transform::{RTCP_CLEAR_SIZE, Refused, RtcpTransform, RtpTransform};
use crate::srtp::{MasterKey, RTCP_INDEX_SIZE};

/// The key of one direction and the indices seen under it.
pub struct ReceiveContext {
    key: MasterKey,
    rtp: RtpTransform,
    rtcp: RtcpTransform,
    rtp_streams: Streams,
    rtcp_streams: Streams,
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
    /// By the key before the present one.
    pub(super) is_by_previous: bool,
}

impl Unprotected {
    /// True if it is another source's packet, or a later one.
    #[must_use]
    pub fn is_after(&self, other: &Self) -> bool {
        self.ssrc != other.ssrc
            || self.is_by_previous != other.is_by_previous
            || self.index > other.index
    }
}

/// Roll-over counters that are tried for the first packet of a source.
const CANDIDATES_MAX: usize = 3;

const SEQUENCES: u64 = 1 << 16;

impl ReceiveContext {
    /// A context in which nothing was received. `None`: the cipher refuses the key.
    #[must_use]
    pub fn new(key: &MasterKey) -> Option<Self> {
        Some(Self {
            key: key.clone(),
            rtp: RtpTransform::new(key)?,
            rtcp: RtcpTransform::new(key)?,
            rtp_streams: Streams::default(),
            rtcp_streams: Streams::default(),
        })
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
            let candidates = candidates(sequence, near);
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

/// The indices that the first packet heard of a source may have: its sender has just begun; or it
/// began near the end of a round and what came before was lost, or came before the key was known;
/// or it has kept its counter over a change of keys.
fn candidates(sequence: u16, near: Option<u64>) -> ArrayVec<u64, CANDIDATES_MAX> {
    let first = u64::from(sequence);
    let mut candidates = ArrayVec::from_iter([first]);
    if sequence < 1 << 15 {
        candidates.push(first + SEQUENCES);
    }
    candidates.extend(near.filter(|near| *near >= SEQUENCES && !candidates.contains(near)));
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
