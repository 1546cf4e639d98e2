//! Our registration with trunks that want a REGISTER: when to send one, and what its answer means.
//! Pure: time and chance are arguments; the endpoint sends, call control carries the words.
//!
//! A refusal or silence is answered with patience that doubles (RFC 5626 §4.5), each wait drawn
//! from its upper half, so that a registrar that comes back is not met by everybody at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::trunks::model::Trunk;

/// How a REGISTER ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The registrar keeps us for this long, and wants requests to go this way (RFC 3608).
    Registered {
        /// Granted.
        expires: Duration,
        /// Route values, in order.
        service_route: Vec<Box<[u8]>>,
    },
    /// A final refusal, and the wait it asked for.
    Refused {
        /// 300 to 699.
        status: u16,
        /// Its Retry-After.
        retry_after: Option<Duration>,
    },
    /// No answer, or no way to the registrar.
    NoAnswer,
}

/// What an outcome changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that anybody wants to read.
    None,
    /// Registered now, and was not before.
    Registered,
    /// Not registered any more, or not at the first try.
    Lost,
}

/// What a list shows of a trunk's registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The binding holds.
    Registered,
    /// A REGISTER is on its way.
    Registering,
    /// Waits for its next try after this many failures.
    Waiting {
        /// In a row.
        failures: u32,
    },
}

impl Standing {
    /// Stable word for lists and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Registering => "registering",
            Self::Waiting { .. } => "waiting",
        }
    }
}

/// Everything a list shows of a trunk's registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// How it stands.
    pub standing: Standing,
    /// When the next REGISTER is due; `None`: one is on its way.
    pub due: Option<Instant>,
    /// The binding holds until then.
    pub held_until: Option<Instant>,
    /// In a row.
    pub failures: u32,
    /// The last one since start.
    pub last_failure: Option<Failure>,
}

/// A REGISTER that did not bring a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: Instant,
    /// The status of the refusal; `None`: nobody answered.
    pub status: Option<u16>,
}

#[derive(Debug)]
struct Registration {
    /// When the next REGISTER is due; `None`: one is on its way.
    due: Option<Instant>,
    /// The binding holds until then.
    held_until: Option<Instant>,
    failures: u32,
    last_failure: Option<Failure>,
    service_route: Vec<Box<[u8]>>,
    asked: Duration,
}

/// The registrations of all trunks that want one.
#[derive(Debug, Default)]
pub struct Registrations {
    trunks: BTreeMap<String, Registration>,
}

impl Registrations {
    /// Takes the trunks of a new snapshot: known ones keep their state, gone ones are forgotten, new
    /// ones register at once.
    pub fn replace_trunks(&mut self, trunks: &[Trunk], now: Instant) {
        let mut known = std::mem::take(&mut self.trunks);
        for trunk in trunks
            .iter()
            .filter(|trunk| trunk.enabled && trunk.register)
        {
            let fresh = || Registration {
                due: Some(now),
                held_until: None,
                failures: 0,
                last_failure: None,
                service_route: Vec::new(),
                asked: trunk.register_expires,
            };
            let mut registration = known.remove(&trunk.id).unwrap_or_else(fresh);
            registration.asked = trunk.register_expires;
            self.trunks.insert(trunk.id.clone(), registration);
        }
    }

    /// A trunk whose REGISTER is due. It counts as on its way until [`Registrations::ended`].
    pub fn poll_due(&mut self, now: Instant) -> Option<String> {
        let due = |registration: &Registration| registration.due.is_some_and(|at| at <= now);
        let (id, registration) = self.trunks.iter_mut().find(|(_, one)| due(one))?;
        registration.due = None;
        Some(id.clone())
    }

