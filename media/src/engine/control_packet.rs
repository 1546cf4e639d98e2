//! RTCP of a leg. One way in, [`Worker::receive_rtcp`]: reports of its peer are taken in, and what
//! concerns the other leg is passed on by `feedback`. One way out, [`Worker::send_control`]: what we
//! pass on, receiver reports of our own, and our BYE.
//!
//! A BYE of the peer is counted and goes nowhere: the call stands until SIP ends it, and the stream
//! may go on under another source (RFC 3550 §8.2, a re-INVITE). Our own BYE is sent when a leg ends, at
//! once, as RFC 3550 §6.3.7 allows below 50 members and forbids to who never sent anything; endpoints
//! that hear it drop the stream without waiting for a timeout, all others ignore it.

use std::net::SocketAddr;

use packet_io::{PacketBuf, PacketIo, SocketKey};

use crate::drop_reason::DropReason;
use crate::engine::batching::micros;
use crate::engine::leg::{Control, HeardReport, Leg};
use crate::engine::packet::expect_rtp;
use crate::engine::socket_owners::PortKind;
use crate::engine::worker::Worker;
use crate::ingress::{PeerAddress, Protocol, classify};
use crate::limits::rtcp_rate;
use crate::rtcp::{
    BIT_RATE_SIZE, Compound, Kind, ReportBlock, RtcpPacket, SenderInformation, WRITTEN_SIZE_MAX,
    interval, write_bit_rate, write_goodbye, write_receiver_report, write_sender_report,
};
use crate::rtp::Ssrc;
use rand_core::RngCore;

/// What a compound packet said that concerns another leg.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) sender_report: Option<(Ssrc, SenderInformation)>,
    pub(super) has_feedback: bool,
}

impl<Io: PacketIo> Worker<Io> {
    pub(super) fn receive_rtcp(
        &mut self,
        now_us: u64,
        slot: u32,
        kind: PortKind,
        source: Option<SocketAddr>,
        packet: &mut PacketBuf,
    ) -> Result<(), DropReason> {
        expect_rtp(packet.bytes())?;
        if classify(packet.bytes()) != Protocol::Rtcp {
            return Err(DropReason::RtpOnRtcpPort);
        }
        // Of a leg with keys, all that can be said of the source before any cryptography.
        self.expect_foreign(source)?;
        match kind {
            PortKind::Rtp | PortKind::Browsers => self.admit_multiplexed(slot, source)?,
            PortKind::Rtcp => self.expect_control(now_us, slot, source)?,
        }
        let unprotected = self.unprotect_rtcp(now_us, slot, packet)?;
        let compound = Compound::parse(packet.bytes())?;
        if kind == PortKind::Rtcp {
            self.admit_control(slot, source);
        }
        self.accept_index(slot, unprotected);
        let ssrc = self
            .egress
            .get(slot as usize)
            .map_or(Ssrc(0), |line| line.ssrc);
        if compound.packets().any(|part| part.ssrc() == Some(ssrc)) {
            return Err(DropReason::OwnStream);
        }
        let leg = self
            .pairs
            .get_mut(slot as usize)
            .and_then(|pair| {
                pair.was_heard = true;
                pair.leg.as_mut()
            })
            .ok_or(DropReason::NotConnected)?;
        let (rate, burst) = rtcp_rate(leg.plan.kind);
        if !leg.control.guard.admit(now_us, rate, burst) {
            return Err(DropReason::RateExceeded);
        }
        self.count_compound(compound);
        self.take_compound(now_us, slot, compound, |_| true)
    }

