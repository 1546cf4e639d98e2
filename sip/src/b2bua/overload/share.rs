//! Who holds how much of the tables by calls that nobody has answered.
//!
//! Owns the counts, for each caller's address and for each group of callers. A call counts from its
//! INVITE until the ACK of its answer, or until its last transaction is gone. So a caller is in a table
//! here as long as it has such a call, and the bound of the calls is the bound of the callers.

use crate::event::CallerAddress;
use crate::limits::PROVEN_CALLERS_MAX;
use crate::table::KeyedMap;

/// Calls without an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Those that have not ended.
    pub(crate) active: u32,
    /// These, and those that ended and wait for repetitions.
    pub(crate) kept: u32,
    /// Of these, calls for an emergency service.
    pub(crate) emergencies: u32,
}

/// In whose name a call is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The address of the caller.
    pub(crate) caller: CallerAddress,
    /// Its group.
    pub(crate) group: u64,
    /// The call is for an emergency service.
    pub(crate) is_emergency: bool,
}

/// All callers with calls that nobody has answered, and those that have proven themselves.
#[derive(Debug)]
pub(crate) struct Shares {
    callers: KeyedMap<CallerAddress, Held>,
    groups: KeyedMap<u64, Held>,
    /// Who acknowledged an answer, the latest, and those before them.
    proven: KeyedMap<CallerAddress, ()>,
    proven_before: KeyedMap<CallerAddress, ()>,
    seed: u64,
}

impl Shares {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            callers: KeyedMap::new(seed),
            groups: KeyedMap::new(seed),
            proven: KeyedMap::new(seed),
            proven_before: KeyedMap::new(seed),
            seed,
        }
    }

    pub(crate) fn held_by(&self, caller: CallerAddress) -> Held {
        self.callers.get(&caller).copied().unwrap_or_default()
    }

    pub(crate) fn held_in(&self, group: u64) -> Held {
        self.groups.get(&group).copied().unwrap_or_default()
    }

    pub(crate) fn has_proven(&self, caller: CallerAddress) -> bool {
        self.proven.get(&caller).is_some() || self.proven_before.get(&caller).is_some()
    }

    /// A call begins.
    pub(super) fn begin(&mut self, claim: Claim) {
        self.change(claim, |held| {
            held.active += 1;
            held.kept += 1;
            held.emergencies += u32::from(claim.is_emergency);
        });
    }

    /// It has ended, and its entry stays.
    pub(super) fn end(&mut self, claim: Claim) {
        self.change(claim, |held| {
            debug_assert!(held.active > 0, "what ends has begun");
            held.active = held.active.saturating_sub(1);
        });
    }

    /// Its entry is gone.
    pub(super) fn forget(&mut self, claim: Claim) {
        self.change(claim, |held| {
            debug_assert!(held.kept > held.active, "what is gone has ended");
            held.kept = held.kept.saturating_sub(1);
            let emergencies = u32::from(claim.is_emergency);
            held.emergencies = held.emergencies.saturating_sub(emergencies);
            debug_assert!(held.emergencies <= held.kept, "each is a call that is kept");
        });
    }

    /// Its answer was acknowledged: from now on it counts as every call that is up, for nobody.
    pub(super) fn settle(&mut self, claim: Claim) {
        self.end(claim);
        self.forget(claim);
        if self.proven.len() >= PROVEN_CALLERS_MAX {
            let latest = std::mem::replace(&mut self.proven, KeyedMap::new(self.seed));
            self.proven_before = latest;
        }
        self.proven.insert(claim.caller, ());
    }

    fn change(&mut self, claim: Claim, change: impl Fn(&mut Held)) {
        let mut held = self.held_by(claim.caller);
        change(&mut held);
        match held.kept {
            0 => self.callers.remove(&claim.caller),
            _ => self.callers.insert(claim.caller, held),
        };
        let mut held = self.held_in(claim.group);
        change(&mut held);
        match held.kept {
            0 => self.groups.remove(&claim.group),
            _ => self.groups.insert(claim.group, held),
        };
    }

    /// Counts anew: the claims of all calls, and whether each has ended.
    pub(crate) fn recount(&mut self, claims: impl Iterator<Item = (Claim, bool)>) {
        self.callers.clear();
        self.groups.clear();
        for (claim, has_ended) in claims {
            self.begin(claim);
            if has_ended {
                self.end(claim);
            }
            debug_assert!(
                self.held_by(claim.caller).kept >= self.held_by(claim.caller).active,
                "what is active is kept"
            );
        }
    }

    /// Nobody holds anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.callers.is_empty() && self.groups.is_empty()
    }

    /// Addresses with calls that nobody has answered.
    pub(crate) fn callers(&self) -> usize {
        self.callers.len()
    }
}

