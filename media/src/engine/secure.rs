//! Legs with keys: what comes is unprotected before anything else believes it, what leaves is
//! protected last. A plain leg pays one look at a flag in lines that are read anyway.

use std::net::SocketAddr;

use packet_io::{PacketBuf, PacketIo, prefetch};

use crate::command::MediaKind;
use crate::drop_reason::DropReason;
use crate::engine::batching::micros;
use crate::engine::leg::{Leg, expected};
use crate::engine::line::PAYLOAD_NONE;
use crate::engine::worker::Worker;
use crate::ingress::PeerAddress;
use crate::limits::KEY_GRACE;
use crate::rtp::Ssrc;
use crate::srtp::{Contexts, SrtpPlan, Unprotected};

/// What a leg with keys is, beside its lines.
#[derive(Debug)]
pub(super) struct SecureLeg {
    contexts: Contexts,
    /// The key before the present one is heard until then.
    previous_until_us: u64,
    /// Where its peer was last said to be while it had keys.
    place: Option<PeerAddress>,
    /// Where the peer was that heard our stream under the present key, once it has another place and
    /// other keys: to who is there the next key of ours begins anew.
    heard_at: Option<PeerAddress>,
    /// The cipher has refused the keys of now: nothing passes.
    is_closed: bool,
}

impl<Io: PacketIo> Worker<Io> {
    /// Refuses what comes from where the peer of a leg with keys cannot be, before it costs any
    /// cryptography.
    #[inline]
    pub(super) fn expect_possible(
        &self,
        now_us: u64,
        slot: u32,
        source: Option<SocketAddr>,
    ) -> Result<(), DropReason> {
        let Some((line, source)) = self.ingress.get(slot as usize).zip(source) else {
            return Ok(());
        };
        let from = PeerAddress::from(source);
        if !line.is_secure || (line.is_locked && from == line.source) {
            return Ok(());
        }
        self.expect_foreign(Some(source))?;
        let heard_us = Some(line.heard_us).filter(|heard_us| *heard_us > 0);
        let leg = self.leg(slot).ok_or(DropReason::NotConnected)?;
        leg.latch.expect_possible(now_us, from, heard_us, true)
    }

    /// A source that is not believed yet proves itself under the present key, for who had the one before
    /// may be the peer no longer; and by packets later than all others of their stream, for who only
    /// listens has all the earlier ones.
    pub(super) fn expect_proof(
        &self,
        now_us: u64,
        slot: u32,
        source: Option<SocketAddr>,
        unprotected: &Unprotected,
    ) -> Result<(), DropReason> {
        let Some(leg) = self.leg(slot) else {
            return Ok(());
        };
        let source = source.map(PeerAddress::from);
        if source.is_some_and(|source| leg.latch.is_old_source(now_us, &source)) {
            return Ok(());
        }
        if unprotected.is_by_previous() {
            return Err(DropReason::LatchPending);
        }
        match self.secure_leg(slot) {
            Some(secure) if !secure.contexts.is_newest(unprotected) => Err(DropReason::SrtpReplay),
            Some(_) | None => Ok(()),
        }
    }

    /// True if a packet is under the present key and later than all that were heard of its source.
    pub(super) fn is_newest(&self, slot: u32, unprotected: &Unprotected) -> bool {
        let secure = self.secure_leg(slot);
        secure.is_some_and(|secure| secure.contexts.is_newest(unprotected))
    }

    /// The packet was offered by a source that is not believed yet. Who offers one of another stream than
    /// `before`, the last that was offered, may not go back to that one.
    pub(super) fn claim_index(
        &mut self,
        slot: u32,
        unprotected: &Unprotected,
        before: Option<(Ssrc, u64)>,
    ) {
        if let Some(secure) = self.secure_mut(slot) {
            secure.contexts.claim(unprotected, before);
        }
    }

