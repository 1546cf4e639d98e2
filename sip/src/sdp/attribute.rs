//! The attributes we act on: direction, `rtpmap`, `fmtp`, `rtcp`, `rtcp-fb`, `extmap`; and `b=`.

use super::{Host, Word};

/// RFC 8866 §6.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// The writer of the description sends only.
    SendOnly,
    /// The writer of the description receives only.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// The name of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// By the name of the attribute.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::SendRecv,
            Self::SendOnly,
            Self::RecvOnly,
            Self::Inactive,
        ]
        .into_iter()
        .find(|direction| direction.as_str() == name)
    }

    /// True where the writer of the description sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// True where the writer of the description receives.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// From both halves.
    #[must_use]
    pub const fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }
}

/// `a=rtpmap` (RFC 8866 §6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpMap {
    /// 0 to 127.
    pub payload_type: u8,
    /// The encoding name as written; compare without case.
    pub name: Word,
    /// The RTP clock.
    pub clock_rate_hz: u32,
    /// 1 where none is written.
    pub channels: u8,
}

impl RtpMap {
    /// Of the text after `rtpmap:`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (payload_type, encoding) = text.trim_ascii().split_once(' ')?;
        let mut parts = encoding.trim_ascii().split('/');
        let name = parts.next().filter(|name| !name.is_empty())?;
        Some(Self {
            payload_type: payload_type
                .parse()
                .ok()
                .filter(|&number: &u8| number < 128)?,
            name: name.into(),
            clock_rate_hz: parts
                .next()?
                .trim_ascii()
                .parse()
                .ok()
                .filter(|&rate: &u32| rate > 0)?,
            channels: match parts.next() {
                Some(channels) => channels.parse().ok().filter(|&count: &u8| count > 0)?,
                None => 1,
            },
        })
    }
}

/// `a=fmtp` (RFC 8866 §6.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fmtp {
    /// 0 to 127.
    pub payload_type: u8,
    /// As written.
    pub parameters: Word,
}

impl Fmtp {
    /// Of the text after `fmtp:`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (payload_type, parameters) = text.trim_ascii().split_once(' ')?;
        Some(Self {
            payload_type: payload_type
                .parse()
                .ok()
                .filter(|&number: &u8| number < 128)?,
            parameters: parameters.trim_ascii().into(),
        })
    }
}

/// `a=rtcp` (RFC 3605).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtcp {
    /// Where RTCP is received.
    pub port: u16,
    /// The address, where it differs from that of the media.
    pub host: Option<Host>,
}

impl Rtcp {
    /// Of the text after `rtcp:`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let port = words.next()?.parse().ok()?;
        let host = match (words.next(), words.next(), words.next()) {
            (Some(_), Some(_), Some(address)) => super::parse::host(address),
            _ => None,
        };
        Some(Self { port, host })
    }
}

/// `a=rtcp-fb` (RFC 4585 §4.2, RFC 5104 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// 0 to 127; `None`: `*`, every payload type of the line.
    pub payload_type: Option<u8>,
    /// What follows, as written: `nack`, `nack pli`, `ccm fir`, …
    pub value: Word,
}

impl Feedback {
    /// Of the text after `rtcp-fb:`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (payload_type, value) = text.trim_ascii().split_once(' ')?;
        let payload_type = match payload_type {
            "*" => None,
            number => Some(number.parse().ok().filter(|&number: &u8| number < 128)?),
        };
        let value = value.trim_ascii();
        Some(Self {
            payload_type,
            value: (!value.is_empty()).then(|| value.into())?,
        })
    }
}

/// `a=extmap` (RFC 8285 §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtMap {
    /// The number under which packets have it: 1 to 255.
    pub id: u8,
    /// Which way it goes; `None`: as the line does.
    pub direction: Option<Direction>,
    /// What it is.
    pub uri: Word,
}

impl ExtMap {
    /// Of the text after `extmap:`. Attributes of the extension are read over.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let (number, uri) = (words.next()?, words.next()?);
        let (id, direction) = match number.split_once('/') {
            Some((id, direction)) => (id, Some(Direction::from_name(direction)?)),
            None => (number, None),
        };
        Some(Self {
            id: id.parse().ok().filter(|&id: &u8| id > 0)?,
            direction,
            uri: uri.into(),
        })
    }
}

/// What the writer of a line can receive (`b=`, RFC 8866 §5.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// `AS`, in kilobits a second, headers included.
    pub application_kbit: Option<u32>,
    /// `TIAS` (RFC 3890), in bits a second, without headers.
    pub independent_bit: Option<u32>,
}

impl Bandwidth {
    /// No `b=` line.
    pub const UNSAID: Self = Self {
        application_kbit: None,
        independent_bit: None,
    };

    /// Takes in the text after `b=`; the first line of a kind counts.
    pub(super) fn take(&mut self, text: &str) {
        let Some((kind, value)) = text.split_once(':') else {
            return;
        };
        let value = || value.trim_ascii().parse().ok();
        match kind {
            "AS" => self.application_kbit = self.application_kbit.or_else(value),
            "TIAS" => self.independent_bit = self.independent_bit.or_else(value),
            _ => {}
        }
    }
}
