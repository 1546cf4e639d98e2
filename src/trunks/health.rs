//! Whether a trunk's target is up, learnt by OPTIONS (PRODUCT §6). Pure: says when to ping, hears
//! how it ended.
//!
//! Up until told otherwise: a fresh target takes calls before its first ping. A status of the
//! trunk's `down_codes` is a clear word and counts at once; silence is asked [`SILENCES_MAX`] times.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::model::Trunk;

/// Unanswered pings in a row after which a target is down.
pub const SILENCES_MAX: u8 = 2;
/// Between an unanswered ping and the next.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long one ping waits for its final response.
pub const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// A target: which trunk, which address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetKey {
    /// The trunk's id.
    pub trunk: String,
    /// Its address.
    pub address: SocketAddr,
}

/// What a ping changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The target answers again.
    Up,
    /// It does not.
    Down,
}

/// All pinged targets of the snapshot.
#[derive(Debug, Default)]
pub struct Health {
    targets: BTreeMap<TargetKey, Target>,
}

#[derive(Debug, Clone)]
struct Target {
    up: bool,
    silences: u8,
    /// `None`: a ping is on its way.
    ping_at: Option<Instant>,
    interval_up: Duration,
    interval_down: Duration,
    down_codes: Vec<u16>,
}

impl Health {
    /// Takes the trunks of a new snapshot: known targets keep their state, gone ones are forgotten,
    /// new ones are pinged at once.
    pub fn replace_trunks(&mut self, trunks: &[Trunk], now: Instant) {
        let mut known = std::mem::take(&mut self.targets);
        for trunk in trunks.iter().filter(|trunk| is_pinged(trunk)) {
            for target in &trunk.targets {
                let key = TargetKey {
                    trunk: trunk.id.clone(),
                    address: target.address,
                };
                let (up, silences, ping_at) =
                    known.remove(&key).map_or((true, 0, Some(now)), |old| {
                        (old.up, old.silences, old.ping_at)
                    });
                self.targets.insert(
                    key,
                    Target {
                        up,
                        silences,
                        ping_at,
                        interval_up: trunk.options_interval_up,
                        interval_down: trunk.options_interval_down,
                        down_codes: trunk.down_codes.clone(),
                    },
                );
            }
        }
    }

    /// True unless pings say otherwise.
    #[must_use]
    pub fn is_up(&self, trunk: &str, address: SocketAddr) -> bool {
        let key = TargetKey {
            trunk: trunk.to_owned(),
            address,
        };
        self.targets.get(&key).is_none_or(|target| target.up)
    }

    /// A target whose ping is due. It counts as on its way until [`Health::ping_ended`].
    pub fn poll_ping(&mut self, now: Instant) -> Option<TargetKey> {
        let (key, target) = self
            .targets
            .iter_mut()
            .find(|(_, target)| target.ping_at.is_some_and(|at| at <= now))?;
        target.ping_at = None;
        Some(key.clone())
    }

    /// When the next ping is due.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.targets
            .values()
            .filter_map(|target| target.ping_at)
            .min()
    }

    /// A call got no answer there: ask now rather than at the next interval.
    pub fn suspect(&mut self, trunk: &str, address: SocketAddr, now: Instant) {
        let key = TargetKey {
            trunk: trunk.to_owned(),
            address,
        };
        if let Some(target) = self.targets.get_mut(&key)
            && target.up
            && let Some(at) = target.ping_at
        {
            target.ping_at = Some(at.min(now));
        }
    }

    /// Somebody has looked at the trunk: its targets are asked now, those that are down too.
    pub fn ask_now(&mut self, trunk: &str, now: Instant) {
        for (key, target) in &mut self.targets {
            if key.trunk == trunk
                && let Some(at) = target.ping_at
            {
                target.ping_at = Some(at.min(now));
            }
        }
    }

    /// How a ping ended; `None`: no final response.
    pub fn ping_ended(&mut self, key: &TargetKey, status: Option<u16>, now: Instant) -> Change {
        let Some(target) = self.targets.get_mut(key) else {
            return Change::None;
        };
        let was_up = target.up;
        match status {
            Some(status) if !target.down_codes.contains(&status) => {
                target.up = true;
                target.silences = 0;
            }
            Some(_down) => target.up = false,
            None => {
                target.silences = target.silences.saturating_add(1);
                if target.silences >= SILENCES_MAX {
                    target.up = false;
                }
            }
        }
        let next = match (target.up, target.silences) {
            (true, 0) => target.interval_up,
            (true, _) => RETRY_AFTER,
            (false, _) => target.interval_down.max(RETRY_AFTER),
        };
        target.ping_at = Some(now + next);
        match (was_up, target.up) {
            (true, false) => Change::Down,
            (false, true) => Change::Up,
            (true, true) | (false, false) => Change::None,
        }
    }
}

