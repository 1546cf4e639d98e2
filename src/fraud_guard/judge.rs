//! Asking every rule about one attempt. Counts nothing: a verdict and an explanation ask the same.

use std::time::{Duration, Instant};

use super::book::{Book, Key, Keys, Ticks};
use super::compiled::{Compiled, Named};
use super::dial_plan::{Class, Classified};
use super::explain::{ALLOWED, Step};
use super::number::canonical;
use super::numbering::{Numbering, numbering};
use super::reason::Reason;
use super::rule::{Rule, RuleKind, Spend};
use super::rules::PrefixVerdict;
use super::trie::{EXACT, Fit, RuleIndex};
use super::verdict::{Attempt, Counter, Guard, Refused};

/// What asking has brought.
pub(super) struct Judged {
    /// What would be dialled.
    pub(super) user: Option<String>,
    pub(super) classified: Option<Classified>,
    pub(super) outcome: Result<(), Reason>,
    /// The last rule or setting that was asked: the one that refuses, where one does.
    pub(super) asked_last: String,
    /// Rules in whose scope the attempt is.
    pub(super) applies: Vec<RuleIndex>,
    pub(super) duration_max: Duration,
}

impl Judged {
    /// Why it is refused, and by what.
    pub(super) fn refused(&self) -> Option<Refused> {
        let reason = self.outcome.err()?;
        let rule = self.asked_last.clone();
        Some(Refused { reason, rule })
    }
}

/// One round of questions.
pub(super) struct Judge<'g, 'a> {
    guard: &'g Guard,
    attempt: &'a Attempt<'a>,
    now: Instant,
    ticks: Ticks,
    steps: Option<&'g mut Vec<Step>>,
    duration_max: Duration,
    asked_last: String,
    applies: Vec<RuleIndex>,
}

/// What the lists have said so far.
#[derive(Clone, Copy, Default)]
struct Allowed {
    /// Some rule or setting allows the number: it needs no link.
    yes: bool,
    /// By so many octets of what it means in E.164.
    fit: Fit,
}

impl<'g, 'a> Judge<'g, 'a> {
    pub(super) fn new(
        guard: &'g Guard,
        attempt: &'a Attempt<'a>,
        now: Instant,
        steps: Option<&'g mut Vec<Step>>,
    ) -> Self {
        Self {
            guard,
            attempt,
            now,
            ticks: guard.ticks(now),
            steps,
            duration_max: guard.rules().duration_max,
            asked_last: String::new(),
            applies: Vec::new(),
        }
    }

    pub(super) fn judge(mut self) -> Judged {
        let Ok(user) = canonical(self.attempt.user) else {
            self.step("number", "number", || "it hides what it dials".into());
            return self.judged(None, None, Err(Reason::NumberMalformed));
        };
        let classified = self.attempt.dial_plan.classify(&user, numbering());
        let outcome = self.ask(&user, &classified);
        self.judged(Some(user), Some(classified), outcome)
    }

    fn judged(
        self,
        user: Option<String>,
        classified: Option<Classified>,
        outcome: Result<(), Reason>,
    ) -> Judged {
        Judged {
            user,
            classified,
            outcome,
            asked_last: self.asked_last,
            applies: self.applies,
            duration_max: self.duration_max,
        }
    }

    fn step(&mut self, rule: &str, name: &str, answer: impl FnOnce() -> String) {
        rule.clone_into(&mut self.asked_last);
        if let Some(steps) = &mut self.steps {
            steps.push(Step {
                rule: rule.to_owned(),
                name: name.to_owned(),
                answer: answer(),
            });
        }
    }

