//! The test picture that a leg of video with a tone is shown: pictures of our own beat, not packets that
//! came. As a tone does, it goes to a proven source only.

use packet_io::{PacketBuf, PacketIo};

use crate::command::{MediaKind, Target};
use crate::drop_reason::DropReason;
use crate::engine::batching::micros;
use crate::engine::control_packet::is_feedback;
use crate::engine::feedback::low_half;
use crate::engine::line::Gate;
use crate::engine::worker::Worker;
use crate::ingress::PeerAddress;
use crate::relay::Arrived;
use crate::rtcp::{Compound, Feedback, RtcpPacket};
use crate::rtp::{ClockRate, PayloadType, RtpTimestamp, RtpViewMut, SequenceNumber};
use crate::test_picture::{
    CLOCK_HZ, Frame, PICTURE_INTERVAL, PICTURE_TICKS, TestPicture, UNIT_BYTES_MAX, Unit,
};

/// Where the stream to one peer stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnPicture {
    picture: TestPicture,
    began_us: u64,
    /// The picture that is to be shown next.
    number: u32,
    sequence: SequenceNumber,
    /// Its peer has reported since it has this plan: who only listens proves by that where it is.
    is_heard: bool,
}

/// A packet of a picture as it is to leave.
struct Part {
    unit: Unit,
    number: u32,
    sequence: SequenceNumber,
    ends_picture: bool,
}

const RTP_HEADER_SIZE: usize = 12;
const RTP_VERSION: u8 = 0x80;

impl OwnPicture {
    /// What its stream counts.
    pub(super) const CLOCK: ClockRate = ClockRate::from_hz(CLOCK_HZ);

    const fn new(now_us: u64) -> Self {
        Self {
            picture: TestPicture::NEW,
            began_us: now_us,
            number: 0,
            sequence: SequenceNumber(0),
            is_heard: false,
        }
    }

    fn due_us(&self) -> u64 {
        self.began_us + u64::from(self.number) * micros(PICTURE_INTERVAL)
    }
}

impl<Io: PacketIo> Worker<Io> {
    /// A leg has a new plan: whoever is there now has seen no picture.
    pub(super) fn follow_picture(&mut self, now_us: u64, slot: u32) {
        let Some(leg) = self.leg_mut(slot) else {
            return;
        };
        let shows = leg.target == Target::Tone && leg.plan.kind == MediaKind::Video;
        let before = leg.picture.take().filter(|_| shows);
        leg.picture = shows.then(|| {
            let mut own = before.unwrap_or_else(|| Box::new(OwnPicture::new(now_us)));
            own.picture.begin_anew();
            own.is_heard = false;
            own
        });
    }

    /// When the next picture is due; `None`: the peer wants none.
    pub(super) fn picture_due(&self, slot: u32) -> Option<u64> {
        let leg = self.leg(slot)?;
        let own = leg.picture.as_ref().filter(|_| leg.plan.sends)?;
        Some(own.due_us())
    }

    /// Shows the picture of this moment. One that could not leave, whole or in part, was not shown, and the
    /// next one needs no other.
    pub(super) fn show_picture(&mut self, now_us: u64, slot: u32) {
        let Some(own) = self
            .leg(slot)
            .and_then(|leg| leg.picture.as_deref().copied())
        else {
            return;
        };
        let passed_us = now_us.saturating_sub(own.began_us);
        let number = low_half(passed_us / micros(PICTURE_INTERVAL));
        debug_assert!(number >= own.number, "no picture is shown twice");
        let frame = own.picture.frame(number);
        let mut sequence = own.sequence;
        let mut is_shown = self.is_open(slot, own.is_heard);
        for (place, unit) in (1..).zip(frame.units()) {
            if !is_shown {
                break;
            }
            let Some(packet) = self.io.allocate() else {
                self.counters.buffers_missing += 1;
                is_shown = false;
                break;
            };
            let part = Part {
                unit: *unit,
                number,
                sequence,
                ends_picture: place == frame.units().len(),
            };
            is_shown = self.send_part(now_us, slot, (&frame, &part), packet);
            sequence = sequence.wrapping_add(1);
        }
        let leg = self.leg_mut(slot);
        let Some(own) = leg.and_then(|leg| leg.picture.as_mut()) else {
            return;
        };
        own.number = number.saturating_add(1);
        own.sequence = sequence;
        if is_shown {
            own.picture.show(&frame);
        } else {
            own.picture.begin_anew();
        }
        debug_assert!(own.due_us() > now_us, "a picture is of one moment");
    }

