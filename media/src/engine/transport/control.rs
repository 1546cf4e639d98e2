//! RTCP of a browser: one compound packet may speak of its audio and of its video. It is unprotected
//! once, in the contexts of its audio, so that there is one window of its indices; then each part
//! reaches the leg that it is about.

use arrayvec::ArrayVec;
use packet_io::{PacketBuf, PacketIo};

use crate::command::MediaKind;
use crate::drop_reason::DropReason;
use crate::engine::batching::micros;
use crate::engine::control_packet::is_feedback;
use crate::engine::worker::Worker;
use crate::ingress::PeerAddress;
use crate::limits::{BIT_RATE_SAID, BUNDLE_SOURCES_MAX, rtcp_rate};
use crate::rtcp::{Compound, Feedback, RtcpPacket};
use crate::rtp::Ssrc;
use crate::srtp::Unprotected;

/// What tells the parts of a compound packet apart.
struct Parting {
    ours: [Option<Ssrc>; 2],
    video: Option<u32>,
    sources: ArrayVec<(Ssrc, u32), BUNDLE_SOURCES_MAX>,
}

impl<Io: PacketIo> Worker<Io> {
    pub(super) fn receive_bundled_rtcp(
        &mut self,
        now_us: u64,
        source: PeerAddress,
        packet: PacketBuf,
    ) {
        let known = self.transports.of_source(now_us, &source);
        let Some(transport) = known.or_else(|| self.transports.of_check(&source)) else {
            return self.counters.drops.count(DropReason::BundleForeign);
        };
        let (audio, is_known) = (transport.audio, known.is_some());
        self.in_hand = Some(audio);
        if let Err(reason) = self.take_bundled_rtcp(now_us, (audio, is_known), source, packet) {
            self.counters.drops.count(reason);
        }
    }

    /// A report later than all that were heard says where its browser is, as a packet of media does: who only
    /// listens has nothing else to say.
    fn expect_there(
        &mut self,
        now_us: u64,
        (audio, is_known): (u32, bool),
        source: PeerAddress,
        unprotected: &Unprotected,
    ) -> Result<(), DropReason> {
        let nominated = self.transports.of_audio(audio).and_then(|it| it.nominated);
        let is_newest = self.is_newest(audio, unprotected);
        let is_there =
            (is_newest || nominated == Some(source)) && self.prove_source(now_us, audio, source);
        if let Some(transport) = self.transports.of_audio_mut(audio).filter(|_| is_there) {
            transport.reported_us = now_us;
        }
        let is_awaited = is_newest && self.is_awaited(audio, source);
        (is_there || is_known || is_awaited)
            .then_some(())
            .ok_or(DropReason::SourceNotLatched)
    }

    fn take_bundled_rtcp(
        &mut self,
        now_us: u64,
        (audio, is_known): (u32, bool),
        source: PeerAddress,
        mut packet: PacketBuf,
    ) -> Result<(), DropReason> {
        let unprotected = self.unprotect_rtcp(now_us, audio, &mut packet)?;
        debug_assert!(unprotected.is_some(), "nothing plain is believed");
        let unprotected = unprotected.ok_or(DropReason::BundleForeign)?;
        let compound = Compound::parse(packet.bytes())?;
        self.expect_there(now_us, (audio, is_known), source, &unprotected)?;
        self.accept_index(audio, Some(unprotected));
        let parting = self.parting(audio).ok_or(DropReason::NotConnected)?;
        let is_ours = |part: RtcpPacket<'_>| {
            let sender = part.ssrc();
            sender.is_some() && parting.ours.contains(&sender)
        };
        if compound.packets().any(is_ours) {
            return Err(DropReason::OwnStream);
        }
        if let Some(transport) = self.transports.of_audio_mut(audio) {
            transport.heard_us = now_us;
        }
        self.note_heard(audio);
        let kind = parting.video.map_or(MediaKind::Audio, |_| MediaKind::Video);
        let (rate, burst) = rtcp_rate(kind);
        let leg = self.leg_mut(audio).ok_or(DropReason::NotConnected)?;
        if !leg.control.guard.admit(now_us, rate, burst) {
            return Err(DropReason::RateExceeded);
        }
        self.count_compound(compound);
        let video = parting.video.map(|video| {
            let answered = self.repeat_missed(now_us, audio, compound);
            let is_of =
                |part: RtcpPacket<'_>| parting.is_of_video(part) && !answered.contains(&part);
            self.take_compound(now_us, video, compound, is_of)
        });
        let is_of = |part: RtcpPacket<'_>| parting.is_of_audio(part);
        let taken = self.take_compound(now_us, audio, compound, is_of);
        match video {
            Some(Ok(())) => Ok(()),
            Some(Err(reason)) if taken == Err(DropReason::RtcpConsumed) => Err(reason),
            Some(Err(_)) | None => taken,
        }
    }

    /// What a browser is told that its pictures may have, and their source; `None`: nothing of our own, or who
    /// it speaks with tells it so itself.
    pub(in crate::engine) fn bit_rate_of(&self, now_us: u64, slot: u32) -> Option<(Ssrc, u32)> {
        let audio = self.transports.place(slot)?.audio?;
        let transport = self.transports.of_audio(audio)?;
        let rate = transport
            .plan
            .bitrate_max_bps
            .filter(|_| transport.video == Some(slot))?;
        let said_us = self.leg(slot)?.control.rate_said_us;
        let is_said =
            said_us.is_some_and(|said_us| now_us.saturating_sub(said_us) < micros(BIT_RATE_SAID));
        let source = self.ingress.get(slot as usize)?.ssrc;
        (!is_said).then_some((source, rate))
    }

    fn parting(&self, audio: u32) -> Option<Parting> {
        let transport = self.transports.of_audio(audio)?;
        let source_of = |slot: u32| self.egress.get(slot as usize).map(|line| line.ssrc);
        Some(Parting {
            ours: [source_of(audio), transport.video.and_then(source_of)],
            video: transport.video,
            sources: transport.sources.clone(),
        })
    }
}

impl Parting {
    fn is_of_video(&self, part: RtcpPacket<'_>) -> bool {
        let Some((video, [_, Some(ours)])) = self.video.map(|video| (video, self.ours)) else {
            return false;
        };
        if is_feedback(part) {
            return Feedback::read(part).is_ok_and(|feedback| feedback.concerns(ours));
        }
        let mut sources = self.sources.iter();
        sources.any(|(source, slot)| part.ssrc() == Some(*source) && *slot == video)
    }

    /// What is about nobody's stream is refused there, once.
    fn is_of_audio(&self, part: RtcpPacket<'_>) -> bool {
        let [ours, _] = self.ours;
        let is_ours = |feedback: Feedback<'_>| ours.is_some_and(|ours| feedback.concerns(ours));
        !self.is_of_video(part) || Feedback::read(part).is_ok_and(is_ours)
    }
}
