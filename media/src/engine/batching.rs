//! How many packets to wait for: as many as come within the latency budget at the present rate, so
//! that one call is never delayed and a thousand share their system calls.

use std::time::Duration;

use crate::limits::{RATE_WINDOW, WANT_PACKETS_MAX};

/// Packets counted over windows of [`RATE_WINDOW`].
#[derive(Debug)]
pub(super) struct RateMeter {
    budget_us: u64,
    window_start_us: u64,
    packets: u64,
    want: u32,
}

impl RateMeter {
    pub(super) const fn new(budget: Duration) -> Self {
        Self {
            budget_us: micros(budget),
            window_start_us: 0,
            packets: 0,
            want: 1,
        }
    }

    /// Counts the packets of a turn.
    pub(super) fn count(&mut self, now_us: u64, packets: usize) {
        self.packets += packets as u64;
        let passed_us = now_us.saturating_sub(self.window_start_us);
        if passed_us >= micros(RATE_WINDOW) {
            let want = self.packets.saturating_mul(self.budget_us) / passed_us;
            self.want = u32::try_from(want)
                .unwrap_or(u32::MAX)
                .clamp(1, WANT_PACKETS_MAX);
            self.packets = 0;
            self.window_start_us = now_us;
        }
    }

    /// Packets to wait for.
    pub(super) const fn want(&self) -> u32 {
        self.want
    }
}

/// A duration in microseconds; more than fit is as good as for ever.
pub(super) const fn micros(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000)
        .saturating_add(duration.subsec_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_follows_the_rate_within_a_window() {
        let mut meter = RateMeter::new(Duration::from_micros(500));
        for at in 0..=10_u64 {
            meter.count(at * 10_000, 1_000);
        }
        assert_eq!(meter.want(), 55);
        for at in 11..=20_u64 {
            meter.count(at * 10_000, 1);
        }
        assert_eq!(meter.want(), 1);
        meter.count(400_000, 100_000_000);
        assert_eq!(meter.want(), WANT_PACKETS_MAX);
    }
}
