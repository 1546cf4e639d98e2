//! A client's hello put together of its parts, before anything of it is read: whatever is said of it
//! is said of the whole.

use crate::dtls::profiles;
use crate::limits::DTLS_HELLO_BYTES_MAX;

/// Octets of the header of a record in the clear (RFC 6347 §4.1).
const RECORD_HEADER_SIZE: usize = 13;

/// Octets of the header of a message (RFC 6347 §4.2.2).
const HEADER_SIZE: usize = 12;

/// The type of it (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;

/// The parts of one that have come. It has memory only while some are missing.
#[derive(Debug, Default)]
pub(super) struct HelloParts {
    sequence: [u8; 2],
    message: Vec<u8>,
    is_known: Vec<bool>,
}

/// What a datagram had of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is about something else.
    Nothing,
    /// Some of it, and more is missing.
    Part,
    /// It is more than is read, or names what nobody has.
    Refused,
    /// The last that was missing: a datagram with the whole of it.
    Whole(Vec<u8>),
}

/// One part of one.
struct Part<'a> {
    record: &'a [u8; RECORD_HEADER_SIZE],
    sequence: [u8; 2],
    size: usize,
    offset: usize,
    octets: &'a [u8],
}

impl HelloParts {
    /// Takes what a datagram has of it, if it begins with some.
    pub(super) fn take(&mut self, datagram: &[u8]) -> Taken {
        let mut taken = Taken::Nothing;
        let mut rest = datagram;
        while let Some((part, next)) = Part::first(rest) {
            taken = self.take_part(&part);
            if !matches!(taken, Taken::Part) {
                break;
            }
            rest = next;
        }
        taken
    }

    fn take_part(&mut self, part: &Part<'_>) -> Taken {
        if part.size == 0 || part.size > DTLS_HELLO_BYTES_MAX {
            return Taken::Refused;
        }
        let is_other = self.message.len() != part.size || self.sequence != part.sequence;
        if is_other && (part.offset == 0 || self.message.is_empty()) {
            self.sequence = part.sequence;
            self.message = vec![0; part.size];
            self.is_known = vec![false; part.size];
        } else if is_other {
            return Taken::Refused;
        }
        let span = part.offset..part.offset + part.octets.len();
        let places = self.message.get_mut(span.clone());
        let Some((places, known)) = places.zip(self.is_known.get_mut(span)) else {
            return Taken::Refused;
        };
        places.copy_from_slice(part.octets);
        known.fill(true);
        if self.is_known.contains(&false) {
            return Taken::Part;
        }
        let mut message = std::mem::take(self).message;
        if !profiles::prefer(&mut message) {
            return Taken::Refused;
        }
        part.whole(&message).map_or(Taken::Refused, Taken::Whole)
    }
}

impl<'a> Part<'a> {
    /// What a datagram begins with, and the records behind it.
    fn first(datagram: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (record, rest) = datagram.split_first_chunk::<RECORD_HEADER_SIZE>()?;
        let [22, _, _, 0, 0, .., size_high, size_low] = *record else {
            return None;
        };
        let size = usize::from(u16::from_be_bytes([size_high, size_low]));
        let (content, next) = rest.split_at_checked(size)?;
        let (header, fragment) = content.split_first_chunk::<HEADER_SIZE>()?;
        let [CLIENT_HELLO, l0, l1, l2, s0, s1, o0, o1, o2, f0, f1, f2] = *header else {
            return None;
        };
        let number = |octets: [u8; 3]| {
            let [high, middle, low] = octets.map(usize::from);
            high << 16 | middle << 8 | low
        };
        let part = Self {
            record,
            sequence: [s0, s1],
            size: number([l0, l1, l2]),
            offset: number([o0, o1, o2]),
            octets: fragment.get(..number([f0, f1, f2]))?,
        };
        Some((part, next))
    }

    /// The datagram that would have brought all of the message at once, under the number of this record.
    fn whole(&self, message: &[u8]) -> Option<Vec<u8>> {
        let [_, size @ ..] = u32::try_from(message.len()).ok()?.to_be_bytes();
        let content = u16::try_from(HEADER_SIZE + message.len()).ok()?;
        let mut datagram = Vec::with_capacity(RECORD_HEADER_SIZE + HEADER_SIZE + message.len());
        datagram.extend(self.record.iter().take(RECORD_HEADER_SIZE - 2));
        datagram.extend(content.to_be_bytes());
        datagram.push(CLIENT_HELLO);
        datagram.extend(size);
        datagram.extend(self.sequence);
        datagram.extend([0; 3]);
        datagram.extend(size);
        datagram.extend(message);
        Some(datagram)
    }
}
