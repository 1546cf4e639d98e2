//! The durations of the transaction timers (RFC 3261 table 4, RFC 6026 §8.4), from T1, T2 and T4.
//!
//! Owns the arithmetic only: when a timer runs is said by the machines.

use std::time::Duration;

use crate::event::{Timers, Transport};

impl Timers {
    /// No timer is zero, which would be a busy loop, and repetition slows down.
    #[must_use]
    pub fn are_sound(&self) -> bool {
        !self.t1.is_zero() && !self.t4.is_zero() && self.t1 <= self.t2
    }

    /// Timers B, F, H, J, L and M: 64·T1.
    #[must_use]
    pub fn transaction_timeout(&self) -> Duration {
        self.t1 * 64
    }

    /// The first interval of timers A, E and G; `None`: the transport repeats what is lost itself.
    #[must_use]
    pub fn first_interval(&self, transport: Transport) -> Option<Duration> {
        (!transport.is_reliable()).then_some(self.t1)
    }

    /// Timer D: as long as the server's timer H may repeat its response; at least 32 s in the RFC's
    /// own values (RFC 3261 §17.1.1.2), in proportion where T1 differs. Zero where nothing is
    /// repeated.
    #[must_use]
    pub fn response_absorption(&self, transport: Transport) -> Duration {
        Self::unless_reliable(self.t1 * 64, transport)
    }

    /// Timer J: as long as the client may repeat its request; zero where nothing is repeated.
    #[must_use]
    pub fn request_absorption(&self, transport: Transport) -> Duration {
        Self::unless_reliable(self.t1 * 64, transport)
    }

    /// Timers I and K: what is still under way; zero where nothing is repeated.
    #[must_use]
    pub fn network_life(&self, transport: Transport) -> Duration {
        Self::unless_reliable(self.t4, transport)
    }

    const fn unless_reliable(duration: Duration, transport: Transport) -> Duration {
        if transport.is_reliable() {
            Duration::ZERO
        } else {
            duration
        }
    }

    /// The interval after this one of timers E and G: doubled up to T2.
    #[must_use]
    pub fn next_capped(&self, interval: Duration) -> Duration {
        debug_assert!(!interval.is_zero(), "twice nothing is nothing");
        (interval * 2).min(self.t2)
    }
}
