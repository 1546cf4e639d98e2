//! The path of an RTP packet: socket, source, order, target, rewrite, send. Nothing on it
//! allocates, hashes, copies the packet or looks at configuration; what a packet needs stands in
//! the hot lines, and what it changes rarely (a lock, a payload type) is done beside.

use std::net::SocketAddr;

use packet_io::{PacketBuf, PacketIo, Received};

use crate::command::MediaKind;
use crate::drop_reason::DropReason;
use crate::engine::leg::Leg;
use crate::engine::line::{EgressLine, Gate, IngressLine, Route, State};
use crate::engine::report_queue::Waiting;
use crate::engine::socket_owners::PortKind;
use crate::engine::worker::Worker;
use crate::ingress::{PeerAddress, Protocol, Verdict, classify};
use crate::limits::{AUDIO_MISORDER_MAX, VIDEO_MISORDER_MAX, rtp_rate};
use crate::relay::{Arrived, rewrite};
use crate::rtp::{Arrival, ClockRate, PayloadType, RtpViewMut, Ssrc};
use crate::srtp::Unprotected;
use crate::tone::ToneTable;

impl<Io: PacketIo> Worker<Io> {
    /// Takes one datagram wherever it belongs.
    pub(super) fn handle_received(&mut self, now_us: u64, received: Received) {
        let Received {
            socket,
            source,
            mut packet,
        } = received;
        let Some((slot, kind)) = self.sockets.owner(socket) else {
            self.counters.drops.count(DropReason::SocketUnknown);
            return;
        };
        if kind == PortKind::Browsers {
            return self.receive_bundled(now_us, source, packet);
        }
        self.in_hand = Some(slot);
        let is_rtcp = match kind {
            PortKind::Rtp => classify(packet.bytes()) == Protocol::Rtcp,
            PortKind::Rtcp | PortKind::Browsers => true,
        };
        let taken = match self.ingress.get(slot as usize).map(|line| line.state) {
            None | Some(State::Free) => Err(DropReason::SocketUnknown),
            Some(State::Stocked) => Err(DropReason::NotConnected),
            Some(State::Ended | State::Draining) => Err(DropReason::LegEnded),
            Some(State::Connected) if is_rtcp => {
                self.receive_rtcp(now_us, slot, kind, source, &mut packet)
            }
            Some(State::Connected) => self.receive_rtp(now_us, slot, source, packet),
        };
        if let Err(reason) = taken {
            self.discard(slot, source, is_rtcp, reason);
        }
    }

    /// A leg's own count is of what its peer sent: what strangers send is no quality of the call.
    pub(super) fn discard(
        &mut self,
        slot: u32,
        source: Option<SocketAddr>,
        is_rtcp: bool,
        reason: DropReason,
    ) {
        self.counters.drops.count(reason);
        if let Some(pair) = self.pairs.get_mut(slot as usize) {
            pair.was_heard = true;
            let is_connected = self
                .ingress
                .get(slot as usize)
                .is_some_and(|line| line.state == State::Connected);
            let is_of_peer = |leg: &Leg| {
                source.is_none_or(|source| leg.latch.destination() == Some(source.into()))
            };
            let leg = pair.leg.as_mut().filter(|leg| is_of_peer(leg));
            if let Some(leg) = leg.filter(|_| is_connected && !is_rtcp) {
                leg.discarded += 1;
            }
        }
    }

    pub(super) fn receive_rtp(
        &mut self,
        now_us: u64,
        slot: u32,
        source: Option<SocketAddr>,
        mut packet: PacketBuf,
    ) -> Result<(), DropReason> {
        expect_rtp(packet.bytes())?;
        self.expect_possible(now_us, slot, source)?;
        let unprotected = self.unprotect_rtp(now_us, slot, &mut packet)?;
        self.take_rtp(now_us, slot, source, packet, unprotected)
    }

