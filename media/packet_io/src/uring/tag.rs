//! `Tag`: what a completion belongs to, as the 64 bits of `user_data`. Kind in the top octet, then
//! the generation (for sends: their number), the slot in the low bits.

use crate::packet_io::SocketKey;

/// What a completion belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// Multishot reception that tells the source.
    ReceiveFrom(SocketKey),
    /// Multishot reception of a connected socket.
    Receive(SocketKey),
    /// A send, by its number.
    Send(u32),
    /// The poll of the wake-up descriptor.
    Wake,
    /// A request to cancel another.
    Cancel,
}

impl Tag {
    #[inline]
    pub(super) const fn encode(self) -> u64 {
        match self {
            Self::ReceiveFrom(key) => of_key(KIND_RECEIVE_FROM, key),
            Self::Receive(key) => of_key(KIND_RECEIVE, key),
            Self::Send(number) => (KIND_SEND << KIND_SHIFT) | number as u64,
            Self::Wake => KIND_WAKE << KIND_SHIFT,
            Self::Cancel => KIND_CANCEL << KIND_SHIFT,
        }
    }

    /// `None`: not one of ours.
    #[inline]
    pub(super) fn decode(user_data: u64) -> Option<Self> {
        match user_data >> KIND_SHIFT {
            KIND_RECEIVE_FROM => Some(Self::ReceiveFrom(key_of(user_data))),
            KIND_RECEIVE => Some(Self::Receive(key_of(user_data))),
            KIND_SEND => Some(Self::Send(low_half(user_data))),
            KIND_WAKE => Some(Self::Wake),
            KIND_CANCEL => Some(Self::Cancel),
            _ => None,
        }
    }
}

#[inline]
const fn of_key(kind: u64, key: SocketKey) -> u64 {
    (kind << KIND_SHIFT) | ((key.generation as u64) << SLOT_BITS) | key.slot as u64
}

#[inline]
fn key_of(user_data: u64) -> SocketKey {
    let slot = low_half(user_data) & SLOT_MASK;
    SocketKey {
        slot,
        generation: low_half(user_data >> SLOT_BITS),
    }
}

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is asked for"
)]
const fn low_half(value: u64) -> u32 {
    value as u32
}

/// Slots that the tag can tell apart.
pub(super) const SLOTS_MAX: u32 = 1 << SLOT_BITS;

const SLOT_BITS: u32 = 24;
const SLOT_MASK: u32 = SLOTS_MAX - 1;
const KIND_SHIFT: u32 = 56;
const KIND_RECEIVE_FROM: u64 = 1;
const KIND_RECEIVE: u64 = 2;
const KIND_SEND: u64 = 3;
const KIND_WAKE: u64 = 4;
const KIND_CANCEL: u64 = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_tag_comes_back_as_it_was(slot in 0..SLOTS_MAX, generation: u32, number: u32) {
            let key = SocketKey { slot, generation };
            let tags =
                [Tag::ReceiveFrom(key), Tag::Receive(key), Tag::Send(number), Tag::Wake, Tag::Cancel];
            for tag in tags {
                prop_assert_eq!(Tag::decode(tag.encode()), Some(tag));
            }
        }
    }

    #[test]
    fn foreign_user_data_is_nothing() {
        assert_eq!(Tag::decode(0), None);
        assert_eq!(Tag::decode(u64::MAX), None);
    }
}
