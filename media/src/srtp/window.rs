//! The indices of one stream: which number a packet really has (RFC 3711 §3.3.1), and whether it was
//! used before (RFC 3711 §3.3.2).

use crate::command::MediaKind;
use crate::drop_reason::DropReason;
use crate::limits::{AUDIO_MISORDER_MAX, VIDEO_MISORDER_MAX};

/// Indices that one key may protect (RFC 3711 §9.2): 48 bits of SRTP.
pub(super) const RTP_INDICES: u64 = 1 << 48;

/// Indices that one key may protect (RFC 3711 §9.2): 31 bits of SRTCP.
pub(super) const RTCP_INDICES: u64 = 1 << 31;

const SEQUENCES: u64 = 1 << 16;

const HALF: u64 = SEQUENCES / 2;

/// Indices that one word remembers.
const WORD: u64 = u64::BITS as u64;

/// Of speech: 128 packets back, twice what RFC 3711 §3.3.2 asks for at least.
const SHORT_WORDS: usize = 3;

/// Of pictures: what is sent again after a NACK comes thousands of packets late. It passes where it was lost
/// before us; lost behind us its index is used, and the picture comes back with the next keyframe.
const LONG_WORDS: usize = 48;

/// What was seen of the indices of one stream.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// One more than the highest used.
    end: u64,
    /// Everything below counts as used: it was, under this key, before its table was put away.
    floor: u64,
    /// A ring of words by index; what is ahead of the highest is clear. Stale while `end <= floor`.
    used: Used,
}

#[derive(Debug, Clone)]
enum Used {
    Short([u64; SHORT_WORDS]),
    Long(Box<[u64; LONG_WORDS]>),
}

impl Window {
    /// A window in which nothing was used but what is below `floor`.
    pub(super) fn new(kind: MediaKind, floor: u64) -> Self {
        Self {
            end: 0,
            floor,
            used: match kind {
                MediaKind::Audio => Used::Short([0; SHORT_WORDS]),
                MediaKind::Video => Used::Long(Box::new([0; LONG_WORDS])),
            },
        }
    }

    /// Remembers nothing but that.
    pub(super) const fn from_floor(floor: u64) -> Self {
        Self {
            end: 0,
            floor,
            used: Used::Short([0; SHORT_WORDS]),
        }
    }

    /// A window in which `index` is the highest used.
    #[cfg(test)]
    pub(super) fn at(index: u64) -> Self {
        let mut window = Self::from_floor(0);
        window.mark(index);
        window
    }

    pub(super) const fn is_started(&self) -> bool {
        self.end > self.floor
    }

    /// The least index that is above all used ones.
    pub(super) const fn next(&self) -> u64 {
        if self.is_started() {
            self.end
        } else {
            self.floor
        }
    }

    /// From now on everything below counts as used.
    pub(super) fn raise(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
    }

    /// The index that a sequence number most likely stands for: the one nearest to the highest
    /// (RFC 3711 §3.3.1). Before the first packet it is the least that may be.
    pub(super) fn estimate(&self, sequence: u16) -> Result<u64, DropReason> {
        let index = if self.is_started() {
            nearest(self.end - 1, sequence)?
        } else {
            let same = (self.floor & !(SEQUENCES - 1)) + u64::from(sequence);
            if same < self.floor {
                same + SEQUENCES
            } else {
                same
            }
        };
        if index < RTP_INDICES {
            Ok(index)
        } else {
            Err(DropReason::SrtpKeyExhausted)
        }
    }

    /// True if `index` was not used; what lies before the window counts as used.
    pub(super) fn is_unused(&self, index: u64) -> bool {
        if index < self.floor {
            return false;
        }
        if !self.is_started() || index >= self.end {
            return true;
        }
        let back = self.end - 1 - index;
        back < self.packets() && self.word(index) >> (index % WORD) & 1 == 0
    }

    /// Takes `index` as used.
    pub(super) fn mark(&mut self, index: u64) {
        debug_assert!(self.is_unused(index), "an index is used once");
        let is_started = self.is_started();
        let end = self.end;
        let words = self.words_mut();
        let count = words.len() as u64;
        if !is_started {
            words.fill(0);
        } else if index >= end {
            let first_new = (end - 1) / WORD + 1;
            for block in (first_new..=index / WORD).take(words.len()) {
                // The last `count` blocks are all that matter; a long step clears every word.
                if let Some(word) = words.get_mut(place(block, count)) {
                    *word = 0;
                }
            }
        }
        let is_inside = !is_started || index >= end || end - 1 - index < (count - 1) * WORD;
        if is_inside && let Some(word) = words.get_mut(place(index / WORD, count)) {
            *word |= 1 << (index % WORD);
        }
        if !is_started || index >= end {
            self.end = index + 1;
        }
        debug_assert!(!self.is_unused(index), "what is marked is used");
    }

    /// How far it looks back.
    fn packets(&self) -> u64 {
        (self.words().len() as u64 - 1) * WORD
    }

    fn word(&self, index: u64) -> u64 {
        let words = self.words();
        let at = place(index / WORD, words.len() as u64);
        words.get(at).copied().unwrap_or(u64::MAX)
    }

