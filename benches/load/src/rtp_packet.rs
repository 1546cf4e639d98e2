//! Packets of the load: 20 ms of speech that is none, which says whose it is and when it left.

use crate::machine::realtime_ns;

/// How a flow sounds: what its headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sound {
    pub(crate) payload_type: u8,
    /// Ticks of the RTP clock from packet to packet.
    pub(crate) step: u32,
}

impl Sound {
    /// G.711, of which PCMU is the one that everybody speaks.
    pub(crate) const PCMU: Self = Self {
        payload_type: 0,
        step: 8_000 / 50,
    };

    /// Opus, whose RTP clock is 48 kHz whatever it sounds like (RFC 7587 §4.1).
    pub(crate) const fn opus(payload_type: u8) -> Self {
        Self {
            payload_type,
            step: 48_000 / 50,
        }
    }

    /// A picture of one packet, as often as a packet of speech.
    pub(crate) const fn picture(payload_type: u8) -> Self {
        Self {
            payload_type,
            step: 90_000 / 50,
        }
    }

    /// RTP time of packet number `sent`.
    pub(crate) const fn time(self, sent: u64) -> u32 {
        let [.., t0, t1, t2, t3] = sent.wrapping_mul(self.step as u64).to_be_bytes();
        u32::from_be_bytes([t0, t1, t2, t3])
    }
}

/// What the payload of a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    /// Who sent it.
    pub(crate) flow: usize,
    /// In which cycle of the load.
    pub(crate) cycle: u64,
    /// When, nanoseconds of `CLOCK_REALTIME`.
    pub(crate) sent_at: u64,
}

/// The payload of a packet that leaves now: who sent it, when, and then silence.
pub(crate) fn payload(flow: usize, cycle: u64) -> [u8; PAYLOAD_BYTES] {
    let mut payload = [0xff; PAYLOAD_BYTES];
    let flow = u32::try_from(flow).unwrap_or(u32::MAX);
    let rest = put(&mut payload, MAGIC.to_be_bytes());
    let rest = put(rest, flow.to_be_bytes());
    let rest = put(rest, cycle.to_be_bytes());
    put(rest, realtime_ns().to_be_bytes());
    payload
}

/// What a payload of ours says.
pub(crate) fn said(payload: &[u8]) -> Option<Said> {
    let (magic, rest) = payload.split_first_chunk::<4>()?;
    let (flow, rest) = rest.split_first_chunk::<4>()?;
    let (cycle, rest) = rest.split_first_chunk::<8>()?;
    let (sent_at, _) = rest.split_first_chunk::<8>()?;
    let flow = usize::try_from(u32::from_be_bytes(*flow)).ok()?;
    (u32::from_be_bytes(*magic) == MAGIC).then(|| Said {
        flow,
        cycle: u64::from_be_bytes(*cycle),
        sent_at: u64::from_be_bytes(*sent_at),
    })
}

/// A whole packet that leaves now.
pub(crate) fn write_packet(
    packet: &mut [u8; PACKET_BYTES],
    flow: usize,
    cycle: u64,
    sent: u64,
    sound: Sound,
) {
    let source = u32::try_from(flow).unwrap_or(u32::MAX);
    let rest = put(packet, rtp_header(source, sent, sound));
    put(rest, payload(flow, cycle));
}

/// What is behind the header of a packet, whatever header it is (RFC 3550 §5.1).
pub(crate) fn payload_of(packet: &[u8]) -> Option<&[u8]> {
    let (first, _) = packet.split_first()?;
    let sources = usize::from(first & 0x0f);
    let rest = packet.get(HEADER_BYTES + 4 * sources..)?;
    if first & 0x10 == 0 {
        return Some(rest);
    }
    let (extension, rest) = rest.split_first_chunk::<4>()?;
    let [_, _, high, low] = *extension;
    rest.get(4 * usize::from(u16::from_be_bytes([high, low]))..)
}

/// Writes octets at the beginning; what is behind them.
fn put<const N: usize>(to: &mut [u8], octets: [u8; N]) -> &mut [u8] {
    let Some((place, rest)) = to.split_first_chunk_mut() else {
        return &mut [];
    };
    *place = octets;
    rest
}

/// The header of packet number `sent` of a flow.
pub(crate) const fn rtp_header(flow: u32, sent: u64, sound: Sound) -> [u8; HEADER_BYTES] {
    let [.., sequence_high, sequence_low] = sent.to_be_bytes();
    let [t0, t1, t2, t3] = sound.time(sent).to_be_bytes();
    let [s0, s1, s2, s3] = SSRC_BASE.wrapping_add(flow).to_be_bytes();
    [
        0x80,
        sound.payload_type,
        sequence_high,
        sequence_low,
        t0,
        t1,
        t2,
        t3,
        s0,
        s1,
        s2,
        s3,
    ]
}

/// Octets of a packet: 12 of header and 20 ms of G.711.
pub(crate) const PACKET_BYTES: usize = 172;
/// Octets of an RTP header without sources and extension.
pub(crate) const HEADER_BYTES: usize = 12;
const PAYLOAD_BYTES: usize = PACKET_BYTES - HEADER_BYTES;
const MAGIC: u32 = 0x534c_5543;
const SSRC_BASE: u32 = 0x1000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_says_which_flow_and_cycle_it_is() {
        let mut packet = [0; PACKET_BYTES];
        write_packet(&mut packet, 7, 0x0001_0002, 0x0003_0004, Sound::opus(111));
        assert_eq!(packet[..4], [0x80, 111, 0, 4]);
        assert_eq!(packet[4..8], (0x0003_0004_u32 * 960).to_be_bytes());
        assert_eq!(packet[8..12], 0x1000_0007_u32.to_be_bytes());
        let said = payload_of(&packet).and_then(said).expect("ours");
        assert_eq!((said.flow, said.cycle), (7, 0x0001_0002));
        assert!(said.sent_at > 0);
    }

    #[test]
    fn sources_and_extensions_are_not_the_payload() {
        let mut packet = vec![0x92; 12 + 8 + 4 + 8];
        packet[22..24].copy_from_slice(&[0, 2]);
        packet.extend(payload(3, 4));
        let said = payload_of(&packet).and_then(said).expect("ours");
        assert_eq!((said.flow, said.cycle), (3, 4));
        packet.truncate(30);
        assert_eq!(payload_of(&packet), None);
    }

    #[test]
    fn other_packets_are_not_ours() {
        for packet in [&[0x80; PACKET_BYTES][..], &[0x80; 20], &[0x80; 3], &[]] {
            assert_eq!(payload_of(packet).and_then(said), None);
        }
    }
}
