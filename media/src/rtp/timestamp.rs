//! RTP timestamps and the clocks they count (RFC 3550 §5.1).

/// Sampling instant of the first octet of a payload, in units of the payload's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// How far `self` is after `earlier`, over the wrap.
    #[must_use]
    pub const fn distance_from(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// `units` later.
    #[must_use]
    pub const fn wrapping_add(self, units: u32) -> Self {
        Self(self.0.wrapping_add(units))
    }

    /// What must be added to `self` to get `target`.
    #[must_use]
    pub const fn offset_to(self, target: Self) -> u32 {
        target.0.wrapping_sub(self.0)
    }
}

/// Ticks of an RTP clock in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockRate(u32);

impl ClockRate {
    /// The clock of G.711, and of G.722 by historic error (RFC 3551 §4.5.2).
    pub const HZ_8000: Self = Self(8_000);

    /// A rate; zero, which no clock has, becomes 8000 Hz so that nothing divides by it.
    #[must_use]
    pub const fn from_hz(hz: u32) -> Self {
        if hz == 0 { Self::HZ_8000 } else { Self(hz) }
    }

    /// Ticks in a second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// A moment in microseconds as ticks, modulo 2³² as timestamps are.
    #[must_use]
    pub fn ticks(self, microseconds: u64) -> u32 {
        let seconds = microseconds / 1_000_000;
        let rest = microseconds % 1_000_000;
        let hz = u64::from(self.0);
        low_half(seconds.wrapping_mul(hz).wrapping_add(rest * hz / 1_000_000))
    }

    /// Ticks as microseconds.
    #[must_use]
    pub fn microseconds(self, ticks: u32) -> u64 {
        u64::from(ticks) * 1_000_000 / u64::from(self.0)
    }
}

/// The low 32 bits: arithmetic modulo 2³².
fn low_half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_follow_the_clock_and_wrap() {
        assert_eq!(ClockRate::HZ_8000.ticks(20_000), 160);
        assert_eq!(ClockRate::from_hz(48_000).ticks(20_000), 960);
        let wrap = (u64::from(u32::MAX) + 1) / 8_000 * 1_000_000;
        let expected = u32::try_from((wrap / 1_000_000 + 1) * 8_000 % (1 << 32)).unwrap();
        assert_eq!(ClockRate::HZ_8000.ticks(wrap + 1_000_000), expected);
    }

    #[test]
    fn a_clock_of_zero_does_not_divide() {
        assert_eq!(ClockRate::from_hz(0).microseconds(8_000), 1_000_000);
    }
}
