//! A sliding window of one second: how many happened within it. Bounded by the cap it enforces.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The times of the last second, at most as many as the cap.
#[derive(Debug, Default, Clone)]
pub struct Window {
    times: VecDeque<Instant>,
}

impl Window {
    /// True when one more at `now` stays within `cap` a second. A cap of zero is no cap.
    #[must_use]
    pub fn admits(&self, now: Instant, cap: u32) -> bool {
        let Some(before) = usize::try_from(cap).unwrap_or(usize::MAX).checked_sub(1) else {
            return true;
        };
        // In order: where this one is past the window, fewer than `cap` are within it.
        let first = self.times.iter().nth_back(before);
        first.is_none_or(|time| now.saturating_duration_since(*time) >= WINDOW)
    }

    /// Counts one at `now`. Without a cap nothing is kept.
    pub fn count(&mut self, now: Instant, cap: u32) {
        while let Some(first) = self.times.front() {
            if now.saturating_duration_since(*first) < WINDOW {
                break;
            }
            self.times.pop_front();
        }
        if cap > 0 {
            self.times.push_back(now);
        }
    }
}

const WINDOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn third_within_a_second_is_over_a_cap_of_two_and_the_window_slides() {
        let start = Instant::now();
        let mut window = Window::default();
        assert!(window.admits(start, 2));
        window.count(start, 2);
        let half = start + Duration::from_millis(500);
        assert!(window.admits(half, 2));
        window.count(half, 2);
        assert!(!window.admits(start + Duration::from_millis(999), 2));
        assert!(window.admits(start + Duration::from_millis(1000), 2));
    }

    #[test]
    fn cap_of_zero_keeps_nothing() {
        let now = Instant::now();
        let mut window = Window::default();
        for _ in 0..100 {
            assert!(window.admits(now, 0));
            window.count(now, 0);
        }
        assert!(window.times.is_empty());
    }
}
