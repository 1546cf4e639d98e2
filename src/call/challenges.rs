//! How many challenges of ours a source may ask for: an INVITE or REGISTER with a forged address is
//! answered to whoever has that address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Challenges of one method to one source (an IPv4 address, an IPv6 /64) in a second. Phones behind one
/// address do not begin so many calls at once, and those that register come again.
pub(super) const CHALLENGES_MAX: u32 = 50;
/// Sources that are challenged in one second; the others have to come again.
pub(super) const SOURCES_MAX: usize = 4_096;

const SECOND: Duration = Duration::from_secs(1);

/// The challenges of this second, by source.
#[derive(Debug, Default)]
pub(super) struct Challenges {
    since: Option<Instant>,
    of_source: BTreeMap<IpAddr, u32>,
}

impl Challenges {
    /// Counts one; `false`: this source has had its share of this second, or there are too many
    /// sources.
    pub(super) fn admits(&mut self, source: IpAddr, now: Instant) -> bool {
        let is_over = |since: Instant| now.saturating_duration_since(since) >= SECOND;
        if self.since.is_none_or(is_over) {
            self.since = Some(now);
            self.of_source.clear();
        }
        let source = network_of(source);
        let is_full = self.of_source.len() >= SOURCES_MAX;
        if is_full && !self.of_source.contains_key(&source) {
            return false;
        }
        let count = self.of_source.entry(source).or_insert(0);
        if *count >= CHALLENGES_MAX {
            return false;
        }
        *count += 1;
        debug_assert!(self.of_source.len() <= SOURCES_MAX, "bounded");
        true
    }
}

/// Whoever has an IPv6 address has its /64.
fn network_of(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            Ipv6Addr::from_bits(network).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_has_its_share_of_a_second_and_the_next_one_has_its_own() {
        let (mut challenges, start) = (Challenges::default(), Instant::now());
        let [one, other]: [IpAddr; 2] =
            ["2001:db8::1", "2001:db8::2"].map(|it| it.parse().unwrap());
        let asked = (0..CHALLENGES_MAX + 9).filter(|_| challenges.admits(one, start));
        assert_eq!(asked.count(), usize::try_from(CHALLENGES_MAX).unwrap());
        assert!(!challenges.admits(other, start), "the same network");
        assert!(challenges.admits("192.0.2.1".parse().unwrap(), start));
        assert!(!challenges.admits(one, start + Duration::from_millis(999)));
        assert!(challenges.admits(one, start + SECOND));
    }

    #[test]
    fn ten_thousand_sources_are_bounded() {
        let (mut challenges, start) = (Challenges::default(), Instant::now());
        let sources = (0..10_000).map(|last| std::net::Ipv4Addr::from_bits(0x0a00_0000 + last));
        let admitted = sources.filter(|source| challenges.admits((*source).into(), start));
        assert_eq!(admitted.count(), SOURCES_MAX);
        assert!(challenges.admits("192.0.2.1".parse().unwrap(), start + SECOND));
    }
}
