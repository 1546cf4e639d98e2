//! Header extensions of RTP (RFC 8285): which cross, and under which number.
//!
//! The relay leaves the extension of a packet as it is, so that one crosses only where both sides give
//! it the same number. What speaks of a transport that ends here (`mid`, `rid`) or is about what we
//! change is not among them.

use crate::sdp::{Direction, ExtMap};

/// A header extension that crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderExtension {
    /// The local identifier: 1 to 255.
    pub id: u8,
    /// What it is.
    pub uri: &'static str,
}

/// Numbers of packets over all streams of a transport, of which `transport-cc` speaks.
const TRANSPORT_WIDE: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// What speaks of the picture, or of when a packet was sent.
const CARRIED: [&str; 4] = [
    TRANSPORT_WIDE,
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    // RFC 5450.
    "urn:ietf:params:rtp-hdrext:toffset",
    // 3GPP TS 26.114 §7.4.5: a telephone that was turned.
    "urn:3gpp:video-orientation",
];

/// The feedback about [`TRANSPORT_WIDE`].
pub(super) const TRANSPORT_FEEDBACK: &str = "transport-cc";

/// What a peer's line names of what we carry, each once. One that goes one way only is left out, and so
/// is one under a number that stands for another one already.
pub(super) fn carried(maps: &[ExtMap]) -> Vec<HeaderExtension> {
    let mut carried: Vec<HeaderExtension> = Vec::new();
    for map in maps {
        let known = CARRIED.into_iter().find(|uri| *map.uri == **uri);
        let is_both_ways = map.direction.is_none_or(|way| way == Direction::SendRecv);
        let Some(uri) = known.filter(|_| is_both_ways) else {
            continue;
        };
        if !carried.iter().any(|one| one.uri == uri || one.id == map.id) {
            carried.push(HeaderExtension { id: map.id, uri });
        }
    }
    carried
}

impl HeaderExtension {
    /// A side that numbers so has this one under this number, or neither the one nor the number: numbers
    /// do not change within a session (RFC 8285 §6).
    pub(super) fn fits(self, numbered: &[Self]) -> bool {
        let touches = |one: &&Self| one.id == self.id || one.uri == self.uri;
        numbered.iter().filter(touches).all(|one| *one == self)
    }

    /// As the attribute says it.
    pub(super) fn write(self) -> ExtMap {
        ExtMap {
            id: self.id,
            direction: None,
            uri: self.uri.into(),
        }
    }
}

/// It numbers packets, and ends where its transport does.
pub(super) fn is_transport_number(extension: HeaderExtension) -> bool {
    extension.uri == TRANSPORT_WIDE
}

/// True where the packets have the numbers that [`TRANSPORT_FEEDBACK`] speaks of.
pub(super) fn has_transport_numbers(extensions: &[HeaderExtension]) -> bool {
    extensions.iter().any(|one| is_transport_number(*one))
}
