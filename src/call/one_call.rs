//! What call control knows of one call and its attempts.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use media::command::{PairKey, Target};
use sip::event::{AttemptFailure, CallOffered, LegKey, Q850};
use sip::offer_answer::crypto::CryptoPolicy;
use sip::offer_answer::{Codec, Descriptions, RemoteAudio, Unusable};
use sip::sdp::{Direction, SessionDescription};

use super::browser::Guest;
use super::event::{Now, Ticket};
use super::extension::Phone;
use super::media_plan::abilities::share_voice;
use super::media_plan::leg::LegMedia;
use super::snapshot::Snapshot;
use crate::cdr::record::AttemptClosed;
use crate::fraud_guard::{Cleared, Counter, Way};
use crate::links::model::LinkId;
use crate::trunks::identity::{Party, Privacy};
use crate::trunks::model::Trunk;
use crate::trunks::select::Route;

/// Max-Forwards of an INVITE that none of a peer preceded (RFC 3261 §8.1.1.6).
pub(super) const MAX_FORWARDS: u8 = 70;

/// One call: an a-leg, and the attempts for its b-leg.
#[derive(Debug)]
pub(super) struct Call {
    /// 128 bits in hexadecimal, the first 48 of them the millisecond of its begin.
    pub(super) id: String,
    /// Its place among all calls since start, for lists.
    pub(super) age: u64,
    /// Name of the source it came from.
    pub(super) source: String,
    pub(super) started_at: Timestamp,
    /// The same moment on the clock that never jumps.
    pub(super) started: std::time::Instant,
    pub(super) a_leg: LegKey,
    pub(super) beginning: Beginning,
    /// The trunk it came from, by id; counted there until the call is over.
    pub(super) from_trunk: Option<String>,
    /// The extension that proved to call.
    pub(super) extension: Option<String>,
    /// The phones that it rings.
    pub(super) phones: Vec<Phone>,
    /// The question to the link store that is still open.
    pub(super) ticket: Option<Ticket>,
    pub(super) link: Option<LinkId>,
    pub(super) wanted: Option<WantedParty>,
    pub(super) routes: VecDeque<Route>,
    /// Where keys were refused: the next attempt goes there without.
    pub(super) refused_keys: Option<SocketAddr>,
    pub(super) attempts: u32,
    /// What of the guard has counted the party that is being dialled: parties count, not attempts.
    pub(super) counted: Vec<Counter>,
    pub(super) failures: Vec<AttemptFailure>,
    /// What each of them gave as its Q.850 cause.
    pub(super) reasons: Vec<Option<Q850>>,
    /// The cause that the end of the call was given.
    pub(super) reason: Option<Q850>,
    /// The caller's offer, read; taken by the a-leg's media when it has ports.
    pub(super) offer: Option<Box<RemoteAudio>>,
    /// Whether the a-leg may have keys.
    pub(super) srtp: CryptoPolicy,
    /// The caller's INVITE had no offer: ours goes in the 2xx (delayed offer).
    pub(super) wants_offer: bool,
    /// It has changed its session before the answer (RFC 3311 §5.1): the 2xx describes nothing any more.
    pub(super) has_reoffered_early: bool,
    /// The most that the link lets video be towards the callee.
    pub(super) video_most: Direction,
    pub(super) a_media: Option<Box<Ports>>,
    pub(super) attempt: Option<Box<Attempt>>,
    /// Attempts that are over: a late answer changes their row.
    pub(super) left: Vec<(LegKey, AttemptClosed)>,
    /// Echo or tone instead of a b-leg.
    pub(super) local_party: Option<Target>,
    pub(super) answered_at: Option<Timestamp>,
    pub(super) reoffer: Option<Reoffer>,
    /// Our offer in a 2xx whose answer the ACK will bring.
    pub(super) asked: Option<Box<Asked>>,
    /// An offer that came while the other side was being told of the one before.
    pub(super) waiting: Option<Waiting>,
    /// The other side of this one could not be told yet; tried again then.
    pub(super) untold: Option<Untold>,
    pub(super) ends_at: Option<std::time::Instant>,
    /// Why we end it, said before the endpoint is told.
    pub(super) ending: Option<Ending>,
    /// Its end has been recorded; only the key still lives.
    pub(super) over: bool,
}

/// How a call began.
#[derive(Debug)]
pub(super) enum Beginning {
    /// An INVITE came.
    Offered(Box<CallOffered>),
    /// Somebody ordered it.
    Placed(Box<Placed>),
    /// A guest's browser wants it.
    Browser(Box<Guest>),
}