    /// Who holds the leg was heard; under the key of now it has proven itself, otherwise its next packet is
    /// looked at as well.
    pub(super) fn confirm_holder(&mut self, now_us: u64, slot: u32, unprotected: &Unprotected) {
        let Some(leg) = self.leg_mut(slot).filter(|leg| leg.latch.is_unproven()) else {
            return;
        };
        if !unprotected.is_by_previous() {
            leg.latch.confirm();
            self.watch_socket(now_us, slot);
        } else if let Some(line) = self.ingress.get_mut(slot as usize) {
            line.payload_received = PAYLOAD_NONE;
        }
    }

    /// Unprotects what came as RTP; `None`: the leg is plain. The index is taken by
    /// [`accept_index`](Self::accept_index), when the source is believed, too: a copy that somebody
    /// sends from elsewhere must not make the packet itself a replay.
    #[inline]
    pub(super) fn unprotect_rtp(
        &mut self,
        now_us: u64,
        slot: u32,
        packet: &mut PacketBuf,
    ) -> Result<Option<Unprotected>, DropReason> {
        let Some(contexts) = self.contexts_if_secure(now_us, slot)? else {
            return Ok(None);
        };
        let unprotected = contexts.unprotect_rtp(packet.bytes_mut())?;
        packet.truncate(unprotected.size);
        Ok(Some(unprotected))
    }

    /// Unprotects what came as RTCP, likewise.
    pub(super) fn unprotect_rtcp(
        &mut self,
        now_us: u64,
        slot: u32,
        packet: &mut PacketBuf,
    ) -> Result<Option<Unprotected>, DropReason> {
        let Some(contexts) = self.contexts_if_secure(now_us, slot)? else {
            return Ok(None);
        };
        let unprotected = contexts.unprotect_rtcp(packet.bytes_mut())?;
        packet.truncate(unprotected.size);
        Ok(Some(unprotected))
    }

    #[inline]
    fn contexts_if_secure(
        &mut self,
        now_us: u64,
        slot: u32,
    ) -> Result<Option<&Contexts>, DropReason> {
        if !self
            .ingress
            .get(slot as usize)
            .is_some_and(|line| line.is_secure)
        {
            return Ok(None);
        }
        self.secure_mut(slot)
            .and_then(|secure| {
                secure.end_previous(now_us);
                secure.contexts()
            })
            .map(|contexts| Some(&*contexts))
            .ok_or(DropReason::SrtpUnavailable)
    }

    /// The packet and its source are believed: its index is used.
    #[inline]
    pub(super) fn accept_index(&mut self, slot: u32, unprotected: Option<Unprotected>) {
        if let Some(unprotected) = unprotected
            && let Some(secure) = self.secure_mut(slot)
        {
            secure.contexts.accept(unprotected);
        }
    }

    /// Protects RTP that is to leave by a leg with keys.
    #[inline]
    pub(super) fn protect_rtp(
        &mut self,
        slot: u32,
        packet: &mut PacketBuf,
    ) -> Result<(), DropReason> {
        if !self
            .egress
            .get(slot as usize)
            .is_some_and(|line| line.is_secure)
        {
            return Ok(());
        }
        let send = self
            .secure_mut(slot)
            .and_then(SecureLeg::contexts)
            .ok_or(DropReason::SrtpUnavailable)?
            .send_mut();
        packet
            .set_len(packet.len() + send.rtp_overhead())
            .map_err(|_no_room| DropReason::SrtpUnavailable)?;
        send.protect_rtp(packet.bytes_mut())
    }

    /// What a leg with keys is; of one that was plain from its beginning nothing.
    #[inline]
    fn secure_mut(&mut self, slot: u32) -> Option<&mut SecureLeg> {
        self.secure.get_mut(slot as usize)?.as_deref_mut()
    }

    #[inline]
    pub(super) fn secure_leg(&self, slot: u32) -> Option<&SecureLeg> {
        self.secure.get(slot as usize)?.as_deref()
    }

    fn has_keys(&self, slot: u32) -> bool {
        self.leg(slot).is_some_and(|leg| leg.plan.srtp.is_some())
    }

    fn is_secure(&self, slot: u32) -> bool {
        self.leg(slot).is_some_and(Leg::is_secure)
    }

