//! The verdict on one attempt, and the proof of it without which nothing is dialled.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::dial_plan::DialPlan;
use super::explain::Explanation;
use super::number::canonical;
use super::reason::{Reason, Way};
use super::rules::{PrefixVerdict, Rules};
use super::window::Window;

/// An attempt as the guard sees it: after the trunk's number rewriting.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The user part the Request-URI would carry, not escaped.
    pub user: &'a str,
    /// How it came to be.
    pub way: Way,
    /// Id of the trunk it would leave by.
    pub trunk: &'a str,
    /// How that trunk reads a number.
    pub dial_plan: &'a DialPlan,
    /// Where the wish came from; `None`: this machine's operator.
    pub client: Option<IpAddr>,
    /// Wall time, for hours of the day.
    pub at: Timestamp,
    /// A stored link names this destination.
    pub named_by_link: bool,
    /// False for the second and later attempts of one call: the rate counts calls.
    pub first_of_call: bool,
}

/// Dial it, or do not.
#[derive(Debug)]
pub enum Verdict {
    /// Dial what this names.
    Allow(Cleared),
    /// Do not dial.
    Refuse(Reason),
}

/// Proof that the guard has seen an attempt. Only [`Guard::verdict`] makes one, it is neither
/// `Clone` nor `Copy`, and [`Guard::release`] takes it back when the attempt is over.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a cleared attempt counts as a concurrent call until it is released"]
pub struct Cleared {
    user: String,
    duration_max: Duration,
}

impl Cleared {
    /// The canonical user part: the one that was judged, the only one that may be dialled.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// How long the call may last.
    #[must_use]
    pub const fn duration_max(&self) -> Duration {
        self.duration_max
    }
}

/// How often the guard said what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Attempts allowed.
    pub allowed: u64,
    /// Attempts that a dry run let pass.
    pub overruled: u64,
    refused: [u64; Reason::ALL.len()],
}

impl Counters {
    /// Attempts that were refused, or that a dry run would have refused, for this reason.
    #[must_use]
    pub fn of(&self, reason: Reason) -> u64 {
        self.refused.get(reason.index()).copied().unwrap_or(0)
    }

    /// Each count under the word of its metric.
    #[must_use]
    pub fn by_reason(&self) -> Vec<(&'static str, u64)> {
        let told = [("allowed", self.allowed), ("overruled", self.overruled)];
        let reasons = Reason::ALL.map(|reason| (reason.as_str(), self.of(reason)));
        told.into_iter().chain(reasons).collect()
    }

    fn refuse(&mut self, reason: Reason) {
        if let Some(count) = self.refused.get_mut(reason.index()) {
            *count += 1;
        }
    }
}

/// The guard's state: its rules, what is up, what began lately.
#[derive(Debug, Default)]
pub struct Guard {
    rules: Rules,
    cleared: u32,
    window: Window,
    counters: Counters,
}

impl Guard {
    /// A guard that has seen nothing.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// New rules; what is up and what began lately stays counted.
    pub fn replace_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Judges one attempt. An allowed one counts as up until [`Guard::release`].
    pub fn verdict(&mut self, attempt: &Attempt<'_>, now: Instant) -> Verdict {
        match self.judge(attempt, now) {
            Ok(user) => {
                if attempt.first_of_call {
                    self.window.count(now, self.rules.calls_per_second);
                }
                self.cleared = self.cleared.saturating_add(1);
                self.counters.allowed += 1;
                Verdict::Allow(Cleared {
                    user,
                    duration_max: self.rules.duration_max,
                })
            }
            Err(reason) => {
                self.counters.refuse(reason);
                Verdict::Refuse(reason)
            }
        }
    }

    /// The attempt, or the call it became, is over.
    pub fn release(&mut self, cleared: Cleared) {
        drop(cleared);
        debug_assert!(self.cleared > 0, "released once more than cleared");
        self.cleared = self.cleared.saturating_sub(1);
    }

    /// Which rule would decide and why. Nothing is counted.
    #[must_use]
    pub fn explain(&self, attempt: &Attempt<'_>, now: Instant) -> Explanation {
        let judged = self.judge(attempt, now);
        Explanation {
            dialled: canonical(attempt.user).ok(),
            class: "unknown",
            readings: Vec::new(),
            country: None,
            steps: Vec::new(),
            outcome: judged.map(drop),
            decided_by: None,
            dry_run: false,
        }
    }

    /// Attempts and calls that hold a [`Cleared`].
    #[must_use]
    pub const fn active(&self) -> u32 {
        self.cleared
    }

