//! Who has guessed too often. Pure.
//!
//! Counts failed authentications by source (an IPv4 address, an IPv6 /64) and account together, so
//! that one phone with an old password does not lock its neighbours behind the same NAT out; and,
//! with a wider margin, by source alone and by account alone, so that neither many accounts nor
//! many sources get more guesses than one. A challenge that was not answered yet is no failure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Whose failures are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Guesser {
    Phone(IpAddr, String),
    Source(IpAddr),
    Account(String),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    since: Instant,
    locked_until: Option<Instant>,
}

/// Failed authentications of the last minutes.
#[derive(Debug, Default)]
pub struct Lockout {
    guessers: BTreeMap<Guesser, Failures>,
    /// Guessers that were forgotten early because the table was full.
    pub forgotten: u64,
}

impl Lockout {
    /// True while this source, or whoever tries this account, is not answered with another chance.
    #[must_use]
    pub fn is_locked(&self, source: IpAddr, account: &str, now: Instant) -> bool {
        guessers(source, account)
            .iter()
            .filter_map(|(guesser, _)| self.guessers.get(guesser))
            .any(|failures| failures.locked_until.is_some_and(|until| now < until))
    }

    /// A wrong password, or an account that does not exist. True where this one locked somebody out.
    pub fn failed(&mut self, source: IpAddr, account: &str, now: Instant) -> bool {
        let mut locks = false;
        for (guesser, most) in guessers(source, account) {
            locks |= self.count(guesser, most, now);
        }
        locks
    }

    /// The right password: this phone is no guesser. Who else is behind its address may be one.
    pub fn succeeded(&mut self, source: IpAddr, account: &str) {
        let [(phone, _), ..] = guessers(source, account);
        self.guessers.remove(&phone);
    }

    /// Guessers that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.guessers.len()
    }

    /// True where nobody has failed lately.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guessers.is_empty()
    }

    fn count(&mut self, guesser: Guesser, most: u32, now: Instant) -> bool {
        self.make_room(now);
        let fresh = Failures {
            count: 0,
            since: now,
            locked_until: None,
        };
        let failures = self.guessers.entry(guesser).or_insert(fresh);
        if is_over(failures, now) {
            *failures = fresh;
        }
        failures.count = failures.count.saturating_add(1);
        let locks = failures.count >= most && failures.locked_until.is_none();
        if locks {
            failures.locked_until = Some(now + LOCKED_FOR);
        }
        debug_assert!(self.guessers.len() <= GUESSERS_MAX, "bounded");
        locks
    }

    /// A full table forgets what is over, else the half that began first, the locked last: a flood of
    /// sources that fail once each must not keep a persistent one from being counted. A half, so that
    /// a flood does not pay for the whole table with each failure.
    fn make_room(&mut self, now: Instant) {
        if self.guessers.len() < GUESSERS_MAX {
            return;
        }
        self.guessers.retain(|_, failures| !is_over(failures, now));
        if self.guessers.len() < GUESSERS_MAX {
            return;
        }
        let mut order: Vec<(bool, Instant, Guesser)> = self
            .guessers
            .iter()
            .map(|(guesser, one)| (one.locked_until.is_some(), one.since, guesser.clone()))
            .collect();
        order.sort_unstable();
        for (_, _, guesser) in order.into_iter().take(GUESSERS_MAX / 2) {
            self.guessers.remove(&guesser);
            self.forgotten += 1;
        }
    }
}

/// Whose failure it is, and how many of it lock.
fn guessers(source: IpAddr, account: &str) -> [(Guesser, u32); 3] {
    let source = network(source);
    let account: String = account.chars().take(ACCOUNT_CHARACTERS_MAX).collect();
    [
        (Guesser::Phone(source, account.clone()), PHONE_FAILURES_MAX),
        (Guesser::Source(source), SOURCE_FAILURES_MAX),
        (Guesser::Account(account), ACCOUNT_FAILURES_MAX),
    ]
}

fn is_over(failures: &Failures, now: Instant) -> bool {
    match failures.locked_until {
        Some(until) => until <= now,
        None => now.saturating_duration_since(failures.since) >= WINDOW,
    }
}

/// One subscriber has a whole /64 of IPv6.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