    /// Makes the contexts of a leg that begins.
    pub(super) fn begin_srtp(&mut self, slot: u32) {
        let Some(plan) = self.leg(slot).map(|leg| &leg.plan) else {
            return;
        };
        let keys = plan.srtp.as_deref();
        let begun = keys.and_then(|keys| SecureLeg::new(keys, plan.kind, expected(plan)));
        self.set_srtp(slot, begun);
    }

    /// Brings the contexts up to a new plan. A leg that becomes plain keeps them: should the same keys come
    /// back, no index may be used again.
    pub(super) fn renegotiate_srtp(&mut self, now_us: u64, slot: u32) {
        let secure = self.secure.get_mut(slot as usize);
        let Some(secure) = secure.and_then(Option::as_deref_mut) else {
            return self.begin_srtp(slot);
        };
        let pair = self.pairs.get(slot as usize);
        let Some(plan) = pair.and_then(|pair| pair.leg.as_ref()).map(|leg| &leg.plan) else {
            return;
        };
        if let Some(keys) = plan.srtp.as_deref() {
            secure.renegotiate(now_us, keys, expected(plan));
        }
    }

    /// The leg is over, and its keys with it.
    pub(super) fn end_srtp(&mut self, slot: u32) {
        self.set_srtp(slot, None);
    }

    /// The keys of a handshake are those of this leg from now on: the counters of what is sent begin
    /// anew with them, as those of its peer do (RFC 5764 §4.2).
    pub(super) fn take_keys(&mut self, now_us: u64, slot: u32, keys: Box<SrtpPlan>) {
        let Some(leg) = self.leg_mut(slot) else {
            return;
        };
        leg.plan.srtp = Some(keys);
        let pair = self.pairs.get(slot as usize);
        let plan = pair.and_then(|pair| pair.leg.as_ref()).map(|leg| &leg.plan);
        let secure = self.secure.get_mut(slot as usize);
        let secure = secure.and_then(Option::as_deref_mut);
        match secure.zip(plan.and_then(|plan| plan.srtp.as_deref())) {
            Some((secure, keys)) => secure.take_keys(now_us, keys),
            None => self.begin_srtp(slot),
        }
        self.apply(slot);
        self.lead_to_index(slot);
    }

    /// What a leg with keys is goes elsewhere.
    pub(super) fn take_srtp(&mut self, slot: u32) -> Option<Box<SecureLeg>> {
        let secure = self.secure.get_mut(slot as usize)?.take();
        self.secure_legs -= u32::from(secure.is_some());
        secure
    }

    pub(super) fn set_srtp(&mut self, slot: u32, secure: Option<Box<SecureLeg>>) {
        if let Some(place) = self.secure.get_mut(slot as usize) {
            self.secure_legs += u32::from(secure.is_some());
            self.secure_legs -= u32::from(place.is_some());
            *place = secure;
        }
    }

