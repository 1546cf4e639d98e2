//! What goes wrong, grouped by who is to blame, each with a stable label.

use crate::message::Defect;

/// Why bytes are no SIP message. Nothing can be answered to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// Only line ends: somebody keeps a path open (RFC 5626 §3.5.1).
    #[error("keep-alive")]
    KeepAlive,
    /// Larger than a message may be.
    #[error("too large")]
    TooLarge,
    /// No first line.
    #[error("no start line")]
    NoStartLine,
    /// The first line is neither a request line nor a status line.
    #[error("not SIP")]
    NotSip,
    /// The status is not three digits from 100 to 699.
    #[error("bad status code")]
    StatusCode,
}

impl ParseError {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeepAlive => "keep_alive",
            Self::TooLarge => "too_large",
            Self::NoStartLine => "no_start_line",
            Self::NotSip => "not_sip",
            Self::StatusCode => "status_code",
        }
    }
}

/// Why a session description cannot be used (488 to an offer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SdpError {
    /// Larger than we read.
    #[error("too large")]
    TooLarge,
    /// It does not begin with `v=0`.
    #[error("no version")]
    Version,
    /// `o=` is absent or malformed.
    #[error("bad origin")]
    Origin,
    /// A `c=` line is malformed.
    #[error("bad connection")]
    Connection,
    /// An `m=` line is malformed.
    #[error("bad media")]
    Media,
    /// More `m=` lines than we answer.
    #[error("too many media")]
    TooManyMedia,
}

impl SdpError {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "sdp_too_large",
            Self::Version => "sdp_version",
            Self::Origin => "sdp_origin",
            Self::Connection => "sdp_connection",
            Self::Media => "sdp_media",
            Self::TooManyMedia => "sdp_too_many_media",
        }
    }
}

/// Why a message was discarded, or answered with an error, before any call saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Not SIP.
    Unreadable(ParseError),
    /// SIP with a defect; answered where `validate` named a status.
    Malformed(Defect),
}

impl DropReason {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable(error) => error.as_str(),
            Self::Malformed(defect) => defect.as_str(),
        }
    }
}
