//! Session descriptions (RFC 8866): the part of the syntax that a gateway acts on.
//!
//! Owns reading and writing of text. What an offer means and how it is answered is decided in
//! `offer_answer`. Lines and attributes that nobody here acts on (`i=`, `b=` of other kinds than a line's AS and TIAS, …) are read over and not written again: we are a party to each session, so what
//! crosses us is what we say ourselves.
//!
//! The reader is our own. `sdp-types` refuses a whole description for one unusual line that we
//! would read over, and keeps every attribute as owned text; it stays an oracle for our writer.

mod attribute;
mod browser;
mod parse;
mod write;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

pub use self::attribute::{Bandwidth, Direction, ExtMap, Feedback, Fmtp, Rtcp, RtpMap};
pub use self::browser::{
    BrowserLines, BrowserSessionLines, CANDIDATES_MAX, CANDIDATES_SEEN_MAX, Candidate, Candidates,
    DIGEST_OCTETS_MAX, DigestKind, FINGERPRINTS_MAX, Fingerprint, GROUPS_MAX, IceCredentials,
    IcePassword, Msid, SOURCES_MAX, Setup, Source, TransportLines,
};

/// A word of a description: up to 23 octets stand in place, a longer one is shared by its copies.
pub type Word = smol_str::SmolStr;

/// Largest description that is read. Offers of browsers have 8 KiB.
pub const SDP_SIZE_MAX: usize = 32_768;

/// `m=` lines of one description. Each must be answered, so a description with more is refused.
pub const MEDIA_MAX: usize = 32;

/// Formats of one `m=` line; further ones are not looked at.
pub const FORMATS_MAX: usize = 64;

/// `a=crypto` lines of one `m=` line; further ones are not looked at.
pub const CRYPTO_MAX: usize = 32;

/// `a=rtcp-fb` lines of one `m=` line; further ones are not looked at. Browsers that only receive name 77.
pub const FEEDBACK_MAX: usize = 128;

/// `a=extmap` lines of one `m=` line; further ones are not looked at.
pub const EXTENSIONS_MAX: usize = 32;

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDescription {
    /// `o=`
    pub origin: Origin,
    /// `c=` of the session, the default of every `m=` line.
    pub connection: Option<Host>,
    /// The direction attribute of the session, the default of every `m=` line.
    pub direction: Option<Direction>,
    /// What browsers say; `None`: nothing of it.
    pub browser: Option<Box<BrowserSessionLines>>,
    /// `m=` lines in their order.
    pub media: MediaLines,
}

/// The `m=` lines of a description, shared by its copies until one of them changes: what was said is kept
/// by each side of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MediaLines(Arc<Vec<MediaDescription>>);

impl From<Vec<MediaDescription>> for MediaLines {
    fn from(lines: Vec<MediaDescription>) -> Self {
        Self(Arc::new(lines))
    }
}

impl FromIterator<MediaDescription> for MediaLines {
    fn from_iter<I: IntoIterator<Item = MediaDescription>>(lines: I) -> Self {
        Self(Arc::new(lines.into_iter().collect()))
    }
}

impl Deref for MediaLines {
    type Target = Vec<MediaDescription>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for MediaLines {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}

impl<'a> IntoIterator for &'a MediaLines {
    type Item = &'a MediaDescription;
    type IntoIter = std::slice::Iter<'a, MediaDescription>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// `o=` (RFC 8866 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The user name, `-` for none.
    pub username: Word,
    /// Numeric by the RFC; any text is kept.
    pub session_id: Word,
    /// Raised by one with every change (RFC 3264 §8).
    pub version: u64,
    /// Where the session was made.
    pub address: Host,
}

/// An address of `o=`, `c=` or `a=rtcp`. TTL and count of multicast are read over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A literal address.
    Address(IpAddr),
    /// A name; we do not resolve names of SDP.
    Name(Word),
}

impl Host {
    /// The address, where it is one.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(_) => None,
        }
    }

    /// `0.0.0.0` and `::`, which RFC 2543 peers send for hold.
    #[must_use]
    pub const fn is_unspecified(&self) -> bool {
        match self {
            Self::Address(address) => address.is_unspecified(),
            Self::Name(_) => false,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

/// The first word of an `m=` line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `application`
    Application,
    /// Any other word.
    Other(Word),
}

impl MediaKind {
    /// As it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Application => "application",
            Self::Other(word) => word,
        }
    }
}

