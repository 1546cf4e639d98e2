//! A call as somebody outside sees it: what it is, how far, over which trunks.

use std::net::SocketAddr;

use jiff::Timestamp;

use super::one_call::{Beginning, Call, Ports, Side};
use crate::links::model::LinkId;

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallView {
    /// 128 bits in hexadecimal, the first 48 of them the millisecond of its begin; the same as in its record.
    pub id: String,
    /// How far it is.
    pub state: CallState,
    /// Who began it.
    pub origin: Origin,
    /// The source that it came from, or the token that placed it.
    pub source: String,
    /// The link that it reaches.
    pub link: Option<LinkId>,
    /// What was asked for: a request path, or the destination.
    pub request_path: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When both sides were joined.
    pub answered_at: Option<Timestamp>,
    /// Why it ends, where that is known.
    pub cause: Option<&'static str>,
    /// Attempts so far, both legs.
    pub attempts: u32,
    /// Its legs, as far as they are there.
    pub legs: Vec<LegView>,
}

/// A side of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct LegView {
    /// `a`: the caller, or the party that was dialled first.
    pub side: LegSide,
    /// How far it is.
    pub state: CallState,
    /// The trunk, by id; `None`: no trunk's (a source, a local party).
    pub trunk: Option<String>,
    /// Where its signalling goes.
    pub address: Option<SocketAddr>,
    /// Who it is: the caller as it names itself, the destination as dialled, `local:echo`.
    pub party: String,
    /// It rings since.
    pub ringing_at: Option<Timestamp>,
    /// It answered.
    pub answered_at: Option<Timestamp>,
    /// The codec for speech.
    pub codec: Option<String>,
    /// The suite that protects its media (RFC 4568); `None`: plain RTP.
    pub srtp: Option<&'static str>,
    /// Media does not flow both ways.
    pub held: bool,
}

/// Which side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegSide {
    /// The first.
    A,
    /// The second.
    B,
}

/// Who began a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An INVITE came.
    Offered,
    /// It was placed by a command.
    Placed,
    /// A guest's browser wanted it.
    Browser,
}

/// How far a call or a leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallState {
    /// An INVITE is on its way, and nothing rings yet.
    Calling,
    /// It rings.
    Ringing,
    /// A placed call whose first party has answered and whose second has not.
    Connecting,
    /// Both sides are joined.
    Connected,
    /// Over.
    Ended,
}

impl LegSide {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

impl Origin {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Placed => "placed",
            Self::Browser => "browser",
        }
    }
}

impl CallState {
    /// All of them, in the order of a call.
    pub const ALL: [Self; 5] = [
        Self::Calling,
        Self::Ringing,
        Self::Connecting,
        Self::Connected,
        Self::Ended,
    ];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calling => "calling",
            Self::Ringing => "ringing",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Ended => "ended",
        }
    }
}

impl Call {
    /// How far it is.
    pub(super) fn state(&self) -> CallState {
        let ringing = |since: Option<Timestamp>| match since {
            Some(_) => CallState::Ringing,
            None => CallState::Calling,
        };
        if self.over || self.ending.is_some() {
            return CallState::Ended;
        }
        if self.answered_at.is_some() {
            return CallState::Connected;
        }
        match self.placed_leg() {
            Some(leg) if leg.answered_at.is_some() => CallState::Connecting,
            Some(leg) => ringing(leg.ringing_at),
            None => ringing(self.attempt.as_ref().and_then(|attempt| attempt.ringing_at)),
        }
    }

