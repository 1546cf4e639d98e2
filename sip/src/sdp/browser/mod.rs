//! What browsers say beside RTP: ICE (RFC 8839), DTLS (RFC 8122, RFC 8842), BUNDLE (RFC 8843), and which
//! stream a packet is of (RFC 5576, RFC 8830).
//!
//! It stands in a box of its own, so that a description of SIP, which has none of it, is no larger. What it
//! means is decided in `offer_answer::browser`.

mod read;
mod write;

use std::fmt;
use std::net::SocketAddr;

use arrayvec::ArrayVec;

use super::{ExtMap, Word};

/// `a=group:BUNDLE` lines of a description; further ones are not looked at.
pub const GROUPS_MAX: usize = 4;

/// `a=fingerprint` lines at one place; further ones are not looked at.
pub const FINGERPRINTS_MAX: usize = 4;

/// Candidates of one `m=` line that are kept; further ones are only counted.
pub const CANDIDATES_MAX: usize = 16;

/// `a=candidate` lines of one `m=` line that are looked at at all.
pub const CANDIDATES_SEEN_MAX: u16 = 64;

/// Streams of one `m=` line that `a=ssrc` names; further ones are not looked at.
pub const SOURCES_MAX: usize = 16;

/// Octets of the longest digest that a fingerprint has.
pub const DIGEST_OCTETS_MAX: usize = 64;

/// Where one transport begins: at the session, or at a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransportLines {
    /// `a=ice-ufrag`
    pub ice_ufrag: Option<Word>,
    /// `a=ice-pwd`
    pub ice_pwd: Option<IcePassword>,
    /// `a=ice-options`, as written.
    pub ice_options: Option<Word>,
    /// `a=fingerprint`
    pub fingerprints: ArrayVec<Fingerprint, FINGERPRINTS_MAX>,
    /// `a=setup`
    pub setup: Option<Setup>,
}

/// What a browser says for the whole session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrowserSessionLines {
    /// `a=group:BUNDLE`: the `a=mid` of the lines that share a transport.
    pub bundles: Vec<Vec<Word>>,
    /// `a=ice-lite`
    pub ice_lite: bool,
    /// The defaults of every line.
    pub transport: TransportLines,
    /// `a=extmap` for every line.
    pub extensions: Vec<ExtMap>,
}

/// What a browser says of one `m=` line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrowserLines {
    /// `a=mid`
    pub mid: Option<Word>,
    /// `a=bundle-only`: port 0 is no refusal.
    pub bundle_only: bool,
    /// Of this line.
    pub transport: TransportLines,
    /// `a=candidate`
    pub candidates: Candidates,
    /// `a=end-of-candidates`
    pub end_of_candidates: bool,
    /// `a=rtcp-rsize`
    pub rtcp_rsize: bool,
    /// `a=msid`; the first one.
    pub msid: Option<Msid>,
    /// `a=ssrc`, each number once.
    pub sources: Vec<Source>,
    /// `a=ssrc-group:FID`: a stream and the one that repeats its packets (RFC 4588 §8.8).
    pub repeated_by: Option<(u32, u32)>,
}

/// `a=ice-pwd`. It is a key, so that `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct IcePassword(Word);

impl IcePassword {
    /// Of 22 to 256 ice-chars (RFC 8839 §5.4).
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        is_ice_text(text, 22).then(|| Self(text.into()))
    }

    /// As it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IcePassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IcePassword(…)")
    }
}

/// A user fragment with its password: of one ICE session (RFC 8839 §5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// `a=ice-ufrag`
    pub ufrag: Word,
    /// `a=ice-pwd`
    pub password: IcePassword,
}

impl IceCredentials {
    /// `None`: one of them is too short, too long, or has other characters than ice-chars.
    #[must_use]
    pub fn new(ufrag: &str, password: &str) -> Option<Self> {
        Some(Self {
            ufrag: is_ice_text(ufrag, 4).then(|| ufrag.into())?,
            password: IcePassword::new(password)?,
        })
    }
}

impl TransportLines {
    /// Both halves, where both are here.
    #[must_use]
    pub fn credentials(&self) -> Option<IceCredentials> {
        Some(IceCredentials {
            ufrag: self.ice_ufrag.clone()?,
            password: self.ice_pwd.clone()?,
        })
    }
}

/// `ice-char` of at least so many and at most 256 (RFC 8839 §5.4).
fn is_ice_text(text: &str, least: usize) -> bool {
    (least..=256).contains(&text.len())
        && text
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/'))
}

/// The digest of a certificate (RFC 8122 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// How it is made.
    pub hash: DigestKind,
    /// As many as the kind has.
    pub octets: ArrayVec<u8, DIGEST_OCTETS_MAX>,
}

/// A hash function of [`Fingerprint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestKind {
    /// `sha-1`, which proves nothing any more.
    Sha1,
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

impl DigestKind {
    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// How many octets a digest has.
    #[must_use]
    pub const fn octets(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// Who begins the handshake (RFC 4145 §4, RFC 8842 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setup {
    /// `active`: the writer does.
    Active,
    /// `passive`: the reader does.
    Passive,
    /// `actpass`: as the reader likes.
    ActPass,
    /// `holdconn`: nobody yet.
    HoldConn,
}

impl Setup {
    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
            Self::HoldConn => "holdconn",
        }
    }
}

/// A candidate of the kind that we write: component 1, UDP, a host with a literal address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Alike where the paths are.
    pub foundation: Word,
    /// RFC 8445 §5.1.2.
    pub priority: u32,
    /// Where.
    pub address: SocketAddr,
}

/// The candidates of a line. What was read over is no part of what is said: two that differ in nothing else
/// are equal.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    /// Those of the kind that we write.
    pub hosts: Vec<Candidate>,
    /// How many were read over: names of mDNS, TCP, reflexive ones, and those above the most that is kept.
    pub skipped: u16,
}

impl PartialEq for Candidates {
    fn eq(&self, other: &Self) -> bool {
        self.hosts == other.hosts
    }
}

impl Eq for Candidates {}

/// `a=msid` (RFC 8830 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Msid {
    /// `-`: none.
    pub stream: Word,
    /// The track.
    pub track: Option<Word>,
}

/// A stream that a line names (RFC 5576 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its number.
    pub ssrc: u32,
    /// `cname`
    pub cname: Option<Word>,
}
