//! The verdict on one attempt, and the proof of it without which nothing is dialled.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::book::{Book, Key, Span, Ticks};
use super::changes::{Changes, StoredCount};
use super::compiled::Compiled;
use super::dial_plan::DialPlan;
use super::explain::{ALLOWED, Explanation};
use super::judge::{Judge, Judged, Subject, rate_of};
use super::reason::{Reason, Way};
use super::rule::RuleKind;
use super::rules::Rules;
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
    /// Where the wish came from; `None`: this machine's operator, who is not counted by address.
    pub client: Option<IpAddr>,
    /// Wall time, for hours of the day.
    pub at: Timestamp,
    /// A stored link names this destination.
    pub named_by_link: bool,
    /// What has counted the call already, of the attempts before this one at the same party: what
    /// counts calls, counts each once. A rule that only the next trunk meets has not.
    pub counted: &'a [Counter],
}

/// What counts calls: a rule, or the setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter(u32);

impl Counter {
    /// `guard.calls_per_second`.
    pub(super) const SETTING: Self = Self(0);

    /// A rule, by the serial number of its book, which is never 0.
    pub(super) const fn of_rule(serial: u32) -> Self {
        debug_assert!(serial > 0, "0 is the setting");
        Self(serial)
    }
}

/// Dial it, or do not.
#[derive(Debug)]
pub enum Verdict {
    /// Dial what this names.
    Allow(Cleared),
    /// Do not dial.
    Refuse(Refused),
}

/// Why an attempt is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The stable reason.
    pub reason: Reason,
    /// The rule that decided: id of a stored one, or the name of a setting, as in an explanation.
    pub rule: String,
}

/// Proof that the guard has seen an attempt. Only [`Guard::verdict`] makes one, it is neither
/// `Clone` nor `Copy`, and [`Guard::release`] takes it back when the attempt is over.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a cleared attempt counts as a concurrent call until it is released"]
pub struct Cleared {
    user: String,
    duration_max: Duration,
    overruled: Option<Refused>,
    answered: Option<Instant>,
    counted: Vec<Counter>,
    holds: Vec<Hold>,
}

/// What an attempt holds in one book.
#[derive(Debug, PartialEq, Eq)]
struct Hold {
    serial: u32,
    key: Key,
    /// Micro units a minute.
    rate: u64,
    /// Micro units that are promised to it.
    promised: u64,
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

    /// What has counted the call by this attempt: the next one at the same party says so.
    #[must_use]
    pub fn counted(&self) -> &[Counter] {
        &self.counted
    }

    /// Why it would have been refused, were this not a dry run.
    #[must_use]
    pub const fn overruled(&self) -> Option<&Refused> {
        self.overruled.as_ref()
    }

    /// The attempt was answered: from now on it costs money.
    pub fn note_answered(&mut self, now: Instant) {
        self.answered.get_or_insert(now);
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
    compiled: Compiled,
    cleared: u32,
    window: Window,
    counters: Counters,
    /// The time of the first input.
    epoch: Option<Instant>,
    seed: u64,
    changes: Changes,
    /// Counts of the last run, by rule, until that rule is there.
    restored: BTreeMap<String, Vec<(Key, Span)>>,
}

impl Guard {
    /// A guard that has seen nothing.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self::seeded(rules, 0)
    }

    /// The same; `seed` keys its tables, so that nobody outside knows which rows collide.
    #[must_use]
    pub fn seeded(rules: Rules, seed: u64) -> Self {
        let mut guard = Self {
            seed,
            ..Self::default()
        };
        guard.replace_rules(rules);
        guard
    }

    /// New rules; what is up and what began lately stays counted.
    pub fn replace_rules(&mut self, rules: Rules) {
        if self.rules.named != rules.named {
            let restored = &mut self.restored;
            self.compiled
                .replace(&rules.named, self.seed, |rule, book| {
                    if let Some(rows) = restored.remove(&rule.id) {
                        book.restore(rows);
                    }
                });
        }
        self.rules = rules;
    }

