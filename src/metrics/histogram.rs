//! Durations in fixed buckets, counted by one or more threads without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets in seconds: from the turn of a thread to a disk that stands still.
/// The last holds everything, and is written as `+Inf`.
pub const BOUNDS_S: [f64; 14] = [
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    1.0,
    5.0,
    f64::MAX,
];

/// What a histogram held at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Buckets {
    /// In seconds.
    pub sum_s: f64,
    /// Of each bucket of [`BOUNDS_S`], not added up.
    pub counts: [u64; BOUNDS_S.len()],
}

impl Buckets {
    /// How many durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// One more, of a thread's own histogram.
    pub fn record(&mut self, duration: Duration) {
        self.sum_s += duration.as_secs_f64();
        if let Some(count) = self.counts.get_mut(bucket(duration)) {
            *count += 1;
        }
    }
}

/// A histogram that many may add to.
#[derive(Debug, Default)]
pub struct Histogram {
    sum_us: AtomicU64,
    counts: [AtomicU64; BOUNDS_S.len()],
}

impl Histogram {
    /// One more.
    pub fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
        if let Some(count) = self.counts.get(bucket(duration)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As it is now; a duration that is being added may be missing in one of the numbers.
    #[must_use]
    pub fn buckets(&self) -> Buckets {
        let mut buckets = Buckets {
            sum_s: Duration::from_micros(self.sum_us.load(Ordering::Relaxed)).as_secs_f64(),
            ..Buckets::default()
        };
        for (to, from) in buckets.counts.iter_mut().zip(&self.counts) {
            *to = from.load(Ordering::Relaxed);
        }
        buckets
    }
}

/// The first bucket whose bound is not below.
fn bucket(duration: Duration) -> usize {
    let seconds = duration.as_secs_f64();
    BOUNDS_S.partition_point(|bound| *bound < seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_falls_into_the_bucket_that_still_holds_it() {
        let histogram = Histogram::default();
        for micros in [0, 100, 101, 5_000_000, 5_000_001] {
            histogram.record(Duration::from_micros(micros));
        }
        let mut own = Buckets::default();
        for micros in [0, 100, 101, 5_000_000, 5_000_001] {
            own.record(Duration::from_micros(micros));
        }
        let buckets = histogram.buckets();
        assert_eq!(buckets.counts, own.counts);
        assert_eq!(buckets.counts[..3], [2, 1, 0]);
        assert_eq!(buckets.counts[12..], [1, 1]);
        assert_eq!(buckets.count(), 5);
        assert!((buckets.sum_s - own.sum_s).abs() < 1e-9);
    }
}
