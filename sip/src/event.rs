//! Every word the core exchanges with the world.
//!
//! Owns plain data only. `Input` is what the world says, `Event` is what call control hears,
//! `Dial` and its neighbours are what call control asks for, `Output` is what the shell must do.

use std::net::SocketAddr;
use std::time::Duration;

pub use crate::cause::Q850;
use crate::message::{HeaderName, Method, NameAddr, StatusCode, Uri};
pub use crate::registration::{
    Register, RegisterKey, RegisterOffered, RegisterOutcome, RegisterRequestKey, RegisteredContact,
};
use crate::sdp::SessionDescription;
pub use crate::session_timer::SessionTimer;
use crate::table::Key;

/// The transport a message came by or leaves by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// RFC 3261 §18, one message a datagram.
    Udp,
    /// RFC 3261 §18, a stream of messages.
    Tcp,
}

impl Transport {
    /// The word in a Via (RFC 3261 §20.42).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }

    /// True where the transport itself repeats what is lost (RFC 3261 §17: no timers A, E and G).
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp => true,
        }
    }
}

/// The path a message came by, or leaves by (RFC 5626's word). Of a connection, the shell knows which
/// one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// UDP or TCP.
    pub transport: Transport,
    /// Our address as messages name it: which of our sockets, or which of our listeners, also where
    /// the connection leaves from another port.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
}

/// A caller as the shares of the tables know it: its address, of which an IPv6 host owns a whole /64.
/// On this machine the port tells who is who.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerAddress {
    network: u128,
    port: u16,
}

impl CallerAddress {
    /// The caller at `remote`.
    #[must_use]
    pub fn of(remote: SocketAddr) -> Self {
        let address = remote.ip().to_canonical();
        let port = if address.is_loopback() {
            remote.port()
        } else {
            0
        };
        let network = match address {
            std::net::IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            std::net::IpAddr::V6(address) if address.is_loopback() => address.to_bits(),
            std::net::IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
        };
        Self { network, port }
    }
}

/// What whoever hands in a message knows of its sender, for new calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// The group of callers that it belongs to: the tables are shared fairly between its addresses, and
    /// between groups. `None`: a trunk, which sends at the full rate from one address and has all the
    /// room that there is.
    pub group: Option<u64>,
    /// It has had its share of this second's new calls: another one gets 503 without state, unless it
    /// is an emergency.
    pub is_too_fast: bool,
}

/// Our key of a call: an a-leg and its b-legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(pub Key);

/// Our key of a leg: one dialog, or the attempt at one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegKey(pub Key);

/// Our key of an OPTIONS request that we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PingKey(pub Key);

/// What the world says.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A datagram, or one whole message of a stream, from a source that the shell has let in (an
    /// unknown source is never fed here).
    Datagram {
        /// The path it came by.
        flow: Flow,
        /// All of it.
        bytes: &'a [u8],
    },
    /// A send on this flow failed, or the kernel reported an ICMP error for it; or a connection could
    /// not be made, or is closed.
    TransportFailed {
        /// The path that does not work.
        flow: Flow,
    },
    /// Time has passed: whatever is due at `now` happens.
    Expired,
}

/// What the shell must do, or call control must hear.
#[derive(Debug)]
pub enum Output {
    /// Send what is in the send buffer on this flow.
    Send {
        /// The path.
        flow: Flow,
    },
    /// Call control must decide or record.
    Event(Event),
}

