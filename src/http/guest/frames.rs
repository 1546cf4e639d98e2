//! What a page and this node say to each other over a WebSocket: JSON objects, one a text frame. What is
//! not known is refused, never guessed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sip::message::SendBuffer;
use sip::sdp::SessionDescription;

use super::figures::GuestRefused;
use super::turn::IceServer;
use crate::call::browser::event::{BrowserInput, BrowserOutput, GuestState};

/// What a page says. Struct variants, so that serde refuses unknown fields of every one.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ClientFrame {
    /// First: the call token of the page.
    Hello { token: String },
    /// First: a call goes on that another WebSocket has lost.
    Resume { token: String },
    /// The call begins; the name that the guest gives itself counts where the link allows one.
    Call {
        sdp: String,
        #[serde(default)]
        name: Option<String>,
    },
    /// Another offer.
    Offer { sdp: String },
    /// Keys of the keypad.
    Dtmf { digits: String },
    /// The camera begins or ends, where the link lets a guest begin unseen.
    Camera { on: bool },
    /// The guest hangs up.
    Leave {},
    /// Answered by `pong`.
    Ping {},
}

/// What a page is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerFrame {
    /// To `hello` and `resume`: the resume token, and relays that may be used.
    Welcome {
        resume: String,
        ice_servers: Vec<IceServer>,
    },
    /// To an offer.
    Answer {
        sdp: String,
        /// Which way video goes, from our side.
        video: Option<&'static str>,
        /// Why there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        no_video: Option<&'static str>,
    },
    /// To an offer that cannot be answered; what held before holds.
    Refused { cause: &'static str },
    /// The page shall make an offer.
    Renegotiate {},
    /// How the call is.
    State { state: &'static str },
    /// How keys of the keypad reach the callee: `rtp` (by the browser itself), `info` (by `dtmf`), `none`.
    Keypad { by: &'static str },
    /// The call is over, or never began. The last frame.
    Ended {
        cause: &'static str,
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u64>,
    },
    /// What was said cannot be taken. With the type of a frame it is about that one alone, and the call goes on;
    /// else it is the last frame.
    Error {
        code: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        frame: Option<&'static str>,
    },
    /// To `ping`.
    Pong {},
}

/// What a frame means for a call under way.
#[derive(Debug)]
pub(crate) enum Said {
    /// Call control hears it.
    Word(BrowserInput),
    /// It is answered here.
    Ping,
    /// Something of no consequence is wrong.
    Unfit(GuestRefused),
    /// Only a call that begins has it.
    OutOfPlace,
}

impl ClientFrame {
    /// Reads a text frame. `None`: it is none of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What it is called on the wire.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Resume { .. } => "resume",
            Self::Call { .. } => "call",
            Self::Offer { .. } => "offer",
            Self::Dtmf { .. } => "dtmf",
            Self::Camera { .. } => "camera",
            Self::Leave {} => "leave",
            Self::Ping {} => "ping",
        }
    }

    /// Judges it.
    pub(crate) fn said(self) -> Said {
        Said::Word(match self {
            Self::Offer { sdp } => match SessionDescription::parse(sdp.as_bytes()) {
                Ok(offer) => BrowserInput::Offer(Box::new(offer)),
                Err(_) => return Said::Unfit(GuestRefused::BadSdp),
            },
            Self::Dtmf { digits: text } => match digits(text) {
                Some(keys) => BrowserInput::Digits(keys),
                None => return Said::Unfit(GuestRefused::BadDigits),
            },
            Self::Camera { on } => BrowserInput::Camera(on),
            Self::Leave {} => BrowserInput::HangUp,
            Self::Ping {} => return Said::Ping,
            Self::Hello { .. } | Self::Resume { .. } | Self::Call { .. } => {
                return Said::OutOfPlace;
            }
        })
    }
}

