//! The agent of one browser call (RFC 8445 §2.5, §7.3): authenticates and answers checks, remembers
//! their sources, and says which of them is nominated and whether it still consents (RFC 7675).
//!
//! A check proves who made it and not where it came from: whoever has the credentials can write any source on
//! it, and have media sent there. So each source is asked by a request of ours, whose answer says that
//! the way there leads to the peer, and one that is proven so is left only for another one.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use arrayvec::ArrayVec;

use crate::ice::accepted::AcceptedChecks;
use crate::ice::credentials::Credentials;
use crate::ice::generation::{Generation, Source};
use crate::ice::refusal::Refusal;
use crate::ice::stun::{
    Attribute, ErrorCode, MessageView, RESPONSE_SIZE_MAX, Response, TRANSACTION_SIZE,
};
use crate::ice::way::{Ask, Way};
use crate::limits::{
    ICE_CONSENT_MAX, ICE_NOMINATION_QUIET, ICE_NOMINATION_STALE, ICE_NOMINATION_WAIT_MAX,
};

/// What became of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// This goes back to where it came from.
    Answered(ArrayVec<u8, RESPONSE_SIZE_MAX>, Change),
    /// Nothing goes back and nothing changed.
    Dropped(Refusal),
}

/// What an answered check changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Where media goes is what it was.
    None,
    /// Media goes here now: the first nomination, or another one.
    Nominated(SocketAddr),
}

/// Whether media may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// No source is nominated yet.
    Waiting,
    /// To this source.
    Granted(SocketAddr),
    /// No longer (RFC 7675 §5.1), or no source was nominated in time.
    Expired,
}

/// One end of ICE: always controlled, since its peer is a full agent (RFC 8445 §6.1.1).
#[derive(Debug, Clone)]
pub struct Agent {
    present: Generation,
    /// After a restart, until the first check under its credentials (RFC 8445 §9).
    next: Option<Box<Generation>>,
    nominated: Option<Nominated>,
    /// What would be nominated instead, if only it answered.
    wanted: Option<SocketAddr>,
    /// Nobody is nominated in this generation: from when on that is waited for.
    waits_since: Option<Instant>,
    /// A restart has had its time since somebody was nominated: no other gets more.
    has_waited_again: bool,
    accepted: AcceptedChecks,
}

/// What tells a check from another.
pub(super) type Transaction = [u8; TRANSACTION_SIZE];

#[derive(Debug, Clone, Copy)]
struct Nominated {
    address: SocketAddr,
    priority: u32,
    heard_at: Instant,
    /// It was nominated under the credentials before, and not under the present ones.
    is_of_before: bool,
    /// The way there is known to lead to the peer.
    is_reached: bool,
}

impl Agent {
    /// The agent of a call whose descriptions name these: our credentials and the peer's.
    #[must_use]
    pub fn new(now: Instant, ours: Credentials, peer: Credentials) -> Self {
        Self {
            present: Generation::new(ours, peer),
            next: None,
            nominated: None,
            wanted: None,
            waits_since: Some(now),
            has_waited_again: false,
            accepted: AcceptedChecks::new(),
        }
    }

    /// A restart (RFC 8445 §9): checks under these count beside the ones before until the first of
    /// them; media goes where it went until a source is nominated anew. False: our fragment is the one that
    /// we have, and nothing changed.
    pub fn restart(&mut self, now: Instant, ours: Credentials, peer: Credentials) -> bool {
        if ours.fragment() == self.present.ours.fragment() {
            return false;
        }
        let next = Generation::new(ours, peer);
        if self.consent(now) == Consent::Expired {
            self.begin_anew(now, next);
        } else {
            self.next = Some(Box::new(next));
            // A browser that finds no way restarts again and again: only the first gets the whole time.
            if self.waits_since.is_some() && !self.has_waited_again {
                self.waits_since = Some(now);
                self.has_waited_again = true;
            }
        }
        self.check_invariants();
        true
    }