fn is_pinged(trunk: &Trunk) -> bool {
    trunk.enabled && !trunk.options_interval_up.is_zero()
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::trunk;
    use super::*;

    fn pinged() -> (Trunk, TargetKey) {
        let mut trunk = trunk("tr_1", "192.0.2.1:5060");
        trunk.options_interval_up = Duration::from_secs(60);
        trunk.options_interval_down = Duration::from_secs(120);
        let key = TargetKey {
            trunk: trunk.id.clone(),
            address: trunk.targets[0].address,
        };
        (trunk, key)
    }

    #[test]
    fn two_silences_are_down_and_one_answer_is_up_again() {
        let (trunk, key) = pinged();
        let now = Instant::now();
        let mut health = Health::default();
        health.replace_trunks(&[trunk], now);
        assert_eq!(health.poll_ping(now), Some(key.clone()));
        assert_eq!(health.poll_ping(now), None);
        assert_eq!(health.ping_ended(&key, None, now), Change::None);
        assert!(health.is_up("tr_1", key.address));
        assert_eq!(health.poll_deadline(), Some(now + RETRY_AFTER));
        let later = now + RETRY_AFTER;
        assert_eq!(health.poll_ping(later), Some(key.clone()));
        assert_eq!(health.ping_ended(&key, None, later), Change::Down);
        assert!(!health.is_up("tr_1", key.address));
        assert_eq!(
            health.poll_deadline(),
            Some(later + Duration::from_secs(120))
        );
        assert_eq!(health.ping_ended(&key, Some(404), later), Change::Up);
        assert_eq!(
            health.poll_deadline(),
            Some(later + Duration::from_secs(60))
        );
    }

    #[test]
    fn status_of_the_list_is_down_at_once_and_any_other_final_is_up() {
        let (trunk, key) = pinged();
        let now = Instant::now();
        let mut health = Health::default();
        health.replace_trunks(&[trunk], now);
        assert_eq!(health.ping_ended(&key, Some(503), now), Change::Down);
        assert_eq!(health.ping_ended(&key, Some(500), now), Change::Up);
        assert_eq!(health.ping_ended(&key, Some(408), now), Change::Down);
    }

    #[test]
    fn interval_zero_is_always_up_and_never_pinged() {
        let now = Instant::now();
        let mut health = Health::default();
        let trunk = trunk("tr_1", "192.0.2.1:5060");
        health.replace_trunks(std::slice::from_ref(&trunk), now);
        assert_eq!(health.poll_ping(now), None);
        assert_eq!(health.poll_deadline(), None);
        assert!(health.is_up("tr_1", trunk.targets[0].address));
    }

    #[test]
    fn new_snapshot_keeps_what_is_known_and_forgets_what_is_gone() {
        let (trunk, key) = pinged();
        let now = Instant::now();
        let mut health = Health::default();
        health.replace_trunks(std::slice::from_ref(&trunk), now);
        assert_eq!(health.ping_ended(&key, Some(503), now), Change::Down);
        health.replace_trunks(std::slice::from_ref(&trunk), now);
        assert!(!health.is_up("tr_1", key.address));
        health.replace_trunks(&[], now);
        assert!(health.is_up("tr_1", key.address));
        assert_eq!(health.ping_ended(&key, None, now), Change::None);
    }

    #[test]
    fn suspicion_brings_the_next_ping_forward() {
        let (trunk, key) = pinged();
        let now = Instant::now();
        let mut health = Health::default();
        health.replace_trunks(&[trunk], now);
        assert!(health.poll_ping(now).is_some());
        health.suspect("tr_1", key.address, now);
        assert_eq!(health.poll_ping(now), None, "one is on its way already");
        assert_eq!(health.ping_ended(&key, Some(200), now), Change::None);
        health.suspect("tr_1", key.address, now + Duration::from_secs(1));
        assert_eq!(health.poll_deadline(), Some(now + Duration::from_secs(1)));
    }
}
