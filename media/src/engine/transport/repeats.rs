//! Pictures on their way to a browser, kept for a moment as they left: what it missed is sent again
//! (RFC 4585 §6.2.1) and nobody beyond us is asked, who is a call's whole way further. The octets are
//! the same, key stream and all, so that no index is used for anything else.

use packet_io::{PacketBuf, PacketIo};

use crate::engine::transport::send_copy;
use crate::engine::transport::table::Transports;
use crate::engine::worker::Worker;
use crate::ingress::RateGuard;
use crate::limits::{
    FEEDBACK_PARTS_MAX, REPEAT_AGE_MAX, REPEATS_BURST_MAX, REPEATS_BYTES_AT_FIRST,
    REPEATS_BYTES_MAX, REPEATS_KEPT_MAX, REPEATS_PER_SECOND_MAX, REPEATS_SPARE_CHUNKS_MAX,
};
use crate::rtcp::{Compound, Feedback, RtcpPacket};
use crate::rtp::SequenceNumber;
use arrayvec::ArrayVec;

/// What left for one browser. It takes memory as pictures leave, gives back what is too old to be sent again, and
/// may take more where a browser asks for what had to give way: its line is long, or loses much.
#[derive(Debug)]
pub(super) struct Repeats {
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
    /// Of the last chunk that gave way to another before it was old; `None` once that has made room for more.
    given_way: Option<GivenWay>,
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

/// Chunks of a worker that no browser needs for now: pictures come in bursts.
#[derive(Debug, Default)]
pub(super) struct SpareChunks(Vec<Box<[u8]>>);

/// Where a packet is.
#[derive(Debug, Clone, Copy)]
struct Entry {
    chunk: u16,
    /// Of its mark, and never at the end of a chunk.
    start: u16,
}

/// Half of the numbers of chunks, so that what is gone is never taken for one to come.
const ROUND_HALF: u16 = 1 << 15;

const NONE: Entry = Entry {
    chunk: 0,
    start: u16::MAX,
};

const _: () = assert!(
    size_of::<Entry>() == 4 && CHUNK_SIZE < NONE.start as usize,
    "packed"
);

/// What stands before a packet: its size, and the low half of the milliseconds in which it left.
struct Mark {
    size: u16,
    sent_ms: u32,
}

const MARK_SIZE: usize = 6;

/// A chunk that gave way.
#[derive(Debug, Clone, Copy)]
struct GivenWay {
    /// The first packet that did not.
    before: SequenceNumber,
    last_ms: u32,
}

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
    pub(super) fn new() -> Self {
        Self {
            chunks: ArrayVec::new(),
            may: CHUNKS_AT_FIRST,
            first: 0,
            used: 0,
            entries: Box::default(),
            given_way: None,
            guard: RateGuard::NEW,
        }
    }

    /// What left under another key is of no use any more.
    pub(super) fn clear(&mut self) {
        self.entries.fill(NONE);
        self.given_way = None;
    }