/// What call control hears.
#[derive(Debug)]
pub enum Event {
    /// An INVITE outside a dialog. 100 has been sent. Call control answers with `ring`, `answer`,
    /// `dial` or `refuse`.
    CallOffered {
        /// The new call.
        call: CallKey,
        /// Its a-leg.
        a_leg: LegKey,
        /// What was asked for.
        offered: Box<CallOffered>,
    },
    /// A provisional response above 100 on a b-leg.
    Progress {
        /// The call.
        call: CallKey,
        /// The b-leg.
        leg: LegKey,
        /// 101 to 199.
        status: StatusCode,
        /// The answer, where the response carried one (early media).
        answer: Option<Box<SessionDescription>>,
        /// The answer came in a reliable response (RFC 3262 §5): offer and answer are exchanged, and
        /// the early dialog can be changed by UPDATE.
        answered_reliably: bool,
        /// Who the callee says it is: Remote-Party-ID, P-Asserted-Identity, Privacy; in order, bounded.
        connected: Vec<(HeaderName, Box<[u8]>)>,
    },
    /// A b-leg answered. The ACK has been sent, unless the answer to the callee's offer must go with
    /// it: then call control calls `acknowledge`. Call control calls `answer` for the a-leg.
    Answered {
        /// The call.
        call: CallKey,
        /// The b-leg.
        leg: LegKey,
        /// What the callee wrote of itself.
        answered: Box<Answered>,
    },
    /// An attempt ended without an answer; the call goes on. Call control dials the next trunk or
    /// refuses the call.
    AttemptFailed {
        /// The call.
        call: CallKey,
        /// The b-leg, which is gone with this event.
        leg: LegKey,
        /// Why.
        failure: AttemptFailure,
        /// The Reason of the failure (RFC 3326): its Q.850 cause, or what its SIP cause stands for.
        reason: Option<Q850>,
    },
    /// A 2xx came for an attempt already left: it was acknowledged and ended with BYE. For the CDR.
    LateAnswer {
        /// The call, where it still lives.
        call: CallKey,
        /// The b-leg.
        leg: LegKey,
    },
    /// The caller acknowledged our 2xx.
    Confirmed {
        /// The call.
        call: CallKey,
    },
    /// A new offer within the dialog of this leg (re-INVITE, UPDATE, or the PRACK of early media).
    /// Call control answers with `answer_reoffer` or `refuse_reoffer`, as a rule after it has
    /// `reoffer`ed to the other leg. The leg may be early: then the offer came by UPDATE or PRACK.
    Reoffered {
        /// The call.
        call: CallKey,
        /// The leg that offers.
        leg: LegKey,
        /// The offer; `None`: the request had no body and wants our offer in the 2xx.
        offer: Option<Box<SessionDescription>>,
        /// Who the peer says it is now: Remote-Party-ID, P-Asserted-Identity, Privacy.
        connected: Vec<(HeaderName, Box<[u8]>)>,
    },
    /// The peer says who it is now, and nothing else (an UPDATE without an offer). It has been
    /// answered.
    ConnectedChanged {
        /// The call.
        call: CallKey,
        /// The leg whose peer spoke.
        leg: LegKey,
        /// Remote-Party-ID, P-Asserted-Identity, Privacy; at least one.
        connected: Vec<(HeaderName, Box<[u8]>)>,
    },
    /// The peer's offer cannot be answered any more, and its session stays as it was: it cancelled
    /// its re-INVITE (RFC 3261 §9.2, 487 has been sent), or its UPDATE waited too long (RFC 3311 §5.2,
    /// 504 has been sent).
    ReofferCancelled {
        /// The call.
        call: CallKey,
        /// The leg that had offered.
        leg: LegKey,
    },
    /// The ACK of an INVITE or re-INVITE without an offer, which we answered with an offer. An ACK
    /// that never comes is `Ended` with `NoAck` instead.
    ReofferCompleted {
        /// The call.
        call: CallKey,
        /// The leg.
        leg: LegKey,
        /// The answer in the ACK.
        answer: Result<Box<SessionDescription>, AnswerFault>,
    },
    /// Our re-INVITE or UPDATE was answered.
    ReofferAnswered {
        /// The call.
        call: CallKey,
        /// The leg we asked.
        leg: LegKey,
        /// The answer; `None` where the 2xx had no readable one.
        answer: Option<Box<SessionDescription>>,
    },
    /// Our refresh of the session was answered with a description (RFC 4028 §7.4). It may say something
    /// new.
    Refreshed {
        /// The call.
        call: CallKey,
        /// The leg we asked.
        leg: LegKey,
        /// The answer.
        answer: Box<SessionDescription>,
    },
    /// Our re-INVITE or UPDATE was refused; the session stays as it was (RFC 3261 §14.1). 491 has
    /// been retried already.
    ReofferRefused {
        /// The call.
        call: CallKey,
        /// The leg we asked.
        leg: LegKey,
        /// The final status, or 408 for none.
        status: StatusCode,
    },
    /// The call is over. What had to be sent to either side has been queued; the keys stay valid
    /// until `CallGone`.
    Ended {
        /// The call.
        call: CallKey,
        /// Who ended it.
        by: ReleaseParty,
        /// How.
        cause: EndCause,
        /// The Reason of the BYE or CANCEL that ended it (RFC 3326); the other side was told.
        reason: Option<Q850>,
    },
    /// Every dialog and transaction of the call is gone; its keys are free.
    CallGone {
        /// The call.
        call: CallKey,
    },
    /// Our OPTIONS was answered or not.
    PingEnded {
        /// The key `ping` returned.
        ping: PingKey,
        /// `None`: no final response, or the transport failed.
        status: Option<StatusCode>,
    },
    /// An INFO within the dialog of this leg (RFC 6086), of a type in `EndpointConfig::info_types`.
    /// It has been answered with 200. A relay calls `inform` for the other leg.
    InfoReceived {
        /// The call.
        call: CallKey,
        /// The leg whose peer sent it.
        leg: LegKey,
        /// The media type, in lower case, without parameters; empty where there was no body.
        content_type: Box<str>,
        /// The body, at most `limits::INFO_BODY_SIZE_MAX` octets.
        body: Box<[u8]>,
    },
    /// A REGISTER of ours was answered or not. The key stays, for `refresh_register`.
    RegisterEnded {
        /// The key `register` returned.
        register: RegisterKey,
        /// How.
        outcome: RegisterOutcome,
    },
    /// A REGISTER of the peer's: it waits for `answer_register`. Only where
    /// `EndpointConfig::allow` names REGISTER.
    RegisterOffered {
        /// Names it in `answer_register`.
        request: RegisterRequestKey,
        /// What it asks for.
        offered: Box<RegisterOffered>,
    },
    /// A message was discarded or answered with an error before any call saw it.
    Dropped {
        /// From where.
        flow: Flow,
        /// Why.
        reason: crate::error::DropReason,
    },
}

