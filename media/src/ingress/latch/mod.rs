//! Latching: learning where a peer really is from the first media it sends (RFC 7362).
//!
//! Owns the decision "this source is the peer" and nothing else: it never sends. An attacker who
//! can guess a port must not be able to move a call, so a source is believed when it is the address
//! of the SDP, or after enough packets of one SSRC in a row under a policy that admits it; once
//! locked, only a new offer/answer opens it again.
//!
//! | state | packet from | becomes |
//! |---|---|---|
//! | open | SDP address, policy `Sdp` | locked |
//! | open | another admitted source, 4 in a row of one SSRC | locked |
//! | open, reopened < 2 s ago | the old source | open, packet admitted |
//! | open, keys | another admitted source, 4 in a row over 50 ms | locked |
//! | open, keys | a packet that another source has offered already | open, both begin anew |
//! | locked | locked source | locked, packet admitted |
//! | locked, policy `Sdp`, not moved | SDP host, another port, 4 in a row, the old port silent | locked, moved |
//! | locked, policy `Any`; with keys the holder silent | a source that is nearer (SDP address, its host, the signalling host) | locked, moved |
//! | locked, policy `Any`, the holder spoke for less than a second and is silent for one | any source, 4 in a row | locked, moved |
//! | locked, keys, the holder silent for a second | any admitted source, 4 in a row | locked, moved |
//! | locked, policy `Sdp`, moved, keys | SDP address, 4 in a row | locked, moved back |
//! | locked before the peer's key changed | an admitted source under the new key, 4 in a row, at the SDP address 1 | locked, moved |
//! | locked by plain packets | keys are negotiated | open |
//! | locked, policy `Any`, the holder spoke for less than a second and is silent | its like, 4 in a row | locked, moved |
//! | any, policy `Nominated` | whoever ICE nominates, and no packet | locked there |
//! | any | anybody else | unchanged, packet refused |

use std::cmp::Ordering;

use crate::command::LatchPolicy;
use crate::drop_reason::DropReason;
use crate::ingress::PeerAddress;
use crate::limits::{LATCH_CONFIRM, LATCH_GRACE, LATCH_PACKETS_MIN, LATCH_PROOF_MIN, LATCH_SPEAKS};
use crate::rtp::Ssrc;

/// What the latch says to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the peer's.
    Admit,
    /// It is the peer's, and its source is locked from now on.
    Lock,
    /// It is not.
    Refuse(DropReason),
}

/// Where the peer of one leg is, as far as it is known.
#[derive(Debug, Clone)]
pub struct Latch {
    policy: LatchPolicy,
    expected: Option<PeerAddress>,
    locked: Option<PeerAddress>,
    locked_us: u64,
    has_moved: bool,
    candidate: Option<Candidate>,
    grace: Option<Grace>,
    /// The source before the last offer/answer: what it sends after the lock is late, not a move.
    former: Option<PeerAddress>,
    /// The keys have changed since who is locked has proven itself.
    is_unproven: bool,
}

/// A source that is being proven.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    source: PeerAddress,
    ssrc: Ssrc,
    /// Of its last packet, on a leg with keys.
    index: Option<u64>,
    count: u8,
    since_us: u64,
}

/// How much speaks for a source: nothing, the signalling, the SDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Elsewhere,
    Signalling,
    Host,
    Place,
}

/// The source before a new offer/answer.
#[derive(Debug, Clone, Copy)]
struct Grace {
    source: PeerAddress,
    until_us: u64,
}

impl Latch {
    /// An open latch; `expected` is the address of the SDP.
    #[must_use]
    pub const fn new(policy: LatchPolicy, expected: Option<PeerAddress>) -> Self {
        Self {
            policy,
            expected,
            locked: None,
            locked_us: 0,
            has_moved: false,
            candidate: None,
            grace: None,
            former: None,
            is_unproven: false,
        }
    }

    /// A new offer/answer. With another address or policy the latch opens again, and the old source
    /// is heard for a while; with the same, nothing changes. True: it opened.
    pub fn renegotiate(
        &mut self,
        now_us: u64,
        policy: LatchPolicy,
        expected: Option<PeerAddress>,
    ) -> bool {
        if self.policy == policy && self.expected == expected {
            return false;
        }
        let until_us = now_us.saturating_add(micros(LATCH_GRACE));
        let old = self
            .locked
            .map(|source| Grace { source, until_us })
            .or(self.grace);
        *self = Self::new(policy, expected);
        self.grace = old.filter(|grace| grace.until_us > now_us);
        self.former = self.grace.map(|grace| grace.source);
        debug_assert!(self.locked.is_none(), "what is negotiated anew is open");
        debug_assert!(
            self.grace.is_none_or(|grace| grace.until_us <= until_us),
            "no grace is longer than the last one given"
        );
        true
    }