    /// Takes in what a believed compound packet says to a leg: all blocks about our stream there, and of
    /// the parts those that are `its`.
    pub(super) fn take_compound(
        &mut self,
        now_us: u64,
        slot: u32,
        compound: Compound<'_>,
        is_its: impl Fn(RtcpPacket<'_>) -> bool,
    ) -> Result<(), DropReason> {
        let ours = self
            .egress
            .get(slot as usize)
            .map_or(Ssrc(0), |line| line.ssrc);
        let leg = self.leg_mut(slot).ok_or(DropReason::NotConnected)?;
        let mut heard = Heard::default();
        for part in compound.packets() {
            leg.control.take_blocks(now_us, part, ours);
            if is_its(part) {
                leg.control.take_report(now_us, part);
                heard.note(part);
            }
        }
        if !compound.packets().any(&is_its) {
            return Err(DropReason::RtcpConsumed);
        }
        leg.control.received += 1;
        self.pass_on(now_us, slot, &heard, compound, is_its)
    }

    /// Counts a compound packet and its parts.
    pub(super) fn count_compound(&mut self, compound: Compound<'_>) {
        self.counters.rtcp.compounds_received += 1;
        for part in compound.packets() {
            self.count_part(part);
        }
    }

    /// RTCP on the RTP port (RFC 5761): from the locked source, or from where RTP is sent to if none
    /// is locked, because who only listens sends nothing else.
    fn admit_multiplexed(&self, slot: u32, source: Option<SocketAddr>) -> Result<(), DropReason> {
        let line = self
            .ingress
            .get(slot as usize)
            .ok_or(DropReason::SocketUnknown)?;
        let destination = self.leg(slot).and_then(|leg| leg.latch.destination());
        let is_peer = match source.map(PeerAddress::from) {
            None => line.is_locked,
            Some(source) if line.is_locked => source == line.source,
            Some(source) => destination.is_some_and(|peer| peer.is_same_place(&source)),
        };
        if is_peer {
            Ok(())
        } else {
            Err(DropReason::SourceNotLatched)
        }
    }

    /// RTCP on its own port: from the host that RTP comes from; the first address stays.
    fn expect_control(
        &self,
        now_us: u64,
        slot: u32,
        source: Option<SocketAddr>,
    ) -> Result<(), DropReason> {
        let source = PeerAddress::from(source.ok_or(DropReason::SourceNotLatched)?);
        let leg = self.leg(slot).ok_or(DropReason::NotConnected)?;
        let is_announced = leg
            .plan
            .remote_rtcp
            .is_some_and(|rtcp| PeerAddress::from(rtcp).is_same_place(&source));
        if leg.control.source == Some(source) && leg.is_host_of_peer(&source) {
            return Ok(());
        }
        // Who was heard here before the lock went elsewhere holds the place no longer.
        let is_taken = leg
            .control
            .source
            .is_some_and(|holder| leg.is_host_of_peer(&holder));
        if !leg.latch.admits_host(now_us, &source) || (is_taken && !is_announced) {
            return Err(DropReason::SourceNotLatched);
        }
        Ok(())
    }

    /// What came from there is valid: it holds the place.
    fn admit_control(&mut self, slot: u32, source: Option<SocketAddr>) {
        if let Some(source) = source.map(PeerAddress::from)
            && let Some(leg) = self.leg_mut(slot)
            && leg.is_host_of_peer(&source)
        {
            leg.control.source = Some(source);
        }
    }

    const fn count_part(&mut self, part: RtcpPacket<'_>) {
        let counters = &mut self.counters.rtcp;
        let counter = match part.kind() {
            Kind::SenderReport => &mut counters.sender_reports_received,
            Kind::ReceiverReport => &mut counters.receiver_reports_received,
            Kind::SourceDescription => &mut counters.source_descriptions_received,
            Kind::Bye => &mut counters.byes_received,
            Kind::TransportFeedback | Kind::PayloadFeedback => &mut counters.feedback_received,
            Kind::Application | Kind::ExtendedReport | Kind::Unknown(_) => {
                &mut counters.others_received
            }
        };
        *counter += 1;
    }

    /// Tells the peer of a leg how it is received, and sets the next time.
    pub(super) fn report_reception(&mut self, now_us: u64, slot: u32) {
        let next = micros(interval(self.random.next_u32(), false));
        let Some(leg) = self.leg_mut(slot) else {
            return;
        };
        leg.control.due_us = now_us + next;
        let (cname, heard) = (leg.control.cname, leg.control.heard);
        let Some(line) = self.ingress.get(slot as usize) else {
            return;
        };
        let Some(received) = self.reception.get_mut(slot as usize) else {
            return;
        };
        let Some(egress) = self.egress.get(slot as usize) else {
            return;
        };
        let is_started = received.reception.is_started();
        if !is_started && !egress.continuity.is_started() {
            return;
        }
        // Who was not heard since the last report is not reported on (RFC 3550 §6.4).
        let is_heard = is_started && received.reception.has_news();
        let block = is_heard.then(|| {
            let heard = heard.filter(|heard| heard.ssrc == line.ssrc);
            ReportBlock {
                ssrc: line.ssrc,
                fraction_lost: received.reception.take_fraction_lost(),
                cumulative_lost: received.reception.cumulative_lost(),
                highest_sequence: received.reception.highest().0,
                jitter_ticks: received.reception.jitter_ticks(),
                last_sender_report: heard.map_or(0, |heard| heard.ntp_middle),
                delay_since_last: heard.map_or(0, |heard| ntp_units(now_us - heard.at_us)),
            }
        });
        let ssrc = egress.ssrc;
        let own = self.own_sender_information(now_us, slot);
        let rate = self.bit_rate_of(now_us, slot).filter(|_| is_heard);
        let Some(mut packet) = self.control_packet(slot, WRITTEN_SIZE_MAX + BIT_RATE_SIZE) else {
            return;
        };
        let octets = packet.bytes_mut();
        let size = match own {
            Some(own) => write_sender_report(octets, ssrc, own, block, cname),
            None => write_receiver_report(octets, ssrc, block, cname),
        };
        let Some(mut size) = size else { return };
        if let Some((source, rate)) = rate
            && let Some(written) = octets
                .get_mut(size..)
                .and_then(|rest| write_bit_rate(rest, ssrc, source, rate))
        {
            size += written;
            self.counters.transport.bit_rates_sent += 1;
        }
        packet.truncate(size);
        match own {
            Some(own) => self.note_sender_report(now_us, slot, own),
            None => self.counters.rtcp.receiver_reports_sent += 1,
        }
        self.send_control(slot, packet);
    }

    /// Tells the peer of a leg that its stream is over. A stream that never began does not end.
    pub(super) fn say_goodbye(&mut self, slot: u32) {
        let is_known = self
            .sent
            .get(slot as usize)
            .is_some_and(|sent| sent.packets > 0);
        let Some((ssrc, cname)) = self
            .egress
            .get(slot as usize)
            .map(|line| line.ssrc)
            .zip(self.leg(slot).map(|leg| leg.control.cname))
            .filter(|_| is_known)
        else {
            return;
        };
        let Some(mut packet) = self.control_packet(slot, WRITTEN_SIZE_MAX + 8) else {
            return;
        };
        let octets = packet.bytes_mut();
        let size = write_receiver_report(octets, ssrc, None, cname).and_then(|size| {
            let rest = octets.get_mut(size..)?;
            write_goodbye(rest, ssrc).map(|written| size + written)
        });
        if let Some(size) = size {
            packet.truncate(size);
            self.counters.rtcp.byes_sent += 1;
            self.send_control(slot, packet);
        }
    }

    /// A buffer for a packet to the peer of a leg; `None`: nobody knows where to send it, it could not be
    /// protected, or there is none.
    pub(super) fn control_packet(&mut self, slot: u32, size: usize) -> Option<PacketBuf> {
        self.control_destination(slot)?;
        if let Err(reason) = self.expect_protectable(slot) {
            self.counters.drops.count(reason);
            return None;
        }
        let Some(mut packet) = self.io.allocate() else {
            self.counters.buffers_missing += 1;
            return None;
        };
        packet.set_len(size).ok().map(|()| packet)
    }

    /// The way out of every control packet.
    pub(super) fn send_control(&mut self, slot: u32, mut packet: PacketBuf) {
        debug_assert!(
            Compound::parse(packet.bytes()).is_ok_and(|compound| {
                let first = compound.packets().next().map(|part| part.kind());
                matches!(first, Some(Kind::SenderReport | Kind::ReceiverReport))
            }),
            "what we send begins with a report"
        );
        if let Err(reason) = self.protect_rtcp(slot, &mut packet) {
            return self.counters.drops.count(reason);
        }
        if let Some((socket, to)) = self.control_destination(slot) {
            self.io.send(packet, socket, to);
        }
    }

    /// By which socket and where RTCP of a leg goes. Only ever to the host that its RTP goes to.
    pub(super) fn control_destination(&self, slot: u32) -> Option<(SocketKey, Option<SocketAddr>)> {
        let pair = self.pairs.get(slot as usize)?;
        let leg: &Leg = pair.leg.as_ref()?;
        let rtp = leg.latch.destination()?;
        if self.transports.is_bundled(slot) {
            return Some((self.transports.socket()?, Some(rtp.socket_address())));
        }
        let open = pair.open?;
        if leg.plan.remote_rtcp.is_some() && leg.plan.remote_rtcp == leg.plan.remote_rtp {
            let to = (!leg.is_socket_connected).then(|| rtp.socket_address());
            return Some((open.rtp, to));
        }
        let announced = leg.plan.remote_rtcp.map(PeerAddress::from);
        let is_there = |rtcp: &PeerAddress| rtcp.is_same_host(&rtp);
        let heard = leg.control.source.filter(is_there);
        let rtcp = heard.or_else(|| announced.filter(is_there))?;
        Some((open.rtcp?, Some(rtcp.socket_address())))
    }
}

impl Leg {
    fn is_host_of_peer(&self, source: &PeerAddress) -> bool {
        let destination = self.latch.destination();
        destination.is_some_and(|destination| destination.is_same_host(source))
    }
}

impl Heard {
    fn note(&mut self, part: RtcpPacket<'_>) {
        if part.kind() == Kind::SenderReport {
            self.sender_report = part.ssrc().zip(part.sender_information());
        }
        self.has_feedback |= is_feedback(part);
    }
}

/// True for what a receiver asks of us beyond its reports.
pub(super) const fn is_feedback(part: RtcpPacket<'_>) -> bool {
    matches!(part.kind(), Kind::TransportFeedback | Kind::PayloadFeedback)
}

impl Control {
    /// Keeps what a report says of the peer's stream.
    fn take_report(&mut self, now_us: u64, part: RtcpPacket<'_>) {
        if let Some((ssrc, information)) = part.ssrc().zip(part.sender_information()) {
            let ntp_middle = information.ntp_middle();
            self.has_reported = true;
            self.heard = Some(HeardReport {
                ssrc,
                ntp_middle,
                at_us: now_us,
            });
        }
    }

    /// Keeps what a report says of ours.
    fn take_blocks(&mut self, now_us: u64, part: RtcpPacket<'_>, ours: Ssrc) {
        for block in part.report_blocks().filter(|block| block.ssrc == ours) {
            self.reported = Some(block);
            let sent = self.sent.into_iter().flatten();
            if let Some((_, sent_us)) = sent.into_iter().find(|(middle, _)| {
                block.last_sender_report != 0 && *middle == block.last_sender_report
            }) {
                let away_us = now_us.saturating_sub(sent_us);
                let held_us = (u64::from(block.delay_since_last) * 1_000_000) >> 16;
                let round_trip_us = away_us.saturating_sub(held_us);
                self.round_trip_us = Some(u32::try_from(round_trip_us).unwrap_or(u32::MAX));
            }
        }
    }
}

/// Microseconds in 65536ths of a second (RFC 3550 §6.4.1, DLSR).
fn ntp_units(microseconds: u64) -> u32 {
    u32::try_from((microseconds << 16) / 1_000_000).unwrap_or(u32::MAX)
}