    fn words(&self) -> &[u64] {
        match &self.used {
            Used::Short(words) => words,
            Used::Long(words) => words.as_slice(),
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match &mut self.used {
            Used::Short(words) => words,
            Used::Long(words) => words.as_mut_slice(),
        }
    }
}

fn place(block: u64, count: u64) -> usize {
    usize::try_from(block % count).unwrap_or_default()
}

/// The index with these lower 16 bits that is nearest to the highest (RFC 3711 §3.3.1).
pub(super) fn nearest(highest: u64, sequence: u16) -> Result<u64, DropReason> {
    let sequence = u64::from(sequence);
    let (round, last) = (highest & !(SEQUENCES - 1), highest % SEQUENCES);
    let same = round + sequence;
    if last < HALF && sequence > last + HALF {
        // From before the counter began: nobody can have sent it under this key.
        same.checked_sub(SEQUENCES).ok_or(DropReason::SrtpReplay)
    } else if last >= HALF && sequence < last - HALF {
        Ok(same + SEQUENCES)
    } else {
        Ok(same)
    }
}

const _: () = {
    assert!(
        (SHORT_WORDS as u64 - 1) * WORD > AUDIO_MISORDER_MAX as u64,
        "what is relayed late is protected late"
    );
    assert!(
        (LONG_WORDS as u64 - 1) * WORD > VIDEO_MISORDER_MAX as u64,
        "what is relayed late is protected late"
    );
};

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(window: &mut Window, sequence: u16) -> Result<u64, DropReason> {
        let index = window.estimate(sequence)?;
        if !window.is_unused(index) {
            return Err(DropReason::SrtpReplay);
        }
        window.mark(index);
        Ok(index)
    }

    /// RFC 3711 §3.3.1: loss of fewer than 2^15 packets never loses the roll-over counter.
    #[test]
    fn the_roll_over_counter_survives_loss_and_disorder() {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let mut window = Window::new(kind, 0);
            let mut expected = 65_000_u64;
            for step in [1, 700, 1, 32_000, 3, 32_767, 40, 32_000, 32_000, 1] {
                let low = u16::try_from(expected % SEQUENCES).unwrap();
                assert_eq!(taken(&mut window, low), Ok(expected));
                // Late ones, from before a roll-over too.
                for late in [2_u64, 90, 127] {
                    let index = expected - late;
                    let low = u16::try_from(index % SEQUENCES).unwrap();
                    assert_eq!(window.estimate(low), Ok(index));
                }
                expected += step;
            }
            assert!(expected > 2 * SEQUENCES, "{expected}");
        }
    }

    #[test]
    fn an_index_is_taken_once_and_what_left_the_window_never() {
        let mut window = Window::from_floor(0);
        for sequence in [1_000, 1_002, 1_001, 1_100] {
            taken(&mut window, sequence).unwrap();
        }
        for used in [1_000, 1_001, 1_002, 1_100, 972, 3] {
            assert_eq!(
                taken(&mut window, used),
                Err(DropReason::SrtpReplay),
                "{used}"
            );
        }
        assert_eq!(taken(&mut window, 973), Ok(973), "127 back is inside");
        taken(&mut window, 5_000).unwrap();
        assert_eq!(taken(&mut window, 1_100), Err(DropReason::SrtpReplay));
    }

    /// Against a table of all that was ever used.
    #[test]
    fn a_window_knows_of_each_index_near_the_highest_whether_it_was_used() {
        for (kind, reach) in [(MediaKind::Audio, 128), (MediaKind::Video, 3_008)] {
            let mut window = Window::new(kind, 0);
            let mut used = std::collections::BTreeSet::new();
            let mut index = 70_000_u64;
            for number in 0..6_000_u64 {
                index += [1, 1, 3, 64, 1, 190, 1, 4_000][usize::try_from(number % 8).unwrap()];
                let late = index - (number * 37) % (reach - 1);
                for taken in [index, late] {
                    if !used.contains(&taken) {
                        assert!(window.is_unused(taken), "{kind:?} {taken} of {index}");
                        window.mark(taken);
                        used.insert(taken);
                    }
                    assert!(!window.is_unused(taken));
                }
                for back in 0..reach {
                    let known = !window.is_unused(index - back);
                    assert_eq!(known, used.contains(&(index - back)), "{kind:?} {back}");
                }
                assert!(!window.is_unused(index - reach), "before the window");
                if number > 200 && kind == MediaKind::Video {
                    break;
                }
            }
        }
    }

    #[test]
    fn below_the_floor_nothing_is_unused_and_the_first_index_is_the_least_above_it() {
        for (floor, sequence, index) in [
            (0, 7, 7),
            (5, 7, 7),
            (8, 7, SEQUENCES + 7),
            (SEQUENCES + 7, 7, SEQUENCES + 7),
            (2 * SEQUENCES + 8, 7, 3 * SEQUENCES + 7),
        ] {
            let mut window = Window::from_floor(floor);
            assert!(!window.is_started());
            assert_eq!(window.next(), floor);
            assert_eq!(window.estimate(sequence), Ok(index));
            assert!(floor == 0 || !window.is_unused(floor - 1));
            window.mark(index);
            assert_eq!((window.is_started(), window.next()), (true, index + 1));
            window.raise(index + 1);
            assert!(!window.is_started() && !window.is_unused(index));
            window.mark(index + 1);
            assert!(window.is_unused(index + 2) && !window.is_unused(index));
        }
    }

    #[test]
    fn nothing_comes_from_before_the_counter_began() {
        let mut window = Window::from_floor(0);
        assert_eq!(taken(&mut window, 5), Ok(5));
        assert_eq!(taken(&mut window, 65_500), Err(DropReason::SrtpReplay));
    }

    #[test]
    fn after_2_to_48_packets_a_key_is_exhausted() {
        let mut window = Window::at(RTP_INDICES - 2);
        assert_eq!(taken(&mut window, 65_535), Ok(RTP_INDICES - 1));
        assert_eq!(taken(&mut window, 0), Err(DropReason::SrtpKeyExhausted));
    }
}
