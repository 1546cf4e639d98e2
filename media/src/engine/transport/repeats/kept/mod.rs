//! What left for one browser, for as long as it may ask for it again.

use arrayvec::ArrayVec;

use crate::ingress::RateGuard;
use crate::limits::{
    REPEAT_AGE_MAX, REPEATS_BURST_MAX, REPEATS_BYTES_AT_FIRST, REPEATS_BYTES_MAX, REPEATS_KEPT_MAX,
    REPEATS_PER_SECOND_MAX, REPEATS_SPARE_CHUNKS_MAX,
};
use crate::rtp::SequenceNumber;

/// What left for one browser. It takes memory as pictures leave, gives back what is too old to be sent again, and
/// may take more where a browser asks for what had to give way: its line is long, or loses much.
#[derive(Debug)]
pub(in super::super) struct Repeats {
    /// The oldest first; packets are written to the last.
    chunks: ArrayVec<Chunk, CHUNKS_MAX>,
    /// Chunks that it may have.
    may: usize,
    /// The number of the first chunk. They follow each other.
    first: u16,
    /// Octets written to the last chunk.
    used: usize,
    /// By the packet's number; empty while there is no chunk.
    entries: Box<[Entry]>,
    /// When the last packet left of the last chunk that gave way before it was old; `None` once there may be
    /// more for that.
    given_way_ms: Option<u32>,
    guard: RateGuard,
}

/// Octets of a chunk: six packets of a picture.
const CHUNK_SIZE: usize = 8 * 1_024;

const CHUNKS_MAX: usize = REPEATS_BYTES_MAX / CHUNK_SIZE;

const CHUNKS_AT_FIRST: usize = REPEATS_BYTES_AT_FIRST / CHUNK_SIZE;

const _: () = assert!(
    REPEATS_BYTES_MAX.is_multiple_of(CHUNK_SIZE)
        && REPEATS_BYTES_AT_FIRST.is_multiple_of(CHUNK_SIZE)
        && CHUNKS_AT_FIRST > 1,
    "whole chunks"
);

/// Packets one after the other, each behind its [`Mark`].
#[derive(Debug)]
struct Chunk {
    octets: Box<[u8]>,
    /// When its last packet left.
    last_ms: u32,
}

/// Chunks of a worker that no browser uses: pictures come in bursts.
#[derive(Debug, Default)]
pub(in super::super) struct SpareChunks(Vec<Box<[u8]>>);

/// Where a packet is.
#[derive(Debug, Clone, Copy)]
struct Entry {
    number: SequenceNumber,
    chunk: u16,
    /// Of its mark, and never at the end of a chunk.
    start: u16,
}

/// Half of the numbers of chunks, so that what is gone is never taken for one to come.
const ROUND_HALF: u16 = 1 << 15;

const NONE: Entry = Entry {
    number: SequenceNumber(0),
    chunk: 0,
    start: u16::MAX,
};

const _: () = assert!(
    size_of::<Entry>() == 6 && CHUNK_SIZE < NONE.start as usize,
    "packed"
);

/// What stands before a packet: its size, and the low half of the milliseconds in which it left.
struct Mark {
    size: u16,
    sent_ms: u32,
}

const MARK_SIZE: usize = 6;

impl Mark {
    const fn to_octets(&self) -> [u8; MARK_SIZE] {
        let [size_0, size_1] = self.size.to_be_bytes();
        let [sent_0, sent_1, sent_2, sent_3] = self.sent_ms.to_be_bytes();
        [size_0, size_1, sent_0, sent_1, sent_2, sent_3]
    }

    const fn read([size_0, size_1, sent_0, sent_1, sent_2, sent_3]: [u8; MARK_SIZE]) -> Self {
        Self {
            size: u16::from_be_bytes([size_0, size_1]),
            sent_ms: u32::from_be_bytes([sent_0, sent_1, sent_2, sent_3]),
        }
    }
}

impl SpareChunks {
    fn take(&mut self) -> Box<[u8]> {
        let spare = self.0.pop();
        spare.unwrap_or_else(|| vec![0; CHUNK_SIZE].into_boxed_slice())
    }

    fn give(&mut self, octets: Box<[u8]>) {
        if self.0.len() < REPEATS_SPARE_CHUNKS_MAX {
            self.0.push(octets);
        }
    }
}

impl Repeats {
    pub(in super::super) fn new() -> Self {
        Self {
            chunks: ArrayVec::new(),
            may: CHUNKS_AT_FIRST,
            first: 0,
            used: 0,
            entries: Box::default(),
            given_way_ms: None,
            guard: RateGuard::NEW,
        }
    }

    /// What left under another key is of no use any more.
    pub(in super::super) fn clear(&mut self) {
        self.entries.fill(NONE);
    }

    pub(super) fn keep(&mut self, now_us: u64, packet: &[u8], spare: &mut SpareChunks) {
        let Some(number) = number_of(packet) else {
            return;
        };
        let Ok(size) = u16::try_from(packet.len()) else {
            return;
        };
        let sent_ms = milliseconds(now_us);
        let takes = MARK_SIZE + packet.len();
        if self.chunks.is_empty() || self.used + takes > CHUNK_SIZE {
            if takes > CHUNK_SIZE {
                return;
            }
            self.begin_chunk(sent_ms, spare);
        }
        let newest = u16::try_from(self.chunks.len().saturating_sub(1)).unwrap_or_default();
        let Some(chunk) = self.chunks.last_mut() else {
            return;
        };
        let Some(room) = chunk.octets.get_mut(self.used..self.used + takes) else {
            return;
        };
        let (mark, octets) = room.split_at_mut(MARK_SIZE);
        mark.copy_from_slice(&Mark { size, sent_ms }.to_octets());
        octets.copy_from_slice(packet);
        chunk.last_ms = sent_ms;
        if let Some(place) = self.entries.get_mut(place_of(number)) {
            *place = Entry {
                number,
                chunk: self.first.wrapping_add(newest),
                start: u16::try_from(self.used).unwrap_or(NONE.start),
            };
        }
        self.used += takes;
    }

