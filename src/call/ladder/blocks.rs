//! Where the octets of messages are: blocks of one size, all of them there from the beginning.
//!
//! A message is a chain of blocks. To keep one and to let it go allocates nothing, and a call that
//! stands takes no memory for what it said. What a message is and whose is not known here.

use std::net::{Ipv4Addr, SocketAddr};

use jiff::Timestamp;

/// Octets of a block: a request without a body fits in one, an INVITE in two or three.
pub(super) const BLOCK_OCTETS: usize = 512;

/// The first block of a message.
pub(super) type Index = u32;

/// What is said of a message; in its first block's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) at: Timestamp,
    pub(super) peer: SocketAddr,
    pub(super) is_sent: bool,
    pub(super) is_cut: bool,
    /// Octets of it.
    pub(super) length: u32,
    /// The call's next message.
    pub(super) next: Option<Index>,
}

impl Head {
    /// Of a block that begins no message.
    const NONE: Self = Self {
        at: Timestamp::UNIX_EPOCH,
        peer: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        is_sent: false,
        is_cut: false,
        length: 0,
        next: None,
    };
}

/// All blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    octets: Box<[u8]>,
    heads: Box<[Head]>,
    /// The block after each: of its message, or of the free ones.
    after: Box<[Option<Index>]>,
    first_free: Option<Index>,
    free: usize,
}

impl Blocks {
    /// As many blocks as `octets` hold. Every page of them is written once, so that none is missing
    /// when a call wants it.
    pub(super) fn new(octets: usize) -> Self {
        let count = octets / BLOCK_OCTETS;
        let after = (1..=count)
            .map(|next| Index::try_from(next).ok().filter(|_| next < count))
            .collect();
        Self {
            octets: vec![b' '; count * BLOCK_OCTETS].into(),
            heads: vec![Head::NONE; count].into(),
            after,
            first_free: (count > 0).then_some(0),
            free: count,
        }
    }

    /// How many a message of `length` octets takes.
    pub(super) const fn needed(length: usize) -> usize {
        if length == 0 {
            1
        } else {
            length.div_ceil(BLOCK_OCTETS)
        }
    }

    /// How many there are, used or not.
    pub(super) const fn count(&self) -> usize {
        self.heads.len()
    }

    /// How many are free.
    pub(super) const fn free(&self) -> usize {
        self.free
    }

    /// Keeps a message. `None`: there are not enough blocks, and nothing was kept.
    pub(super) fn keep(&mut self, head: Head, octets: &[u8]) -> Option<Index> {
        let needed = Self::needed(octets.len());
        if needed > self.free {
            return None;
        }
        let first = self.first_free?;
        let mut block = first;
        for (number, part) in parts(octets).enumerate() {
            if number > 0 {
                block = (*self.after.get(at(block))?)?;
            }
            let start = at(block) * BLOCK_OCTETS;
            self.octets
                .get_mut(start..start + part.len())?
                .copy_from_slice(part);
        }
        self.first_free = self.after.get_mut(at(block))?.take();
        self.free -= needed;
        let length = u32::try_from(octets.len()).ok()?;
        *self.heads.get_mut(at(first))? = Head { length, ..head };
        Some(first)
    }

    /// What is said of a message.
    pub(super) fn head(&self, message: Index) -> Option<&Head> {
        self.heads.get(at(message))
    }

    /// `next` comes after `message`.
    pub(super) fn chain(&mut self, message: Index, next: Index) {
        if let Some(head) = self.heads.get_mut(at(message)) {
            head.next = Some(next);
        }
    }

    /// The octets of a message.
    pub(super) fn read(&self, message: Index) -> Vec<u8> {
        let length = self.head(message).map_or(0, |head| at(head.length));
        let mut octets = Vec::with_capacity(length);
        let mut block = Some(message);
        while let Some(index) = block
            && octets.len() < length
        {
            let start = at(index) * BLOCK_OCTETS;
            let part = BLOCK_OCTETS.min(length - octets.len());
            octets.extend_from_slice(self.octets.get(start..start + part).unwrap_or_default());
            block = self.after.get(at(index)).copied().flatten();
        }
        octets
    }

    /// Lets a message go: how many blocks that frees, and the message after it.
    pub(super) fn release(&mut self, message: Index) -> (usize, Option<Index>) {
        let Some(head) = self.heads.get_mut(at(message)) else {
            return (0, None);
        };
        let head = std::mem::replace(head, Head::NONE);
        let needed = Self::needed(at(head.length));
        let mut last = message;
        for _ in 1..needed {
            last = self.after.get(at(last)).copied().flatten().unwrap_or(last);
        }
        if let Some(after) = self.after.get_mut(at(last)) {
            debug_assert!(after.is_none(), "a message ends with its chain");
            *after = self.first_free.replace(message);
        }
        self.free += needed;
        (needed, head.next)
    }
}

/// A message in the pieces that its blocks hold; an empty one has one piece.
fn parts(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = octets.is_empty().then_some(octets);
    octets.chunks(BLOCK_OCTETS).chain(empty)
}

fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(length: usize, from: u8) -> Vec<u8> {
        (0..length)
            .map(|index| from.wrapping_add(u8::try_from(index % 251).unwrap()))
            .collect()
    }

    #[test]
    fn messages_of_every_length_come_back_whole_in_whatever_order_they_go() {
        let mut blocks = Blocks::new(64 * BLOCK_OCTETS);
        let lengths = [0, 1, 511, 512, 513, 1_024, 1_025, 4_000];
        for round in 0..50_usize {
            let mut kept: Vec<(Index, Vec<u8>)> = Vec::new();
            for (number, length) in lengths.iter().enumerate() {
                let octets = octets(*length, u8::try_from(round + number).unwrap());
                kept.push((blocks.keep(Head::NONE, &octets).unwrap(), octets));
            }
            let turn = round % kept.len();
            kept.rotate_left(turn);
            for (message, octets) in &kept {
                assert_eq!(&blocks.read(*message), octets);
            }
            let used: usize = kept
                .into_iter()
                .map(|(message, _)| blocks.release(message).0)
                .sum();
            assert_eq!(used, 1 + 1 + 1 + 1 + 2 + 2 + 3 + 8);
            assert_eq!(blocks.free(), blocks.count());
        }
    }

    #[test]
    fn with_too_few_blocks_nothing_is_kept_and_nothing_is_lost() {
        let mut blocks = Blocks::new(3 * BLOCK_OCTETS);
        let first = blocks.keep(Head::NONE, &octets(600, 1)).unwrap();
        assert_eq!(blocks.keep(Head::NONE, &octets(600, 2)), None);
        assert_eq!(blocks.free(), 1);
        let second = blocks.keep(Head::NONE, &octets(500, 3)).unwrap();
        assert_eq!(blocks.keep(Head::NONE, &[]), None);
        assert_eq!(blocks.read(first), octets(600, 1));
        assert_eq!(blocks.read(second), octets(500, 3));
        assert_eq!(Blocks::new(0).keep(Head::NONE, b"x"), None);
    }
}
