//! Whose new calls come how fast: the rate of the node is shared as its tables are.
//!
//! Owns the calls of the last second with their senders. Trunks have the whole rate. Another caller may
//! have had so many times what is left of this second ([`SHARE_OF_FREE`]), and its group more
//! ([`GROUP_SHARE_OF_FREE`]); a caller that has proven to be who it says, as much as a group. A trunk's cap is shared likewise. How many calls a caller may
//! hold at all is the endpoint's affair.

use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use foldhash::quality::FixedState;
use sip::event::{CallKey, CallerAddress, Flow, Origin};
use sip::limits::{GROUP_SHARE_OF_FREE, SHARE_OF_FREE};
use sip::message::StatusCode;

use super::admission::Denied;
use super::control::CallControl;
use super::event::Now;
use crate::sources::admission::{Admitted, admit_flow};
use crate::trunks::select::Route;

/// A caller that is no trunk, and its group: the source whose policy it is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) address: CallerAddress,
    pub(super) group: u64,
}

/// The group of those whom no source names any more, and whose calls are still up.
const FORMER: u64 = 0;

impl Caller {
    /// Who sends by this flow; `None`: a trunk.
    pub(super) fn of(flow: Flow, known: Option<Admitted<'_>>) -> Option<Self> {
        let group = match known {
            Some(Admitted::Trunk(_)) => return None,
            Some(Admitted::Source(source)) => FixedState::with_seed(0).hash_one(&source.name),
            None => FORMER,
        };
        let address = CallerAddress::of(flow.remote);
        Some(Self { address, group })
    }
}

/// The group of all guests with browsers.
const GUESTS: u64 = 1;

impl Caller {
    /// The network of a guest's browser.
    pub(super) fn of_guest(client: IpAddr) -> Self {
        Self {
            address: CallerAddress::of((client, 0).into()),
            group: GUESTS,
        }
    }
}

/// Calls of guests that nobody has answered and that have not ended, by the networks that they come from.
#[derive(Debug, Default)]
pub(super) struct RingingGuests {
    by_address: BTreeMap<CallerAddress, u32>,
    all: u32,
}

impl RingingGuests {
    pub(super) fn begin(&mut self, caller: Caller) {
        *self.by_address.entry(caller.address).or_default() += 1;
        self.all += 1;
    }

    pub(super) fn settle(&mut self, caller: Caller) {
        less(&mut self.by_address, &caller.address);
        self.all = self.all.saturating_sub(1);
    }

    /// This one may have one more of what is free.
    pub(super) fn may_begin(&self, free: u32, caller: Caller) -> bool {
        is_shared(free, self.of(caller), self.all, false)
    }

    fn of(&self, caller: Caller) -> u32 {
        self.by_address
            .get(&caller.address)
            .copied()
            .unwrap_or_default()
    }

    pub(super) const fn count(&self) -> u32 {
        self.all
    }
}

/// New calls within the last second, at most as many as the node's rate.
#[derive(Debug, Default)]
pub(super) struct OfferedLately {
    calls: VecDeque<(Instant, Option<Caller>)>,
    by_address: BTreeMap<CallerAddress, u32>,
    by_group: BTreeMap<u64, u32>,
}

const WINDOW: Duration = Duration::from_secs(1);

/// What a caller hears that holds its share of every trunk.
pub(super) const SHARE_WAIT: Duration = Duration::from_secs(2);

impl OfferedLately {
    /// How many there were in the last second.
    pub(super) fn count_at(&mut self, now: Instant) -> u32 {
        while let Some((_, caller)) = self
            .calls
            .pop_front_if(|(at, _)| now.saturating_duration_since(*at) >= WINDOW)
        {
            let Some(caller) = caller else { continue };
            less(&mut self.by_address, &caller.address);
            less(&mut self.by_group, &caller.group);
        }
        u32::try_from(self.calls.len()).unwrap_or(u32::MAX)
    }

    /// One more stays within `cap` a second; 0: there is no cap.
    pub(super) fn admits(&mut self, now: Instant, cap: u32) -> bool {
        cap == 0 || self.count_at(now) < cap
    }

    /// This caller has had its share of the second.
    pub(super) fn is_too_fast(
        &mut self,
        now: Instant,
        cap: u32,
        caller: Caller,
        has_proven: bool,
    ) -> bool {
        if cap == 0 {
            return false;
        }
        let free = cap.saturating_sub(self.count_at(now));
        let own = self.by_address.get(&caller.address).copied();
        let group = self.by_group.get(&caller.group).copied();
        let (own, group) = (own.unwrap_or_default(), group.unwrap_or_default());
        // Where nothing is free it is not this caller that is too fast.
        free > 0 && !is_shared(free, own, group, has_proven)
    }

    /// Counts one. Without a cap nothing is kept.
    pub(super) fn count(&mut self, now: Instant, cap: u32, caller: Option<Caller>) {
        if cap == 0 {
            return;
        }
        self.count_at(now);
        self.calls.push_back((now, caller));
        if let Some(caller) = caller {
            *self.by_address.entry(caller.address).or_default() += 1;
            *self.by_group.entry(caller.group).or_default() += 1;
        }
    }
}