/// Failures of one source on one account that lock it out there.
pub const PHONE_FAILURES_MAX: u32 = 10;
/// Failures of one source, on whatever accounts, that lock it out.
pub const SOURCE_FAILURES_MAX: u32 = 50;
/// Failures on one account, from anywhere, that lock it.
pub const ACCOUNT_FAILURES_MAX: u32 = 50;
/// Failures further apart are not added up.
pub const WINDOW: Duration = Duration::from_secs(300);
/// How long nobody is heard.
pub const LOCKED_FOR: Duration = Duration::from_secs(300);
/// Sources and accounts that are remembered.
pub const GUESSERS_MAX: usize = 20_000;
const ACCOUNT_CHARACTERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ten_failures_on_an_account_lock_that_phone_and_not_its_neighbour() {
        let (mut lockout, start) = (Lockout::default(), Instant::now());
        let source = address("192.0.2.1");
        for _ in 1..PHONE_FAILURES_MAX {
            assert!(!lockout.failed(source, "610", start));
        }
        assert!(!lockout.is_locked(source, "610", start));
        assert!(lockout.failed(source, "610", start));
        assert!(lockout.is_locked(source, "610", start));
        assert!(
            !lockout.is_locked(source, "611", start),
            "behind the same NAT"
        );
        assert!(!lockout.is_locked(address("192.0.2.2"), "610", start));
        assert!(!lockout.is_locked(source, "610", start + LOCKED_FOR));
        assert!(
            !lockout.failed(source, "610", start + LOCKED_FOR),
            "counted anew"
        );
    }

    #[test]
    fn a_source_that_tries_many_accounts_is_locked_as_a_whole() {
        let (mut lockout, now) = (Lockout::default(), Instant::now());
        let source = address("192.0.2.1");
        for number in 1..=SOURCE_FAILURES_MAX {
            let locked = lockout.failed(source, &number.to_string(), now);
            assert_eq!(locked, number == SOURCE_FAILURES_MAX);
        }
        assert!(lockout.is_locked(source, "never tried", now));
    }

    #[test]
    fn failures_far_apart_are_forgotten_and_a_success_forgives_the_phone() {
        let (mut lockout, start) = (Lockout::default(), Instant::now());
        let source = address("192.0.2.1");
        for number in 0..40 {
            assert!(!lockout.failed(source, "610", start + WINDOW * number));
        }
        let later = start + WINDOW * 50;
        for _ in 1..PHONE_FAILURES_MAX {
            lockout.failed(source, "611", later);
        }
        lockout.succeeded(source, "611");
        assert!(!lockout.failed(source, "611", later));
    }

    #[test]
    fn many_sources_together_lock_the_account_they_guess() {
        let (mut lockout, now) = (Lockout::default(), Instant::now());
        for number in 1..=ACCOUNT_FAILURES_MAX {
            let source = IpAddr::V4((0x0a00_0000 + number).into());
            let locked = lockout.failed(source, "610", now);
            assert_eq!(locked, number == ACCOUNT_FAILURES_MAX);
        }
        assert!(lockout.is_locked(address("198.51.100.1"), "610", now));
        assert!(!lockout.is_locked(address("198.51.100.1"), "611", now));
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_source() {
        let (mut lockout, now) = (Lockout::default(), Instant::now());
        for number in 0..u128::from(SOURCE_FAILURES_MAX) {
            let source = IpAddr::V6((0x2001_0db8_u128 << 96 | number).into());
            lockout.failed(source, &number.to_string(), now);
        }
        assert!(lockout.is_locked(address("2001:db8::ffff"), "x", now));
        assert!(!lockout.is_locked(address("2001:db8:0:1::1"), "x", now));
    }

    #[test]
    fn a_flood_of_sources_is_bounded_and_the_locked_stay_locked() {
        let (mut lockout, now) = (Lockout::default(), Instant::now());
        let guesser = address("192.0.2.1");
        for number in 0..SOURCE_FAILURES_MAX {
            lockout.failed(guesser, &number.to_string(), now);
        }
        for number in 0..u32::try_from(GUESSERS_MAX).unwrap() + 100 {
            lockout.failed(IpAddr::V4((0x0a00_0000 + number).into()), "x", now);
        }
        assert!(lockout.len() <= GUESSERS_MAX);
        assert!(lockout.forgotten > 0);
        assert!(lockout.is_locked(guesser, "611", now));
    }
}
