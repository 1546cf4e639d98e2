//! Gathering: while messages come thick, a turn begins at most once in a millisecond, so that one waking
//! serves several of them (interrupt moderation, as network cards do it).
//!
//! Each waking has its price, whatever it serves: the sleep, the system calls that look for work, and code
//! and tables that have left the caches meanwhile. Policy only: time is an argument, nothing sleeps here.

use std::time::{Duration, Instant};

/// The rate of messages is measured this often.
const WINDOW: Duration = Duration::from_millis(100);

/// When the next turn begins.
#[derive(Debug)]
pub(super) struct Gathering {
    /// How long a message may wait for others; zero: never.
    longest: Duration,
    window_from: Instant,
    messages: u32,
    is_thick: bool,
}

impl Gathering {
    /// Nothing has come yet.
    pub(super) const fn new(longest: Duration, now: Instant) -> Self {
        Self {
            longest,
            window_from: now,
            messages: 0,
            is_thick: false,
        }
    }

    /// So many messages came in a turn.
    pub(super) const fn count(&mut self, messages: u32) {
        self.messages = self.messages.saturating_add(messages);
    }

    /// When the turn after the one that began at `began` is due: `None`, as soon as anything comes. Messages
    /// are thick where at least one came, on average, in the time that one may wait.
    pub(super) fn next_turn(&mut self, began: Instant, now: Instant) -> Option<Instant> {
        let passed = now.saturating_duration_since(self.window_from);
        if passed >= WINDOW {
            self.is_thick = self.longest.saturating_mul(self.messages) >= passed;
            (self.window_from, self.messages) = (now, 0);
        }
        let due = began + self.longest;
        (self.is_thick && due > now).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(1);

    /// The wait after each turn of one second in which a message comes every `apart`.
    fn waits(longest: Duration, apart: Duration) -> Vec<Option<Duration>> {
        let start = Instant::now();
        let mut gathering = Gathering::new(longest, start);
        let mut waits = Vec::new();
        let mut now = start;
        while now < start + Duration::from_secs(1) {
            gathering.count(1);
            let due = gathering.next_turn(now, now);
            waits.push(due.map(|due| due - now));
            now += apart;
        }
        waits
    }

    #[test]
    fn sparse_messages_wait_for_nothing() {
        let waits = waits(LONGEST, Duration::from_micros(1_100));
        assert!(waits.len() > 900);
        assert!(waits.iter().all(Option::is_none));
    }

    #[test]
    fn thick_ones_are_gathered_from_the_first_window_on_and_never_longer_than_allowed() {
        let waits = waits(LONGEST, Duration::from_micros(500));
        let (first, later) = waits.split_at(200);
        assert!(first.iter().all(Option::is_none));
        assert!(later.iter().skip(1).all(|wait| *wait == Some(LONGEST)));
    }

    #[test]
    fn zero_switches_it_off() {
        let waits = waits(Duration::ZERO, Duration::from_micros(10));
        assert!(waits.iter().all(Option::is_none));
    }

    #[test]
    fn a_turn_that_took_longer_is_followed_at_once_and_silence_ends_it() {
        let start = Instant::now();
        let mut gathering = Gathering::new(LONGEST, start);
        gathering.count(500);
        let later = start + WINDOW;
        assert_eq!(gathering.next_turn(later, later), Some(later + LONGEST));
        assert_eq!(gathering.next_turn(later - LONGEST, later), None);
        let silent = later + WINDOW;
        assert_eq!(gathering.next_turn(silent, silent), None);
    }
}
