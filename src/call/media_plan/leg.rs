//! The media of one leg: our port, what was said in its dialog, and the plan that follows.

use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;
use media::command::{LatchPolicy, LegPlan, MediaKind, PairKey, PayloadMapping};
use media::srtp::Suite;
use sip::offer_answer::crypto::{CryptoOffer, CryptoPolicy, LineKeys};
use sip::offer_answer::{Codec, Descriptions, RemoteAudio, Session, Unusable};
use sip::sdp::{Direction, SessionDescription};

use super::abilities::{led_by, share_voice};
use super::keys;
use super::protection::Protection;
use super::video::{LegVideo, Moving};

/// Most codecs that are carried from one side to the other, telephone-event included.
pub const CODECS_MAX: usize = media::command::PAYLOAD_MAPPINGS_MAX;

/// Most codecs of a peer that are remembered.
pub const ABLE_MAX: usize = 4 * CODECS_MAX;

/// One leg's media.
#[derive(Debug)]
pub struct LegMedia {
    /// Its ports.
    pub pair: PairKey,
    /// How its source is learnt.
    pub latch: LatchPolicy,
    /// Its ports for video.
    pub video: Option<LegVideo>,
    pub(super) session: Session,
    plan_version: u32,
    able: Vec<Codec>,
    protection: Protection,
    /// What protects a transport that makes its own keys.
    transport_suite: Option<Suite>,
}

impl LegMedia {
    /// A leg on `pair` whose descriptions name `named`.
    #[must_use]
    pub const fn new(
        pair: PairKey,
        named: SocketAddr,
        latch: LatchPolicy,
        session_id: u64,
    ) -> Self {
        Self {
            pair,
            latch,
            video: None,
            session: Session::new(named, session_id),
            plan_version: 0,
            able: Vec::new(),
            protection: Protection::NEVER,
            transport_suite: None,
        }
    }

    /// What both sides said last.
    #[must_use]
    pub const fn current(&self) -> &Descriptions {
        self.session.current()
    }

    /// What the peer said last and we accepted.
    #[must_use]
    pub const fn remote(&self) -> Option<&RemoteAudio> {
        self.current().theirs.as_ref()
    }

    /// What we said last.
    #[must_use]
    pub const fn last(&self) -> Option<&SessionDescription> {
        self.current().ours.as_ref()
    }

