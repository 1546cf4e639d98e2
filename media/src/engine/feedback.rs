//! What a compound packet of one leg says that concerns the other: a sender report goes on as a
//! report about the stream sent there, feedback about our stream to whom that stream comes from. Both
//! in one compound packet of ours, whatever form they came in (RFC 5506 is taken in and never sent).

use packet_io::PacketIo;

use crate::drop_reason::DropReason;
use crate::engine::batching::micros;
use crate::engine::control_packet::{Heard, is_feedback};
use crate::engine::leg::Control;
use crate::engine::line::{Gate, Route};
use crate::engine::worker::Worker;
use crate::limits::{
    ARRIVALS_SETTLE, COMPOUND_BYTES_MAX, FEEDBACK_PARTS_MAX, KEYFRAME_REQUEST_INTERVAL_MIN,
};
use crate::rtcp::{
    Compound, Feedback, FeedbackMapping, RtcpPacket, SenderInformation, write_receiver_report,
    write_sender_report,
};
use crate::rtp::{RtpTimestamp, Ssrc};

impl<Io: PacketIo> Worker<Io> {
    /// Says to the peer of the other leg what was heard by `slot`.
    pub(super) fn pass_on(
        &mut self,
        now_us: u64,
        slot: u32,
        heard: &Heard,
        compound: Compound<'_>,
        is_its: impl Fn(RtcpPacket<'_>) -> bool,
    ) -> Result<(), DropReason> {
        let otherwise = if heard.has_feedback {
            DropReason::FeedbackNoTarget
        } else {
            DropReason::RtcpConsumed
        };
        let Some(target) = self.opposite(slot) else {
            let is_asked = self.ask_own_picture(slot, compound, is_its);
            return is_asked.then_some(()).ok_or(otherwise);
        };
        let report = heard
            .sender_report
            .and_then(|(source, information)| self.report_of_ours(target, source, information));
        if report.is_none() && !heard.has_feedback {
            return Err(otherwise);
        }
        let sender = self
            .egress
            .get(target as usize)
            .map(|line| line.ssrc)
            .ok_or(otherwise)?;
        let mut packet = self
            .control_packet(target, COMPOUND_BYTES_MAX)
            .ok_or(otherwise)?;
        let cname = self
            .leg(target)
            .map(|leg| leg.control.cname)
            .ok_or(otherwise)?;
        let octets = packet.bytes_mut();
        let head = match report {
            Some(report) => write_sender_report(octets, sender, report, None, cname),
            None => write_receiver_report(octets, sender, None, cname),
        };
        let mut size = head.ok_or(otherwise)?;
        let (mut parts, mut refused) = (u64::from(report.is_some()), otherwise);
        let is_said = |part: &RtcpPacket<'_>| is_feedback(*part) && is_its(*part);
        let feedback = compound.packets().filter(is_said);
        for part in feedback.take(FEEDBACK_PARTS_MAX) {
            let room = packet.bytes_mut().get_mut(size..).unwrap_or_default();
            match self.pass_feedback(now_us, slot, target, part, room) {
                Ok(written) => {
                    size += written;
                    parts += 1;
                    self.counters.rtcp.feedback_sent += 1;
                }
                Err(reason) => {
                    refused = reason;
                    self.counters.rtcp.feedback_refused += 1;
                }
            }
        }
        if parts == 0 {
            return Err(refused);
        }
        packet.truncate(size);
        if let Some(report) = report {
            self.note_sender_report(now_us, target, report);
        }
        self.send_control(target, packet);
        Ok(())
    }

    /// The slot that a leg's packets go to, if that is another leg and still the one that was meant.
    pub(super) fn opposite(&self, slot: u32) -> Option<u32> {
        let line = self.ingress.get(slot as usize)?;
        let egress = self.egress.get(line.opposite as usize)?;
        let is_open = egress.generation == line.opposite_generation && egress.gate != Gate::Closed;
        (line.route == Route::Leg && is_open).then_some(line.opposite)
    }

    /// The moment as the peer's clock has it, all else about our stream.
    fn report_of_ours(
        &self,
        target: u32,
        source: Ssrc,
        information: SenderInformation,
    ) -> Option<SenderInformation> {
        let egress = self.egress.get(target as usize)?;
        let rtp = egress
            .continuity
            .translate(source, RtpTimestamp(information.rtp))?;
        Some(self.information(target, information.ntp, rtp))
    }

    /// What was sent to the peer of this leg, at a moment by some clock and by the stream's.
    pub(super) fn information(&self, slot: u32, ntp: u64, rtp: RtpTimestamp) -> SenderInformation {
        let sent = self.sent.get(slot as usize).copied().unwrap_or_default();
        SenderInformation {
            ntp,
            rtp: rtp.0,
            packets: low_half(sent.packets),
            octets: low_half(sent.octets.saturating_sub(sent.packets * RTP_HEADER_SIZE)),
        }
    }

    /// Writes one piece of feedback about the stream that we send by `slot` for the peer of `target`.
    fn pass_feedback(
        &mut self,
        now_us: u64,
        slot: u32,
        target: u32,
        part: RtcpPacket<'_>,
        octets: &mut [u8],
    ) -> Result<usize, DropReason> {
        let feedback = Feedback::read(part)?;
        let line = *self
            .egress
            .get(slot as usize)
            .ok_or(DropReason::FeedbackNoTarget)?;
        if !feedback.concerns(line.ssrc) {
            return Err(DropReason::FeedbackForeign);
        }
        // The leg that the packets go to need not be the one that they come from.
        let feed = line
            .continuity
            .feed()
            .filter(|feed| self.is_heard_by(target, slot, *feed))
            .ok_or(DropReason::FeedbackForeign)?;
        if matches!(feedback, Feedback::Arrivals(..)) {
            self.expect_of_feed(now_us, slot, feed)?;
        }
        // Who asks, and for whose picture: another asker's first number is no repetition.
        let asker = part.ssrc().unwrap_or_default();
        let heard = feedback
            .intra_request_of(line.ssrc)
            .map(|number| (asker, feed, number));
        let is_repeated = heard.is_some()
            && self
                .leg(slot)
                .and_then(|leg| leg.control.intra_request_heard)
                == heard;
        let asked = self.leg(target).map(|leg| &leg.control);
        let is_soon = asked.is_some_and(|control| control.asked_lately(now_us, feed));
        if feedback.asks_for_keyframe() && is_soon {
            self.counters.rtcp.keyframe_requests_limited += 1;
            return Err(DropReason::FeedbackLimited);
        }
        // A repeated request keeps its number, so that it is answered once (RFC 5104 §4.3.1.1).
        let last = asked.map_or(0, |control| control.intra_request_sent);
        let mapping = FeedbackMapping {
            ours: line.ssrc,
            sender: self
                .egress
                .get(target as usize)
                .map_or(Ssrc(0), |line| line.ssrc),
            feed,
            intra_request: last.wrapping_add(u8::from(!is_repeated)),
        };
        let size = feedback.write(octets, mapping, |sent| line.continuity.number_in_feed(sent))?;
        if feedback.asks_for_keyframe() {
            self.counters.rtcp.keyframe_requests_sent += 1;
            if let Some(leg) = self.leg_mut(target) {
                leg.control.keyframe_asked = Some((feed, now_us));
            }
        }
        if matches!(feedback, Feedback::BitRate(_))
            && let Some(leg) = self.leg_mut(target)
        {
            leg.control.rate_said_us = Some(now_us);
        }
        if heard.is_some() {
            if let Some(leg) = self.leg_mut(slot) {
                leg.control.intra_request_heard = heard;
            }
            if let Some(leg) = self.leg_mut(target) {
                leg.control.intra_request_sent = mapping.intra_request;
            }
        }
        Ok(size)
    }

    /// The numbers of transport-wide feedback are those of whoever sent, and tell nothing of that: just after
    /// another source took the stream over they may still be those of the one before.
    fn expect_of_feed(&mut self, now_us: u64, slot: u32, feed: Ssrc) -> Result<(), DropReason> {
        let leg = self.leg_mut(slot).ok_or(DropReason::NotConnected)?;
        let since_us = match leg.control.arrivals_of {
            Some((known, since_us)) if known == feed => since_us,
            Some(_) => now_us + micros(ARRIVALS_SETTLE),
            None => now_us,
        };
        leg.control.arrivals_of = Some((feed, since_us));
        if now_us < since_us {
            return Err(DropReason::FeedbackForeign);
        }
        Ok(())
    }

    /// True if `source` is what comes by `from` for `slot`.
    fn is_heard_by(&self, from: u32, slot: u32, source: Ssrc) -> bool {
        let generation = self.egress.get(slot as usize).map(|line| line.generation);
        self.ingress.get(from as usize).is_some_and(|line| {
            line.route == Route::Leg
                && line.opposite == slot
                && Some(line.opposite_generation) == generation
                && line.ssrc == source
        })
    }
}

impl Control {
    /// This source was asked for a keyframe, and cannot have made it yet.
    fn asked_lately(&self, now_us: u64, feed: Ssrc) -> bool {
        let asked = self.keyframe_asked.filter(|(source, _)| *source == feed);
        asked.is_some_and(|(_, at_us)| {
            now_us.saturating_sub(at_us) < micros(KEYFRAME_REQUEST_INTERVAL_MIN)
        })
    }
}

pub(super) fn low_half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default()
}

/// Octets that are not payload in the packets we count: sender reports count payload only.
const RTP_HEADER_SIZE: u64 = 12;