/// A caller that has so much, in a group that has so much, may have one more of what is free. One that
/// has proven to be who it says counts as a group by itself.
const fn is_shared(free: u32, own: u32, group: u32, has_proven: bool) -> bool {
    if has_proven {
        return own < free.saturating_mul(GROUP_SHARE_OF_FREE);
    }
    own < free.saturating_mul(SHARE_OF_FREE) && group < free.saturating_mul(GROUP_SHARE_OF_FREE)
}

fn less<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl CallControl {
    /// What the endpoint shall know of whoever sends by this flow.
    pub(super) fn origin_of(&mut self, now: Now, caller: Option<Caller>) -> Origin {
        let Some(caller) = caller else {
            return Origin::default();
        };
        let rate = self.config.calls_per_second_max;
        let has_proven = rate > 0 && self.endpoint.has_proven(caller.address);
        let lately = &mut self.offered_lately;
        Origin {
            group: Some(caller.group),
            is_too_fast: lately.is_too_fast(now.instant, rate, caller, has_proven),
        }
    }

    /// Those of them whose free room this caller does not take from the others: what it may hold of a
    /// trunk's cap is its share, as it is of the endpoint's tables.
    pub(super) fn shared(
        &self,
        key: CallKey,
        mut routes: Vec<Route>,
    ) -> Result<Vec<Route>, Denied> {
        let Some((own, group, has_proven)) = self.unsettled_beside(key) else {
            return Ok(routes);
        };
        let trunks = &self.snapshot.trunks;
        routes.retain(|route| {
            let trunk = trunks.iter().find(|trunk| trunk.id == route.trunk);
            let free = trunk.and_then(|trunk| self.loads.free_to_send(trunk));
            free.is_none_or(|free| is_shared(free, own, group, has_proven))
        });
        if routes.is_empty() {
            let full = Denied::new(StatusCode::SERVICE_UNAVAILABLE, "trunk_share");
            return Err(full.with_retry_after(Some(SHARE_WAIT)));
        }
        Ok(routes)
    }

    /// How many calls that nobody has answered its caller has beside this one, how many the caller's group,
    /// and whether the caller has proven to be who it says. `None`: shares do not concern it.
    fn unsettled_beside(&self, key: CallKey) -> Option<(u32, u32, bool)> {
        let call = self.calls.get(&key)?;
        let ((own, group), has_proven) = if let Some(guest) = call.guest() {
            let guests = &self.ringing_guests;
            (
                (guests.of(Caller::of_guest(guest.client)), guests.all),
                false,
            )
        } else {
            let offered = call.offered().filter(|offered| !offered.is_emergency)?;
            let (trunks, sources) = (&self.snapshot.trunks, &self.snapshot.sources);
            let known = admit_flow(trunks, sources, offered.flow);
            let caller = Caller::of(offered.flow, known)?;
            let own = self.endpoint.unsettled_calls(caller.address);
            let group = self.endpoint.unsettled_calls_of_group(caller.group);
            ((own, group), self.endpoint.has_proven(caller.address))
        };
        Some((own.saturating_sub(1), group.saturating_sub(1), has_proven))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(last: u8, group: u64) -> Caller {
        let address = std::net::Ipv4Addr::new(10, 0, 0, last);
        let address = CallerAddress::of((address, 5060).into());
        Caller { address, group }
    }

    #[test]
    fn a_caller_that_sends_all_it_can_leaves_a_quarter_of_the_rate() {
        let now = Instant::now();
        let mut lately = OfferedLately::default();
        let (greedy, next, elsewhere) = (caller(1, 1), caller(2, 1), caller(3, 2));
        while !lately.is_too_fast(now, 100, greedy, false) {
            lately.count(now, 100, Some(greedy));
        }
        assert_eq!(lately.count_at(now), 75);
        assert!(!lately.is_too_fast(now, 100, next, false));
        let mut many = (10..200).map(|last| caller(last, 1)).cycle();
        while let Some(one) = many.next()
            && !lately.is_too_fast(now, 100, one, false)
        {
            lately.count(now, 100, Some(one));
        }
        assert_eq!(lately.count_at(now), 94);
        assert!(
            lately.is_too_fast(now, 100, next, false),
            "its group has its share"
        );
        assert!(
            !lately.is_too_fast(now, 100, next, true),
            "but a proven caller is no invention"
        );
        assert!(!lately.is_too_fast(now, 100, elsewhere, false));
        assert!(lately.admits(now, 100), "a trunk has all that is left");
        assert!(!lately.is_too_fast(now + WINDOW, 100, greedy, false));
        assert_eq!(lately.count_at(now + WINDOW), 0);
        assert!(lately.by_address.is_empty() && lately.by_group.is_empty());
    }

    #[test]
    fn third_within_a_second_is_over_a_cap_of_two_and_the_window_slides() {
        let start = Instant::now();
        let mut lately = OfferedLately::default();
        lately.count(start, 2, None);
        let half = start + WINDOW / 2;
        assert!(lately.admits(half, 2));
        lately.count(half, 2, None);
        assert!(!lately.admits(start + Duration::from_millis(999), 2));
        assert!(lately.admits(start + WINDOW, 2));
    }

    #[test]
    fn without_a_cap_nothing_is_kept() {
        let now = Instant::now();
        let mut lately = OfferedLately::default();
        for _ in 0..100 {
            assert!(!lately.is_too_fast(now, 0, caller(1, 1), false));
            lately.count(now, 0, Some(caller(1, 1)));
        }
        assert_eq!(lately.count_at(now), 0);
    }
}
