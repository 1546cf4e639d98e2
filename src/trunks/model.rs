//! A trunk: a SIP interconnection and the rules by which it carries calls (PRODUCT §6). Pure.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A stored trunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Trunk {
    /// `tr_` and 12 hexadecimal digits. Never changes.
    pub id: String,
    /// For people; never routes.
    pub label: String,
    /// Off: carries nothing, is not pinged.
    pub enabled: bool,
    /// Where to: by priority, then weight.
    pub targets: Vec<TrunkTarget>,
    /// Lowest first.
    pub priority: u16,
    /// Among trunks of equal priority.
    pub weight: u16,
    /// May we send calls there.
    pub carries_terminating: bool,
    /// May it send calls to links that its source policy lists.
    pub carries_originating: bool,
    /// Calls at once in both directions; -1: no cap.
    pub max_calls: i32,
    /// Calls at once that it sends us; -1: use `max_calls`, 0: off.
    pub max_inbound: i32,
    /// Calls at once that we send; -1: use `max_calls`, 0: off.
    pub max_outbound: i32,
    /// New attempts a second that we send; 0: no cap.
    pub max_cps: u32,
    /// Which destinations it carries; empty: all.
    pub patterns: Vec<NumberPattern>,
    /// Digits taken from the front of the user part, before `prefix`.
    pub strip: u8,
    /// Put before the user part.
    pub prefix: String,
    /// Codec names in order (`PCMU`, `PCMA`, `G722`, `opus`, …); empty: all that we know.
    pub codecs: Vec<String>,
    /// How the caller is written.
    pub identity: IdentityProfile,
    /// Transliterate names to ASCII.
    pub ascii_names: bool,
    /// This side is within our trust domain (RFC 3325): PAI survives privacy.
    pub trusted: bool,
    /// Host of From, PAI and RPID; `None`: our advertised address.
    pub from_host: Option<String>,
    /// Host of Request-URI and To; `None`: the destination's own domain.
    pub request_host: Option<String>,
    /// Digest user name.
    pub username: Option<String>,
    /// Digest password (from a file, never returned or logged).
    pub password: Option<Secret>,
    /// Digest realm; `None`: the realm that the trunk's own peer names first.
    pub realm: Option<String>,
    /// Until any response.
    pub response_timeout: Duration,
    /// Until a 101 to 199.
    pub progress_timeout: Duration,
    /// Until the final response.
    pub ring_timeout: Duration,
    /// Final statuses after which the next trunk is tried.
    pub failover_codes: Vec<u16>,
    /// OPTIONS while up; zero: never, always up.
    pub options_interval_up: Duration,
    /// OPTIONS while down.
    pub options_interval_down: Duration,
    /// Statuses that mean "down"; every other final response means "up".
    pub down_codes: Vec<u16>,
    /// Networks whose packets are this trunk's (beside its targets' addresses).
    pub networks: Vec<Network>,
    /// How media sources are learnt.
    pub media_latch: MediaLatch,
    /// The address we name in SDP towards it; `None`: the media address itself.
    pub advertised_media_address: Option<IpAddr>,
    /// DSCP of media and signalling.
    pub dscp: u8,
    /// Trunk-to-trunk calls are allowed (needed on both).
    pub transit: bool,
    /// Request paths that this trunk's own calls may reach: its addresses are a source with these
    /// links only.
    pub links: Vec<String>,
}

/// A word that is never printed, logged or returned: its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a clear text.
    #[must_use]
    pub const fn new(clear: String) -> Self {
        Self(clear)
    }

    /// The clear text, for the one place that computes with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// One address of a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrunkTarget {
    /// Address and port (names are resolved when the trunk is loaded).
    pub address: SocketAddr,
    /// Lowest first.
    pub priority: u16,
    /// Among targets of equal priority.
    pub weight: u16,
}

/// One rule of what a trunk carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberPattern {
    /// The user part is exactly this.
    Exact(String),
    /// The user part begins with this.
    Prefix(String),
    /// The domain of the destination is this.
    Domain(String),
}

/// How the caller is written (PRODUCT §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityProfile {
    /// From and Remote-Party-ID (cucm, expressway).
    Rpid,
    /// From and P-Asserted-Identity.
    Pai,
    /// Both.
    RpidAndPai,
    /// From only.
    None,
}

/// `media_latch` of PRODUCT §9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaLatch {
    /// The SDP address; the port may move once.
    Sdp,
    /// The signalling source's address.
    Signalling,
    /// Any.
    Any,
}

/// A network: address and prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address in it.
    pub address: IpAddr,
    /// 0 to 32 or 128.
    pub prefix_length: u8,
}