    /// What came as RTP, with nothing that protects it any more.
    #[inline]
    pub(super) fn take_rtp(
        &mut self,
        now_us: u64,
        slot: u32,
        source: Option<SocketAddr>,
        mut packet: PacketBuf,
        unprotected: Option<Unprotected>,
    ) -> Result<(), DropReason> {
        let octets = packet.len() as u64;
        let mut view = RtpViewMut::parse(packet.bytes_mut())?;
        let (ssrc, payload_type) = (view.ssrc(), view.payload_type());
        let line = self
            .ingress
            .get_mut(slot as usize)
            .ok_or(DropReason::SocketUnknown)?;
        let is_peer =
            line.is_locked && source.is_none_or(|source| PeerAddress::from(source) == line.source);
        if !is_peer || payload_type.value() != line.payload_received {
            let source = (source.filter(|_| !is_peer), is_peer);
            self.look_at(now_us, slot, source, (ssrc, payload_type), unprotected)?;
        }
        self.accept_index(slot, unprotected);
        let line = self
            .ingress
            .get_mut(slot as usize)
            .ok_or(DropReason::SocketUnknown)?;
        if line.ssrc != ssrc {
            expect_new_source(self.egress.get(slot as usize), ssrc, line.route)?;
        }
        let (rate, burst) = rtp_rate(line.kind);
        if !line.guard.admit(now_us, rate, burst) {
            return Err(DropReason::RateExceeded);
        }
        line.heard_us = now_us;
        let line = *line;
        if line.ssrc != ssrc {
            self.change_source(slot, ssrc, line.clock);
        }
        let is_restart = self.account(now_us, slot, &view, &line, octets)?;
        if let Err(reason) = line.may_pass() {
            self.interrupt(line.opposite, line.opposite_generation);
            return Err(reason);
        }
        let arrived = Arrived {
            ssrc,
            sequence: view.sequence(),
            timestamp: view.timestamp(),
            clock: line.clock,
            is_event: line.is_event,
            kind: line.kind,
            is_restart,
            at_ms: low_half(now_us / 1_000),
        };
        let to = self.place(slot, &line, arrived, &mut view)?;
        self.send_placed(now_us, packet, line.opposite, to)
    }

    /// What has its place in the stream of a leg leaves, protected if the leg has keys.
    #[inline]
    pub(super) fn send_placed(
        &mut self,
        now_us: u64,
        mut packet: PacketBuf,
        target: u32,
        to: Option<PeerAddress>,
    ) -> Result<(), DropReason> {
        let octets = packet.len() as u64;
        self.protect_rtp(target, &mut packet)?;
        if self.transports.is_bundled(target) {
            self.keep_for_repeat(now_us, target, &packet);
        }
        self.send_rtp(packet, target, to, octets);
        Ok(())
    }

    /// A packet for that leg has no place in its stream: what follows is no loss of the sender's.
    pub(super) fn interrupt(&mut self, target: u32, generation: u32) {
        if let Some(line) = self.egress.get_mut(target as usize)
            && line.generation == generation
        {
            line.continuity.interrupt();
        }
    }

    /// Order, loss and jitter. True: the source began its numbers anew.
    fn account(
        &mut self,
        now_us: u64,
        slot: u32,
        view: &RtpViewMut<'_>,
        line: &IngressLine,
        octets: u64,
    ) -> Result<bool, DropReason> {
        let received = self
            .reception
            .get_mut(slot as usize)
            .ok_or(DropReason::SocketUnknown)?;
        let misorder_max = match line.kind {
            MediaKind::Audio => AUDIO_MISORDER_MAX,
            MediaKind::Video => VIDEO_MISORDER_MAX,
        };
        let arrival = received.reception.accept(view.sequence(), misorder_max);
        if arrival == Arrival::Jump {
            return Err(DropReason::SequenceJump);
        }
        if !line.is_event {
            received
                .reception
                .time(view.timestamp(), line.clock.ticks(now_us));
        }
        debug_assert!(
            received.reception.is_started(),
            "what is counted was accepted"
        );
        debug_assert!(octets > 0, "a packet has octets");
        received.packets += 1;
        received.octets += octets;
        Ok(arrival == Arrival::Restarted)
    }