    /// A valid packet with a negotiated payload type. `heard_us` is when the last packet was
    /// admitted: a source that still speaks is not replaced. Of a packet that keys have authenticated
    /// `index` is its place in the stream: who sends one packet many times proves nothing by it, nor
    /// does who sends those that another sends as well. That it is a later one than all that were heard
    /// or offered of its stream is for the caller to see to.
    pub fn offer(
        &mut self,
        now_us: u64,
        source: PeerAddress,
        (ssrc, index): (Ssrc, Option<u64>),
        heard_us: Option<u64>,
    ) -> Verdict {
        if let Err(reason) = self.expect_possible(now_us, source, heard_us, index.is_some()) {
            return Verdict::Refuse(reason);
        }
        if self.locked == Some(source) || self.is_in_grace(now_us, &source) {
            return Verdict::Admit;
        }
        let nearness = self.nearness(&source);
        // Who has not proven itself under the keys of now is not heard by them.
        let spoke_us = heard_us.filter(|_| !self.is_unproven);
        match (self.policy, &self.locked) {
            (LatchPolicy::Sdp, _) if nearness == Nearness::Place => {
                // Who holds it by copies has none that are later than what the peer sends.
                if self.has_moved && !self.is_unproven {
                    self.prove(now_us, source, (ssrc, index), None)
                } else {
                    self.lock(now_us, source, index)
                }
            }
            (LatchPolicy::Sdp, locked) => {
                let heard_us = locked.and(spoke_us);
                let verdict = self.prove(now_us, source, (ssrc, index), heard_us);
                self.has_moved |= verdict == Verdict::Lock;
                verdict
            }
            // The peer displaces a stranger: where the SDP says, or where it signals from, by one packet;
            // elsewhere by being the one that goes on. Against a stranger who goes on as well there is SRTP.
            (LatchPolicy::Nominated, _) => Verdict::Refuse(DropReason::SourceNotLatched),
            (LatchPolicy::Any(_), Some(locked)) if nearness > self.nearness(locked) => {
                // A copy can claim that address, too: with keys the peer is not there while it is
                // heard elsewhere.
                if index.is_some() && speaks(now_us, spoke_us) {
                    self.prove(now_us, source, (ssrc, index), spoke_us)
                } else {
                    self.lock(now_us, source, index)
                }
            }
            (LatchPolicy::Any(_), Some(_)) => self.prove(now_us, source, (ssrc, index), spoke_us),
            (LatchPolicy::Any(_) | LatchPolicy::Signalling(_), _) => {
                let heard_us = self.locked.and(spoke_us);
                self.prove(now_us, source, (ssrc, index), heard_us)
            }
        }
    }

    /// Refuses what no packet of that source could change, whatever is in it. `has_keys` says whether keys
    /// will have authenticated it. Changes nothing: it may be asked before they have.
    ///
    /// # Errors
    /// Why the source is not the peer.
    pub fn expect_possible(
        &self,
        now_us: u64,
        source: PeerAddress,
        heard_us: Option<u64>,
        has_keys: bool,
    ) -> Result<(), DropReason> {
        if self.locked == Some(source) || self.is_in_grace(now_us, &source) {
            return Ok(());
        }
        let heard_us = heard_us.unwrap_or_default().max(self.locked_us);
        let is_silent = now_us.saturating_sub(heard_us) >= micros(LATCH_CONFIRM);
        // Who took the leg by copies has none that are newer than what the peer sends now.
        let may_return = has_keys && is_silent;
        match self.policy {
            LatchPolicy::Sdp => {
                let expected = self.expected.ok_or(DropReason::RemoteUnknown)?;
                if !expected.is_same_host(&source) {
                    return Err(DropReason::SourceNotAdmitted);
                }
                let is_late = self.locked.is_some() && self.former == Some(source);
                let is_place = self.nearness(&source) == Nearness::Place;
                let may_move = self.is_unproven || may_return || (has_keys && is_place);
                if (self.has_moved && !may_move) || is_late {
                    return Err(DropReason::SourceNotLatched);
                }
            }
            LatchPolicy::Signalling(host) if source.ip() != host => {
                return Err(DropReason::SourceNotAdmitted);
            }
            LatchPolicy::Signalling(_)
                if self.locked.is_some() && !self.is_unproven && !may_return =>
            {
                return Err(DropReason::SourceNotLatched);
            }
            LatchPolicy::Signalling(_) => {}
            LatchPolicy::Nominated => return Err(DropReason::SourceNotLatched),
            LatchPolicy::Any(_) => {
                let Some(locked) = self.locked.filter(|_| !self.is_unproven) else {
                    return Ok(());
                };
                let is_new = heard_us - self.locked_us < micros(LATCH_CONFIRM);
                match self.nearness(&source).cmp(&self.nearness(&locked)) {
                    Ordering::Greater => {}
                    Ordering::Equal if is_new => {}
                    Ordering::Equal | Ordering::Less if may_return => {}
                    // One packet may say that it is from the address of the SDP.
                    Ordering::Less if is_new && is_silent => {}
                    Ordering::Equal | Ordering::Less => return Err(DropReason::SourceNotLatched),
                }
            }
        }
        Ok(())
    }

