//! What a codec is on the wire, and when two are the same.

use crate::sdp::MediaDescription;

/// Codecs of one line that are looked at.
pub const CODECS_MAX: usize = 64;

/// One format of an RTP line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// The number in the description it comes from or goes to.
    pub payload_type: u8,
    /// The encoding name; compare without case.
    pub name: Box<str>,
    /// The RTP clock. 8000 for G.722 (RFC 3551 §4.5.2).
    pub clock_rate_hz: u32,
    /// 1 unless written.
    pub channels: u8,
    /// `fmtp` parameters.
    pub fmtp: Option<Box<str>>,
}

/// Payload types that need no `rtpmap` (RFC 3551 §6), and the numbers we give to others.
const KNOWN: &[(&str, u8, u32, u8, Option<&str>)] = &[
    ("PCMU", 0, 8_000, 1, None),
    ("GSM", 3, 8_000, 1, None),
    ("G723", 4, 8_000, 1, None),
    ("DVI4", 5, 8_000, 1, None),
    ("DVI4", 6, 16_000, 1, None),
    ("LPC", 7, 8_000, 1, None),
    ("PCMA", 8, 8_000, 1, None),
    ("G722", 9, 8_000, 1, None),
    ("L16", 10, 44_100, 2, None),
    ("L16", 11, 44_100, 1, None),
    ("QCELP", 12, 8_000, 1, None),
    ("CN", 13, 8_000, 1, None),
    ("G728", 15, 8_000, 1, None),
    ("DVI4", 16, 11_025, 1, None),
    ("DVI4", 17, 22_050, 1, None),
    ("G729", 18, 8_000, 1, None),
    ("iLBC", 97, 8_000, 1, None),
    ("opus", 114, 48_000, 2, None),
    ("telephone-event", 101, 8_000, 1, Some("0-15")),
];

impl Codec {
    /// A codec we know by its name, with the payload type we offer it with.
    #[must_use]
    pub fn known(name: &str) -> Option<Self> {
        KNOWN
            .iter()
            .find(|row| row.0.eq_ignore_ascii_case(name))
            .map(Self::of_row)
    }

    /// `telephone-event` for this clock, which is that of the codec it goes with (RFC 4733 §2.1).
    #[must_use]
    pub fn telephone_event(payload_type: u8, clock_rate_hz: u32) -> Self {
        Self {
            payload_type,
            name: TELEPHONE_EVENT.into(),
            clock_rate_hz,
            channels: 1,
            fmtp: Some("0-15".into()),
        }
    }

    /// The same codec: name without case, clock, channels.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
            && self.clock() == other.clock()
            && self.channels == other.channels
    }

    /// True for `telephone-event`.
    #[must_use]
    pub fn is_telephone_event(&self) -> bool {
        self.name.eq_ignore_ascii_case(TELEPHONE_EVENT)
    }

    /// False for what cannot carry speech alone: events, comfort noise, redundancy, FEC.
    #[must_use]
    pub fn is_speech(&self) -> bool {
        !AUXILIARY
            .iter()
            .any(|name| self.name.eq_ignore_ascii_case(name))
    }

    /// Some peers write the sampling rate of G.722 where its RTP clock belongs.
    fn clock(&self) -> u32 {
        if self.name.eq_ignore_ascii_case("G722") {
            8_000
        } else {
            self.clock_rate_hz
        }
    }

    fn of_row(row: &(&str, u8, u32, u8, Option<&str>)) -> Self {
        let (name, payload_type, clock_rate_hz, channels, fmtp) = *row;
        Self {
            payload_type,
            name: name.into(),
            clock_rate_hz,
            channels,
            fmtp: fmtp.map(Into::into),
        }
    }
}

/// The codecs of a line in its order. A dynamic payload type without `rtpmap` is left out.
#[must_use]
pub fn codecs_of(media: &MediaDescription) -> Vec<Codec> {
    media
        .payload_types()
        .filter_map(|payload_type| {
            let mut codec = match media.rtpmap(payload_type) {
                Some(map) => Codec {
                    payload_type,
                    name: map.name.clone(),
                    clock_rate_hz: map.clock_rate_hz,
                    channels: map.channels,
                    fmtp: None,
                },
                None if payload_type < DYNAMIC_MIN => KNOWN
                    .iter()
                    .find(|row| row.1 == payload_type)
                    .map(Codec::of_row)?,
                None => return None,
            };
            codec.fmtp = media.fmtp(payload_type).map(Into::into);
            Some(codec)
        })
        .take(CODECS_MAX)
        .collect()
}

/// The first dynamic payload type (RFC 3551 §3).
const DYNAMIC_MIN: u8 = 96;

const TELEPHONE_EVENT: &str = "telephone-event";

const AUXILIARY: &[&str] = &[
    TELEPHONE_EVENT,
    "CN",
    "red",
    "ulpfec",
    "X-ULPFECUC",
    "flexfec",
    "flexfec-03",
    "parityfec",
    "tone",
    "rtx",
];
