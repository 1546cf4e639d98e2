//! RTP of a model guest, before its keys.

use sip::sdp::Direction;

use super::description::Answer;
use crate::peer::voice::{Stamp, Voice};
use crate::random::Generator;

/// One stream.
#[derive(Debug)]
pub(crate) struct Speech {
    /// Packets of model peers that arrived.
    pub(crate) heard: u32,
    /// What was agreed upon last.
    pub(crate) payload_type: u8,
    /// It may send.
    pub(crate) sends: bool,
    /// The other side may.
    pub(crate) receives: bool,
    number: u32,
    left: u32,
    sent: u32,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    random: Generator,
}

impl Speech {
    pub(super) fn new(number: u32, left: u32, mut random: Generator) -> Self {
        Self {
            heard: 0,
            payload_type: 0,
            sends: false,
            receives: false,
            number,
            left,
            sent: 0,
            sequence: u16::try_from(random.below(0x8000)).unwrap_or(0),
            timestamp: random.word(),
            ssrc: random.word(),
            random,
        }
    }

    /// What an answer to an offer of this direction means.
    pub(super) const fn take(&mut self, answer: &Answer, offered: Direction) {
        self.payload_type = answer.payload_type;
        self.sends = offered.sends() && answer.direction.receives();
        self.receives = offered.receives() && answer.direction.sends();
    }

    pub(super) const fn is_left(&self) -> bool {
        self.left > 0
    }

    /// The next packet; `None`: it is not its turn to speak.
    pub(super) const fn next(&mut self) -> Option<Voice> {
        self.left = self.left.saturating_sub(1);
        if !self.sends {
            return None;
        }
        let voice = Voice {
            payload_type: self.payload_type,
            marker: self.sent == 0,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            stamp: Stamp {
                leg: self.number,
                counter: self.sent,
            },
        };
        self.sent += 1;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        Some(voice)
    }

    /// What somebody without its keys sends in its name: checks, a hello, voice in the clear, anything.
    pub(super) fn junk(&mut self) -> Vec<Vec<u8>> {
        let plain = Voice {
            payload_type: self.payload_type,
            marker: false,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            stamp: Stamp {
                leg: crate::peer::media::INTRUDER | self.number,
                counter: self.sent,
            },
        };
        let mut any =
            |first: &[u8]| [first, &self.random.seed_bytes(), &self.random.seed_bytes()].concat();
        vec![
            plain.write(),
            [plain.write(), vec![7; 10]].concat(),
            any(&[0, 1, 0, 44, 0x21, 0x12, 0xa4, 0x42]),
            any(&[22, 9]),
            any(&[0x80, 200, 0, 6]),
            any(&[]),
        ]
    }
}