    /// The call, for somebody outside.
    pub(super) fn view(&self) -> CallView {
        let state = self.state();
        let mut legs: Vec<LegView> = self.view_of_caller(state).into_iter().collect();
        legs.extend(self.view_of_callee());
        let (origin, request_path) = match &self.beginning {
            Beginning::Offered(offered) => (
                Origin::Offered,
                offered
                    .request_uri
                    .user()
                    .map(std::borrow::Cow::into_owned)
                    .unwrap_or_default(),
            ),
            Beginning::Placed(placed) => (Origin::Placed, placed.request_path.clone()),
            Beginning::Browser(guest) => (Origin::Browser, guest.request_path.clone()),
        };
        CallView {
            id: self.id.clone(),
            state,
            origin,
            source: self.source.clone(),
            link: self.link,
            request_path,
            started_at: self.started_at,
            answered_at: self.answered_at,
            cause: self.ending.map(|ending| ending.cause),
            attempts: self.attempts,
            legs,
        }
    }

    fn view_of_caller(&self, state: CallState) -> Option<LegView> {
        let ports = self.ports(Side::A);
        let (codec, srtp) = (codec(ports), srtp(ports));
        let held = self.answered_at.is_some() && ports.is_some_and(|ports| ports.leg.is_held());
        match &self.beginning {
            Beginning::Offered(offered) => Some(LegView {
                side: LegSide::A,
                state,
                trunk: self.from_trunk.clone(),
                address: Some(offered.flow.remote),
                party: offered.from.uri().as_str().to_owned(),
                ringing_at: None,
                answered_at: self.answered_at,
                codec,
                srtp,
                held,
            }),
            Beginning::Placed(placed) => placed.leg.as_ref().map(|leg| LegView {
                side: LegSide::A,
                state: state_of_leg(leg.ringing_at, leg.answered_at),
                trunk: Some(leg.trunk.clone()),
                address: Some(leg.target),
                party: leg.destination.clone(),
                ringing_at: leg.ringing_at,
                answered_at: leg.answered_at,
                codec,
                srtp,
                held,
            }),
            Beginning::Browser(guest) => Some(LegView {
                side: LegSide::A,
                state,
                trunk: None,
                address: None,
                party: guest.client.to_string(),
                ringing_at: None,
                answered_at: self.answered_at,
                codec,
                srtp,
                held,
            }),
        }
    }

    fn view_of_callee(&self) -> Option<LegView> {
        if let Some(party) = self.local_party.and_then(super::local_party::name) {
            return Some(LegView {
                side: LegSide::B,
                state: self.state(),
                trunk: None,
                address: None,
                party: party.to_owned(),
                ringing_at: None,
                answered_at: self.answered_at,
                codec: codec(self.ports(Side::A)),
                srtp: None,
                held: false,
            });
        }
        let attempt = self.attempt.as_ref()?;
        Some(LegView {
            side: LegSide::B,
            state: state_of_leg(attempt.ringing_at, attempt.answered_at),
            trunk: Some(attempt.trunk.clone()),
            address: Some(attempt.target),
            party: attempt.destination.clone(),
            ringing_at: attempt.ringing_at,
            answered_at: attempt.answered_at,
            codec: codec(Some(&attempt.media)),
            srtp: srtp(Some(&attempt.media)),
            held: attempt.answered_at.is_some() && attempt.media.leg.is_held(),
        })
    }
}

const fn state_of_leg(ringing_at: Option<Timestamp>, answered_at: Option<Timestamp>) -> CallState {
    match (ringing_at, answered_at) {
        (_, Some(_)) => CallState::Connected,
        (Some(_), None) => CallState::Ringing,
        (None, None) => CallState::Calling,
    }
}

/// The first codec for speech that the peer named: the one it sends, as far as that can be known.
fn codec(ports: Option<&Ports>) -> Option<String> {
    let remote = ports?.leg.remote()?;
    let speech = remote.codecs.iter().find(|codec| codec.is_speech())?;
    Some(speech.name.to_string())
}

fn srtp(ports: Option<&Ports>) -> Option<&'static str> {
    ports?.leg.suite()
}

#[cfg(test)]
impl CallView {
    /// A call that is over.
    pub(super) fn ended(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            state: CallState::Ended,
            origin: Origin::Placed,
            source: String::new(),
            link: None,
            request_path: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            answered_at: None,
            cause: None,
            attempts: 0,
            legs: Vec::new(),
        }
    }
}
