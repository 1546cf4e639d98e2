//! What is kept, for how long, and in how much memory.

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
    for number in 2_000..20_000_u16 {
        now_us += 1_000;
        repeats.keep(now_us, &packet(number, 1_000), &mut spare);
        repeats.miss(now_us, SequenceNumber(number - 120));
    }
    assert_eq!(repeats.may, CHUNKS_MAX);
    assert!(octets(&repeats) < REPEATS_BYTES_MAX + 2 * 1_024);
}

/// Not sent yet, lost before it came here, of long ago, or further back than all memory that there may be.
#[test]
fn what_no_memory_would_have_kept_takes_none() {
    let (mut repeats, mut spare) = (Repeats::new(), SpareChunks::default());
    let mut now_us = 5_000_000;
    for number in (0..2_000_u16).filter(|number| number % 50 != 7) {
        now_us += 1_000;
        repeats.keep(now_us, &packet(number, 1_000), &mut spare);
        for back in [0, 200, 256, 500, 30_000] {
            repeats.miss(now_us, SequenceNumber(number.wrapping_sub(back)));
        }
        let lost = number / 50 * 50 + 7;
        repeats.miss(now_us, SequenceNumber(lost));
        repeats.miss(now_us, SequenceNumber(lost.wrapping_sub(50)));
        assert_eq!(repeats.may, CHUNKS_AT_FIRST, "{number}");
    }
    repeats.miss(now_us + 1_001_000, SequenceNumber(1_940));
    assert_eq!(repeats.may, CHUNKS_AT_FIRST);
    repeats.miss(now_us, SequenceNumber(1_940));
    assert_eq!(
        repeats.may,
        CHUNKS_AT_FIRST + 1,
        "that one would have been there"
    );
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
    repeats.miss(1, SequenceNumber(55));
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
