//! Port numbers that no pair uses: which is to be opened next, and how long the others rest.
//!
//! A port that was used rests, so that late packets of its call do not reach the next one: 30 s if
//! the pool allows, never under 2 s. Oldest first gives every port the longest rest there is.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use rand_core::RngCore;

use crate::engine::batching::micros;
use crate::limits::{PORT_REST, PORT_REST_MIN};

/// The free ports of one worker.
#[derive(Debug)]
pub(super) struct PortPool {
    addresses: Vec<IpAddr>,
    free: VecDeque<FreePort>,
}

/// An even port and, implied, the odd one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PortPair {
    address: u16,
    port: u16,
}

#[derive(Debug, Clone, Copy)]
struct FreePort {
    pair: PortPair,
    released_us: Option<u64>,
}

impl PortPool {
    /// All even ports with their successor in range, on each address, in an order drawn from
    /// `random`: who knows one port of ours does not know the next.
    pub(super) fn new(
        addresses: Vec<IpAddr>,
        ports: RangeInclusive<u16>,
        random: &mut impl RngCore,
    ) -> Self {
        let last = *ports.end();
        let mut free: Vec<FreePort> = (0_u16..)
            .zip(&addresses)
            .flat_map(|(address, _)| ports.clone().map(move |port| PortPair { address, port }))
            .filter(|pair| pair.port % 2 == 0 && pair.port > 0 && pair.port < last)
            .map(|pair| FreePort {
                pair,
                released_us: None,
            })
            .collect();
        for at in (1..free.len()).rev() {
            let bound = at as u64 + 1;
            let other = usize::try_from(random.next_u64() % bound).unwrap_or_default();
            free.swap(at, other);
        }
        Self {
            addresses,
            free: free.into(),
        }
    }

    /// Takes the port that has rested longest, if that is long enough.
    pub(super) fn take(&mut self, now_us: u64, is_short: bool) -> Option<PortPair> {
        self.next_at(is_short).filter(|at_us| *at_us <= now_us)?;
        self.free.pop_front().map(|free| free.pair)
    }

    /// When [`take`](Self::take) gives a port.
    pub(super) fn next_at(&self, is_short: bool) -> Option<u64> {
        let rest = if is_short { PORT_REST_MIN } else { PORT_REST };
        let free = self.free.front()?;
        Some(
            free.released_us
                .map_or(0, |released_us| released_us.saturating_add(micros(rest))),
        )
    }

    /// A port that was used, or could not be bound, begins to rest.
    pub(super) fn release(&mut self, now_us: u64, pair: PortPair) {
        self.free.push_back(FreePort {
            pair,
            released_us: Some(now_us),
        });
    }

    /// A port that was taken and not tried.
    pub(super) fn put_back(&mut self, pair: PortPair) {
        self.free.push_front(FreePort {
            pair,
            released_us: None,
        });
    }

    /// The RTP address of a pair.
    pub(super) fn rtp(&self, pair: PortPair) -> Option<SocketAddr> {
        let ip = self.addresses.get(usize::from(pair.address))?;
        Some(SocketAddr::new(*ip, pair.port))
    }

    /// Free ports, resting ones included.
    pub(super) fn len(&self) -> usize {
        self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn pool(ports: RangeInclusive<u16>) -> PortPool {
        let addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        PortPool::new(addresses, ports, &mut ChaCha8Rng::seed_from_u64(1))
    }

    #[test]
    fn pairs_are_even_within_the_range_and_on_every_address() {
        let mut pool = pool(10_001..=10_008);
        let mut taken: Vec<_> = std::iter::from_fn(|| pool.take(0, true)).collect();
        taken.sort_unstable_by_key(|pair| (pair.address, pair.port));
        let ports: Vec<_> = taken.iter().map(|pair| pair.port).collect();
        assert_eq!(ports, [10_002, 10_004, 10_006, 10_002, 10_004, 10_006]);
    }

    #[test]
    fn a_used_port_rests_30_s_and_2_s_when_short() {
        let mut pool = pool(10_000..=10_001);
        pool.take(0, false).unwrap();
        let pair = pool.take(0, false).unwrap();
        pool.release(5_000_000, pair);
        assert_eq!(pool.take(6_999_999, true), None);
        assert_eq!(pool.take(34_999_999, false), None);
        assert_eq!(pool.next_at(false), Some(35_000_000));
        assert_eq!(pool.take(7_000_000, true), Some(pair));
    }

    #[test]
    fn no_port_gives_none() {
        assert_eq!(pool(10_000..=10_000).take(0, true), None);
    }
}
