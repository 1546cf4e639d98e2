//! REGISTER in both directions, as the world outside this crate sees it (RFC 3261 §10).
//!
//! Owns plain data only: what is asked for, what was offered, how it ended. The binding table of a
//! registrar, and when to register again, are the affair of whoever uses the endpoint.

use std::time::Duration;

use crate::event::{Credentials, Flow};
use crate::message::{HeaderName, NameAddr, StatusCode, Uri};
use crate::table::Key;

/// Our key of a registration that we make. It stays valid until the registration is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegisterKey(pub Key);

/// Our key of a REGISTER of the peer's that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegisterRequestKey(pub Key);

/// A registration with a trunk (RFC 3261 §10.2).
#[derive(Debug, Clone)]
pub struct Register {
    /// Which socket, which address.
    pub flow: Flow,
    /// The Request-URI: the domain, without a user part (RFC 3261 §10.2).
    pub registrar: Uri,
    /// The address of record: To and From.
    pub aor: Uri,
    /// User part of our Contact.
    pub contact_user: Box<str>,
    /// How long it shall last; whole seconds.
    pub expires: Duration,
    /// For one answer to 401 or 407.
    pub credentials: Option<Credentials>,
    /// Give up after this long without a final response.
    pub timeout: Duration,
}

/// How one REGISTER of ours ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// A 2xx.
    Registered {
        /// How long it lasts, as the registrar says of our Contact; zero after it was taken back.
        expires: Duration,
        /// Values of Service-Route in their order (RFC 3608), bounded.
        service_route: Vec<Box<[u8]>>,
    },
    /// A final response of 300 and above (401, 407 and 423 after their one try), and its
    /// Retry-After.
    Refused(StatusCode, Option<Duration>),
    /// No final response in time.
    NoResponse,
    /// The transport refused the request.
    TransportFailed,
}

impl RegisterOutcome {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "registered",
            Self::Refused(..) => "refused",
            Self::NoResponse => "no_response",
            Self::TransportFailed => "transport_failed",
        }
    }
}

/// A REGISTER of a peer's (RFC 3261 §10.3). It waits for `answer_register`, 24 s at most:
/// then it gets 504.
#[derive(Debug, Clone)]
pub struct RegisterOffered {
    /// Where it came from; requests to the extension go back by it.
    pub flow: Flow,
    /// The Request-URI: the domain that is asked.
    pub request_uri: Uri,
    /// The address of record: the URI of To.
    pub aor: Uri,
    /// The contacts in their order, bounded; one that cannot be read is refused before.
    pub contacts: Vec<RegisteredContact>,
    /// `Contact: *`: all contacts shall go; only with an Expires of zero (RFC 3261 §10.3 step 6).
    pub star: bool,
    /// Expires, for contacts without a parameter of their own.
    pub expires: Option<u32>,
    /// Values of Authorization and Proxy-Authorization, bounded, for `auth::server`.
    pub authorization: Vec<Box<[u8]>>,
    /// Call-ID: with `cseq` it tells an old request from a new one (RFC 3261 §10.3 step 7).
    pub call_id: Box<[u8]>,
    /// Number of CSeq.
    pub cseq: u32,
    /// Of User-Agent, bounded.
    pub headers: Vec<(HeaderName, Box<[u8]>)>,
}

/// One Contact of a REGISTER.
#[derive(Debug, Clone)]
pub struct RegisteredContact {
    /// Where the extension is.
    pub uri: Uri,
    /// Its own `expires` in seconds; a malformed one is as none (RFC 3261 §10.3 step 7).
    pub expires: Option<u32>,
    /// `q` in thousandths, 1,000 where none is readable.
    pub preference: u16,
    /// As it stood, with every parameter.
    pub address: NameAddr,
}