    fn keep(&mut self, now_us: u64, packet: &[u8], spare: &mut SpareChunks) {
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
            self.begin_chunk(sent_ms, number, spare);
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
                chunk: self.first.wrapping_add(newest),
                start: u16::try_from(self.used).unwrap_or(NONE.start),
            };
        }
        self.used += takes;
    }

    /// The oldest chunk serves again if nobody is sent anything of it any more, or if there are as many as may be.
    fn begin_chunk(&mut self, now_ms: u32, number: SequenceNumber, spare: &mut SpareChunks) {
        let mut next = None;
        while let Some(old) = self.pop_old(now_ms) {
            if let Some(more) = next.replace(old) {
                spare.give(more);
            }
        }
        if next.is_none() && self.chunks.len() >= self.may {
            next = self.give_way(number);
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
    fn give_way(&mut self, newest: SequenceNumber) -> Option<Box<[u8]>> {
        let last_ms = self.chunks.first()?.last_ms;
        let octets = self.pop_first()?;
        let first = self.chunks.first().and_then(|chunk| {
            let (_mark, packet) = chunk.octets.split_first_chunk::<MARK_SIZE>()?;
            number_of(packet)
        });
        self.given_way = Some(GivenWay {
            before: first.unwrap_or(newest),
            last_ms,
        });
        Some(octets)
    }

    /// A browser asked for a packet that is not kept: if it had to give way a moment ago, the line takes
    /// longer than there is memory for, and there may be more from now on.
    fn miss(&mut self, now_us: u64, number: SequenceNumber) {
        let missed = self.given_way.filter(|given_way| {
            let back = usize::from(given_way.before.0.wrapping_sub(number.0));
            (1..=REPEATS_KEPT_MAX).contains(&back)
                && is_recent(milliseconds(now_us), given_way.last_ms)
        });
        if missed.is_some() && self.may < CHUNKS_MAX {
            self.may += 1;
            self.given_way = None;
        }
    }

    /// Gives back what is too old, all of it where no pictures leave any more.
    fn release(&mut self, now_us: u64, spare: &mut SpareChunks) {
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
    fn kept(&self, now_us: u64, number: SequenceNumber) -> Option<&[u8]> {
        let entry = *self.entries.get(place_of(number))?;
        let chunk = self
            .chunks
            .get(usize::from(entry.chunk.wrapping_sub(self.first)))?;
        let (mark, rest) = chunk
            .octets
            .get(usize::from(entry.start)..)?
            .split_first_chunk()?;
        let mark = Mark::read(*mark);
        let packet = rest.get(..usize::from(mark.size))?;
        let is_it = number_of(packet) == Some(number);
        (is_it && is_recent(milliseconds(now_us), mark.sent_ms)).then_some(packet)
    }
}

impl Transports {
    /// What may be sent again to a browser, and memory for more of it.
    fn repeats_of(&mut self, audio: u32) -> Option<(&mut Repeats, &mut SpareChunks)> {
        let at = audio.checked_sub(self.first)?;
        let transport = self.places.get_mut(at as usize)?.transport.as_deref_mut()?;
        Some((transport.repeats.as_deref_mut()?, &mut self.spare_chunks))
    }

    /// Pictures that are too old to be sent again take no memory.
    pub(super) fn release_repeats(&mut self, now_us: u64, audio: u32) {
        if let Some((repeats, spare)) = self.repeats_of(audio) {
            repeats.release(now_us, spare);
        }
    }
}

impl<Io: PacketIo> Worker<Io> {
    /// A protected packet leaves for a browser: of pictures it is kept.
    #[inline]
    pub(in crate::engine) fn keep_for_repeat(
        &mut self,
        now_us: u64,
        slot: u32,
        packet: &PacketBuf,
    ) {
        let audio = self.transports.place(slot).and_then(|place| place.audio);
        let Some(audio) = audio.filter(|audio| *audio != slot) else {
            return;
        };
        if let Some((repeats, spare)) = self.transports.repeats_of(audio) {
            repeats.keep(now_us, packet.bytes(), spare);
        }
    }

    /// Sends again what a browser says it missed of its pictures. Gives the parts that say nothing more: all
    /// that they ask for was sent, or may not be for now.
    pub(super) fn repeat_missed<'a>(
        &mut self,
        now_us: u64,
        audio: u32,
        compound: Compound<'a>,
    ) -> ArrayVec<RtcpPacket<'a>, FEEDBACK_PARTS_MAX> {
        let mut answered = ArrayVec::new();
        let Some(transport) = self.transports.of_audio(audio) else {
            return answered;
        };
        let Some(video) = transport.video else {
            return answered;
        };
        let [_, ours] = transport.plan.ssrcs;
        for part in compound.packets().take(FEEDBACK_PARTS_MAX) {
            let Ok(feedback) = Feedback::read(part) else {
                continue;
            };
            if !matches!(feedback, Feedback::Lost(..)) || !feedback.concerns(ours) {
                continue;
            }
            let mut has_all = true;
            for number in feedback.lost() {
                has_all &= self.repeat(now_us, audio, video, number);
            }
            if has_all {
                answered.push(part);
            }
        }
        answered
    }

    /// False: it is not kept.
    fn repeat(&mut self, now_us: u64, audio: u32, video: u32, number: SequenceNumber) -> bool {
        let to = self.control_destination(video);
        let sends = self.leg(video).is_some_and(|leg| leg.plan.sends);
        let transport = self.transports.of_audio_mut(audio);
        let Some(repeats) = transport.and_then(|it| it.repeats.as_deref_mut()) else {
            return false;
        };
        if repeats.kept(now_us, number).is_none() {
            repeats.miss(now_us, number);
            self.counters.transport.repeats_missing += 1;
            return false;
        }
        let may = repeats
            .guard
            .admit(now_us, REPEATS_PER_SECOND_MAX, REPEATS_BURST_MAX);
        if !may || !sends {
            self.counters.transport.repeats_limited += 1;
            return true;
        }
        let Some((to, octets)) = to.zip(repeats.kept(now_us, number)) else {
            return true;
        };
        let missing = &mut self.counters.buffers_missing;
        if send_copy(&mut self.io, missing, octets, to) {
            self.counters.transport.repeats_sent += 1;
        }
        true
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
mod tests {
    use super::*;

    fn octets(repeats: &Repeats) -> usize {
        let chunks = repeats.chunks.iter().map(|chunk| chunk.octets.len());
        chunks.sum::<usize>() + size_of_val(&*repeats.entries) + size_of::<Repeats>()
    }

    /// Packets of 1,000 octets at that rate for that long, from `numbers` on; the most octets that it took.
    fn send(
        (repeats, spare): (&mut Repeats, &mut SpareChunks),
        kbit: u64,
        numbers: std::ops::Range<u16>,
        now_us: &mut u64,
    ) -> usize {
        let mut most = 0;
        for number in numbers.clone() {
            *now_us += 8_000_000 / kbit;
            repeats.keep(*now_us, &packet(number, 1_000), spare);
            most = most.max(octets(repeats));
            // The last chunk may have been begun just now.
            let room = (repeats.may - 1) * (CHUNK_SIZE / 1_006);
            let within = u16::try_from((kbit / 8).min(room as u64)).unwrap();
            for before in number.saturating_sub(within).max(numbers.start)..=number {
                assert!(repeats.kept(*now_us, SequenceNumber(before)).is_some());
            }
        }
        most
    }

    #[test]
    fn memory_follows_what_is_sent_and_is_given_back_when_nothing_is() {
        let (mut repeats, mut spare) = (Repeats::new(), SpareChunks::default());
        let mut now_us = 5_000_000;
        assert!(octets(&repeats) < 512, "nothing was sent");
        let slow = send((&mut repeats, &mut spare), 150, 0..2_000, &mut now_us);
        assert!((20_000..36 * 1_024).contains(&slow), "{slow}");
        let fast = send((&mut repeats, &mut spare), 2_000, 2_000..4_000, &mut now_us);
        let full = REPEATS_BYTES_AT_FIRST..REPEATS_BYTES_AT_FIRST + 2 * 1_024;
        assert!(full.contains(&fast), "{fast}");
        send((&mut repeats, &mut spare), 150, 4_000..4_100, &mut now_us);
        assert_eq!(octets(&repeats), slow, "as before");
        assert_eq!(
            spare.0.len() * CHUNK_SIZE,
            fast - slow,
            "for the next burst"
        );
        repeats.release(now_us + 1_000, &mut spare);
        assert!(octets(&repeats) + CHUNK_SIZE >= slow, "it may be asked for");
        repeats.release(now_us + 1_001_000, &mut spare);
        assert!(octets(&repeats) < 512, "nothing is sent any more");
        assert_eq!(repeats.kept(now_us, SequenceNumber(4_099)), None);
        let again = send((&mut repeats, &mut spare), 150, 5_000..5_100, &mut now_us);
        assert!(again <= slow);
    }

    /// A line of 0.4 s at 2 Mbit/s: what it asks for is a hundred packets old.
    #[test]
    fn a_browser_that_asks_for_what_gave_way_gets_memory_for_it_up_to_a_bound() {
        let (mut repeats, mut spare) = (Repeats::new(), SpareChunks::default());
        let (mut now_us, mut missing) = (5_000_000, 0);
        for number in 0..2_000_u16 {
            now_us += 4_000;
            repeats.keep(now_us, &packet(number, 1_000), &mut spare);
            let Some(asked) = number.checked_sub(100).map(SequenceNumber) else {
                continue;
            };
            if number % 10 == 0 && repeats.kept(now_us, asked).is_none() {
                repeats.miss(now_us, asked);
                missing += 1;
            }
        }
        assert!((5..20).contains(&missing), "{missing}");
        let takes = octets(&repeats);
        assert!((100_000..120_000).contains(&takes), "{takes}");
        // What no memory would have helped takes none: not sent yet, or long ago, or in the sequence's other half.
        let may = repeats.may;
        for number in [2_000, 2_500, 1_500, 40_000] {
            repeats.miss(now_us, SequenceNumber(number));
        }
        assert_eq!(repeats.may, may);
        repeats.miss(now_us + 1_001_000, SequenceNumber(1_880));
        assert_eq!(repeats.may, may);
        for number in 2_000..20_000_u16 {
            now_us += 1_000;
            repeats.keep(now_us, &packet(number, 1_000), &mut spare);
            repeats.miss(now_us, SequenceNumber(number - 200));
        }
        assert_eq!(repeats.may, CHUNKS_MAX);
        assert!(octets(&repeats) < REPEATS_BYTES_MAX + 2 * 1_024);
    }

    /// Once for each chunk that gave way: one report may name many packets.
    #[test]
    fn a_report_of_many_losses_takes_one_chunk() {
        let (mut repeats, mut spare) = (Repeats::new(), SpareChunks::default());
        for number in 0..100 {
            repeats.keep(1, &packet(number, 1_000), &mut spare);
        }
        for number in 0..17 {
            repeats.miss(1, SequenceNumber(number));
        }
        assert_eq!(repeats.may, CHUNKS_AT_FIRST + 1);
    }

    /// What a browser asks for of them would be of no use to it, however much there were.
    #[test]
    fn what_gave_way_under_another_key_takes_no_memory() {
        let (mut repeats, mut spare) = (Repeats::new(), SpareChunks::default());
        for number in 0..100 {
            repeats.keep(1, &packet(number, 1_000), &mut spare);
        }
        repeats.clear();
        repeats.miss(1, SequenceNumber(0));
        assert_eq!(repeats.may, CHUNKS_AT_FIRST);
    }

    /// Numbers of chunks come again after half a million packets.
    #[test]
    fn an_entry_that_nobody_renewed_names_no_chunk_of_a_later_round() {
        let (mut repeats, mut spare) = (Repeats::new(), SpareChunks::default());
        let mut old = packet(7, 1_000);
        repeats.keep(1, &old, &mut spare);
        // Of eight packets in a chunk none has the place of the first.
        old.truncate(600);
        let others = (0..u16::MAX).filter(|number| number % 256 != 7).cycle();
        let mut chunks = std::collections::BTreeSet::new();
        for number in others.take(14 * 66_000) {
            repeats.keep(1, &packet(number, 600), &mut spare);
            chunks.insert(repeats.first);
            let kept = repeats.kept(1, SequenceNumber(7));
            assert!(
                kept.is_none() || chunks.len() < CHUNKS_AT_FIRST,
                "{}",
                chunks.len()
            );
        }
        assert_eq!(chunks.len(), 1 << 16, "a whole round");
        assert!(
            repeats
                .entries
                .iter()
                .any(|entry| entry.start == NONE.start)
        );
    }

    /// In the steady state the oldest chunk serves again.
    #[test]
    fn a_stream_takes_its_memory_once() {
        let (mut repeats, mut spare) = (Repeats::new(), SpareChunks::default());
        let mut now_us = 5_000_000;
        send((&mut repeats, &mut spare), 200, 0..500, &mut now_us);
        let places = |repeats: &Repeats| {
            let chunks = repeats.chunks.iter().map(|chunk| chunk.octets.as_ptr());
            chunks.collect::<std::collections::BTreeSet<_>>()
        };
        let before = places(&repeats);
        for round in 1..60_u16 {
            let numbers = round * 500..(round + 1) * 500;
            send((&mut repeats, &mut spare), 200, numbers, &mut now_us);
            assert_eq!(places(&repeats), before);
            assert!(spare.0.is_empty());
        }
    }

    #[test]
    fn no_more_chunks_wait_than_may() {
        let mut spare = SpareChunks::default();
        let taken: Vec<_> = (0..REPEATS_SPARE_CHUNKS_MAX + 5)
            .map(|_| spare.take())
            .collect();
        for chunk in taken {
            spare.give(chunk);
        }
        assert_eq!(spare.0.len(), REPEATS_SPARE_CHUNKS_MAX);
    }

    fn packet(number: u16, size: usize) -> Vec<u8> {
        let mut octets = vec![u8::try_from(number % 251).unwrap(); size];
        octets[2..4].copy_from_slice(&number.to_be_bytes());
        octets
    }

    #[test]
    fn what_is_kept_is_what_left_and_the_oldest_goes_first() {
        let (mut repeats, mut spare) = (Repeats::new(), SpareChunks::default());
        let sizes = |number: u16| 400 + usize::from(number % 700);
        let mut kept_most = 0;
        for number in 65_000..67_000_u32 {
            let number = u16::try_from(number % 65_536).unwrap();
            repeats.keep(1, &packet(number, sizes(number)), &mut spare);
            let is_kept = |back: u16| {
                let number = number.wrapping_sub(back);
                let kept = repeats.kept(1, SequenceNumber(number));
                kept.is_some_and(|kept| {
                    assert_eq!(kept, packet(number, sizes(number)));
                    true
                })
            };
            assert!(is_kept(0));
            let count = (0..600).take_while(|back| is_kept(*back)).count();
            kept_most = kept_most.max(count);
            assert!((0..600).filter(|back| is_kept(*back)).count() == count);
        }
        assert!(kept_most >= REPEATS_BYTES_AT_FIRST / 1_200, "{kept_most}");
    }

    #[test]
    fn nothing_is_kept_for_long_or_under_another_key() {
        let (mut repeats, mut spare) = (Repeats::new(), SpareChunks::default());
        repeats.keep(u64::from(u32::MAX) * 1_000, &packet(6, 900), &mut spare);
        let round = u64::from(u32::MAX) * 1_000 + 5_000;
        assert!(
            repeats.kept(round, SequenceNumber(6)).is_some(),
            "across the round"
        );
        repeats.keep(1, &packet(7, 900), &mut spare);
        let late = 1_000 + 1_000_000;
        assert!(repeats.kept(late - 1, SequenceNumber(7)).is_some());
        assert!(repeats.kept(late, SequenceNumber(7)).is_none());
        repeats.clear();
        assert!(repeats.kept(1, SequenceNumber(7)).is_none());
        repeats.keep(1, &[0x80], &mut spare);
        assert!(repeats.kept(1, SequenceNumber(0)).is_none());
    }
}