    /// Its peer is proven, and may be sent to.
    fn is_open(&self, slot: u32, is_heard: bool) -> bool {
        let line = self.ingress.get(slot as usize);
        let is_proven = is_heard || line.is_some_and(|line| line.is_locked);
        let egress = self.egress.get(slot as usize);
        is_proven && egress.is_some_and(|line| matches!(line.gate, Gate::Address | Gate::Connected))
    }

    /// Sends one unit by this packet. False: it could not leave, and that was counted.
    fn send_part(
        &mut self,
        now_us: u64,
        slot: u32,
        (frame, part): (&Frame, &Part),
        mut packet: PacketBuf,
    ) -> bool {
        let sent = packet
            .set_len(RTP_HEADER_SIZE + UNIT_BYTES_MAX)
            .map_err(|_no_room| DropReason::RtpTruncated)
            .and_then(|()| {
                let size = write_part(frame, part, packet.bytes_mut());
                packet.truncate(size.ok_or(DropReason::RtpTruncated)?);
                self.place_part(now_us, slot, part, packet.bytes_mut())
            })
            .and_then(|to| self.send_placed(now_us, packet, slot, to));
        if let Err(reason) = sent {
            self.counters.drops.count(reason);
        }
        sent.is_ok()
    }

    /// Writes the header. Where the packet goes; `None`: the socket is connected there.
    fn place_part(
        &mut self,
        now_us: u64,
        slot: u32,
        part: &Part,
        octets: &mut [u8],
    ) -> Result<Option<PeerAddress>, DropReason> {
        let leg = self.leg(slot).ok_or(DropReason::NotConnected)?;
        let mapping = leg.plan.payloads.first().ok_or(DropReason::NoTarget)?;
        let payload_type = PayloadType::from_bits(mapping.sent);
        let line = self
            .egress
            .get_mut(slot as usize)
            .ok_or(DropReason::OppositeGone)?;
        let placed = line.continuity.place(Arrived {
            ssrc: line.ssrc,
            sequence: part.sequence,
            timestamp: RtpTimestamp(part.number.wrapping_mul(PICTURE_TICKS)),
            clock: OwnPicture::CLOCK,
            is_event: false,
            kind: MediaKind::Video,
            is_restart: false,
            at_ms: low_half(now_us / 1_000),
        })?;
        RtpViewMut::parse(octets)?.set(
            part.ends_picture,
            payload_type,
            placed.sequence,
            placed.timestamp,
            line.ssrc,
        );
        Ok((line.gate != Gate::Connected).then_some(line.destination))
    }

    /// Takes what a peer reports and asks of the pictures that we show it. False: nothing, or it sees none of ours.
    pub(super) fn ask_own_picture(
        &mut self,
        slot: u32,
        compound: Compound<'_>,
        is_its: impl Fn(RtcpPacket<'_>) -> bool,
    ) -> bool {
        let Some(ours) = self.egress.get(slot as usize).map(|line| line.ssrc) else {
            return false;
        };
        let Some(leg) = self.leg_mut(slot) else {
            return false;
        };
        let Some(own) = leg.picture.as_mut() else {
            return false;
        };
        own.is_heard = true;
        let mut is_asked = false;
        for part in compound
            .packets()
            .filter(|part| is_feedback(*part) && is_its(*part))
        {
            let Ok(feedback) = Feedback::read(part) else {
                continue;
            };
            if !feedback.asks_for_keyframe() || !feedback.concerns(ours) {
                continue;
            }
            is_asked = true;
            // A FIR that is said again was answered (RFC 5104 §4.3.1.1).
            let asker = part.ssrc().unwrap_or_default();
            let number = feedback.intra_request_of(ours);
            let heard = number.map(|number| (asker, ours, number));
            if heard.is_some() && leg.control.intra_request_heard == heard {
                continue;
            }
            leg.control.intra_request_heard = heard.or(leg.control.intra_request_heard);
            own.picture.begin_anew();
        }
        is_asked
    }
}

/// Writes a packet but for what its stream says. Its size; `None`: the unit is too long.
fn write_part(frame: &Frame, part: &Part, octets: &mut [u8]) -> Option<usize> {
    let (first, payload) = octets.split_at_mut_checked(RTP_HEADER_SIZE)?;
    *first.first_mut()? = RTP_VERSION;
    let size = frame.write(part.unit, payload)?;
    Some(RTP_HEADER_SIZE + size)
}