/// One `m=` line with what belongs to it (RFC 8866 §5.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaDescription {
    /// Audio, video, …
    pub kind: MediaKind,
    /// The port; 0: refused or not used.
    pub port: u16,
    /// `RTP/AVP`, `RTP/SAVP`, `UDP/BFCP`, …; as written.
    pub protocol: Word,
    /// Payload types for RTP, any text for other protocols; in their order.
    pub formats: Vec<Word>,
    /// `c=` of this line.
    pub connection: Option<Host>,
    /// The direction attribute of this line.
    pub direction: Option<Direction>,
    /// `b=`: AS and TIAS, each once.
    pub bandwidth: Bandwidth,
    /// `a=rtpmap`
    pub rtpmaps: Vec<RtpMap>,
    /// `a=fmtp`
    pub fmtps: Vec<Fmtp>,
    /// `a=ptime` in milliseconds.
    pub ptime_ms: Option<u32>,
    /// `a=rtcp` (RFC 3605).
    pub rtcp: Option<Rtcp>,
    /// `a=rtcp-mux` (RFC 5761).
    pub rtcp_mux: bool,
    /// `a=crypto` (RFC 4568), each without `a=crypto:`, as written.
    pub crypto: Vec<CryptoText>,
    /// `a=rtcp-fb` (RFC 4585 §4.2).
    pub feedback: Vec<Feedback>,
    /// `a=extmap` (RFC 8285).
    pub extensions: Vec<ExtMap>,
    /// `a=content` (RFC 4796): `main`, `slides`, …, as written.
    pub content: Option<Word>,
    /// What browsers say; `None`: nothing of it.
    pub browser: Option<Box<BrowserLines>>,
}

/// What stands after `a=crypto:`. It holds a key, so that `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct CryptoText(Word);

impl From<&str> for CryptoText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Deref for CryptoText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CryptoText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CryptoText(…)")
    }
}

impl MediaDescription {
    /// A line without formats and attributes.
    #[must_use]
    pub const fn new(kind: MediaKind, port: u16, protocol: Word) -> Self {
        Self {
            kind,
            port,
            protocol,
            formats: Vec::new(),
            connection: None,
            direction: None,
            bandwidth: Bandwidth::UNSAID,
            rtpmaps: Vec::new(),
            fmtps: Vec::new(),
            ptime_ms: None,
            rtcp: None,
            rtcp_mux: false,
            crypto: Vec::new(),
            feedback: Vec::new(),
            extensions: Vec::new(),
            content: None,
            browser: None,
        }
    }

    /// The `rtpmap` of this payload type.
    #[must_use]
    pub fn rtpmap(&self, payload_type: u8) -> Option<&RtpMap> {
        self.rtpmaps
            .iter()
            .find(|map| map.payload_type == payload_type)
    }

    /// The `fmtp` parameters of this payload type.
    #[must_use]
    pub fn fmtp(&self, payload_type: u8) -> Option<&str> {
        self.fmtps
            .iter()
            .find(|fmtp| fmtp.payload_type == payload_type)
            .map(|fmtp| &*fmtp.parameters)
    }

    /// The formats that are RTP payload types, in their order.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> + '_ {
        self.formats
            .iter()
            .filter_map(|format| format.parse().ok())
            .filter(|&number| number < 128)
    }
}

impl SessionDescription {
    /// The address that holds for this line: its own, else that of the session.
    #[must_use]
    pub fn connection_of<'a>(&'a self, media: &'a MediaDescription) -> Option<&'a Host> {
        media.connection.as_ref().or(self.connection.as_ref())
    }

    /// The direction that holds for this line: its own, else that of the session, else sendrecv
    /// (RFC 8866 §6.7).
    #[must_use]
    pub fn direction_of(&self, media: &MediaDescription) -> Direction {
        media
            .direction
            .or(self.direction)
            .unwrap_or(Direction::SendRecv)
    }
}

#[cfg(test)]
mod tests;