/// A call that was ordered, and its first party, which we dial.
#[derive(Debug)]
pub(super) struct Placed {
    /// The token that ordered it: its calls are counted until they are over.
    pub(super) token: String,
    /// The trunks that it may use, by id; `None`: all.
    pub(super) trunks: Option<Vec<String>>,
    /// Where the order came from.
    pub(super) client: Option<IpAddr>,
    /// The request path, or the second party as it was written.
    pub(super) request_path: String,
    /// The first party, and who calls it.
    pub(super) from: WantedParty,
    /// The local party that the first one is joined with, where it is no trunk's.
    pub(super) local_party: Option<Target>,
    /// Ways to the first party that are left.
    pub(super) routes: VecDeque<Route>,
    /// Where the first party registered, if it is an extension.
    pub(super) phones: Vec<Phone>,
    /// The first party, while it is dialled or up.
    pub(super) leg: Option<PlacedLeg>,
}

/// The a-leg of a placed call. Its key is the call's `a_leg`, its media the call's `a_media`.
#[derive(Debug)]
pub(super) struct PlacedLeg {
    pub(super) number: u32,
    pub(super) trunk: String,
    pub(super) target: SocketAddr,
    /// Request-URI user and host as dialled.
    pub(super) destination: String,
    /// The guard's proof; goes back to it when the leg is over.
    pub(super) cleared: Cleared,
    pub(super) ringing_at: Option<Timestamp>,
    pub(super) answered_at: Option<Timestamp>,
}

/// Whom the caller wants, and who the caller is to them.
#[derive(Debug, Clone)]
pub(super) struct WantedParty {
    pub(super) user: String,
    pub(super) domain: String,
    pub(super) caller_name: String,
    /// With its unique number: the same on every attempt.
    pub(super) caller_alias: String,
    pub(super) pinned: Option<String>,
    /// How it came to be wanted.
    pub(super) way: Way,
    pub(super) named_by_link: bool,
    pub(super) privacy: Privacy,
    /// A stored link names the caller, not a guest.
    pub(super) screened: bool,
}

/// An attempt that was dialled and is not over.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) leg: LegKey,
    pub(super) trunk: String,
    pub(super) target: SocketAddr,
    /// Request-URI user and host as dialled.
    pub(super) destination: String,
    /// The guard's proof; goes back to it when the attempt is over.
    pub(super) cleared: Cleared,
    pub(super) media: Ports,
    /// Its callee's 180 has come.
    pub(super) is_alerting: bool,
    /// Its first packet has come.
    pub(super) is_heard: bool,
    pub(super) ringing_at: Option<Timestamp>,
    pub(super) answered_at: Option<Timestamp>,
    /// Its 2xx offered, and our answer has not left.
    pub(super) owes_answer: bool,
    pub(super) reason: Option<Q850>,
}

/// A leg's media and the port pair under it.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) leg: LegMedia,
    /// Who its peer says it is, since it said so.
    pub(super) connected: Option<Party>,
    /// Where the pair is bound.
    pub(super) bound: SocketAddr,
    /// Where the leg's signalling comes from.
    pub(super) signalling: IpAddr,
}

/// An offer within the call that the other side has not answered yet.
#[derive(Debug)]
pub(super) struct Reoffer {
    /// The side that offered and waits; `None`: we tell the other side on our own.
    pub(super) from: Option<Side>,
    /// What was said on each side before: a refusal brings it back.
    pub(super) before: Box<Before>,
    /// This side offered and took it back: when the other side has answered, it is offered what this
    /// side still has.
    pub(super) withdrawn: Option<Side>,
    /// Without agreement the two sides have no codec in common, and the call has never been heard.
    pub(super) decides: bool,
}

/// An offer of ours in a 2xx (RFC 3261 §13.2.1, §14.2).
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) side: Side,
    /// What was said on that side before.
    pub(super) before: Descriptions,
    /// In the answer to the call itself: nothing is bridged until the ACK.
    pub(super) is_first: bool,
}

/// An offer that is held back.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) side: Side,
    /// `None`: the peer wants our offer.
    pub(super) offer: Option<Box<SessionDescription>>,
}

/// Something that the other side must hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Untold {
    /// Who has something new.
    pub(super) side: Side,
    pub(super) at: std::time::Instant,
    pub(super) tries: u8,
    pub(super) decides: bool,
}

/// Both legs as they were.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) a: Option<Descriptions>,
    pub(super) b: Option<Descriptions>,
}

/// The two sides of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Why a call ends, in the words of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) released_by: &'static str,
    pub(super) cause: &'static str,
    pub(super) status: u16,
}