    /// ICE says where the peer is, or that it is nowhere; of a leg that believes nothing else.
    pub fn nominate(&mut self, source: Option<PeerAddress>) {
        debug_assert!(
            self.policy == LatchPolicy::Nominated,
            "where others are is learnt"
        );
        self.locked = source;
    }

    /// The last packet that was offered by a source that is being proven, on a leg with keys.
    #[must_use]
    pub fn offered(&self) -> Option<(Ssrc, u64)> {
        let candidate = self.candidate?;
        Some((candidate.ssrc, candidate.index?))
    }

    /// The peer's key changes: the indices of who is being proven begin anew. Who is locked goes on, but
    /// [until it has been heard under the new key](Self::confirm) it holds the leg against nobody who is.
    pub fn change_key(&mut self) {
        self.candidate = None;
        self.is_unproven = self.locked.is_some();
    }

    /// Plain RTP ends, and only who has a key is the peer: nobody is believed any longer.
    pub fn require_key(&mut self) {
        *self = Self::new(self.policy, self.expected);
    }

    /// Keys end, and what comes is plain: who is locked holds the leg as any plain peer does.
    pub fn end_keys(&mut self) {
        self.candidate = None;
        self.is_unproven = false;
    }

    /// Who is locked was heard under the key of now.
    pub const fn confirm(&mut self) {
        self.is_unproven = false;
    }

    /// True while who is locked has not been heard under the key of now.
    #[must_use]
    pub const fn is_unproven(&self) -> bool {
        self.is_unproven
    }

    /// True while the source before a new offer/answer is still heard.
    #[must_use]
    pub fn is_old_source(&self, now_us: u64, source: &PeerAddress) -> bool {
        self.is_in_grace(now_us, source)
    }

    /// Where to send: one place, never two. Before the lock only the address of the SDP, and only
    /// if the policy trusts it.
    #[must_use]
    pub fn destination(&self) -> Option<PeerAddress> {
        self.locked.or_else(|| {
            self.expected.filter(|expected| match self.policy {
                LatchPolicy::Sdp => true,
                LatchPolicy::Signalling(host) => expected.ip() == host,
                LatchPolicy::Any(_) | LatchPolicy::Nominated => false,
            })
        })
    }

    /// True if who is locked may be kept by the kernel: no other source could be the better one, while this one
    /// goes on.
    #[must_use]
    pub fn is_settled(&self, has_keys: bool) -> bool {
        // Without an address of the SDP nobody is nearer than who signals.
        let nearest = self
            .expected
            .map_or(Nearness::Signalling, |_| Nearness::Place);
        let is_nearest = self
            .locked
            .is_some_and(|locked| self.nearness(&locked) == nearest);
        match self.policy {
            _ if self.is_unproven => false,
            LatchPolicy::Sdp => is_nearest || (self.locked.is_some() && !has_keys),
            LatchPolicy::Signalling(_) => self.locked.is_some(),
            LatchPolicy::Any(_) => is_nearest,
            // Its socket is that of others, too.
            LatchPolicy::Nominated => false,
        }
    }

    /// The source that is believed.
    #[must_use]
    pub const fn locked(&self) -> Option<PeerAddress> {
        self.locked
    }

