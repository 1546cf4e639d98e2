//! Virtual time: one `u64` of nanoseconds over one base instant. It moves only when the world says.

use std::fmt;
use std::ops::Add;
use std::time::{Duration, Instant};

/// A moment of the simulated world, counted from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct SimTime(u64);

impl SimTime {
    /// The start.
    pub(crate) const ZERO: Self = Self(0);

    /// Nanoseconds since the start.
    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero where it is later.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for SimTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:06}",
            self.0 / 1_000_000_000,
            (self.0 / 1_000) % 1_000_000
        )
    }
}

/// Where virtual time meets the `Instant` that the cores take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Base(Instant);

impl Base {
    /// The only look at the real clock; nothing depends on what it says.
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// The cores' word for `time`.
    pub(crate) fn instant(self, time: SimTime) -> Instant {
        self.0 + Duration::from_nanos(time.0)
    }

    /// Our word for what a core calls `instant`; before the start: the start.
    pub(crate) fn time(self, instant: Instant) -> SimTime {
        SimTime::ZERO + instant.saturating_duration_since(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instant_and_time_are_inverse() {
        let base = Base::new();
        let time = SimTime::ZERO + Duration::from_millis(1234);
        assert_eq!(base.time(base.instant(time)), time);
        assert_eq!(time.to_string(), "1.234000");
    }
}
