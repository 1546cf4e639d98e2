//! What the door for guests counts: who came in, and every reason for which somebody did not.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a page, a WebSocket or a frame was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GuestRefused {
    /// No node handles calls here.
    NoNode,
    /// A page or WebSocket for a host that is not this node.
    ForeignHost,
    /// A WebSocket from a page of another site.
    ForeignOrigin,
    /// A WebSocket without the cookie of its page.
    NoCookie,
    /// All WebSockets at once are in use.
    TooManyConnections,
    /// Those of this client are.
    TooManyOfClient,
    /// This client loads pages too often.
    TooManyLoads,
    /// This client calls too often.
    TooManyCalls,
    /// Nothing came in time: no `hello`, or no `call` after it.
    Late,
    /// No frame of ours, or one at the wrong moment.
    BadFrame,
    /// Too large a frame.
    FrameTooLarge,
    /// Too many frames a second.
    TooManyFrames,
    /// No call token of this browser.
    BadToken,
    /// The page was loaded too long ago.
    TokenExpired,
    /// This page has a call already.
    AlreadyOpen,
    /// No call waits for this resume token.
    UnknownResume,
    /// The description cannot be read.
    BadSdp,
    /// No keys of a telephone.
    BadDigits,
    /// The link cannot be called now.
    Link,
    /// Too much waits for call control.
    Busy,
    /// The node stops.
    Stopping,
    /// The kernel gave no randomness.
    NoRandomness,
}

impl GuestRefused {
    /// All of them.
    pub(super) const ALL: [Self; 22] = [
        Self::NoNode,
        Self::ForeignHost,
        Self::ForeignOrigin,
        Self::NoCookie,
        Self::TooManyConnections,
        Self::TooManyOfClient,
        Self::TooManyLoads,
        Self::TooManyCalls,
        Self::Late,
        Self::BadFrame,
        Self::FrameTooLarge,
        Self::TooManyFrames,
        Self::BadToken,
        Self::TokenExpired,
        Self::AlreadyOpen,
        Self::UnknownResume,
        Self::BadSdp,
        Self::BadDigits,
        Self::Link,
        Self::Busy,
        Self::Stopping,
        Self::NoRandomness,
    ];

    /// A stable word, for pages and metrics.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoNode => "no_node",
            Self::ForeignHost => "foreign_host",
            Self::ForeignOrigin => "foreign_origin",
            Self::NoCookie => "no_cookie",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyOfClient => "too_many_of_client",
            Self::TooManyLoads => "too_many_loads",
            Self::TooManyCalls => "too_many_calls",
            Self::Late => "late",
            Self::BadFrame => "bad_frame",
            Self::FrameTooLarge => "frame_too_large",
            Self::TooManyFrames => "too_many_frames",
            Self::BadToken => "bad_token",
            Self::TokenExpired => "token_expired",
            Self::AlreadyOpen => "already_open",
            Self::UnknownResume => "unknown_resume",
            Self::BadSdp => "bad_sdp",
            Self::BadDigits => "bad_digits",
            Self::Link => "link",
            Self::Busy => "too_busy",
            Self::Stopping => "node_stopping",
            Self::NoRandomness => "no_randomness",
        }
    }
}

/// Totals of a node.
#[derive(Debug, Default)]
pub struct GuestFigures {
    refused: [AtomicU64; GuestRefused::ALL.len()],
    /// Pages from which a call can be made.
    pub pages: AtomicU64,
    /// Calls that went on over another WebSocket.
    pub resumed: AtomicU64,
    /// WebSockets now.
    pub connections: AtomicU64,
}

impl GuestFigures {
    /// One more.
    pub(super) fn refuse(&self, why: GuestRefused) {
        let place = GuestRefused::ALL.iter().position(|known| *known == why);
        if let Some(count) = place.and_then(|place| self.refused.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often each was given.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = GuestRefused::ALL.into_iter().zip(&self.refused);
        counts.map(|(why, count)| (why.as_str(), count.load(Ordering::Relaxed)))
    }
}
