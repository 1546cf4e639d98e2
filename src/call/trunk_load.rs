//! How much each trunk carries now: calls each way, and attempts within the last second.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use crate::fraud_guard::window::Window;
use crate::registration::Registrations;
use crate::trunks::health::Health;
use crate::trunks::model::Trunk;
use crate::trunks::select::Availability;

/// All trunks that carry or carried something.
#[derive(Debug, Default)]
pub struct TrunkLoads {
    loads: BTreeMap<String, Load>,
}

#[derive(Debug, Default)]
struct Load {
    sent: u32,
    received: u32,
    attempts: Window,
}

impl TrunkLoads {
    /// One more call that we send stays within the caps.
    #[must_use]
    pub fn has_room_to_send(&self, trunk: &Trunk, now: Instant) -> bool {
        let none = Load::default();
        let load = self.loads.get(&trunk.id).unwrap_or(&none);
        within(load.sent, trunk.outbound_cap())
            && within(load.sent + load.received, trunk.total_cap())
            && load.attempts.admits(now, trunk.max_cps)
    }

    /// How many more calls we may send; `None`: no cap says.
    #[must_use]
    pub fn free_to_send(&self, trunk: &Trunk) -> Option<u32> {
        let none = Load::default();
        let load = self.loads.get(&trunk.id).unwrap_or(&none);
        let left = |cap: Option<u32>, used: u32| cap.map(|cap| cap.saturating_sub(used));
        let caps = [
            left(trunk.outbound_cap(), load.sent),
            left(trunk.total_cap(), load.sent + load.received),
        ];
        caps.into_iter().flatten().min()
    }

    /// One more call that it sends us stays within the caps.
    #[must_use]
    pub fn has_room_to_receive(&self, trunk: &Trunk) -> bool {
        let none = Load::default();
        let load = self.loads.get(&trunk.id).unwrap_or(&none);
        within(load.received, trunk.inbound_cap())
            && within(load.sent + load.received, trunk.total_cap())
    }

    /// An attempt leaves; it counts until [`TrunkLoads::end_sent`].
    pub fn begin_sent(&mut self, trunk: &Trunk, now: Instant) {
        let load = self.loads.entry(trunk.id.clone()).or_default();
        load.sent += 1;
        load.attempts.count(now, trunk.max_cps);
    }

    /// A call that we sent, or an attempt, is over.
    pub fn end_sent(&mut self, trunk: &str) {
        let load = self.loads.entry(trunk.to_owned()).or_default();
        debug_assert!(load.sent > 0, "ended once more than begun");
        load.sent = load.sent.saturating_sub(1);
    }

    /// A call of this trunk is taken.
    pub fn begin_received(&mut self, trunk: &str) {
        self.loads.entry(trunk.to_owned()).or_default().received += 1;
    }

    /// It is over.
    pub fn end_received(&mut self, trunk: &str) {
        let load = self.loads.entry(trunk.to_owned()).or_default();
        debug_assert!(load.received > 0, "ended once more than begun");
        load.received = load.received.saturating_sub(1);
    }

    /// Calls and attempts that we send to this trunk, and calls that it sends us.
    #[must_use]
    pub fn of(&self, trunk: &str) -> (u32, u32) {
        let load = self.loads.get(trunk);
        load.map_or((0, 0), |load| (load.sent, load.received))
    }

    /// Calls in both directions, all trunks.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.loads
            .values()
            .map(|load| load.sent + load.received)
            .sum()
    }

    /// Forgets idle trunks that a new snapshot no longer has.
    pub fn retain(&mut self, trunks: &[Trunk]) {
        self.loads.retain(|id, load| {
            load.sent + load.received > 0 || trunks.iter().any(|trunk| trunk.id == *id)
        });
    }
}

/// Load and health, as the choice of trunks sees them.
#[derive(Debug)]
pub struct Present<'a> {
    /// Caps.
    pub loads: &'a TrunkLoads,
    /// Pings.
    pub health: &'a Health,
    /// What a trunk that wants our REGISTER has.
    pub registrations: &'a Registrations,
    /// For the calls of the last second.
    pub now: Instant,
}

impl Availability for Present<'_> {
    fn is_up(&self, trunk: &Trunk, target: SocketAddr) -> bool {
        self.registrations.permits(&trunk.id, self.now) && self.health.is_up(&trunk.id, target)
    }

    fn has_room(&self, trunk: &Trunk) -> bool {
        self.loads.has_room_to_send(trunk, self.now)
    }
}

fn within(count: u32, cap: Option<u32>) -> bool {
    cap.is_none_or(|cap| count < cap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trunks::model::tests::trunk;

    #[test]
    fn caps_count_each_direction_and_both() {
        let now = Instant::now();
        let mut loads = TrunkLoads::default();
        let mut capped = trunk("tr_1", "192.0.2.1:5060");
        capped.max_calls = 2;
        capped.max_outbound = 1;
        loads.begin_sent(&capped, now);
        assert!(!loads.has_room_to_send(&capped, now));
        assert!(loads.has_room_to_receive(&capped));
        loads.begin_received("tr_1");
        assert!(!loads.has_room_to_receive(&capped), "two in total");
        loads.end_sent("tr_1");
        assert!(loads.has_room_to_send(&capped, now));
        loads.end_received("tr_1");
        assert_eq!(loads.total(), 0);
        loads.retain(&[]);
        assert!(loads.loads.is_empty());
    }

    #[test]
    fn attempts_a_second_are_capped_although_they_ended() {
        let now = Instant::now();
        let mut loads = TrunkLoads::default();
        let mut slow = trunk("tr_1", "192.0.2.1:5060");
        slow.max_cps = 1;
        loads.begin_sent(&slow, now);
        loads.end_sent("tr_1");
        assert!(!loads.has_room_to_send(&slow, now));
        assert!(loads.has_room_to_send(&slow, now + std::time::Duration::from_secs(1)));
    }
}