    /// How the REGISTER of a trunk ended. `chance` is any number: it spreads the next try.
    pub fn ended(&mut self, trunk: &str, outcome: Outcome, chance: u32, now: Instant) -> Change {
        let Some(registration) = self.trunks.get_mut(trunk) else {
            return Change::None;
        };
        let held = registration.held_until.is_some_and(|until| now < until);
        match outcome {
            Outcome::Registered {
                expires,
                service_route,
            } => {
                registration.failures = 0;
                registration.held_until = Some(now + expires);
                registration.service_route = service_route;
                registration.due = Some(now + refresh_after(expires, chance));
                if held {
                    Change::None
                } else {
                    Change::Registered
                }
            }
            Outcome::Refused {
                retry_after,
                status,
            } => {
                let status = Some(status);
                registration.last_failure = Some(Failure { at: now, status });
                registration.held_until = None;
                registration.wait(retry_after, chance, now);
                if held || registration.failures == 1 {
                    Change::Lost
                } else {
                    Change::None
                }
            }
            // Silence does not end what the registrar granted.
            Outcome::NoAnswer => {
                let status = None;
                registration.last_failure = Some(Failure { at: now, status });
                registration.wait(None, chance, now);
                if registration.failures == 1 && !held {
                    Change::Lost
                } else {
                    Change::None
                }
            }
        }
    }

    /// True where calls may go to this trunk: it wants no REGISTER, or it has ours.
    #[must_use]
    pub fn permits(&self, trunk: &str, now: Instant) -> bool {
        self.trunks
            .get(trunk)
            .is_none_or(|one| one.held_until.is_some_and(|until| now < until))
    }

    /// The way that requests to this trunk take.
    #[must_use]
    pub fn service_route(&self, trunk: &str) -> &[Box<[u8]>] {
        self.trunks
            .get(trunk)
            .map_or(&[], |registration| registration.service_route.as_slice())
    }

    /// How the registration with this trunk is; `None`: it wants none.
    #[must_use]
    pub fn of(&self, trunk: &str, now: Instant) -> Option<View> {
        let registration = self.trunks.get(trunk)?;
        let held_until = registration.held_until.filter(|until| now < *until);
        let standing = match (held_until, registration.due) {
            (Some(_), _) => Standing::Registered,
            (None, None) => Standing::Registering,
            (None, Some(_)) => Standing::Waiting {
                failures: registration.failures,
            },
        };
        Some(View {
            standing,
            due: registration.due,
            held_until,
            failures: registration.failures,
            last_failure: registration.last_failure,
        })
    }

    /// When the next REGISTER is due.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.trunks.values().filter_map(|one| one.due).min()
    }
}

impl Registration {
    fn wait(&mut self, asked: Option<Duration>, chance: u32, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let doublings = self.failures.saturating_sub(1).min(DOUBLINGS_MAX);
        let longest = WAIT_FIRST
            .saturating_mul(1_u32 << doublings)
            .min(WAIT_LONGEST);
        let half = longest / 2;
        let wait = half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX));
        debug_assert!(wait >= WAIT_FIRST / 2 && wait <= WAIT_LONGEST, "bounded");
        self.due = Some(now + wait.max(asked.unwrap_or_default().min(RETRY_AFTER_LONGEST)));
    }
}

/// Before the binding ends: after 75 to 90 % of it, so that trunks do not refresh in step and one
/// lost REGISTER can be repeated.
fn refresh_after(expires: Duration, chance: u32) -> Duration {
    let share = 0.75 + 0.15 * f64::from(chance) / f64::from(u32::MAX);
    expires.mul_f64(share).max(REFRESH_SHORTEST)
}