    fn ask(&mut self, user: &str, classified: &Classified) -> Result<(), Reason> {
        let compiled = self.guard.compiled();
        let named = compiled.find(user, classified, self.attempt);
        self.applies.clone_from(&named.applies);
        if classified.class == Class::Emergency {
            return self.emergency(compiled, &named);
        }
        if classified.readings.has_overflowed() {
            self.step("dial_plan", "dial plan", || {
                "it can be read as too many numbers: refused".into()
            });
            return Err(Reason::NumberUnknown);
        }
        if classified.class == Class::Unknown && self.attempt.dial_plan.reaches_pstn {
            self.step("dial_plan", "dial plan", || {
                "unknown, and the trunk reaches the telephone network: refused".into()
            });
            return Err(Reason::NumberUnknown);
        }
        self.step("dial_plan", "dial plan", || {
            format!("{}: goes on", classified.class.as_str())
        });
        let allowed = self.named_rules(compiled, &named, user, classified)?;
        let allowed = self.setting_lists(allowed, user, classified)?;
        self.ranges(allowed, classified, numbering())?;
        self.unnamed(allowed)?;
        self.setting_caps()
    }

    /// Whoever calls for help is not counted; but only a rule lets it out.
    fn emergency(&mut self, compiled: &Compiled, named: &Named) -> Result<(), Reason> {
        let routes = named.applies.iter().find_map(|index| {
            compiled
                .rule(*index)
                .filter(|rule| rule.kind == RuleKind::Emergency)
        });
        self.applies.clear();
        match routes {
            Some(rule) => {
                self.step(&rule.id, &rule.name, || {
                    format!("{ALLOWED}: a rule routes emergency calls")
                });
                Ok(())
            }
            None => {
                self.step("emergency", "emergency numbers", || {
                    "no rule routes emergency calls: refused".into()
                });
                Err(Reason::Emergency)
            }
        }
    }

    fn named_rules(
        &mut self,
        compiled: &Compiled,
        named: &Named,
        user: &str,
        classified: &Classified,
    ) -> Result<Allowed, Reason> {
        let mut allowed = Allowed::default();
        let subject = Subject::of(self.attempt, user, classified);
        if self.steps.is_some() {
            for index in 0..compiled.len() {
                if !named.applies.contains(&index)
                    && let Some(rule) = compiled.rule(index)
                {
                    let (id, name) = (rule.id.clone(), rule.name.clone());
                    self.step(&id, &name, || "does not concern this call".into());
                }
            }
        }
        for index in &named.applies {
            let Some((rule, serial, book)) = compiled.entry(*index) else {
                continue;
            };
            match &rule.kind {
                RuleKind::Allow if named.allows(*index) => {
                    allowed.yes = true;
                    allowed.fit = allowed.fit.max(named.fit(*index));
                    self.step(&rule.id, &rule.name, || format!("{ALLOWED}: needs no link"));
                }
                RuleKind::Block if allowed.yes => {
                    self.step(&rule.id, &rule.name, || {
                        "would block, but an earlier rule allows".into()
                    });
                }
                RuleKind::Block => {
                    self.step(&rule.id, &rule.name, || "blocked".into());
                    return Err(Reason::Blocked);
                }
                RuleKind::Allow | RuleKind::Emergency => {
                    self.step(&rule.id, &rule.name, || "does not concern this call".into());
                }
                RuleKind::Hours(hours) => {
                    let open = hours.contains(self.attempt.at);
                    self.answer(rule, open, || "the hour".to_owned())?;
                }
                RuleKind::Duration(limit) => {
                    self.duration_max = self.duration_max.min(*limit);
                    self.step(&rule.id, &rule.name, || {
                        format!("at most {} s", limit.as_secs())
                    });
                }
                RuleKind::SpendPerDay(spend) => self.spend(rule, spend, book, classified)?,
                RuleKind::CallsPerDay(_)
                | RuleKind::CallsPerDayPerIp(_)
                | RuleKind::CallsPerSecond(_)
                | RuleKind::Concurrent(_)
                | RuleKind::ConcurrentPerIp(_)
                | RuleKind::ConcurrentPerDestination(_)
                | RuleKind::DestinationsPerHour(_)
                | RuleKind::SameDestination { .. } => {
                    self.cap(rule, serial, book, subject)?;
                }
            }
        }
        Ok(allowed)
    }

    /// One step with yes or no.
    fn answer(
        &mut self,
        rule: &Rule,
        open: bool,
        what: impl FnOnce() -> String,
    ) -> Result<(), Reason> {
        self.step(&rule.id, &rule.name, || {
            let word = if open { "passes" } else { "refuses" };
            format!("{}: {word}", what())
        });
        match rule.kind.reason() {
            Some(reason) if !open => Err(reason),
            Some(_) | None => Ok(()),
        }
    }

