//! Numbers for unique aliases: taken from a block that was reserved before use (DECISIONS,
//! Storage). Gaps after a crash are allowed, repeats never.

use std::time::{Duration, Instant};

/// Numbers asked for at once.
pub const BLOCK_COUNT: u32 = 1_000;
/// With fewer than this left the next block is asked for.
pub const LOW_COUNT: u64 = 250;
/// Between a failed reservation and the next.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The numbers that are ours: the block in use, and the one behind it.
#[derive(Debug, Default)]
pub struct AliasNumbers {
    current: Block,
    next: Block,
    asked: bool,
    retry_at: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Block {
    first: u64,
    count: u64,
}

impl AliasNumbers {
    /// The next number, or `None` while no block is here.
    pub fn take(&mut self) -> Option<u64> {
        if self.current.count == 0 {
            self.current = std::mem::take(&mut self.next);
        }
        self.current.count = self.current.count.checked_sub(1)?;
        let number = self.current.first;
        self.current.first = number.saturating_add(1);
        Some(number)
    }

    /// A block came; an empty one means that the reservation failed.
    pub fn add(&mut self, first: u64, count: u32, now: Instant) {
        self.asked = false;
        self.retry_at = (count == 0).then(|| now + RETRY_AFTER);
        let block = Block {
            first,
            count: u64::from(count),
        };
        if self.current.count == 0 {
            self.current = block;
        } else if self.next.count == 0 {
            self.next = block;
        }
    }

    /// True, once, when a block should be reserved now.
    pub fn poll_reservation(&mut self, now: Instant) -> bool {
        let low = self.current.count + self.next.count < LOW_COUNT;
        let due = self.retry_at.is_none_or(|at| at <= now);
        if self.asked || !low || !due {
            return false;
        }
        self.asked = true;
        self.retry_at = None;
        true
    }

    /// When to look again after a failed reservation.
    #[must_use]
    pub const fn poll_deadline(&self) -> Option<Instant> {
        self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_run_on_over_blocks_and_never_repeat() {
        let now = Instant::now();
        let mut numbers = AliasNumbers::default();
        assert_eq!(numbers.take(), None);
        assert!(numbers.poll_reservation(now));
        assert!(!numbers.poll_reservation(now), "one question at a time");
        numbers.add(1, 2, now);
        assert_eq!(
            (numbers.take(), numbers.take(), numbers.take()),
            (Some(1), Some(2), None)
        );
        assert!(numbers.poll_reservation(now));
        numbers.add(1001, 1, now);
        numbers.add(2001, 1, now);
        assert_eq!(
            (numbers.take(), numbers.take(), numbers.take()),
            (Some(1001), Some(2001), None)
        );
    }

    #[test]
    fn failed_reservation_is_repeated_after_a_while_and_not_at_once() {
        let now = Instant::now();
        let mut numbers = AliasNumbers::default();
        assert!(numbers.poll_reservation(now));
        numbers.add(0, 0, now);
        assert_eq!(numbers.take(), None);
        assert!(!numbers.poll_reservation(now));
        assert_eq!(numbers.poll_deadline(), Some(now + RETRY_AFTER));
        assert!(numbers.poll_reservation(now + RETRY_AFTER));
    }

    #[test]
    fn full_block_asks_for_nothing() {
        let now = Instant::now();
        let mut numbers = AliasNumbers::default();
        numbers.add(1, BLOCK_COUNT, now);
        assert!(!numbers.poll_reservation(now));
    }
}