impl Event {
    /// The call it is about.
    #[must_use]
    pub const fn call(&self) -> Option<CallKey> {
        match self {
            Self::CallOffered { call, .. }
            | Self::Progress { call, .. }
            | Self::Answered { call, .. }
            | Self::AttemptFailed { call, .. }
            | Self::LateAnswer { call, .. }
            | Self::Confirmed { call }
            | Self::Reoffered { call, .. }
            | Self::ConnectedChanged { call, .. }
            | Self::ReofferCancelled { call, .. }
            | Self::ReofferCompleted { call, .. }
            | Self::ReofferAnswered { call, .. }
            | Self::Refreshed { call, .. }
            | Self::ReofferRefused { call, .. }
            | Self::InfoReceived { call, .. }
            | Self::Ended { call, .. }
            | Self::CallGone { call } => Some(*call),
            Self::PingEnded { .. }
            | Self::RegisterEnded { .. }
            | Self::RegisterOffered { .. }
            | Self::Dropped { .. } => None,
        }
    }
}

/// An INVITE as call control sees it.
#[derive(Debug, Clone)]
pub struct CallOffered {
    /// Where it came from.
    pub flow: Flow,
    /// The Request-URI.
    pub request_uri: Uri,
    /// From.
    pub from: NameAddr,
    /// To.
    pub to: NameAddr,
    /// The Call-ID header, for logs and CDRs.
    pub call_id: Box<str>,
    /// The Max-Forwards it came with (70 where absent), already found above zero.
    pub max_forwards: u8,
    /// The offer; `None`: the INVITE had no body.
    pub offer: Option<Box<SessionDescription>>,
    /// The headers that identity and header mapping read (P-Asserted-Identity, Remote-Party-ID,
    /// Privacy, Diversion, User-Agent), name and raw value, in order, bounded.
    pub headers: Vec<(HeaderName, Box<[u8]>)>,
    /// What the caller can do.
    pub supported: Supported,
    /// Values of Authorization and Proxy-Authorization, bounded, for `auth::server`.
    pub authorization: Vec<Box<[u8]>>,
    /// To `urn:service:sos` or one of `EndpointConfig::emergency_numbers`.
    pub is_emergency: bool,
}

/// What the other side says it can do, in Supported, Require and Allow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of a header, there or not"
)]
pub struct Supported {
    /// `Supported` or `Require: 100rel` (RFC 3262).
    pub reliable: bool,
    /// `Require: 100rel`: each provisional response above 100 must be reliable.
    pub required_reliable: bool,
    /// `Supported` or `Require: timer` (RFC 4028).
    pub timer: bool,
    /// `Allow` names UPDATE (RFC 3311).
    pub update: bool,
}