/// One more stays within this share of what nobody holds.
pub(super) const fn is_within(held: u32, free: u32, share: u32) -> bool {
    held < free.saturating_mul(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SHARE_OF_FREE;

    fn caller(text: &str) -> CallerAddress {
        CallerAddress::of(text.parse().unwrap())
    }

    /// Callers that take all they get, one call each in turn.
    fn greedy(callers: u32, room: u32) -> Vec<u32> {
        let mut held = vec![0; usize::try_from(callers).unwrap()];
        loop {
            let before = held.iter().sum::<u32>();
            for one in 0..held.len() {
                let free = room - held.iter().sum::<u32>();
                if is_within(held[one], free, SHARE_OF_FREE) {
                    held[one] += 1;
                }
            }
            if held.iter().sum::<u32>() == before {
                return held;
            }
        }
    }

    #[test]
    fn whoever_takes_all_it_gets_leaves_room_for_the_next() {
        assert_eq!(greedy(1, 1_000), [750]);
        assert_eq!(greedy(1, 1), [1], "the smallest room is of some use");
        for callers in 1..50 {
            let free = 1_000 - greedy(callers, 1_000).iter().sum::<u32>();
            assert!(free >= 1_000 / (3 * callers + 1), "{callers} leave {free}");
        }
    }

    #[test]
    fn an_ipv6_host_is_its_64_and_on_this_machine_the_port_counts() {
        let same = |one, other| caller(one) == caller(other);
        assert!(same("[2001:db8::1]:5060", "[2001:db8::ffff:2]:5070"));
        assert!(!same("[2001:db8::1]:5060", "[2001:db8:0:1::1]:5060"));
        assert!(same("192.0.2.1:1", "192.0.2.1:2"));
        assert!(same("192.0.2.1:1", "[::ffff:192.0.2.1]:2"));
        assert!(!same("192.0.2.1:1", "192.0.2.2:1"));
        assert!(!same("127.0.0.1:1", "127.0.0.1:2"));
        assert!(!same("[::1]:1", "[::1]:2"));
    }

    #[test]
    fn callers_are_forgotten_with_their_last_call_and_proven_ones_are_bounded() {
        let mut shares = Shares::new(1);
        let first = CallerAddress::of("10.0.0.1:5060".parse().unwrap());
        for number in 0..3 * u32::try_from(PROVEN_CALLERS_MAX).unwrap() {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0001 + number);
            let caller = CallerAddress::of((address, 5060).into());
            let claim = Claim {
                caller,
                group: 7,
                is_emergency: number % 2 == 0,
            };
            shares.begin(claim);
            let held = Held {
                active: 1,
                kept: 1,
                emergencies: u32::from(claim.is_emergency),
            };
            assert_eq!((shares.held_by(caller), shares.held_in(7)), (held, held));
            shares.settle(claim);
            assert!(shares.has_proven(caller));
            assert!(shares.is_empty());
        }
        let remembered = shares.proven.len() + shares.proven_before.len();
        assert!(remembered <= 2 * PROVEN_CALLERS_MAX, "{remembered}");
        assert!(!shares.has_proven(first), "the oldest go first");
    }
}
