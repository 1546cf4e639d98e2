//! The same line again and again: the first ones of each ten seconds are written, the rest counted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::line::Line;

/// Lines are counted for this long.
const WINDOW: Duration = Duration::from_secs(10);
/// Lines of one kind in that time.
const LINES_MAX: u32 = 10;
/// Lines of one kind that are each about a call of its own.
const CALL_LINES_MAX: u32 = 2_000;
/// Kinds that are told apart. There are fewer in the program.
const KINDS_MAX: usize = 512;

type Key = (&'static str, u32, Option<String>);

/// Whether a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// Yes.
    Free,
    /// Yes, after saying how many were left out.
    After(u64),
    /// No.
    Closed,
}

#[derive(Debug)]
struct Seen {
    since: Instant,
    written: u32,
    suppressed: u64,
    like: String,
}

/// Counts lines by kind.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    kinds: HashMap<Key, Seen>,
}

impl Limiter {
    /// A line comes.
    pub(super) fn pass(&mut self, now: Instant, line: &Line) -> Passage {
        let (file, number, event) = line.key();
        let key = (file, number, event.map(str::to_owned));
        if !self.kinds.contains_key(&key) && self.kinds.len() >= KINDS_MAX {
            self.kinds.retain(|_, seen| seen.suppressed > 0);
            if self.kinds.len() >= KINDS_MAX {
                return Passage::Closed;
            }
        }
        let seen = self.kinds.entry(key).or_insert_with(|| Seen {
            since: now,
            written: 0,
            suppressed: 0,
            like: line.kind(),
        });
        let mut left_out = 0;
        if now.saturating_duration_since(seen.since) >= WINDOW {
            left_out = seen.suppressed;
            (seen.since, seen.written, seen.suppressed) = (now, 0, 0);
        }
        let max = if line.call.is_some() {
            CALL_LINES_MAX
        } else {
            LINES_MAX
        };
        if seen.written >= max {
            seen.suppressed += 1;
            return Passage::Closed;
        }
        seen.written += 1;
        if left_out > 0 {
            Passage::After(left_out)
        } else {
            Passage::Free
        }
    }

    /// What was left out in windows that are over, and is told by the caller.
    pub(super) fn take_suppressed(&mut self, now: Instant) -> Vec<(String, u64)> {
        let mut told = Vec::new();
        self.kinds.retain(|_, seen| {
            if now.saturating_duration_since(seen.since) < WINDOW {
                return true;
            }
            if seen.suppressed > 0 {
                told.push((seen.like.clone(), seen.suppressed));
            }
            false
        });
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line::suppressed("disk full", 1)
    }

    #[test]
    fn the_same_line_is_written_ten_times_and_then_counted() {
        let (start, mut limiter) = (Instant::now(), Limiter::default());
        let line = line();
        let passed = (0..1_000).filter(|_| limiter.pass(start, &line) == Passage::Free);
        assert_eq!(passed.count(), 10);
        assert_eq!(limiter.pass(start + WINDOW, &line), Passage::After(990));
        assert_eq!(limiter.pass(start + WINDOW, &line), Passage::Free);
    }

    #[test]
    fn what_was_left_out_is_told_although_no_line_follows() {
        let (start, mut limiter) = (Instant::now(), Limiter::default());
        for _ in 0..12 {
            limiter.pass(start, &line());
        }
        assert_eq!(limiter.take_suppressed(start), []);
        let told = limiter.take_suppressed(start + WINDOW);
        assert_eq!(told, [("log_suppressed".to_owned(), 2)]);
        assert_eq!(limiter.take_suppressed(start + WINDOW), []);
        assert!(limiter.kinds.is_empty());
    }

    #[test]
    fn lines_about_calls_have_room_for_each_call() {
        let (start, mut limiter) = (Instant::now(), Limiter::default());
        let about_a_call = Line {
            call: Some("0123".to_owned()),
            ..line()
        };
        let passed = (0..100).filter(|_| limiter.pass(start, &about_a_call) == Passage::Free);
        assert_eq!(passed.count(), 100);
    }
}
