//! What somebody may ask of call control, and what comes back: place a call, look at those that are
//! up, end one. Plain data: who asks and how the answer travels is the shell's business.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use sip::event::Flow;

use super::ladder::LadderView;
use super::view::CallView;
use crate::fraud_guard::{Explanation, Question};
use crate::links::resolve::{ResolveRefusal, ResolvedLink};
use crate::registration::Standing;

/// Calls on one page of a list.
pub const PAGE_CALLS_MAX: usize = 200;
/// Calls that one list looks at: more come with the next page, so that no list holds up signalling.
pub const SCAN_CALLS_MAX: usize = 2_000;
/// Phones on one page of a list.
pub const PAGE_PHONES_MAX: usize = 1_000;
const _: () = assert!(PAGE_CALLS_MAX <= SCAN_CALLS_MAX);

/// A question or an order.
#[derive(Debug, Clone)]
pub enum Command {
    /// Joins two parties (PRODUCT §2): `from` is dialled first.
    Place(Box<PlaceCall>),
    /// Ends a call at any stage.
    End {
        /// Its id.
        call: String,
        /// The word for its record.
        cause: &'static str,
    },
    /// The calls that are up or being set up.
    List(ListCalls),
    /// One call.
    Show {
        /// Its id.
        call: String,
    },
    /// The SIP messages of one call.
    Ladder {
        /// Its id.
        call: String,
    },
    /// How each trunk is.
    ListTrunkStates,
    /// Each target of a trunk that is asked by OPTIONS is asked now, so that calls go where somebody
    /// has just seen an answer.
    PingTrunk {
        /// Its id.
        trunk: String,
    },
    /// Phones that are registered.
    ListPhones(ListPhones),
    /// What the guard would say to a number; nothing is counted.
    Explain(Question),
}

/// An order for a call.
#[derive(Debug, Clone)]
pub struct PlaceCall {
    /// Whose order it is, and what that one may do.
    pub grant: Grant,
    /// The address it came from, for the guard and the record.
    pub client: Option<IpAddr>,
    /// Told twice with the same key, it is one order.
    pub idempotency: Option<Idempotency>,
    /// The party that is dialled first.
    pub from: Party,
    /// The party that it is joined with.
    pub to: PlaceTo,
}

/// A party by its address; a trunk chooses the way there, never the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// User part, not escaped.
    pub user: String,
    /// Its domain; `None`: the SIP domain.
    pub domain: Option<String>,
}

/// Whom the first party is joined with.
#[derive(Debug, Clone)]
pub enum PlaceTo {
    /// What a link reaches, with the link's caller.
    Link(Box<ResolvedLink>),
    /// A party, with a caller of its own.
    Party {
        /// Whom.
        party: Party,
        /// The trunk that must carry it, by id.
        trunk: Option<String>,
        /// The name shown to it.
        caller_name: String,
        /// The number shown to it.
        caller_alias: String,
    },
}

/// What the token behind an order allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The token's id: what its calls are counted under.
    pub token: String,
    /// Trunks that its calls may use, by id; `None`: all.
    pub trunks: Option<Vec<String>>,
    /// Orders within a minute; `None`: no cap.
    pub calls_per_minute: Option<u32>,
    /// Calls at once; `None`: no cap.
    pub concurrent_calls: Option<u32>,
}

impl Grant {
    /// Somebody without caps.
    #[must_use]
    pub fn unlimited(token: impl Into<String>) -> Self {
        Self {
            token: token.into(),
            trunks: None,
            calls_per_minute: None,
            concurrent_calls: None,
        }
    }
}

/// What makes two orders one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The key the client chose; it is unique within a token.
    pub key: String,
    /// A digest of the order: the same key with another order is refused.
    pub digest: [u8; 32],
}

/// Which calls, from where on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListCalls {
    /// `next` of the page before.
    pub after: Option<u64>,
    /// How many at most; [`PAGE_CALLS_MAX`] at most.
    pub limit: usize,
    /// Only calls with a leg on this trunk, by id.
    pub trunk: Option<String>,
    /// Only calls of this link, by id.
    pub link: Option<i64>,
    /// Only calls in this state.
    pub state: Option<super::view::CallState>,
}

/// Which phones, from where on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPhones {
    /// `next` of the page before.
    pub after: String,
    /// How many at most; [`PAGE_PHONES_MAX`] at most. An extension is shown whole, a page longer by
    /// its phones.
    pub limit: usize,
    /// Only those of this extension, by name.
    pub extension: Option<String>,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandOutcome {
    /// The call is on its way.
    Placed {
        /// As it is now.
        call: Box<CallView>,
        /// The order was known already; this is its call.
        repeated: bool,
    },
    /// The call ends.
    Ended,
    /// A page of calls.
    Calls(CallPage),
    /// A call.
    Call(Box<CallView>),
    /// Its messages.
    Ladder(LadderView),
    /// The trunks.
    TrunkStates(Vec<TrunkState>),
    /// Its targets are asked.
    TrunkPinged,
    /// A page of phones.
    Phones(PhonePage),
    /// What the guard has told.
    Explained(Box<Explanation>),
}

