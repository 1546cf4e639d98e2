//! A datagram on the port of browsers: what it is (RFC 7983), whose it is, and which of its legs it
//! belongs to (RFC 9143 §9.2).

use std::net::SocketAddr;

use packet_io::{PacketBuf, PacketIo};

use crate::drop_reason::DropReason;
use crate::engine::line::State;
use crate::engine::transport::table::Transport;
use crate::engine::worker::Worker;
use crate::ingress::{PeerAddress, Protocol, classify};
use crate::rtp::{PayloadType, RtpView, Ssrc};

impl<Io: PacketIo> Worker<Io> {
    /// Takes one datagram of browsers wherever it belongs.
    pub(in crate::engine) fn receive_bundled(
        &mut self,
        now_us: u64,
        source: Option<SocketAddr>,
        packet: PacketBuf,
    ) {
        self.in_hand = None;
        let Some(source) = source else {
            return self.counters.drops.count(DropReason::SocketUnknown);
        };
        let address = PeerAddress::from(source);
        let taken = match classify(packet.bytes()) {
            Protocol::Rtp => return self.receive_bundled_rtp(now_us, address, packet),
            Protocol::Rtcp => return self.receive_bundled_rtcp(now_us, address, packet),
            Protocol::Stun => self.receive_check(now_us, source, packet),
            Protocol::Dtls => self.receive_handshake(now_us, address, packet),
            Protocol::Other => Err(DropReason::UnknownProtocol),
        };
        if let Err(reason) = taken {
            self.counters.drops.count(reason);
        }
    }

    fn receive_bundled_rtp(&mut self, now_us: u64, source: PeerAddress, packet: PacketBuf) {
        let known = self.transports.of_source(now_us, &source);
        let is_there = known.is_some_and(|it| it.nominated == Some(source));
        let Some(transport) = known.or_else(|| self.transports.of_check(&source)) else {
            return self.counters.drops.count(DropReason::BundleForeign);
        };
        let is_former = known.is_some() && !is_there;
        let Some((ssrc, payload_type)) = stream(packet.bytes()) else {
            return self.counters.drops.count(DropReason::RtpTruncated);
        };
        let audio = transport.audio;
        let is_news = transport.is_silent || (is_there && transport.unproven_until_us.is_some());
        let known = transport.slot_of(ssrc);
        let slot = known.unwrap_or_else(|| self.slot_by_payload(transport, payload_type));
        self.in_hand = Some(slot);
        let is_leg = |state: State| state == State::Connected;
        let line = self.ingress.get(slot as usize);
        let taken = if !line.is_some_and(|line| is_leg(line.state)) {
            Err(DropReason::LegEnded)
        } else if is_there {
            // The source is believed already, as that of a connected socket is.
            self.receive_rtp(now_us, slot, None, packet)
        } else {
            let from = (source, is_former);
            self.receive_from_elsewhere(now_us, (audio, slot), from, payload_type, packet)
        };
        let line = self.ingress.get(slot as usize);
        let is_authentic = line.is_some_and(|line| line.ssrc == ssrc && line.heard_us == now_us);
        if is_authentic && (known.is_none() || is_news) {
            self.note_source(audio, ssrc, slot, is_there);
        }
        if let Err(reason) = taken {
            self.discard(slot, None, false, reason);
        }
    }

    /// From where a browser has checked and is not nominated. A packet later than all that were heard says
    /// that it is there now; any other came late from where it was, or is a copy.
    fn receive_from_elsewhere(
        &mut self,
        now_us: u64,
        (audio, slot): (u32, u32),
        (source, is_former): (PeerAddress, bool),
        payload_type: PayloadType,
        mut packet: PacketBuf,
    ) -> Result<(), DropReason> {
        // What no leg takes has an index that is never taken: it would be the latest for ever.
        if !self.has_payload(slot, payload_type) {
            return Err(DropReason::PayloadNotNegotiated);
        }
        let unprotected = self
            .unprotect_rtp(now_us, slot, &mut packet)?
            .ok_or(DropReason::BundleForeign)?;
        RtpView::parse(packet.bytes())?;
        let is_newest = self.is_newest(slot, &unprotected);
        let is_there = is_newest && self.prove_source(now_us, audio, source);
        let is_awaited = is_newest && self.is_awaited(audio, source);
        if !is_there && !is_former && !is_awaited {
            return Err(DropReason::SourceNotLatched);
        }
        self.take_rtp(now_us, slot, None, packet, Some(unprotected))
    }

    fn note_source(&mut self, audio: u32, ssrc: Ssrc, slot: u32, is_there: bool) {
        if let Some(transport) = self.transports.of_audio_mut(audio) {
            transport.learn(ssrc, slot);
            if is_there {
                transport.note_proof();
            }
        }
        self.note_heard(audio);
    }

    /// Of a source that nothing is known of: the leg that negotiated what it sends.
    fn slot_by_payload(&self, transport: &Transport, payload_type: PayloadType) -> u32 {
        let mut slots = transport.slots();
        let found = slots.find(|slot| self.has_payload(*slot, payload_type));
        found.unwrap_or(transport.audio)
    }

    fn has_payload(&self, slot: u32, payload_type: PayloadType) -> bool {
        self.leg(slot).is_some_and(|leg| {
            let mut payloads = leg.plan.payloads.iter();
            payloads.any(|mapping| mapping.received == payload_type.value())
        })
    }
}

/// Source and payload type, which lie in the clear.
fn stream(packet: &[u8]) -> Option<(Ssrc, PayloadType)> {
    let [_, marked, _, _, _, _, _, _, a, b, c, d] = *packet.first_chunk()?;
    let ssrc = Ssrc(u32::from_be_bytes([a, b, c, d]));
    Some((ssrc, PayloadType::from_bits(marked)))
}
