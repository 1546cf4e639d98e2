//! Calls, legs and the state of trunks as JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::call::command::{CallPage, RegistrationState, TargetState, TrunkState};
use crate::call::view::{CallState, CallView, LegView};

/// A call.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CallShape {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) origin: String,
    pub(crate) source: String,
    pub(crate) link: Option<i64>,
    pub(crate) request_path: String,
    pub(crate) started_at: Timestamp,
    pub(crate) answered_at: Option<Timestamp>,
    pub(crate) cause: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) legs: Vec<LegShape>,
}

impl From<CallView> for CallShape {
    fn from(call: CallView) -> Self {
        Self {
            id: call.id,
            state: call.state.as_str().to_owned(),
            origin: call.origin.as_str().to_owned(),
            source: call.source,
            link: call.link,
            request_path: call.request_path,
            started_at: call.started_at,
            answered_at: call.answered_at,
            cause: call.cause.map(str::to_owned),
            attempts: call.attempts,
            legs: call.legs.into_iter().map(LegShape::from).collect(),
        }
    }
}

/// A side of a call.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LegShape {
    pub(crate) side: String,
    pub(crate) state: String,
    pub(crate) trunk: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) party: String,
    pub(crate) ringing_at: Option<Timestamp>,
    pub(crate) answered_at: Option<Timestamp>,
    pub(crate) codec: Option<String>,
    pub(crate) srtp: Option<String>,
    pub(crate) held: bool,
}

impl From<LegView> for LegShape {
    fn from(leg: LegView) -> Self {
        Self {
            side: leg.side.as_str().to_owned(),
            state: leg.state.as_str().to_owned(),
            trunk: leg.trunk,
            address: leg.address.map(|address| address.to_string()),
            party: leg.party,
            ringing_at: leg.ringing_at,
            answered_at: leg.answered_at,
            codec: leg.codec,
            srtp: leg.srtp.map(str::to_owned),
            held: leg.held,
        }
    }
}

/// A page of calls.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CallPageShape {
    pub(crate) calls: Vec<CallShape>,
    pub(crate) next: Option<u64>,
    pub(crate) live: usize,
}

impl From<CallPage> for CallPageShape {
    fn from(page: CallPage) -> Self {
        Self {
            calls: page.calls.into_iter().map(CallShape::from).collect(),
            next: page.next,
            live: page.live,
        }
    }
}

/// How a trunk is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TrunkStateShape {
    id: String,
    label: String,
    enabled: bool,
    up: bool,
    targets: Vec<TargetStateShape>,
    calls_sent: u32,
    calls_received: u32,
    registration: Option<RegistrationShape>,
}

/// How our registration with a trunk is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RegistrationShape {
    state: String,
    expires_at: Option<Timestamp>,
    next_at: Option<Timestamp>,
    failures: u32,
    last_refusal: Option<String>,
    last_refused_at: Option<Timestamp>,
}

impl From<&RegistrationState> for RegistrationShape {
    fn from(state: &RegistrationState) -> Self {
        let refusal = state.last_refusal.map(|(_, status)| match status {
            Some(status) => status.to_string(),
            None => NO_ANSWER.to_owned(),
        });
        Self {
            state: state.standing.as_str().to_owned(),
            expires_at: state.expires_at,
            next_at: state.next_at,
            failures: state.failures,
            last_refusal: refusal,
            last_refused_at: state.last_refusal.map(|(at, _)| at),
        }
    }
}

/// In the place of a status.
const NO_ANSWER: &str = "no_answer";

impl From<&TrunkState> for TrunkStateShape {
    fn from(trunk: &TrunkState) -> Self {
        Self {
            id: trunk.id.clone(),
            label: trunk.label.clone(),
            enabled: trunk.enabled,
            up: trunk.up,
            targets: trunk.targets.iter().map(TargetStateShape::from).collect(),
            calls_sent: trunk.calls_sent,
            calls_received: trunk.calls_received,
            registration: trunk.registration.as_ref().map(RegistrationShape::from),
        }
    }
}

/// How an address of a trunk is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TargetStateShape {
    address: String,
    up: bool,
    pinged: bool,
}

impl From<&TargetState> for TargetStateShape {
    fn from(target: &TargetState) -> Self {
        Self {
            address: target.address.to_string(),
            up: target.up,
            pinged: target.pinged,
        }
    }
}

/// The state that a query names.
pub(super) fn state_named(word: &str) -> Option<CallState> {
    CallState::ALL
        .into_iter()
        .find(|state| state.as_str() == word)
}
