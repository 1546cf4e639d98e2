//! How often a source may show a wrong token: a bucket for each address, in a bounded table. Pure:
//! time is an argument.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Failed tries of each source.
#[derive(Debug, Default)]
pub(super) struct Tries {
    sources: HashMap<IpAddr, Bucket>,
}

/// When the bucket will be empty again: each failure moves it on by [`PER_FAILURE`].
#[derive(Debug, Clone, Copy)]
struct Bucket {
    empty_at: Instant,
}

impl Tries {
    /// Notes a failed try. `Err`: one too many; how long to wait before the next.
    pub(super) fn fail(&mut self, now: Instant, source: IpAddr) -> Result<(), Duration> {
        let source = network(source);
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            self.sources.retain(|_, bucket| bucket.empty_at > now);
        }
        // With the table full of sources that fail, a new one shares one bucket with its like.
        let key = if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            OVERFLOW
        } else {
            source
        };
        let bucket = self.sources.entry(key).or_insert(Bucket { empty_at: now });
        let filled = bucket.empty_at.max(now) + PER_FAILURE;
        let over = filled.saturating_duration_since(now + PER_FAILURE * FAILURES_AT_ONCE);
        if over.is_zero() {
            bucket.empty_at = filled;
            Ok(())
        } else {
            // Not counted again: who comes at the named time is heard.
            Err(over)
        }
    }
}

/// One subscriber may have 2^64 addresses of IPv6: its /64 counts.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
    }
}

/// Failed tries that may come at once.
const FAILURES_AT_ONCE: u32 = 10;
/// Later ones may come this often.
const PER_FAILURE: Duration = Duration::from_secs(6);
/// Sources that are told apart.
const SOURCES_MAX: usize = 4_096;
/// Whoever finds no place in the table; one more entry than the bound.
const OVERFLOW: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_at_once_then_one_in_six_seconds() {
        let (mut tries, start) = (Tries::default(), Instant::now());
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..10 {
            tries.fail(start, source).unwrap();
        }
        let wait = tries.fail(start, source).unwrap_err();
        assert_eq!(wait, PER_FAILURE);
        assert_eq!(
            tries.fail(start, source),
            Err(wait),
            "refusals do not add up"
        );
        tries.fail(start, "192.0.2.2".parse().unwrap()).unwrap();
        tries.fail(start + wait, source).unwrap();
        tries.fail(start + wait, source).unwrap_err();
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let (mut tries, start) = (Tries::default(), Instant::now());
        let address = |last: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last));
        for last in 0..10 {
            tries.fail(start, address(last)).unwrap();
        }
        tries.fail(start, address(10)).unwrap_err();
        tries
            .fail(start, "2001:db8:0:2::1".parse().unwrap())
            .unwrap();
    }

    #[test]
    fn the_table_of_failing_sources_is_bounded() {
        let (mut tries, start) = (Tries::default(), Instant::now());
        let refused = (0..20_000_u32)
            .filter(|index| {
                let source = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + index));
                tries.fail(start, source).is_err()
            })
            .count();
        assert!(tries.sources.len() <= SOURCES_MAX + 1);
        assert!(refused > 10_000, "newcomers share one bucket: {refused}");
        let later = start + PER_FAILURE * 20;
        tries.fail(later, "192.0.2.1".parse().unwrap()).unwrap();
        assert_eq!(tries.sources.len(), 1, "those that stopped are forgotten");
    }
}