/// After the first failure (RFC 5626 §4.5, base-time with some flow still up).
pub const WAIT_FIRST: Duration = Duration::from_secs(30);
/// After many (RFC 5626 §4.5, max-time).
pub const WAIT_LONGEST: Duration = Duration::from_secs(1_800);
/// A Retry-After beyond this is not believed.
pub const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(3_600);
/// However briefly a registrar keeps us, this often and no more.
pub const REFRESH_SHORTEST: Duration = Duration::from_secs(5);
const DOUBLINGS_MAX: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trunks::model::tests::trunk;

    fn one(now: Instant) -> Registrations {
        let mut registrations = Registrations::default();
        let mut wanting = trunk("tr_1", "192.0.2.1:5060");
        wanting.register = true;
        registrations.replace_trunks(&[wanting, trunk("tr_2", "192.0.2.2:5060")], now);
        registrations
    }

    fn registered(seconds: u64) -> Outcome {
        Outcome::Registered {
            expires: Duration::from_secs(seconds),
            service_route: vec![b"<sip:edge.example.net;lr>".to_vec().into()],
        }
    }

    const REFUSED: Outcome = Outcome::Refused {
        status: 403,
        retry_after: None,
    };

    #[test]
    fn only_a_trunk_that_wants_it_registers_and_carries_nothing_before() {
        let now = Instant::now();
        let mut registrations = one(now);
        assert!(!registrations.permits("tr_1", now));
        assert!(registrations.permits("tr_2", now));
        assert_eq!(registrations.poll_due(now).as_deref(), Some("tr_1"));
        assert_eq!(registrations.poll_due(now), None, "one at a time");
        let change = registrations.ended("tr_1", registered(100), 0, now);
        assert_eq!(change, Change::Registered);
        assert!(registrations.permits("tr_1", now));
        assert_eq!(registrations.service_route("tr_1").len(), 1);
        let refresh = now + Duration::from_secs(75);
        assert_eq!(registrations.poll_deadline(), Some(refresh));
        assert_eq!(registrations.poll_due(refresh).as_deref(), Some("tr_1"));
        let change = registrations.ended("tr_1", registered(100), u32::MAX, refresh);
        assert_eq!(change, Change::None);
        assert_eq!(
            registrations.poll_deadline(),
            Some(refresh + Duration::from_secs(90))
        );
    }

    #[test]
    fn patience_doubles_to_its_bound_and_every_wait_is_in_its_upper_half() {
        let mut now = Instant::now();
        let mut registrations = one(now);
        for failure in 0..12_u32 {
            assert!(registrations.poll_due(now).is_some());
            let chance = failure.wrapping_mul(0x9e37_79b9);
            let change = registrations.ended("tr_1", REFUSED, chance, now);
            assert_eq!(change == Change::Lost, failure == 0);
            let longest = (WAIT_FIRST * 2_u32.pow(failure.min(10))).min(WAIT_LONGEST);
            let next = registrations.poll_deadline().unwrap();
            assert!(
                next >= now + longest / 2 && next <= now + longest,
                "{failure}"
            );
            now = next;
        }
    }

    #[test]
    fn retry_after_is_kept_and_an_absurd_one_is_not() {
        let now = Instant::now();
        let mut registrations = one(now);
        let refused = |seconds| Outcome::Refused {
            status: 503,
            retry_after: Some(Duration::from_secs(seconds)),
        };
        registrations.ended("tr_1", refused(600), 0, now);
        assert_eq!(
            registrations.poll_deadline(),
            Some(now + Duration::from_secs(600))
        );
        registrations.ended("tr_1", refused(4_000_000), 0, now);
        assert_eq!(
            registrations.poll_deadline(),
            Some(now + RETRY_AFTER_LONGEST)
        );
    }

    #[test]
    fn silence_leaves_the_binding_and_a_refusal_ends_it() {
        let now = Instant::now();
        let mut registrations = one(now);
        registrations.ended("tr_1", registered(1_000), 0, now);
        let later = now + Duration::from_secs(750);
        assert_eq!(
            registrations.ended("tr_1", Outcome::NoAnswer, 0, later),
            Change::None
        );
        assert!(registrations.permits("tr_1", later));
        assert_eq!(registrations.ended("tr_1", REFUSED, 0, later), Change::Lost);
        assert!(!registrations.permits("tr_1", later));
        let view = registrations.of("tr_1", later).unwrap();
        assert_eq!(view.standing, Standing::Waiting { failures: 2 });
        let status = Some(403);
        assert_eq!(view.last_failure, Some(Failure { at: later, status }));
        assert!(registrations.of("tr_2", later).is_none(), "it wants none");
    }

    #[test]
    fn a_new_snapshot_keeps_a_binding_and_forgets_a_trunk_that_is_gone() {
        let now = Instant::now();
        let mut registrations = one(now);
        registrations.ended("tr_1", registered(1_000), 0, now);
        let mut wanting = trunk("tr_1", "192.0.2.1:5060");
        wanting.register = true;
        registrations.replace_trunks(&[wanting], now);
        assert!(registrations.permits("tr_1", now));
        registrations.replace_trunks(&[], now);
        assert_eq!(registrations.poll_deadline(), None);
    }
}