impl ServerFrame {
    /// What call control says.
    pub(super) fn of(output: BrowserOutput) -> Self {
        match output {
            BrowserOutput::Answer { description, video } => {
                let mut buffer = SendBuffer::new();
                description.write(&mut buffer);
                Self::Answer {
                    sdp: String::from_utf8_lossy(buffer.as_bytes()).into_owned(),
                    video: video.ok().map(sip::sdp::Direction::as_str),
                    no_video: video.err(),
                }
            }
            BrowserOutput::OfferRefused { cause } => Self::Refused { cause },
            BrowserOutput::Renegotiate => Self::Renegotiate {},
            BrowserOutput::State(state) => Self::state(state),
            BrowserOutput::Keypad(way) => Self::Keypad { by: way.as_str() },
            BrowserOutput::Ended {
                cause,
                status,
                retry_after,
            } => Self::ended(cause, status, retry_after),
        }
    }

    pub(super) const fn state(state: GuestState) -> Self {
        let state = state.as_str();
        Self::State { state }
    }

    pub(super) fn ended(cause: &'static str, status: u16, retry_after: Option<Duration>) -> Self {
        Self::Ended {
            cause,
            status,
            // Never earlier than said.
            retry_after_s: retry_after
                .map(|after| after.as_secs() + u64::from(after.subsec_nanos() > 0)),
        }
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The keys of a `dtmf` frame, if every one of them is a key.
fn digits(text: String) -> Option<String> {
    let is_key = |octet: u8| matches!(octet, b'0'..=b'9' | b'*' | b'#' | b'A'..=b'D');
    let fits = !text.is_empty() && text.len() <= DIGITS_MAX && text.bytes().all(is_key);
    fits.then_some(text)
}

/// Octets of a frame.
pub(super) const FRAME_OCTETS_MAX: usize = 64 * 1024;
/// Keys of one frame.
const DIGITS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::browser::event::KeypadWay;

    #[test]
    fn frames_are_read_strictly() {
        let call = ClientFrame::parse(r#"{"type":"call","sdp":"v=0"}"#);
        let (sdp, name) = ("v=0".to_owned(), None);
        assert_eq!(call, Some(ClientFrame::Call { sdp, name }));
        assert_eq!(
            ClientFrame::parse(r#"{"type":"leave"}"#),
            Some(ClientFrame::Leave {})
        );
        for text in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"type":"shout"}"#,
            r#"{"type":"leave","now":true}"#,
            r#"{"type":"call"}"#,
            r#"{"type":"call","sdp":1}"#,
            r#"{"type":"call","sdp":"v=0","to":"x"}"#,
            r#"{"type":"camera","on":"yes"}"#,
            r#"{"type":"ping"} x"#,
            r#"{"type":"ping","type":"leave"}"#,
            r#"{"type":"hello","token":"a","token":"b"}"#,
        ] {
            assert_eq!(ClientFrame::parse(text), None, "{text}");
        }
        let deep = "[".repeat(60_000);
        assert_eq!(ClientFrame::parse(&deep), None);
    }

    #[test]
    fn frames_are_written_as_pages_read_them() {
        let after = Some(Duration::from_millis(1_200));
        for (frame, text) in [
            (
                ServerFrame::ended("guard", 403, after),
                r#"{"type":"ended","cause":"guard","status":403,"retry_after_s":2}"#,
            ),
            (ServerFrame::Pong {}, r#"{"type":"pong"}"#),
            (
                ServerFrame::state(GuestState::EarlyMedia),
                r#"{"type":"state","state":"early_media"}"#,
            ),
            (
                ServerFrame::of(BrowserOutput::Keypad(KeypadWay::Rtp)),
                r#"{"type":"keypad","by":"rtp"}"#,
            ),
            (
                ServerFrame::Answer {
                    sdp: "v".to_owned(),
                    video: None,
                    no_video: Some("policy"),
                },
                r#"{"type":"answer","sdp":"v","video":null,"no_video":"policy"}"#,
            ),
        ] {
            assert_eq!(frame.text(), text);
        }
    }

    #[test]
    fn only_keys_of_a_telephone_are_digits() {
        for text in ["1", "0123456789*#ABCD"] {
            assert_eq!(digits(text.to_owned()).as_deref(), Some(text));
        }
        for text in ["", "a", "1 2", "\u{661}", &"1".repeat(33)] {
            assert_eq!(digits(text.to_owned()), None, "{text}");
        }
    }
}