    /// What the last run has counted. Comes before the rules that count.
    pub fn restore(&mut self, counts: Vec<StoredCount>, now: Instant, at: Timestamp) {
        let ticks = self.start(now);
        for count in counts {
            // Started in the future: the clock was set back meanwhile. It counts as just begun.
            let age = at
                .as_millisecond()
                .saturating_sub(count.started_at_ms)
                .max(0);
            let span = Span {
                start: ticks.saturating_sub(age),
                value: count.value,
            };
            self.restored
                .entry(count.rule)
                .or_default()
                .push((count.key, span));
        }
    }

    /// Judges one attempt. An allowed one counts as up until [`Guard::release`].
    pub fn verdict(&mut self, attempt: &Attempt<'_>, now: Instant) -> Verdict {
        let ticks = self.start(now);
        self.changes.note_time(ticks, attempt.at, &self.compiled);
        self.compiled.purge(ticks);
        let judged = Judge::new(self, attempt, now, None).judge();
        let overruled = match judged.refused() {
            None => None,
            Some(refused) => {
                self.counters.refuse(refused.reason);
                if !self.rules.dry_run || judged.user.is_none() {
                    return Verdict::Refuse(refused);
                }
                self.counters.overruled += 1;
                Some(refused)
            }
        };
        self.counters.allowed += 1;
        match self.clear(attempt, judged, now, ticks, overruled) {
            Some(cleared) => Verdict::Allow(cleared),
            None => Verdict::Refuse(Refused {
                reason: Reason::NumberMalformed,
                rule: String::new(),
            }),
        }
    }

    /// What [`Guard::verdict`] would say now. Nothing is counted but a refusal.
    ///
    /// # Errors
    /// Why it would refuse.
    pub fn preview(&mut self, attempt: &Attempt<'_>, now: Instant) -> Result<(), Refused> {
        let judged = Judge::new(self, attempt, now, None).judge();
        let passes = self.rules.dry_run && judged.user.is_some();
        match judged.refused().filter(|_| !passes) {
            None => Ok(()),
            Some(refused) => {
                self.counters.refuse(refused.reason);
                Err(refused)
            }
        }
    }

    /// Counts what is allowed.
    fn clear(
        &mut self,
        attempt: &Attempt<'_>,
        judged: Judged,
        now: Instant,
        ticks: Ticks,
        overruled: Option<Refused>,
    ) -> Option<Cleared> {
        let user = judged.user?;
        let classified = judged.classified?;
        let subject = Subject::of(attempt, &user, &classified);
        let mut holds = Vec::new();
        let mut counted = Vec::new();
        for index in judged.applies {
            let Some((rule, serial, book)) = self.compiled.entry_mut(index) else {
                continue;
            };
            let Some(keys) = subject.keys(&rule.kind) else {
                continue;
            };
            let rate = if let RuleKind::SpendPerDay(spend) = &rule.kind {
                rate_of(spend, &classified)
            } else {
                0
            };
            let promised = cost(rate, judged.duration_max);
            let counter = Counter::of_rule(serial);
            if rule.kind.counts_calls() && !attempt.counted.contains(&counter) {
                counted.push(counter);
                if let (Book::Second(window), RuleKind::CallsPerSecond(cap)) =
                    (&mut *book, &rule.kind)
                {
                    window.count(now, *cap);
                }
                book.count(keys, ticks);
            }
            book.begin(keys, promised, ticks);
            if book.is_held() {
                holds.push(Hold {
                    serial,
                    key: keys.one,
                    rate,
                    promised,
                });
            }
            if let Some(row) = book.row(keys) {
                self.changes.note(serial, row, now);
            }
        }
        if !attempt.counted.contains(&Counter::SETTING) {
            counted.push(Counter::SETTING);
            self.window.count(now, self.rules.calls_per_second);
        }
        self.cleared = self.cleared.saturating_add(1);
        // A dry run ends nothing: what rules would have granted is only promised.
        let duration_max = if self.rules.dry_run {
            self.rules.duration_max
        } else {
            judged.duration_max
        };
        Some(Cleared {
            user,
            duration_max,
            overruled,
            answered: None,
            counted,
            holds,
        })
    }

