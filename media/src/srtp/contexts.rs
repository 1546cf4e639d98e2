//! Both directions of a leg, and the change of their keys.

use crate::drop_reason::DropReason;
use crate::srtp::{ReceiveContext, SendContext, SrtpPlan, Unprotected};

/// The cryptographic contexts of a leg (RFC 3711 §3.2).
#[derive(Debug)]
pub struct Contexts {
    send: SendContext,
    receive: ReceiveContext,
    /// Of the key before: until the present one has authenticated a packet, the peer may not have
    /// heard of the change yet.
    previous: Option<Box<ReceiveContext>>,
}

impl Contexts {
    /// Contexts in which nothing was sent or received. `None`: the cipher refuses a key.
    #[must_use]
    pub fn new(plan: &SrtpPlan) -> Option<Self> {
        Some(Self {
            send: SendContext::new(&plan.send)?,
            receive: ReceiveContext::new(&plan.receive)?,
            previous: None,
        })
    }

    /// A new offer/answer took effect. A direction whose key stays goes on as it was, counters and
    /// all; one whose key changes begins anew, but for the SRTCP index of what is sent. A key to send with never comes back once left.
    /// `None`: the cipher refuses a key.
    #[must_use]
    pub fn renegotiate(&mut self, plan: &SrtpPlan) -> Option<()> {
        if self.send.key() != &plan.send {
            self.send = self.send.next(&plan.send)?;
        }
        if self.receive.key() == &plan.receive {
            return Some(());
        }
        let previous = self.previous.take();
        let next = match previous.filter(|previous| previous.key() == &plan.receive) {
            Some(previous) => *previous,
            None => ReceiveContext::new(&plan.receive)?,
        };
        self.previous = Some(Box::new(std::mem::replace(&mut self.receive, next)));
        Some(())
    }

    /// Protects what is sent.
    pub const fn send_mut(&mut self) -> &mut SendContext {
        &mut self.send
    }

    /// Unprotects an RTP packet in place.
    ///
    /// # Errors
    /// Why neither the present key nor the one before believes it.
    #[inline]
    pub fn unprotect_rtp(&self, packet: &mut [u8]) -> Result<Unprotected, DropReason> {
        let Some(previous) = &self.previous else {
            return self.receive.unprotect_rtp(packet);
        };
        let near = previous.expected(packet);
        self.receive
            .unprotect_rtp_near(packet, near, true)
            .or_else(|reason| or_previous(reason, previous.unprotect_rtp(packet)))
    }

    /// Unprotects an RTCP packet in place.
    ///
    /// # Errors
    /// Why neither the present key nor the one before believes it.
    pub fn unprotect_rtcp(&self, packet: &mut [u8]) -> Result<Unprotected, DropReason> {
        let Some(previous) = &self.previous else {
            return self.receive.unprotect_rtcp(packet);
        };
        self.receive
            .unprotect_rtcp_surviving(packet, true)
            .or_else(|reason| or_previous(reason, previous.unprotect_rtcp(packet)))
    }

    /// Takes the index of a packet as used, see [`ReceiveContext::accept`]. The first packet under
    /// a new key ends the one before.
    #[inline]
    pub fn accept(&mut self, packet: Unprotected) {
        if !packet.is_by_previous {
            self.previous = None;
            return self.receive.accept(packet);
        }
        debug_assert!(self.previous.is_some(), "a key before has authenticated");
        if let Some(previous) = &mut self.previous {
            previous.accept(packet);
        }
    }
}

/// What the key before says of a packet that the present one refused.
fn or_previous(
    refused: DropReason,
    previous: Result<Unprotected, DropReason>,
) -> Result<Unprotected, DropReason> {
    match previous {
        Ok(packet) => Ok(Unprotected {
            is_by_previous: true,
            ..packet
        }),
        // The key before authenticated it once already.
        Err(DropReason::SrtpReplay) => Err(DropReason::SrtpReplay),
        Err(_) => Err(refused),
    }
}