impl Call {
    /// It is for an emergency service.
    pub(super) fn is_emergency(&self) -> bool {
        self.offered().is_some_and(|offered| offered.is_emergency)
    }

    /// A call at its start.
    pub(super) const fn new(
        id: String,
        a_leg: LegKey,
        beginning: Beginning,
        source: String,
        now: Now,
    ) -> Self {
        Self {
            id,
            age: 0,
            source,
            started_at: now.timestamp,
            started: now.instant,
            a_leg,
            beginning,
            from_trunk: None,
            extension: None,
            phones: Vec::new(),
            ticket: None,
            link: None,
            wanted: None,
            routes: VecDeque::new(),
            refused_keys: None,
            srtp: CryptoPolicy::Off,
            attempts: 0,
            counted: Vec::new(),
            failures: Vec::new(),
            reasons: Vec::new(),
            reason: None,
            offer: None,
            wants_offer: false,
            has_reoffered_early: false,
            video_most: Direction::SendRecv,
            a_media: None,
            attempt: None,
            left: Vec::new(),
            local_party: None,
            answered_at: None,
            reoffer: None,
            asked: None,
            waiting: None,
            untold: None,
            ends_at: None,
            ending: None,
            over: false,
        }
    }

    /// It is over: what only a call that is up needs goes. The rest lives as long as the key, half a
    /// minute of repetitions and late answers.
    pub(super) fn shed(&mut self) {
        (self.routes, self.phones) = (VecDeque::new(), Vec::new());
        (self.reoffer, self.asked, self.waiting) = (None, None, None);
        (self.offer, self.wanted) = (None, None);
        if let Beginning::Offered(offered) = &mut self.beginning {
            offered.offer = None;
            (offered.headers, offered.authorization) = (Vec::new(), Vec::new());
        }
    }

    /// The INVITE that it began with.
    pub(super) fn offered(&self) -> Option<&CallOffered> {
        match &self.beginning {
            Beginning::Offered(offered) => Some(offered),
            Beginning::Placed(_) | Beginning::Browser(_) => None,
        }
    }

    /// The order that it began with.
    pub(super) fn placed(&self) -> Option<&Placed> {
        match &self.beginning {
            Beginning::Offered(_) | Beginning::Browser(_) => None,
            Beginning::Placed(placed) => Some(placed),
        }
    }

    /// The guest that it began with.
    pub(super) fn guest(&self) -> Option<&Guest> {
        match &self.beginning {
            Beginning::Browser(guest) => Some(guest),
            Beginning::Offered(_) | Beginning::Placed(_) => None,
        }
    }

    pub(super) fn guest_mut(&mut self) -> Option<&mut Guest> {
        match &mut self.beginning {
            Beginning::Browser(guest) => Some(guest),
            Beginning::Offered(_) | Beginning::Placed(_) => None,
        }
    }

    pub(super) fn placed_mut(&mut self) -> Option<&mut Placed> {
        match &mut self.beginning {
            Beginning::Offered(_) | Beginning::Browser(_) => None,
            Beginning::Placed(placed) => Some(placed),
        }
    }

    /// The first party of a placed call, while it is dialled or up.
    pub(super) fn placed_leg(&self) -> Option<&PlacedLeg> {
        self.placed()?.leg.as_ref()
    }

    pub(super) fn placed_leg_mut(&mut self) -> Option<&mut PlacedLeg> {
        self.placed_mut()?.leg.as_mut()
    }

    /// Where the a-leg's signalling goes.
    pub(super) fn a_address(&self) -> Option<SocketAddr> {
        match &self.beginning {
            Beginning::Offered(offered) => Some(offered.flow.remote),
            Beginning::Placed(placed) => placed.leg.as_ref().map(|leg| leg.target),
            Beginning::Browser(_) => None,
        }
    }

    /// Where the wish for the call came from.
    pub(super) fn client(&self) -> Option<IpAddr> {
        match &self.beginning {
            Beginning::Offered(offered) => Some(offered.flow.remote.ip()),
            Beginning::Placed(placed) => placed.client,
            Beginning::Browser(guest) => Some(guest.client),
        }
    }

    /// What may still be forwarded (RFC 7332).
    pub(super) fn max_forwards(&self) -> u8 {
        match &self.beginning {
            Beginning::Offered(offered) => offered.max_forwards.saturating_sub(1),
            Beginning::Placed(_) | Beginning::Browser(_) => MAX_FORWARDS,
        }
    }