    /// True for a host that RTCP of this leg may come from: that of the locked source, of the
    /// address trusted before, or of the old source in its grace.
    #[must_use]
    pub fn admits_host(&self, now_us: u64, source: &PeerAddress) -> bool {
        let is_peer = self
            .destination()
            .is_some_and(|peer| peer.is_same_host(source));
        let is_old = self
            .grace
            .is_some_and(|grace| grace.until_us > now_us && grace.source.is_same_host(source));
        is_peer || (self.locked.is_none() && is_old)
    }

    fn is_in_grace(&self, now_us: u64, source: &PeerAddress) -> bool {
        self.locked.is_none()
            && self
                .grace
                .is_some_and(|grace| grace.source == *source && now_us < grace.until_us)
            && !self
                .expected
                .is_some_and(|expected| expected.is_same_place(source))
    }

    fn nearness(&self, source: &PeerAddress) -> Nearness {
        match self.expected {
            Some(expected) if expected.is_same_place(source) => Nearness::Place,
            Some(expected) if expected.is_same_host(source) => Nearness::Host,
            _ if matches!(self.policy, LatchPolicy::Any(host) if host == source.ip()) => {
                Nearness::Signalling
            }
            _ => Nearness::Elsewhere,
        }
    }

    /// One more packet of a source that is not believed yet.
    fn prove(
        &mut self,
        now_us: u64,
        source: PeerAddress,
        (ssrc, index): (Ssrc, Option<u64>),
        heard_us: Option<u64>,
    ) -> Verdict {
        // Who sprays from elsewhere does not undo what the peer has proven.
        if self.candidate.is_some_and(|candidate| {
            now_us.saturating_sub(candidate.since_us) < micros(LATCH_CONFIRM)
                && self.nearness(&source) < self.nearness(&candidate.source)
        }) {
            return Verdict::Refuse(DropReason::LatchPending);
        }
        if index.is_some() && self.is_claimed(&source, (ssrc, index)) {
            return Verdict::Refuse(DropReason::SrtpReplay);
        }
        let so_far = self.candidate.filter(|candidate| {
            candidate.source == source
                && candidate.ssrc == ssrc
                && heard_us.is_none_or(|heard_us| heard_us < candidate.since_us)
        });
        let mut candidate = so_far.unwrap_or(Candidate {
            source,
            ssrc,
            index,
            count: 0,
            since_us: now_us,
        });
        debug_assert!(candidate.since_us <= now_us, "time does not go back");
        candidate.count = candidate.count.saturating_add(1);
        candidate.index = index;
        // Packets that were sent before we had their key are the latest that we know, whoever sends them.
        let is_long = now_us - candidate.since_us >= micros(LATCH_PROOF_MIN);
        if candidate.count >= LATCH_PACKETS_MIN && (is_long || index.is_none()) {
            return self.lock(now_us, source, index);
        }
        self.candidate = Some(candidate);
        Verdict::Refuse(DropReason::LatchPending)
    }

    /// True if that packet was offered before. Two sources that both claim one have proven nothing:
    /// either of them may have copied it on its way. But a nearer one has not to.
    fn is_claimed(&mut self, source: &PeerAddress, (ssrc, index): (Ssrc, Option<u64>)) -> bool {
        let nearness = self.nearness(source);
        let Some(candidate) = self
            .candidate
            .filter(|candidate| candidate.ssrc == ssrc && index <= candidate.index)
        else {
            return false;
        };
        if candidate.source == *source || index < candidate.index {
            return true;
        }
        if self.nearness(&candidate.source) < nearness {
            return false;
        }
        self.candidate = Some(Candidate {
            count: 0,
            ..candidate
        });
        true
    }

    fn lock(&mut self, now_us: u64, source: PeerAddress, index: Option<u64>) -> Verdict {
        debug_assert!(
            self.locked != Some(source),
            "who is believed is admitted before"
        );
        debug_assert!(
            self.locked.is_none()
                || self.is_unproven
                || index.is_some()
                || !matches!(self.policy, LatchPolicy::Signalling(_)),
            "who came from the signalling host stays, where no key says better"
        );
        debug_assert!(
            !self.has_moved || self.is_unproven || index.is_some(),
            "a peer moves once between two answers, where no key says better"
        );
        self.locked = Some(source);
        self.locked_us = now_us;
        self.candidate = None;
        self.grace = None;
        self.is_unproven = false;
        Verdict::Lock
    }
}

/// True if the holder of a leg was heard so lately that it goes on.
fn speaks(now_us: u64, heard_us: Option<u64>) -> bool {
    heard_us.is_some_and(|heard_us| now_us.saturating_sub(heard_us) < micros(LATCH_SPEAKS))
}

/// A duration in microseconds.
fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
