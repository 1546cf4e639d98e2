//! The indices of one stream: which number a packet really has (RFC 3711 §3.3.1), and whether it was
//! used before (RFC 3711 §3.3.2).

use crate::drop_reason::DropReason;

/// Packets that the window looks back: twice what RFC 3711 §3.3.2 asks for at least, and more than
/// a relayed stream can be out of order (RFC 3550 A.1, `MAX_MISORDER`).
pub(super) const WINDOW_PACKETS: u64 = u128::BITS as u64;

/// Indices that one key may protect (RFC 3711 §9.2): 48 bits of SRTP.
pub(super) const RTP_INDICES: u64 = 1 << 48;

/// Indices that one key may protect (RFC 3711 §9.2): 31 bits of SRTCP.
pub(super) const RTCP_INDICES: u64 = 1 << 31;

const SEQUENCES: u64 = 1 << 16;

const HALF: u64 = SEQUENCES / 2;

/// What was seen of the indices of one stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Window {
    highest: u64,
    /// Bit n: `highest - n` was used. Zero: nothing was.
    used: u128,
}

impl Window {
    /// A window in which `index` is the highest used.
    #[cfg(test)]
    pub(super) const fn at(index: u64) -> Self {
        Self {
            highest: index,
            used: 1,
        }
    }

    pub(super) const fn is_started(&self) -> bool {
        self.used != 0
    }

    /// The index that a sequence number most likely stands for: the one nearest to the highest
    /// (RFC 3711 §3.3.1). Before the first packet the roll-over counter is zero.
    pub(super) fn estimate(&self, sequence: u16) -> Result<u64, DropReason> {
        let sequence = u64::from(sequence);
        if !self.is_started() {
            return Ok(sequence);
        }
        let (round, last) = (self.highest & !(SEQUENCES - 1), self.highest % SEQUENCES);
        let same = round + sequence;
        let index = if last < HALF && sequence > last + HALF {
            // From before the counter began: nobody can have sent it under this key.
            same.checked_sub(SEQUENCES).ok_or(DropReason::SrtpReplay)?
        } else if last >= HALF && sequence < last - HALF {
            same + SEQUENCES
        } else {
            same
        };
        if index < RTP_INDICES {
            Ok(index)
        } else {
            Err(DropReason::SrtpKeyExhausted)
        }
    }

    /// True if `index` was not used; what lies before the window counts as used.
    pub(super) fn is_unused(&self, index: u64) -> bool {
        if !self.is_started() || index > self.highest {
            return true;
        }
        let back = self.highest - index;
        back < WINDOW_PACKETS && self.used >> back & 1 == 0
    }

    /// Takes `index` as used.
    pub(super) fn mark(&mut self, index: u64) {
        debug_assert!(self.is_unused(index), "an index is used once");
        if !self.is_started() {
            (self.highest, self.used) = (index, 1);
        } else if let Some(back) = self.highest.checked_sub(index) {
            if back < WINDOW_PACKETS {
                self.used |= 1 << back;
            }
        } else {
            let ahead = index - self.highest;
            self.used = if ahead < WINDOW_PACKETS {
                self.used << ahead | 1
            } else {
                1
            };
            self.highest = index;
        }
        debug_assert!(!self.is_unused(index), "what is marked is used");
    }
}

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
        let mut window = Window::default();
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

    #[test]
    fn an_index_is_taken_once_and_what_left_the_window_never() {
        let mut window = Window::default();
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

    #[test]
    fn nothing_comes_from_before_the_counter_began() {
        let mut window = Window::default();
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
