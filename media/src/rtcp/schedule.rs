//! When the next report is due (RFC 3550 §6.2, §6.3.1).
//!
//! With two members and audio, five per cent of the session's bandwidth allows more than one report
//! in five seconds, so the minimum interval rules and the bandwidth does not enter.

use std::time::Duration;

/// `Tmin` of RFC 3550 §6.3.1.
const INTERVAL_MIN: Duration = Duration::from_secs(5);

/// Time from one report to the next: the minimum (half of it before the first report), drawn from
/// 0.5 to 1.5 times by `random`, divided by e − 3/2 to make up for reconsideration.
#[must_use]
pub fn interval(random: u32, is_initial: bool) -> Duration {
    let base = if is_initial {
        INTERVAL_MIN / 2
    } else {
        INTERVAL_MIN
    };
    let base_us = u64::try_from(base.as_micros()).unwrap_or_default();
    let drawn_us = base_us / 2 + ((base_us * u64::from(random)) >> 32);
    Duration::from_micros(drawn_us * 100_000 / 121_828)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3550 §6.3.1.
    #[test]
    fn intervals_stay_within_their_bounds() {
        assert_eq!(interval(0, false), Duration::from_micros(2_052_073));
        assert_eq!(interval(u32::MAX, false), Duration::from_micros(6_156_219));
        assert_eq!(interval(0, true) * 2, Duration::from_micros(2_052_072));
    }
}
