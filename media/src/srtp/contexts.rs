//! Both directions of a leg, and the change of their keys.

use packet_io::prefetch;

use crate::command::MediaKind;
use crate::drop_reason::DropReason;
use crate::rtp::Ssrc;
use crate::srtp::left_keys::{Forgotten, LeftKeys};
use crate::srtp::master_key::KeyIdentity;
use crate::srtp::{MasterKey, ReceiveContext, SendContext, SrtpPlan, Unprotected};

/// The cryptographic contexts of a leg (RFC 3711 §3.2).
#[derive(Debug)]
pub struct Contexts {
    kind: MediaKind,
    send: SendContext,
    receive: ReceiveContext,
    /// Of the key before: until the present one has authenticated a packet, the peer may not have
    /// heard of the change yet.
    previous: Option<Box<ReceiveContext>>,
    left_send: LeftKeys,
    left_receive: LeftKeys,
    forgotten: Forgotten,
}

impl Contexts {
    /// Contexts in which nothing was sent or received, of speech. `None`: the cipher refuses a key.
    #[must_use]
    pub fn new(plan: &SrtpPlan) -> Option<Self> {
        Self::of_kind(plan, MediaKind::Audio)
    }

    /// The same of what a leg carries.
    #[must_use]
    pub fn of_kind(plan: &SrtpPlan, kind: MediaKind) -> Option<Self> {
        Some(Self {
            kind,
            send: SendContext::of_kind(&plan.send, kind)?,
            receive: ReceiveContext::of_kind(&plan.receive, kind)?,
            previous: None,
            left_send: LeftKeys::default(),
            left_receive: LeftKeys::default(),
            forgotten: Forgotten::NOTHING,
        })
    }

    /// A new offer/answer took effect. A direction whose key stays goes on as it was, counters and
    /// all. A new key to send with takes the counters on, unless the peer `has_moved`; one that comes
    /// back uses no index again that it was used with before. `None`: the cipher refuses a key, and
    /// nothing has changed.
    #[must_use]
    pub fn renegotiate(&mut self, plan: &SrtpPlan, has_moved: bool) -> Option<()> {
        let send = (self.send.key() != &plan.send)
            .then(|| self.send.next(&plan.send, has_moved, self.kind))
            .map_or(Some(None), |next| next.map(Some))?;
        let is_previous = |previous: &ReceiveContext| previous.key() == &plan.receive;
        let is_known = self.receive.key() == &plan.receive
            || self.previous.as_deref().is_some_and(is_previous);
        let receive = (!is_known)
            .then(|| self.receive.next(&plan.receive, self.kind))
            .map_or(Some(None), |next| next.map(Some))?;
        if let Some(send) = send {
            self.send_under(send);
        }
        if let Some(receive) = receive {
            self.receive_under(receive);
        } else if self.receive.key() != &plan.receive
            && let Some(receive) = self.previous.take()
        {
            let left = std::mem::replace(&mut self.receive, *receive);
            self.leave(&left);
        }
        Some(())
    }

    fn send_under(&mut self, mut next: SendContext) {
        for left in self.send.ends() {
            if let Some(forgotten) = self.left_send.remember(left) {
                self.forgotten.add(forgotten);
            }
        }
        for left in self.left_send.of(KeyIdentity::of(next.key())) {
            next.revive(left);
        }
        next.revive_all(self.forgotten);
        self.send = next;
    }

    fn receive_under(&mut self, next: ReceiveContext) {
        let left = std::mem::replace(&mut self.receive, next);
        let key = KeyIdentity::of(self.receive.key());
        // While there is one before the present, that is the one that the peer was heard under.
        if self.previous.is_some() || KeyIdentity::of(left.key()) == key {
            self.leave(&left);
        } else {
            self.previous = Some(Box::new(left));
        }
        let is_same = |previous: &&ReceiveContext| KeyIdentity::of(previous.key()) == key;
        if self.previous.as_deref().filter(is_same).is_some() {
            self.end_previous();
        }
        for left in self.left_receive.of(key) {
            self.receive.revive(left);
        }
    }

