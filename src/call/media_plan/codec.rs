//! Codecs by name: what a payload type number stands for in one session description.

use sip::sdp::MediaDescription;

/// Most codecs that are carried from one side to the other, telephone-event included.
pub const CODECS_MAX: usize = media::command::PAYLOAD_MAPPINGS_MAX;

/// One payload type of one description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// The number, of meaning only within its description.
    pub payload_type: u8,
    /// Encoding name; compared without case.
    pub name: Box<str>,
    /// RTP clock.
    pub clock_rate_hz: u32,
    /// 1 for mono.
    pub channels: u8,
    /// `fmtp` parameters.
    pub parameters: Option<Box<str>>,
}

impl Codec {
    /// The same encoding, whatever its number. Parameters are each side's own (RFC 3264 §6.1).
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
            && self.clock_rate_hz == other.clock_rate_hz
            && self.channels == other.channels
    }

    /// RFC 4733.
    #[must_use]
    pub fn is_telephone_event(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
    }

    /// Something that carries a voice: neither events nor comfort noise.
    #[must_use]
    pub fn is_voice(&self) -> bool {
        !self.is_telephone_event() && !self.name.eq_ignore_ascii_case("CN")
    }
}

/// The codecs of an audio line in its order, at most [`CODECS_MAX`]; telephone-event is kept when
/// the list is cut. Numbers that name nothing are left out.
#[must_use]
pub fn codecs(media: &MediaDescription) -> Vec<Codec> {
    let mut found: Vec<Codec> = media
        .formats
        .iter()
        .filter_map(|text| codec(media, text))
        .collect();
    if found.len() > CODECS_MAX {
        let event = found
            .iter()
            .skip(CODECS_MAX)
            .find(|codec| codec.is_telephone_event())
            .cloned();
        let kept = if event.is_some() {
            CODECS_MAX - 1
        } else {
            CODECS_MAX
        };
        found.truncate(kept);
        found.extend(event);
    }
    found
}

fn codec(media: &MediaDescription, format: &str) -> Option<Codec> {
    let payload_type: u8 = format.parse().ok().filter(|number| *number < 128)?;
    let parameters = media
        .fmtps
        .iter()
        .find(|fmtp| fmtp.payload_type == payload_type)
        .map(|fmtp| fmtp.parameters.clone());
    if let Some(map) = media
        .rtpmaps
        .iter()
        .find(|map| map.payload_type == payload_type)
    {
        return Some(Codec {
            payload_type,
            name: map.name.clone(),
            clock_rate_hz: map.clock_rate_hz,
            channels: map.channels,
            parameters,
        });
    }
    let (_, name, clock_rate_hz, channels) =
        STATIC.iter().find(|(number, ..)| *number == payload_type)?;
    Some(Codec {
        payload_type,
        name: (*name).into(),
        clock_rate_hz: *clock_rate_hz,
        channels: *channels,
        parameters,
    })
}

/// RFC 3551 §6, table 4: numbers that need no `rtpmap`.
const STATIC: [(u8, &str, u32, u8); 16] = [
    (0, "PCMU", 8_000, 1),
    (3, "GSM", 8_000, 1),
    (4, "G723", 8_000, 1),
    (5, "DVI4", 8_000, 1),
    (6, "DVI4", 16_000, 1),
    (7, "LPC", 8_000, 1),
    (8, "PCMA", 8_000, 1),
    (9, "G722", 8_000, 1),
    (10, "L16", 44_100, 2),
    (11, "L16", 44_100, 1),
    (12, "QCELP", 8_000, 1),
    (13, "CN", 8_000, 1),
    (15, "G728", 8_000, 1),
    (16, "DVI4", 11_025, 1),
    (17, "DVI4", 22_050, 1),
    (18, "G729", 8_000, 1),
];
