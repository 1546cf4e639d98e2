//! Legs with keys: what comes is unprotected before anything else believes it, what leaves is
//! protected last. A plain leg pays one look at a flag in lines that are read anyway.

use std::net::SocketAddr;

use packet_io::{PacketBuf, PacketIo};

use crate::drop_reason::DropReason;
use crate::engine::leg::Leg;
use crate::engine::worker::Worker;
use crate::ingress::PeerAddress;
use crate::srtp::{Contexts, SrtpPlan, Unprotected};

/// What a leg with keys is, beside its lines.
#[derive(Debug)]
pub(super) struct SecureLeg {
    contexts: Contexts,
    /// The last packet of a source that is not believed yet.
    offered: Option<(PeerAddress, Unprotected)>,
}

impl<Io: PacketIo> Worker<Io> {
    /// Unprotects what came as RTP; `None`: the leg is plain. The index is taken by
    /// [`accept_index`](Self::accept_index), when the source is believed, too: a copy that somebody
    /// sends from elsewhere must not make the packet itself a replay.
    #[inline]
    pub(super) fn unprotect_rtp(
        &self,
        slot: u32,
        packet: &mut PacketBuf,
    ) -> Result<Option<Unprotected>, DropReason> {
        let Some(contexts) = self.contexts_if_secure(slot)? else {
            return Ok(None);
        };
        let unprotected = contexts.unprotect_rtp(packet.bytes_mut())?;
        packet.truncate(unprotected.size);
        Ok(Some(unprotected))
    }

    /// Unprotects what came as RTCP, likewise.
    pub(super) fn unprotect_rtcp(
        &self,
        slot: u32,
        packet: &mut PacketBuf,
    ) -> Result<Option<Unprotected>, DropReason> {
        let Some(contexts) = self.contexts_if_secure(slot)? else {
            return Ok(None);
        };
        let unprotected = contexts.unprotect_rtcp(packet.bytes_mut())?;
        packet.truncate(unprotected.size);
        Ok(Some(unprotected))
    }

    #[inline]
    fn contexts_if_secure(&self, slot: u32) -> Result<Option<&Contexts>, DropReason> {
        if !self
            .ingress
            .get(slot as usize)
            .is_some_and(|line| line.is_secure)
        {
            return Ok(None);
        }
        self.leg(slot)
            .and_then(|leg| leg.srtp.as_deref())
            .map(|secure| Some(&secure.contexts))
            .ok_or(DropReason::SrtpNotProtected)
    }

    /// The packet and its source are believed: its index is used.
    #[inline]
    pub(super) fn accept_index(&mut self, slot: u32, unprotected: Option<Unprotected>) {
        if let Some(unprotected) = unprotected
            && let Some(secure) = self.leg_mut(slot).and_then(|leg| leg.srtp.as_deref_mut())
        {
            secure.contexts.accept(unprotected);
        }
    }

    /// A source that is not believed yet proves itself by several packets, not by one sent several
    /// times: any stranger who saw it could do that.
    pub(super) fn expect_further_proof(
        &mut self,
        slot: u32,
        source: Option<SocketAddr>,
        unprotected: Option<Unprotected>,
    ) -> Result<(), DropReason> {
        if let Some(unprotected) = unprotected
            && let Some(source) = source.map(PeerAddress::from)
            && let Some(secure) = self.leg_mut(slot).and_then(|leg| leg.srtp.as_deref_mut())
        {
            let is_again = secure.offered.is_some_and(|(before, offered)| {
                before == source && !unprotected.is_after(&offered)
            });
            if is_again {
                return Err(DropReason::SrtpReplay);
            }
            secure.offered = Some((source, unprotected));
        }
        Ok(())
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
            .leg_mut(slot)
            .and_then(|leg| leg.srtp.as_deref_mut())
            .ok_or(DropReason::SrtpNotProtected)?
            .contexts
            .send_mut();
        packet
            .set_len(packet.len() + send.rtp_overhead())
            .map_err(|_no_room| DropReason::SrtpNotProtected)?;
        send.protect_rtp(packet.bytes_mut())
    }

    /// Protects RTCP that is to leave by a leg with keys. A plain leg: nothing happens.
    pub(super) fn protect_rtcp(
        &mut self,
        slot: u32,
        packet: &mut PacketBuf,
    ) -> Result<(), DropReason> {
        let Some(leg) = self.leg_mut(slot).filter(|leg| leg.plan.srtp.is_some()) else {
            return Ok(());
        };
        let send = leg
            .srtp
            .as_deref_mut()
            .ok_or(DropReason::SrtpNotProtected)?
            .contexts
            .send_mut();
        packet
            .set_len(packet.len() + send.rtcp_overhead())
            .map_err(|_no_room| DropReason::SrtpNotProtected)?;
        send.protect_rtcp(packet.bytes_mut())
    }
}

impl Leg {
    /// Brings the contexts up to a new plan. A leg that becomes plain keeps them: should the same
    /// keys come back, no index may be used again.
    pub(super) fn renegotiate_srtp(&mut self, plan: Option<&SrtpPlan>) {
        let Some(plan) = plan else { return };
        self.srtp = match self.srtp.take() {
            Some(mut secure) => secure.contexts.renegotiate(plan).map(|()| secure),
            None => SecureLeg::new(plan),
        };
    }
}

impl SecureLeg {
    /// Of a leg that begins. `None`: the cipher refuses a key, and nothing passes.
    pub(super) fn new(plan: &SrtpPlan) -> Option<Box<Self>> {
        let contexts = Contexts::new(plan)?;
        Some(Box::new(Self {
            contexts,
            offered: None,
        }))
    }
}
