//! The guard as a whole: named rules, windows, restarts, clocks that jump, numbers in disguise.

mod clocks;
mod disguises;
mod named_rules;
mod restarts;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::rule::{NumberMatch, RuleKind, Scope};
use super::*;

/// A guard, and the two clocks.
struct World {
    guard: Guard,
    plan: DialPlan,
    start: Instant,
    elapsed: Duration,
    wall: Timestamp,
}

/// One wish to call.
#[derive(Clone, Copy)]
struct Wish<'a> {
    user: &'a str,
    way: Way,
    client: Option<&'a str>,
    named: bool,
    counted: &'a [Counter],
}

fn call(user: &str) -> Wish<'_> {
    Wish {
        user,
        way: Way::Link,
        client: Some("192.0.2.1"),
        named: true,
        counted: &[],
    }
}

impl<'a> Wish<'a> {
    fn from(self, client: &'a str) -> Self {
        Self {
            client: Some(client),
            ..self
        }
    }

    fn unnamed(self) -> Self {
        Self {
            named: false,
            ..self
        }
    }
}

impl World {
    fn new(named: Vec<Rule>) -> Self {
        Self::with(Rules {
            named,
            calls_per_second: 0,
            ..Rules::default()
        })
    }

    fn with(rules: Rules) -> Self {
        Self {
            guard: Guard::seeded(rules, 7),
            plan: DialPlan::default(),
            start: Instant::now(),
            elapsed: Duration::ZERO,
            wall: "2026-11-20T12:00:00Z".parse().unwrap(),
        }
    }

    fn now(&self) -> Instant {
        self.start + self.elapsed
    }

    /// Both clocks go on.
    fn pass(&mut self, time: Duration) {
        self.elapsed += time;
        self.jump(i64::try_from(time.as_secs()).unwrap());
    }

    /// The wall clock is set.
    fn jump(&mut self, seconds: i64) {
        self.wall = Timestamp::from_second(self.wall.as_second() + seconds).unwrap();
    }

    fn ask(&mut self, wish: Wish<'_>) -> Result<Cleared, Reason> {
        let now = self.now();
        let attempt = Attempt {
            user: wish.user,
            way: wish.way,
            trunk: "tr_1",
            dial_plan: &self.plan,
            client: wish.client.map(|text| text.parse::<IpAddr>().unwrap()),
            at: self.wall,
            named_by_link: wish.named,
            counted: wish.counted,
        };
        match self.guard.verdict(&attempt, now) {
            Verdict::Allow(cleared) => Ok(cleared),
            Verdict::Refuse(refused) => Err(refused.reason),
        }
    }

    /// A call that is over at once.
    fn try_call(&mut self, wish: Wish<'_>) -> Result<(), Reason> {
        let cleared = self.ask(wish)?;
        let now = self.now();
        self.guard.release(cleared, now);
        Ok(())
    }

    fn explain(&self, wish: Wish<'_>) -> Explanation {
        let attempt = Attempt {
            user: wish.user,
            way: wish.way,
            trunk: "tr_1",
            dial_plan: &self.plan,
            client: wish.client.map(|text| text.parse::<IpAddr>().unwrap()),
            at: self.wall,
            named_by_link: wish.named,
            counted: wish.counted,
        };
        self.guard.explain(&attempt, self.now())
    }
}

fn rule(id: &str, kind: RuleKind) -> Rule {
    Rule {
        id: id.to_owned(),
        name: format!("rule {id}"),
        enabled: true,
        scope: Scope::default(),
        kind,
    }
}

fn numbers(mut rule: Rule, numbers: &[&str]) -> Rule {
    rule.scope.numbers = numbers
        .iter()
        .map(|text| NumberMatch::parse(text).unwrap())
        .collect();
    rule
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