    /// The oldest chunk serves again if nobody is sent anything of it any more, or if there are as many as may be.
    fn begin_chunk(&mut self, now_ms: u32, spare: &mut SpareChunks) {
        let mut next = None;
        while let Some(old) = self.pop_old(now_ms) {
            if let Some(more) = next.replace(old) {
                spare.give(more);
            }
        }
        if next.is_none() && self.chunks.len() >= self.may {
            next = self.give_way();
        }
        if self.entries.is_empty() {
            self.entries = vec![NONE; REPEATS_KEPT_MAX].into_boxed_slice();
        }
        self.chunks.push(Chunk {
            octets: next.unwrap_or_else(|| spare.take()),
            last_ms: now_ms,
        });
        self.used = 0;
    }

    /// The oldest chunk, though a browser may still want it.
    fn give_way(&mut self) -> Option<Box<[u8]>> {
        self.given_way_ms = self.chunks.first().map(|oldest| oldest.last_ms);
        self.pop_first()
    }

    /// A browser asked for a packet that is not kept: if it was, gave way a moment ago, and would still be there with
    /// as much memory as may be, there may be more from now on. One that was lost before it came here never was.
    pub(super) fn miss(&mut self, now_us: u64, number: SequenceNumber) {
        let is_recent = self
            .given_way_ms
            .is_some_and(|last_ms| is_recent(milliseconds(now_us), last_ms));
        let entry = self.entries.get(place_of(number));
        let was_kept = entry.filter(|entry| entry.number == number && entry.start != NONE.start);
        let room = CHUNKS_MAX - self.chunks.len();
        let would_be = was_kept.is_some_and(|entry| {
            (1..=room).contains(&usize::from(self.first.wrapping_sub(entry.chunk)))
        });
        if is_recent && would_be && self.may < CHUNKS_MAX {
            self.may += 1;
            self.given_way_ms = None;
        }
    }

    /// True while it may be sent more of what it missed.
    pub(super) fn admit(&mut self, now_us: u64) -> bool {
        self.guard
            .admit(now_us, REPEATS_PER_SECOND_MAX, REPEATS_BURST_MAX)
    }

    /// Gives back what is too old, all of it where no pictures leave any more.
    pub(super) fn release(&mut self, now_us: u64, spare: &mut SpareChunks) {
        while let Some(old) = self.pop_old(milliseconds(now_us)) {
            spare.give(old);
        }
        if self.chunks.is_empty() && !self.entries.is_empty() {
            self.entries = Box::default();
        }
    }

    fn pop_old(&mut self, now_ms: u32) -> Option<Box<[u8]>> {
        let oldest = self.chunks.first()?;
        if is_recent(now_ms, oldest.last_ms) {
            return None;
        }
        self.pop_first()
    }

    fn pop_first(&mut self) -> Option<Box<[u8]>> {
        let oldest = self.chunks.pop_at(0)?;
        self.first = self.first.wrapping_add(1);
        if self.first.is_multiple_of(ROUND_HALF) {
            self.forget_gone();
        }
        Some(oldest.octets)
    }

    /// Numbers of chunks come again: no entry of the round before may be taken for one of this.
    fn forget_gone(&mut self) {
        for entry in &mut self.entries {
            if usize::from(entry.chunk.wrapping_sub(self.first)) >= self.chunks.len() {
                *entry = NONE;
            }
        }
    }

    /// The packet of that number as it left, unless that was long ago or its place was taken.
    pub(super) fn kept(&self, now_us: u64, number: SequenceNumber) -> Option<&[u8]> {
        let entry = self.entries.get(place_of(number))?;
        if entry.number != number {
            return None;
        }
        let chunk = self
            .chunks
            .get(usize::from(entry.chunk.wrapping_sub(self.first)))?;
        let (mark, rest) = chunk
            .octets
            .get(usize::from(entry.start)..)?
            .split_first_chunk()?;
        let mark = Mark::read(*mark);
        let packet = rest.get(..usize::from(mark.size))?;
        is_recent(milliseconds(now_us), mark.sent_ms).then_some(packet)
    }
}

/// True while a browser may still use what was sent then.
fn is_recent(now_ms: u32, sent_ms: u32) -> bool {
    u128::from(now_ms.wrapping_sub(sent_ms)) <= REPEAT_AGE_MAX.as_millis()
}

/// Of a packet of RTP.
fn number_of(packet: &[u8]) -> Option<SequenceNumber> {
    let [_, _, high, low] = packet.first_chunk()?;
    Some(SequenceNumber(u16::from_be_bytes([*high, *low])))
}

fn place_of(number: SequenceNumber) -> usize {
    usize::from(number.0) % REPEATS_KEPT_MAX
}

/// The low half, as they go round.
fn milliseconds(now_us: u64) -> u32 {
    u32::try_from((now_us / 1_000) & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