/// Why an ACK that owes us the answer brings none (RFC 3261 §13.2.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFault {
    /// It has no session description.
    Absent,
    /// It has one that cannot be read.
    Unreadable,
}

impl AnswerFault {
    /// A stable label for counters and CDRs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "ack_without_answer",
            Self::Unreadable => "ack_unreadable",
        }
    }
}

/// The answer of a callee.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The answer to our offer; `None` where there was none, or none that can be read.
    pub answer: Option<SessionDescription>,
    /// The callee's offer, where the INVITE had none: the ACK waits for `acknowledge`.
    pub offer: Option<SessionDescription>,
    /// 200 to 299.
    pub status: StatusCode,
    /// Who the callee says it is: Remote-Party-ID, P-Asserted-Identity, Privacy.
    pub connected: Vec<(HeaderName, Box<[u8]>)>,
}

/// Why an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptFailure {
    /// A final response of 300 and above (401 and 407 after one digest try).
    Refused(StatusCode),
    /// No response at all within `response_timeout`.
    NoResponse,
    /// A 100, but no 101 to 199 within `progress_timeout`.
    NoProgress,
    /// It rang for `ring_timeout`.
    NoAnswer,
    /// The transport refused the request.
    TransportFailed,
    /// `abandon` was called.
    Abandoned,
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseParty {
    /// The a-leg: CANCEL or BYE.
    Originating,
    /// The b-leg: BYE, or its final failure.
    Terminating,
    /// We: a command, a timer, a limit.
    Gateway,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// BYE.
    Bye,
    /// CANCEL before the answer.
    Cancelled,
    /// We sent this final failure to the a-leg; of a placed call, the a-leg ended with it.
    Refused(StatusCode),
    /// Our 2xx was never acknowledged within 64·T1 (RFC 3261 §13.3.1.4).
    NoAck,
    /// Call control gave no answer to the callee's offer within 64·T1: its 2xx was acknowledged with
    /// every line refused, and BYE was sent.
    OfferUnanswered,
    /// The caller's INVITE expired before it was answered (RFC 3261 §13.3.1): 487 was sent.
    Expired,
    /// A request within the dialog was answered 408 or 481 (RFC 5057 §5.1), or not at all.
    DialogLost,
    /// No session refresh came in time (RFC 4028 §10).
    SessionExpired,
    /// The `hang_up` command.
    Commanded,
}

/// One attempt towards a trunk: a fresh dialog (new Call-ID, new tags).
#[derive(Debug, Clone)]
pub struct Dial {
    /// Which socket, which address.
    pub flow: Flow,
    /// The Request-URI.
    pub request_uri: Uri,
    /// From, without a tag.
    pub from: NameAddr,
    /// To, without a tag.
    pub to: NameAddr,
    /// User part of our Contact.
    pub contact_user: Box<str>,
    /// Further headers as they shall stand (P-Asserted-Identity, Remote-Party-ID, Privacy, …).
    pub headers: Vec<(HeaderName, Box<[u8]>)>,
    /// Max-Forwards to write: the incoming one minus one (RFC 7332).
    pub max_forwards: u8,
    /// Our offer; `None`: the callee offers in its 2xx (delayed offer, RFC 3261 §13.2.1).
    pub offer: Option<SessionDescription>,
    /// Reliable provisional responses; never asked for by an INVITE without an offer.
    pub reliable: Reliable,
    /// For one answer to 401 or 407 that this trunk's own peer sends.
    pub credentials: Option<Credentials>,
    /// The session timer that we ask for (RFC 4028 §7.1); `None`: none.
    pub session_timer: Option<SessionTimer>,
    /// How long to wait for what.
    pub timers: AttemptTimers,
}

/// What an INVITE of ours says of reliable provisional responses (RFC 3262 §4). One that comes is
/// acknowledged by PRACK whatever was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Reliable {
    /// Nothing.
    Off,
    /// `Supported: 100rel`.
    #[default]
    Supported,
    /// `Require: 100rel`.
    Required,
}

