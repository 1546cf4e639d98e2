//! Pictures on their way to a browser, kept for a moment as they left: what it missed is sent again
//! (RFC 4585 §6.2.1) and nobody beyond us is asked, who is a call's whole way further. The octets are
//! the same, key stream and all, so that no index is used for anything else.

mod kept;

use arrayvec::ArrayVec;
use packet_io::{PacketBuf, PacketIo};

pub(super) use self::kept::{Repeats, SpareChunks};
use crate::engine::transport::send_copy;
use crate::engine::transport::table::Transports;
use crate::engine::worker::Worker;
use crate::limits::FEEDBACK_PARTS_MAX;
use crate::rtcp::{Compound, Feedback, RtcpPacket};
use crate::rtp::SequenceNumber;

impl Transports {
    /// What may be sent again to a browser, and memory for more of it.
    fn repeats_of(&mut self, audio: u32) -> Option<(&mut Repeats, &mut SpareChunks)> {
        let at = audio.checked_sub(self.first)?;
        let transport = self.places.get_mut(at as usize)?.transport.as_deref_mut()?;
        Some((transport.repeats.as_deref_mut()?, &mut self.spare_chunks))
    }

    /// Pictures that are too old to be sent again take no memory.
    pub(super) fn release_repeats(&mut self, now_us: u64, audio: u32) {
        if let Some((repeats, spare)) = self.repeats_of(audio) {
            repeats.release(now_us, spare);
        }
    }
}

impl<Io: PacketIo> Worker<Io> {
    /// A protected packet leaves for a browser: of pictures it is kept.
    #[inline]
    pub(in crate::engine) fn keep_for_repeat(
        &mut self,
        now_us: u64,
        slot: u32,
        packet: &PacketBuf,
    ) {
        let audio = self.transports.place(slot).and_then(|place| place.audio);
        let Some(audio) = audio.filter(|audio| *audio != slot) else {
            return;
        };
        if let Some((repeats, spare)) = self.transports.repeats_of(audio) {
            repeats.keep(now_us, packet.bytes(), spare);
        }
    }

    /// Sends again what a browser says it missed of its pictures. Gives the parts that say nothing more: all
    /// that they ask for was sent, or is beyond what a browser is sent again.
    pub(super) fn repeat_missed<'a>(
        &mut self,
        now_us: u64,
        audio: u32,
        compound: Compound<'a>,
    ) -> ArrayVec<RtcpPacket<'a>, FEEDBACK_PARTS_MAX> {
        let mut answered = ArrayVec::new();
        let Some(transport) = self.transports.of_audio(audio) else {
            return answered;
        };
        let Some(video) = transport.video else {
            return answered;
        };
        let [_, ours] = transport.plan.ssrcs;
        for part in compound.packets().take(FEEDBACK_PARTS_MAX) {
            let Ok(feedback) = Feedback::read(part) else {
                continue;
            };
            if !matches!(feedback, Feedback::Lost(..)) || !feedback.concerns(ours) {
                continue;
            }
            let mut has_all = true;
            for number in feedback.lost() {
                has_all &= self.repeat(now_us, audio, video, number);
            }
            if has_all {
                answered.push(part);
            }
        }
        answered
    }

    /// False: it is not kept.
    fn repeat(&mut self, now_us: u64, audio: u32, video: u32, number: SequenceNumber) -> bool {
        let to = self.control_destination(video);
        let sends = self.leg(video).is_some_and(|leg| leg.plan.sends);
        let transport = self.transports.of_audio_mut(audio);
        let Some(repeats) = transport.and_then(|it| it.repeats.as_deref_mut()) else {
            return false;
        };
        if repeats.kept(now_us, number).is_none() {
            repeats.miss(now_us, number);
            self.counters.transport.repeats_missing += 1;
            return false;
        }
        if !repeats.admit(now_us) || !sends {
            self.counters.transport.repeats_limited += 1;
            return true;
        }
        let Some((to, octets)) = to.zip(repeats.kept(now_us, number)) else {
            return true;
        };
        let missing = &mut self.counters.buffers_missing;
        if send_copy(&mut self.io, missing, octets, to) {
            self.counters.transport.repeats_sent += 1;
        }
        true
    }
}
