//! Our word that a stream ends (RFC 3550 §6.6).

use crate::rtp::Ssrc;

/// Writes a BYE of one source, without a reason: it would only repeat what SIP says. Gives the size
/// written; `None`: no room.
pub fn write_goodbye(octets: &mut [u8], ssrc: Ssrc) -> Option<usize> {
    let packet = octets.first_chunk_mut::<8>()?;
    packet[..4].copy_from_slice(&[0x81, 203, 0, 1]);
    packet[4..].copy_from_slice(&ssrc.0.to_be_bytes());
    Some(packet.len())
}