    /// How often it said what.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    fn judge(&self, attempt: &Attempt<'_>, now: Instant) -> Result<String, Reason> {
        let user = canonical(attempt.user).map_err(|_malformed| Reason::NumberMalformed)?;
        match self.rules.prefix_verdict(&user) {
            PrefixVerdict::Blocked => return Err(Reason::PrefixBlocked),
            PrefixVerdict::Allowed => {}
            PrefixVerdict::Unlisted if attempt.named_by_link || self.rules.unnamed_allowed => {}
            PrefixVerdict::Unlisted => return Err(Reason::NotNamed),
        }
        if self.rules.concurrent_calls > 0 && self.cleared >= self.rules.concurrent_calls {
            return Err(Reason::ConcurrentCalls);
        }
        if attempt.first_of_call && !self.window.admits(now, self.rules.calls_per_second) {
            return Err(Reason::CallsPerSecond);
        }
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attempt<'a>(user: &'a str, dial_plan: &'a DialPlan, named_by_link: bool) -> Attempt<'a> {
        Attempt {
            user,
            way: Way::Link,
            trunk: "tr_1",
            dial_plan,
            client: None,
            at: Timestamp::UNIX_EPOCH,
            named_by_link,
            first_of_call: true,
        }
    }

    fn refused(verdict: Verdict) -> Option<Reason> {
        match verdict {
            Verdict::Allow(_cleared) => None,
            Verdict::Refuse(reason) => Some(reason),
        }
    }

    #[test]
    fn destination_that_no_link_names_is_denied_unless_a_prefix_allows_it() {
        let now = Instant::now();
        let mut guard = Guard::new(Rules {
            allow_prefixes: vec!["+44".into()],
            ..Rules::default()
        });
        assert_eq!(
            refused(guard.verdict(&attempt("+3312345", &DialPlan::default(), false), now)),
            Some(Reason::NotNamed)
        );
        assert_eq!(
            refused(guard.verdict(&attempt("+3312345", &DialPlan::default(), true), now)),
            None
        );
        assert_eq!(
            refused(guard.verdict(&attempt("004420", &DialPlan::default(), false), now)),
            None
        );
        assert_eq!(guard.counters().of(Reason::NotNamed), 1);
        assert_eq!(guard.counters().allowed, 2);
    }

    #[test]
    fn blocked_prefix_is_refused_even_where_a_link_names_it() {
        let now = Instant::now();
        let mut guard = Guard::new(Rules {
            block_prefixes: vec!["+1900".into()],
            ..Rules::default()
        });
        for spelling in [
            "+1900555",
            "%2B1-900-555",
            "tel:+1.900.555",
            "900555;phone-context=+1",
        ] {
            let verdict = guard.verdict(&attempt(spelling, &DialPlan::default(), true), now);
            assert_eq!(refused(verdict), Some(Reason::PrefixBlocked), "{spelling}");
        }
    }

    #[test]
    fn concurrent_calls_are_released_with_the_token() {
        let now = Instant::now();
        let mut guard = Guard::new(Rules {
            concurrent_calls: 1,
            ..Rules::default()
        });
        let Verdict::Allow(cleared) =
            guard.verdict(&attempt("100", &DialPlan::default(), true), now)
        else {
            panic!("the first is allowed");
        };
        let second = guard.verdict(&attempt("100", &DialPlan::default(), true), now);
        assert_eq!(refused(second), Some(Reason::ConcurrentCalls));
        guard.release(cleared);
        assert_eq!(
            refused(guard.verdict(&attempt("100", &DialPlan::default(), true), now)),
            None
        );
    }

    #[test]
    fn rate_counts_calls_and_not_the_attempts_of_one_call() {
        let now = Instant::now();
        let mut guard = Guard::new(Rules {
            calls_per_second: 1,
            ..Rules::default()
        });
        assert_eq!(
            refused(guard.verdict(&attempt("100", &DialPlan::default(), true), now)),
            None
        );
        let plan = DialPlan::default();
        let retry = Attempt {
            first_of_call: false,
            ..attempt("100", &plan, true)
        };
        assert_eq!(refused(guard.verdict(&retry, now)), None);
        let next = guard.verdict(&attempt("100", &DialPlan::default(), true), now);
        assert_eq!(refused(next), Some(Reason::CallsPerSecond));
        let later = now + Duration::from_secs(1);
        assert_eq!(
            refused(guard.verdict(&attempt("100", &DialPlan::default(), true), later)),
            None
        );
    }

    proptest! {
        /// Whatever the spelling, what leaves is what was judged: no blocked number gets out.
        #[test]
        fn no_spelling_of_a_blocked_number_is_cleared(user in "(tel:|sip:|%74el:)?(%2B|\\+|00)?[-.(% ]{0,2}1[-.() ]?9[-.() ]?0[-.() ]?0[0-9-.()]{0,8}(;phone-context=\\+1)?") {
            let rules = Rules { block_prefixes: vec!["+1900".into(), "1900".into(), "+11900".into()], ..Rules::default() };
            let mut guard = Guard::new(rules);
            let verdict = guard.verdict(&attempt(&user, &DialPlan::default(), true), Instant::now());
            prop_assert!(refused(verdict).is_some(), "{user}");
        }

        /// Any bytes give a verdict, and an allowed one names a clean user part.
        #[test]
        fn verdict_is_total(user in "\\PC{0,60}") {
            let mut guard = Guard::new(Rules::default());
            if let Verdict::Allow(cleared) = guard.verdict(&attempt(&user, &DialPlan::default(), true), Instant::now()) {
                prop_assert!(!cleared.user().is_empty());
                prop_assert!(!cleared.user().contains(['@', '%', ';', '\0']));
            }
        }
    }
}