    /// The trunk that this side is on, by id.
    pub(super) fn trunk_id(&self, side: Side) -> Option<&String> {
        match side {
            Side::A => {
                let placed = self.placed_leg().map(|leg| &leg.trunk);
                self.from_trunk.as_ref().or(placed)
            }
            Side::B => self.attempt.as_ref().map(|attempt| &attempt.trunk),
        }
    }

    /// The time that its records bear: the wall clock as it was when the call began, and from then
    /// on the clock that never jumps. No setting of the clock makes a call shorter or longer.
    pub(super) fn time(&self, now: Now) -> Timestamp {
        let passed = now.instant.saturating_duration_since(self.started);
        let time = self.started_at.saturating_add(passed);
        time.unwrap_or(now.timestamp)
    }

    pub(super) fn ports(&self, side: Side) -> Option<&Ports> {
        match side {
            Side::A => self.a_media.as_deref(),
            Side::B => self.attempt.as_ref().map(|attempt| &attempt.media),
        }
    }

    pub(super) fn ports_mut(&mut self, side: Side) -> Option<&mut Ports> {
        match side {
            Side::A => self.a_media.as_deref_mut(),
            Side::B => self.attempt.as_mut().map(|attempt| &mut attempt.media),
        }
    }

    /// A guest calls, and nobody has answered.
    pub(super) fn is_ringing_guest(&self) -> bool {
        self.guest().is_some() && self.answered_at.is_none()
    }

    pub(super) fn has_video_pair(&self, pair: PairKey) -> bool {
        let ports = [Side::A, Side::B].map(|side| self.ports(side));
        let videos = ports.into_iter().flatten();
        let mut videos = videos.filter_map(|ports| ports.leg.video);
        videos.any(|video| video.pair == pair)
    }

    /// Each side has said what it takes, and what one speaks the other understands as it is.
    pub(super) fn shares_voice(&self) -> bool {
        let remote = |side| self.ports(side).and_then(|ports| ports.leg.remote());
        let both = remote(Side::A).zip(remote(Side::B));
        both.is_some_and(|(one, other)| share_voice(&one.codecs, &other.codecs))
    }

    pub(super) fn leg_key(&self, side: Side) -> Option<LegKey> {
        match side {
            Side::A => Some(self.a_leg),
            Side::B => self.attempt.as_ref().map(|attempt| attempt.leg),
        }
    }

    /// The trunk on this side.
    pub(super) fn trunk<'a>(&self, side: Side, snapshot: &'a Snapshot) -> Option<&'a Trunk> {
        snapshot.trunk(self.trunk_id(side)?)
    }

    /// Which side a leg is; `None` for an attempt that is over.
    pub(super) fn side(&self, leg: LegKey) -> Option<Side> {
        if leg == self.a_leg {
            return Some(Side::A);
        }
        self.attempt
            .as_ref()
            .filter(|attempt| attempt.leg == leg)
            .map(|_| Side::B)
    }

    /// The other side hears, or shall hear, of something that this one has, and nobody waits for
    /// what it says.
    pub(super) fn is_telling(&self, side: Side) -> bool {
        match &self.reoffer {
            Some(reoffer) => reoffer.from.is_none(),
            None => self.untold.is_some_and(|untold| untold.side == side),
        }
    }

    /// What the caller hears when the callee has chosen; what both have agreed upon since its INVITE
    /// stands until it is told otherwise.
    pub(super) fn answer_to_caller(
        &mut self,
        chosen: &[Codec],
        direction: Direction,
        ptime_ms: Option<u32>,
    ) -> Result<SessionDescription, &'static str> {
        let caller = self.a_media.as_mut().ok_or("call_gone")?;
        if self.has_reoffered_early {
            return caller.leg.last().cloned().ok_or("answer_missing");
        }
        let answer = caller.leg.answer(chosen, direction, ptime_ms);
        answer.map_err(Unusable::as_str)
    }

    pub(super) fn last_description(&self, side: Side) -> Option<SessionDescription> {
        self.ports(side)?.leg.last().cloned()
    }

    /// Where the packets of this side go.
    pub(super) fn media_target(&self, side: Side) -> Target {
        // Nothing is bridged before the answer of a caller that wanted our offer.
        let caller = self.ports(Side::A).and_then(|ports| ports.leg.remote());
        if self.wants_offer && caller.is_none() {
            return Target::Nowhere;
        }
        match (side, self.local_party, self.ports(side.other())) {
            (Side::A, Some(party), _) => party,
            (_, None, Some(other)) => Target::Leg(other.leg.pair),
            (_, _, _) => Target::Nowhere,
        }
    }
}