/// A page of a list, oldest call first.
#[derive(Debug, Clone, PartialEq)]
pub struct CallPage {
    /// The calls.
    pub calls: Vec<CallView>,
    /// What to ask for next; `None`: that was all.
    pub next: Option<u64>,
    /// Calls up or being set up, all of them.
    pub live: usize,
}

/// A page of phones, by extension, the one that rings first before the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PhonePage {
    /// The phones.
    pub phones: Vec<PhoneState>,
    /// What to ask for next; `None`: that was all.
    pub next: Option<String>,
    /// Phones that are registered, all of them.
    pub total: usize,
}

/// A phone that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneState {
    /// Name of its extension.
    pub extension: String,
    /// Its Contact: the Request-URI of calls to it.
    pub contact: String,
    /// The path that it registered by.
    pub flow: Flow,
    /// What it calls itself.
    pub user_agent: String,
    /// It registered, or refreshed that, the last time.
    pub refreshed_at: Timestamp,
    /// It is gone from then on, unless it refreshes.
    pub expires_at: Timestamp,
}

/// How our registration with a trunk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationState {
    /// `registered`, `registering` or `waiting`.
    pub standing: Standing,
    /// The binding holds until then.
    pub expires_at: Option<Timestamp>,
    /// The next REGISTER; `None`: one is on its way.
    pub next_at: Option<Timestamp>,
    /// Tries in a row that failed.
    pub failures: u32,
    /// The last try that failed since start: when, and with which status; none: nobody answered.
    pub last_refusal: Option<(Timestamp, Option<u16>)>,
}

/// How a trunk is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkState {
    /// Its id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// It may carry calls.
    pub enabled: bool,
    /// A target is up.
    pub up: bool,
    /// Each of its addresses.
    pub targets: Vec<TargetState>,
    /// Calls and attempts that we send.
    pub calls_sent: u32,
    /// Calls that it sends us.
    pub calls_received: u32,
    /// Our registration with it, where it wants one.
    pub registration: Option<RegistrationState>,
}

/// How one address of a trunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetState {
    /// The address.
    pub address: SocketAddr,
    /// It answers, or is not asked.
    pub up: bool,
    /// It is asked by OPTIONS.
    pub pinged: bool,
}

/// Why a command is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandRefusal {
    /// Ours: more commands wait than may.
    Busy,
    /// Ours: this node stops, or has no signalling.
    Stopped,
    /// Ours: a fault of ours lost it.
    Lost,
    /// Ours: no new calls while draining.
    Draining,
    /// The asker's: there is no such call.
    NoSuchCall,
    /// The asker's: there is no such trunk.
    NoSuchTrunk,
    /// The asker's: of this call no messages are kept.
    NoLadder,
    /// The asker's: its token may not use the trunk.
    TokenTrunk,
    /// The asker's: as many orders of its token as allowed came within a minute.
    TokenCallsPerMinute,
    /// The asker's: as many calls of its token as allowed are up.
    TokenConcurrentCalls,
    /// The asker's: the key stands for another order.
    IdempotencyConflict,
    /// The asker's: there is no such link, or nobody shall learn what else it was.
    UnknownLink,
    /// The call could not begin; the record has it.
    Unplaced {
        /// The SIP status that it would have been.
        status: u16,
        /// Stable word.
        cause: &'static str,
        /// When trying again makes sense.
        retry_after: Option<Duration>,
    },
}

impl CommandRefusal {
    /// Stable word for the problem document and the counter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "commands_full",
            Self::Stopped => "node_stopped",
            Self::Lost => "internal_error",
            Self::Draining => "draining",
            Self::NoSuchCall => "no_such_call",
            Self::NoSuchTrunk => "no_such_trunk",
            Self::NoLadder => "no_ladder",
            Self::TokenTrunk => "token_trunk",
            Self::TokenCallsPerMinute => "token_calls_per_minute",
            Self::TokenConcurrentCalls => "token_concurrent_calls",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::UnknownLink => ResolveRefusal::Unknown.as_str(),
            Self::Unplaced { cause, .. } => cause,
        }
    }

    /// When trying again makes sense.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Busy => Some(Duration::from_secs(1)),
            Self::TokenCallsPerMinute | Self::TokenConcurrentCalls => Some(Duration::from_secs(10)),
            Self::Unplaced { retry_after, .. } => retry_after,
            Self::Stopped
            | Self::Lost
            | Self::Draining
            | Self::NoSuchCall
            | Self::NoSuchTrunk
            | Self::NoLadder
            | Self::TokenTrunk
            | Self::IdempotencyConflict
            | Self::UnknownLink => None,
        }
    }
}