    /// Rewrites a packet that came by `from` into the sent stream of its target. Gives the address
    /// to send it to; `None`: the socket is connected there.
    fn place(
        &mut self,
        slot: u32,
        from: &IngressLine,
        arrived: Arrived,
        view: &mut RtpViewMut<'_>,
    ) -> Result<Option<PeerAddress>, DropReason> {
        let payload_type = PayloadType::from_bits(from.payload_sent);
        let line = self
            .egress
            .get_mut(from.opposite as usize)
            .ok_or(DropReason::OppositeGone)?;
        if line.generation != from.opposite_generation {
            return Err(DropReason::OppositeGone);
        }
        let to = match line.gate {
            Gate::Closed => return Err(DropReason::OppositeGone),
            Gate::Held => {
                line.continuity.interrupt();
                return Err(DropReason::OppositeNotSending);
            }
            Gate::Unknown => return Err(DropReason::DestinationUnknown),
            Gate::Address => Some(line.destination),
            Gate::Connected => None,
        };
        if from.route == Route::Ringback && !ToneTable::plays(payload_type) {
            return Err(DropReason::NoTarget);
        }
        debug_assert!(
            from.route != Route::Nowhere,
            "what goes nowhere has no place"
        );
        debug_assert!(
            from.route == Route::Leg || from.opposite == slot,
            "a tone goes back to who hears it"
        );
        let mut placed = line.continuity.place(arrived)?;
        if from.is_event && from.route == Route::Leg {
            let leg = self.pairs.get_mut(slot as usize);
            let leg = leg.and_then(|pair| pair.leg.as_mut());
            let later = leg.map_or(0, |leg| leg.count_event(from, arrived.timestamp, view));
            placed.timestamp = placed.timestamp.wrapping_add(later);
        }
        rewrite(view, placed, line.ssrc, payload_type);
        if matches!(from.route, Route::Tone | Route::Ringback)
            && let Some(leg) = self
                .pairs
                .get_mut(slot as usize)
                .and_then(|pair| pair.leg.as_mut())
        {
            let payload = view.payload_mut();
            if from.route == Route::Ringback {
                self.tone
                    .play_ringback(payload_type, &mut leg.tone, payload);
            } else {
                self.tone.play(payload_type, &mut leg.tone, payload);
            }
        }
        Ok(to)
    }

    fn send_rtp(&mut self, packet: PacketBuf, target: u32, to: Option<PeerAddress>, octets: u64) {
        if let Some(sent) = self.sent.get_mut(target as usize) {
            sent.packets += 1;
            sent.octets += octets;
        }
        self.counters.packets_sent += 1;
        self.counters.octets_sent += octets;
        if let Some(line) = self.egress.get(target as usize) {
            self.io
                .send(packet, line.socket, to.map(|to| to.socket_address()));
        }
    }

    /// A packet that is not plainly the next one: on a leg with keys it has to prove its source.
    fn look_at(
        &mut self,
        now_us: u64,
        slot: u32,
        (source, is_peer): (Option<SocketAddr>, bool),
        (ssrc, payload_type): (Ssrc, PayloadType),
        unprotected: Option<Unprotected>,
    ) -> Result<(), DropReason> {
        let Some(unprotected) = unprotected else {
            return self.admit(now_us, slot, (source, is_peer), (ssrc, None), payload_type);
        };
        if !is_peer {
            self.expect_proof(now_us, slot, source, &unprotected)?;
        }
        let number = (ssrc, Some(unprotected.index()));
        let before = self.leg(slot).and_then(|leg| leg.latch.offered());
        let admitted = self.admit(now_us, slot, (source, is_peer), number, payload_type);
        if admitted == Err(DropReason::LatchPending) {
            self.claim_index(slot, &unprotected, before);
        }
        admitted?;
        if is_peer {
            self.confirm_holder(now_us, slot, &unprotected);
        }
        Ok(())
    }

