//! How many packets to wait for: as many as come within the latency budget at the present rate, so
//! that one call is never delayed and a thousand share their system calls.

use std::time::Duration;

use crate::limits::{LOAD_STEP, LOAD_STEP_MIN, LOAD_WINDOW, RATE_WINDOW, WANT_PACKETS_MAX};

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

/// Packets a second, said when they have changed.
#[derive(Debug, Default)]
pub(super) struct LoadMeter {
    window_start_us: u64,
    packets: u64,
    said: u32,
}

impl LoadMeter {
    /// Counts the packets of a turn. The new load, if another one is to be said.
    pub(super) fn count(&mut self, now_us: u64, packets: usize) -> Option<u32> {
        if self.packets == 0 && self.said == 0 {
            // Nothing was measured: the second begins with the first packet.
            self.window_start_us = now_us;
        }
        self.packets += packets as u64;
        let passed_us = now_us.saturating_sub(self.window_start_us);
        if passed_us < micros(LOAD_WINDOW) {
            return None;
        }
        let load = self.packets.saturating_mul(1_000_000) / passed_us;
        let load = u32::try_from(load).unwrap_or(u32::MAX);
        (self.packets, self.window_start_us) = (0, now_us);
        let step = (self.said / LOAD_STEP).max(LOAD_STEP_MIN);
        let is_news = self.said.abs_diff(load) >= step || (load == 0) != (self.said == 0);
        if is_news {
            self.said = load;
        }
        is_news.then_some(load)
    }

    /// When a second ends whose load may have to be said, though no packet comes.
    pub(super) fn next(&self) -> Option<u64> {
        let is_measuring = self.packets > 0 || self.said > 0;
        is_measuring.then(|| self.window_start_us.saturating_add(micros(LOAD_WINDOW)))
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

    #[test]
    fn load_is_said_when_it_changes_and_when_it_ends() {
        let mut meter = LoadMeter::default();
        assert_eq!(meter.next(), None, "an idle worker sleeps");
        let mut said = Vec::new();
        let rates = [100_u64, 100, 100, 1_000, 1_010, 0, 0];
        for (second, rate) in (0_u64..).zip(rates) {
            for packet in 0..rate {
                let at_us = 5_000_000 + second * 1_000_000 + packet * 1_000_000 / rate;
                said.extend(meter.count(at_us, 1));
            }
            if let Some(at_us) = meter.next() {
                said.extend(meter.count(at_us, 0));
            }
        }
        assert_eq!(said.len(), 3, "{said:?}");
        assert!((99..=101).contains(&said[0]), "{said:?}");
        assert!((990..=1_010).contains(&said[1]), "{said:?}");
        assert_eq!(said[2], 0);
        assert_eq!(meter.next(), None);
    }
}
