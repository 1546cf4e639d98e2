//! Writing a packet's place in the sent stream into its header, in place.

use crate::relay::Placed;
use crate::rtp::{PayloadType, RtpViewMut, Ssrc};

/// Rewrites what the leg it is sent on names differently; payload, padding, contributing sources
/// and header extension stay as they came.
pub fn rewrite(packet: &mut RtpViewMut<'_>, placed: Placed, ssrc: Ssrc, payload_type: PayloadType) {
    let marker = packet.marker() || placed.is_marked;
    packet.set(
        marker,
        payload_type,
        placed.sequence,
        placed.timestamp,
        ssrc,
    );
}
