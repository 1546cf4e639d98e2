//! RTP of the model peers. The payload says who sent it: the number of the leg and a counter. That
//! is what the privacy check reads.

/// What a packet says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    /// The leg that sent it.
    pub(crate) leg: u32,
    /// Its place in what that leg sent.
    pub(crate) counter: u32,
}

/// The RTP header fields that a relay may change, and the stamp that it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Voice {
    /// Payload type.
    pub(crate) payload_type: u8,
    /// Marker.
    pub(crate) marker: bool,
    /// Sequence number.
    pub(crate) sequence: u16,
    /// Time stamp.
    pub(crate) timestamp: u32,
    /// Synchronisation source.
    pub(crate) ssrc: u32,
    /// Who and which.
    pub(crate) stamp: Stamp,
}

/// Octets of a packet: 20 ms of G.711.
pub(crate) const PACKET_BYTES: usize = 172;

const MAGIC: [u8; 4] = *b"SIMV";

impl Voice {
    /// Writes the packet.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut bytes = vec![0x80, self.payload_type | (u8::from(self.marker) << 7)];
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.ssrc.to_be_bytes());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.stamp.leg.to_be_bytes());
        bytes.extend_from_slice(&self.stamp.counter.to_be_bytes());
        bytes.resize(PACKET_BYTES, 0xd5);
        bytes
    }

    /// Reads a packet of a model peer, as it was written or as a relay rewrote it. `None` for
    /// everything else (RTCP, a tone, noise), and where the payload is not whole.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != PACKET_BYTES || *bytes.first()? != 0x80 || bytes.get(12..16)? != MAGIC {
            return None;
        }
        if bytes.get(24..)?.iter().any(|byte| *byte != 0xd5) {
            return None;
        }
        let word = |at: usize| -> Option<u32> {
            Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
        };
        let second = *bytes.get(1)?;
        Some(Self {
            payload_type: second & 0x7f,
            marker: second & 0x80 != 0,
            sequence: u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?),
            timestamp: word(4)?,
            ssrc: word(8)?,
            stamp: Stamp {
                leg: word(16)?,
                counter: word(20)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_survives_writing_and_reading_and_a_changed_payload_does_not() {
        let voice = Voice {
            payload_type: 8,
            marker: true,
            sequence: 65_535,
            timestamp: 160,
            ssrc: 9,
            stamp: Stamp {
                leg: 3,
                counter: 77,
            },
        };
        let mut bytes = voice.write();
        assert_eq!(Voice::read(&bytes), Some(voice));
        bytes[100] = 0;
        assert_eq!(Voice::read(&bytes), None);
    }
}
