//! Keys that were left: of each the end of the indices that were used under it, so that none is used
//! again should it come back. The keys themselves are gone, a digest tells them.

use crate::rtp::Ssrc;
use crate::srtp::master_key::KeyIdentity;

/// Sources of left keys that are remembered, in each direction. A device that takes a leg's place has
/// another key, with each hold and transfer; what is forgotten is a floor under all later ones.
pub(super) const LEFT_MAX: usize = 512;

/// One source under a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) key: KeyIdentity,
    pub(super) ssrc: Ssrc,
    /// End of its RTP indices.
    pub(super) rtp: u64,
    /// Of what was received, end of its RTCP indices; of what was sent, the first RTCP index.
    pub(super) rtcp: u64,
}

/// What any key may have used that was left so long ago that it is remembered no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forgotten {
    /// End of the RTP indices of all of them.
    pub(super) rtp_end: u64,
    /// The first RTCP index under any of them.
    pub(super) rtcp_first: u64,
}

impl Forgotten {
    pub(super) const NOTHING: Self = Self {
        rtp_end: 0,
        rtcp_first: u64::MAX,
    };

    pub(super) fn add(&mut self, left: Left) {
        self.rtp_end = self.rtp_end.max(left.rtp);
        self.rtcp_first = self.rtcp_first.min(left.rtcp);
    }
}

/// The left keys of one direction, the one left last at the end.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftKeys {
    keys: Vec<Left>,
}

impl LeftKeys {
    /// Remembers a source under a key. Gives what had to be forgotten for it: the one left first.
    #[must_use]
    pub(super) fn remember(&mut self, left: Left) -> Option<Left> {
        self.keys
            .retain(|known| (known.key, known.ssrc) != (left.key, left.ssrc));
        let forgotten = (self.keys.len() >= LEFT_MAX).then(|| self.keys.remove(0));
        self.keys.push(left);
        debug_assert!(self.keys.len() <= LEFT_MAX, "bounded");
        forgotten
    }

    /// What is known of a key.
    pub(super) fn of(&self, key: KeyIdentity) -> impl Iterator<Item = Left> {
        self.keys
            .iter()
            .copied()
            .filter(move |left| left.key == key)
    }
}
