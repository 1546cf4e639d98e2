//! What a codec is on the wire, and when two are the same.

use crate::sdp::{MediaDescription, Word};

/// One format of an RTP line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// The number in the description it comes from or goes to.
    pub payload_type: u8,
    /// The encoding name; compare without case.
    pub name: Word,
    /// The clock as written. [`Codec::rtp_clock_hz`] is 8000 for G.722 (RFC 3551 §4.5.2).
    pub clock_rate_hz: u32,
    /// 1 unless written.
    pub channels: u8,
    /// `fmtp` parameters.
    pub fmtp: Option<Word>,
}

impl Codec {
    /// The same codec: name without case, clock, channels, and the parameters that make another
    /// format of it. The others are each side's own (RFC 3264 §6.1).
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.is_kin(other)
            && self
                .forming()
                .iter()
                .all(|(name, default)| self.has_same(other, name, default))
            && self.h264_profile() == other.h264_profile()
    }

    /// The same in every bit of its profile too: where both forms of one codec are there they are two
    /// (RFC 6184 §8.2.2).
    #[must_use]
    pub fn is_exactly(&self, other: &Self) -> bool {
        self.is_same(other) && self.h264_form() == other.h264_form()
    }

    /// This codec among `others`: exactly, else what is the same.
    #[must_use]
    pub fn found_in<'a>(&self, others: &'a [Self]) -> Option<&'a Self> {
        let exact = others.iter().find(|other| other.is_exactly(self));
        exact.or_else(|| others.iter().find(|other| other.is_same(self)))
    }

    /// The profile of H.264 without its level, which each side has of its own. Baseline and Constrained
    /// Baseline are one here: no sender uses what the latter leaves out, and peers answer the one with
    /// the other.
    fn h264_profile(&self) -> Option<u8> {
        self.h264_form().map(|(profile, _)| profile)
    }

    /// The same with the constraints that are written beside it (RFC 6184 §8.1, table 5).
    fn h264_form(&self) -> Option<(u8, u8)> {
        if !self.name.eq_ignore_ascii_case("H264") {
            return None;
        }
        let written = self.parameter("profile-level-id").unwrap_or("42000a");
        let octet = |range| u8::from_str_radix(written.get(range).unwrap_or_default(), 16).ok();
        let (profile, constraints) = (octet(0..2)?, octet(2..4).unwrap_or_default());
        // Of Baseline, and of what is that by another name, one bit decides.
        match profile {
            0x42 => Some((0x42, constraints & 0x40)),
            0x4d if constraints & 0x80 != 0 => Some((0x42, 0x40)),
            0x58 if constraints & 0x80 != 0 => Some((0x42, constraints & 0x40)),
            _ => Some((profile, constraints)),
        }
    }

    /// The same codec, whatever its parameters.
    pub(super) fn is_kin(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
            && self.rtp_clock_hz() == other.rtp_clock_hz()
            && self.channels == other.channels
    }

    /// A parameter of `fmtp`, without case of its name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let parameters = self.fmtp.as_deref()?.split(';');
        parameters
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(key, _)| key.trim_ascii().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim_ascii())
    }

    fn has_same(&self, other: &Self, name: &str, default: &str) -> bool {
        let value = self.parameter(name).unwrap_or(default);
        value.eq_ignore_ascii_case(other.parameter(name).unwrap_or(default))
    }

    /// Parameters that both sides must have alike, each with its default.
    fn forming(&self) -> &'static [(&'static str, &'static str)] {
        FORMING
            .iter()
            .find(|(name, _)| self.name.eq_ignore_ascii_case(name))
            .map_or(&[], |(_, parameters)| *parameters)
    }

    /// What an answer with this codec says to who offered `offered`: our other side's parameters,
    /// because what it says of its decoder is what this side must hear. G.729 without Annex B stays so
    /// where either side wants it (RFC 7261 §3.1).
    pub(super) fn answering(&self, offered: &Self) -> Self {
        let forbids = |codec: &Self| {
            let annex_b = codec.parameter("annexb");
            annex_b.is_some_and(|value| value.eq_ignore_ascii_case("no"))
        };
        let is_g729 = self.name.eq_ignore_ascii_case("G729");
        let fmtp = if is_g729 && (forbids(self) || forbids(offered)) {
            Some("annexb=no".into())
        } else {
            self.fmtp.clone()
        };
        Self {
            fmtp,
            ..offered.clone()
        }
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

    /// The RTP clock. Some peers write the sampling rate of G.722 in its place.
    #[must_use]
    pub fn rtp_clock_hz(&self) -> u32 {
        if self.name.eq_ignore_ascii_case("G722") {
            8_000
        } else {
            self.clock_rate_hz
        }
    }
}

/// The codecs of a line in its order. A dynamic payload type without `rtpmap` is left out.
pub(super) fn codecs_of(media: &MediaDescription) -> Vec<Codec> {
    media
        .payload_types()
        .filter_map(|payload_type| {
            let (name, clock_rate_hz, channels) = match media.rtpmap(payload_type) {
                Some(map) => (map.name.clone(), map.clock_rate_hz, map.channels),
                None => of_number(payload_type)?,
            };
            Some(Codec {
                payload_type,
                name,
                clock_rate_hz,
                channels,
                fmtp: media.fmtp(payload_type).map(Into::into),
            })
        })
        .collect()
}

fn of_number(payload_type: u8) -> Option<(Word, u32, u8)> {
    let row = STATIC.iter().find(|row| row.1 == payload_type)?;
    let (name, _, clock_rate_hz, channels) = *row;
    Some((name.into(), clock_rate_hz, channels))
}

/// Payload types that need no `rtpmap` (RFC 3551 §6).
const STATIC: &[(&str, u8, u32, u8)] = &[
    ("PCMU", 0, 8_000, 1),
    ("GSM", 3, 8_000, 1),
    ("G723", 4, 8_000, 1),
    ("DVI4", 5, 8_000, 1),
    ("DVI4", 6, 16_000, 1),
    ("LPC", 7, 8_000, 1),
    ("PCMA", 8, 8_000, 1),
    ("G722", 9, 8_000, 1),
    ("L16", 10, 44_100, 2),
    ("L16", 11, 44_100, 1),
    ("QCELP", 12, 8_000, 1),
    ("CN", 13, 8_000, 1),
    ("G728", 15, 8_000, 1),
    ("DVI4", 16, 11_025, 1),
    ("DVI4", 17, 22_050, 1),
    ("G729", 18, 8_000, 1),
];

/// Parameters that make another format of a codec: the payload of one cannot be read as the other's
/// (RFC 4867 §8.3.1, RFC 5577 §6, RFC 6416 §7.4, RFC 3640 §4.1, RFC 6184 §8.2.2, RFC 9628 §6).
const FORMING: &[(&str, &[(&str, &str)])] = &[
    ("H264", &[("packetization-mode", "0")]),
    ("VP9", &[("profile-id", "0")]),
    ("AV1", &[("profile", "0")]),
    ("AMR", &[("octet-align", "0")]),
    ("AMR-WB", &[("octet-align", "0")]),
    ("G7221", &[("bitrate", "")]),
    (
        "MP4A-LATM",
        &[
            ("profile-level-id", ""),
            ("object", ""),
            ("bitrate", ""),
            ("config", ""),
        ],
    ),
    ("mpeg4-generic", &[("mode", ""), ("config", "")]),
];

const TELEPHONE_EVENT: &str = "telephone-event";

/// Redundancy and FEC speak of other packets by their numbers; comfort noise of their pauses.
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
