//! What became of the packets of a round.

use anyhow::Result;
use hdrhistogram::Histogram;

/// Which cycles of a flow have arrived: the highest plus one, and a map of the 64 below.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Arrived {
    next: u64,
    seen: u64,
}

/// How a packet of a cycle came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    InOrder,
    Late,
    Duplicate,
}

impl Arrived {
    pub(crate) fn take(&mut self, cycle: u64) -> Arrival {
        if cycle >= self.next {
            let step = cycle - self.next + 1;
            self.seen = if step >= 64 {
                1
            } else {
                (self.seen << step) | 1
            };
            self.next = cycle + 1;
            return Arrival::InOrder;
        }
        let bit = 1_u64.checked_shl(u32::try_from(self.next - 1 - cycle).unwrap_or(64));
        match bit {
            Some(bit) if self.seen & bit == 0 => {
                self.seen |= bit;
                Arrival::Late
            }
            Some(_) | None => Arrival::Duplicate,
        }
    }
}

/// A packet that is not counted as one that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stray {
    /// Not ours.
    Alien,
    /// Another session's.
    Misrouted,
}

/// What one round of paced packets showed.
#[derive(Debug)]
pub(crate) struct Round {
    /// Packets sent in the counted time.
    pub(crate) sent: u64,
    /// Of those, packets that arrived where they should.
    pub(crate) received: u64,
    /// Arrived a second time.
    pub(crate) duplicates: u64,
    /// Arrived after a later one.
    pub(crate) late: u64,
    /// Arrived at another call's socket: must be zero.
    pub(crate) misrouted: u64,
    /// Not ours.
    pub(crate) alien: u64,
    /// Arrived without a stamp of the kernel, or before they were sent: must be zero.
    pub(crate) unstamped: u64,
    /// Send calls that failed.
    pub(crate) send_errors: u64,
    /// From our send call to the arrival stamp, nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// How late packets left, nanoseconds.
    pub(crate) send_lag: Histogram<u64>,
    /// Share of the counted time that this thread ran.
    pub(crate) own_load: f64,
}

impl Round {
    /// Nothing sent and nothing arrived.
    ///
    /// # Errors
    /// None with the bounds here.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            sent: 0,
            received: 0,
            duplicates: 0,
            late: 0,
            misrouted: 0,
            alien: 0,
            unstamped: 0,
            send_errors: 0,
            latency: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?,
            send_lag: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?,
            own_load: 0.0,
        })
    }

    /// A packet came, `latency_ns` after it was sent; `None`: it has no time of arrival that can be believed.
    pub(crate) fn count(&mut self, arrival: Arrival, latency_ns: Option<u64>) {
        if arrival == Arrival::Duplicate {
            self.duplicates += 1;
            return;
        }
        self.received += 1;
        self.late += u64::from(arrival == Arrival::Late);
        match latency_ns {
            Some(latency) => self.latency.saturating_record(latency.max(1)),
            None => self.unstamped += 1,
        }
    }

    /// A packet came that nobody sent there.
    pub(crate) const fn stray(&mut self, stray: Stray) {
        match stray {
            Stray::Alien => self.alien += 1,
            Stray::Misrouted => self.misrouted += 1,
        }
    }

    /// Packets that never came.
    pub(crate) fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

const LATENCY_NS_MAX: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_tell_order_lateness_and_repetition() {
        let mut arrived = Arrived::default();
        let seen: Vec<Arrival> = [5, 6, 8, 7, 7, 8, 200, 100]
            .into_iter()
            .map(|cycle| arrived.take(cycle))
            .collect();
        assert_eq!(
            seen,
            [
                Arrival::InOrder,
                Arrival::InOrder,
                Arrival::InOrder,
                Arrival::Late,
                Arrival::Duplicate,
                Arrival::Duplicate,
                Arrival::InOrder,
                Arrival::Duplicate,
            ]
        );
    }
}