    /// The attempt, or the call it became, is over.
    pub fn release(&mut self, cleared: Cleared, now: Instant) {
        let ticks = self.start(now);
        let talked = cleared.answered.map_or(Duration::ZERO, |answered| {
            now.saturating_duration_since(answered)
        });
        for hold in cleared.holds {
            let Some((_, book)) = self.compiled.of_serial(hold.serial) else {
                continue;
            };
            book.end(hold.key, hold.promised, cost(hold.rate, talked), ticks);
            if hold.promised > 0 {
                self.changes.note(hold.serial, hold.key, now);
            }
        }
        debug_assert!(self.cleared > 0, "released once more than cleared");
        self.cleared = self.cleared.saturating_sub(1);
    }

    /// Which rule would decide and why. Nothing is counted.
    #[must_use]
    pub fn explain(&self, attempt: &Attempt<'_>, now: Instant) -> Explanation {
        let mut steps = Vec::new();
        let judged = Judge::new(self, attempt, now, Some(&mut steps)).judge();
        let first = judged
            .classified
            .as_ref()
            .and_then(|classified| classified.readings.first());
        let country = first.map(|reading| String::from_utf8_lossy(&reading.region).into_owned());
        let class = judged
            .classified
            .as_ref()
            .map_or("malformed", |classified| classified.class.as_str());
        let readings = judged
            .classified
            .iter()
            .flat_map(|classified| classified.readings.iter())
            .map(|reading| reading.as_str().to_owned());
        Explanation {
            readings: readings.collect(),
            class,
            country,
            dialled: judged.user,
            outcome: judged.outcome,
            decided_by: match judged.outcome {
                Err(_) => steps.len().checked_sub(1),
                Ok(()) => steps
                    .iter()
                    .position(|step| step.answer.starts_with(ALLOWED)),
            },
            duration_max: judged.duration_max,
            dry_run: self.rules.dry_run,
            steps,
        }
    }

    /// What has been counted and is not stored yet, once a second at most; empty: nothing is due.
    pub fn take_changes(&mut self, now: Instant, at: Timestamp) -> Vec<StoredCount> {
        if self.changes.due().is_none_or(|due| now < due) {
            return Vec::new();
        }
        self.flush_changes(now, at)
    }

    /// The same at the end, whatever the time.
    pub fn flush_changes(&mut self, now: Instant, at: Timestamp) -> Vec<StoredCount> {
        let ticks = self.start(now);
        self.changes.take(ticks, at, &mut self.compiled)
    }

    /// When [`Guard::take_changes`] has something.
    #[must_use]
    pub const fn poll_deadline(&self) -> Option<Instant> {
        self.changes.due()
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

    /// The rules in force.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) const fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    pub(super) const fn window(&self) -> &Window {
        &self.window
    }

    /// Milliseconds since the first input.
    pub(super) fn ticks(&self, now: Instant) -> Ticks {
        let since = self
            .epoch
            .map_or(Duration::ZERO, |epoch| now.saturating_duration_since(epoch));
        Ticks::try_from(since.as_millis()).unwrap_or(Ticks::MAX)
    }

    fn start(&mut self, now: Instant) -> Ticks {
        self.epoch.get_or_insert(now);
        self.ticks(now)
    }
}

/// Micro units for a call, by the second, rounded up.
fn cost(rate: u64, talked: Duration) -> u64 {
    let millis = u64::try_from(talked.as_millis()).unwrap_or(u64::MAX);
    let seconds = millis.div_ceil(1_000);
    rate.saturating_mul(seconds).div_ceil(60)
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
            counted: &[],
        }
    }

    fn refused(verdict: Verdict) -> Option<Reason> {
        match verdict {
            Verdict::Allow(_cleared) => None,
            Verdict::Refuse(refused) => Some(refused.reason),
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
        guard.release(cleared, now);
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
        let plan = DialPlan::default();
        let Verdict::Allow(first) = guard.verdict(&attempt("100", &plan, true), now) else {
            panic!("the first is allowed");
        };
        let retry = Attempt {
            counted: first.counted(),
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