    /// The peer is held, or holds: no timeout then.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let remote = self
            .remote()
            .map_or(Direction::SendRecv, |remote| remote.direction);
        remote != Direction::SendRecv || self.current().direction != Direction::SendRecv
    }

    /// Every codec that the peer has ever offered, the latest first; empty: it only ever answered.
    #[must_use]
    pub fn able(&self) -> &[Codec] {
        &self.able
    }

    /// The peer's offer takes effect; what it can do is remembered.
    pub fn accept_offer(&mut self, remote: RemoteAudio) {
        self.able = led_by(&remote.codecs, &self.able);
        self.able.truncate(ABLE_MAX);
        self.accept(remote);
    }

    /// Keys are offered and taken so from now on, and these are ours.
    pub fn set_crypto(&mut self, policy: CryptoPolicy, offer: CryptoOffer, keys: LineKeys) {
        self.session.set_crypto(policy, offer, keys);
    }

    /// Keys of ours for when the present ones are left, of audio and of video.
    pub fn take_spare_keys(&mut self, audio: LineKeys, video: LineKeys) {
        self.session.take_spare_keys(audio, video);
    }

    /// There are none of them.
    #[must_use]
    pub fn wants_spare_keys(&self) -> bool {
        self.session.wants_spare_keys()
    }

    /// The peer has moved and has another key: it shall have another one of ours.
    #[must_use]
    pub fn owes_keys(&self) -> bool {
        self.session.owes_keys()
    }

    /// Keys were offered, nobody has taken them, and it would do without.
    #[must_use]
    pub fn offers_what_may_be_plain(&self) -> bool {
        let current = self.current();
        let unanswered = !current.crypto.is_empty() && current.agreed.is_none();
        unanswered && self.policy() == CryptoPolicy::Preferred
    }

    /// The same of video.
    pub fn set_video_keys(&mut self, keys: LineKeys) {
        self.session.set_video_keys(keys);
    }

    /// Whether keys are taken of its peer.
    #[must_use]
    pub fn policy(&self) -> CryptoPolicy {
        self.session.policy()
    }

    /// The peer's answer takes effect, and with it the keys.
    pub fn accept_answer(&mut self, remote: RemoteAudio) {
        self.note_move(&remote);
        let moving = Moving::of(self.current());
        self.session.accept_answer(remote);
        self.note_video(&moving);
    }

    /// The peer's description takes effect, whatever it is.
    pub fn accept(&mut self, remote: RemoteAudio) {
        self.note_move(&remote);
        let moving = Moving::of(self.current());
        self.session.accept(remote);
        self.note_video(&moving);
    }

    fn note_move(&mut self, remote: &RemoteAudio) {
        if self.remote().is_none_or(|old| moves_media(old, remote)) {
            self.plan_version += 1;
        }
    }

    /// Takes back what a refused or torn-down exchange changed.
    pub fn restore(&mut self, before: Descriptions) {
        self.take_back(before, Session::restore);
    }

    /// Takes back an exchange that the peer has answered with a 2xx: it keeps the lines that there were.
    pub fn restore_answered(&mut self, before: Descriptions) {
        self.take_back(before, Session::restore_answered);
    }

    fn take_back(&mut self, before: Descriptions, words: fn(&mut Session, Descriptions)) {
        let moves = match (self.remote(), &before.theirs) {
            (Some(new), Some(old)) => moves_media(new, old),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        };
        if moves || self.current().codecs != before.codecs {
            self.plan_version += 1;
        }
        let moving = Moving::of(self.current());
        words(&mut self.session, before);
        self.note_video(&moving);
    }

    /// Takes back an offer that never left. It named no codec that could have come since.
    pub fn unsay(&mut self, before: Descriptions) {
        if self.current().codecs != before.codecs {
            self.plan_version += 1;
        }
        let moving = Moving::of(self.current());
        self.session.unsay(before);
        self.note_video(&moving);
    }

    /// An offer to this peer: those of `wanted` that can be carried, under the numbers they have
    /// here.
    pub fn offer(
        &mut self,
        wanted: &[Codec],
        direction: Direction,
        ptime_ms: Option<u32>,
    ) -> SessionDescription {
        let wanted = carried(wanted);
        self.say(|session| session.offer(&wanted, direction, ptime_ms))
    }

    /// An answer to this peer's last offer: the first voice codec of `chosen` that it has, and
    /// telephone-event.
    ///
    /// # Errors
    ///
    /// Where they have no voice codec in common.
    pub fn answer(
        &mut self,
        chosen: &[Codec],
        direction: Direction,
        ptime_ms: Option<u32>,
    ) -> Result<SessionDescription, Unusable> {
        self.say(|session| session.answer(chosen, direction, ptime_ms))
    }

    fn say<T>(&mut self, words: impl FnOnce(&mut Session) -> T) -> T {
        let before = self.current().codecs.clone();
        let moving = Moving::of(self.current());
        let said = words(&mut self.session);
        if self.current().codecs != before {
            self.plan_version += 1;
        }
        self.note_video(&moving);
        said
    }

    /// What the worker shall do with this leg while its peer leg is `other`.
    #[must_use]
    pub fn plan(&self, other: Option<&Self>, media_timeout: Duration) -> LegPlan {
        let remote = self.remote();
        let local = self.current().direction;
        let sends = remote.is_none_or(|remote| remote.direction.receives());
        let receives = remote.is_none_or(|remote| remote.direction.sends());
        // What shall be protected never goes, or is heard, in the clear.
        let agreed = self.current().agreed.as_deref();
        let srtp = agreed.and_then(keys::plan);
        let waits = self.current().waits_for_keys() || agreed.is_some() != srtp.is_some();
        let held = self.is_held() || remote.is_none() || media_timeout.is_zero();
        LegPlan {
            kind: MediaKind::Audio,
            remote_rtp: remote.and_then(|remote| remote.rtp),
            remote_rtcp: remote.and_then(|remote| remote.rtcp),
            sends: sends && local.sends() && !waits,
            receives: receives && local.receives() && !waits,
            payloads: self.payloads(other),
            latch: self.latch,
            media_timeout: (!held).then_some(media_timeout),
            version: self.plan_version,
            srtp,
        }
    }

    /// The worker has this plan of the leg, or of its video.
    pub fn note_protection(&mut self, plan: &LegPlan) {
        if self.last().is_some() {
            self.protection.note(plan);
        }
    }

    /// Its transport has keys of this kind.
    pub fn note_suite(&mut self, suite: Suite) {
        self.protection.note_suite(suite);
        self.transport_suite = Some(suite);
    }

    /// What protects its media now; `None`: nothing.
    #[must_use]
    pub fn suite(&self) -> Option<&'static str> {
        let agreed = self.current().agreed.as_ref();
        let agreed = agreed.map(|agreed| agreed.suite().as_str());
        agreed.or_else(|| self.transport_suite.map(Suite::as_str))
    }

    /// How its media was protected so far.
    #[must_use]
    pub const fn protection(&self) -> Protection {
        self.protection
    }

    /// Keys that are pressed at this peer reach the other one as events.
    #[must_use]
    pub fn carries_events(&self, other: &Self) -> bool {
        let payloads = self.payloads(Some(other));
        payloads.iter().any(|mapping| mapping.is_telephone_event)
    }

    /// What arrives here, by the numbers we named, and what each is where it goes: on the other
    /// leg the number its peer named, without another leg (echo, tone) the one this peer named.
    fn payloads(&self, other: Option<&Self>) -> ArrayVec<PayloadMapping, CODECS_MAX> {
        let target = other.unwrap_or(self).remote();
        let wanted = target.map_or(&[][..], |remote| remote.codecs.as_slice());
        let named = &self.current().codecs;
        let has_voice = share_voice(named, wanted);
        named
            .iter()
            .filter_map(|codec| {
                let same = wanted.iter().find(|wanted| wanted.is_same(codec));
                let sent = match other {
                    Some(other) if codec.is_telephone_event() => {
                        other.event_for(codec, has_voice).or(same)
                    }
                    Some(_) | None => same,
                }?;
                let (clock_rate_hz, sent_hz) = (codec.rtp_clock_hz(), sent.rtp_clock_hz());
                Some(PayloadMapping {
                    received: codec.payload_type,
                    sent: sent.payload_type,
                    clock_rate_hz,
                    is_telephone_event: codec.is_telephone_event(),
                    sent_clock_hz: (sent_hz != clock_rate_hz).then_some(sent_hz),
                })
            })
            .take(CODECS_MAX)
            .collect()
    }

    /// The events of this peer that those of another become: of both descriptions, of the same clock
    /// if there are any. Those of another are counted anew, beside a voice by whose clock both sides stamp
    /// (RFC 4733 §2.1).
    fn event_for(&self, event: &Codec, has_voice: bool) -> Option<&Codec> {
        let ours = &self.current().codecs;
        let is_agreed = |codec: &&Codec| {
            codec.is_telephone_event() && ours.iter().any(|named| named.is_same(codec))
        };
        let mut agreed = self.remote()?.codecs.iter().filter(is_agreed);
        let same = agreed.clone().find(|codec| codec.is_same(event));
        same.or_else(|| agreed.next().filter(|_| has_voice))
    }
}

/// The new description changes what the worker must do.
fn moves_media(old: &RemoteAudio, new: &RemoteAudio) -> bool {
    old.rtp != new.rtp || old.rtcp != new.rtcp || old.codecs != new.codecs
}

/// Voice and events, at most [`CODECS_MAX`]; the events are kept when the list is cut. Redundancy
/// and FEC cannot cross: they name the payload types and sequence numbers of one side.
fn carried(codecs: &[Codec]) -> Vec<Codec> {
    let can_cross = |codec: &&Codec| codec.is_speech() || codec.is_telephone_event();
    let mut kept: Vec<Codec> = codecs.iter().filter(can_cross).cloned().collect();
    if kept.len() > CODECS_MAX {
        let cut = kept.split_off(CODECS_MAX - 1);
        let event = cut.iter().find(|codec| codec.is_telephone_event());
        kept.extend(event.or_else(|| cut.first()).cloned());
    }
    kept
}
