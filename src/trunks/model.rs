//! A trunk: a SIP interconnection and the rules by which it carries calls (PRODUCT §6). Pure.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::fraud_guard::DialPlan;
use crate::links::model::VideoPolicy;

/// A stored trunk.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the row, independent of the rest"
)]
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
    /// How requests reach it, unless one is too long for UDP.
    pub transport: Transport,
    /// Port of ours that it knows us by; `None`: that of the first socket.
    pub local_port: Option<u16>,
    /// The most that our video line towards it may say; the word of a guest page, from the guest's view.
    pub video: VideoPolicy,
    /// Whether our INVITE carries an offer.
    pub offer: OfferMode,
    /// RFC 3262 towards it.
    pub reliable_provisional: ReliableProvisional,
    /// Session-Expires that we ask for (RFC 4028); zero: no session timer.
    pub session_expires: Duration,
    /// The shortest session interval that we take from it.
    pub session_min: Duration,
    /// The request that refreshes a session.
    pub refresh_by: RefreshBy,
    /// How it reads a number.
    pub dial_plan: DialPlan,
    /// Whether its media is protected (RFC 4568).
    pub srtp: SrtpPolicy,
    /// It wants our REGISTER.
    pub register: bool,
    /// The binding's life that we ask for.
    pub register_expires: Duration,
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

/// How requests reach a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// RFC 3261 §18, one message a datagram.
    Udp,
    /// One connection, used both ways.
    Tcp,
}

/// Whether our INVITE carries an offer (RFC 3264, RFC 6337 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferMode {
    /// In the INVITE.
    Early,
    /// The callee offers in its 2xx, we answer in the ACK.
    Delayed,
}

/// Reliable provisional responses (RFC 3262).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReliableProvisional {
    /// Not spoken of.
    Off,
    /// `Supported: 100rel`.
    Supported,
    /// `Require: 100rel`.
    Required,
}

/// The request that refreshes a session (RFC 4028 §7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshBy {
    /// re-INVITE.
    Invite,
    /// UPDATE, where the peer allows it.
    Update,
}

/// Whether media is protected, with keys in the description (RFC 4568).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SrtpPolicy {
    /// Keys are neither offered nor taken.
    #[default]
    Off,
    /// Where the peer has keys.
    Preferred,
    /// No call without.
    Required,
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

impl Trunk {
    /// True when a pattern covers the destination; a trunk without patterns carries all.
    #[must_use]
    pub fn covers(&self, user: &str, domain: &str) -> bool {
        self.patterns.is_empty()
            || self
                .patterns
                .iter()
                .any(|pattern| pattern.matches(user, domain))
    }

    /// The user part as it goes into the Request-URI: `strip` digits off the front, then `prefix`.
    /// A leading `+` is no digit and goes with the first one stripped.
    #[must_use]
    pub fn rewrite(&self, user: &str) -> String {
        let mut rest = user;
        if self.strip > 0 {
            rest = rest.strip_prefix('+').unwrap_or(rest);
            for _ in 0..self.strip {
                rest = rest
                    .strip_prefix(|character: char| character.is_ascii_digit())
                    .unwrap_or(rest);
            }
        }
        format!("{}{rest}", self.prefix)
    }

    /// Names of our codecs that this trunk takes, asked one by one. Case does not matter.
    #[must_use]
    pub fn takes_codec(&self, name: &str) -> bool {
        self.codecs.is_empty()
            || self
                .codecs
                .iter()
                .any(|codec| codec.eq_ignore_ascii_case(name))
    }

    /// True when `source` is the address and port of a target.
    #[must_use]
    pub fn has_target(&self, source: SocketAddr) -> bool {
        let same = |target: &TrunkTarget| {
            target.address.ip().to_canonical() == source.ip().to_canonical()
                && target.address.port() == source.port()
        };
        self.targets.iter().any(same)
    }

    /// True when packets from `source` are this trunk's: the address of a target, or one of its
    /// networks. On this machine itself the port tells who is who.
    #[must_use]
    pub fn owns_source(&self, source: SocketAddr) -> bool {
        let address = source.ip().to_canonical();
        let is_target = |target: &TrunkTarget| {
            let same = target.address.ip().to_canonical() == address;
            same && (!address.is_loopback() || target.address.port() == source.port())
        };
        self.targets.iter().any(is_target)
            || self
                .networks
                .iter()
                .any(|network| network.contains(address))
    }

    /// The cap on calls that we send; `None`: no cap.
    #[must_use]
    pub fn outbound_cap(&self) -> Option<u32> {
        cap(self.max_outbound, self.max_calls)
    }