    /// Asks the plan for its payload type and the latch
    /// for its source, and remembers both.
    fn admit(
        &mut self,
        now_us: u64,
        slot: u32,
        (source, is_peer): (Option<SocketAddr>, bool),
        (ssrc, index): (Ssrc, Option<u64>),
        payload_type: PayloadType,
    ) -> Result<(), DropReason> {
        if let Some(source) = source {
            self.expect_other_stream(slot, source, ssrc)?;
        }
        let line = self
            .ingress
            .get_mut(slot as usize)
            .ok_or(DropReason::SocketUnknown)?;
        let leg: &mut Leg = self
            .pairs
            .get_mut(slot as usize)
            .and_then(|pair| pair.leg.as_mut())
            .ok_or(DropReason::NotConnected)?;
        let verdict = if is_peer {
            Ok(Verdict::Admit)
        } else {
            // No source: it came while the socket was connected, and the latch is open again.
            source
                .map(PeerAddress::from)
                .ok_or(DropReason::SourceNotLatched)
                .and_then(|source| {
                    if !leg
                        .plan
                        .payloads
                        .iter()
                        .any(|map| map.received == payload_type.value())
                    {
                        return Err(DropReason::PayloadNotNegotiated);
                    }
                    let heard_us = Some(line.heard_us).filter(|heard_us| *heard_us > 0);
                    Ok(leg.latch.offer(now_us, source, (ssrc, index), heard_us))
                })
        }?;
        if let Verdict::Refuse(reason) = verdict {
            return Err(reason);
        }
        let mapping = leg
            .plan
            .payloads
            .iter()
            .find(|mapping| mapping.received == payload_type.value())
            .ok_or(DropReason::PayloadNotNegotiated)?;
        line.payload_received = mapping.received;
        line.payload_sent = match line.route {
            Route::Nowhere | Route::Leg => mapping.sent,
            Route::Echo | Route::Tone | Route::Ringback => mapping.received,
        };
        let clock = ClockRate::from_hz(mapping.clock_rate_hz);
        if clock != line.clock
            && let Some(received) = self.reception.get_mut(slot as usize)
        {
            received.reception.change_clock();
        }
        line.clock = clock;
        line.is_event = mapping.is_telephone_event;
        if verdict == Verdict::Lock {
            self.counters.latches += 1;
            self.reports.push(slot, Waiting::Latched);
            self.refresh_lock(slot);
            self.watch_socket(now_us, slot);
        }
        Ok(())
    }

    /// Refuses what comes from a port of ours: two of our legs that were made each other's peers would
    /// send one packet round for ever.
    pub(super) fn expect_foreign(&self, source: Option<SocketAddr>) -> Result<(), DropReason> {
        match source {
            Some(source) if self.own_ports.has(source) => Err(DropReason::OwnAddress),
            _ => Ok(()),
        }
    }

    /// Refuses our own stream from anywhere but the place it is sent to (RFC 3550 §8.2): it proves no
    /// source. From that place it is an echo service, of which some send back what they get as it is.
    fn expect_other_stream(
        &self,
        slot: u32,
        source: SocketAddr,
        ssrc: Ssrc,
    ) -> Result<(), DropReason> {
        self.expect_foreign(Some(source))?;
        let ours = self.egress.get(slot as usize).map(|line| line.ssrc);
        let destination = self.leg(slot).and_then(|leg| leg.latch.destination());
        let is_echo = destination.is_some_and(|peer| peer.is_same_place(&source.into()));
        if ours == Some(ssrc) && !is_echo {
            return Err(DropReason::OwnStream);
        }
        Ok(())
    }

    /// Another source speaks on a leg: what the old one lost and how it jittered is kept.
    fn change_source(&mut self, slot: u32, ssrc: Ssrc, clock: ClockRate) {
        if let Some(line) = self.ingress.get_mut(slot as usize) {
            line.ssrc = ssrc;
        }
        let Some(received) = self.reception.get_mut(slot as usize) else {
            return;
        };
        let jitter_us = clock.microseconds(received.reception.jitter_ticks());
        if received.reception.is_started() {
            received.reception.restart();
        }
        if let Some(leg) = self.leg_mut(slot) {
            leg.jitter_us = leg.jitter_us.max(jitter_us);
        }
    }
}

/// Refuses our own stream where a local party would answer it: each packet would go round for ever.
fn expect_new_source(own: Option<&EgressLine>, ssrc: Ssrc, route: Route) -> Result<(), DropReason> {
    match route {
        Route::Echo | Route::Tone | Route::Ringback if own.is_some_and(|own| own.ssrc == ssrc) => {
            Err(DropReason::OwnStream)
        }
        Route::Nowhere | Route::Leg | Route::Echo | Route::Tone | Route::Ringback => Ok(()),
    }
}

/// Refuses what else may share a media port (RFC 7983).
pub(super) fn expect_rtp(datagram: &[u8]) -> Result<(), DropReason> {
    match classify(datagram) {
        Protocol::Rtp | Protocol::Rtcp => Ok(()),
        Protocol::Stun => Err(DropReason::Stun),
        Protocol::Dtls => Err(DropReason::Dtls),
        Protocol::Other => Err(DropReason::UnknownProtocol),
    }
}

fn low_half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default()
}
