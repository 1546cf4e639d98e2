//! A bound on what one peer may bring: a leaky bucket kept as one moment (the generic cell rate
//! algorithm). It guards what was admitted, so that strangers cannot use up the peer's share.

/// Until when the packets let through so far are paid for.
#[derive(Debug, Clone, Copy, Default)]
pub struct RateGuard {
    paid_until_us: u64,
}

impl RateGuard {
    /// Nothing let through yet.
    pub const NEW: Self = Self { paid_until_us: 0 };

    /// True lets the packet through: no more than `rate` a second, after a burst of `burst`.
    pub fn admit(&mut self, now_us: u64, rate: u32, burst: u32) -> bool {
        let interval_us = 1_000_000 / u64::from(rate.max(1));
        let paid_until_us = self.paid_until_us.max(now_us);
        if paid_until_us - now_us > interval_us * u64::from(burst) {
            return false;
        }
        self.paid_until_us = paid_until_us + interval_us;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_the_rate_and_the_peer_recovers() {
        let mut guard = RateGuard::default();
        let flood = (0..10_000_u64)
            .filter(|at| guard.admit(1_000_000 + at * 100, 500, 250))
            .count();
        assert!((750..=752).contains(&flood), "{flood}");
        let after = (0..100_u64)
            .filter(|at| guard.admit(3_000_000 + at * 20_000, 500, 250))
            .count();
        assert_eq!(after, 100);
    }
}
