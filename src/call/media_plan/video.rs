//! The video of one leg: its own port, and the plan that follows from the same descriptions.
//!
//! Video never decides about a leg: it has no timeout, and without it the call goes on.

use std::net::SocketAddr;

use arrayvec::ArrayVec;
use media::command::{LegPlan, MediaKind, PairKey, PayloadMapping};
use sip::offer_answer::{Codec, Descriptions, RemoteAudio, RemoteVideo, VideoWish};

use super::keys;
use super::leg::{CODECS_MAX, LegMedia};

/// The port pair for the video of a leg.
#[derive(Debug, Clone, Copy)]
pub struct LegVideo {
    /// Its ports.
    pub pair: PairKey,
    /// Where they are bound.
    pub bound: SocketAddr,
    /// Its peer is told that there is no video after all.
    pub is_ending: bool,
    pub(super) plan_version: u32,
}

impl LegVideo {
    /// Ports that nothing is said of yet.
    #[must_use]
    pub const fn new(pair: PairKey, bound: SocketAddr) -> Self {
        Self {
            pair,
            bound,
            is_ending: false,
            plan_version: 0,
        }
    }
}

impl LegMedia {
    /// The leg has ports for video from now on; its descriptions name `named`.
    pub const fn take_video(&mut self, video: LegVideo, named: SocketAddr) {
        debug_assert!(self.video.is_none(), "a leg has one pair for video");
        self.video = Some(video);
        self.session.receive_video_at(Some(named));
    }

    /// It has none any more.
    pub const fn give_video(&mut self) -> Option<LegVideo> {
        self.session.receive_video_at(None);
        self.video.take()
    }

    /// What the next description says of the other side's video; without it that has no video.
    pub fn wish_video(&mut self, wish: Option<VideoWish>) {
        let wish = wish.filter(|_| self.video.is_some());
        self.session.wish_video(wish.map(|mut wish| {
            wish.codecs.truncate(CODECS_MAX);
            wish
        }));
    }

    /// What the peer said last of video.
    #[must_use]
    pub fn remote_video(&self) -> Option<&RemoteVideo> {
        self.remote()?.video.as_deref()
    }

    /// Both sides of this leg have a video line with a port.
    #[must_use]
    pub fn has_video(&self) -> bool {
        self.video.is_some() && self.current().video.is_some() && self.remote_video().is_some()
    }

    /// The peer has not refused our video line, whether or not we can take what it says there.
    #[must_use]
    pub fn expects_video(&self) -> bool {
        let is_open = self.remote().is_some_and(|remote| remote.has_open_video);
        is_open && self.current().video.is_some()
    }

    /// What the peer said last and we accepted, with video only where both have it.
    #[must_use]
    pub fn remote_in_use(&self) -> Option<RemoteAudio> {
        let mut remote = self.remote()?.clone();
        remote.video = remote.video.filter(|_| self.has_video());
        Some(remote)
    }

    /// What the worker shall do with the video of this leg while its peer leg is `other`.
    #[must_use]
    pub fn video_plan(&self, other: Option<&Self>) -> Option<(PairKey, LegPlan)> {
        let video = self.video?;
        let said = self.current().video.as_ref();
        // Like audio: before the peer's first description it may come, and goes nowhere.
        let is_early = self.remote().is_none();
        let remote = self.remote_video();
        let direction = remote.map(|remote| remote.direction);
        let sends = direction.map_or(is_early, |theirs| theirs.receives());
        let receives = direction.map_or(is_early, |theirs| theirs.sends());
        let agreed = self.current().video_agreed.as_deref();
        let srtp = agreed.and_then(keys::plan);
        let waits = self.current().video_waits_for_keys() || agreed.is_some() != srtp.is_some();
        let plan = LegPlan {
            kind: MediaKind::Video,
            remote_rtp: remote.and_then(|remote| remote.rtp),
            remote_rtcp: remote.and_then(|remote| remote.rtcp),
            sends: sends && !waits && said.is_some_and(|said| said.direction.sends()),
            receives: receives && !waits && said.is_some_and(|said| said.direction.receives()),
            payloads: self.video_payloads(other),
            latch: self.latch,
            media_timeout: None,
            version: video.plan_version,
            srtp,
        };
        Some((video.pair, plan))
    }

    /// What arrives here, and what each is on the other leg.
    fn video_payloads(&self, other: Option<&Self>) -> ArrayVec<PayloadMapping, CODECS_MAX> {
        let said = self.current().video.as_ref();
        let named = said.map_or(&[][..], |said| &said.codecs);
        let wanted = other.and_then(Self::remote_video);
        let wanted = wanted.map_or(&[][..], |remote| &remote.codecs);
        let mapping = |codec: &Codec| {
            let sent = codec.found_in(wanted)?;
            Some(PayloadMapping {
                received: codec.payload_type,
                sent: sent.payload_type,
                clock_rate_hz: codec.rtp_clock_hz(),
                is_telephone_event: false,
                sent_clock_hz: None,
            })
        };
        named.iter().filter_map(mapping).take(CODECS_MAX).collect()
    }

    /// The descriptions have changed: where that moves video, the latch opens again.
    pub(super) fn note_video(&mut self, before: &Moving) {
        let after = Moving::of(self.current());
        if let Some(video) = self.video.as_mut().filter(|_| after != *before) {
            video.plan_version += 1;
        }
    }
}

/// What of the descriptions a change of which moves video.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moving {
    peer: Option<(Option<SocketAddr>, Option<SocketAddr>, Vec<Codec>)>,
    said: Option<Vec<Codec>>,
}

impl Moving {
    pub(super) fn of(descriptions: &Descriptions) -> Self {
        let theirs = descriptions.theirs.as_ref();
        let theirs = theirs.and_then(|theirs| theirs.video.as_ref());
        Self {
            peer: theirs.map(|video| (video.rtp, video.rtcp, video.codecs.clone())),
            said: descriptions.video.as_ref().map(|said| said.codecs.clone()),
        }
    }
}