    fn cap(
        &mut self,
        rule: &Rule,
        serial: u32,
        book: &Book,
        subject: Subject,
    ) -> Result<(), Reason> {
        let cap = match &rule.kind {
            RuleKind::CallsPerDay(cap)
            | RuleKind::CallsPerDayPerIp(cap)
            | RuleKind::CallsPerSecond(cap)
            | RuleKind::DestinationsPerHour(cap)
            | RuleKind::Concurrent(cap)
            | RuleKind::ConcurrentPerIp(cap)
            | RuleKind::ConcurrentPerDestination(cap) => *cap,
            RuleKind::SameDestination { calls, .. } => *calls,
            RuleKind::Allow
            | RuleKind::Block
            | RuleKind::Emergency
            | RuleKind::Hours(_)
            | RuleKind::Duration(_)
            | RuleKind::SpendPerDay(_) => return Ok(()),
        };
        if rule.kind.counts_calls() && self.attempt.counted.contains(&Counter::of_rule(serial)) {
            return self.answer(rule, true, || "a further attempt of a counted call".into());
        }
        let Some(keys) = subject.keys(&rule.kind) else {
            return self.answer(rule, true, || "no source address to count".into());
        };
        if let Book::Second(window) = book {
            let open = window.admits(self.now, cap.max(1)) && cap > 0;
            return self.answer(rule, open, || format!("at most {cap} a second"));
        }
        let standing = book.standing(keys, self.ticks);
        let open = standing.known || standing.value < u64::from(cap);
        self.answer(rule, open, || format!("{} of {cap}", standing.value))?;
        if standing.has_room {
            return Ok(());
        }
        self.step(&rule.id, &rule.name, || "its table is full: refuses".into());
        Err(Reason::TableFull)
    }

    /// A call is promised the money for its longest duration, so that the bound holds whatever
    /// happens; with less left, it is the shorter.
    fn spend(
        &mut self,
        rule: &Rule,
        spend: &Spend,
        book: &Book,
        classified: &Classified,
    ) -> Result<(), Reason> {
        let rate = rate_of(spend, classified);
        let keys = Keys {
            one: Key::ALL,
            destination: Key::ALL,
        };
        let spent = book.standing(keys, self.ticks).value;
        let left = spend.micros_max.saturating_sub(spent);
        let affordable = left.saturating_mul(60).checked_div(rate);
        let open = affordable.is_none_or(|seconds| seconds >= SPEND_SECONDS_MIN);
        if let Some(seconds) = affordable {
            self.duration_max = self.duration_max.min(Duration::from_secs(seconds));
        }
        self.answer(rule, open, || {
            format!("{left} micro units left, {rate} a minute")
        })
    }

    fn setting_lists(
        &mut self,
        mut allowed: Allowed,
        user: &str,
        classified: &Classified,
    ) -> Result<Allowed, Reason> {
        let rules = self.guard.rules();
        if allowed.yes {
            return Ok(allowed);
        }
        let readings = classified.readings.iter().map(|reading| reading.as_str());
        let blocked = std::iter::once(user)
            .chain(readings)
            .any(|text| rules.prefix_verdict(text) == PrefixVerdict::Blocked);
        if blocked {
            self.step("guard.block_prefixes", "setting", || "blocked".into());
            return Err(Reason::PrefixBlocked);
        }
        let first = classified.readings.first().map(|reading| reading.as_str());
        let meaning = first.and_then(|text| rules.allowed_octets(text));
        let dialled = rules.allowed_octets(user);
        if meaning.or(dialled).is_some() {
            allowed.yes = true;
            // Access codes say nothing about a range; the whole text does.
            allowed.fit = if dialled.is_some_and(|octets| octets >= user.len()) {
                EXACT
            } else {
                Fit::try_from(meaning.map_or(0, |octets| octets + 1)).unwrap_or(EXACT - 1)
            };
            self.step("guard.allow_prefixes", "setting", || {
                format!("{ALLOWED}: needs no link")
            });
        }
        Ok(allowed)
    }