    /// True if what is heard under a plan is what was heard so far: plain, or under its key.
    pub(super) fn hears_under(&self, slot: u32, plan: Option<&SrtpPlan>) -> bool {
        let has_keys = self.has_keys(slot);
        let secure = self.secure_leg(slot).filter(|_| has_keys);
        match (secure, plan) {
            (Some(secure), Some(plan)) => secure.contexts.hears_under(&plan.receive),
            (None, None) => !has_keys,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// The least index of SRTP that our stream may use; `None`: the leg is plain.
    pub(super) fn next_index(&self, slot: u32, ours: Ssrc) -> Option<u64> {
        let secure = self.secure_leg(slot).filter(|_| self.has_keys(slot));
        secure.map(|secure| secure.contexts.next_index(ours))
    }

    /// Refuses to write RTCP that could not leave: nothing is counted or answered by what nobody gets.
    pub(super) fn expect_protectable(&self, slot: u32) -> Result<(), DropReason> {
        if !self.is_secure(slot) {
            return Ok(());
        }
        self.secure_leg(slot)
            .filter(|secure| !secure.is_closed)
            .ok_or(DropReason::SrtpUnavailable)?
            .contexts
            .expect_rtcp_index()
    }

    /// Protects RTCP that is to leave by a leg with keys. A plain leg: nothing happens.
    pub(super) fn protect_rtcp(
        &mut self,
        slot: u32,
        packet: &mut PacketBuf,
    ) -> Result<(), DropReason> {
        if !self.is_secure(slot) {
            return Ok(());
        }
        let send = self
            .secure_mut(slot)
            .and_then(SecureLeg::contexts)
            .ok_or(DropReason::SrtpUnavailable)?
            .send_mut();
        packet
            .set_len(packet.len() + send.rtcp_overhead())
            .map_err(|_no_room| DropReason::SrtpUnavailable)?;
        send.protect_rtcp(packet.bytes_mut())
    }
}

impl SecureLeg {
    /// Of a leg that begins. `None`: the cipher refuses a key, and nothing passes.
    pub(super) fn new(
        plan: &SrtpPlan,
        kind: MediaKind,
        place: Option<PeerAddress>,
    ) -> Option<Box<Self>> {
        let contexts = Contexts::of_kind(plan, kind)?;
        Some(Box::new(Self {
            contexts,
            previous_until_us: 0,
            place,
            heard_at: None,
            is_closed: false,
        }))
    }

    fn renegotiate(&mut self, now_us: u64, plan: &SrtpPlan, place: Option<PeerAddress>) {
        self.follow(plan, place);
        self.change(now_us, plan, self.heard_at.is_some());
    }

    /// Keys that a handshake made: whoever made them with us has heard nothing under others.
    fn take_keys(&mut self, now_us: u64, plan: &SrtpPlan) {
        self.change(now_us, plan, true);
    }

    fn change(&mut self, now_us: u64, plan: &SrtpPlan, has_moved: bool) {
        self.end_previous(now_us);
        let had_previous = self.contexts.has_previous();
        let is_same_key = self.contexts.sends_under(&plan.send);
        // What was used stays known: a later plan may bring back the keys of now.
        self.is_closed = self.contexts.renegotiate(plan, has_moved).is_none();
        if !is_same_key && !self.is_closed {
            self.heard_at = None;
        }
        if !had_previous && self.contexts.has_previous() {
            self.previous_until_us = now_us.saturating_add(micros(KEY_GRACE));
        }
    }

    /// The peer is where `place` says. Another device with another key may have moved there by its answer:
    /// it hears of the next key of ours only by the offer that follows.
    fn follow(&mut self, plan: &SrtpPlan, place: Option<PeerAddress>) {
        let before = self.place;
        self.place = place.or(before);
        let Some((before, now)) = before.zip(place) else {
            return;
        };
        let is_same_device =
            self.contexts.sends_under(&plan.send) && self.contexts.hears_under(&plan.receive);
        if !before.is_same_place(&now) && !is_same_device {
            self.heard_at = self.heard_at.or(Some(before));
        }
        if self.heard_at.is_some_and(|home| home.is_same_place(&now)) {
            self.heard_at = None;
        }
    }

    /// As long as the old source of a peer that moved is heard, so is its old key.
    #[inline]
    fn end_previous(&mut self, now_us: u64) {
        if self.contexts.has_previous() && now_us >= self.previous_until_us {
            self.contexts.end_previous();
        }
    }

    /// `None`: the cipher has refused the keys of now.
    #[inline]
    fn contexts(&mut self) -> Option<&mut Contexts> {
        (!self.is_closed).then_some(&mut self.contexts)
    }

    /// Asks for the lines that a packet of its peer needs, except the keys, which these lead to.
    #[inline]
    pub(super) fn prefetch_receive(&self) {
        prefetch(&self.is_closed);
        self.contexts.prefetch_receive();
    }

    /// The same for a packet to its peer.
    #[inline]
    pub(super) fn prefetch_send(&self) {
        prefetch(&self.is_closed);
        self.contexts.prefetch_send();
    }

    /// Asks for the keys that its peer's packets are under.
    #[inline]
    pub(super) fn prefetch_receive_keys(&self) {
        self.contexts.prefetch_receive_keys();
    }

    /// Asks for the keys that packets to its peer are under.
    #[inline]
    pub(super) fn prefetch_send_keys(&self) {
        self.contexts.prefetch_send_keys();
    }

    /// Octets that it takes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() - size_of::<Contexts>() + self.contexts.memory()
    }
}
