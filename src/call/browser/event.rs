//! What a guest's browser and call control say to each other. Plain data: how it travels is the shell's
//! business.

use std::net::IpAddr;
use std::time::Duration;

use sip::sdp::{Direction, SessionDescription};

use crate::links::resolve::ResolvedLink;

/// One page's wish for a call, from its first word to the last one. The shell chooses it and never uses it
/// twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GuestKey(pub u64);

/// What a browser says.
#[derive(Debug)]
pub enum BrowserInput {
    /// A call begins: the first word of its key.
    Call(Box<BrowserCall>),
    /// Another offer of the page: the one that [`BrowserOutput::Renegotiate`] asked for, a restart of
    /// ICE, a camera that was turned on.
    Offer(Box<SessionDescription>),
    /// Digits of the keypad: 0 to 9, `*`, `#`, A to D; others are left out.
    Digits(String),
    /// The guest starts or ends its camera, where the link lets it begin without one.
    Camera(bool),
    /// The guest hangs up, or leaves the page.
    HangUp,
    /// Its signalling is gone without a word.
    Lost,
    /// And is there again.
    Resumed,
}

/// A guest's wish for a call.
#[derive(Debug)]
pub struct BrowserCall {
    /// What its link means, as it was resolved a moment ago, with the name that the guest gave itself.
    pub link: ResolvedLink,
    /// The browser's offer.
    pub offer: SessionDescription,
    /// Where it comes from, for the guard and the record.
    pub client: IpAddr,
}

/// What a browser is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrowserOutput {
    /// The answer to its last offer.
    Answer {
        /// As it leaves.
        description: Box<SessionDescription>,
        /// Which way video goes, from our side, or the word for why there is none.
        video: Result<Direction, &'static str>,
    },
    /// Its last offer cannot be answered; what held before still holds.
    OfferRefused {
        /// Stable word.
        cause: &'static str,
    },
    /// The page shall make a new offer.
    Renegotiate,
    /// How the call is.
    State(GuestState),
    /// How digits of the page's keypad reach the callee, from now on.
    Keypad(KeypadWay),
    /// It is over; the last word of its key.
    Ended {
        /// Stable word.
        cause: &'static str,
        /// The SIP status that it would have been.
        status: u16,
        /// When trying again makes sense.
        retry_after: Option<Duration>,
    },
}

/// How digits reach a callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeypadWay {
    /// As events of the browser's own stream (RFC 4733).
    Rtp,
    /// As [`BrowserInput::Digits`], which become INFO: the callee takes no events.
    Info,
    /// Not at all: nobody hears them.
    None,
}

impl KeypadWay {
    /// The word of the page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rtp => "rtp",
            Self::Info => "info",
            Self::None => "none",
        }
    }
}

/// How a call is, as a guest sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestState {
    /// A callee is looked for.
    Calling,
    /// It rings there; nothing is heard.
    Ringing,
    /// It rings there, and the callee's side plays something.
    EarlyMedia,
    /// Both talk.
    Connected,
    /// The callee holds the call.
    Held,
}

impl GuestState {
    /// The word of the page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calling => "calling",
            Self::Ringing => "ringing",
            Self::EarlyMedia => "early_media",
            Self::Connected => "connected",
            Self::Held => "held",
        }
    }
}