    /// Ranges that cost much are opened only by a list that names them at least as exactly.
    fn ranges(
        &mut self,
        allowed: Allowed,
        classified: &Classified,
        numbering: &Numbering,
    ) -> Result<(), Reason> {
        let rules = self.guard.rules();
        let named = |octets: usize| allowed.yes && usize::from(allowed.fit) >= octets + 2;
        for reading in classified.readings.iter() {
            let premium = numbering.premium(reading.digits());
            if rules.block_premium && premium.is_some_and(|octets| !named(octets)) {
                self.step("guard.block_premium", "premium-rate ranges", || {
                    format!("{} is one: refused", reading.as_str())
                });
                return Err(Reason::Premium);
            }
            let satellite = numbering.satellite(reading.digits());
            if rules.block_satellite && satellite.is_some_and(|octets| !named(octets)) {
                self.step("guard.block_satellite", "satellite ranges", || {
                    format!("{} is one: refused", reading.as_str())
                });
                return Err(Reason::Satellite);
            }
        }
        Ok(())
    }

    fn unnamed(&mut self, allowed: Allowed) -> Result<(), Reason> {
        let rules = self.guard.rules();
        if allowed.yes || self.attempt.named_by_link || rules.unnamed_allowed {
            return Ok(());
        }
        self.step("guard.deny_unnamed", "setting", || {
            "no stored link names it and no rule allows it: refused".into()
        });
        Err(Reason::NotNamed)
    }

    fn setting_caps(&mut self) -> Result<(), Reason> {
        let rules = self.guard.rules();
        let (active, cap) = (self.guard.active(), rules.concurrent_calls);
        if cap > 0 && active >= cap {
            self.step("guard.concurrent_calls", "setting", || {
                format!("{active} of {cap}: refuses")
            });
            return Err(Reason::ConcurrentCalls);
        }
        let rate = rules.calls_per_second;
        let is_counted = self.attempt.counted.contains(&Counter::SETTING);
        if !is_counted && !self.guard.window().admits(self.now, rate) {
            self.step("guard.calls_per_second", "setting", || {
                format!("{rate} within this second: refuses")
            });
            return Err(Reason::CallsPerSecond);
        }
        Ok(())
    }
}

/// Whom an attempt is of and to, as books name them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    source: Option<Key>,
    destination: Key,
}

impl Subject {
    pub(super) fn of(attempt: &Attempt<'_>, user: &str, classified: &Classified) -> Self {
        let number = classified.readings.first();
        let number = number
            .filter(|_| classified.class == Class::E164)
            .map_or(user, |reading| reading.as_str());
        Self {
            source: attempt.client.map(Key::of_source),
            destination: Key::of_destination(number),
        }
    }

    /// Its rows in the book of a rule; `None`: it has no source to count.
    pub(super) fn keys(self, kind: &RuleKind) -> Option<Keys> {
        let destination = self.destination;
        let one = match kind {
            RuleKind::Allow
            | RuleKind::Block
            | RuleKind::Emergency
            | RuleKind::Hours(_)
            | RuleKind::Duration(_)
            | RuleKind::CallsPerDay(_)
            | RuleKind::CallsPerSecond(_)
            | RuleKind::Concurrent(_)
            | RuleKind::SpendPerDay(_) => Key::ALL,
            RuleKind::CallsPerDayPerIp(_)
            | RuleKind::ConcurrentPerIp(_)
            | RuleKind::DestinationsPerHour(_) => self.source?,
            RuleKind::ConcurrentPerDestination(_) | RuleKind::SameDestination { .. } => destination,
        };
        Some(Keys { one, destination })
    }
}

/// Micro units a minute; extensions and names cost nothing.
pub(super) fn rate_of(spend: &Spend, classified: &Classified) -> u64 {
    let dearest = classified
        .readings
        .iter()
        .map(|reading| spend.rate(reading.as_str()));
    match classified.class {
        Class::Extension | Class::Emergency => 0,
        Class::E164 | Class::Unknown => dearest.max().unwrap_or(0),
    }
}

/// A call that could not last that long is not begun.
const SPEND_SECONDS_MIN: u64 = 10;