    fn leave(&mut self, receive: &ReceiveContext) {
        let ends: Vec<_> = receive.ends().collect();
        // The one heard last is forgotten last.
        for left in ends.into_iter().rev() {
            // What is forgotten here was left many keys ago, and only its peer could take it up again.
            let _forgotten = self.left_receive.remember(left);
        }
    }

    /// The key before is heard no longer. What was heard under it is remembered.
    pub fn end_previous(&mut self) {
        if let Some(previous) = self.previous.take() {
            self.receive.take_hints(&previous);
            self.leave(&previous);
        }
    }

    /// True while the key before is heard as well.
    #[must_use]
    pub const fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    /// True if that is the key of what is sent.
    #[must_use]
    pub fn sends_under(&self, key: &MasterKey) -> bool {
        self.send.key() == key
    }

    /// True if that is the present key of what is received.
    #[must_use]
    pub fn hears_under(&self, key: &MasterKey) -> bool {
        self.receive.key() == key
    }

    /// The least index that a source of ours may use.
    #[must_use]
    pub fn next_index(&self, ssrc: Ssrc) -> u64 {
        self.send.next_index(ssrc)
    }

    /// Refuses another SRTCP packet under a key that has protected all it may.
    ///
    /// # Errors
    /// [`DropReason::SrtpKeyExhausted`].
    pub const fn expect_rtcp_index(&self) -> Result<(), DropReason> {
        self.send.expect_rtcp_index()
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

    /// Asks for the lines that a packet of the peer needs, except the keys, which these lead to.
    #[inline]
    pub fn prefetch_receive(&self) {
        prefetch(&self.previous);
        self.receive.prefetch();
    }

    /// The same for a packet to the peer.
    #[inline]
    pub fn prefetch_send(&self) {
        self.send.prefetch();
    }

    /// Asks for the keys that the peer's packets are under.
    #[inline]
    pub fn prefetch_receive_keys(&self) {
        self.receive.prefetch_keys();
    }

    /// Asks for the keys that packets to the peer are under.
    #[inline]
    pub fn prefetch_send_keys(&self) {
        self.send.prefetch_keys();
    }

    /// Takes the index of a packet as used, see [`ReceiveContext::accept`]. The first RTP packet under
    /// a new key ends the one before.
    #[inline]
    pub fn accept(&mut self, packet: Unprotected) {
        if packet.is_by_previous {
            debug_assert!(self.previous.is_some(), "a key before has authenticated");
            if let Some(previous) = &mut self.previous {
                previous.accept(packet);
            }
            return;
        }
        self.receive.accept(packet);
        if !packet.is_rtcp && self.previous.is_some() {
            self.end_previous();
        }
    }

    /// True if a packet is under the present key and later than all that was accepted or claimed of its
    /// source: nobody can have copied it from one of those.
    #[must_use]
    pub fn is_newest(&self, packet: &Unprotected) -> bool {
        !packet.is_by_previous && self.receive.is_newest(packet)
    }

    /// Takes everything before an RTP packet [that is the newest](Self::is_newest) as used, but not
    /// the packet: its source is not believed yet, and another may claim it. Of `before`, which was claimed
    /// last, the same if it is of another stream, and itself.
    pub fn claim(&mut self, packet: &Unprotected, before: Option<(Ssrc, u64)>) {
        debug_assert!(!packet.is_rtcp, "no report proves a source");
        debug_assert!(self.is_newest(packet), "nothing earlier proves anything");
        self.receive.claim((packet.ssrc, packet.index));
        if let Some((ssrc, index)) = before.filter(|(ssrc, _)| *ssrc != packet.ssrc) {
            self.receive.claim((ssrc, index.saturating_add(1)));
        }
    }

    /// Octets that it takes.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        let previous = self.previous.as_deref();
        let previous = previous.map_or(0, |one| size_of_val(one) + one.heap_size());
        size_of::<Self>() + self.send.heap_size() + self.receive.heap_size() + previous
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