    /// The cap on calls that it sends us; `None`: no cap.
    #[must_use]
    pub fn inbound_cap(&self) -> Option<u32> {
        cap(self.max_inbound, self.max_calls)
    }

    /// The cap on calls in both directions; `None`: no cap.
    #[must_use]
    pub fn total_cap(&self) -> Option<u32> {
        u32::try_from(self.max_calls).ok()
    }
}

/// -1 in the direction's own cap means the total.
fn cap(own: i32, total: i32) -> Option<u32> {
    u32::try_from(own)
        .or_else(|_negative| u32::try_from(total))
        .ok()
}

impl NumberPattern {
    /// True when this rule covers the destination.
    #[must_use]
    pub fn matches(&self, user: &str, domain: &str) -> bool {
        match self {
            Self::Exact(exact) => user == exact,
            Self::Prefix(prefix) => user.starts_with(prefix.as_str()),
            Self::Domain(name) => domain.eq_ignore_ascii_case(name),
        }
    }
}

impl Network {
    /// True when `address` lies within; an IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let host_bits = 32_u32.saturating_sub(u32::from(self.prefix_length));
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let host_bits = 128_u32.saturating_sub(u32::from(self.prefix_length));
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::trunks::shape::{StoredTrunk, TrunkShape};

    /// A trunk with the defaults of PRODUCT §6 and one target that nobody asks by OPTIONS.
    pub(crate) fn trunk(id: &str, address: &str) -> Trunk {
        let shape = TrunkShape {
            label: id.into(),
            options_interval_up_s: Duration::ZERO,
            options_interval_down_s: Duration::ZERO,
            ..TrunkShape::default()
        };
        let stored = StoredTrunk {
            id: id.into(),
            shape,
            password: None,
        };
        stored.trunk(vec![TrunkTarget {
            address: address.parse().unwrap(),
            priority: 0,
            weight: 1,
        }])
    }

    #[test]
    fn rewriting_strips_digits_and_puts_the_prefix_in_front() {
        let mut trunk = trunk("tr_1", "192.0.2.1:5060");
        assert_eq!(trunk.rewrite("+442071234567"), "+442071234567");
        trunk.strip = 2;
        trunk.prefix = "0".into();
        assert_eq!(trunk.rewrite("+442071234567"), "02071234567");
        assert_eq!(trunk.rewrite("442071234567"), "02071234567");
        assert_eq!(trunk.rewrite("alice"), "0alice");
        trunk.strip = 200;
        assert_eq!(trunk.rewrite("123"), "0");
    }

    #[test]
    fn patterns_cover_users_and_domains() {
        let mut trunk = trunk("tr_1", "192.0.2.1:5060");
        assert!(trunk.covers("610", "example.com"));
        trunk.patterns = vec![
            NumberPattern::Exact("610".into()),
            NumberPattern::Prefix("+44".into()),
            NumberPattern::Domain("Example.com".into()),
        ];
        assert!(trunk.covers("610", "other"));
        assert!(trunk.covers("+4420", "other"));
        assert!(trunk.covers("alice", "example.COM"));
        assert!(!trunk.covers("6100", "other"));
    }

    #[test]
    fn networks_compare_only_their_prefix() {
        let network = |text: &str, prefix_length| Network {
            address: text.parse().unwrap(),
            prefix_length,
        };
        assert!(network("10.1.2.3", 8).contains("10.9.9.9".parse().unwrap()));
        assert!(!network("10.1.2.3", 32).contains("10.1.2.4".parse().unwrap()));
        assert!(network("0.0.0.0", 0).contains("203.0.113.9".parse().unwrap()));
        assert!(!network("0.0.0.0", 0).contains("2001:db8::1".parse().unwrap()));
        assert!(network("10.0.0.0", 8).contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(network("2001:db8::", 32).contains("2001:db8:1::1".parse().unwrap()));
        assert!(!network("2001:db8::", 32).contains("2001:db9::1".parse().unwrap()));
    }

    #[test]
    fn own_cap_stands_before_the_total() {
        let mut trunk = trunk("tr_1", "192.0.2.1:5060");
        assert_eq!((trunk.outbound_cap(), trunk.total_cap()), (None, None));
        trunk.max_calls = 5;
        assert_eq!(trunk.outbound_cap(), Some(5));
        trunk.max_outbound = 0;
        assert_eq!(
            (trunk.outbound_cap(), trunk.inbound_cap()),
            (Some(0), Some(5))
        );
    }
}