/// The method of an offer within a dialog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RefreshBy {
    /// re-INVITE (RFC 3261 §14).
    #[default]
    Invite,
    /// UPDATE (RFC 3311) where the peer's Allow names it, else re-INVITE.
    Update,
}

/// The time an attempt gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptTimers {
    /// Until any response; 100 counts.
    pub response: Duration,
    /// Until a 101 to 199.
    pub progress: Duration,
    /// Until the final response.
    pub ring: Duration,
}

/// User name and password of a trunk. `Debug` does not show the password.
#[derive(Clone)]
pub struct Credentials {
    /// The user name.
    pub username: Box<str>,
    /// The password.
    pub password: Box<str>,
    /// Only a challenge with this realm is answered; `None`: the first realm that the peer names.
    pub realm: Option<Box<str>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// An OPTIONS request outside a dialog.
#[derive(Debug, Clone)]
pub struct Ping {
    /// Which socket, which address.
    pub flow: Flow,
    /// The Request-URI, also the URI of To.
    pub request_uri: Uri,
    /// URI of From.
    pub from: Uri,
    /// Give up after this long.
    pub timeout: Duration,
}

/// Something a response or a refusal carries beside its status.
#[derive(Debug, Clone, Default)]
pub struct Refusal {
    /// `Retry-After` in whole seconds.
    pub retry_after: Option<Duration>,
    /// Text of a `Warning: 399` header, or of `Reason`; ASCII.
    pub warning: Option<Box<str>>,
    /// Q.850 cause for a `Reason` header.
    pub q850_cause: Option<u8>,
    /// Further headers of a failure: WWW-Authenticate and the like. BYE and CANCEL have none.
    pub headers: Vec<(HeaderName, Box<[u8]>)>,
}

/// What this endpoint is, set once.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// The number of this endpoint; the ids it makes carry it.
    pub number: u8,
    /// Seed of the one generator behind tags, branches, Call-IDs and back-off.
    pub seed: [u8; 32],
    /// `User-Agent` and `Server`; empty: neither is sent.
    pub product: Box<str>,
    /// Bounds; see `limits`.
    pub calls_max: u32,
    /// New calls a second that the tables shall hold, beside what `calls_max` lets expect.
    pub calls_per_second: u32,
    /// True while draining: INVITE and OPTIONS outside a dialog get 503.
    pub draining: bool,
    /// RFC 3261 §17 T1, T2, T4. `Timers::default()` is the RFC's.
    pub timers: Timers,
    /// What an INVITE, OPTIONS or other request outside a dialog may be: methods we list in Allow.
    pub allow: Vec<Method>,
    /// Each UDP socket has a TCP listener at its address: a request too long for a datagram goes by
    /// TCP, and by UDP after all where that fails (RFC 3261 §18.1.1).
    pub tcp: bool,
    /// Early media goes to a caller that supports 100rel in a reliable response, also where it does
    /// not require one (RFC 3262 §3).
    pub reliable_early_media: bool,
    /// The session timer towards callers (RFC 4028 §9); `None`: a caller's wish is not answered.
    pub session_timer: Option<SessionTimer>,
    /// Media types of INFO bodies that are taken, in lower case; another gets 415. INFO is taken
    /// only where `allow` names it.
    pub info_types: Vec<Box<str>>,
    /// User parts that are emergency numbers (`112`): taken also in overload. `urn:service:sos` is.
    pub emergency_numbers: Vec<Box<str>>,
}

impl Default for EndpointConfig {
    /// A seed of zeros: whoever goes to the network sets one from the kernel.
    fn default() -> Self {
        Self {
            number: 0,
            seed: [0; 32],
            product: "Sluice".into(),
            calls_max: 100,
            calls_per_second: 0,
            draining: false,
            timers: Timers::default(),
            allow: vec![
                Method::Invite,
                Method::Ack,
                Method::Cancel,
                Method::Bye,
                Method::Options,
            ],
            tcp: false,
            reliable_early_media: false,
            session_timer: None,
            info_types: Vec::new(),
            emergency_numbers: Vec::new(),
        }
    }
}

/// The base timers of RFC 3261 §17.1.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate, 500 ms.
    pub t1: Duration,
    /// Longest retransmission interval, 4 s.
    pub t2: Duration,
    /// Longest life of a message in the network, 5 s.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        }
    }
}
