//! The offer of a browser and our answer to it (RFC 8829, RFC 8834), as data in, data out.
//!
//! Owns what a browser's offer means ([`read_browser_offer`]) and what we answer ([`BrowserSession`]): as
//! ICE-lite (RFC 8445 §2.5), over one transport, with the codecs that the other side takes. Knows no socket,
//! no handshake and no random source: credentials, fingerprint, addresses and stream numbers are arguments.
//! We never offer to a browser. Nothing is sent to a candidate that an offer names, so that none is kept.

mod answer;
mod level;
mod offer;
mod video;

pub use self::answer::{BrowserAnswer, BrowserSession, BrowserWish, Streams};
pub use self::offer::{BrowserAudio, BrowserOffer, read_browser_offer};
pub use self::video::{AnsweredVideo, BrowserVideo, VideoForm};

use crate::sdp::{Direction, Setup};

/// Addresses of ours that an answer names; further ones are left out.
pub const BROWSER_ADDRESSES_MAX: usize = 8;

/// Why an offer of a browser cannot be answered, in the order in which a line is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum BrowserRefusal {
    /// No audio line with a port.
    #[error("no audio")]
    NoAudio,
    /// No SRTP (RFC 8834 §4.2).
    #[error("no secure profile")]
    NotSecure,
    /// No certificate is promised: SRTP without DTLS.
    #[error("no fingerprint")]
    NoFingerprint,
    /// Only digests that prove nothing any more.
    #[error("weak fingerprint")]
    WeakFingerprint,
    /// Strong digests, and none of them by SHA-256, which is the one that everybody names and we compare
    /// (RFC 8122 §5).
    #[error("no fingerprint by SHA-256")]
    OtherFingerprint,
    /// `a=setup:holdconn`, which has no place in an offer (RFC 8842 §5.2).
    #[error("no handshake")]
    NoHandshake,
    /// No user fragment with a password.
    #[error("no ICE")]
    NoIce,
    /// Both sides would wait for the other one's checks (RFC 8445 §6.1.1).
    #[error("both sides are ICE-lite")]
    BothLite,
    /// RTCP would need a second transport.
    #[error("no rtcp-mux")]
    NoRtcpMux,
    /// No codec for speech that browsers and we have, or that the other side takes.
    #[error("no common codec")]
    NoCommonCodec,
    /// We have no address for browsers.
    #[error("no address of ours")]
    NoAddress,
}

impl BrowserRefusal {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAudio => "browser_no_audio",
            Self::NotSecure => "browser_not_secure",
            Self::NoFingerprint => "browser_no_fingerprint",
            Self::WeakFingerprint => "browser_weak_fingerprint",
            Self::OtherFingerprint => "browser_other_fingerprint",
            Self::NoHandshake => "browser_no_handshake",
            Self::NoIce => "browser_no_ice",
            Self::BothLite => "browser_both_ice_lite",
            Self::NoRtcpMux => "browser_no_rtcp_mux",
            Self::NoCommonCodec => "browser_no_common_codec",
            Self::NoAddress => "browser_no_address",
        }
    }
}

/// Why a call that could be answered has no video; the page says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoVideo {
    /// The browser offers none.
    NotOffered,
    /// Its line has no SRTP.
    NotSecure,
    /// It would need a transport of its own.
    OwnTransport,
    /// RTCP would need a transport of its own.
    NoRtcpMux,
    /// Its packets have the payload type of audio on the same transport.
    SharedNumber,
    /// The other side takes none.
    NotTaken,
    /// No codec, or no way of packing it, that both sides have.
    NoCommonCodec,
}

impl NoVideo {
    /// A stable label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotOffered => "not_offered",
            Self::NotSecure => "not_secure",
            Self::OwnTransport => "own_transport",
            Self::NoRtcpMux => "no_rtcp_mux",
            Self::SharedNumber => "shared_number",
            Self::NotTaken => "not_taken",
            Self::NoCommonCodec => "no_common_codec",
        }
    }
}

/// Which ways the video of a call may go, as the guest sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestVideo {
    /// Both ways.
    SendRecv,
    /// Neither.
    Inactive,
    /// The guest sees and is not seen.
    RecvOnly,
    /// Both ways, but nothing of the guest's passes until it starts its camera.
    RecvOnlyInitially,
}

impl GuestVideo {
    /// What a description to the SIP side may say: the same word, because there we speak for the guest.
    #[must_use]
    pub const fn towards_sip(self) -> Direction {
        match self {
            Self::SendRecv | Self::RecvOnlyInitially => Direction::SendRecv,
            Self::Inactive => Direction::Inactive,
            Self::RecvOnly => Direction::RecvOnly,
        }
    }

    /// What our answer to the browser may say: the inverse.
    #[must_use]
    pub const fn towards_browser(self) -> Direction {
        super::direction::reversed(self.towards_sip())
    }
}

/// Our part in the handshake of DTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DtlsRole {
    /// We begin: `a=setup:active`.
    Client,
    /// We wait: `a=setup:passive`.
    Server,
}

impl DtlsRole {
    const fn setup(self) -> Setup {
        match self {
            Self::Client => Setup::Active,
            Self::Server => Setup::Passive,
        }
    }
}

#[cfg(test)]
mod tests;