    /// After consent has expired nothing of the time before it counts.
    fn begin_anew(&mut self, now: Instant, generation: Generation) {
        self.present = generation;
        self.next = None;
        self.nominated = None;
        self.wanted = None;
        self.waits_since = Some(now);
        self.has_waited_again = true;
    }

    /// Our fragments that a datagram may name: a shared socket finds this agent by them.
    pub fn fragments(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.present)
            .chain(self.next.as_deref())
            .map(|generation| generation.ours.fragment())
    }

    /// Whether media may be sent, and where to.
    #[must_use]
    pub fn consent(&self, now: Instant) -> Consent {
        match self.nominated {
            _ if self.deadline() <= Some(now) => Consent::Expired,
            Some(nominated) => Consent::Granted(nominated.address),
            None => Consent::Waiting,
        }
    }

    /// Consent has expired. True while a restart is still waited for: then nothing of the time before counts, and
    /// nothing may be sent until somebody is nominated. False: it is over.
    pub fn expire(&mut self, now: Instant) -> bool {
        if self.consent(now) != Consent::Expired || self.nominated.is_none() {
            return false;
        }
        match self.next.take() {
            Some(next) => {
                self.begin_anew(now, *next);
                true
            }
            None => false,
        }
    }

    /// When consent expires unless a check comes.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let heard = self.nominated.map(|nominated| nominated.heard_at);
        heard.map_or_else(
            || {
                self.waits_since
                    .map(|since| since + ICE_NOMINATION_WAIT_MAX)
            },
            |heard| Some(heard + ICE_CONSENT_MAX),
        )
    }

    /// How many sources are remembered.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.present.sources.len()
    }

    /// A datagram that is STUN by its first octet. Only a check with valid integrity changes anything or
    /// is answered (RFC 8445 §7.3).
    ///
    /// `is_heard`: the browser was heard under keys a moment ago where it is nominated. Then no check moves
    /// media away from there: a browser that goes elsewhere falls silent here, or is heard under keys there
    /// ([`prove`](Self::prove)), and whoever repeats its checks is neither.
    pub fn check(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &[u8],
        is_heard: bool,
    ) -> Checked {
        match self.answer(now, source, datagram, is_heard) {
            Ok((response, change)) => Checked::Answered(response, change),
            Err(refusal) => Checked::Dropped(refusal),
        }
    }

    fn answer(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &[u8],
        is_heard: bool,
    ) -> Result<(ArrayVec<u8, RESPONSE_SIZE_MAX>, Change), Refusal> {
        let message = MessageView::parse(datagram)?;
        message.expect_binding_request()?;
        if !is_reachable(source) {
            return Err(Refusal::SourceAddress);
        }
        let is_next = self.generation_of(&message)?;
        let generation = if is_next { self.next.as_deref() } else { None };
        let password = generation.unwrap_or(&self.present).ours.password();
        message.expect_integrity(password)?;
        if !is_next && self.consent(now) == Consent::Expired {
            return Err(Refusal::ConsentExpired);
        }
        // Authenticated. What is wrong with it from here on is told (RFC 8489 §6.3.1).
        let respond = |response: Response<'_>| response.write(message.transaction(), password);
        let unknown = message.unknown();
        if !unknown.is_empty() {
            let response = Response::Error(ErrorCode::UnknownAttribute, &unknown);
            return Ok((respond(response), Change::None));
        }
        let has_controlled = message.fixed::<8>(Attribute::IceControlled)?.is_some();
        message.fixed::<8>(Attribute::IceControlling)?;
        if has_controlled {
            // RFC 8445 §7.3.1.1, as with a tie-breaker below every other: we cannot control.
            let response = Response::Error(ErrorCode::RoleConflict, &[]);
            return Ok((respond(response), Change::None));
        }
        let priority = message.priority()?.unwrap_or_default();
        let use_candidate = message.use_candidate()?;
        self.accepted
            .expect_first(now, message.transaction(), source)?;
        let response = respond(Response::Success(source));
        if is_next && let Some(next) = self.next.take() {
            if self.consent(now) == Consent::Expired {
                self.begin_anew(now, *next);
            } else {
                self.present = *next;
                self.wanted = None;
                if let Some(nominated) = &mut self.nominated {
                    nominated.is_of_before = true;
                }
            }
        }
        let nominated = self.nominated.map(|it| (it.address, it.is_reached));
        self.present.hear(now, source, priority, nominated)?;
        self.accepted.accept(now, message.transaction(), source);
        let asked = use_candidate.then_some(*message.transaction());
        let change = self.nominate(now, source, asked, is_heard);
        self.check_invariants();
        Ok((response, change))
    }

    /// True for the generation of a restart.
    fn generation_of(&self, message: &MessageView<'_>) -> Result<bool, Refusal> {
        let (ours, peer) = message.user_fragments()?;
        let names = |generation: &Generation| {
            generation.ours.fragment() == ours && generation.peer.fragment() == peer
        };
        match &self.next {
            _ if names(&self.present) => Ok(false),
            Some(next) if names(next) => Ok(true),
            _ => Err(Refusal::UsernameForeign),
        }
    }

    /// Who gets the nomination. Chromium asks for it with each check of the pair that it uses, and begins
    /// to when it uses another. Firefox asks once on every pair (RFC 5245 §8.1.1.2), in any order, uses the best
    /// of them and never asks again. So who is better gets it at once; who is worse by asking in a second
    /// transaction while the present one does not ask, or when that is silent; and who does not ask, when that is
    /// silent for longer, as after a change of the browser's NAT. Priorities are those of first checks: later
    /// ones of Firefox have another type in theirs.
    fn nominate(
        &mut self,
        now: Instant,
        source: SocketAddr,
        asked: Option<Transaction>,
        is_heard: bool,
    ) -> Change {
        if let Some(nominated) = &mut self.nominated
            && nominated.address == source
        {
            nominated.heard_at = now;
            nominated.is_of_before = false;
            if asked.is_some() {
                self.present.forget_asks();
                self.wanted = None;
            }
            return Change::None;
        }
        let Some(known) = self.present.source_mut(source) else {
            return Change::None;
        };
        if let Some(transaction) = asked
            && known.asked != Some(transaction)
        {
            known.asked = Some(transaction);
            known.asks = known.asks.saturating_add(1);
        }
        let has_asked = asked.is_some() || known.is_held;
        let is_due = match self.nominated {
            None => has_asked,
            Some(present) => {
                let quiet = now.saturating_duration_since(present.heard_at);
                let is_first = present.is_of_before || known.priority > present.priority;
                let may_have = is_first || known.asks >= 2 || quiet >= ICE_NOMINATION_STALE;
                (has_asked && may_have) || quiet >= ICE_NOMINATION_QUIET
            }
        };
        let is_held = is_heard && self.nominated.is_some_and(|it| !it.is_of_before);
        // Firefox asks once: it gets what it asked for by its next check from there.
        known.is_held = is_due && is_held && has_asked;
        if !is_due || is_held {
            return Change::None;
        }
        let known = *known;
        self.move_to(known)
    }

    /// Who is reached is left only for who is.
    fn move_to(&mut self, known: Source) -> Change {
        let is_reached = known.way.is_proven();
        if !is_reached && self.nominated.is_some_and(|it| it.is_reached) {
            self.wanted = Some(known.address);
            return Change::None;
        }
        self.waits_since = None;
        self.has_waited_again = false;
        self.wanted = None;
        self.nominated = Some(Nominated {
            address: known.address,
            priority: known.priority,
            heard_at: known.heard_at,
            is_of_before: false,
            is_reached,
        });
        self.present.forget_asks();
        Change::Nominated(known.address)
    }

    /// Keys have authenticated something from here that nobody can have copied: the end of a handshake, or
    /// media later than all that was heard. That says more about where the browser is than any check.
    /// Where media goes is that from now on, or as soon as the way there is proven.
    pub fn prove(&mut self, now: Instant, source: SocketAddr) -> Change {
        let is_nominated = self.nominated.is_some_and(|it| it.address == source);
        let known = self.present.source_mut(source).copied();
        let heard =
            known.filter(|known| now.saturating_duration_since(known.heard_at) < ICE_CONSENT_MAX);
        match heard {
            Some(known) if !is_nominated && self.consent(now) != Consent::Expired => {
                let change = self.move_to(known);
                self.check_invariants();
                change
            }
            Some(_) | None => Change::None,
        }
    }

    /// True if media may go there: the way is known to lead to the peer.
    #[must_use]
    pub fn is_reached(&self, address: SocketAddr) -> bool {
        let nominated = self.nominated.filter(|it| it.address == address);
        nominated.is_some_and(|it| it.is_reached)
            || self
                .present
                .sources
                .iter()
                .any(|it| it.address == address && it.way.is_proven())
    }

    /// True if this is where media would go, if only the way there were proven.
    #[must_use]
    pub fn is_wanted(&self, address: SocketAddr) -> bool {
        self.wanted == Some(address)
    }

    /// What was sent there has reached the peer: it said what nobody could say who had not got it.
    pub fn reach(&mut self, address: SocketAddr) -> Change {
        if let Some(nominated) = &mut self.nominated
            && nominated.address == address
        {
            nominated.is_reached = true;
        }
        let Some(known) = self.present.source_mut(address) else {
            return Change::None;
        };
        known.way = Way::Proven;
        let known = *known;
        if !self.is_wanted(address) {
            return Change::None;
        }
        let change = self.move_to(known);
        self.check_invariants();
        change
    }

    /// When [`poll_ask`](Self::poll_ask) has something.
    #[must_use]
    pub fn ask_at(&self) -> Option<Instant> {
        let sources = self.present.sources.iter();
        sources.filter_map(|source| source.way.due_at()).min()
    }

    /// The next source that is to be asked whether it hears us, or that has answered none of all requests.
    /// `fresh`: twelve octets that nobody can guess, for a request that is none repeated.
    pub fn poll_ask(&mut self, now: Instant, fresh: &Transaction) -> Option<Ask> {
        let Generation {
            ours,
            peer,
            sources,
        } = &mut self.present;
        let mut sources = sources.iter_mut();
        let source = sources.find(|source| source.way.due_at().is_some_and(|due| due <= now))?;
        let transaction = source.way.ask(now, fresh);
        Some(Ask {
            to: source.address,
            request: transaction.map(|transaction| Ask::write(&transaction, ours, peer)),
        })
    }

    /// A datagram that is STUN by its first octet and no request: what answers one of ours, from where
    /// that was sent, proves the way.
    ///
    /// # Errors
    /// Why it proves nothing.
    pub fn take_response(
        &mut self,
        source: SocketAddr,
        datagram: &[u8],
    ) -> Result<Change, Refusal> {
        let message = MessageView::parse(datagram)?;
        let is_success = message.expect_binding_response()?;
        let known = self.present.source_mut(source).ok_or(Refusal::Response)?;
        known.way.expect_transaction(message.transaction())?;
        message.expect_integrity(self.present.peer.password())?;
        if !is_success {
            return Err(Refusal::ResponseError);
        }
        Ok(self.reach(source))
    }

    fn check_invariants(&self) {
        debug_assert_eq!(
            self.nominated.is_none(),
            self.waits_since.is_some(),
            "a nomination is there or waited for"
        );
        debug_assert!(
            self.wanted.is_none() || self.nominated.is_some_and(|it| it.is_reached),
            "only who is reached is held for somebody who is not"
        );
    }
}

/// False for what nothing can be sent to.
fn is_reachable(source: SocketAddr) -> bool {
    let ip = source.ip().to_canonical();
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    source.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
}
